"""Connections that many clients use together."""

from __future__ import annotations

from functools import cached_property

import httpx

from core.service import hosts
from core.service.client import LIMITS


class Pool(httpx.AsyncBaseTransport):
    """One pool for the clients of many keys: a key alone costs no connection and no certificates of its own.

    It leads where a client of its own would go, and nowhere else: `base_url` and `resolve` as for `Client`. A client
    that is closed leaves it open; whoever made it closes it. Made at its first use, since that takes time.
    """

    def __init__(self, base_url: str, resolve: hosts.Resolve = hosts.resolve) -> None:
        self._hosts = hosts.Hosts(base_url)
        self._resolve = resolve

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._connections.handle_async_request(request)

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.aclose()

    @cached_property
    def _connections(self) -> httpx.AsyncHTTPTransport:
        return hosts.GuardedTransport(self._hosts, LIMITS, self._resolve)
