"""Pictures opened in processes of their own: what takes too much is ended, and everything else goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hostile import repeated_scan
from PIL import Image

from core.errors import KontextError, ReferenceRejected, ServiceBroken, ServiceError
from core.pictures.decoder import MOST_SLOW, WORKERS, Decoder
from core.pictures.reference import is_large, prepare

pytestmark = pytest.mark.anyio

HOME = Path(__file__).parents[3]
HOSTILE = repeated_scan(4000, 3000)  # a quarter of a minute, in a megabyte
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is looked up in /proc")


@pytest.fixture
def decoding() -> Iterator[Callable[..., Decoder]]:
    """Makes decoders, and closes them."""
    made: list[Decoder] = []

    def make(**limits: float) -> Decoder:
        made.append(Decoder(**limits))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for decoder in made:
        decoder.close()


def plain(edge: int = 64, kind: str = "PNG") -> bytes:
    out = BytesIO()
    Image.new("RGB", (edge, edge), "teal").save(out, kind)
    return out.getvalue()


def file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(data)
    return path


def workers(parent: int) -> list[int]:
    """The processes under that one which open pictures."""
    children = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True)
    return [int(line.split()[0]) for line in children.stdout.splitlines() if "core.pictures.worker" in line]


def kill_workers() -> list[int]:
    """Those under this process, as they are just now."""
    found = workers(os.getpid())
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


async def until(come: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not come():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.01)


async def test_a_picture_is_prepared_as_ever(decoding: Callable[..., Decoder], tmp_path: Path) -> None:
    """The same file at the same place, whichever process made it."""
    source = file(tmp_path, plain())
    made = await decoding().prepare(source, 1, tmp_path / "prepared")
    assert made == prepare(source, 1, tmp_path / "prepared")


async def test_a_refusal_keeps_its_sentence(decoding: Callable[..., Decoder], tmp_path: Path) -> None:
    """What `prepare` says of a file it says through the process too, with the number of the card."""
    with pytest.raises(ReferenceRejected, match="Reference 4 is an empty file") as refused:
        await decoding().prepare(file(tmp_path, b""), 4, tmp_path)
    assert (refused.value.number, refused.value.charged) == (4, "no")


async def test_a_folder_that_cannot_be_written_to_is_said(decoding: Callable[..., Decoder], tmp_path: Path) -> None:
    """That is no fault of the picture."""
    with pytest.raises(KontextError, match="couldn't be kept") as refused:
        await decoding().prepare(file(tmp_path, plain()), 1, tmp_path / "source")
    assert not isinstance(refused.value, ReferenceRejected)


async def test_a_picture_that_takes_too_long_is_refused(decoding: Callable[..., Decoder], tmp_path: Path) -> None:
    """It is ended, and the next one finds a process again."""
    decoder = decoding(quick=1, seconds=2)
    with pytest.raises(ReferenceRejected, match="Reference 2 takes too long to open"):
        await decoder.prepare(file(tmp_path, HOSTILE), 2, tmp_path)
    assert (await decoder.prepare(file(tmp_path, plain()), 1, tmp_path)).width == 64


async def test_many_slow_ones_do_not_keep_others_waiting(decoding: Callable[..., Decoder], tmp_path: Path) -> None:
    """They make way for an ordinary picture, and only so many may wait for the time that they need."""
    decoder = decoding(quick=0.2, seconds=600)
    hostile = tmp_path / "hostile"
    hostile.write_bytes(HOSTILE)
    slow = [asyncio.create_task(decoder.prepare(hostile, n, tmp_path)) for n in range(MOST_SLOW + WORKERS)]
    await asyncio.sleep(0)  # they are all there before it
    ordinary = await retried(decoder, file(tmp_path, plain()), tmp_path)
    assert ordinary == 64
    decoder.close()
    ended = [str(fault) for fault in await asyncio.gather(*slow, return_exceptions=True)]
    # The first to be too many are refused, and the rest waits until it is closed: the ordinary one came in between.
    assert 1 <= sum("Other large pictures are being opened" in said for said in ended) <= WORKERS + 1
    assert not any("takes too long" in said for said in ended)


async def test_what_will_take_long_makes_way_before_it_begins(decoding: Callable[..., Decoder], tmp_path: Path) -> None:
    """Its header tells, so even as many as fill every process cost an ordinary picture no turn of theirs."""
    decoder = decoding(quick=600, seconds=600)
    hostile = tmp_path / "hostile"
    hostile.write_bytes(HOSTILE)
    slow = [asyncio.create_task(decoder.prepare(hostile, n, tmp_path)) for n in range(MOST_SLOW)]
    await asyncio.sleep(0)  # they are all there before it
    assert await retried(decoder, file(tmp_path, plain()), tmp_path) == 64
    assert not any(task.done() for task in slow)
    decoder.close()
    await asyncio.gather(*slow, return_exceptions=True)


@pytest.mark.parametrize(
    ("kind", "edge", "large"), [("JPEG", 8900, False), ("PNG", 5400, False), ("PNG", 5600, True), ("WEBP", 5600, True)]
)
def test_what_is_large(kind: str, edge: int, large: bool, tmp_path: Path) -> None:
    """A photograph of any camera is not, nor is what is no picture."""
    out = BytesIO()
    Image.new("L", (edge, edge)).save(out, kind, quality=1, method=0, compress_level=1)  # soon written
    assert is_large(file(tmp_path, out.getvalue())) is large
    assert not is_large(file(tmp_path, b"no picture"))


async def retried(decoder: Decoder, source: Path, folder: Path) -> int:
    """The width; asked again where this computer was too busy for the short time that the test allows."""
    while True:
        try:
            return (await decoder.prepare(source, 1, folder)).width
        except ReferenceRejected:
            raise
        except KontextError:
            await asyncio.sleep(0.01)


async def test_a_picture_that_takes_too_much_memory_is_refused(
    decoding: Callable[..., Decoder], tmp_path: Path
) -> None:
    """The limit is the process's own, whatever the computer has."""
    with pytest.raises(ReferenceRejected, match="takes too much memory"):
        await decoding(memory=400 * 2**20).prepare(file(tmp_path, plain(8900)), 1, tmp_path)


