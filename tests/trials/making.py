"""Trials and votes for tests: made up by hand, or by the simulation."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from core.trials.votes import Facts, Variant, Vote

SEAL = "5ea1" * 16
VARIANTS = (
    Variant("max", "Max", Decimal("0.08")),
    Variant("pro", "Pro", Decimal("0.04")),
    Variant("dev", "Dev", Decimal("0.03")),
    Variant("ultra-fast", "Ultra-fast", Decimal("0.025")),
)


def facts(variants: int = 3, cases: int = 12, **others: Any) -> Facts:
    return Facts(SEAL, VARIANTS[:variants], tuple(f"case {number:02}" for number in range(cases)), **others)


def votes(trial: Facts, judges: int, best: str | None, worst: str | None, **others: Any) -> list[Vote]:
    """Every judge says the same of every case."""
    return [Vote(f"judge {judge:02}", case, best, worst, **others) for judge in range(judges) for case in trial.cases]


def from_pairs(trial: Facts, pairs: np.ndarray, rng: np.random.Generator) -> list[Vote]:
    """The votes that tell those pairs (by case, judge, winner, loser), each shown in places of its own."""
    ids = np.array(trial.ids)
    wins, losses = pairs.sum(-1), pairs.sum(-2)
    return [
        Vote(
            f"judge {judge:02}",
            trial.cases[case],
            str(ids[wins[case, judge].argmax()]),
            str(ids[losses[case, judge].argmax()]),
            frozenset(ids[wins[case, judge] > 0].tolist()),
            tuple(rng.permutation(ids).tolist()),
        )
        for case in range(pairs.shape[0])
        for judge in range(pairs.shape[1])
    ]


def preferences(trial: Facts, judges: int, strength: Sequence[float], seed: int = 1) -> list[Vote]:
    """What simulated judges say, when the variants are of these strengths."""
    from benchmarks.power import simulate

    rng = np.random.default_rng(seed)
    return from_pairs(trial, simulate(rng, len(trial.cases), judges, strength), rng)
