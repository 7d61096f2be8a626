"""How often may be tried what only chance can make right: keys, ids, codes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil

from core.errors import KontextError

FREE = 10  # attempts that may fail before the first pause
FIRST_PAUSE = 2.0  # seconds; each attempt that fails after it doubles the pause
FORGIVEN = 30.0  # seconds after which one that failed no longer counts


class Attempts:
    """One allowance for everybody who comes: by nothing that a stranger sends could one be told from another.

    An attempt counts from its beginning, or a thousand at once would all pass, until it turns out right; whoever knows
    what they ask for costs the others nothing. `clock` tells seconds, from anywhere.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted = 0.0
        self._since = clock()
        self._paused_until = self._since

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around one attempt: leaving it without an error says that it was right.

        Raises:
            KontextError: too many have failed; how long to wait.
        """
        now = self._forgive()
        if now < self._paused_until:
            seconds = ceil(self._paused_until - now)
            raise KontextError("Too many failed attempts.", f"Try again in {seconds} s.")
        self._counted += 1
        pause = now + FIRST_PAUSE * 2 ** (self._counted - FREE - 1)
        self._paused_until = pause if self._counted > FREE else now
        yield
        self._counted = max(0.0, self._counted - 1)
        if self._paused_until == pause:
            self._paused_until = now

    def _forgive(self) -> float:
        now = self._clock()
        self._counted = max(0.0, self._counted - (now - self._since) / FORGIVEN)
        self._since = now
        return now