async def test_closing_ends_what_is_under_way(decoding: Callable[..., Decoder], tmp_path: Path) -> None:
    """The app can end in the middle of a hostile picture, and no process is left."""
    decoder = decoding(quick=600)
    task = asyncio.create_task(decoder.prepare(file(tmp_path, HOSTILE), 1, tmp_path))
    await until(lambda: workers(os.getpid()))
    decoder.close()
    with pytest.raises(ReferenceRejected):
        await task
    assert not workers(os.getpid())


async def test_a_process_that_dies_is_replaced(decoding: Callable[..., Decoder], tmp_path: Path) -> None:
    """Killed at work, it takes one picture with it; killed idle, none."""
    decoder = decoding(quick=600)
    task = asyncio.create_task(decoder.prepare(file(tmp_path, HOSTILE), 1, tmp_path))
    await until(lambda: kill_workers() == [] and task.done())
    with pytest.raises(ReferenceRejected, match="can't be opened"):
        await task
    for _ in range(2):
        assert (await decoder.prepare(file(tmp_path, plain()), 1, tmp_path)).width == 64
        await until(lambda: not kill_workers())


async def test_it_ends_with_the_app_whatever_ends_that(tmp_path: Path) -> None:
    """After kill -9 no process goes on, not even in the middle of a picture."""
    source = file(tmp_path, HOSTILE)
    script = (
        "import asyncio, sys; from pathlib import Path; from core.pictures.decoder import Decoder\n"
        f"asyncio.run(Decoder(quick=600).prepare(Path({str(source)!r}), 1, Path({str(tmp_path)!r})))"
    )
    app = subprocess.Popen([sys.executable, "-c", script], cwd=HOME)  # noqa: ASYNC220 - nothing else waits
    await until(lambda: len(workers(app.pid)) == 2)  # the one that looked at it, and the one that has time for it
    pids = workers(app.pid)
    app.kill()
    app.wait()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


@linux
async def test_ctrl_c_ends_the_app_and_not_what_it_opens_pictures_with(
    decoding: Callable[..., Decoder], tmp_path: Path
) -> None:
    """A terminal sends it to every process of the app's group; theirs is another, since the app closes in order."""
    await decoding().prepare(file(tmp_path, plain()), 1, tmp_path)
    assert os.getpgrp() not in {os.getpgid(pid) for pid in workers(os.getpid())}


@linux
async def test_no_key_is_handed_on(
    decoding: Callable[..., Decoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a hostile picture might get hold of does not hold the host's key."""
    monkeypatch.setenv("WAVESPEED_API_KEY", "wsk_planted_secret")
    await decoding().prepare(file(tmp_path, plain()), 1, tmp_path)
    (pid,) = workers(os.getpid())
    environment = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes)
    assert b"PATH=" in environment and b"wsk_planted_secret" not in environment


def test_it_imports_what_it_needs() -> None:
    """It starts fast and stays small: no page, no network, no database."""
    heavy = ("gradio", "httpx", "sqlalchemy", "numpy", "starlette")
    script = f"import core.pictures.worker, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=HOME, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


async def test_an_output_is_opened_as_ever(decoding: Callable[..., Decoder]) -> None:
    """What it is, and the bytes as they came."""
    data = plain(48, "WEBP")
    picture = await decoding().open(data)
    assert (picture.data, picture.format, picture.width, picture.height) == (data, "webp", 48, 48)


async def test_a_broken_output_is_a_fault_of_the_service(decoding: Callable[..., Decoder]) -> None:
    """It was charged, and fetching it once more may help."""
    decoder = decoding()
    for data in (b"", plain(64, "JPEG")[:-100], b"\n" * 100_000):
        with pytest.raises(ServiceBroken) as caught:
            await decoder.open(data)
        assert caught.value.charged == "yes"


async def test_an_output_that_takes_too_long_is_refused(decoding: Callable[..., Decoder]) -> None:
    """Fetching it once more would not help, so it is no such fault."""
    with pytest.raises(ServiceError, match="takes too much time or memory") as caught:
        await decoding(quick=0.2, seconds=0.5).open(HOSTILE)
    assert not isinstance(caught.value, ServiceBroken)
    assert caught.value.charged == "yes"
