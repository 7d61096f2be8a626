"""The rules of the house about imports, read from the source of every file.

What stands under `if TYPE_CHECKING` never runs. It may point against the order and closes no circle, but a name that
core must not know it must not know there either.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]

# From the top down: a module imports from its own room and from rooms below it.
ROOMS = (
    "app",
    "ui",
    "core.backend",
    "core.storage",
    "sandbox",  # imports nothing of ours; stands here, so that the backend alone knows it
    "core.trials",
    "core.access",
    "core.runs",
    "core.ledger",
    "core.service",
    "core.pictures",
    "core.prompts",
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
    tree = ast.parse(source)
    unseen = [node for node in ast.walk(tree) if isinstance(node, ast.If) and is_type_checking(node.test)]
    hidden = {id(inner) for node in unseen for branch in node.body for inner in ast.walk(branch)}
    for node in ast.walk(tree):
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


def imports(module: str, *, types: bool = False) -> set[str]:
    return set(imported(MODULES[module].read_text("utf-8"), types=types))


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES}


def room(module: str) -> str:
    """The entry of ROOMS that a module belongs to."""
    return next(room for room in ROOMS if under(module, room))


def under(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


CORE = sorted(name for name in MODULES if under(name, "core"))
SANDBOX = sorted(name for name in MODULES if under(name, "sandbox"))


@pytest.mark.parametrize("module", CORE)
def test_core_knows_neither_gradio_nor_the_page(module: str) -> None:
    """Core can be used from a script: nothing in it imports gradio, ui or app, not even for a type."""
    foreign = {name for name in imports(module, types=True) if name.split(".")[0] in ("gradio", "ui", "app")}
    assert not foreign


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"core"}))
def test_imports_run_one_way(module: str) -> None:
    """No module imports from a room above its own, and each has a room."""
    upward = {name for name in ours(module) if LEVEL[room(name)] > LEVEL[room(module)]}
    assert not upward


def test_core_itself_is_empty() -> None:
    """The package is imported with each of its modules, so it imports none."""
    assert not ours("core")


def test_there_is_no_circle() -> None:
    """No chain of imports comes back to where it began."""
    try:
        TopologicalSorter({name: ours(name) for name in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", SANDBOX)
def test_the_sandbox_imports_nothing_of_ours(module: str) -> None:
    """The sandbox knows the contract by itself, or a wrong range would agree with itself."""
    names = imports(module, types=True)
    assert not {name for name in names if name.split(".")[0] in ("app", "core", "ui")}


@pytest.mark.parametrize(
    ("source", "found", "with_types"),
    [
        ("import core.runs.outcomes", {"core.runs.outcomes"}, {"core.runs.outcomes"}),
        ("from core.runs import outcomes", {"core.runs.outcomes"}, {"core.runs.outcomes"}),
        ("from core.runs.outcomes import again", {"core.runs.outcomes"}, {"core.runs.outcomes"}),
        ("def late():\n    import gradio as gr", {"gradio"}, {"gradio"}),
        ("if TYPE_CHECKING:\n    import ui", set(), {"ui"}),
        ("if TYPE_CHECKING:\n    import ui\nelse:\n    import app", {"app"}, {"app", "ui"}),
    ],
)
def test_every_way_to_import_is_seen(source: str, found: set[str], with_types: set[str]) -> None:
    """The reading finds imports in functions and of submodules, and tells those for types apart."""
    assert set(imported(source, types=False)) == found
    assert set(imported(source, types=True)) == with_types


def test_requirements_name_what_is_imported() -> None:
    """Each package that the app imports stands in requirements.txt with an exact version, and no other does.

    But for sniffio, which httpcore imports where it finds it, and searches for where it does not.
    """
    lines = (HOME / "requirements.txt").read_text("utf-8").splitlines()
    required = [line.split("#")[0].strip() for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in required)
    foreign = {name.split(".")[0] for module in MODULES for name in imports(module)} - {"app", "core", "sandbox", "ui"}
    homes = packages_distributions()
    packages = {canonical(home) for name in foreign - sys.stdlib_module_names for home in homes[name]}
    assert packages | {"sniffio"} == {canonical(line.split("==")[0]) for line in required}


def canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
