"""Any replica shows any run as it goes on, and passes on what is asked of it, whichever works on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from running import Held, House
from test_callbacks import Called
from test_leases import lapse, standing_still, take_over

from core.ledger import people
from core.ledger.ledger import Ledger
from core.ledger.run import Run
from core.runs.news import LOOK_INTERVAL

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("postgresql")]


PATIENCE = 10  # seconds of real time


class Pauses:
    """Nobody is to look by themselves, and whoever listens anew waits until they may."""

    def __init__(self) -> None:
        self.deaf, self.again = asyncio.Event(), asyncio.Event()
        self.looks = False

    async def __call__(self, seconds: float) -> None:
        if seconds >= LOOK_INTERVAL:
            await asyncio.sleep(PATIENCE)
            self.looks = True
            return
        self.deaf.set()
        await self.again.wait()


@asynccontextmanager
async def hearing(house: House) -> AsyncIterator[House]:
    """A replica that hears of the others."""
    hears = asyncio.Event()

    def asked(run_id: str | None) -> None:
        hears.set()
        house.runs.asked(run_id)

    await house.leases.begin()
    keeping = asyncio.create_task(house.runs.news.keep(asked))
    await hears.wait()
    yield house
    keeping.cancel()
    await house.aclose()


@pytest.fixture
async def one(tmp_path: Path, postgresql: str) -> AsyncIterator[Called]:
    async with hearing(Called(tmp_path / "data", shared=True)) as house:
        yield house


@pytest.fixture
async def other(one: Called) -> AsyncIterator[Called]:
    """It never looks at what it hears nothing of."""
    pauses = Pauses()
    async with hearing(Called(one.folder, beside=one, sleep=pauses)) as house:
        yield house
        assert not pauses.looks


async def told(ledger: Ledger, work: Callable[[], object]) -> list[str]:
    """What is told of runs while that is done, and nothing else is."""
    heard: list[str] = []
    async for news in ledger.listen():
        if news is None:
            await work()
            await asyncio.to_thread(execute, ledger, "SELECT pg_notify('kontext_changed', 'that is all')")
        elif news.run_id == "that is all":
            break
        else:
            heard.append(news.run_id)
    return heard


def execute(ledger: Ledger, statement: str) -> None:
    with ledger.writing() as connection:
        connection.exec_driver_sql(statement)


async def test_each_step_is_shown_at_once(one: House, other: House) -> None:
    """Whoever watches at a replica sees each step that another one writes down, without looking for it."""
    held = one.wire.always["submit"] = Held()
    run = await one.press()
    await held.reached.wait()
    watching = other.runs.watch("ann", run.id)
    assert (await anext(watching)).state == "submitting"
    held.go.set()
    assert [seen.state async for seen in watching][-1] == "completed"
    assert not other.runs.news._waiting


async def test_each_step_is_told_once(one: House, other: House) -> None:
    """What costs every replica a moment is told of what can be seen alone, and where there is somebody to hear it."""
    together: list[Run] = []

    async def press() -> None:
        together.append(await one.run())

    assert len(await told(one.ledger, press)) <= 4
    await other.leases.leave()
    assert await told(one.ledger, press) == []


async def test_what_was_told_to_the_deaf_is_looked_at(one: House, other: House) -> None:
    """The line broke, and the run ended before there was a new one."""
    run, held = await standing_still(one)
    watching = asyncio.create_task(other.end_of(run))
    pauses = other.runtime.sleep
    execute(one.ledger, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(query, 'LISTEN')")
    await pauses.deaf.wait()
    held.go.set()
    await one.end_of(run)
    assert not watching.done()
    pauses.again.set()
    assert (await watching).state == "completed"


@pytest.mark.parametrize("way", ["heard", "looked for", "taken over"])
async def test_waiting_is_stopped_wherever_that_is_asked(one: House, other: House, way: str) -> None:
    """Whoever works on it stops: at once, or by its next look where it heard nothing, or whoever comes after it."""
    if way != "heard":
        one.runs.asked = lambda run_id: None  # type: ignore[method-assign]
    run, _ = await standing_still(one)
    await other.runs.stop_waiting("ann", run.id)
    if way == "looked for":
        await one.runs.heed()
    elif way == "taken over":
        await lapse(one)
        assert await take_over(other) == 1
    async with asyncio.timeout(PATIENCE):
        ended = await (other if way == "taken over" else one).end_of(run)
    assert "You stopped waiting" in ended.troubles[0].happened and ended.resumable and not ended.outputs
    assert one.wire.seen["submit"] + other.wire.seen["submit"] == 1
    assert other.ledger.asked_of(other.leases.owner or "", run.id) == []


async def test_nobody_else_stops_it(one: House, other: House) -> None:
    """A visitor's run is asked to stop by that visitor alone."""
    run, held = await standing_still(one)
    await other.runs.stop_waiting("bob", run.id)
    await one.runs.heed()
    held.go.set()
    assert (await one.end_of(run)).state == "completed"


async def test_what_was_stopped_goes_on_when_asked(one: House, other: House) -> None:
    """A run that was stopped elsewhere is resumed elsewhere, and nothing of the stopping is left."""
    run, held = await standing_still(one)
    await other.runs.stop_waiting("ann", run.id)
    await one.end_of(run)
    held.go.set()
    other._sleep.again.set()
    await other.runs.resume("ann", other.account, run.id)
    assert (await other.end_of(run)).state == "completed"


async def test_a_call_is_heard_by_whoever_waits_for_it(one: Called, other: Called) -> None:
    """The service calls whichever replica its request reaches; a run on another one goes on by it."""
    run = await one.lost()
    other.addresses = one.addresses
    assert await other.call()
    async with asyncio.timeout(PATIENCE):
        assert (await one.end_of(run)).state == "completed"


async def test_what_goes_on_follows_its_visitor(one: House, other: House) -> None:
    """Who signs in at one replica finds what goes on at another."""
    run, held = await standing_still(one)
    with other.ledger.writing() as connection:
        people.join(connection, "ann", "person-ann")
    await one.until(run, lambda now: now.visitor == "person-ann")
    held.go.set()
    assert [seen.state async for seen in one.runs.watch("person-ann", run.id)][-1] == "completed"
