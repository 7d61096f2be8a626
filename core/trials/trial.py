"""What a trial is to find out: checked with every problem told at once, planned, priced. Nothing here spends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.catalog.inputs import Inputs, too_long
from core.catalog.limits import MOST_PROBLEMS, PROMPT_CHARACTERS
from core.catalog.variants import PICTURES, REFERENCE_LIMIT, REGISTRY, SEED, Variant
from core.comparisons.comparison import PlannedCell, Row, cells_of, unknown
from core.errors import InputError, Problem
from core.ledger.ballots import MOST_JUDGES
from core.ledger.trials import Case, Spec
from core.prompts.presets import ROLES
from core.statistics.votes import MIN_CASES, MIN_JUDGES

FEWEST_VARIANTS, MOST_VARIANTS = 2, 4
FOLDER = "trials"  # of the data folder
MOST_CASES = 40
MOST_CELLS = 240
MOST_TAKES = 2  # pictures of a variant in one case
MOST_MARGIN = 40
MOST_NUMBER = 9999  # that a draft may hold, in range or not
TITLE_CHARACTERS = 80
QUESTION_CHARACTERS = 160
LAST_YEAR = 2100  # in which a trial can close
PARAMETER_CHARACTERS = 2000  # of one case's, as JSON
WHICH_VARIANTS = f"Choose {FEWEST_VARIANTS} to {MOST_VARIANTS} variants, each once: {', '.join(REGISTRY)}."

_TEXTS = (("title", "a title", TITLE_CHARACTERS), ("question", "a question", QUESTION_CHARACTERS))
_RANGES = (
    ("judges", "The number of judges", 1, MOST_JUDGES),
    ("margin", "The margin", 0, MOST_MARGIN),
    ("min_cases", "The fewest cases for a verdict", MIN_CASES, MOST_CASES),
    ("min_judges", "The fewest judges for a verdict", MIN_JUDGES, MOST_JUDGES),
)
_APART = (SEED.name, "seeds", PICTURES.name)


@dataclass(frozen=True)
class TrialCell:
    """One picture to make: `case` and `take` count from 1; those of one case and take have one `row`, from 0."""

    inputs: Inputs
    case: int
    take: int
    row: int


def folder_of(home: Path, trial_id: str) -> Path:
    """Where the files of a trial's own are, below the data folder; what its runs have is theirs."""
    return home / FOLDER / trial_id


def plan(spec: Spec, draw_seed: Callable[[], int], now: datetime) -> tuple[Spec, tuple[TrialCell, ...]]:
    """The same with every seed drawn, and all cells that it makes, case by case.

    Raises:
        InputError: with every problem found.
    """
    problems = [*_lacking(spec, now), *_excess(spec)]
    variants = _variants(spec.variants, problems)
    cases, cells, row = [], list[TrialCell](), 0
    for number, case in enumerate(spec.cases[:MOST_CASES], 1):
        wrong: list[Problem] = []
        case, made = _case_cells(case, variants, draw_seed, wrong)
        problems += [Problem(one.parameter, f"Case {number}: {one.message}") for one in dict.fromkeys(wrong)]
        cells += [TrialCell(one.inputs, number, one.row + 1, row + one.row) for one in made]
        cases.append(case)
        row += case.takes
    if len(cells) > MOST_CELLS:
        problems.append(Problem("cases", f"A trial makes at most {MOST_CELLS} pictures; these would be {len(cells)}."))
    if problems:
        raise InputError(list(dict.fromkeys(problems))[:MOST_PROBLEMS])
    return replace(spec, cases=tuple(cases)), tuple(cells)


def check_draft(spec: Spec) -> None:
    """A draft may lack anything, but be no larger than a trial can be.

    Raises:
        InputError: with every problem found.
    """
    if problems := [*_excess(spec)]:
        raise InputError(problems[:MOST_PROBLEMS])


def total(cells: Sequence[TrialCell], prices: Mapping[str, Decimal] = MappingProxyType({})) -> Decimal:
    """USD that they are expected to cost, at these prices of a picture by variant, and at the list's for all others."""
    return sum((prices.get(cell.inputs.variant.id, cell.inputs.variant.price) for cell in cells), Decimal())


