"""The disk: what is swept and in which order, what never is, and what is said where nothing more can go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image
from serving import Served

from core.backend import Backend
from core.catalog.inputs import check
from core.errors import KontextError, LedgerError
from core.ledger import ballots
from core.ledger.ledger import ROOM
from core.ledger.run import Label, Run
from core.ledger.trials import Case, Spec
from core.pictures.served import ServedFiles
from core.service.account import Account
from core.settings import read
from core.storage import (
    ARRIVING,
    DRAFT,
    FULL,
    KEPT,
    MADE_OF_RUN,
    MADE_OF_UPLOAD,
    NO_ROOM,
    RETRY_INTERVAL,
    RUNS_BETWEEN,
    Limits,
    Storage,
    clear,
    total_of,
)

pytestmark = pytest.mark.anyio

HOME = Path(__file__).parents[2]
NOW = 2_000_000_000.0  # later than any file that a test makes without saying when
BLOCK = 4096
PLENTY = Limits(files=10**9, practice=10**9, practice_age=timedelta(days=10_000))
NOTHING = Limits(files=0, practice=0, practice_age=timedelta(days=10_000))

Open = Callable[..., Awaitable[Backend]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open(**environment: str) -> Backend:
            own = {"KONTEXT_DATA_DIR": str(tmp_path / "data"), "KONTEXT_SANDBOX_SECONDS": "0", **environment}
            backend = Backend(read(own, tmp_path), HOME / "presets")
            stack.push_async_callback(backend.aclose)
            return backend

        yield open


def storage_of(backend: Backend, limits: Limits = PLENTY, now: float = NOW) -> Storage:
    return Storage(backend.ledger, backend.runs, backend.trials, limits, clock=lambda: now)


def put(backend: Backend, place: str, age: float, size: int = 1) -> Path:
    """A file of the data folder that was last used so many seconds before NOW."""
    path = backend.settings.data_dir / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - age, NOW - age))
    return path


async def started(backend: Backend, visitor: str = "ann", account: Account | None = None) -> Run:
    source = backend.settings.data_dir / "source.png"
    Image.new("RGB", (96, 64), "teal").save(source)
    reference = await backend.prepare(source, 1)
    inputs = check("pro", "make it red", 1, {}, lambda: 7)
    return await backend.runs.start(visitor, account or backend.account, inputs, [reference])


async def one_run(backend: Backend, visitor: str = "ann", account: Account | None = None) -> Run:
    run = await started(backend, visitor, account)
    return [seen async for seen in backend.runs.watch(visitor, run.id)][-1]


def folder_of(backend: Backend, run: Run) -> Path:
    return backend.settings.data_dir / "outputs" / run.id


PLACES = ["served/aa/photo.jpg", "served/tmp123", "served/cards/a/1.jpg", "served/runs/a/1.jpg", "temporary/x.webm",
          "references/aa.jpg"]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_old_goes(opened: Open, place: str) -> None:
    """A day after its last use a file goes, wherever it lies; until then it stays while there is room."""
    backend = await opened()
    path = put(backend, place, KEPT - 1)
    await storage_of(backend).sweep()
    assert path.exists()
    await storage_of(backend, now=NOW + 2).sweep()
    assert not path.exists()
    assert path.parent.name in ("served", "temporary", "references") or not path.parent.exists()


async def test_the_oldest_go_first_where_it_is_too_much(opened: Open) -> None:
    """Uploads go before what somebody may be working with, each the oldest first, and no more than needed."""
    backend = await opened()
    card = put(backend, "served/cards/a/1.jpg", DRAFT + 50)
    older = put(backend, "served/aa/1.jpg", ARRIVING + 20)
    newer = put(backend, "temporary/2", ARRIVING + 10)
    for blocks, left in ((3, {card, older, newer}), (2, {card, newer}), (1, {card}), (0, set[Path]())):
        await storage_of(backend, Limits(blocks * BLOCK, 0, timedelta(1))).sweep()
        assert {path for path in (card, older, newer) if path.exists()} == left


async def test_what_a_draft_rests_on_stays(opened: Open) -> None:
    """However full it is, nobody loses what they are working with, or what is just arriving."""
    backend = await opened()
    kept = [put(backend, f"{place}/a", DRAFT - 1) for place in ("references", "served/cards/a", "served/runs/a")]
    kept += [put(backend, f"{place}/b", ARRIVING - 1) for place in ("served/b", "temporary")]
    await storage_of(backend, NOTHING).sweep(everything=True)
    assert all(path.exists() for path in kept)


async def test_what_a_run_holds_frees_nothing(opened: Open) -> None:
    """A reference that a run has a name of its own for is not what fills the disk, and the run keeps it."""
    backend = await opened()
    held = put(backend, "references/a.jpg", DRAFT + 10)
    own = backend.settings.data_dir / "outputs" / "run" / "1.jpg"
    own.parent.mkdir(parents=True)
    own.hardlink_to(held)
    other = put(backend, "references/b.jpg", DRAFT + 20)
    await storage_of(backend, Limits(BLOCK, 0, timedelta(1))).sweep()
    assert held.exists() and other.exists()
    await storage_of(backend, NOTHING).sweep(everything=True)
    assert own.exists() and not other.exists()


async def test_practice_runs_go_by_the_ledger(opened: Open) -> None:
    """The oldest practice run goes from the disk and from the history alike, until the rest fits."""
    backend = await opened()
    runs = [await one_run(backend) for _ in range(3)]
    size = sum(file.stat().st_size for file in folder_of(backend, runs[0]).rglob("*") if file.is_file())
    await storage_of(backend, Limits(10**9, 3 * size - 1, timedelta(days=10_000))).sweep()
    assert [folder_of(backend, run).exists() for run in runs] == [False, True, True]
    assert [run.id for run in await backend.runs.list_for("ann")] == [runs[2].id, runs[1].id]
    await storage_of(backend, Limits(10**9, 10**9, timedelta(days=1))).sweep()
    assert await backend.runs.list_for("ann") == []


async def test_a_favourite_outlives_other_practice_runs(opened: Open) -> None:
    """At home nothing sweeps it; where anybody may mark any number, no age does, and the lack of room does it last."""
    backend = await opened()
    runs = [await one_run(backend) for _ in range(2)]
    await backend.runs.label("ann", {runs[0].id: {"favourite": True}})

    async def left(limits: Limits) -> list[bool]:
        await storage_of(backend, limits).sweep()
        return [folder_of(backend, run).exists() for run in runs]

    assert await left(Limits(10**9, 10**9, timedelta(0), favourites=False)) == [True, False]
    assert await left(NOTHING) == [True, False]
    assert [run.label for run in await backend.runs.list_for("ann")] == [Label(favourite=True)]
    assert await left(Limits(0, 0, timedelta(0), favourites=False)) == [False, False]


async def test_a_paid_picture_is_never_swept(opened: Open, served: Served) -> None:
    """No limit and no lack of room touches a run that somebody paid for."""
    backend = await opened(WAVESPEED_API_KEY="wsk_host", WAVESPEED_BASE_URL=served.url)
    run = await one_run(backend)
    before = sorted(folder_of(backend, run).rglob("*"))
    await storage_of(backend, Limits(0, 0, timedelta(0))).sweep(everything=True)
    assert run.outputs and sorted(folder_of(backend, run).rglob("*")) == before
    assert await backend.runs.list_for("ann") == [run]


async def test_the_whole_folder_has_a_limit(opened: Open, served: Served) -> None:
    """The oldest practice runs make room, then uploads; where only what was paid for is left, no run is started."""
    backend = await opened(WAVESPEED_API_KEY="wsk_host", WAVESPEED_BASE_URL=served.url)
    paid = await one_run(backend)
    old, new = [await one_run(backend, "bob", backend.practice) for _ in range(2)]
    upload = put(backend, "served/aa/1.jpg", ARRIVING + 1, MADE_OF_RUN)

    def left(run: Run) -> bool:
        return folder_of(backend, run).exists()

    async def pressed(total: int) -> None:
        await storage_of(backend, replace(PLENTY, total=total)).before_run()

    whole = total_of(backend.settings.data_dir) + MADE_OF_RUN
    await pressed(whole)
    assert left(old) and upload.exists()
    await pressed(whole - 1)
    assert (left(old), left(new), upload.exists()) == (False, True, True)
    whole = total_of(backend.settings.data_dir) + MADE_OF_RUN
    await pressed(whole - MADE_OF_RUN)
    assert (left(new), upload.exists()) == (False, False)
    with pytest.raises(KontextError, match=NO_ROOM):
        await pressed(1)
    assert left(paid)


async def test_practice_trials_and_drafts_go_as_a_whole(opened: Open) -> None:
    """With all of their pictures, once they are old or there is too much; what was touched an hour ago stays."""
    backend = await opened()
    run = await one_run(backend)
    spec = Spec("Cups", "Which?", ("pro", "max"), (Case("a cup", run.references),))
    draft = await backend.trials.save("ann", backend.account, spec)
    trial, _ = await backend.trials.seal("ann", backend.account, draft.id, Decimal("0.12"))
    opened_one = [progress async for progress in backend.trials.watch("ann", trial.id)][-1].trial
    draft = await backend.trials.save("ann", backend.account, spec)
    assert opened_one.state == "open"
    touched = datetime.now(UTC).timestamp()
    await storage_of(backend, Limits(10**9, 0, timedelta(days=1)), touched).sweep()
    assert [one.id for one in await backend.trials.list_for("ann")] == [draft.id, trial.id]
    with backend.ledger.writing() as connection:
        judged = datetime.fromtimestamp(touched + DRAFT, UTC)
        assert ballots.join(connection, trial.id, "token", "Kim", False, judged, lambda _: ())
    await storage_of(backend, Limits(10**9, 0, timedelta(days=1)), touched + DRAFT + 60).sweep()
    assert [one.id for one in await backend.trials.list_for("ann")] == [trial.id]
    await storage_of(backend, Limits(10**9, 0, timedelta(days=1)), touched + 2 * DRAFT + 60).sweep()
    assert await backend.trials.list_for("ann") == []
    assert [path for path in backend.settings.data_dir.rglob("*") if path.parent.name in ("trials", "outputs")] == []


async def test_what_runs_is_never_swept(opened: Open) -> None:
    """A practice run that still goes on keeps its files and its place in the history."""
    backend = await opened(KONTEXT_SANDBOX_SECONDS="600")
    run = await started(backend)
    await storage_of(backend, Limits(0, 0, timedelta(0))).sweep(everything=True)
    assert [path.name for path in (folder_of(backend, run) / "references").iterdir()] == ["1.png"]
    assert [kept.id for kept in await backend.runs.list_for("ann")] == [run.id]


async def test_uploads_have_a_limit_for_all_together(opened: Open) -> None:
    """Room is made of what nobody uses; where that is not enough, an upload is refused with a sentence."""
    backend = await opened()
    old = put(backend, "served/aa/1.jpg", ARRIVING + 1, 2 * MADE_OF_UPLOAD)
    storage = storage_of(backend, Limits(10 * BLOCK + 2 * MADE_OF_UPLOAD, 0, timedelta(1)))
    async with storage.room_for(5 * BLOCK) as first:
        assert not old.exists()
        first(5 * BLOCK)
        async with storage.room_for(5 * BLOCK) as second:
            second(5 * BLOCK)
            with pytest.raises(KontextError, match=FULL):
                await storage.room_for(2 * MADE_OF_UPLOAD).__aenter__()
            with pytest.raises(KontextError, match=FULL):  # as many as were let in together
                second(2 * MADE_OF_UPLOAD + 1)


async def test_what_is_announced_and_never_sent_keeps_nobody_out(opened: Open) -> None:
    """Connections that say how much they will send and then sleep hold no room, and a large wish bars no small one."""
    storage = storage_of(await opened(), Limits(10 * MADE_OF_UPLOAD, 0, timedelta(1)))
    async with AsyncExitStack() as sleeping:
        for _ in range(20):
            await sleeping.enter_async_context(storage.room_for(8 * MADE_OF_UPLOAD))
        with pytest.raises(KontextError, match=FULL):
            await storage.room_for(10 * MADE_OF_UPLOAD).__aenter__()
        async with storage.room_for(1) as arrived:
            arrived(1)


async def test_no_room_is_not_looked_for_at_each_request(opened: Open) -> None:
    """Who asks again at once is refused without another look at the folder; some seconds later it is looked at."""
    backend, now = await opened(), [NOW]
    limits = Limits(2 * MADE_OF_UPLOAD, 0, timedelta(1))
    storage = Storage(backend.ledger, backend.runs, backend.trials, limits, clock=lambda: now[0])
    fresh = put(backend, "served/aa/1.jpg", 0, 2 * MADE_OF_UPLOAD)
    for seconds, refused in ((0, True), (RETRY_INTERVAL - 1, True), (RETRY_INTERVAL, False)):
        now[0] = NOW + seconds
        with pytest.raises(KontextError, match=FULL) if refused else nullcontext():
            async with storage.room_for(1):
                pass
        fresh.unlink(missing_ok=True)


def disk(monkeypatch: pytest.MonkeyPatch, backend: Backend, room: int) -> None:
    """A disk that has so many bytes beside ROOM for all that lies in the data folder's `served`."""
    usage = namedtuple("usage", "total used free")
    folder = backend.settings.data_dir / "served"

    def disk_usage(_path: object) -> tuple[int, int, int]:
        used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return usage(10**9, used, ROOM + room - used)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)


