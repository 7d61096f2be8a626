"""Several replicas of the app on one database: each run is one's alone, and nothing is sent or written by two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from running import Forward, Held, House, calm, rewritten

from core.access.budget import Budget
from core.access.invitations import Invitations
from core.errors import BudgetError, KontextError, LedgerError
from core.ledger.faults import Fenced
from core.ledger.record import NOT_CREATED, SUBMITTING, snapshot
from core.ledger.run import Run
from core.ledger.schema import replicas
from core.runs.leases import LEASE

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("postgresql")]

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def one(tmp_path: Path, postgresql: str) -> AsyncIterator[House]:
    house = House(tmp_path / "data", shared=True)
    await house.leases.begin()
    yield house
    await house.aclose()


@pytest.fixture
async def other(one: House) -> AsyncIterator[House]:
    house = House(one.folder, beside=one)
    await house.leases.begin()
    yield house
    await house.aclose()


async def lapse(house: House) -> None:
    """Its lease runs out, as it does where a process stands still."""
    await asyncio.to_thread(write, house, replicas.update().where(replicas.c.id == house.leases.owner), until=LONG_AGO)


def write(house: House, change: Any, **values: Any) -> None:
    with house.ledger.writing() as connection:
        connection.execute(change.values(**values))


async def take_over(house: House) -> int:
    """What a replica does every few seconds."""
    assert await house.leases._renew()
    return await house.runs.take_over(house.account)


async def ended_here(house: House, run: Run) -> None:
    """Until nothing of it is done there any more."""
    if (live := house.runs._live.get(run.id)) is not None and live.task is not None:
        await asyncio.wait({live.task})


async def standing_still(house: House, kind: str = "result", **press: Any) -> tuple[Run, Held]:
    """A run whose next request of that kind waits until it is let go."""
    held = house.wire.always[kind] = Held()
    run = await house.press(**press)
    await held.reached.wait()
    return run, held


async def test_what_is_worked_on_is_left_alone(one: House, other: House) -> None:
    """Two who look for work at once: the run of one is not the other's, who shows it to its end all the same."""
    run, held = await standing_still(one)
    assert await take_over(other) == 0
    seen = asyncio.create_task(other.end_of(run))
    await asyncio.sleep(0.1)
    assert not seen.done()
    held.go.set()
    assert (await seen).outputs == (await one.end_of(run)).outputs
    assert (one.wire.seen["submit"], other.wire.seen["submit"]) == (1, 0)


async def test_what_one_leaves_another_brings_to_its_end(one: House, other: House) -> None:
    """A lease that ran out frees the run; the other fetches the picture, and whoever watched at the first sees it."""
    run, held = await standing_still(one)
    await lapse(one)
    assert await take_over(other) == 1
    ended = await other.end_of(run)
    assert (ended.state, ended.charge, len(await one.created())) == ("completed", Decimal("0.04"), 1)
    watching = asyncio.create_task(one.end_of(run))
    held.go.set()
    assert (await watching).outputs == ended.outputs


async def test_whoever_wakes_up_writes_nothing(one: House, other: House) -> None:
    """What it does with an answer that came late is refused, and it lets go of the run."""
    held = Held()

    async def late_and_wrong(request: httpx.Request, forward: Forward) -> httpx.Response:
        failed = rewritten(lambda task: task.update(status="failed", outputs=[]))
        return await held(request, partial(failed, forward=forward))

    one.wire.always["result"] = late_and_wrong
    run = await one.press()
    await held.reached.wait()
    await lapse(one)
    await take_over(other)
    ended = await other.end_of(run)
    before = other.ledger.find("ann", run.id)
    held.go.set()
    await ended_here(one, run)
    assert other.ledger.find("ann", run.id) == before
    assert (await one.runs.get("ann", run.id)) == ended


async def test_whoever_wakes_up_sends_nothing(one: House, other: House) -> None:
    """It stood still right after it had written down that it sends: the other looks for what was never sent."""
    line = Line(one)
    one.account.client._rate_limiter = line  # type: ignore[assignment]
    run = await one.press()
    await line.reached.wait()
    await lapse(one)
    assert await take_over(other) == 1
    one.time.now += LEASE
    line.go.set()
    ended = await other.end_of(run)
    await calm()
    assert (ended.state, ended.predictions[0].status, ended.charge) == ("failed", NOT_CREATED, Decimal(0))
    assert (one.wire.seen["submit"], await one.created()) == (0, [])


