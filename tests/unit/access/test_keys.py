"""Visitors' own keys: who finds one, for how long, and what of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from core.access.keys import IDLE, KEYS, LINGERS, PAGES, Keys
from core.errors import KeyRejected
from core.service.client import Client
from sandbox import create_app

pytestmark = pytest.mark.anyio

KEY = "wsk_planted_secret_4711"


class Desk:
    """A store of keys at a time of its own, and the clients that were made for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.made: list[httpx.ASGITransport] = []
        self.closed = 0
        self._service = create_app(seconds=0)
        self.keys = Keys(self._client, lambda: self.now)

    def _client(self, key: str) -> Client:
        desk = self

        class Wire(httpx.ASGITransport):
            async def aclose(self) -> None:
                desk.closed += 1

        self.made.append(Wire(self._service))
        return Client(key, "http://service.invalid", transport=self.made[-1])

    @property
    def open(self) -> int:
        return len(self.made) - self.closed

    async def bring(self, key: str = KEY) -> str:
        return (await self.keys.bring(key))[0]

    async def sweep(self, *busy: str) -> list[str]:
        return await self.keys.sweep(lambda account: account in busy)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.keys.aclose()
    assert desk.open == 0


async def test_a_page_finds_its_key_by_its_handle_alone(desk: Desk) -> None:
    """The handle says nothing of the key, each page has another, and nothing else opens anything."""
    handles = {await desk.bring(), await desk.bring(f" {KEY}\n")}
    assert len(handles) == 2
    accounts = [desk.keys.account(handle) for handle in handles]
    assert accounts[0] is accounts[1] is not None
    assert all(KEY not in handle and len(handle) >= 40 for handle in handles)
    for wrong in (None, "", KEY, accounts[0].id, 7, ["a"], next(iter(handles))[:-1]):
        assert desk.keys.account(wrong) is None


async def test_one_key_has_one_client(desk: Desk) -> None:
    """However many pages bring it, one after the other or all at once."""
    await asyncio.gather(*(desk.bring() for _ in range(10)))
    await desk.bring()
    assert desk.open == 1


async def test_a_wrong_key_leaves_nothing(desk: Desk) -> None:
    """Its client is closed, and no handle was given."""
    with pytest.raises(KeyRejected):
        await desk.bring("wsk_invalid")
    assert desk.open == 0


async def test_a_key_is_here_for_an_hour_after_its_last_use(desk: Desk) -> None:
    """Each use begins the hour anew; after it the handle opens nothing, and the client is closed."""
    handle = await desk.bring()
    for _ in range(3):
        desk.now += IDLE
        assert await desk.sweep() == []
        assert desk.keys.account(handle) is not None
    desk.now += IDLE + 1
    assert desk.keys.account(handle) is None
    assert len(await desk.sweep()) == 1
    assert desk.open == 0


async def test_removed_by_one_page_it_stays_with_the_other(desk: Desk) -> None:
    """Each page has it for itself; when none is left its client goes with the next sweep."""
    one, other = await desk.bring(), await desk.bring()
    desk.keys.forget(one)
    assert desk.keys.account(one) is None and desk.keys.account(other) is not None
    desk.keys.forget(other)
    desk.now += LINGERS + 1
    await desk.sweep()
    assert desk.open == 0


async def test_a_run_keeps_its_client(desk: Desk) -> None:
    """What goes on with a key that no page holds any more still needs it."""
    handle, account, _ = await desk.keys.bring(KEY)
    desk.keys.forget(handle)
    desk.now += LINGERS + 1
    assert await desk.sweep(account.id) == [] and desk.open == 1
    assert await desk.sweep() == [account.id] and desk.open == 0


async def test_one_key_holds_a_few_pages(desk: Desk) -> None:
    """Whoever brings the same key over and over puts out nobody but themselves."""
    other = await desk.bring("wsk_of_somebody_else")
    handles = [await desk.bring() for _ in range(5 * PAGES)]
    assert [desk.keys.account(handle) is not None for handle in handles] == [False] * 4 * PAGES + [True] * PAGES
    assert desk.keys.account(other) is not None


async def test_the_store_has_a_size(desk: Desk) -> None:
    """Past it the key that was used longest ago goes; one that is used stays."""
    used, unused = await desk.bring("wsk_used"), await desk.bring("wsk_unused")
    for number in range(KEYS):
        desk.now += 1
        await desk.bring(f"wsk_{number}")
        assert desk.keys.account(used) is not None
    assert desk.keys.account(unused) is None
    desk.now += LINGERS + 1
    await desk.sweep()
    assert desk.open == KEYS