async def test_room_is_made_before_a_run_is_refused(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that is nearly full an old upload goes, and the run goes on; without one to go it is refused."""
    backend = await opened()
    path = backend.settings.data_dir / "served" / "aa" / "1.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 100)
    os.utime(path, (0, 0))
    disk(monkeypatch, backend, 50)
    assert (await one_run(backend)).state == "completed"
    assert not path.exists()
    disk(monkeypatch, backend, -1)
    with pytest.raises(LedgerError, match="disk is full"):
        await started(backend)


async def test_a_sweep_comes_after_so_many_runs(opened: Open) -> None:
    """Practice runs fill no disk between two hours: the run that is one too many brings the sweep with it."""
    backend = await opened()
    run = await one_run(backend)
    storage = storage_of(backend, NOTHING)
    for _ in range(RUNS_BETWEEN - 1):
        await storage.before_run()
    assert folder_of(backend, run).exists()
    await storage.before_run()
    await storage.sweep()  # one at a time: it waits for the one under way
    assert not folder_of(backend, run).exists()
    await storage.aclose()


async def test_it_goes_on_every_hour(opened: Open) -> None:
    """A sweep that fails does not end those after it."""
    backend = await opened()
    path = put(backend, "served/aa/1.jpg", KEPT + 1)
    backend.settings.data_dir.joinpath("ledger.db").rename(backend.settings.data_dir / "away.db")
    naps: list[float] = []

    class Enough(Exception):
        pass

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            raise Enough

    with pytest.raises(Enough):
        await storage_of(backend).hourly(sleep)
    assert naps == [3600, 3600] and not path.exists()


def test_temporary_files_are_ours(tmp_path: Path) -> None:
    """What is written for a moment goes to a folder that is swept, also by the programs that are started."""
    script = (
        f"import app, os, tempfile; from pathlib import Path; app.keep_temporary_files(Path({str(tmp_path)!r}) / 'a')\n"
        "print(tempfile.gettempdir(), os.environ['TMPDIR'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=HOME, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / "a")] * 2, done.stderr


def test_a_picture_opened_after_days_stays_open(tmp_path: Path) -> None:
    """Its address is new although the picture is old: the next sweep leaves it to whoever looks at it."""
    output = tmp_path / "outputs" / "r" / "kontext-pro-1.png"
    output.parent.mkdir(parents=True)
    output.write_bytes(b"a picture")
    os.utime(output, (1_000_000_000, 1_000_000_000))
    place = ServedFiles(tmp_path).show("r", output)
    assert place is not None
    shown_at = place.stat().st_mtime
    clear(tmp_path, 10**9, shown_at + KEPT - 60)
    assert place.exists()
    clear(tmp_path, 10**9, shown_at + KEPT + 60)
    assert not place.exists() and output.exists()
