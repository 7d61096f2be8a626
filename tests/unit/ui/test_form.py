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
from ui.studio.compare import Compare, read
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


def compared(variant_id: str = "pro", parameters: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """What is asked of a comparison of all variants, with nothing changed but what is given."""
    untouched = {name: None if name == "seed" else row.default for name, row in plain_parameters().items()}
    chosen = {"on": True, "variants": tuple(REGISTRY), **rest.pop("compare", {})}
    given = {"parameters": untouched | (parameters or {}), "pictures": 1, **rest}
    return form(variant_id, compare=Compare(**chosen), **given).compared()


def test_what_nobody_touched_is_each_variant_s_own() -> None:
    """A slider at the default of the variant before says nothing; moved, it speaks for all that have it."""
    assert compared() == {"num_images": 1}
    assert compared("dev") == {"guidance_scale": 3.5}
    assert compared(parameters={"guidance_scale": 4.0, "num_inference_steps": 30}, pictures=3) == {
        "guidance_scale": 4.0,
        "num_inference_steps": 30,
        "num_images": 3,
    }
    assert compared(shape="1:1") == {"aspect_ratio": "1:1", "size": "1024*1024", "num_images": 1}
    assert "size" not in compared(shape=OWN, compare={"variants": ("pro", "max")})


@pytest.mark.parametrize(
    ("compare", "values"),
    [
        ({"axis": "seeds", "seeds": ("7", " "), "wordings": ("x",)}, {"seeds": [7, -1]}),
        ({"axis": "seeds", "seeds": ("many", "-3", "٣")}, {"seeds": ["many", "-3", 3]}),
        ({"axis": "prompts", "wordings": ("make it blue",)}, {"prompts": ["make it red", "make it blue"]}),
        ({"axis": "leave_one_out"}, {"leave_one_out": True}),
        ({"axis": "variants"}, {"seed": 7}),
    ],
)
def test_a_second_axis_takes_the_place_of_its_parameter(compare: dict[str, Any], values: dict[str, Any]) -> None:
    """As the plan takes it: an empty seed is drawn, what is no number is named by the check, the prompt goes first."""
    found = compared(parameters={"seed": 7}, compare=compare)
    assert {name: found[name] for name in values} == values
    assert ("seed" in found) == ("seeds" not in found)


@pytest.mark.parametrize(
    "claim",
    [
        None,
        "on",
        {"on": True, "seeds": ["1"]},
        {"on": True, "seeds": ["1"] * 5},
        {"on": True, "seeds": ["1", "2" * 13]},
        {"on": True, "wordings": []},
        {"on": True, "wordings": ["x" * 20_001]},
        {"on": True, "axis": "trial"},
        {"on": True, "variants": ["pro"] * 5},
    ],
)
def test_what_no_page_of_ours_holds_compares_nothing(claim: object) -> None:
    """What comes from a browser is a claim; past a limit it is switched off."""
    assert read(claim) == Compare()


def test_a_choice_is_read_in_the_registry_s_order() -> None:
    """Variants that there are not fall out, and the rest stands as the sum counts it."""
    assert read({"on": True, "variants": ["dev", "nano", "pro"]}).variants == ("pro", "dev")
