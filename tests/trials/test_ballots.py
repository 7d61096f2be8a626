"""What each judge is shown: every case, every place, in an order that favours nobody."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from core.ledger.ballots import MOST_JUDGES
from core.statistics.votes import MOST_BALLOTS
from core.trials.ballots import REPEATS_FROM, plan, total

VARIANTS = ("pro", "max", "dev", "ultra-fast")


@pytest.mark.parametrize("cases", [1, 2, 9, 10, 12, 30])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_each_case_once_and_each_variant_as_often_in_each_place(cases: int, count: int) -> None:
    """A judge sees each case once with all variants, and no variant stands in any place more often than another."""
    for judge in range(1, 6):
        made = plan(Random(judge), judge, VARIANTS[:count], dict.fromkeys(range(1, cases + 1), 1))
        first = [ballot for ballot in made if not ballot.repeat]
        assert sorted(ballot.case for ballot in first) == list(range(1, cases + 1))
        assert all(sorted(ballot.places) == sorted(VARIANTS[:count]) for ballot in made)
        for place in range(count):
            often = Counter(ballot.places[place] for ballot in first)
            assert max(often.values()) - min(often[variant] for variant in VARIANTS[:count]) <= 1
        assert [ballot.position for ballot in made] == list(range(total(cases)))
        assert len({ballot.id for ballot in made}) == len(made)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_two_repeats_in_other_places(count: int) -> None:
    """From ten ballots on two of the first half come again at the end, each picture in another place than before."""
    assert not any(ballot.repeat for ballot in plan(Random(1), 1, VARIANTS, dict.fromkeys(range(1, REPEATS_FROM), 1)))
    for judge in range(20):
        made = plan(Random(judge), judge, VARIANTS[:count], {case: 1 + case % 2 for case in range(1, REPEATS_FROM + 1)})
        before = {ballot.case: ballot for ballot in made[: REPEATS_FROM // 2]}
        assert [ballot.repeat for ballot in made] == [False] * REPEATS_FROM + [True] * 2
        for again in made[REPEATS_FROM:]:
            first = before[again.case]
            assert again.take == first.take
            assert all(one != other for one, other in zip(again.places, first.places, strict=True))


def test_of_many_cases_each_is_judged_as_often() -> None:
    """Nobody judges more than thirty; of forty cases each is seen by as many, give or take one judge."""
    seen: Counter[int] = Counter()
    for judge in range(1, MOST_JUDGES + 1):
        made = plan(Random(judge), judge, VARIANTS, dict.fromkeys(range(1, 41), 1))
        first = [ballot.case for ballot in made if not ballot.repeat]
        assert len(first) == len(set(first)) == MOST_BALLOTS
        seen.update(first)
    assert max(seen.values()) - min(seen[case] for case in range(1, 41)) <= 1


def test_every_other_judge_sees_the_second_take() -> None:
    """Of a case with two seeds, half of the judges see the one and half the other."""
    seen = Counter(
        (ballot.case, ballot.take)
        for judge in range(1, 11)
        for ballot in plan(Random(judge), judge, VARIANTS, {1: 2, 2: 1})
    )
    assert seen == {(1, 1): 5, (1, 2): 5, (2, 1): 10}


def test_orders_are_the_judges_own() -> None:
    """Two judges get the cases in different orders, and the same randomness brings the same ballots."""
    takes = dict.fromkeys(range(1, 13), 1)
    one, other, again = (plan(Random(seed), 1, VARIANTS, takes) for seed in (1, 2, 1))
    assert one == again
    assert [ballot.case for ballot in one] != [ballot.case for ballot in other]


def test_places_tell_nothing_of_each_other() -> None:
    """Over many judges each variant is followed by each other one about as often: no order gives a variant away."""
    pairs = Counter(
        pair
        for judge in range(300)
        for ballot in plan(Random(judge), judge, VARIANTS[:3], dict.fromkeys(range(1, 4), 1))
        for pair in zip(ballot.places, ballot.places[1:], strict=False)
    )
    assert len(pairs) == 6
    assert max(pairs.values()) < 1.25 * min(pairs.values())
