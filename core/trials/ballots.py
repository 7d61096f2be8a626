"""The ballots of a judge: which cases, in what order, with which picture in which place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random

from core.ledger.ballots import Ballot
from core.statistics.votes import MOST_BALLOTS

REPEATS = 2
REPEATS_FROM = 10  # ballots of a judge


def total(cases: int) -> int:
    """How many ballots a judge gets of so many cases, repeats among them."""
    shown = min(cases, MOST_BALLOTS)
    return shown + (REPEATS if shown >= REPEATS_FROM else 0)


def plan(random: Random, judge: int, variants: Sequence[str], takes: Mapping[int, int]) -> list[Ballot]:
    """All ballots of the judge of that number. `takes`: how many pictures each variant has, by the number of the case.

    Each variant stands in each place as often as any other, give or take one. Of more cases than a judge is asked for,
    the judges in turn get as many of each; and of a case with two takes every other judge sees the second.
    """
    cases = _share(judge, list(takes))
    random.shuffle(cases)
    places = _balanced(variants, random)
    shown = [Ballot("", 0, case, 1 + (judge + case) % takes[case], next(places)) for case in cases]
    repeats = random.sample(shown[: len(shown) // 2], total(len(shown)) - len(shown))
    shown += [_again(ballot, random) for ballot in repeats]
    return [replace(one, id=f"{random.getrandbits(128):032x}", position=at) for at, one in enumerate(shown)]


def _share(judge: int, cases: list[int]) -> list[int]:
    """As many as a judge is asked for; the next judge's begin where this one's end."""
    start = judge * MOST_BALLOTS % len(cases)
    return (cases[start:] + cases[:start])[:MOST_BALLOTS]


def _balanced(variants: Sequence[str], random: Random) -> Iterator[tuple[str, ...]]:
    """Orders without end: each run of as many as there are variants is a Latin square, drawn anew."""
    count = len(variants)
    while True:
        names, places = random.sample(variants, count), random.sample(range(count), count)
        for step in random.sample(range(count), count):
            yield tuple(names[(place + step) % count] for place in places)


def _again(ballot: Ballot, random: Random) -> Ballot:
    """The same case with every picture in another place."""
    by = random.randrange(1, len(ballot.places))
    return replace(ballot, places=ballot.places[by:] + ballot.places[:by], repeat=True)
