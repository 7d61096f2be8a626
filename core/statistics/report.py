"""The numbers of a report, from the facts of a trial and its votes alone."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from core.statistics import honesty, words
from core.statistics.preference import Evidence, bootstrap, pairs, seeded, shares
from core.statistics.usable import usable
from core.statistics.verdict import Decision, rule
from core.statistics.votes import Facts, Tally, Vote


def report(facts: Facts, votes: Iterable[Vote]) -> dict[str, Any]:
    """What `/trial_report` returns, ready for JSON; the same facts and votes bring the same digits.

    Shares and probabilities run from 0 to 1. What can't be told from one judge or one case has the widest interval,
    0 to 1. `usd_per_usable` and its ends are null where nobody would use a picture. `places`: how often each place was
    named best.
    """
    tally = Tally(facts, votes)
    evidence = bootstrap(pairs(tally), seeded(facts.seal))
    decision = rule(tally, evidence)
    return {
        "verdict": {
            "kind": decision.kind,
            "variant": None if decision.take is None else facts.ids[decision.take],
            "words": words.verdict(tally, evidence, decision),
        },
        "variants": _variants(tally, evidence),
        "judges": len(tally.judges),
        "cases": len(facts.standing),
        "withdrawn": [{"case": gone.case, "reason": gone.reason} for gone in facts.withdrawn],
        "agreement": _agreement(tally, evidence, decision),
        "places": honesty.best_by_place(tally),
        "seal": facts.seal,
    }


def _variants(tally: Tally, evidence: Evidence) -> list[dict[str, Any]]:
    """A row for each, with the four numbers of its preference and the six of its use."""
    names = (
        *("preferred_share", "preferred_low", "preferred_high", "p_best", "usable_share", "usable_low", "usable_high"),
        *("usd_per_usable", "usd_per_usable_low", "usd_per_usable_high"),
    )
    widest = np.outer((0, 1), np.ones_like(evidence.strength))
    told = min(len(tally.judges), len(tally.cases)) > 1
    low, high = evidence.interval if told else widest
    p_best = evidence.p_best if told else widest[1] / len(widest[1])
    rows = zip(tally.facts.variants, shares(evidence.strength), low, high, p_best, strict=True)
    numbers = [(variant, map(_digits, (*preferred, *usable(tally, variant)))) for variant, *preferred in rows]
    return [{"id": variant.id, **dict(zip(names, row, strict=True))} for variant, row in numbers]


def _agreement(tally: Tally, evidence: Evidence, decision: Decision) -> dict[str, Any]:
    same, repeats = honesty.with_themselves(tally)
    return {
        "between_judges": _digits(honesty.between_judges(evidence.pairs)),
        "with_themselves": _digits(same / repeats if repeats else None),
        "repeats": repeats,
        "words": words.honesty_lines(tally, evidence, decision),
    }


def _digits(number: float | Decimal | None) -> float | None:
    return None if number is None else round(float(number), 4)