def _lacking(spec: Spec, now: datetime) -> Iterator[Problem]:
    """What is missing, or out of its range."""
    for name, called, _ in _TEXTS:
        if not getattr(spec, name).strip():
            yield Problem(name, f"Give the trial {called}.")
    if not spec.cases:
        yield Problem("cases", "Add at least one case.")
    for name, called, least, greatest in _RANGES:
        if not least <= getattr(spec, name) <= greatest:
            yield Problem(name, f"{called} must be a whole number from {least} to {greatest}.")
    if spec.closes_at is not None and spec.closes_at <= now:
        yield Problem("closes_at", "The closing date has passed. Choose a later one.")


def _excess(spec: Spec) -> Iterator[Problem]:
    """What is more than a trial can have."""
    texts = [(f"The {name}", getattr(spec, name), most) for name, _, most in _TEXTS]
    texts += [(f"The prompt of case {n}", case.prompt, PROMPT_CHARACTERS) for n, case in enumerate(spec.cases, 1)]
    for called, text, most in texts:
        if sentence := too_long(called, text, most):
            yield Problem("spec", sentence)
    if len(spec.variants) > MOST_VARIANTS:
        yield Problem("variants", WHICH_VARIANTS)
    if spec.closes_at is not None and not 1900 < spec.closes_at.year <= LAST_YEAR:
        yield Problem("closes_at", f"Choose a closing date up to the year {LAST_YEAR}.")
    if not all(abs(getattr(spec, name)) <= MOST_NUMBER for name, *_ in _RANGES):
        yield Problem("spec", f"Numbers of judges, cases and the margin have at most {len(str(MOST_NUMBER))} digits.")
    if len(spec.cases) > MOST_CASES:
        yield Problem("cases", f"A trial has at most {MOST_CASES} cases; these are {len(spec.cases)}.")
    for number, case in enumerate(spec.cases, 1):
        if len(case.references) > REFERENCE_LIMIT or len(json.dumps(dict(case.parameters))) > PARAMETER_CHARACTERS:
            yield Problem("cases", f"Case {number} has more than {REFERENCE_LIMIT} references, or endless parameters.")


def _variants(ids: Sequence[str], problems: list[Problem]) -> list[Variant]:
    """Those of the ids; what is wrong with these goes to `problems`."""
    if len(set(ids)) < FEWEST_VARIANTS or len(set(ids)) < len(ids) or not set(ids) <= set(REGISTRY):
        problems.append(Problem("variants", WHICH_VARIANTS))
    return [REGISTRY[id] for id in dict.fromkeys(ids) if id in REGISTRY][:MOST_VARIANTS]


def _case_cells(
    case: Case, variants: Sequence[Variant], draw_seed: Callable[[], int], problems: list[Problem]
) -> tuple[Case, list[PlannedCell]]:
    """The case with its seeds drawn, and its cells; what is wrong with it goes to `problems`."""
    shared = {name: value for name, value in case.parameters.items() if name not in _APART and value is not None}
    if case.parameters.get(PICTURES.name, 1) != 1:
        problems.append(Problem(PICTURES.name, "A variant makes one picture at a time. Use seeds for a second one."))
    strangers = sorted({str(reference.role) for reference in case.references if reference.role} - set(ROLES))
    problems += [Problem("roles", f"{role[:40]!r} is not one of {', '.join(ROLES)}.") for role in strangers]
    problems += unknown(variants, shared)
    seeds = [draw_seed() if seed in (None, SEED.default) else seed for seed in _seeds(case, problems)]
    rows = [Row(case.prompt, seed) for seed in seeds]
    cells = list(cells_of(variants, rows, len(case.references), shared, draw_seed, problems))
    return replace(case, prompt=case.prompt.strip(), parameters={**shared, "seeds": seeds}), cells


def _seeds(case: Case, problems: list[Problem]) -> list[Any]:
    """One, or two that differ; -1 is one that is drawn."""
    one, several = case.parameters.get(SEED.name), case.parameters.get("seeds")
    if several is None:
        return [one]
    told = [seed for seed in several if seed != SEED.default] if isinstance(several, list | tuple) else []
    twice = any(seed in told[:n] for n, seed in enumerate(told))
    if one is None and isinstance(several, list | tuple) and 1 <= len(several) <= MOST_TAKES and not twice:
        return list(several)
    problems.append(Problem("seeds", f"Give a seed, or seeds as a list of at most {MOST_TAKES} that differ."))
    return [None]
