"""Whose key pays for a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from core.service.client import Client

AccountKind = Literal["sandbox", "host", "own"]


@dataclass(frozen=True)
class Account:
    """`id` is "sandbox", "host" or "own-" and a fingerprint of the visitor's key: never the key itself.

    `invitation`: the id of the one under which the host's key is used here.
    """

    id: str
    kind: AccountKind
    client: Client
    invitation: str | None = None
