"""Connections that many clients use together."""

from __future__ import annotations

from functools import cached_property

import httpx

from core.service.client import LIMITS


class Pool(httpx.AsyncBaseTransport):
    """One pool for the clients of many keys: a key alone costs no connection and no certificates of its own.

    A client that is closed leaves it open; whoever made it closes it. Made at its first use, since that takes time.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._connections.handle_async_request(request)

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.aclose()

    @cached_property
    def _connections(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(limits=LIMITS)
