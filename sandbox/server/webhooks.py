"""Calls back once a task has ended, as the service does: signed, and again where nobody answers (D)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.exceptions import HTTPException

ANSWER = 10.0  # seconds that whoever is called has to answer (D)
RETRIES = (10.0, 120.0, 600.0)  # seconds before each: up to three within 20 minutes (D); when they come is assumed (A)
MOST = 300  # that are under way at once; whoever is not called can still ask for the result

Sleep = Callable[[float], Awaitable[object]]
Ended = Callable[[], Awaitable[Mapping[str, Any]]]


def secret_of(key: str) -> str:
    """What calls for that key are signed with: one for each key (D)."""
    return "whsec_" + hashlib.sha256(f"webhook {key}".encode()).hexdigest()


def check(address: str, inputs: Mapping[str, Any]) -> None:
    """Raises HTTPException (400) for an address that is not called, or outputs that are not sent there (D).

    http is taken for this computer alone, so that a client can be tried on it.
    """
    if inputs.get("enable_base64_output"):
        raise HTTPException(400, "enable_base64_output can't be used together with webhook")
    try:
        parts = urlsplit(address)
        fits = (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and _is_here(parts.hostname))
    except ValueError:
        fits = False
    if not fits:
        raise HTTPException(400, "webhook must be a public HTTPS URL")


def _is_here(host: str | None) -> bool:
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def signed(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one call; the secret is used as text, without its prefix (D)."""
    message = f"{id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.removeprefix("whsec_").encode(), message, hashlib.sha256).hexdigest()
    return {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v3,{digest}"}


class Webhooks:
    """The calls that are under way. `transport` carries them; None: the network."""

    def __init__(self, clock: Callable[[], float], sleep: Sleep, transport: httpx.AsyncBaseTransport | None) -> None:
        self._clock = clock
        self._sleep = sleep
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, address: str, key: str, ended: Ended) -> None:
        """Call that address with what `ended` brings, the prediction at its end."""
        if len(self._tasks) < MOST:
            task = asyncio.create_task(self._call(address, secret_of(key), ended))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Call nobody any more."""
        for task in self._tasks:
            task.cancel()

    async def _call(self, address: str, secret: str, ended: Ended) -> None:
        prediction = await ended()
        body = json.dumps(prediction).encode()
        for pause in (*RETRIES, None):
            if await self._post(address, secret, str(prediction["id"]), body) or pause is None:
                return
            await self._sleep(pause)

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        # Nothing is kept open, so there is nothing to close where the sandbox runs without a lifespan.
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncClient(transport=self._transport, timeout=ANSWER, limits=limits, trust_env=False)

    async def _post(self, address: str, secret: str, id: str, body: bytes) -> bool:
        """Whether it was taken."""
        headers = signed(secret, id, int(self._clock()), body) | {"Content-Type": "application/json"}
        try:
            return (await self._http.post(address, content=body, headers=headers)).is_success
        except httpx.HTTPError:
            return False