class Line(Held):
    """In front of the service, where a submit waits that is written down already."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self._house = house

    async def acquire(self, *, low_priority: bool) -> None:
        going = self._house.runs._live.values()
        if any(entry.status == SUBMITTING for live in going for entry in live.record.entries):
            self.reached.set()
            await self.go.wait()


async def on_the_wire(request: httpx.Request) -> None:
    """As httpcore does right before it writes the body."""
    await request.extensions["trace"]("http11.send_request_body.started", {})


async def test_whoever_woke_up_under_another_name_sends_nothing(one: House, other: House) -> None:
    """What waited for a connection meanwhile is no more its own than before, however good its new lease is."""
    held = Held()

    async def late(request: httpx.Request, forward: Forward) -> httpx.Response:
        held.reached.set()
        await held.go.wait()
        await on_the_wire(request)
        return await forward(request)

    one.wire.always["submit"] = late
    run = await one.press()
    await held.reached.wait()
    await lapse(one)
    assert await take_over(other) == 1
    ended = await other.end_of(run)
    assert not await one.leases._renew()
    await one.runs.lose_all()
    await one.leases.begin()
    held.go.set()
    await calm()
    assert (await one.created(), other.ledger.find("ann", run.id).state) == ([], ended.state)


async def test_what_could_not_be_sent_in_time_is_announced_again(one: House) -> None:
    """Its lease ran out on the way to the wire, and nobody noticed: it is sent with the next, and once."""

    async def slow(request: httpx.Request, forward: Forward) -> httpx.Response:
        one.time.now += LEASE
        await on_the_wire(request)
        return await forward(request)

    one.wire.faults["submit"].append(slow)
    run = await one.run()
    assert (run.state, len(await one.created()), one.spent()) == ("completed", 1, Decimal("0.04"))


@pytest.mark.parametrize("ended", [True, False])
async def test_what_was_sent_too_late_is_found_all_the_same(one: House, other: House, ended: bool) -> None:
    """It stood still between its last look at the lease and the wire, and wakes up once another has looked in vain and
    `ended` the run, or is about to: the task is that run's in the end, and nobody has sent it again.
    """
    held, looked = Held(), Held()

    async def late(request: httpx.Request, forward: Forward) -> httpx.Response:
        await on_the_wire(request)
        return await held(request, forward)

    async def in_vain(request: httpx.Request, forward: Forward) -> httpx.Response:
        answer = await forward(request)
        one.time.now += 2 * other.runtime.timeouts.search
        looked.reached.set()
        await looked.go.wait()
        return answer

    one.wire.always["submit"] = late
    run = await one.press()
    await held.reached.wait()
    await lapse(one)
    other.wire.faults["history"].append(in_vain)
    assert await take_over(other) == 1
    await looked.reached.wait()
    if ended:
        looked.go.set()
        assert (await other.end_of(run)).predictions[0].status == NOT_CREATED
    held.go.set()
    await one.runs._flow._submitter.drain(30)
    await one.runs._late.drain(30)
    looked.go.set()
    await calm()
    found = snapshot(other.ledger.find("ann", run.id), one.time.now)
    assert (found.state, len(found.outputs), found.charge) == ("completed", 1, Decimal("0.04"))
    assert (other.wire.seen["submit"], one.spent()) == (0, await one.billed())


async def test_whoever_is_thought_dead_reserves_nothing(one: House, other: House) -> None:
    """A press there is refused, until it is known again under another name."""
    await lapse(one)
    await take_over(other)
    with pytest.raises(Fenced):
        await one.press()
    assert other.ledger.list_for("ann") == []
    assert not await one.leases._renew()
    await one.leases.begin()
    assert (await one.run()).state == "completed"


async def test_a_lease_that_nobody_took_goes_on(one: House) -> None:
    """It ran out while the database was away, and nobody noticed: what was its own still is."""
    run, held = await standing_still(one, "upload")
    await lapse(one)
    one.time.now += 2 * LEASE
    held.go.set()
    assert (await one.end_of(run)).state == "completed"


async def test_whoever_closes_lets_go(one: House, other: House) -> None:
    """Nobody waits for the lease of a replica that says that it ends."""
    run, _ = await standing_still(one)
    await one.runs.aclose()
    await one.leases.leave()
    assert await take_over(other) == 1
    assert (await other.end_of(run)).state == "completed"


async def test_a_run_is_deleted_where_it_has_ended(one: House, other: House) -> None:
    """What another replica works on is not taken away beneath it."""
    run, held = await standing_still(one)
    with pytest.raises(KontextError, match="isn't finished"):
        await other.runs.delete("ann", run.id)
    held.go.set()
    await one.end_of(run)
    await other.runs.delete("ann", run.id)
    assert await one.runs.get("ann", run.id) is None


async def test_each_knows_how_many_there_are(one: House, other: House) -> None:
    """Whoever comes knows it at once, the others with their next renewal; whoever is gone counts no longer."""
    assert (one.leases.replicas, other.leases.replicas) == (1, 2)
    await take_over(one)
    assert one.leases.replicas == 2
    await lapse(other)
    await take_over(one)
    assert one.leases.replicas == 1


async def test_it_is_renewed_while_it_serves(one: House, other: House) -> None:
    """Each look for work keeps what is ours, and whoever was lost begins anew."""
    lost: asyncio.Queue[str | None] = asyncio.Queue()
    looked = asyncio.Event()

    async def lose() -> None:
        lost.put_nowait(one.leases.owner)

    async def look() -> None:
        looked.set()
        one.time.going.clear()

    name = one.leases.owner
    keeping = asyncio.create_task(one.leases.keep(lose, look))
    await looked.wait()
    assert (lost.qsize(), one.leases.owner, one.leases.sure) == (0, name, True)
    await lapse(one)
    await take_over(other)
    looked.clear()
    one.time.going.set()
    assert await lost.get() == name
    await looked.wait()
    keeping.cancel()
    assert one.leases.owner != name and one.leases.sure


@contextmanager
def last_word_lost(house: House) -> Iterator[None]:
    """The next transaction is there, and the line breaks before that is heard."""
    engine = house.ledger._database.engine  # type: ignore[attr-defined]

    def break_off(connection: sa.Connection) -> None:
        sa.event.remove(engine, "commit", break_off)
        connection.connection.commit()
        raise sa.exc.OperationalError("COMMIT", None, OSError(), connection_invalidated=True)

    sa.event.listen(engine, "commit", break_off)
    with pytest.raises(LedgerError, match="can't be reached"):
        yield


async def test_a_press_that_may_be_written_down_costs_nothing(one: House) -> None:
    """The database went away in the moment of the reservation: it is refused, and what was reserved is given back."""
    with last_word_lost(one):
        await one.press()
    assert one.spent() == Decimal("0.04")
    assert await take_over(one) == 1
    await calm()
    assert (one.spent(), one.wire.seen["submit"]) == (0, 0)


async def test_what_was_taken_over_unheard_is_worked_on(one: House, other: House) -> None:
    """The database went away in the moment of taking a run over: it is nobody else's, and goes on."""
    run, _ = await standing_still(one)
    await lapse(one)
    assert await other.leases._renew()
    with last_word_lost(other):
        await other.runs.take_over(other.account)
    assert (await other.runs.get("ann", run.id) or run).state == "waiting"
    assert await take_over(other) == 1
    assert (await other.end_of(run)).state == "completed"


