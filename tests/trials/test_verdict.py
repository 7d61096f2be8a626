"""What the votes allow to say. The rates of benchmarks/power.py are simulated here in small; see docs/statistics.md."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from making import SEAL, VARIANTS, facts, preferences, votes

from benchmarks.power import CHEAP, DEAR, false_winner, favourite, finds, gap, good_enough, rate, simulate, trials
from core.statistics.preference import Evidence, bootstrap, pairs, seeded
from core.statistics.verdict import Decision, decide, rule
from core.statistics.votes import MIN_CASES, MIN_JUDGES, Facts, Tally, Variant, Vote

FEW, DRAWS = 80, 300  # of trials and of draws: a tenth of a second a rate


def evidence(*draws: tuple[float, ...]) -> Evidence:
    """Strengths as drawn; what was measured is their middle."""
    drawn = np.array(draws)
    middle = drawn.mean(0)
    wins = np.exp(middle)[:, None] / (np.exp(middle)[:, None] + np.exp(middle)) * (1 - np.eye(len(middle))) * 1e6
    return Evidence(wins[None, None], drawn, (np.ones((len(drawn), 1), int), np.ones((len(drawn), 1), int)))


@pytest.mark.parametrize("variants", [2, 3, 4])
@pytest.mark.parametrize(("cases", "judges"), [(5, 3), (12, 8), (20, 5), pytest.param(20, 15, marks=pytest.mark.soak)])
def test_equal_variants_bring_few_false_winners(variants: int, cases: int, judges: int) -> None:
    """With nothing to find, hardly a trial names a winner, even when somebody looks after every judge."""
    found = [
        false_winner(pairs, rng, draws=DRAWS) for pairs, rng in trials(cases, judges, [0.0] * variants, number=FEW // 2)
    ]
    at_the_end, at_any_look = (rate(each) for each in zip(*found, strict=True))
    assert at_the_end <= 0.1
    assert at_any_look <= 0.1


@pytest.mark.parametrize(
    ("variants", "cases", "judges", "least"), [(4, 12, 8, 0.6), (4, 20, 5, 0.6), (3, 12, 8, 0.65), (2, 12, 8, 0.6)]
)
def test_a_favourite_is_found(variants: int, cases: int, judges: int, least: float) -> None:
    """One that is preferred 3 times in 4 is found in most trials."""
    assert rate(finds(*trial, draws=DRAWS) for trial in trials(cases, judges, favourite(variants), FEW)) >= least


def test_cheaper_and_equal_is_good_enough() -> None:
    """An equal one that costs less mostly is, where the margin allows it; one that is 20 points worse hardly ever."""
    equal, worse = (
        [bootstrap(pairs, rng, DRAWS) for pairs, rng in trials(12, 8, [0.0, 0.0, -lead], FEW)] for lead in (0, gap(0.7))
    )
    assert rate(good_enough(each, 30) for each in equal) > 0.8
    assert rate(good_enough(each, 20) for each in worse) <= 0.1
    assert rate(good_enough(each, 10) for each in worse) <= 0.05


def test_what_preferred_3_times_in_4_means() -> None:
    """The gap between two variants is such that the better one is picked that often, over cases, judges and moments."""
    told = simulate(np.random.default_rng(1), 400, 400, [gap(0.75), 0.0])
    assert told[..., 0, 1].mean() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    ("variants", "looked", "needed"),
    [(2, False, 975), (3, False, 940), (4, False, 940), (2, True, 994), (3, True, 990), (4, True, 990)],
)
def test_how_sure_a_winner_must_be(variants: int, looked: bool, needed: int) -> None:
    """P(best) decides, at the bar for that many variants, which is higher once somebody has looked."""
    rest = (0.0,) * (variants - 2)
    same_price = Facts(SEAL, tuple(Variant(v.id, v.name, DEAR) for v in VARIANTS[:variants]), (), looked=looked)
    for first, kind in ((needed, "preferred"), (needed - 1, "no_clear_winner")):
        drawn = [(2.0, 1.0, *rest)] * first + [(1.0, 2.0, *rest)] * (1000 - first)
        assert decide(evidence(*drawn), same_price).kind == kind


PRICES = {"dear": DEAR, "cheap": CHEAP, "cheaper": Decimal("0.02")}
WIDE = (-1.5, -0.5, 0.5, 1.5)  # what chance adds to a strength


@pytest.mark.parametrize(
    ("names", "strength", "margin", "decision"),
    [
        # a little worse and cheaper: the margin decides, and goes before a winner
        (("dear", "cheap"), (0.1, -0.1), 10, Decision("good_enough", 1)),
        (("dear", "cheap"), (0.1, -0.1), 4, Decision("preferred", 0)),
        (("dear", "cheap"), (1.0, -1.0), 10, Decision("preferred", 0)),
        # of two that are good enough, the cheapest
        (("dear", "cheap", "cheaper"), (0.1, 0.0, -0.1), 10, Decision("good_enough", 2)),
        (("dear", "cheap", "cheaper"), (0.1, 0.0, -2.1), 10, Decision("good_enough", 1)),
        # the best is the cheapest too
        (("dear", "cheap"), (-1.0, 1.0), 10, Decision("preferred", 1)),
    ],
)
def test_margin_and_price(names: tuple[str, ...], strength: tuple[float, ...], margin: int, decision: Decision) -> None:
    """With strengths known exactly, price and margin decide between the best and a cheaper one."""
    priced = Facts(SEAL, tuple(Variant(name, name, PRICES[name]) for name in names), (), margin=margin)
    assert decide(evidence(strength, strength), priced) == decision


def test_no_winner_takes_the_cheapest_that_may_be_best() -> None:
    """Where nothing is sure, the cheapest of those that may be the best is taken, never one that is surely behind."""
    names = ("dear", "cheap", "cheaper")
    priced = Facts(SEAL, tuple(Variant(name, name, PRICES[name]) for name in names), (), margin=0)
    drawn = [(chance, -chance, -4.0) for chance in WIDE]
    decision = decide(evidence(*drawn), priced)
    assert (decision, decision.contenders) == (Decision("no_clear_winner", 1), (0, 1))


@pytest.mark.parametrize(("cases", "judges"), [(MIN_CASES - 1, 30), (30, MIN_JUDGES - 1), (1, 1)])
def test_too_few_is_too_early(cases: int, judges: int) -> None:
    """However alike the votes are, there is no verdict from fewer than 8 cases or 3 judges."""
    trial = facts(cases=cases)
    tally = Tally(trial, votes(trial, judges, "max", "dev"))
    assert rule(tally, bootstrap(pairs(tally), seeded(SEAL))).kind == "too_early"


def test_judges_who_leave_early_make_no_verdict() -> None:
    """A case counts once 3 people have judged it: one who judged all and two who judged one are too few."""
    trial = facts()
    said = votes(trial, 1, "max", "dev") + [Vote(f"late {n}", "case 00", "max", "dev") for n in range(2)]
    tally = Tally(trial, said)
    assert rule(tally, bootstrap(pairs(tally), seeded(SEAL))).kind == "too_early"


def test_a_trial_may_ask_for_more_but_not_for_less() -> None:
    """The seal may fix a higher minimum; a lower one is refused."""
    trial = facts(cases=9, min_cases=10)
    tally = Tally(trial, preferences(trial, 8, favourite(3)))
    assert rule(tally, bootstrap(pairs(tally), seeded(SEAL))).kind == "too_early"
    with pytest.raises(ValueError, match="never for fewer"):
        facts(min_judges=2)
