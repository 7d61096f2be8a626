"""Many comparisons pressed at once against a budget that has room for a few."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from checks import check_books, check_ends
from lean import SMALL, VISITOR, Comparison, Lean
from server import Server

from core.access.budget import Budget
from core.errors import BudgetError

pytestmark = pytest.mark.anyio

SIX = Comparison(("dev", "ultra-fast"), {"seeds": [1, 2, 3], **SMALL}, cells=6)
COST = 3 * (Decimal("0.03") + Decimal("0.025"))


async def test_twenty_presses_against_a_budget_for_three(server: Server, tmp_path: Path) -> None:
    """Three comparisons are made whole, seventeen are refused with a sentence, and no half of one is left anywhere."""
    lean = Lean(tmp_path / "data", server.url, budget=Budget(daily=3 * COST))
    pressed = await asyncio.gather(*(lean.compare(SIX) for _ in range(20)), return_exceptions=True)
    refusals = [refusal for refusal in pressed if isinstance(refusal, BudgetError)]
    made = [run for runs in pressed if isinstance(runs, list) for run in runs]
    assert (len(refusals), len(made)) == (17, 18)
    for refusal in refusals:
        assert "$0.165" in str(refusal) and "Nothing was charged" in str(refusal) and refusal.left == 0
    ended = [await lean.end_of(run) for run in made]
    assert {run.state for run in ended} == {"completed"}
    check_ends(ended)
    assert server.seen["submit"] == len(server.books().tasks) == 18
    kept = await lean.runs.list_for(VISITOR)
    assert {run.id for run in kept} == {run.id for run in made}
    check_books(kept, await lean.runs.spent(VISITOR, kept[-1].created_at), server.books())
    assert server.books().total == 3 * COST
    await lean.aclose()
