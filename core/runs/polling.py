"""When to look for a result next: seldom while it can't be there, often while it is due, seldom again when late."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Seconds between two looks. The average stays below the one a second of the official client (S) although the
# shortest does not: looks are spent where the end is likely.
SHORTEST = 0.05
DENSEST, DUE = 0.2, 0.44  # while the end is due, so that it is seen within half of that, mostly
LONGEST = 3.0

UNKNOWN = 0.25  # between looks while nothing is known of a variant's time, so that its first picture is seen at once
UNKNOWN_FOR, THINNING = 10.0, 0.2  # seconds of that; then each pause is by a share of the time since then longer

REMEMBERED = 20  # how many of the last durations count: the service changes its speed
GUESSED_SPREAD = 0.15  # of the duration, where fewer than three were seen
NARROWEST, WIDEST = 0.03, 0.17  # of the median
HEADSTART = 1.5  # the dense looks begin this many spreads before the median, and thin out one spread after it
CALLED = 15.0  # between looks at what the service will call about

BREATH = 0.015  # seconds after the median that a look falls on: what always takes the same time is seen at once


@dataclass(frozen=True)
class Expectation:
    """How long a prediction takes, in seconds: half end before `median`, most within `spread` of it."""

    median: float
    spread: float


def expect(durations: Sequence[float], published: float | None) -> Expectation | None:
    """What to expect from the durations seen so far, newest last, else from the published time, else nothing."""
    recent = durations[-REMEMBERED:]
    median = statistics.median(recent) if recent else published
    if not median or median <= 0:
        return None
    if len(recent) < 3:
        return Expectation(median, GUESSED_SPREAD * median)
    # The deviation from the median, times 1.5, holds about two thirds; a single straggler does not widen it.
    spread = 1.5 * statistics.median(abs(d - median) for d in recent)
    return Expectation(median, min(max(spread, NARROWEST * median), WIDEST * median))


def next_look(elapsed: float, expectation: Expectation | None, crowd: float = 1.0) -> float:
    """Seconds to wait before the next look, `elapsed` seconds after the submit.

    `crowd`: how many times more are waited for than can all be looked after so closely; 1 or more. Looks then thin
    out, the early ones most: those that fall on the likeliest moment stay.
    """
    if expectation is None:
        return _unknown(elapsed, crowd)
    due = min(min(max(0.45 * expectation.spread, DENSEST), DUE) * crowd, LONGEST)
    centre = expectation.median + BREATH
    early = centre - HEADSTART * expectation.spread // due * due - elapsed
    if early > 0:
        return max(min(early, LONGEST * crowd), SHORTEST)  # not in one go: a task that fails may well fail at once
    late = elapsed - expectation.median - expectation.spread
    if late > 0:
        return min(due + 0.3 * late, LONGEST)
    # To the next of the moments that lie evenly around the centre, whatever time the last look itself took.
    left = (centre - elapsed) % due
    return left if left >= SHORTEST else left + due


def _unknown(elapsed: float, crowd: float) -> float:
    every = UNKNOWN * crowd
    late = elapsed - UNKNOWN_FOR
    if late > 0:
        return min(every + THINNING * late, LONGEST)
    # To the next of evenly spaced moments, whatever time the last look itself took.
    left = every - elapsed % every
    return min(left if left >= SHORTEST else left + every, max(every, LONGEST))
