"""What each open page watches just now: one run at a time, the one asked for last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Subscription:
    """What one page is shown, until it asks for something else."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    def end(self) -> None:
        """Something else is shown from now on."""
        self._over.set()

    @property
    def over(self) -> bool:
        return self._over.is_set()

    async def of(self, states: AsyncGenerator[T, None]) -> AsyncIterator[T]:
        """The states, as long as the subscription goes on."""
        over = asyncio.ensure_future(self._over.wait())
        coming: asyncio.Future[T | None] = over.get_loop().create_future()
        try:
            while not self.over:
                coming = asyncio.ensure_future(anext(states, None))
                await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done() or (state := coming.result()) is None or self.over:
                    return
                yield state
        finally:
            over.cancel()
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await states.aclose()


class Subscriptions:
    """The subscription of each page, by its session.

    Gradio's own cancelling comes too late for this: the browser sends it when whatever was to take its place has ended.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Subscription] = {}

    @contextmanager
    def begin(self, session: str) -> Iterator[Subscription]:
        """A new subscription for that page; the one before it ends."""
        if (before := self._latest.get(session)) is not None:
            before.end()
        subscription = self._latest[session] = Subscription()
        try:
            yield subscription
        finally:
            if self._latest.get(session) is subscription:
                del self._latest[session]
