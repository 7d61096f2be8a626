"""What stops a press is said where it can be mended."""

from __future__ import annotations

from typing import Any

import pytest

from core.catalog.variants import REGISTRY
from core.errors import Problem
from ui.studio.form import AUTO, OWN, Form
from ui.studio.problems import placed


def form(**changes: Any) -> Form:
    values = {"shape": AUTO, "width": 1024, "height": 1024, **changes}
    return Form(cards=[], preset=None, fields=[], prompt="", variant_id="dev", pictures=1, parameters={}, **values)


@pytest.mark.parametrize("name", sorted({row.name for v in REGISTRY.values() for row in v.parameters if row.on_page}))
def test_each_parameter_has_a_place_of_its_own(name: str) -> None:
    """None is lost among the variants, where only the choice of the variant itself is wrong."""
    assert "variant" not in placed([Problem(name, "It is wrong.")], form())


@pytest.mark.parametrize(
    ("width", "height", "named"),
    [(100, 1024, ["width"]), (1024, 9999, ["height"]), (None, 512.5, ["width", "height"]), (256, 1537, ["height"])],
)
def test_a_size_is_said_at_its_edges(width: float | None, height: float | None, named: list[str]) -> None:
    """Of a custom size only the edge that does not fit, with what it takes."""
    found = placed([Problem("size", "…")], form(shape=OWN, width=width, height=height))
    assert found == {edge: f"{edge.capitalize()} must be a whole number from 256 to 1536." for edge in named}
