"""Work that more than one may want at the same moment, done once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
log = logging.getLogger(__name__)


class SingleFlight(Generic[K, T]):
    """What is under way, by key. `what` it is, for the log: "an upload"."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._going: dict[K, asyncio.Task[T]] = {}

    def begin(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The task that is at it, or a new one. It belongs to everyone: wait for it, or shield it, never cancel it."""
        if key not in self._going:
            task = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._over(key, done))
            self._going[key] = task
        return self._going[key]

    async def aclose(self) -> None:
        """Give up what is under way."""
        tasks = list(self._going.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self, key: K, done: asyncio.Task[T]) -> None:
        del self._going[key]
        # Nobody may be waiting any more, and asyncio would complain. A fault's text may quote anything: it stays out.
        if not done.cancelled() and (fault := done.exception()) is not None:
            log.info("%s failed: %s", self._what, type(fault).__name__)
