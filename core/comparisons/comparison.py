"""A comparison: runs of one press that differ along one or two axes, under one total. Nothing here spends by itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from core.catalog.inputs import Inputs, check, find_variant
from core.catalog.limits import MOST_PROBLEMS
from core.catalog.variants import ASPECT_RATIO, PICTURES, REFERENCE_LIMIT, REGISTRY, SEED, SIZE, Variant
from core.errors import InputError, KontextError, Problem
from core.ledger.run import Axis, Cell, Run
from core.pictures.reference import Reference
from core.prompts.compose import listed
from core.prompts.reference_numbers import renumber
from core.runs.again import asked_again
from core.runs.runs import Asked, Runs
from core.service.account import Account

MOST_CELLS = 24
MOST_RUNS = 4 * MOST_CELLS  # with those made again: whoever opens the history reads all of them at once
FEWEST, MOST = 2, 4  # of seeds, and of wordings
AXES: tuple[Axis, ...] = ("seeds", "prompts", "leave_one_out")  # beside the variants; at most one of them

_SHAPES = {ASPECT_RATIO.name, SIZE.name}  # one of which each variant has
_TOO_CLOSE = (
    "Seeds {0} and {1} are too close: {2} pictures of each would be partly the same. Leave {2} or more between them."
)
NO_CELL = "This picture is not part of a comparison."
STILL_GOING = "This picture is still being made."
TOO_OFTEN = f"This comparison has {MOST_RUNS} runs already, counting those made again."


@dataclass(frozen=True)
class Row:
    """One place along the second axis. `seed` holds for the variants that have one."""

    prompt: Any
    seed: Any
    left_out: int | None = None


@dataclass(frozen=True)
class PlannedCell:
    """The inputs of one cell, and its place."""

    inputs: Inputs
    row: int
    left_out: int | None = None


@dataclass(frozen=True)
class Plan:
    """What a comparison will make, variant by variant. `notes` say who is left out and why, and who lacks what."""

    axis: Axis
    cells: tuple[PlannedCell, ...]
    notes: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Inputs, ...]:
        return tuple(cell.inputs for cell in self.cells)


def plan(
    prompt: Any, reference_count: int, variant_ids: Any, values: Mapping[str, Any], draw_seed: Callable[[], int]
) -> Plan:
    """Check everything that was asked for.

    `values` may hold any parameter that one of the variants has, and one second axis: `seeds` or `prompts` (2 to 4 that
    differ; with wordings `prompt` is ignored, and a note says so where it differs from the first), or `leave_one_out`.
    Seeds must lie so far apart that no picture is made twice. A variant that can't take part is left out; a
    parameter that a variant lacks is not sent to it. The seed is the same for all variants that have one.

    Raises:
        InputError: with every problem found.
    """
    values = {name: value for name, value in values.items() if value is not None}
    if values.get("leave_one_out") is False:
        del values["leave_one_out"]
    axis, problems = _axis(values, reference_count)
    variants = _variants(variant_ids, problems)
    shared = {name: value for name, value in values.items() if name not in AXES}
    problems += unknown(variants, shared)
    out = {variant.id: why for variant in variants if (why := _reason(variant, axis, reference_count))}
    reasons = [f"{REGISTRY[id].name} is left out: {why}" for id, why in out.items()]
    taking_part = [variant for variant in variants if variant.id not in out]
    rows = _rows(axis, values, prompt, reference_count, draw_seed)
    # Where nobody can take part the rest is still looked at, so that all problems are told at once.
    cells = list(cells_of(taking_part or variants, rows, reference_count, shared, draw_seed, problems))
    if variants and not problems:
        problems += _count(cells if taking_part else [], reasons)
        problems += _too_close(cells) if axis == "seeds" else []
    if problems:
        raise InputError(list(dict.fromkeys(problems))[:MOST_PROBLEMS])
    return Plan(axis, tuple(cells), (*reasons, *_lacking(taking_part, shared), *_not_used(prompt, axis, values)))


def choices() -> dict[Axis, list[dict[str, Any]]]:
    """What a page needs to count as its controls change, by axis and number of references: the `rows` (0: as many as
    are given), `problem` where that can't be compared, and `out`, which says for a variant why it can't take part.
    """
    return {axis: [_choice(axis, count) for count in range(REFERENCE_LIMIT + 1)] for axis in ("variants", *AXES)}


def _choice(axis: Axis, reference_count: int) -> dict[str, Any]:
    out = {variant.id: _reason(variant, axis, reference_count) for variant in REGISTRY.values()}
    return {
        "rows": len(_rows(axis, {axis: ()}, "", reference_count, lambda: 0)),
        "problem": _axis_problem(axis, True, reference_count) if axis == "leave_one_out" else "",
        "out": {id: why for id, why in out.items() if why},
    }


async def start(
    runs: Runs,
    visitor: str,
    account: Account,
    plan: Plan,
    references: Sequence[Reference],
    preset: str | None = None,
    *,
    confirmed: Decimal | None = None,
) -> tuple[str, list[Run]]:
    """Reserve all cells and set them going: the comparison's id, and a run for each cell, in their order.

    `confirmed`: the total in USD that a person was shown, as for `Runs.start`.

    Raises:
        KontextError, BudgetError, LedgerError: nothing is reserved, and nothing is made.
    """
    comparison_id = uuid.uuid4().hex
    asked = [
        Asked(
            cell.inputs,
            [reference for number, reference in enumerate(references, 1) if number != cell.left_out],
            preset,
            Cell(comparison_id, plan.axis, cell.row, cell.left_out),
        )
        for cell in plan.cells
    ]
    return comparison_id, await runs.start_all(visitor, account, asked, confirmed=confirmed)


async def again(runs: Runs, visitor: str, account: Account, run_id: str, *, confirmed: Decimal | None = None) -> Run:
    """Make one cell once more, for its own price; it takes the place of the one that it repeats.

    Raises:
        KontextError: there is no such cell of this visitor, or a cap refuses it.
    """
    run = await runs.get(visitor, run_id)
    if run is None or run.cell is None or run.cell.axis == "trial":
        raise KontextError(NO_CELL, "Look for it in the history.")
    if not run.finished:
        raise KontextError(STILL_GOING, "Wait for it before you make it again.")
    if len(await runs.comparison(visitor, run.cell.comparison_id)) >= MOST_RUNS:
        raise KontextError(TOO_OFTEN, "Begin a new comparison.")
    (made,) = await runs.start_all(visitor, account, [asked_again(run)], confirmed=confirmed)
    return made


# what is asked for


def _variants(ids: Any, problems: list[Problem]) -> list[Variant]:
    """Those of the ids; what is wrong with these goes to `problems`."""
    if ids == []:
        problems.append(Problem("variant_ids", "Choose the variants to compare."))
        return []
    if not isinstance(ids, list | tuple) or not 1 <= len(ids) <= len(REGISTRY):
        problems.append(Problem("variant_ids", f"Name the variants as a list, each once: {', '.join(REGISTRY)}."))
        return []
    found = []
    for id in ids:
        try:
            found.append(find_variant(id))
        except InputError as error:
            problems += error.problems
    if len(set(found)) < len(found):
        problems.append(Problem("variant_ids", "A variant is named twice. Name each once."))
    return found


def _axis(values: Mapping[str, Any], reference_count: int) -> tuple[Axis, list[Problem]]:
    """The second axis, and what is wrong with it."""
    axes = [name for name in AXES if name in values]
    if len(axes) > 1:
        return "variants", [Problem("axis", f"Only one of {', '.join(AXES)} can be compared at a time.")]
    if not axes:
        return "variants", []
    (axis,) = axes
    sentence = _axis_problem(axis, values[axis], reference_count)
    if not sentence and axis == "seeds" and SEED.name in values:
        sentence = "Give a seed or seeds, not both."
    return ("variants" if sentence else axis), [Problem(axis, sentence)] if sentence else []


def _axis_problem(axis: Axis, value: Any, reference_count: int) -> str:
    if axis == "leave_one_out":
        if value is not True:
            return "leave_one_out must be true or false."
        enough = 1 < reference_count <= REFERENCE_LIMIT
        return "" if enough else f"Leaving one out needs 2 to {REFERENCE_LIMIT} references."
    if not isinstance(value, list | tuple) or not FEWEST <= len(value) <= MOST:
        return f"{axis} must be a list of {FEWEST} to {MOST}."
    told = [one.strip() if isinstance(one, str) else one for one in value if one != SEED.default]
    called = "wordings" if axis == "prompts" else axis
    return f"All {called} must differ." if any(one in told[:n] for n, one in enumerate(told)) else ""


def unknown(variants: Sequence[Variant], values: Mapping[str, Any]) -> list[Problem]:
    """Parameters that none of the variants has; of those that one has, its check speaks."""
    return [
        Problem(name, f"None of these variants has {name[:40]!r}.")
        for name in values
        if variants and not any(_has(variant, name) for variant in variants)
    ]


def _has(variant: Variant, name: str) -> bool:
    return name == PICTURES.name or (name not in ("prompt", "images") and variant.parameter(name) is not None)


def _reason(variant: Variant, axis: Axis, reference_count: int) -> str:
    """Why a variant can't take part; "" where it can."""
    if reference_count > variant.reference_limit:
        return f"it takes at most {variant.reference_limit} references; there are {reference_count}."
    if axis == "seeds" and not _has(variant, SEED.name):
        return "it has no seed."
    return ""


