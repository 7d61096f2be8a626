"""The service's own catalogue, read, and what of it differs from the registry.

Its shape was seen in real answers and is documented nowhere (O): what can't be read says so, and nothing depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.catalog.estimate import dollars
from core.catalog.variants import PICTURES, SAFETY_PAGE, Parameter, Variant
from core.service.redact import Redactor

MOST_DIFFERENCES = 50
LONGEST_WORD = 80

Bounds = tuple[Decimal | None, Decimal | None]


@dataclass(frozen=True)
class Rule:
    """What the catalogue says of one parameter: its bounds (of a list: the items in it) and its choices, where any."""

    bounds: Bounds
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Listed:
    """One model. `price` in USD, None where it can't be read; `formula` is "" where a run has one price."""

    price: Decimal | None
    formula: str
    rules: Mapping[str, Rule]
    required: frozenset[str]


def read(redactor: Redactor, data: Any) -> dict[str, Listed | None]:
    """By model id, None for one that can't be read; whatever is no list of models is an error of any kind."""
    if not isinstance(data, list):
        raise TypeError("no list of models")
    known = [item for item in data if isinstance(item, Mapping) and isinstance(item.get("model_id"), str)]
    return {item["model_id"]: _listed(redactor, item) for item in known}


def differences(rows: Iterable[Variant], catalogue: Mapping[str, Listed | None]) -> list[str]:
    """A sentence for each thing in which the catalogue and these rows of the registry disagree."""
    return [f"{row.name}: {sentence}" for row in rows for sentence in _told(row, catalogue)][:MOST_DIFFERENCES]


def _told(row: Variant, catalogue: Mapping[str, Listed | None]) -> Iterator[str]:
    if row.model_id not in catalogue:
        yield f"the service doesn't list {row.model_id}."
    elif (listed := catalogue[row.model_id]) is None:
        yield "what the service lists can't be read."
    else:
        yield from _price(row, listed)
        yield from _parameters(row, listed)


def _price(row: Variant, listed: Listed) -> Iterator[str]:
    if listed.price is not None and listed.price != row.price:
        yield f"the service lists {dollars(listed.price)}, the registry says {dollars(row.price)}."
    expected = {"base_price", PICTURES.name} if row.pictures_in_one_prediction else {"base_price"}
    if listed.formula and set(re.findall(r"[A-Za-z_]\w*", listed.formula)) != expected:
        yield f"its price is now counted as {listed.formula}."


def _parameters(row: Variant, listed: Listed) -> Iterator[str]:
    for name in sorted(listed.required):
        known = row.parameter(name)
        if known is None:
            yield f"the service requires {name}, which the registry doesn't have."
        elif not known.required and known.default is None:
            yield f"the service now requires {name}."
    for known in row.parameters:
        if known.name in listed.rules:
            yield from _rule(known, listed.rules[known.name])
        elif known.source != SAFETY_PAGE:  # the catalogue leaves that one out
            yield f"the service has no {known.name} any more."


def _rule(row: Parameter, rule: Rule) -> Iterator[str]:
    ours = (row.minimum, row.maximum)
    for which, told, own in zip(("at least", "at most"), rule.bounds, ours, strict=True):
        # A bound of a text is ours alone.
        if told is not None and own is not None and row.kind != "text" and told != Decimal(str(own)):
            yield f"{row.name} takes {which} {told:f}, the registry says {own}."
    if rule.choices and row.kind == "choice" and set(rule.choices) != set(row.choices):
        yield f"{row.name} is one of {', '.join(rule.choices)}."


def _listed(redactor: Redactor, item: Mapping[str, Any]) -> Listed | None:
    try:
        schema = next(one["request_schema"] for one in item["api_schema"]["api_schemas"] if "request_schema" in one)
        rules = {
            redactor.line(name, LONGEST_WORD): _read_rule(redactor, rule) for name, rule in schema["properties"].items()
        }
        required = frozenset(redactor.line(name, LONGEST_WORD) for name in schema.get("required") or ())
        formula = redactor.line(item.get("formula"), LONGEST_WORD)
        return Listed(_number(item.get("base_price")), formula, rules, required)
    except (LookupError, TypeError, AttributeError, StopIteration):
        return None


def _read_rule(redactor: Redactor, rule: Mapping[str, Any]) -> Rule:
    low, high = ("minItems", "maxItems") if "maxItems" in rule else ("minimum", "maximum")
    choices = tuple(redactor.line(one, LONGEST_WORD) for one in rule.get("enum") or ())
    return Rule((_number(rule.get(low)), _number(rule.get(high))), choices)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() and abs(number) < 10**12 else None
