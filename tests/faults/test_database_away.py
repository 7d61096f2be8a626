"""PostgreSQL itself goes away in mid-run and comes back: nothing is spent unrecorded or lost, and all goes on."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import databases
import httpx
import pytest
from checks import check_books
from lean import SMALL, Lean, Press, history, spent
from running import picture
from server import Exchange, Server, plainly
from test_kill import Moment, draw_moment, hear
from test_replicas import check, two
from whole import generate, upload, whole_app

from core.errors import LedgerError
from core.ledger.run import Run
from core.runs.journal import AWAY

pytestmark = pytest.mark.usefixtures("postgresql")

LONG = 20.0  # seconds; ten leases


@asynccontextmanager
async def replica(folder: Path, server: Server) -> AsyncIterator[Lean]:
    lean = Lean(folder, server.url, shared=True)
    await lean.leases.begin()
    keeping = [asyncio.create_task(work) for work in lean.keeping()]
    try:
        yield lean
    finally:
        for task in keeping:
            task.cancel()
        await lean.aclose()


def moment_of(seed: int) -> Moment:
    return draw_moment(seed, random.Random(seed))


async def seen(server: Server, kind: str, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while server.seen[kind] < count:  # noqa: ASYNC110 - it counts in a thread of its own
            await asyncio.sleep(0.01)


async def said_away(lean: Lean, run_id: str) -> Run:
    """The run, once its page says that the database is away."""
    async with asyncio.timeout(20):
        while (run := await lean.runs.get("ann", run_id)) is None or run.notice != AWAY:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.05)
    return run


class Answers:
    """Submits that are done at once, and answered later."""

    def __init__(self) -> None:
        self.go = threading.Event()

    async def __call__(self, exchange: Exchange) -> None:
        answer = await exchange.forward()
        await asyncio.to_thread(self.go.wait)
        await exchange.say(answer)


async def one_in_each_step(server: Server, one: Lean, other: Lean) -> tuple[list[Run], list[Callable[[], None]]]:
    """Runs that are downloaded, waited for, just answered and about to be sent; and what lets each go on."""
    runs: list[Run] = []
    opening: list[Callable[[], None]] = []
    for kind, lean in (("download", one), ("result", other), ("submit", one), ("upload", other)):
        if kind == "submit":
            answers = server.always[kind] = Answers()
            opening.append(answers.go.set)
        else:
            opening.append(server.gate(kind).open)
        before = server.seen[kind]
        colour = "gold" if kind == "upload" else "teal"  # which is there by then
        runs.append(await lean.press(Press(prompt=f"held at its {kind}", reference=colour)))
        await seen(server, kind, before + 1)
    return runs, opening


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", [2.2, pytest.param(LONG, marks=pytest.mark.soak)])
async def test_a_run_in_each_step(
    server: Server, tmp_path: Path, server_of_postgresql: databases.Server, seconds: float
) -> None:
    """It is away for longer than a lease holds. What was sent is not lost, what was not is sent once that is recorded,
    each run goes on where it was, and a press meanwhile is refused: nothing was charged.
    """
    async with replica(tmp_path / "data", server) as one, replica(tmp_path / "data", server) as other:
        runs, opening = await one_in_each_step(server, one, other)
        shown = [asyncio.create_task(lean.end_of(run)) for run in runs for lean in (one, other)]
        names, sent = (one.leases.owner, other.leases.owner), server.seen["submit"]
        await asyncio.to_thread(server_of_postgresql.stop)
        back = asyncio.create_task(asyncio.sleep(seconds))
        for go in opening:
            go()
        server.clear()
        with pytest.raises(LedgerError, match="can't be reached") as refused:
            await one.press(Press(prompt="too early"))
        assert "Nothing was charged." in str(refused.value)
        assert (await said_away(other, runs[3].id)).state == "submitting"
        async with asyncio.timeout(20):
            while one.leases.reachable or other.leases.reachable:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.05)
        await back
        assert server.seen["submit"] == sent
        await asyncio.to_thread(server_of_postgresql.start)
        async with asyncio.timeout(30):
            ended = await asyncio.gather(*shown)
        assert {run.state for run in ended} == {"completed"}
        assert (one.leases.owner, other.leases.owner) == names and one.leases.reachable
        assert (await one.run(Press(prompt="once more"))).state == "completed"
    assert server.seen["submit"] == len(runs) + 1
    told = history(tmp_path / "data")
    assert len(told) == len(runs) + 1
    check_books(told, spent(tmp_path / "data"), server.books())


@pytest.mark.anyio
async def test_the_app_closes_meanwhile(server: Server, tmp_path: Path, server_of_postgresql: databases.Server) -> None:
    """At once, with a picture that it has no way to write down; the next start finds it."""
    async with replica(tmp_path / "data", server) as one:
        answer = server.gate("result")
        run = await one.press(Press(prompt="held at its result"))
        await seen(server, "result")
        await asyncio.to_thread(server_of_postgresql.stop)
        answer.open()
        await said_away(one, run.id)
        async with asyncio.timeout(20):
            await one.runs.aclose()
    await asyncio.to_thread(server_of_postgresql.start)
    async with replica(tmp_path / "data", server) as next_one, asyncio.timeout(20):
        await next_one.runs.take_over(next_one.account)
        assert (await next_one.end_of(run)).state == "completed"
    assert server.seen["submit"] == 1


@pytest.mark.soak
@pytest.mark.anyio
async def test_the_whole_app(server: Server, tmp_path: Path, server_of_postgresql: databases.Server) -> None:
    """Nobody starts it again: it says that the database is away, refuses a call, and brings all others to their end."""
    server.renew(seconds=2)
    with whole_app(tmp_path / "data", server.url, KONTEXT_DATABASE_URL=server_of_postgresql.url) as app:
        async with httpx.AsyncClient(base_url=app.url, timeout=120) as http:
            image = await upload(http, picture())
            going = [asyncio.create_task(generate(http, image, "ultra-fast", {**SMALL, "seed": n})) for n in range(4)]
            await seen(server, "submit", 4)
            await asyncio.to_thread(server_of_postgresql.stop)
            back = asyncio.create_task(asyncio.sleep(LONG))
            refused = await generate(http, image, "ultra-fast", SMALL)
            assert "can't be reached" in refused and "Nothing was charged." in refused
            await asyncio.sleep(5)
            assert (await http.get("/healthz")).json()["status"] == "database away"
            assert (await http.get("/readyz")).status_code == 503
            await back
            await asyncio.to_thread(server_of_postgresql.start)
            answers = await asyncio.gather(*going)
            assert [answer["status"] for answer in answers] == ["completed"] * 4
            assert (await generate(http, image, "ultra-fast", SMALL))["status"] == "completed"
            assert (await http.get("/readyz")).is_success
    assert server.seen["submit"] == 5
    assert sum(answer["charge_usd"] for answer in answers) == float(server.books().total) * 4 / 5


@pytest.mark.soak
@pytest.mark.parametrize(
    "seed", [seed for seed in range(20) if moment_of(seed).kind in ("submit", "result", "download")]
)
def test_twenty_runs_at_any_moment(
    server: Server, tmp_path: Path, server_of_postgresql: databases.Server, seed: int
) -> None:
    """Two processes have twenty runs in flight when it goes away for ten leases, around a request of some kind."""
    server.renew(seconds=0.3, seed=seed)
    gone = threading.Thread(target=go_away, args=(server_of_postgresql,))
    with two(server, tmp_path / "data", server_of_postgresql.url, seed) as (replicas, gate):
        time.sleep(0.5)  # they have looked at what there is
        go_away_at(server, moment_of(seed), gone)
        gate.open()
        for one in replicas:
            assert hear(*one) == "done"
        gone.join()
        for process, line in replicas:
            line.send("that is all")
            process.join(30)
    check(server, tmp_path / "data")
    assert {run.state for run in history(tmp_path / "data")} == {"completed"}


def go_away_at(server: Server, moment: Moment, gone: threading.Thread) -> None:
    """The service notices nothing."""

    async def around(exchange: Exchange) -> None:
        if not moment.done:
            gone.start()
        answer = await exchange.forward()
        if moment.done:
            gone.start()
        await exchange.say(answer)

    server.next[moment.kind].extend([*[plainly] * (moment.nth - 1), around])


def go_away(server: databases.Server) -> None:
    server.stop()
    time.sleep(LONG)
    server.start()
