"""What a verdict hangs on, and how far judges agree."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from making import SEAL, facts, preferences, votes

from core.statistics.honesty import best_by_place, between_judges, hangs_on, ties_matter, with_themselves
from core.statistics.preference import bootstrap, pairs, seeded
from core.statistics.report import report
from core.statistics.verdict import rule
from core.statistics.votes import Tally, Vote

TRIAL = facts(3)


def alpha(said: list[Vote]) -> float | None:
    return between_judges(pairs(Tally(TRIAL, said)))


def test_agreement_runs_from_chance_to_full() -> None:
    """Judges who always say the same agree fully; judges who see no difference in truth agree as chance has it."""
    full = [
        Vote(f"judge {judge}", case, ids[0], ids[1])
        for case, ids in zip(TRIAL.cases, ([*TRIAL.ids], [*TRIAL.ids[::-1]]) * 6, strict=True)
        for judge in range(4)
    ]
    assert alpha(full) == pytest.approx(1)
    rng = np.random.default_rng(4)
    chance = [
        Vote(f"judge {judge}", case, *map(str, rng.permutation(TRIAL.ids)[:2]))
        for case in TRIAL.cases
        for judge in range(30)
    ]
    assert alpha(chance) == pytest.approx(0, abs=0.05)


def test_alpha_is_one_less_disagreement_over_chance() -> None:
    """It is the textbook's: squared ordinal distance within pictures over that among all, with votes missing."""
    said = preferences(TRIAL, 4, [1.0, 0.0, 0.0])[:-5]
    ranks = [[v.rank(one) for v in said if v.case == case] for case in TRIAL.cases for one in TRIAL.ids]
    units = [unit for unit in ranks if len(unit) > 1]
    every = [rank for unit in units for rank in unit]
    below = {rank: sum(each < rank for each in every) + every.count(rank) / 2 for rank in (0, 1, 2)}

    def apart(one: int, other: int) -> float:
        return (below[one] - below[other]) ** 2

    within = sum(2 * apart(*pair) / (len(unit) - 1) for unit in units for pair in combinations(unit, 2)) / len(every)
    among = sum(2 * apart(*pair) for pair in combinations(every, 2)) / len(every) / (len(every) - 1)
    assert alpha(said) == pytest.approx(1 - within / among)


@pytest.mark.parametrize("said", [[], votes(TRIAL, 1, "max", "dev"), votes(TRIAL, 5, None, None)])
def test_agreement_that_can_not_be_told(said: list[Vote]) -> None:
    """No votes, one judge, or no difference anywhere: there is no number, and a sentence for it."""
    assert alpha(said) is None
    assert report(TRIAL, said)["agreement"]["words"][0] == "Whether judges agree can’t be told from these votes."


def test_judges_agree_with_themselves() -> None:
    """A repeat is held against the first vote of the same judge, and counts for nothing else."""
    said = votes(TRIAL, 3, "max", "dev")
    repeats = [
        Vote("judge 00", "case 00", "max", "pro", repeat=True),
        Vote("judge 01", "case 00", "pro", "dev", repeat=True),
        Vote("judge 01", "case 04", repeat=True),
        Vote("somebody new", "case 04", "pro", "dev", repeat=True),
    ]
    assert with_themselves(Tally(TRIAL, said + repeats)) == (1, 3)
    before, after = report(TRIAL, said), report(TRIAL, said + repeats)
    assert after["agreement"]["with_themselves"] == 0.3333
    assert "they named the same best 1 of 3 times" in " ".join(after["agreement"]["words"])
    assert {**after, "agreement": None} == {**before, "agreement": None}


def test_places() -> None:
    """How often the first, second and third place were named best; no difference names none."""
    orders = [("max", "pro", "dev"), ("dev", "max", "pro"), ("max", "dev", "pro")]
    said = [Vote("judge", f"case 0{number}", "max", "dev", places=order) for number, order in enumerate(orders)]
    assert best_by_place(Tally(TRIAL, [*said, Vote("judge", "case 09", places=orders[0])])) == [2, 1, 0]


def test_a_verdict_that_hangs_on_single_judges_says_so() -> None:
    """When leaving out one of three changes it, the report names how many do; of many alike, none does."""
    firm = votes(TRIAL, 5, "max", "dev")
    shaky = votes(TRIAL, 3, "max", "dev") + [Vote("other", case, "dev", "max") for case in TRIAL.cases]
    assert _hangs_on(firm) == (0, 0)
    assert _hangs_on(shaky)[1] > 0
    assert "any one case would not change the verdict" in report(TRIAL, firm)["agreement"]["words"][-1]
    assert "judges would change the verdict" in report(TRIAL, shaky)["agreement"]["words"][-1]


def _hangs_on(said: list[Vote]) -> tuple[int, ...]:
    tally = Tally(TRIAL, said)
    evidence = bootstrap(pairs(tally), seeded(SEAL))
    return hangs_on(tally, evidence, rule(tally, evidence))


def test_ties_the_other_way() -> None:
    """Votes of no difference can hide a winner; whether they do is said."""
    some = [Vote(f"judge {judge}", case, "max", "dev") for judge in range(4) for case in TRIAL.cases[:1]]
    hidden = some + [Vote(f"judge {judge}", case) for judge in range(4) for case in TRIAL.cases[1:]]
    tally = Tally(TRIAL, hidden)
    decision = rule(tally, bootstrap(pairs(tally), seeded(SEAL)))
    assert ties_matter(tally, decision)
    assert (
        "Leaving out the votes for “no difference” would change the verdict."
        in report(TRIAL, hidden)["agreement"]["words"]
    )
    assert not ties_matter(Tally(TRIAL, votes(TRIAL, 4, "max", "dev")), decision)
