"""The rules of the house about imports, read from the source of every file.

What stands under `if TYPE_CHECKING` never runs. It may point against the order and closes no circle, but a name that
core must not know it must not know there either.
"""

from __future__ import annotations

import re
import sys
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions

import pytest

from scripts.imports import HOME, LEVEL, MODULES, imported, imports, ours, room, under

CORE = sorted(name for name in MODULES if under(name, "core"))
SANDBOX = sorted(name for name in MODULES if under(name, "sandbox"))


def reaching(modules: list[str], *tops: str) -> list[tuple[str, str]]:
    """Which of the modules import what from below one of those names, if only for a type."""
    return [(one, name) for one in modules for name in imports(one, types=True) if name.split(".")[0] in tops]


def test_core_knows_neither_gradio_nor_the_page() -> None:
    """Core can be used from a script: nothing in it imports gradio, ui or app, not even for a type."""
    assert len(CORE) > 50 and not reaching(CORE, "gradio", "ui", "app")


def test_imports_run_one_way() -> None:
    """No module imports from a room above its own, and each has a room."""
    modules = sorted(set(MODULES) - {"core"})
    assert not [(one, name) for one in modules for name in ours(one) if LEVEL[room(name)] > LEVEL[room(one)]]


def test_core_itself_is_empty() -> None:
    """The package is imported with each of its modules, so it imports none."""
    assert not ours("core")


def test_there_is_no_circle() -> None:
    """No chain of imports comes back to where it began."""
    try:
        TopologicalSorter({name: ours(name) for name in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_sandbox_imports_nothing_of_ours() -> None:
    """The sandbox knows the contract by itself, or a wrong range would agree with itself."""
    assert len(SANDBOX) > 5 and not reaching(SANDBOX, "app", "core", "ui")


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

    But for sniffio, which httpcore imports where it finds it, and searches for where it does not; and for the two that
    Gradio imports where people sign in.
    """
    lines = (HOME / "requirements.txt").read_text("utf-8").splitlines()
    required = [line.split("#")[0].strip() for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in required)
    foreign = {name.split(".")[0] for module in MODULES for name in imports(module)} - {"app", "core", "sandbox", "ui"}
    homes = packages_distributions()
    packages = {canonical(home) for name in foreign - sys.stdlib_module_names for home in homes[name]}
    assert packages | {"sniffio", "authlib", "itsdangerous"} == {canonical(line.split("==")[0]) for line in required}


def canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
