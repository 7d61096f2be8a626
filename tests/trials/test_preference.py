"""How strongly a variant is preferred, and how surely."""

from __future__ import annotations

import evalica
import numpy as np
import pytest
from making import SEAL, facts, preferences
from scipy.optimize import minimize

from benchmarks.power import simulate
from core.statistics.preference import RIDGE, Evidence, bootstrap, pairs, seeded, shares, strengths
from core.statistics.votes import Tally, Vote

A, B, C, D = range(4)


@pytest.mark.parametrize(
    ("variants", "best", "worst", "told"),
    [
        (2, "max", None, {(A, B)}),
        (2, "pro", "max", {(B, A)}),
        (3, "max", "dev", {(A, B), (A, C), (B, C)}),
        (3, None, "dev", {(A, C), (B, C)}),
        (4, "dev", "pro", {(C, A), (C, B), (C, D), (A, B), (D, B)}),
    ],
)
def test_a_vote_tells_pairs(variants: int, best: str, worst: str, told: set[tuple[int, int]]) -> None:
    """The best beats all others and all others beat the worst; of four that leaves one of six pairs untold."""
    tally = Tally(facts(variants), [Vote("judge", "case 01", best, worst)])
    assert {(int(one), int(other)) for one, other in np.argwhere(pairs(tally)[0, 0] == 1)} == told


def test_no_difference_is_half_a_win_for_either() -> None:
    """A vote of no difference ties every pair; counted the other way it tells nothing."""
    tally = Tally(facts(3), [Vote("judge", "case 01")])
    assert (pairs(tally)[0, 0] == 0.5 * (1 - np.eye(3))).all()
    assert not pairs(tally, tie=0).any()


@pytest.mark.parametrize("variants", [2, 3, 4])
def test_strengths_agree_with_evalica(variants: int) -> None:
    """With next to no ridge, log-strengths are those of an independent Bradley–Terry, ties included, to 1e-3."""
    rng = np.random.default_rng(variants)
    wins, ties = (rng.integers(3, 30, (variants, variants)) * (1 - np.eye(variants)) for _ in range(2))
    games = [
        (str(one), str(other), outcome)
        for kind, outcome in ((wins, evalica.Winner.X), (ties, evalica.Winner.Draw))
        for (one, other), times in np.ndenumerate(kind)
        for _ in range(int(times))
    ]
    xs, ys, outcomes = zip(*games, strict=True)
    theirs = evalica.bradley_terry(xs, ys, outcomes, tolerance=1e-9, limit=10_000).scores
    expected = np.log([theirs[str(number)] for number in range(variants)])
    found = strengths(wins + (ties + ties.T) / 2, ridge=1e-6)
    assert np.abs(found - (expected - expected.mean())).max() < 1e-3


def test_the_ridge_is_a_ridge() -> None:
    """With it, strengths are where a general optimiser finds the top of the likelihood less ridge/2 × squares."""
    wins = np.array([[0, 9, 4, 7], [2, 0, 5, 1], [0, 3, 0, 3], [1, 1, 2, 0.5]])

    def loss(strength: np.ndarray) -> float:
        return float((wins * np.log1p(np.exp(strength - strength[:, None]))).sum() + RIDGE / 2 * (strength**2).sum())

    expected = minimize(loss, np.zeros(4), tol=1e-10).x
    assert np.abs(strengths(wins) - expected).max() < 1e-3


def test_one_that_won_everything_has_a_strength() -> None:
    """Where a variant never lost, the ridge keeps its strength finite, and its share below 1."""
    found = strengths(np.array([[0.0, 500.0], [0.0, 0.0]]))
    assert np.isfinite(found).all()
    assert 0.99 < shares(found)[0] < 1


def test_many_at_once_are_each_alone() -> None:
    """A stack of win matrices gives what each of them gives by itself."""
    wins = np.random.default_rng(1).integers(0, 20, (50, 3, 3)) * (1.0 - np.eye(3))
    assert np.allclose(strengths(wins), [strengths(one) for one in wins], atol=1e-7)


def test_draws_take_cases_and_judges_whole() -> None:
    """Each draw counts every ballot as often as its case × as often as its judge, with all of its pairs."""
    told = simulate(np.random.default_rng(2), 6, 4, [0.5, 0, 0])
    evidence = bootstrap(told, seeded(SEAL), draws=20)
    by_case, by_judge = evidence.weights
    assert (by_case.sum(1) == 6).all()
    assert (by_judge.sum(1) == 4).all()
    for draw in range(20):
        wins = np.zeros((3, 3))
        for case, judge in np.ndindex(6, 4):
            wins += by_case[draw, case] * by_judge[draw, judge] * told[case, judge]
        assert np.allclose(strengths(wins), evidence.drawn[draw], atol=1e-7)


def test_more_judges_of_few_cases_bring_little() -> None:
    """Ten times the judges of the same few cases don't narrow the interval as independent votes would."""
    told = simulate(np.random.default_rng(3), 6, 50, [0.0, 0.0])
    few, many = (np.ptp(bootstrap(told[:, :judges], seeded(SEAL)).interval[:, 0]) for judges in (5, 50))
    assert many > few / np.sqrt(10) * 1.5


def test_equal_draws_are_divided() -> None:
    """Where several come first in a draw they share it, so that equal variants are equally likely the best."""
    drawn = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, -2.0], [2.0, -1.0, -1.0], [0.0, 1.0, -1.0]])
    found = Evidence(np.zeros((1, 1, 3, 3)), drawn, (np.ones((4, 1), int), np.ones((4, 1), int))).p_best
    assert found == pytest.approx([(1 / 3 + 1 / 2 + 1) / 4, (1 / 3 + 1 / 2 + 1) / 4, 1 / 12])


def test_left_out_is_as_if_it_had_not_voted() -> None:
    """The draws that lack a judge say of the best what a bootstrap of the others says."""
    tally = Tally(facts(3), preferences(facts(3), 6, [0.6, 0.0, 0.0]))
    evidence = bootstrap(pairs(tally), seeded(SEAL))
    alone = bootstrap(np.delete(pairs(tally), 2, axis=1), seeded(SEAL))
    assert evidence.without(1, 2).strength == pytest.approx(alone.strength)
    assert evidence.without(1, 2).p_best == pytest.approx(alone.p_best, abs=0.06)
