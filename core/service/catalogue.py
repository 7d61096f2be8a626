"""The service's own catalogue, read, and what of it differs from the registry.

Its shape was seen in real answers and is documented nowhere (O): what can't be read says so, and nothing depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from core.catalog.estimate import dollars
from core.catalog.variants import PICTURES, REGISTRY, SAFETY_PAGE, Parameter, Variant
from core.service.redact import Redactor

MOST_DIFFERENCES = 50
MOST_WORDS = 100  # of a model's parameters, and of the choices of one
LONGEST_WORD = 80
_MOST_DECIMALS = 12

_OURS = frozenset(row.model_id for row in REGISTRY.values())

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
    """The registry's models by id, None for one that can't be read; what is no list of models is an error of any kind.

    It is read on the event loop, so no more than `MOST_WORDS` of anything is looked at.
    """
    if not isinstance(data, list):
        raise TypeError("no list of models")
    known = [item for item in data if isinstance(item, Mapping) and isinstance(item.get("model_id"), str)]
    last = {item["model_id"]: item for item in known if item["model_id"] in _OURS}
    return {model_id: _listed(redactor, item) for model_id, item in last.items()}


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
        properties = islice(schema["properties"].items(), MOST_WORDS)
        rules = {_word(redactor, name): _read_rule(redactor, rule) for name, rule in properties}
        required = frozenset(_word(redactor, name) for name in islice(schema.get("required") or (), MOST_WORDS))
        formula = _word(redactor, item.get("formula"))
        return Listed(_number(item.get("base_price")), formula, rules, required)
    except (LookupError, TypeError, AttributeError, StopIteration):
        return None


def _read_rule(redactor: Redactor, rule: Mapping[str, Any]) -> Rule:
    low, high = ("minItems", "maxItems") if "maxItems" in rule else ("minimum", "maximum")
    choices = tuple(_word(redactor, one) for one in islice(rule.get("enum") or (), MOST_WORDS))
    return Rule((_number(rule.get(low)), _number(rule.get(high))), choices)


def _word(redactor: Redactor, said: Any) -> str:
    return redactor.line(said[: 10 * LONGEST_WORD] if isinstance(said, str) else "", LONGEST_WORD)


def _number(value: Any) -> Decimal | None:
    """A number that can be written out: 1E-999999999 has a gigabyte of zeros."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value))
    if not number.is_finite() or abs(number) >= 10**12:
        return None
    return number if number == round(number, _MOST_DECIMALS) else None
