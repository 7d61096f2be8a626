"""Cases and drafts between the page and the trial: a case from what was made or set, a draft as it is edited."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pydantic

from core.catalog.estimate import dollars, in_micros
from core.catalog.inputs import size_for
from core.catalog.limits import PROMPT_CHARACTERS
from core.catalog.variants import ASPECT_RATIO, PICTURES, REGISTRY, SEED, SIZE
from core.comparisons.comparison import AXES
from core.errors import InputError, KontextError, Problem
from core.ledger.trials import Case, Spec
from core.pictures.reference import Reference
from core.statistics.planner import count, what_it_buys
from core.trials.trial import FEWEST_VARIANTS, MOST_CASES, MOST_VARIANTS, plan

_FIELDS = ("title", "question", "judges", "margin", "closes_at", "variants")
_APART = {SEED.name, PICTURES.name, *AXES}
_TWICE = [SEED.default] * 2  # two seeds, drawn when it is sealed

STALE = "This trial was changed elsewhere meanwhile. Here it is as it stands now."


class _Case(pydantic.BaseModel):
    at: int
    two: bool
    prompt: str | None = pydantic.Field(None, max_length=2 * PROMPT_CHARACTERS)


class _Draft(pydantic.BaseModel):
    title: str
    question: str
    variants: list[str]
    judges: int
    margin: int
    closes_at: pydantic.AwareDatetime | None
    cases: list[_Case] = pydantic.Field(max_length=MOST_CASES)
    mark: str


def case_of(prompt: str, references: Sequence[Reference], values: Mapping[str, Any]) -> Case:
    """A case from the inputs of one run. A shape that is asked for as a ratio is asked of all variants."""
    told = {name: value for name, value in values.items() if name not in _APART and value is not None}
    if shape := told.get(ASPECT_RATIO.name):
        told.setdefault(SIZE.name, size_for(shape))
    return Case(prompt, tuple(references), told)


def fitting(spec: Spec) -> Spec:
    """The same without parameters that none of its variants has."""
    known = {row.name for id in spec.variants if id in REGISTRY for row in REGISTRY[id].parameters} | {"seeds"}
    return replace(
        spec,
        cases=tuple(
            replace(case, parameters={name: value for name, value in case.parameters.items() if name in known})
            for case in spec.cases
        ),
    )


def mark_of(spec: Spec) -> str:
    """Tells whether cases are those that an editing page knows."""
    told = [(case.prompt, [one.sha256 for one in case.references], dict(case.parameters)) for case in spec.cases]
    return hashlib.sha256(repr(told).encode("utf-8", "replace")).hexdigest()


def edited(spec: Spec, told: object) -> Spec:
    """The draft as it was edited on a page, which names its cases by their places in the draft.

    Raises:
        KontextError: it was changed elsewhere meanwhile, or no page of ours sends this.
    """
    try:
        draft = _Draft.model_validate(told)
    except pydantic.ValidationError:
        raise KontextError("This can't be saved as it is.", "Check the numbers and the date.") from None
    if draft.mark != mark_of(spec) or not all(0 <= case.at < len(spec.cases) for case in draft.cases):
        raise KontextError(STALE)
    cases = tuple(_edited_case(spec.cases[case.at], case) for case in draft.cases)
    rules = draft.model_dump(include={*_FIELDS} - {"variants"})
    return replace(spec, **rules, variants=tuple(id for id in REGISTRY if id in draft.variants), cases=cases)


def _edited_case(case: Case, told: _Case) -> Case:
    parameters = {name: value for name, value in case.parameters.items() if name != "seeds"}
    parameters |= {"seeds": _TWICE} if told.two else {}
    return replace(case, prompt=case.prompt if told.prompt is None else told.prompt, parameters=parameters)


def planned(spec: Spec, prices: Mapping[str, Decimal], *, practice: bool) -> dict[str, Any]:
    """What a draft would make, cost and bring, in words, and everything that keeps it from being sealed.

    `prices`: of a picture by variant, where the account's own are known.
    """
    takes, variants = sum(case.takes for case in spec.cases), [REGISTRY[id] for id in spec.variants if id in REGISTRY]
    pictures, listed = takes * len(variants), sum((row.price for row in variants), Decimal()) * takes
    total = sum((prices.get(row.id, row.price) for row in variants), Decimal()) * takes
    twice = takes - len(spec.cases)
    cost = f"free in practice mode, {dollars(total)} with a key" if practice else dollars(total)
    beside = "" if total == listed else f", list {dollars(listed)}"
    cases = f"{count(len(spec.cases), 'case')}{f' ({twice} of them twice)' if twice else ''}"
    enough = pictures and FEWEST_VARIANTS <= len(variants) <= MOST_VARIANTS
    what = count(pictures, "practice picture" if practice else "picture") if pictures else "the pictures"
    sum_of = f"{cases} × {count(len(variants), 'variant')} = {count(pictures, 'picture')} · {cost}{beside}"
    return {
        "line": sum_of if pictures else "Add cases and choose variants to see what it costs and what it can tell.",
        "buys": what_it_buys(len(spec.cases), spec.judges, len(variants), practice=practice) if enough else "",
        "total": f"{total:.6f}",
        "spends": 0 if practice else in_micros(total),
        "price": dollars(total),
        "seal": f"Seal and make {what}{'' if practice or not pictures else f' for {dollars(total)}'}",
        "problems": placed(_problems(spec)),
    }


def _problems(spec: Spec) -> Sequence[Problem]:
    try:
        plan(fitting(spec), lambda: 0, datetime.now(UTC))
    except InputError as error:
        return error.problems
    return ()


def placed(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """Each problem's sentence, and the field of the page at which it is said."""
    return [{"field": _field(problem), "message": problem.message} for problem in problems]


def _field(problem: Problem) -> str:
    case = re.match(r"Case (\d+): ", problem.message)
    return f"case-{case[1]}" if case else problem.parameter if problem.parameter in _FIELDS else "cases"


def settings_of(case: Case) -> str:
    """The parameters of a case in a line."""
    rows = {row.name: row.label for variant in REGISTRY.values() for row in variant.parameters}
    return " · ".join(_told(case.parameters, rows))


def _told(parameters: Mapping[str, Any], rows: Mapping[str, str]) -> Iterator[str]:
    for name, value in parameters.items():
        if name in rows and not (name == SIZE.name and ASPECT_RATIO.name in parameters):
            yield f"{rows[name]} {value}"
