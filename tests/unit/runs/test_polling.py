"""The poll schedule against simulated predictions, beside looking once a second."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runs.polling import LONGEST, SHORTEST, Expectation, expect, next_look

Schedule = Callable[[float], float]
EVERY_SECOND: Schedule = lambda _: 1.0  # noqa: E731 - beside the schedule it is compared with

durations = st.floats(0.1, 600)


def follow(expectation: Expectation | None) -> Schedule:
    return lambda elapsed: next_look(elapsed, expectation)


def watch(schedule: Schedule, duration: float) -> tuple[int, float]:
    """Looks needed to see the end, and how many seconds after it that was."""
    elapsed, looks = 0.0, 0
    while elapsed < duration:
        elapsed += schedule(elapsed)
        looks += 1
    return looks, elapsed - duration


def watch_all(schedule: Schedule, ends: Sequence[float]) -> tuple[float, float]:
    """The mean number of looks and the median delay."""
    seen = [watch(schedule, end) for end in ends]
    return statistics.mean(looks for looks, _ in seen), statistics.median(delay for _, delay in seen)


def normal(mean: float, spread: float, count: int, seed: int) -> list[float]:
    draw = random.Random(seed)
    return [max(0.5, draw.gauss(mean, spread)) for _ in range(count)]


LEARNED = [expect(normal(17, spread, 9, seed), None) for spread in (0.1, 0.5, 1, 2, 3) for seed in range(4)]


@pytest.mark.parametrize("expectation", [expect([], 17), expect([17], None), expect([17] * 9, None), *LEARNED])
def test_seventeen_seconds(expectation: Expectation | None) -> None:
    """A prediction of 17 s takes no more looks than once a second would, and its end is seen within 0.25 s."""
    ends = [16.8 + n * 0.01 for n in range(40)]
    assert max(watch(follow(expectation), end)[0] for end in ends) <= 18
    assert watch_all(follow(expectation), ends)[1] <= 0.25
    assert watch_all(EVERY_SECOND, ends) > (17, 0.25)


@pytest.mark.parametrize("trip", [0, 0.02, 0.06, 0.15])
@pytest.mark.parametrize("duration", [2, 4.3, 9, 17])
def test_always_the_same(duration: float, trip: float) -> None:
    """What always takes the same time is seen at once, however long each look itself takes."""
    expectation, elapsed = expect([duration] * 5, None), 0.0
    while elapsed < duration:
        elapsed += next_look(elapsed, expectation) + trip
    assert elapsed - duration <= trip + 0.1


@pytest.mark.parametrize("mean", [9, 17, 40])
@pytest.mark.parametrize("relative", [0.02, 0.05, 0.12, 0.2])
def test_spread(mean: float, relative: float) -> None:
    """Learned from some runs and tried on others, it looks less often than once a second and sees the end sooner."""
    expectation = expect(normal(mean, relative * mean, 12, seed=1), None)
    ends = normal(mean, relative * mean, 400, seed=2)
    looks, delay = watch_all(follow(expectation), ends)
    fixed_looks, fixed_delay = watch_all(EVERY_SECOND, ends)
    assert looks <= fixed_looks
    assert delay <= 0.3 < fixed_delay


def test_quick_ones() -> None:
    """A prediction of a few seconds may take a look or two more, for an end that is seen much sooner."""
    ends = normal(4, 0.5, 400, seed=2)
    looks, delay = watch_all(follow(expect(ends[:12], None)), ends)
    fixed_looks, fixed_delay = watch_all(EVERY_SECOND, ends)
    assert looks <= fixed_looks + 2
    assert delay <= fixed_delay / 3


def test_bimodal() -> None:
    """Where half the predictions take another time altogether, it asks no more, and nobody waits long."""
    draw = random.Random(3)
    ends = [draw.choice([6, 17]) + draw.uniform(-0.5, 0.5) for _ in range(200)]
    schedule = follow(expect(ends[:20], None))
    assert watch_all(schedule, ends)[0] <= watch_all(EVERY_SECOND, ends)[0] + 0.5
    assert max(watch(schedule, end)[1] for end in ends) <= LONGEST


def test_never_ending() -> None:
    """A prediction that never ends is looked for ever more seldom, down to once in three seconds."""
    for expectation in (None, expect([], 17), expect([2.0] * 5, None)):
        looks, _ = watch(follow(expectation), 600)
        assert looks <= 250
        assert next_look(600, expectation) == LONGEST


@pytest.mark.parametrize("trip", [0, 0.03, 0.06, 0.15])
def test_nothing_known(trip: float) -> None:
    """With nothing known, whatever ends within 10 s is looked at within 0.3 s, also where a look takes its time."""
    for duration in (n / 100 for n in range(50, 1001)):
        elapsed = 0.0
        while elapsed < duration:
            elapsed += next_look(elapsed, None) + trip
        assert elapsed - trip - duration <= 0.3


@pytest.mark.parametrize("duration", [17, 30, 60])
def test_nothing_known_for_long(duration: float) -> None:
    """Beyond the first seconds the looks thin out: fewer than one a second on the way to a minute."""
    looks, delay = watch(follow(None), duration)
    assert looks <= 40 + 0.7 * duration
    assert delay <= LONGEST


def test_first_look() -> None:
    """The first looks are few, and the dense ones begin a little before the earliest likely end."""
    expectation = Expectation(17, 1)
    elapsed, looks = 0.0, []
    while elapsed < 17:
        elapsed += next_look(elapsed, expectation)
        looks.append(elapsed)
    assert looks[:5] == [3, 6, 9, 12, 15]
    assert looks[5] == pytest.approx(15.695)


@pytest.mark.parametrize(
    ("seen", "published", "expectation"),
    [
        ([], None, None),
        ([], 0, None),
        ([0.0], None, None),
        ([], 20, Expectation(20, 3)),
        ([10], 20, Expectation(10, 1.5)),
        ([10, 10, 10], 20, Expectation(10, 0.3)),
        ([9, 10, 11], 20, Expectation(10, 1.5)),
        ([1, 10, 100], 20, Expectation(10, 1.7)),
        ([10, 10, 10, 10, 500], 20, Expectation(10, 0.3)),
        ([500] * 30 + [10] * 20, None, Expectation(10, 0.3)),
    ],
)
def test_expect(seen: list[float], published: float | None, expectation: Expectation | None) -> None:
    """What was seen goes before what was published, the last ones count, and a straggler changes nothing."""
    found = expect(seen, published)
    assert found == (expectation and Expectation(pytest.approx(expectation.median), pytest.approx(expectation.spread)))


@given(st.lists(durations, max_size=30), st.none() | durations, st.floats(0, 10_000))
def test_always_within_bounds(seen: list[float], published: float | None, elapsed: float) -> None:
    """Whatever was seen, and however late it is, a wait is neither a busy loop nor a long silence."""
    assert SHORTEST <= next_look(elapsed, expect(seen, published)) <= LONGEST


@pytest.mark.parametrize("crowd", [2, 5, 50])
def test_a_crowd_is_looked_after_with_fewer_looks(crowd: float) -> None:
    """The more are waited for, the fewer looks each gets; the one at the likeliest moment stays."""
    learned = expect([17.0] * 9, None)
    alone, delay_alone = watch(follow(learned), 17)
    among, delay_among = watch(lambda elapsed: next_look(elapsed, learned, crowd), 17)
    assert among < alone
    assert delay_among == pytest.approx(delay_alone) and delay_among < 0.05
    for expectation in (None, learned):
        assert next_look(40, expectation, crowd) == LONGEST
