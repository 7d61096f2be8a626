"""What the README promises: its tables, its card, its commands, and the pictures and files that it points at."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import SpaceCard

from core.catalog.variants import REGISTRY
from core.runs.leases import LEASE, RENEWAL
from core.runs.runtime import Timeouts
from core.settings import HOSTED_DAILY_BUDGET, HOSTED_SIGNED_IN_BUDGET, HOSTED_VISITOR_BUDGET, VARIABLES
from core.storage import UPLOAD_MB
from scripts.readme import written

HOME = Path(__file__).resolve().parents[2]
README = (HOME / "README.md").read_text("utf-8")
MAKEFILE = (HOME / "Makefile").read_text("utf-8")
SECURITY = (HOME / "docs" / "security.md").read_text("utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/hosting.md", "docs/deploy.md")


def command_that_says(words: str) -> str:
    """The fenced shell command that follows these words in the README."""
    return README.split(words, 1)[1].split("```sh\n", 1)[1].split("\n```", 1)[0]


@pytest.fixture
def card() -> dict[str, Any]:
    """The front matter, as a Space reads it."""
    return SpaceCard(README, ignore_metadata_errors=False).data.to_dict()


def test_the_tables_are_those_of_the_registry_and_the_settings() -> None:
    """`make readme` would change nothing, and the check that says so can be run by itself."""
    assert written(README) == README
    check = subprocess.run([sys.executable, "-m", "scripts.readme", "--check"], cwd=HOME, check=False)
    assert check.returncode == 0


@pytest.mark.parametrize("row", [*REGISTRY.values()], ids=lambda row: row.id)
def test_each_variant_stands_in_the_table_once(row: Any) -> None:
    """The row of a variant names its price and its limit."""
    (line,) = [line for line in README.splitlines() if line.startswith(f"| **{row.name}** ")]
    assert f"${row.price}" in line
    assert f"1 to {row.reference_limit}" in line


@pytest.mark.parametrize("price", ["$0.08", "$0.025", "1.00 hosted"])
def test_a_number_that_drifted_is_put_right(price: str) -> None:
    """A number changed by hand inside a table is written back."""
    start = README.index("<!-- variants:")
    drifted = README[:start] + README[start:].replace(price, "$9.99", 1)
    assert drifted != README
    assert written(drifted) == README


def test_a_lost_table_is_said() -> None:
    """Without its markers a table has no place, and that is an error, not silence."""
    with pytest.raises(ValueError, match="variants"):
        written(README.replace("<!-- /variants -->", ""))


def test_the_card_is_one_that_a_space_takes(card: dict[str, Any]) -> None:
    """Every value is one that Spaces knows, and the app that it starts is ours."""
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert card["sdk"] == "gradio"
    assert {card["colorFrom"], card["colorTo"]} <= colours
    assert (HOME / card["app_file"]).is_file()
    assert card["python_version"] == "3.11"
    assert card["license"] == "mit" and "MIT License" in (HOME / "LICENSE").read_text("utf-8")
    assert 0 < len(card["short_description"]) <= 60
    assert re.fullmatch(r"\d+[mh]", card["startup_duration_timeout"])


def test_a_space_and_a_laptop_run_the_same_gradio(card: dict[str, Any]) -> None:
    """A Space installs the version of its card: it must be the one that is pinned."""
    assert f"\ngradio=={card['sdk_version']} " in (HOME / "requirements.txt").read_text("utf-8")


def test_ci_runs_the_command_that_the_readme_names() -> None:
    """CI and people run the same gate, and nothing cleverer."""
    named = command_that_says("To run the checks and tests")
    lines = [line for line in (HOME / ".ci" / "run").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert lines == ["set -euo pipefail", 'cd "$(dirname "${BASH_SOURCE[0]}")/.."', named]


@pytest.mark.parametrize("page", PAGES)
def test_every_make_command_exists(page: str) -> None:
    """Each `make …` of the pages is a target of the Makefile."""
    named = re.findall(r"(?:^|`)make ([a-z]+)(?:$|`)", (HOME / page).read_text("utf-8"), re.MULTILINE)
    assert set(named) <= set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert named or page in ("CHANGELOG.md", "docs/deploy.md")


@pytest.mark.parametrize("page", PAGES)
def test_what_the_pages_point_at_is_there(page: str) -> None:
    """Every link and picture that is a file exists."""
    text = (HOME / page).read_text("utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    assert all(((HOME / page).parent / target).exists() for target in targets if "://" not in target)


def test_the_guides_for_hosts_name_settings_that_there_are() -> None:
    """A setting that was renamed or dropped would do nothing, silently; what stands there as given is a default."""
    guide, replicas = ((HOME / "docs" / name).read_text("utf-8") for name in ("hosting.md", "deploy.md"))
    defaults = {row.name: row.default for row in VARIABLES}
    assert set(re.findall(r"\b(?:KONTEXT|WAVESPEED)_[A-Z_]+", guide + replicas)) <= defaults.keys()
    for name, days in re.findall(r"`(KONTEXT_[A-Z_]+)`\*{0,2} \(hosted: (\d+)\)", guide):
        assert f"{days} hosted" in defaults[name]
    assert f"up\nto {UPLOAD_MB} MB" in guide
    for fact in (
        f"every {RENEWAL:.0f} seconds",
        f"good for {LEASE.seconds}",
        f"up to {Timeouts().shutdown_grace:.0f} s",
    ):
        assert fact in replicas
    assert all(f"{cap} USD" in guide for cap in (HOSTED_DAILY_BUDGET, HOSTED_SIGNED_IN_BUDGET, HOSTED_VISITOR_BUDGET))


def test_the_pictures_load_quickly() -> None:
    """The README shows the page on a desk and on a phone, each in less than 400 kB."""
    shown = [HOME / "docs" / f"{name}.png" for name in ("desk", "phone")]
    assert all(f"docs/{path.name}" in README for path in shown)
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size < 400_000 for path in shown)


def test_the_example_of_settings_names_every_variable_and_sets_none() -> None:
    """A copy of .env.example changes nothing until a line is taken out of its comment."""
    lines = (HOME / ".env.example").read_text("utf-8").splitlines()
    assert all(line.startswith("#") or not line for line in lines)
    assert [match[1] for line in lines if (match := re.match(r"# ([A-Z_]+)=", line))] == [row.name for row in VARIABLES]


def test_each_test_that_the_security_page_names_exists() -> None:
    """A row whose test is gone or renamed would promise what nothing keeps any more."""
    rows = [
        line for line in SECURITY.splitlines() if line.startswith("| ") and not line.startswith(("| What", "| ---"))
    ]
    named = [re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.split(" | ")[-1]) for row in rows]
    assert len(rows) >= 45 and all(named)
    written = {path: (HOME / path).read_text("utf-8") for tests in named for path, _ in tests}
    gone = {
        f"{path}::{name}" for tests in named for path, name in tests if not re.search(rf"def {name}\(", written[path])
    }
    assert not gone
