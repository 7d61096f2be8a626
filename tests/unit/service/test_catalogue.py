"""What the service's catalogue and the registry disagree in is told, and nothing that it says does harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.catalog.variants import REGISTRY
from core.service.catalogue import MOST_DIFFERENCES, MOST_WORDS, differences, read
from core.service.redact import Redactor
from sandbox.server.rules import MODELS

KEY = "wsk_" + "0123456789abcdef" * 2
Change = Callable[[dict[str, Any]], object]


def entries() -> list[dict[str, Any]]:
    """The catalogue as the service sends it, to be changed at will."""
    return [json.loads(json.dumps(model.catalogue_entry())) for model in MODELS.values()]


def told(data: Any) -> list[str]:
    return differences(REGISTRY.values(), read(Redactor(KEY), data))


def schema(entry: dict[str, Any]) -> dict[str, Any]:
    return dict(entry["api_schema"]["api_schemas"][0]["request_schema"])


def rule(entry: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema(entry)["properties"][name]
    return found


def test_the_catalogue_of_june_agrees() -> None:
    """The sandbox states the rules a second time, from the service's pages: they are the registry's."""
    assert told(entries()) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda pro: pro.update(base_price=0.05), "the service lists $0.05, the registry says $0.04."),
        (lambda pro: pro.update(formula="base_price * steps"), "its price is now counted as base_price * steps."),
        (lambda pro: pro.update(model_id="another"), f"the service doesn't list {REGISTRY['pro'].model_id}."),
        (lambda pro: pro.update(api_schema={}), "what the service lists can't be read."),
        (lambda pro: rule(pro, "images").update(maxItems=9), "images takes at most 9, the registry says 5."),
        (lambda pro: rule(pro, "seed").update(minimum=0), "seed takes at least 0, the registry says -1."),
        (lambda pro: rule(pro, "aspect_ratio").update(enum=["1:1"]), "aspect_ratio is one of 1:1."),
        (
            lambda pro: schema(pro)["required"].append("mood"),
            "the service requires mood, which the registry doesn't have.",
        ),
        (lambda pro: schema(pro)["required"].append("aspect_ratio"), "the service now requires aspect_ratio."),
        (lambda pro: schema(pro)["properties"].pop("seed"), "the service has no seed any more."),
    ],
)
def test_each_difference_is_a_line(change: Change, sentence: str) -> None:
    """One thing changed at the service is one sentence, with what it says now and what the registry says."""
    data = entries()
    change(data[0])
    assert told(data) == [f"Pro: {sentence}"]


def test_its_words_are_cleaned() -> None:
    """A key, a line's end or a flood of names in the catalogue doesn't get into the log."""
    data = entries()
    data[0]["formula"] = f"{KEY}\nforged line" + "x" * 1000
    schema(data[0])["required"].extend(f"mood{n}" for n in range(1000))
    lines = told(data)
    assert len(lines) == MOST_DIFFERENCES
    assert all(KEY not in line and "\n" not in line and len(line) < 200 for line in lines)


def test_a_flood_is_not_read_through() -> None:
    """Of a million words a hundred are read, of a long one its beginning, and no number is written out for ever."""
    data = entries()
    data[1]["api_schema"]["api_schemas"][0]["request_schema"]["properties"] |= {f"mood{n}": {} for n in range(200)}
    rule(data[0], "guidance_scale")["maximum"] = Decimal("1E-999999999")
    rule(data[0], "aspect_ratio")["enum"] = [f"{n}:1" + "x" * 1_000_000 for n in range(200)]
    listed = read(Redactor(KEY), [*data, {**data[0], "model_id": "somebody/else"}])
    assert set(listed) == set(MODELS) and all(found and len(found.rules) <= MOST_WORDS for found in listed.values())
    assert sum(map(len, differences(REGISTRY.values(), listed))) < 12_000


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(["base_price", "formula", "api_schema"]), ANYTHING)
def test_whatever_stands_there_is_told_or_passed_over(name: str, value: Any) -> None:
    """Any value in any place is read, or said to be unreadable: never an error."""
    data = entries()
    data[0][name] = value
    told(data)
    data = entries()
    data[0]["api_schema"]["api_schemas"][0]["request_schema"]["properties"]["seed"] = value
    told(data)
