"""How many pictures people would use, and what such a picture costs."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import VARIANTS, facts
from scipy.stats import binomtest

from core.statistics.usable import usable, wilson
from core.statistics.votes import Tally, Vote, Withdrawn

MAX, PRO, *_ = VARIANTS


def said(case: str, *would_use: bool) -> list[Vote]:
    """Judges who would use Max or not."""
    return [
        Vote(f"judge {number}", case, usable=frozenset({"max"} if use else ())) for number, use in enumerate(would_use)
    ]


@given(cases=st.integers(1, 60), hits=st.integers(0, 60))
def test_the_interval_is_wilsons(cases: int, hits: int) -> None:
    """It is the one that scipy computes, and holds the share."""
    hits = min(hits, cases)
    low, high = wilson(hits, cases)
    theirs = binomtest(hits, cases).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert 0 <= low <= hits / cases <= high <= 1


def test_the_majority_decides_a_case() -> None:
    """A case counts where more than half of those who judged it would use the picture; half is not enough."""
    votes = said("case 00", True, True, False) + said("case 01", True, False) + said("case 02", True)
    found = usable(Tally(facts(), votes), MAX)
    assert found.share == pytest.approx(2 / 3)
    assert (found.low, found.high) == wilson(2, 3)


def test_what_a_usable_picture_costs() -> None:
    """The price over the share, and over the ends of its interval."""
    votes = [vote for number in range(8) for vote in said(f"case {number:02}", number < 4)]
    found = usable(Tally(facts(cases=8), votes), MAX)
    low, high = wilson(4, 8)
    assert found.cost == Decimal("0.16")
    assert (float(found.least or 0), float(found.most or 0)) == pytest.approx((0.08 / high, 0.08 / low))


def test_a_picture_that_failed_is_one_that_nobody_uses() -> None:
    """A withdrawn case counts against the variants that failed in it, and for no other."""
    trial = facts(withdrawn=(Withdrawn("case 02", "blocked by the safety filter", ("max",)),))
    tally = Tally(trial, said("case 00", True) + said("case 01", True) + said("case 02", True))
    assert usable(tally, MAX).share == pytest.approx(2 / 3)
    assert usable(tally, PRO).share == 0
    assert usable(tally, PRO).high == wilson(0, 2)[1]


def test_nobody_would_use_it() -> None:
    """Then there is no price, and no end to what one may cost; what nobody judged has the widest interval."""
    found = usable(Tally(facts(), said("case 00", False)), MAX)
    assert (found.cost, found.most) == (None, None)
    assert found.least is not None
    assert usable(Tally(facts(), []), MAX)[:4] == (0, 0, 1, None)
