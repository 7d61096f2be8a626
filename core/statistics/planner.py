"""What a trial of some size would notice, from a table that benchmarks/power.py computes by simulation."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from core.statistics.votes import MIN_CASES, MIN_JUDGES

TABLE = Path(__file__).with_name("power.json")


def chance(cases: int, judges: int, variants: int) -> float:
    """How probably a trial of that size names as its winner a variant that is preferred 3 times in 4.

    Between the sizes that were simulated it is interpolated; beyond the largest it stays what it is there.
    """
    if cases < MIN_CASES or judges < MIN_JUDGES:
        return 0.0
    table = _table()
    rows = [float(np.interp(judges, table["judges"], row)) for row in table["chance"][str(variants)]]
    return float(np.interp(cases, table["cases"], rows))


def what_it_buys(cases: int, judges: int, variants: int, *, practice: bool = False) -> str:
    """A sentence for whoever sets a trial up."""
    found, rehearsal = chance(cases, judges, variants), " With practice pictures it is a rehearsal." * practice
    says = f"too few to name a winner, which takes {MIN_CASES} cases and {MIN_JUDGES} judges."
    if found:
        favourite = f"if one of the {('two', 'three', 'four')[variants - 2]} really is preferred 3 times in 4"
        says = f"{favourite}, this trial would notice it {how_often(found)}."
    return f"{count(cases, 'case')} and {count(judges, 'judge')}: {says}{rehearsal}"


def how_often(probability: float) -> str:
    """A probability for a layman, such as "about 6 times in 10"."""
    tenths = round(probability * 10)
    return {0: "hardly ever", 10: "nearly always"}.get(tenths, f"about {count(tenths, 'time')} in 10")


def count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@cache
def _table() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text("utf-8")))
