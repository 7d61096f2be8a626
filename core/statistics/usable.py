"""How many cases got a picture that most judges would use, and what such a picture costs."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from math import sqrt
from typing import NamedTuple

from core.statistics.votes import Tally, Variant

Z = 1.959964  # two-sided 95 %


class Usable(NamedTuple):
    """The share of cases with its interval, and USD for one usable picture, the least and the most; None: no end."""

    share: float
    low: float
    high: float
    cost: Decimal | None
    least: Decimal | None
    most: Decimal | None


def usable(tally: Tally, variant: Variant) -> Usable:
    """A picture that could not be made counts as one that nobody would use."""
    would_use = defaultdict(list)
    for vote in tally.votes:
        would_use[vote.case].append(variant.id in vote.usable)
    hits = sum(sum(said) * 2 > len(said) for said in would_use.values())
    cases = len(would_use) + sum(variant.id in withdrawn.failed for withdrawn in tally.facts.withdrawn)
    share, (low, high) = hits / max(cases, 1), wilson(hits, cases)
    costs = (variant.price / Decimal(part) if part else None for part in (share, high, low))
    return Usable(share, low, high, *costs)


def wilson(hits: int, cases: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927), which holds for none and for all too; of no case, 0 to 1."""
    if not cases:
        return 0.0, 1.0
    share, shrink = hits / cases, Z**2 / cases
    reach = Z * sqrt(share * (1 - share) / cases + shrink / (4 * cases))
    low, high = ((share + shrink / 2 + side * reach) / (1 + shrink) for side in (-1, 1))
    return low if hits else 0.0, high if hits < cases else 1.0
