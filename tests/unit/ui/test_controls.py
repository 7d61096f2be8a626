"""The page's own controls: what is set, what the checks get, and what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.catalog.inputs import check
from core.errors import InputError
from ui.studio.controls import SeedBox, ShapePicker
from ui.studio.form import AUTO, OWN

BOX = SeedBox()


@pytest.mark.parametrize("typed", ["", "  ", None])
def test_an_empty_box_is_no_seed(typed: str | None) -> None:
    """Not zero, which would make the same picture each time."""
    assert BOX.preprocess(typed) is None
    assert BOX.postprocess(None) == ""


@given(st.integers())
def test_a_number_comes_back(seed: int) -> None:
    """Shown and typed again it is the same, blanks around it or not."""
    assert BOX.preprocess(f" {BOX.postprocess(seed)} ") == seed


@pytest.mark.parametrize("typed", ["seven", "4.5", "1e3", "0x10", "9" * 5000])
def test_anything_else_is_named_by_the_checks(typed: str) -> None:
    """It is refused with the range, and nothing is guessed."""
    with pytest.raises(InputError, match="whole number from -1 to 2147483647"):
        check("pro", "make it red", 1, {"seed": BOX.preprocess(typed)}, lambda: 7)


@pytest.mark.parametrize(
    ("picked", "shape"), [(OWN, OWN), ("16:9", "16:9"), (AUTO, AUTO), ("7:5", AUTO), (None, AUTO), ([], AUTO)]
)
def test_a_shape_of_another_variant_is_no_fault(picked: object, shape: str) -> None:
    """In the moment of a change the page still sends what the last variant had; what nobody has is no shape."""
    assert ShapePicker([("As it comes", AUTO)], value=AUTO).preprocess(picked) == shape
