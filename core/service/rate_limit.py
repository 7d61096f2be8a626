"""How many requests leave this app in a second, over all keys and replicas: set here and nowhere else."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

# The service names no limit for requests that are free. This is enough for two hundred runs at once.
REQUESTS_A_SECOND = 110
_WINDOWS = 10  # a second's worth is not let out in one go, or whoever comes next would wait for the rest of it
SLACK = 1.1  # what leaves evenly arrives less evenly, and the limit is meant for where it arrives


# On whose behalf a task sends what it sends: a run's, or that of the comparison which it is a cell of.
GROUP: ContextVar[str] = ContextVar("group", default="")


class RateLimiter:
    """Lets requests out one after the other; those that somebody waits for before those that may as well be later.

    Groups take turns (start-time fair queueing): a comparison whose cells all end at once keeps nobody waiting who asks
    for one picture. `replicas`: how many replicas of the app there are just now, each of which has an equal share.
    """

    def __init__(
        self,
        a_second: int = REQUESTS_A_SECOND,
        *,
        replicas: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._a_second = a_second
        self._out: deque[float] = deque(maxlen=max(1, a_second // _WINDOWS))
        self._replicas = replicas
        self._clock = clock
        self._sleep = sleep
        self._line: list[tuple[bool, int, int, asyncio.Future[None]]] = []
        self._passed = {False: 0, True: 0}  # the round of the last one that went out, by priority
        self._rounds: dict[tuple[bool, str], int] = {}  # of the last in line, by group
        self._numbers = itertools.count()
        self._letting: asyncio.Task[None] | None = None

    async def acquire(self, *, low_priority: bool = False) -> None:
        """Wait until a request may go out; a `low_priority` one lets all others pass."""
        if not self._line and self._wait() <= 0:
            self._out.append(self._clock())
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(
            self._line, (low_priority, self._next_round(low_priority, GROUP.get()), next(self._numbers), turn)
        )
        if self._letting is None or self._letting.done():
            self._letting = asyncio.create_task(self._let_out())
        await turn

    async def _let_out(self) -> None:
        while self._line:
            while (wait := self._wait()) > 0:
                await self._sleep(wait)
            low_priority, round, _, turn = heapq.heappop(self._line)
            self._passed[low_priority] = max(self._passed[low_priority], round)
            if not self._line:
                self._rounds.clear()
            if not turn.done():  # else whoever waited has given up
                self._out.append(self._clock())
                turn.set_result(None)

    def _next_round(self, low_priority: bool, group: str) -> int:
        """In each round a group has one turn; those of one priority do not count for the other's."""
        last = self._rounds.get((low_priority, group), 0)
        self._rounds[low_priority, group] = max(self._passed[low_priority], last) + 1
        return self._rounds[low_priority, group]

    def _wait(self) -> float:
        share = self._a_second / self._replicas()
        at_once = max(1, int(share / _WINDOWS))
        full = len(self._out) >= at_once
        return self._out[-at_once] + SLACK * at_once / share - self._clock() if full else 0.0
