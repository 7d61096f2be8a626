"""Attempts that fail: a few are free, then each waits longer; those that turn out right cost nothing."""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from itertools import pairwise

import pytest

from core.access.attempts import FIRST_PAUSE, FORGIVEN, FREE, Attempts
from core.errors import KontextError


class Guesser:
    """Tries at a time that it sets itself."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.attempts = Attempts(lambda: self.now)

    def tries(self, *, right: bool = False) -> bool:
        """Whether it was let through."""
        through = False
        with suppress(KontextError, LookupError), self.attempts.attempt():
            through = True
            if not right:
                raise LookupError
        return through

    def keep_trying(self, seconds: float) -> int:
        """How many wrong attempts get through to somebody who tries ten times a second for so long."""
        let_through = 0
        for _ in range(int(seconds * 10)):
            let_through += self.tries()
            self.now += 0.1
        return let_through


@pytest.fixture
def guesser() -> Guesser:
    return Guesser()


def test_a_few_may_fail(guesser: Guesser) -> None:
    """A typing error or ten wait for nothing; the next is the last before a pause."""
    assert [guesser.tries() for _ in range(300)] == [True] * (FREE + 1) + [False] * (300 - FREE - 1)


def test_the_pauses_grow(guesser: Guesser) -> None:
    """Each one that fails after a pause makes the next half as long again or longer, and it is said how long it is."""
    for _ in range(FREE):
        guesser.tries()
    pauses = []
    for _ in range(5):
        assert guesser.tries()
        with pytest.raises(KontextError, match=r"^Too many failed attempts.*Try again in \d+ s\.$") as refused:
            guesser.attempts.attempt().__enter__()
        pauses.append(int(re.findall(r"\d+", str(refused.value))[0]))
        guesser.now += pauses[-1]
    assert pauses[0] == FIRST_PAUSE
    assert all(later >= 1.5 * earlier for earlier, later in pairwise(pauses))


def test_an_hour_of_guessing_gets_few_through(guesser: Guesser) -> None:
    """However long somebody goes on, it comes to about one in half a minute."""
    assert guesser.keep_trying(3600) <= FREE + 2 * 3600 / FORGIVEN


def test_all_at_once_are_counted_while_under_way(guesser: Guesser) -> None:
    """A thousand that begin before the first has failed are not a thousand free ones."""
    with ExitStack() as under_way:
        begun = 0
        for _ in range(1000):
            with suppress(KontextError):
                under_way.enter_context(guesser.attempts.attempt())
                begun += 1
    assert begun == FREE + 1


def test_what_is_right_costs_nothing(guesser: Guesser) -> None:
    """A thousand right ones in a row are all let through, and leave the allowance whole."""
    assert all(guesser.tries(right=True) for _ in range(1000))
    assert [guesser.tries() for _ in range(FREE + 2)] == [True] * (FREE + 1) + [False]


def test_a_right_one_lifts_the_pause_that_it_began(guesser: Guesser) -> None:
    """Once the allowance is used up, right ones still follow each other without a pause."""
    for _ in range(FREE):
        guesser.tries()
    assert all(guesser.tries(right=True) for _ in range(10))


def test_a_right_one_forgives_no_wrong_one(guesser: Guesser) -> None:
    """Who has one key can't buy guesses with it."""
    through = [guesser.tries(right=number % 2 == 0) for number in range(100)]
    assert sum(through[1::2]) <= FREE + 1


def test_time_forgives(guesser: Guesser) -> None:
    """After some quiet minutes the allowance is whole again."""
    guesser.keep_trying(60)
    guesser.now += (FREE + 6) * FORGIVEN
    assert [guesser.tries() for _ in range(FREE)] == [True] * FREE
