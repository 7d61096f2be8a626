"""A server that speaks the service's API without a model, so that everything can be tried for nothing.

It imports nothing else of the project: its rules are a second, independent writing-down of the contract,
and a wrong range on the client's side can't agree with itself here.
"""

from __future__ import annotations

from sandbox.server.app import create_app

__all__ = ["create_app"]
