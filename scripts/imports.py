"""The rooms of the house and what they import of each other, read from the source of every file.

What stands under `if TYPE_CHECKING` never runs: it is not among the imports unless it is asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]

# From the top down: a module imports from its own room and from rooms below it.
ROOMS = (
    "app",
    "ui",
    "core.backend",
    "core.storage",
    "sandbox",  # imports nothing of ours; stands here, so that the backend alone knows it
    "core.trials",
    "core.comparisons",
    "core.access",
    "core.runs",
    "core.ledger",
    "core.service",
    "core.pictures",
    "core.prompts",
    "core.statistics",
    "core.catalog",
    "core.settings",
    "core.errors",
)
LEVEL = {room: level for level, room in enumerate(reversed(ROOMS))}


def modules() -> dict[str, Path]:
    """Every module of the app by its dotted name."""
    files = [HOME / "app.py", *(file for top in ("core", "sandbox", "ui") for file in HOME.glob(f"{top}/**/*.py"))]
    return {dotted(file): file for file in files}


def dotted(file: Path) -> str:
    parts = file.relative_to(HOME).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = modules()


def imported(source: str, *, types: bool) -> Iterator[str]:
    """Every module that a source imports, wherever in it; `types`: with those that are there for the types alone.

    `from core.runs import outcomes` imports core.runs.outcomes, and `from core.runs.outcomes import again` as well.
    """
    nodes = list(ast.walk(ast.parse(source)))
    unseen = [node for node in nodes if isinstance(node, ast.If) and is_type_checking(node.test)]
    hidden = {id(inner) for node in unseen for branch in node.body for inner in ast.walk(branch)}
    for node in nodes:
        if id(node) in hidden and not types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full, so that they can be read without knowing the folder"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else str(node.module) for name in full)


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


@cache
def imports(module: str, *, types: bool = False) -> frozenset[str]:
    return frozenset(imported(MODULES[module].read_text("utf-8"), types=types))


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES}


def room(module: str) -> str:
    """The entry of ROOMS that a module belongs to."""
    return next(room for room in ROOMS if under(module, room))


def under(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def arrows() -> dict[str, set[str]]:
    """Which rooms each room imports from."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module in sorted(set(MODULES) - {"core"}):
        found[room(module)] |= {room(name) for name in ours(module)} - {room(module)}
    return found
