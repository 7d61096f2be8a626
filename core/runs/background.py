"""Tasks that go on by themselves, whoever began them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)


class Background:
    """Those that are under way. `what` one is, for the log: "an upload"."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Returns at once; whoever awaits the task gets what it brings or raises."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    async def drain(self, seconds: float) -> None:
        """Let them end by themselves, within so many seconds."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    async def aclose(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # Nobody may be waiting any more, and asyncio would complain. A fault's text may quote anything: it stays out.
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.info("%s failed: %s", self._what, type(fault).__name__)


async def repeat(
    what: str, work: Callable[[], Awaitable[None]], pause: float, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Do that for as long as the app serves, at once and after each pause of so many seconds; no fault ends it."""
    while True:
        try:
            await work()
        except Exception as fault:  # the next one may go better; its text may name what is nobody's business
            log.warning("%s failed: %s", what, type(fault).__name__)
        await sleep(pause)