async def test_whoever_could_not_renew_frees_nobody_at_first(one: House, other: House) -> None:
    """The database was away for longer than any lease holds: each keeps its own, and whoever is dead loses it later."""
    await standing_still(one)
    await lapse(one)
    one.time.now += 2 * LEASE
    assert await take_over(other) == 0
    assert await one.leases._renew()
    await lapse(one)
    assert await take_over(other) == 1


@pytest.mark.parametrize("invited", [False, True], ids=["the copy's budget", "an invitation"])
async def test_what_one_budget_has_is_spent_once_by_all(tmp_path: Path, postgresql: str, invited: bool) -> None:
    """Twenty presses at once over both against money for three: three are sent, the others cost nothing."""
    budget = Budget() if invited else Budget(daily=Decimal("0.12"))
    one = House(tmp_path / "data", shared=True, budget=budget)
    other = House(one.folder, beside=one, budget=budget)
    for house in (one, other):
        await house.leases.begin()
        if invited:
            house.account = replace(house.account, invitation=await asyncio.to_thread(invitation, house))
    pressed = await asyncio.gather(*(house.press() for house in (one, other) * 10), return_exceptions=True)
    refused = [answer for answer in pressed if isinstance(answer, BudgetError)]
    assert (len(refused), {answer.charged for answer in refused}) == (17, {"no"})
    for run in await one.runs.list_for("ann"):
        assert (await one.end_of(run)).state == "completed"
    assert (len(await one.created()), one.spent()) == (3, await one.billed())
    for house in (other, one):
        await house.aclose()


def invitation(house: House) -> str:
    """The one that there is, or a new one."""
    invitations = Invitations(house.ledger, clock=house.time.clock)
    if not invitations.every():
        invitations.invite("Anna", Decimal("0.12"), "never")
    return invitations.every()[0].invitation.id
