"""The inputs side of the page as one value: there and back, and what each variant is given of it."""

from __future__ import annotations

from typing import Any

import pytest
from gradio.data_classes import FileData
from hypothesis import given
from hypothesis import strategies as st

from core.catalog.inputs import check
from core.catalog.variants import ASPECT_RATIOS, REGISTRY
from core.errors import InputError
from ui.studio.form import AUTO, OWN, Form, plain_parameters
from ui.studio.references import Card

PLAIN = ("seed", "guidance_scale", "num_inference_steps", "output_format", "enable_safety_checker")
ALL = {
    "seed": 7,
    "guidance_scale": 4.0,
    "num_inference_steps": 30,
    "output_format": "png",
    "enable_safety_checker": False,
}


def card(role: str | None = None) -> Card:
    return Card(image=FileData(path="/nowhere/a.jpg"), role=role)


def form(variant_id: str = "pro", **changes: Any) -> Form:
    whole: dict[str, Any] = {
        "cards": [card("identity"), card()],
        "preset": "dress-a-person",
        "fields": ["a street", ""],
        "prompt": "make it red",
        "pictures": 2,
        "shape": AUTO,
        "width": 1024,
        "height": 768,
        "parameters": ALL,
    }
    return Form(variant_id=variant_id, **{**whole, **changes})


def test_the_plain_parameters_are_these() -> None:
    """What is laid out from its row: everything for people that has no control of its own."""
    assert tuple(plain_parameters()) == PLAIN
    assert all(row.on_page for row in plain_parameters().values())


@pytest.mark.parametrize("fields", [[], ["a"], ["a", "b", "c"]])
def test_a_form_comes_back_from_its_flat_list(fields: list[str]) -> None:
    """However many boxes the presets need."""
    whole = form(fields=fields)
    assert Form.read(whole.flat()) == whole


@given(st.lists(st.text(), max_size=4), st.text(), st.sampled_from(list(REGISTRY)), st.integers(1, 4))
def test_any_form_comes_back(fields: list[str], prompt: str, variant_id: str, pictures: int) -> None:
    """No two places of the list are mixed up, whatever stands in them."""
    whole = form(variant_id, fields=fields, prompt=prompt, pictures=pictures)
    assert Form.read(whole.flat()) == whole


def test_an_empty_prompt_box_is_empty_text() -> None:
    """Gradio hands over None for a box that was cleared by code."""
    flat = form(prompt="x").flat()
    flat[flat.index("x")] = None
    assert Form.read(flat).prompt == ""


def test_a_flat_list_of_another_length_is_refused() -> None:
    """A control that is forgotten in the page is an error, not a shift of all the others."""
    with pytest.raises(ValueError):
        Form.read(form(fields=[]).flat()[:-1])


def test_a_card_without_a_role_has_none() -> None:
    """An empty choice is no role."""
    assert form(cards=[card("identity"), card(""), card()]).roles == ["identity", None, None]


@pytest.mark.parametrize(
    ("variant_id", "names"),
    [
        ("pro", {"seed", "guidance_scale"}),
        ("max", {"guidance_scale"}),
        ("dev", {"seed", "guidance_scale", "num_inference_steps", "output_format"}),
        ("ultra-fast", set(PLAIN)),
    ],
)
def test_a_control_that_is_not_shown_has_no_say(variant_id: str, names: set[str]) -> None:
    """Only what the variant has, and the number of pictures, which every variant is asked for."""
    values = form(variant_id).values(REGISTRY[variant_id])
    assert values == {**{name: ALL[name] for name in names}, "num_images": 2}


@pytest.mark.parametrize("shape", [AUTO, OWN, *ASPECT_RATIOS])
@pytest.mark.parametrize("variant_id", REGISTRY)
def test_whatever_the_page_can_show_is_taken(variant_id: str, shape: str) -> None:
    """No choice of the shape picker makes a problem, also one left over from another variant."""
    whole = form(variant_id, shape=shape)
    inputs = check(variant_id, "x", 1, whole.values(REGISTRY[variant_id]), lambda: 1)
    assert inputs.pictures == 2


@pytest.mark.parametrize(
    ("variant_id", "shape", "sent"),
    [
        ("pro", AUTO, {}),
        ("pro", "16:9", {"aspect_ratio": "16:9"}),
        ("max", OWN, {}),
        ("dev", AUTO, {}),
        ("dev", "1:1", {"size": "1024*1024"}),
        ("dev", OWN, {"size": "1024*768"}),
        ("ultra-fast", OWN, {"size": "1024*768"}),
    ],
)
def test_a_shape_is_said_as_the_variant_takes_it(variant_id: str, shape: str, sent: dict[str, str]) -> None:
    """A ratio, a size, or nothing at all."""
    values = form(variant_id, shape=shape).values(REGISTRY[variant_id])
    assert {name: values[name] for name in ("aspect_ratio", "size") if name in values} == sent


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (1024.0, 768.0, "1024*768"),
        (None, 768, "*768"),
        (1024, None, "1024*"),
        (None, None, "*"),
        (1024.5, 768, "1024.5*768"),
        (-5, 768, "-5*768"),
        (float("nan"), 768, "nan*768"),
        (float("inf"), 768, "inf*768"),
    ],
)
def test_a_size_by_hand_goes_to_the_check_as_it_is(width: float | None, height: float | None, size: str) -> None:
    """Numbers of the browser lose their ".0"; an empty or impossible edge is named by the check, not guessed here."""
    values = form("dev", shape=OWN, width=width, height=height).values(REGISTRY["dev"])
    assert values["size"] == size
    if size != "1024*768":
        with pytest.raises(InputError, match="Size"):
            check("dev", "x", 1, values, lambda: 1)
