"""The registry against the published table, written down here a second time by hand."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import pytest

from core.catalog.variants import REFERENCE_LIMIT, REGISTRY, Parameter, Variant

FAMILY = "wavespeed-ai/flux-kontext-"
RATIOS = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
FORMATS = ("jpeg", "png", "webp")

#        variant       model id                price    references  seconds
FACTS = {
    "pro": ("pro/multi", "0.04", 5, None),
    "max": ("max/multi", "0.08", 5, None),
    "dev": ("dev/multi", "0.03", 4, 17),
    "ultra-fast": ("dev/multi-ultra-fast", "0.025", 4, None),
}

# Every cell: (minimum, maximum, step, default); choices with their default; or "-" where the variant has no such thing.
ABSENT = "-"
SEED = (-1, 2147483647, 1, -1)
PARAMETERS: dict[str, tuple[Any, Any, Any, Any]] = {
    #                         pro                  max                  dev                  ultra-fast
    "seed": (SEED, ABSENT, SEED, SEED),
    "guidance_scale": ((1, 20, 0.1, 3.5), (1, 20, 0.1, 3.5), (1, 20, 0.1, 2.5), (1, 20, 0.1, 2.5)),
    "aspect_ratio": ((RATIOS, None), (RATIOS, None), ABSENT, ABSENT),
    "size": (ABSENT, ABSENT, (256, 1536, 16, None), (256, 1536, 16, None)),
    "num_inference_steps": (ABSENT, ABSENT, (1, 50, 1, 28), (1, 50, 1, 28)),
    "num_images": (ABSENT, ABSENT, (1, 4, 1, 1), (1, 4, 1, 1)),
    "output_format": (ABSENT, ABSENT, (FORMATS, "jpeg"), (FORMATS, "jpeg")),
    "enable_base64_output": (ABSENT, ABSENT, False, False),
    "enable_safety_checker": (ABSENT, ABSENT, ABSENT, True),
    "enable_sync_mode": (False, False, False, False),
}
CELLS = [
    (variant_id, name, cell)
    for name, row in PARAMETERS.items()
    for variant_id, cell in zip(("pro", "max", "dev", "ultra-fast"), row, strict=True)
]
KINDS = {
    "prompt": "text",
    "images": "references",
    "seed": "integer",
    "guidance_scale": "number",
    "aspect_ratio": "choice",
    "size": "size",
    "num_inference_steps": "integer",
    "num_images": "integer",
    "output_format": "choice",
    "enable_base64_output": "boolean",
    "enable_safety_checker": "boolean",
    "enable_sync_mode": "boolean",
}
ROWS = [(variant, row) for variant in REGISTRY.values() for row in variant.parameters]


def cell_of(row: Parameter | None) -> Any:
    """A row in the notation of the table above."""
    if row is None:
        return ABSENT
    if row.kind == "boolean":
        return row.default
    if row.kind == "choice":
        return (row.choices, row.default)
    return (row.minimum, row.maximum, row.step, row.default)


def test_there_are_four_variants() -> None:
    """The four ids of the API, in the order in which the page shows them."""
    assert list(REGISTRY) == ["pro", "max", "dev", "ultra-fast"]


@pytest.mark.parametrize(("variant_id", "facts"), FACTS.items())
def test_each_column_has_its_head(variant_id: str, facts: tuple[str, str, int, int | None]) -> None:
    """Model id, price, number of references and published time are the table's."""
    row = REGISTRY[variant_id]
    model, price, limit, seconds = facts
    assert (row.id, row.model_id, row.reference_limit) == (variant_id, FAMILY + model, limit)
    assert row.price == Decimal(price)
    assert row.published_seconds == seconds


@pytest.mark.parametrize(("variant_id", "name", "cell"), CELLS)
def test_each_cell_is_the_tables(variant_id: str, name: str, cell: Any) -> None:
    """Range, step, choices and default, or that there is no such parameter."""
    assert cell_of(REGISTRY[variant_id].parameter(name)) == cell


@pytest.mark.parametrize("variant", REGISTRY.values(), ids=lambda variant: variant.id)
def test_no_column_has_more_than_the_table(variant: Variant) -> None:
    """Nothing is offered that would be paid for and dropped, and nothing is listed twice."""
    position = list(REGISTRY).index(variant.id)
    there = {name for name, row in PARAMETERS.items() if row[position] != ABSENT}
    names = [row.name for row in variant.parameters]
    assert sorted(names) == sorted({"prompt", "images", *there})


@pytest.mark.parametrize("variant", REGISTRY.values(), ids=lambda variant: variant.id)
def test_prompt_and_references_are_required(variant: Variant) -> None:
    """Both, and only both; an empty list of references would bill a picture of strangers."""
    assert {row.name for row in variant.parameters if row.required} == {"prompt", "images"}
    images = variant.parameter("images")
    assert images is not None and images.minimum == 1


@pytest.mark.parametrize(("variant", "row"), ROWS, ids=lambda value: getattr(value, "name", ""))
def test_each_row_is_of_its_kind(variant: Variant, row: Parameter) -> None:
    """The kind is the table's, and what goes with it is there: bounds for numbers, choices for choices."""
    assert row.kind == KINDS[row.name]
    bounded = row.kind in ("integer", "number", "size", "references")
    assert (row.minimum is not None and row.maximum is not None) is bounded
    assert bool(row.choices) is (row.kind == "choice")


@pytest.mark.parametrize(("variant", "row"), ROWS, ids=lambda value: getattr(value, "name", ""))
def test_each_row_speaks_for_itself(variant: Variant, row: Parameter) -> None:
    """A label and a whole sentence of help for people, and where the fact was read."""
    assert row.label[0].isupper() and row.help.endswith(".")
    assert "(" in row.source and "D" in row.source


def test_only_what_programs_need_is_off_the_page() -> None:
    """A person is shown everything but how the answer travels."""
    assert {row.name for _, row in ROWS if not row.on_page} == {"enable_base64_output", "enable_sync_mode"}


@pytest.mark.parametrize(
    ("variant_id", "several"), [("pro", False), ("max", False), ("dev", True), ("ultra-fast", True)]
)
def test_who_makes_several_pictures_at_once(variant_id: str, several: bool) -> None:
    """dev and ultra-fast make them in one prediction, pro and max one a prediction."""
    assert REGISTRY[variant_id].pictures_in_one_prediction is several


def test_the_gallery_holds_what_the_largest_takes() -> None:
    """Five, the most that any variant takes."""
    assert REFERENCE_LIMIT == 5


def test_the_registry_cannot_be_changed() -> None:
    """Rows and mapping are read-only: no visitor's request can move a price."""
    with pytest.raises(TypeError):
        REGISTRY["free"] = REGISTRY["pro"]  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        REGISTRY["pro"].price = Decimal(0)  # type: ignore[misc]


def test_the_nouns_are_those_of_the_prompting_guides() -> None:
    """pro and max are told of images, dev and ultra-fast of references."""
    assert [row.noun for row in REGISTRY.values()] == ["image", "image", "reference", "reference"]
