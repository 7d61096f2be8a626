"""How many predictions an account has in flight at once, and who waits for a place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

Tell = Callable[[int], None]  # hears its place in line, from 1; 0: in


class ConcurrencyLimit:
    """At most `most` at once. The service knows its own limit and tells nobody: each 429 teaches it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._busy = 0
        self._line: deque[tuple[asyncio.Future[None], Tell]] = deque()

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    async def enter(self, tell: Tell) -> None:
        """Wait for a place. `tell` hears each change of the place in line."""
        if self._busy < self.limit and not self._line:
            self._busy += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((turn, tell))
        self._tell_places()
        try:
            await turn
        except asyncio.CancelledError:
            self._step_out(turn, tell)
            raise
        tell(0)

    def take(self) -> None:
        """A place for what is at the service already, whether one is free or not."""
        self._busy += 1

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

    def _step_out(self, turn: asyncio.Future[None], tell: Tell) -> None:
        if (turn, tell) in self._line:
            self._line.remove((turn, tell))
        elif turn.done() and not turn.cancelled():  # its place had just been given to it
            self._busy -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._line and self._busy < self.limit:
            turn, _ = self._line.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)
        self._tell_places()

    def _tell_places(self) -> None:
        for place, (_, tell) in enumerate(self._line, 1):
            tell(place)
