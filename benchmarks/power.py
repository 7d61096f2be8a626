"""How often a trial names a false winner, and how often it finds a real favourite: simulated.

Run `python benchmarks/power.py`; `--write` also renews the planner's table and the tables of docs/statistics.md. On one
core, five minutes. The rules are the report's own; to save time each trial is drawn 500 times instead of 2,000. What
that adds to the chance of a false winner is on the safe side: the report's own draws scatter less around the bar.

A simulated judge likes each picture by the variant's strength, by how the case suits the variant (spread 0.8 logits),
by a taste of their own for the variant (0.4) and by the mood of the moment, and names the best and the worst.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

if __name__ == "__main__":  # before numpy starts its threads, which cost more than they bring
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.table import table  # noqa: E402  (needs the line above when run as a script)
from core.statistics.planner import TABLE  # noqa: E402
from core.statistics.preference import Array, Evidence, bootstrap  # noqa: E402
from core.statistics.verdict import decide, is_winner  # noqa: E402
from core.statistics.votes import MIN_JUDGES, Facts, Variant  # noqa: E402

TRIALS = 400
DRAWS = 500
CASE_SPREAD, JUDGE_SPREAD = 0.8, 0.4  # logits
SIZES = ((5, 3), (12, 8), (20, 5), (20, 15))  # cases and judges
GRID_CASES, GRID_JUDGES = (8, 12, 16, 20, 30), (3, 5, 8, 12, 20)
VARIANTS = (2, 3, 4)
MARGINS = (10, 20, 30)
DEAR, CHEAP = Decimal("0.08"), Decimal("0.03")
DOCS = ROOT / "docs" / "statistics.md"


def gap(share: float) -> float:
    """By how many logits one variant leads another that it is preferred to in that share of all choices."""
    spread = np.sqrt(2 * (CASE_SPREAD**2 + JUDGE_SPREAD**2))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    leads = np.linspace(-5, 5, 2001)
    preferred = (weights / weights.sum() / (1 + np.exp(-leads[:, None] - spread * nodes))).sum(1)
    return float(np.interp(share, preferred, leads))


def simulate(rng: np.random.Generator, cases: int, judges: int, strength: Sequence[float]) -> Array:
    """The pairs of one trial in which everybody judges everything: by case, judge, winner and loser."""
    count = len(strength)
    suits = rng.normal(0, CASE_SPREAD, (cases, 1, count))
    taste = rng.normal(0, JUDGE_SPREAD, (1, judges, count))
    liked = np.asarray(strength) + suits + taste + rng.gumbel(size=(cases, judges, count))
    ranks = np.ones_like(liked)
    np.put_along_axis(ranks, liked.argmax(-1)[..., None], 2, -1)
    np.put_along_axis(ranks, liked.argmin(-1)[..., None], 0, -1)
    return (ranks[..., :, None] > ranks[..., None, :]).astype(float)


def trials(
    cases: int, judges: int, strength: Sequence[float], number: int = TRIALS, seed: int = 12
) -> Iterator[tuple[Array, np.random.Generator]]:
    """Simulated trials, each with the random numbers that its draws take."""
    for rng in np.random.default_rng([seed, cases, judges, len(strength)]).spawn(number):
        yield simulate(rng, cases, judges, strength), rng


def false_winner(pairs: Array, rng: np.random.Generator, *, draws: int = DRAWS) -> tuple[bool, bool]:
    """Whether a winner is declared at the end, and whether one ever is to somebody who looks after every judge."""
    judges = pairs.shape[1]
    looks = [bootstrap(pairs[:, :seen], rng, draws) for seen in range(MIN_JUDGES, judges + 1)]
    return is_winner(looks[-1]), any(is_winner(look, looked=True) for look in looks)


def finds(pairs: Array, rng: np.random.Generator, *, draws: int = DRAWS) -> bool:
    """Whether the first variant is declared the winner."""
    evidence = bootstrap(pairs, rng, draws)
    return evidence.best == 0 and is_winner(evidence)


def good_enough(evidence: Evidence, margin: int) -> bool:
    """Whether the last variant, the only cheap one, is called good enough."""
    last = len(evidence.strength) - 1
    variants = [Variant(str(number), "", CHEAP if number == last else DEAR) for number in range(last + 1)]
    decision = decide(evidence, Facts("0", tuple(variants), (), margin=margin))
    return decision.kind == "good_enough" and decision.take == last


def rate(happened: Iterable[bool]) -> float:
    return float(np.mean([*happened]))


def favourite(variants: int) -> list[float]:
    return [gap(0.75)] + [0.0] * (variants - 1)


def show_false_winners() -> None:
    header = ("cases × judges", *(f"{count} equal" for count in VARIANTS), "two equal, two behind")
    leaders = [0.0, 0.0, -gap(0.75), -gap(0.75)]
    rows = []
    for cases, judges in SIZES:
        cells = []
        for strength in (*([0.0] * count for count in VARIANTS), leaders):
            ends, looks = zip(*(false_winner(*trial) for trial in trials(cases, judges, strength)), strict=True)
            cells.append(f"{rate(ends):.1%} · {rate(looks):.1%}")
        rows.append([f"{cases} × {judges}", *cells])
    print("A winner is named although there is none: read once at the end · looked at after every judge\n")
    table(header, rows)


def show_good_enough() -> None:
    print("The one cheap variant is called good enough: it is equal · it is truly 20 points worse\n")
    rows = []
    for count in VARIANTS:
        for cases, judges in SIZES[1:]:
            cells = []
            rates = [_called(cases, judges, [0.0] * (count - 1) + [-lead]) for lead in (0.0, gap(0.7))]
            cells = [f"{equal:.1%} · {worse:.1%}" for equal, worse in zip(*rates, strict=True)]
            rows.append([f"{count} variants, {cases} × {judges}", *cells])
    table(("", *(f"margin {margin}" for margin in MARGINS)), rows)


def _called(cases: int, judges: int, strength: Sequence[float]) -> list[float]:
    found = [bootstrap(pairs, rng, DRAWS) for pairs, rng in trials(cases, judges, strength)]
    return [rate(good_enough(evidence, margin) for evidence in found) for margin in MARGINS]


def powers() -> dict[int, list[list[float]]]:
    """By number of variants, then by cases, then by judges."""

    def power(cases: int, judges: int, count: int) -> float:
        return rate(finds(*trial) for trial in trials(cases, judges, favourite(count)))

    return {
        count: [[power(cases, judges, count) for judges in GRID_JUDGES] for cases in GRID_CASES] for count in VARIANTS
    }


def show_power(found: dict[int, list[list[float]]]) -> None:
    for count, grid in found.items():
        print(f"One of {count} is preferred 3 times in 4, and is found:\n")
        rows = [[cases, *(f"{chance:.0%}" for chance in row)] for cases, row in zip(GRID_CASES, grid, strict=True)]
        table(("cases", *(f"{judges} judges" for judges in GRID_JUDGES)), rows)


def write(found: dict[int, list[list[float]]], tables: str) -> None:
    """Renew what the planner reads, and the tables of the document."""
    about = {"made": f"{datetime.now(UTC):%Y-%m-%d}", "by": "benchmarks/power.py", "trials": TRIALS, "draws": DRAWS}
    grid = {"cases": GRID_CASES, "judges": GRID_JUDGES, "chance": found}
    TABLE.write_text(json.dumps({**about, **grid}) + "\n", "utf-8")
    made = f"\\1\n{about['made']}, {TRIALS} trials in each cell, {DRAWS} draws each.\n\n{tables.strip()}\n\\2"
    text = re.sub(r"(<!-- tables: .*? -->).*(<!-- /tables -->)", made, DOCS.read_text("utf-8"), flags=re.DOTALL)
    DOCS.write_text(text, "utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="renew the planner's table and the document")
    wanted = options.parse_args()
    page = io.StringIO()
    with redirect_stdout(page):
        show_false_winners()
        show_good_enough()
        found = powers()
        show_power(found)
    print(page.getvalue())
    if wanted.write:
        write(found, page.getvalue())


if __name__ == "__main__":
    main()
