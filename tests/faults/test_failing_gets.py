"""Thirty per cent of all GETs fail, in every way that a network knows: it only takes longer."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from checks import check_books, check_ends
from lean import MAX, PRO, Lean, Press, history, spent
from server import Server, ThirtyPercent

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2))])
async def test_every_run_ends_with_its_pictures(server: Server, tmp_path: Path, seed: int) -> None:
    """Ten runs at once, of every kind, over a network that loses every third answer: all their pictures are here."""
    server.plan = failing = ThirtyPercent(seed)
    presses = [PRO, MAX, *(Press(pictures=1 + n % 4, prompt=f"make {n} red") for n in range(8))]
    async with aclosing(Lean(tmp_path / "data", server.url, get=1)) as lean:
        started = [await lean.press(press) for press in presses]
        ended = await asyncio.gather(*(lean.end_of(run) for run in started))
    assert [run.troubles for run in ended] == [()] * 10
    assert failing.done >= 6, "this showed nothing"  # the least of the three seeds where each look comes late
    check_ends(ended)
    check_books(history(lean.folder), spent(lean.folder), server.books())
