"""A connection that is kept open for whoever is about to press: asked for now and then, for a while, by few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from core.runs.keep_alive import EVERY, MOST, TIMES, KeepAlive
from core.service.account import Account, AccountKind
from core.service.client import Client

pytestmark = pytest.mark.anyio


class Service(httpx.AsyncBaseTransport):
    """Counts what it is asked; answers with a balance, or with a fault."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[str] = []
        self._status = status

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        return httpx.Response(self._status, json={"code": self._status, "data": {"balance": 1}})


class Pauses:
    """Pauses that end when they are told to."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._over.wait()

    async def end(self) -> None:
        self._over.set()
        for _ in range(50 * TIMES):
            await asyncio.sleep(0)


@pytest.fixture
async def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def keeping(pauses: Pauses) -> AsyncIterator[KeepAlive]:
    keeping = KeepAlive(pauses)
    yield keeping
    await keeping.aclose()


def account(service: Service, id: str = "host", kind: AccountKind = "host") -> Account:
    return Account(id, kind, Client("wsk_one", "http://service.invalid", transport=service))


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_an_idle_connection_is_used_at_once(keeping: KeepAlive, pauses: Pauses) -> None:
    """Where nothing is open a small free request opens it, one however often somebody may press."""
    service = Service()
    one = account(service)
    keeping.extend(one)
    keeping.extend(one)
    await settled()
    assert service.asked == ["GET /api/v3/balance"]
    assert pauses.asked == [EVERY]


async def test_a_connection_in_use_is_left_alone(keeping: KeepAlive) -> None:
    """A connection that has just been used is open: nothing is sent for it."""
    service = Service()
    one = account(service)
    await one.client.balance()
    keeping.extend(one)
    await settled()
    assert service.asked == ["GET /api/v3/balance"]


async def test_it_ends(keeping: KeepAlive, pauses: Pauses) -> None:
    """After two minutes without a sign of anybody nothing more is sent, until there is one."""
    one = account(Service())
    keeping.extend(one)
    await settled()
    await pauses.end()
    assert pauses.asked == [EVERY] * TIMES
    keeping.extend(one)
    await settled()
    assert len(pauses.asked) > TIMES


async def test_a_fault_ends_it(keeping: KeepAlive, pauses: Pauses) -> None:
    """What the service does not answer is not asked again, and nobody hears of it."""
    service = Service(500)
    keeping.extend(account(service))
    await settled()
    assert (service.asked, pauses.asked) == (["GET /api/v3/balance"], [])


async def test_not_for_everybody(keeping: KeepAlive) -> None:
    """A crowd of keys keeps a few connections, and the sandbox in this process none."""
    service = Service()
    keeping.extend(account(service, "sandbox", "sandbox"))
    for number in range(MOST + 3):
        keeping.extend(account(service, f"own-{number}", "own"))
    await settled()
    assert len(service.asked) == MOST


async def test_another_for_what_is_uploaded(keeping: KeepAlive) -> None:
    """Each upload that is about to come opens one, few at once; a fault of it is nobody's, and the sandbox has none."""
    service = Service(500)
    keeping.open_another(account(service, "sandbox", "sandbox"))
    for _ in range(MOST + 3):
        keeping.open_another(account(service))
    await settled()
    assert len(service.asked) == MOST
