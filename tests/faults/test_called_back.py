"""The service calls back over real connections: it tells what nobody answered, and is seldom asked for results."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from checks import check_books, check_ends
from lean import HASTE, MAX, PRO, TIMEOUTS, Lean, Press, spent
from server import Server, after, refusal, reset
from starlette.applications import Starlette

from core.access.attempts import Attempts
from core.runs.runtime import Runtime, Timeouts
from ui.callbacks import CallbackApi

pytestmark = pytest.mark.anyio

DEV = Press("dev")


@asynccontextmanager
async def reachable(folder: Path, server: Server, runtime: Runtime | None = None) -> AsyncIterator[Lean]:
    """The application where the service can call it, on a port of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    patient = replace(TIMEOUTS, search=timedelta(seconds=60))
    lean = Lean(folder, server.url, timeouts=patient, runtime=runtime, public_url=url)
    app = Starlette(routes=[CallbackApi(lean.runs.called, Attempts()).route()])
    serving = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
    task = asyncio.create_task(serving.serve(sockets=[listening]))
    yield lean
    serving.should_exit = True
    await task
    await lean.aclose()


async def test_twenty_lost_answers(server: Server, tmp_path: Path) -> None:
    """Twenty submits that nobody answers, half of them equal, and a history that tells nothing: twenty pictures, no
    search, none twice.
    """
    server.always |= {"submit": after(reset), "history": refusal(500, "Internal error")}
    async with reachable(tmp_path / "data", server) as lean:
        presses = [MAX] * 10 + [replace(PRO, prompt=f"make {n} red") for n in range(10)]
        runs = await asyncio.gather(*(lean.run(press) for press in presses))
    assert [(run.state, len(run.outputs)) for run in runs] == [("completed", 1)] * 20
    assert (server.seen["submit"], server.seen["history"]) == (20, 0)
    check_ends(runs)
    check_books(runs, spent(tmp_path / "data"), server.books())


async def test_seventeen_seconds_in_three_requests(server: Server, tmp_path: Path) -> None:
    """Once calls are known to come, a prediction of 17 s is asked for three times at most."""
    begun, start = time.monotonic(), datetime.now(UTC)

    def clock() -> datetime:
        return start + timedelta(seconds=(time.monotonic() - begun) * HASTE)

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / HASTE)

    server.renew(seconds=17, clock=lambda: clock().timestamp(), sleep=sleep)
    runtime = Runtime(clock, sleep, timeouts=Timeouts(optional_wait=1, bill=1, shutdown_grace=5))
    async with reachable(tmp_path / "data", server, runtime) as lean:
        asked = []
        for _ in range(2):
            server.seen["result"] = 0
            assert (await lean.run(DEV)).state == "completed"
            asked.append(server.seen["result"])
            async with asyncio.timeout(10):  # the call about it may come a moment after a look has seen it
                while not await lean.runs._callbacks.expected(lean.ledger.list_for("ann")[0].entries[0]):
                    pass
    assert asked[0] > 3 >= asked[1]
