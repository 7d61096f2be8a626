"""The house stays one that can be read: short functions, and a drawing of its rooms that is true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations
from statistics import median, quantiles
from xml.etree import ElementTree

import pytest

from scripts.imports import HOME, MODULES, arrows
from scripts.rooms import PICTURE, PLACES, boxes, described, svg

SVG = "{http://www.w3.org/2000/svg}"
LAYOUT = "ui.studio.page.build"  # lists what is on the page, from the top down; no logic to take apart


def functions() -> Iterator[tuple[str, int]]:
    """Every function by its full name, and its lines."""
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{module}.{node.name}", node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    """Half have at most 10 lines, nine in ten at most 20, and only the page's layout more than 60."""
    lengths = [lines for _, lines in functions()]
    assert median(lengths) <= 10
    assert quantiles(lengths, n=10)[-1] <= 20
    assert {name for name, lines in functions() if lines > 60} <= {LAYOUT}


def test_the_drawing_is_of_this_house() -> None:
    """docs/rooms.svg names each room and each arrow as they are, and no module of old; `make readme` draws it anew."""
    drawing = ElementTree.fromstring(PICTURE.read_text("utf-8"))
    assert drawing.findtext(f"{SVG}desc", "").strip() == described()
    lines = [line.text or "" for line in drawing.iter(f"{SVG}text") if line.get("class") == "modules"]
    known = {part for module in MODULES for part in module.split(".")}
    assert {word.strip("/") for line in lines for word in line.split()} <= known


def test_every_room_has_a_place() -> None:
    """No room lies on another, and every arrow points down, or to the side."""
    assert set(PLACES) == set(arrows())
    assert all(PLACES[source][0] <= PLACES[target][0] for source, targets in arrows().items() for target in targets)
    for one, other in combinations(boxes().values(), 2):
        apart = one.y + one.height < other.y or other.y + other.height < one.y
        assert apart or one.x + one.width < other.x or other.x + other.width < one.x
    ElementTree.fromstring(svg())


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_pages_name_what_is_there(page: str) -> None:
    """Each file and folder that a page for developers names in code is one."""
    words = (HOME / page).read_text("utf-8").split("`")[1::2]
    paths = [word for word in words if "/" in word and " " not in word and not word.startswith(("http", ".", "/"))]
    assert paths
    assert not [path for path in paths if not (HOME / path).exists()]
