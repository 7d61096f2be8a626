"""The app as a whole, in a process of its own: imported, started with bad settings, and used as the README says."""

from __future__ import annotations

import os
import queue
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio.utils import MatplotlibBackendMananger

import app
from core.settings import VARIABLES, read

HOME = Path(__file__).resolve().parents[2]

# A variable that is set, even to nothing, is not taken from the developer's .env: no test may spend their money.
BLANK = {row.name: "" for row in VARIABLES} | {"SPACE_ID": "", "KONTEXT_OPEN": "off"}


def environment(**own: str) -> dict[str, str]:
    return {**os.environ, **BLANK, "GRADIO_SERVER_NAME": "127.0.0.1", **own}


def python(*arguments: str, **own: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=HOME, env=environment(**own), capture_output=True, text=True)


def free_port() -> str:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return str(opened.getsockname()[1])


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser was asked to open goes in here."""
    return tmp_path_factory.mktemp("browser") / "opened"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, opened: Path) -> Iterator[str]:
    """Where the app serves, on the sandbox, started as a person starts it at a desktop."""
    own = {"KONTEXT_DATA_DIR": str(tmp_path_factory.mktemp("data")), "KONTEXT_SANDBOX_SECONDS": "0"}
    browser = opened.with_name("browser")
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new\nmv {opened}.new {opened}\nsleep 2\n')
    browser.chmod(0o755)
    own |= {"KONTEXT_OPEN": "on", "BROWSER": f"{browser} %s"}
    own["GRADIO_SERVER_PORT"] = free_port()
    command = [sys.executable, "-u", "app.py"]
    with subprocess.Popen(command, cwd=HOME, env=environment(**own), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = re.search(r"http://[\w.]+:\d+", next((line for line in process.stdout if "http://" in line), ""))
        try:
            assert said, "the app ended without an address"
            yield said[0]
        finally:
            process.terminate()


def test_importing_the_app_does_nothing() -> None:
    """Importing app neither loads Gradio nor reads settings: everything happens in main."""
    done = python("-c", "import app, sys; print('gradio' in sys.modules)", KONTEXT_HOSTED="perhaps")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("KONTEXT_HOSTED", "perhaps"), ("KONTEXT_DAILY_BUDGET_USD", "a lot"), ("WAVESPEED_BASE_URL", "wsk_not_a_host")],
)
def test_unusable_settings_end_the_start_with_one_sentence(name: str, value: str) -> None:
    """The person is told which variable is wrong, without a trace and without the value, which may be a secret."""
    done = python("app.py", **{name: value})
    assert done.returncode != 0
    assert name in done.stderr
    assert value not in done.stderr and "Traceback" not in done.stderr


def test_healthz_answers_once_the_app_serves(url: str) -> None:
    """Whoever runs the app can ask whether it serves, and what stands behind it."""
    answer = httpx.get(f"{url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "backend": "sandbox"})


def test_the_page_opens_in_the_browser_by_itself(url: str, opened: Path) -> None:
    """The start shows the page, and serves while the browser takes its time."""
    assert httpx.get(url).is_success
    deadline = time.monotonic() + 30
    while not opened.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert opened.read_text().strip().rstrip("/") == url


def test_the_browser_is_left_alone_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that is told not to shows nothing; the next one is the first to be shown."""
    shown: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr("webbrowser.open", shown.put)
    for told in ("off", "on"):
        app._announce(read({"KONTEXT_OPEN": told}, HOME), f"http://{told}")
    assert shown.get(timeout=30) == "http://on"


def test_the_readmes_program_runs_as_printed(url: str) -> None:
    """The README's examples, as one program, ask for a price, make two pictures for it, compare, and run a trial."""
    example = "".join(re.findall(r"```python\n(.*?)```", (HOME / "README.md").read_text("utf-8"), re.DOTALL))
    assert "http://127.0.0.1:7860" in example
    done = python("-c", example.replace("http://127.0.0.1:7860", url))
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[-5] == "0.08"
    assert re.fullmatch(r"completed 0\.08 \['[^']+', '[^']+'\]", said[-4])
    assert said[-3].startswith("0.15 ")
    assert " /judge#kj_" in said[-2] and said[-1].startswith("Too early")


def test_what_is_missing_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio asks for matplotlib in every step of every event: where it is missing, no folder is searched for it."""
    searched: list[str] = []

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            searched.append(name)

    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder()])
    app.do_without_plots()
    searched.clear()
    with MatplotlibBackendMananger():
        pass
    assert not searched
