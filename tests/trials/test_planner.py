"""What a trial of some size buys, and that the table which says so keeps what is promised."""

from __future__ import annotations

import json
from datetime import date

import pytest

from core.statistics.planner import TABLE, chance, how_often, what_it_buys

ABOUT = json.loads(TABLE.read_text("utf-8"))


def test_the_table_says_where_it_is_from() -> None:
    """It names its script, its date, and how many trials stand behind each number."""
    assert (ABOUT["by"], ABOUT["trials"], ABOUT["draws"]) == ("benchmarks/power.py", 400, 500)
    assert date.fromisoformat(ABOUT["made"])


@pytest.mark.parametrize(
    ("variants", "cases", "judges", "least"), [(4, 12, 8, 0.65), (4, 20, 5, 0.70), (3, 12, 8, 0.75)]
)
def test_a_favourite_is_found_as_often_as_promised(variants: int, cases: int, judges: int, least: float) -> None:
    """In the table as it was simulated, one that is preferred 3 times in 4 is found that often."""
    assert chance(cases, judges, variants) >= least


@pytest.mark.parametrize("variants", [2, 3, 4])
def test_more_is_better(variants: int) -> None:
    """More cases and more judges find more, beyond what chance of the simulation may turn round."""
    for fewer, more in (((8, 5), (20, 5)), ((12, 3), (12, 12)), ((8, 3), (12, 8))):
        assert chance(*more, variants) > chance(*fewer, variants)


def test_between_and_beyond_the_sizes_that_were_simulated() -> None:
    """Sizes between are between; beyond the largest nothing more is promised; below the least there is no verdict."""
    low, high = chance(16, 8, 3), chance(20, 8, 3)
    assert chance(18, 8, 3) == pytest.approx((low + high) / 2)
    assert chance(500, 500, 3) == chance(ABOUT["cases"][-1], ABOUT["judges"][-1], 3)
    assert chance(7, 30, 3) == chance(30, 2, 3) == 0


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.04, "hardly ever"), (0.11, "about 1 time in 10"), (0.64, "about 6 times in 10"), (0.96, "nearly always")],
)
def test_a_chance_in_words(probability: float, words: str) -> None:
    """Tenths are as fine as a layman needs."""
    assert how_often(probability) == words


def test_what_it_buys() -> None:
    """One sentence with size, question and answer; for too few the reason; for practice pictures a warning."""
    bought = what_it_buys(12, 5, 3)
    assert bought.startswith(
        "12 cases and 5 judges: if one of the three really is preferred 3 times in 4, this trial would"
    )
    assert bought.endswith(f"notice it {how_often(chance(12, 5, 3))}.")
    assert what_it_buys(1, 5, 3) == "1 case and 5 judges: too few to name a winner, which takes 8 cases and 3 judges."
    assert "rehearsal" in what_it_buys(12, 5, 3, practice=True)
