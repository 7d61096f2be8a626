"""The tree of errors: every kind on it is one that something raises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from core import errors

HOME = Path(__file__).parents[2]
KINDS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.KontextError) and kind is not errors.KontextError
}


def made() -> Iterator[str]:
    """Every name that our code calls, or hands to a call that makes the error itself."""
    for folder in ("core", "ui"):
        for file in (HOME / folder).rglob("*.py"):
            calls = (node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call))
            for call in calls:
                tests = isinstance(call.func, ast.Name) and call.func.id in ("isinstance", "issubclass")
                named = [call.func] if tests else [call.func, *call.args]
                yield from (node.id for node in named if isinstance(node, ast.Name))


def test_every_kind_of_error_is_raised_somewhere() -> None:
    """One that nothing makes is not on the tree: whoever catches it would wait in vain."""
    assert KINDS - set(made()) == set()


def test_the_drawing_has_every_kind() -> None:
    """The tree at the top of the module is the tree below it."""
    assert KINDS - set(re.findall(r"\w+", str(errors.__doc__))) == set()