def _lacking(variants: Sequence[Variant], values: Mapping[str, Any]) -> Iterator[str]:
    """For the seed and each other parameter that was asked for, which variants do without."""
    rows = {row.name: row for variant in REGISTRY.values() for row in variant.parameters}
    if values.keys() >= _SHAPES:  # the same said for either kind of variant
        rows = {name: row for name, row in rows.items() if name not in _SHAPES}
    for name in dict.fromkeys([SEED.name, *values]):
        names = [variant.name for variant in variants if not _has(variant, name)]
        if names and name in rows:
            yield f"{listed(names)} {'has' if len(names) == 1 else 'have'} no {rows[name].label.lower()}."


def _not_used(prompt: Any, axis: Axis, values: Mapping[str, Any]) -> list[str]:
    """Wordings take the prompt's place: that is said where it would have made another picture."""
    ignored = axis == "prompts" and isinstance(prompt, str) and prompt.strip() not in ("", values["prompts"][0].strip())
    return ["The wordings are used in place of the prompt."] if ignored else []


# the cells


def _rows(
    axis: Axis, values: Mapping[str, Any], prompt: Any, reference_count: int, draw_seed: Callable[[], int]
) -> list[Row]:
    def drawn(seed: Any) -> Any:
        return draw_seed() if seed in (None, SEED.default) else seed

    if axis == "seeds":
        return [Row(prompt, drawn(seed)) for seed in values["seeds"]]
    whole = Row(prompt, drawn(values.get(SEED.name)))
    if axis == "prompts":
        return [replace(whole, prompt=wording) for wording in values["prompts"]]
    if axis == "leave_one_out":
        without = [_without(whole, number, reference_count) for number in range(1, reference_count + 1)]
        return [whole, *without, replace(whole, seed=_another(whole.seed))]
    return [whole]


