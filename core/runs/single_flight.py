"""Work that more than one may want at the same moment, done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from core.runs.background import Background

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """What is under way, by key. `what` it is, for the log: "an upload"."""

    def __init__(self, what: str) -> None:
        self._tasks = Background(what)
        self._going: dict[K, asyncio.Task[T]] = {}

    def begin(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The task that is at it, or a new one. It belongs to everyone: wait for it, or shield it, never cancel it."""
        if key not in self._going:
            self._going[key] = self._tasks.begin(work())
            self._going[key].add_done_callback(lambda _: self._going.pop(key))
        return self._going[key]

    async def aclose(self) -> None:
        """Give up what is under way."""
        await self._tasks.aclose()
