"""The address that the service calls: an answer within a second whatever comes, and none that tells guesses apart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import httpx
import pytest
from starlette.applications import Starlette

from core.access.attempts import FREE, Attempts
from core.errors import LedgerError
from ui.callbacks import BODY_KB, CallbackApi
from ui.door import REQUEST_KB, Door
from ui.sessions import Presence

pytestmark = pytest.mark.anyio

KNOWN = "0123456789abcdef" * 2


class Runs:
    """Knows one word, and keeps what it is told under it; `held`, it does not come back."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.broken = False
        self.going = asyncio.Event()
        self.going.set()

    async def called(self, word: str, headers: Mapping[str, str], body: bytes) -> bool:
        await self.going.wait()
        if self.broken:
            raise LedgerError("The disk is full.")
        if word == KNOWN:
            assert headers["webhook-id"] == "7"
            self.heard.append(body)
        return word == KNOWN


def client(runs: Runs, soon: float = 5) -> httpx.AsyncClient:
    """Speaks to the route through the door, from the service's side of it."""
    route = CallbackApi(runs.called, Attempts(), soon).route()
    door = Door(Starlette(routes=[route]), ours=[route], names={"studio.example"}, presence=Presence())
    transport, headers = httpx.ASGITransport(door), {"webhook-id": "7"}
    return httpx.AsyncClient(transport=transport, base_url="https://studio.example", headers=headers)


async def test_a_call_comes_through_the_door() -> None:
    """By the public name alone, by POST alone."""
    runs = Runs()
    async with client(runs) as service:
        assert (await service.post(f"/callback/{KNOWN}", content=b"{}")).status_code == 200
        assert (await service.post(f"/callback/{KNOWN}", headers={"Host": "evil.example"})).status_code == 421
        assert (await service.get(f"/callback/{KNOWN}")).status_code == 404
    assert runs.heard == [b"{}"]


async def test_guesses_are_answered_alike_and_slowed() -> None:
    """Unknown, malformed and endless words get the same bytes, then have to wait; a right one never does."""
    words = ["0" * 32, KNOWN.upper(), KNOWN[:-1], "%00", "é" * 40, "x" * 5000, "..%2f..", "a'--", "0", "-", "~", *"abc"]
    runs = Runs()
    async with client(runs) as service:
        told = [await service.post(f"/callback/{word}") for word in words]
        answers = {(answer.status_code, answer.content) for answer in told[:FREE]}
        assert {answer.status_code for answer in told[:FREE]} == {404} and len(answers) == 1
        assert {answer.status_code for answer in told[-2:]} == {429}
        for _ in range(3):
            assert (await service.post(f"/callback/{KNOWN}")).status_code == 200
    assert len(runs.heard) == 3


@pytest.mark.parametrize("kilobytes", [BODY_KB + 1, REQUEST_KB + 1])
async def test_a_huge_call_is_not_read(kilobytes: int) -> None:
    """It is refused before anything is looked for, whoever sends it."""
    runs = Runs()
    async with client(runs) as service:
        assert (await service.post(f"/callback/{KNOWN}", content=b" " * kilobytes * 1024)).status_code == 413
    assert runs.heard == []


async def test_nobody_waits_for_what_takes_long() -> None:
    """503 within a second, so that the service calls again; what was heard is dealt with all the same."""
    runs = Runs()
    runs.going.clear()
    async with client(runs, soon=0.01) as service:
        begun = time.monotonic()
        assert (await service.post(f"/callback/{KNOWN}")).status_code == 503
        assert time.monotonic() - begun < 1
        runs.going.set()
        assert (await service.post(f"/callback/{KNOWN}")).status_code == 200
    assert len(runs.heard) == 2


async def test_a_disk_that_takes_nothing_asks_for_another_call() -> None:
    """What could not be written down was not heard."""
    runs = Runs()
    runs.broken = True
    async with client(runs) as service:
        assert (await service.post(f"/callback/{KNOWN}")).status_code == 503