def _without(whole: Row, number: int, reference_count: int) -> Row:
    """The row without one reference; the prompt still means the same pictures by its numbers."""
    order = {old: None if old == number else old - (old > number) for old in range(1, reference_count + 1)}
    prompt = renumber(whole.prompt, order) if isinstance(whole.prompt, str) else whole.prompt
    return replace(whole, prompt=prompt, left_out=number)


def _another(seed: Any) -> Any:
    """A seed that no picture of the cell of this seed has: what changes by it alone tells luck from the references."""
    assert PICTURES.maximum is not None and SEED.maximum is not None
    return (seed + int(PICTURES.maximum)) % (int(SEED.maximum) + 1) if isinstance(seed, int | float) else seed


def cells_of(
    variants: Sequence[Variant],
    rows: Sequence[Row],
    reference_count: int,
    values: Mapping[str, Any],
    draw_seed: Callable[[], int],
    problems: list[Problem],
) -> Iterator[PlannedCell]:
    """A cell for each variant and row; what is wrong with one goes to `problems` in its place."""
    for variant in variants:
        own = {name: value for name, value in values.items() if _has(variant, name)}
        for number, row in enumerate(rows):
            seed = {SEED.name: row.seed} if _has(variant, SEED.name) else {}
            count = reference_count - (row.left_out is not None)
            try:
                inputs = check(variant.id, row.prompt, count, own | seed, draw_seed)
                yield PlannedCell(inputs, number, row.left_out)
            except InputError as error:
                problems += error.problems


def _too_close(cells: Sequence[PlannedCell]) -> list[Problem]:
    """Seeds that would make a picture twice: where each picture is a prediction, those that follow are taken too."""
    taken: dict[tuple[Variant, int | None], int | None] = {}
    for inputs in (cell.inputs for cell in cells):
        for seed in inputs.seeds:
            other = taken.setdefault((inputs.variant, seed), inputs.seed)
            if other != inputs.seed:
                return [Problem("seeds", _TOO_CLOSE.format(other, inputs.seed, inputs.pictures))]
    return []


def _count(cells: Sequence[PlannedCell], reasons: Iterable[str]) -> list[Problem]:
    if len(cells) > MOST_CELLS:
        return [Problem("axis", f"At most {MOST_CELLS} runs are compared at once; these would be {len(cells)}.")]
    if len(cells) < FEWEST:
        why = " ".join((*reasons, "Choose another variant, or compare seeds or wordings."))
        return [Problem("variant_ids", f"There is nothing to compare. {why}")]
    return []
