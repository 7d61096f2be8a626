"""What a page watches: the run that it asked for last, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from ui.studio.subscriptions import Subscriptions

pytestmark = pytest.mark.anyio


class Source:
    """States that come when they are pushed; says when nobody listens any more."""

    def __init__(self) -> None:
        self.states: asyncio.Queue[int | None] = asyncio.Queue()
        self.left = False

    async def watch(self) -> AsyncGenerator[int, None]:
        try:
            while (state := await self.states.get()) is not None:
                yield state
        finally:
            self.left = True


async def shown(subscriptions: Subscriptions, session: str, source: Source) -> list[int]:
    with subscriptions.begin(session) as subscription:
        return [state async for state in subscription.of(source.watch())]


async def calm() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_states_come_to_their_end() -> None:
    """A subscription that nothing takes the place of shows everything."""
    source = Source()
    for state in (1, 2, None):
        source.states.put_nowait(state)
    assert await shown(Subscriptions(), "a page", source) == [1, 2]
    assert source.left


async def test_the_last_one_takes_the_place() -> None:
    """The one before it ends at once, although its run goes on and has more to show; other pages see theirs."""
    subscriptions, first, second, other = Subscriptions(), Source(), Source(), Source()
    watching = asyncio.create_task(shown(subscriptions, "a page", first))
    elsewhere = asyncio.create_task(shown(subscriptions, "another page", other))
    first.states.put_nowait(1)
    await calm()
    newer = asyncio.create_task(shown(subscriptions, "a page", second))
    await calm()
    first.states.put_nowait(2)
    assert await watching == [1]
    assert first.left and not other.left and not second.left
    for source in (second, other):
        source.states.put_nowait(7)
        source.states.put_nowait(None)
    assert (await newer, await elsewhere) == ([7], [7])


async def test_whoever_leaves_listens_no_more() -> None:
    """A page that is closed leaves nothing behind, and a later one of the same session starts anew."""
    subscriptions, source = Subscriptions(), Source()
    watching = asyncio.create_task(shown(subscriptions, "a page", source))
    await calm()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert source.left
    again = Source()
    again.states.put_nowait(None)
    assert await shown(subscriptions, "a page", again) == []
