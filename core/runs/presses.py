"""Presses on their way into the records: what can be taken back until it is written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core.errors import KontextError

GONE = "Everything of yours was deleted a moment ago, so this was not sent."


@dataclass(eq=False)
class Press:
    """One of a visitor's, before anything of it is written down."""

    visitor: str
    withdrawn: bool = False

    def insist(self) -> None:
        """Raise KontextError where it was taken back meanwhile."""
        if self.withdrawn:
            raise KontextError(GONE, "Reload the page to start anew.")


class Presses:
    """Those of all visitors that are under way."""

    def __init__(self) -> None:
        self._going: set[Press] = set()

    @contextmanager
    def begin(self, visitor: str) -> Iterator[Press]:
        """Around one, until it is written down or refused."""
        press = Press(visitor)
        self._going.add(press)
        try:
            yield press
        finally:
            self._going.discard(press)

    def withdraw(self, visitor: str) -> None:
        """Take back all of a visitor's."""
        for press in self._going:
            press.withdrawn |= press.visitor == visitor
