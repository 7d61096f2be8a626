"""Trials and votes for tests: made up by hand, or by the simulation."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.ledger.trials import Picture
from core.statistics.report import report
from core.statistics.votes import Facts, Variant, Vote, Withdrawn

SEAL = "5ea1" * 16
NASTY = "<script>alert(1)</script> & “owl”"
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


def document(
    cases: int = 8, judges: int = 4, variants: int = 3, gone: Sequence[int] = (), **others: Any
) -> dict[str, Any]:
    """What the life of a trial tells of a closed one: every judge prefers Pro, but for set 8."""
    withdrawn = tuple(Withdrawn(str(case), f"Max: {NASTY}", ("max",)) for case in gone)
    known = facts(variants, cases, withdrawn=(), **others)
    numbered = tuple(str(n) for n in range(1, cases + 1))
    known = type(known)(SEAL, known.variants, numbered, withdrawn, practice=others.get("practice", False))
    votes = [
        {
            **{"judge": judge, "case": case, "take": 1, "repeat": False, "places": list(known.ids), "usable": ["pro"]},
            **{"best": "max" if case == 8 else "pro", "worst": "dev" if variants > 2 else None},
            "remark": f"=1+1 {NASTY}" if (judge, case) == (1, 1) else "",
        }
        for judge in range(1, judges + 1)
        for case in range(1, cases + 1)
        if case not in gone
    ]
    told = [
        Vote(f"{v['judge']:02}", str(v["case"]), v["best"], v["worst"], frozenset(v["usable"]), tuple(v["places"]))
        for v in votes
    ]
    sealed_cases = [
        {"case": n, "prompt": f"Set {n}: {NASTY}", "pictures": [{"variant": id} for id in known.ids]}
        for n in range(1, cases + 1)
    ]
    sealed = {
        **{"title": NASTY, "question": "Which?", "practice": known.practice, "margin": 10, "min_cases": 8},
        **{"min_judges": 3, "sealed_at": "2026-11-24T12:00:00+00:00", "cases": sealed_cases},
        "variants": [{"id": v.id, "name": v.name, "price_usd": str(v.price)} for v in known.variants],
    }
    return {
        "sealed": sealed,
        "seal": SEAL,
        "withdrawn": [{"case": w_case, "reason": f"Max: {NASTY}", "failed": ["max"]} for w_case in gone],
        "making": [{"variant": id, "asked": cases, "failed": len(gone), "blocked": 0} for id in known.ids],
        "judges": [{"judge": n, "name": NASTY if n == 1 else ""} for n in range(1, judges + 1)],
        "votes": votes,
        "report": report(known, told),
        "pictures_seal": "91c7" * 16,
        "votes_seal": "707e" * 16,
    }


def drawn(folder: Path, cases: int, size: tuple[int, int] = (900, 600)) -> list[Picture]:
    """A reference and a picture of each variant."""
    found = []
    for case in range(1, cases + 1):
        for number, variant in enumerate((None, *(variant.id for variant in VARIANTS))):
            path = folder / f"{case}-{variant}.png"
            Image.new("RGB", size, (20 * case, 60 * number, 90)).save(path)
            found.append(Picture(f"{case}{variant}", case, variant, 1, path, "0" * 64))
    return found
