"""A disk that is full, a folder that can't be written to, a ledger that is locked: said before anything is spent."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from lean import MAX, PRO, Lean, history, start_process
from server import KEY, Server
from whole import HOME

from core.errors import LedgerError

pytestmark = pytest.mark.anyio

NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    home = Path(tempfile.mkdtemp(prefix="kontext-disk-"))
    home.chmod(0o755)
    yield home
    for path in [home, *home.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(home)


def no_growth(folder: Path) -> None:
    """No file grows any more: the process has used up what it may write."""
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


def read_only(folder: Path) -> None:
    """Nothing in the folder may be written to, by somebody whom that binds."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.setuid(NOBODY)


Harm = Callable[[Path], None]


def press_after(folder: Path, url: str, harm: Harm, told: Connection) -> None:
    """In a process of its own: the app is up, then the disk goes wrong, then somebody presses."""
    told.send(asyncio.run(_press_after(folder, url, harm)))


async def _press_after(folder: Path, url: str, harm: Harm) -> str:
    lean = Lean(folder, url)
    await lean.run(PRO)  # all is well
    harm(folder)
    try:
        run = await lean.run(MAX)
    except Exception as refusal:
        return f"{type(refusal).__name__}: {refusal}"
    finally:
        await lean.aclose()
    return f"{run.state}: {' '.join(map(str, run.troubles))}"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (no_growth, ["LedgerError", "can't be written", "Nothing was charged.", "Check the disk"]),
        (read_only, ["LedgerError", "can't be written to", "Nothing was charged."]),
    ],
    ids=["no growth", "read-only"],
)
def test_a_disk_that_goes_wrong(server: Server, home: Path, harm: Harm, words: list[str]) -> None:
    """The next press is refused in a sentence, and nothing is sent."""
    process, told = start_process(press_after, home / "data", server.url, harm)
    assert told.poll(120)
    said = told.recv()
    process.join(60)
    told.close()
    assert [word for word in words if word not in said] == [], said
    assert (server.seen["submit"], len(server.created)) == (1, 1)


SMALL_DISK = """
import sys
from pathlib import Path
from test_disk import fill_and_press
print(fill_and_press(Path(sys.argv[1]), sys.argv[2], worn=sys.argv[3] == "worn"))
"""


def fill_and_press(folder: Path, url: str, *, worn: bool) -> str:
    """On a small disk. `worn`: the ledger's log has room inside it, as after a day's work."""

    def fill(folder: Path) -> None:
        if worn:
            with closing(sqlite3.connect(folder / "ledger.db")) as other:
                other.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        with suppress(OSError), (folder / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))

    return asyncio.run(_press_after(folder, url, fill))


@pytest.mark.parametrize("state", ["fresh", "worn"])
def test_a_full_disk(server: Server, home: Path, state: str) -> None:
    """A disk without a free byte: the next press is refused before anything is sent."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("a disk of our own can't be mounted here")
    script = 'mount -t tmpfs -o size=48m none "$1" && exec "$2" -c "$3" "$1" "$4" "$5"'
    said = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", home, sys.executable, SMALL_DISK, server.url, state],
        cwd=HOME,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (HOME, Path(__file__).parent, HOME / "tests" / "unit"))),
        },
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("LedgerError: The disk is full"), said.stdout
    assert "Nothing was charged." in said.stdout
    assert server.seen["submit"] == 1


async def test_a_locked_ledger(server: Server, tmp_path: Path) -> None:
    """While another program holds the ledger, five presses are refused in sentences; after it, all is well."""
    lean = Lean(tmp_path / "data", server.url, lock=0.3)
    other = sqlite3.connect(lean.folder / "ledger.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    refusals = await asyncio.gather(*(lean.press(PRO) for _ in range(5)), return_exceptions=True)
    other.close()
    for refusal in refusals:
        assert isinstance(refusal, LedgerError)
        assert "locked" in str(refusal)
        assert "Nothing was charged." in str(refusal)
    assert server.seen.total() == 0
    assert history(lean.folder) == []
    assert not list((lean.folder / "outputs").iterdir())
    assert (await lean.run(PRO)).state == "completed"
    await lean.aclose()


def a_file_in_its_place(folder: Path) -> None:
    folder.write_text("a file where the folder should be")


def a_damaged_ledger(folder: Path) -> None:
    folder.mkdir()
    (folder / "ledger.db").write_bytes(b"no ledger at all, " * 500)


def a_newer_ledger(folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "ledger.db") as file:
        file.execute("PRAGMA user_version = 1000")
    file.close()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (a_damaged_ledger, "damaged"),
        pytest.param(a_file_in_its_place, "can't be written to", marks=pytest.mark.soak),
        pytest.param(a_newer_ledger, "newer version", marks=pytest.mark.soak),
    ],
)
def test_the_whole_app_does_not_start(server: Server, home: Path, harm: Harm, words: str) -> None:
    """An app that could not keep its records ends at once with one sentence, and serves nobody."""
    folder = home / "data"
    harm(folder)
    given = {"WAVESPEED_API_KEY": KEY, "WAVESPEED_BASE_URL": server.url, "KONTEXT_DATA_DIR": str(folder)}
    ended = subprocess.run(
        [sys.executable, "app.py"], cwd=HOME, env={**os.environ, **given}, capture_output=True, text=True, timeout=180
    )
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert KEY not in ended.stderr + ended.stdout
