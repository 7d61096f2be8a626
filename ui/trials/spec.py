"""A trial as programs send it. Only its shape is checked here; what it asks for is checked where it is planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pydantic

from core.catalog.limits import MOST_PROBLEMS
from core.errors import InputError, Problem
from core.ledger.trials import Case, Spec
from core.pictures.reference import Reference

MOST_IMAGES = 100  # for all cases together
MOST_USD = 1000.0
UNPREPARED = Reference(Path(), "", "", 0, 0)  # in the place of a picture, where only their number matters as yet


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class _Case(_Table):
    prompt: str
    images: list[int]
    roles: list[str | None] | None = None
    parameters: dict[str, Any] = pydantic.Field(default_factory=dict)


class _Spec(_Table):
    title: str
    question: str
    variants: list[str]
    cases: list[_Case]
    judges: int = Spec.judges
    margin: int = Spec.margin
    min_cases: int = Spec.min_cases
    min_judges: int = Spec.min_judges
    closes_at: pydantic.AwareDatetime | None = pydantic.Field(None, strict=False)
    confirm_usd: pydantic.FiniteFloat = pydantic.Field(ge=0, le=MOST_USD)


def read(given: Any, images: Sequence[Reference]) -> tuple[Spec, Decimal]:
    """A trial, and the total that is confirmed, from what a program sends; cases name their images from 0 on.

    Raises:
        InputError: it has another shape; every place that has is named.
    """
    try:
        told = _Spec.model_validate(given)
    except pydantic.ValidationError as error:
        raise InputError([_in_words(one) for one in error.errors()[:MOST_PROBLEMS]]) from None
    strangers = [problem for number, case in enumerate(told.cases, 1) for problem in _strangers(case, number, images)]
    if strangers:
        raise InputError(strangers[:MOST_PROBLEMS])
    cases = tuple(Case(case.prompt, tuple(_references(case, images)), case.parameters) for case in told.cases)
    rules = told.model_dump(exclude={"cases", "variants", "confirm_usd"})
    return Spec(**rules, variants=tuple(told.variants), cases=cases), _exact(told.confirm_usd)


def _in_words(error: Mapping[str, Any]) -> Problem:
    key = ".".join(str(part)[:40] for part in ("spec", *error["loc"]))
    return Problem(key, f"{key}: {error['msg'][:1].lower()}{error['msg'][1:]}.")


def _strangers(case: _Case, number: int, images: Sequence[Reference]) -> Iterator[Problem]:
    for index in case.images:
        if not 0 <= index < len(images):
            sentence = f"Case {number} names image {index}; the {len(images)} images are numbered from 0."
            yield Problem("images", sentence)
    if case.roles is not None and len(case.roles) != len(case.images):
        yield Problem("roles", f"Case {number} has {len(case.roles)} roles for {len(case.images)} images.")


def _references(case: _Case, images: Sequence[Reference]) -> Iterator[Reference]:
    for index, role in zip(case.images, case.roles or [None] * len(case.images), strict=True):
        yield replace(images[index], role=role)


def _exact(usd: float) -> Decimal:
    """Sums of floats carry noise far behind the last digit of any price."""
    return Decimal(str(round(usd, 6)))
