"""How many predictions an account has in flight at once, and who waits for a place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, zip_longest

Tell = Callable[[int], None]  # hears its place in line, from 1; 0: in
Waiting = tuple[asyncio.Future[None], Tell]


class ConcurrencyLimit:
    """At most `most` at once. The service knows its own limit and tells nobody: each 429 teaches it.

    Whoever waits belongs to a group, a run or a comparison: places go to the groups in turn (round robin), so that a
    group of many keeps nobody waiting who asks for one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._busy = 0
        self._line: dict[str, deque[Waiting]] = {}  # the group whose turn is next comes first; none is empty

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    @property
    def room(self) -> int:
        """How many there may be in here."""
        return self.limit

    async def enter(self, group: str, tell: Tell) -> None:
        """Wait for a place. `tell` hears each change of the place in line."""
        if self._busy < self.room and not self._line:
            self._busy += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.setdefault(group, deque()).append((turn, tell))
        self._let_in()
        try:
            await turn
        except asyncio.CancelledError:
            self._step_out(group, turn, tell)
            raise
        tell(0)

    def take(self) -> None:
        """A place for what is at the service already, whether one is free or not."""
        self._busy += 1
        self._let_in()

    def leave(self) -> None:
        """Give the place to whoever is next."""
        self._busy -= 1
        self._let_in()

    def refused(self) -> None:
        """The service had no room for one that holds a place: from now on fewer at once."""
        self._limit = max(1.0, min(self._limit, self._busy - 1))

    def finished(self) -> None:
        """One went through. After a round of those, one more is tried, and whoever is next goes in."""
        self._limit = min(self._most, self._limit + 1 / self.limit)
        self._let_in()

    def _step_out(self, group: str, turn: asyncio.Future[None], tell: Tell) -> None:
        waiting = self._line.get(group, deque())
        if (turn, tell) in waiting:
            waiting.remove((turn, tell))
            if not waiting:
                del self._line[group]
        elif turn.done() and not turn.cancelled():  # its place had just been given to it
            self._busy -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._line and self._busy < self.room:
            turn = self._next()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)
        self._tell_places()

    def _next(self) -> asyncio.Future[None]:
        group = next(iter(self._line))
        waiting = self._line.pop(group)
        turn, _ = waiting.popleft()
        if waiting:
            self._line[group] = waiting  # to the end, behind the other groups
        return turn

    def _tell_places(self) -> None:
        for place, (_, tell) in enumerate(self._in_order(), 1):
            tell(place)

    def _in_order(self) -> Iterator[Waiting]:
        """Everybody who waits, as they will be let in."""
        rounds = chain.from_iterable(zip_longest(*self._line.values()))
        return (waiting for waiting in rounds if waiting is not None)
