"""How the app ends: on either signal in order, with pages open and a submit unanswered; on a second one at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import container
import httpx
import pytest
from lean import SMALL, history, picture
from server import Exchange, Server
from whole import HOME, Whole, generate, until, upload

pytestmark = pytest.mark.anyio

AS_PID_1 = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
ENDING = 30  # seconds, on a machine that has other things to do


class Held:
    """Creates what is submitted, and keeps the answer back until it is let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._home = asyncio.get_running_loop()
        self._going = threading.Event()

    async def __call__(self, exchange: Exchange) -> None:
        answer = await exchange.forward()
        self._home.call_soon_threadsafe(self.reached.set)
        await asyncio.to_thread(self._going.wait, ENDING)  # this is another loop than the test's
        await exchange.say(answer)

    def let_go(self) -> None:
        self._going.set()


@contextmanager
def serving(folder: Path, service: str, under: tuple[str, ...] = (), home: Path = HOME) -> Iterator[Whole]:
    app = Whole(folder, service, under, home)
    try:
        app.await_start()
        yield app
    finally:
        app.kill()
        app.process.communicate(timeout=ENDING)


def own_pid(app: Whole) -> int:
    """The app's process as we see it, whatever number it has for itself."""
    children = Path(f"/proc/{app.process.pid}/task/{app.process.pid}/children").read_text().split()
    return int(children[0])


def may_unshare() -> bool:
    return (
        shutil.which("unshare") is not None and not subprocess.run([*AS_PID_1, "true"], capture_output=True).returncode
    )


def ready(app: Whole) -> int:
    return httpx.get(f"{app.url}/readyz").status_code


def healthy(app: Whole) -> bool:
    """What the image's own check says of it."""
    _, *arguments = container.command(container.last("HEALTHCHECK").partition("CMD ")[2])
    asked = [argument.replace("http://127.0.0.1:7860", app.url) for argument in arguments]
    return not subprocess.run([sys.executable, *asked], capture_output=True).returncode


async def open_page(http: httpx.AsyncClient, opened: asyncio.Event) -> str:
    """A page's heartbeat, until the app ends it; what it said."""
    said = ""
    async with http.stream("GET", "/gradio_api/heartbeat/a-page", timeout=None) as beats:
        async for line in beats.aiter_lines():
            opened.set()
            said += line
    return said


# As in a container, where that may be tried: a PID 1 gets no signal but those that it asked for. It runs in the folder
# that the Dockerfile lays out, so whatever is missing there shows.
@pytest.mark.parametrize(
    ("number", "under"),
    [(signal.SIGTERM, AS_PID_1 if may_unshare() else ()), pytest.param(signal.SIGINT, (), marks=pytest.mark.soak)],
    ids=["SIGTERM", "SIGINT"],
)
async def test_a_signal_closes_in_order(
    server: Server, tmp_path: Path, number: signal.Signals, under: tuple[str, ...]
) -> None:
    """It says that it takes no more, refuses the next run, waits for the one that was sent, ends streams, exits 0."""
    folder, held, opened = tmp_path / "data", Held(), asyncio.Event()
    server.always["submit"] = held
    home = container.lay_out(tmp_path / "app") if number is signal.SIGTERM else HOME
    with serving(folder, server.url, under, home) as app:
        assert ready(app) == 200 and await asyncio.to_thread(healthy, app)
        async with httpx.AsyncClient(base_url=app.url, timeout=ENDING) as http:
            page = asyncio.create_task(open_page(http, opened))
            image = await upload(http, picture())
            call = asyncio.create_task(generate(http, image, "ultra-fast", SMALL))
            await asyncio.wait_for(asyncio.gather(held.reached.wait(), opened.wait()), ENDING)
            os.kill(own_pid(app) if under else app.process.pid, number)
            await until(lambda: ready(app) == 503, ENDING)
            assert not await asyncio.to_thread(healthy, app)
            assert (await http.get("/healthz")).status_code == 200
            refusal = await generate(http, image, "ultra-fast", SMALL)
            assert refusal == "The app is closing. Nothing was charged. Open it again in a moment."
            assert not page.done()
            held.let_go()
            await asyncio.to_thread(app.process.wait, ENDING)
            assert "ALIVE" in await page
            assert await call == (
                "The app is closing, and this run isn't finished. It is not known yet whether it was charged. "
                "It continues when the app starts again."
            )
    assert app.process.returncode == 0
    (run,) = history(folder, "api")
    assert [prediction.id for prediction in run.predictions] == list(server.created)
    assert not (folder / "ledger.db-wal").exists(), "the ledger was not closed"


async def test_a_second_signal_ends_at_once(server: Server, tmp_path: Path) -> None:
    """Whoever does not want to wait for an answer need not: the first one begins the closing, whichever it is."""
    folder, held = tmp_path / "data", Held()
    server.always["submit"] = held
    with serving(folder, server.url) as app:
        async with httpx.AsyncClient(base_url=app.url, timeout=ENDING) as http:
            call = asyncio.create_task(generate(http, await upload(http, picture()), "ultra-fast", SMALL))
            await asyncio.wait_for(held.reached.wait(), ENDING)
            app.process.send_signal(signal.SIGINT)
            await until(lambda: ready(app) == 503, ENDING)
            app.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(app.process.wait, ENDING) == 128 + signal.SIGTERM
            assert await call is None
        held.let_go()
