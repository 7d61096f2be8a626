"""Places at the service for two replicas together, on one database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import open_ledger
from running import Held, House, calm

from core.ledger import places as rows
from core.ledger.ledger import Ledger
from core.ledger.schema import places, replicas
from core.runs.concurrency import ConcurrencyLimit
from core.runs.leases import LEASE, Leases
from core.runs.places import Places
from core.runs.runtime import Runtime, Timeouts
from core.service.account import Account
from core.service.client import Client

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("postgresql")]

MOST, LOOK = 3, 0.01
HOST, PRACTICE = (Account(kind, kind, Client("k", "http://service.invalid")) for kind in ("host", "sandbox"))


class Replica:
    """One of those that share the places of an account, and who is in at it, in the order in which they came in."""

    def __init__(self, ledger: Ledger, most: int) -> None:
        self.ledger = ledger
        self.leases = Leases(ledger, Runtime(), alone=False)
        self.places = Places(most, ledger, self.leases, LOOK)
        self.limit = self.places.of(HOST)
        self.inside: list[str] = []

    async def enter(self, name: str = "") -> None:
        await self.limit.enter(name, lambda place: None)
        self.inside.append(name)

    def leave(self) -> str:
        self.limit.leave()
        return self.inside.pop(0)


@pytest.fixture
async def two(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Replica, Replica]]:
    """With so many places together."""
    ledger, most = open_ledger(tmp_path), getattr(request, "param", MOST)
    both = (
        Replica(ledger, most),
        Replica(ledger, most),
    )
    for replica in both:
        await replica.leases.begin()
    yield both
    for replica in both:
        await replica.places.aclose()
    ledger.close()


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.001)


async def test_together_they_have_the_places_of_one(two: tuple[Replica, Replica]) -> None:
    """Twelve come to each at once: never more are in than there are places, and all of them get in."""
    tasks = [asyncio.create_task(replica.enter()) for replica in two for _ in range(12)]
    seen = []
    for _ in tasks:
        await until(lambda: any(replica.inside for replica in two))
        seen.append(sum(len(replica.inside) for replica in two))
        max(two, key=lambda replica: len(replica.inside)).leave()
    await asyncio.gather(*tasks)
    assert max(seen) == MOST


@pytest.mark.parametrize("two", [1], indirect=True)
async def test_one_who_comes_later_waits_for_one_place(two: tuple[Replica, Replica]) -> None:
    """The long line of one replica keeps nobody waiting at the other: the only place goes from the one to the other."""
    first, second = two
    tasks = [asyncio.create_task(first.enter(f"a{n}")) for n in range(3)]
    await until(lambda: first.inside)
    tasks += [asyncio.create_task(second.enter(f"b{n}")) for n in range(2)]
    await until(lambda: first.limit._contested)  # type: ignore[attr-defined]
    order = []
    for _ in tasks:
        await until(lambda: first.inside or second.inside)
        order.append((first if first.inside else second).leave())
    assert order == ["a0", "b0", "a1", "b1", "a2"]


async def test_nobody_comes_in_while_places_are_given_back(two: tuple[Replica, Replica]) -> None:
    """Another may have the place in that moment, so whoever comes asks for it again."""
    first, _ = two
    await first.enter()
    given_back, lock = threading.Event(), rows.lock(HOST.id)

    def give_back() -> None:
        with first.ledger.writing(lock):
            given_back.wait()

    giving = asyncio.create_task(asyncio.to_thread(give_back))
    first.leave()
    await until(lambda: first.limit._asked == 0)  # type: ignore[attr-defined]
    coming = asyncio.create_task(first.enter())
    await asyncio.sleep(0.02)
    came = coming.done()
    given_back.set()
    await asyncio.gather(giving, coming)
    assert not came


async def test_what_one_has_learned_the_other_knows(two: tuple[Replica, Replica]) -> None:
    """A 429 lowers the limit for both to what there was room for; their successes raise it again, one a round."""
    first, second = two
    await asyncio.gather(first.enter(), first.enter(), second.enter())
    first.limit.refused()
    first.leave()
    waiting = asyncio.create_task(second.enter())
    await until(lambda: (first.limit.limit, second.limit.limit) == (2, 2))
    assert not waiting.done()
    for _ in range(2):
        first.limit.finished()
    await waiting
    await until(lambda: (first.limit.limit, second.limit.limit) == (3, 3))


async def test_the_places_of_the_dead_come_back(two: tuple[Replica, Replica]) -> None:
    """Once its lease has run out, and not before."""
    first, second = two
    await asyncio.gather(*(first.enter() for _ in range(MOST)))
    waiting = asyncio.create_task(second.enter())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await asyncio.to_thread(lapse, first)
    assert await second.leases._renew()
    await asyncio.wait_for(waiting, 5)
    while first.inside:
        first.leave()
    await calm()  # whoever is thought dead has nothing to give back


def lapse(replica: Replica) -> None:
    with replica.ledger.writing() as connection:
        late = replica.leases._runtime.clock() - 1000 * LEASE
        connection.execute(replicas.update().where(replicas.c.id == replica.leases.owner).values(until=late))


@pytest.mark.parametrize("two", [200], indirect=True)
async def test_many_ask_together(two: tuple[Replica, Replica]) -> None:
    """A hundred who come and go cost the database a few questions, and nothing is held once nobody is in."""
    first, _ = two
    asked: list[object] = []
    sa.event.listen(first.ledger._database.engine, "begin", asked.append)  # type: ignore[attr-defined]
    for _ in range(3):
        await asyncio.gather(*(first.enter() for _ in range(100)))
        while first.inside:
            first.leave()
    await calm()
    assert len(asked) <= 6
    assert await asyncio.to_thread(held, first.ledger) == [0]


def held(ledger: Ledger) -> list[int]:
    with ledger.reading() as connection:
        return list(connection.execute(sa.select(places.c.held)).scalars())


async def test_a_database_that_is_away_is_asked_again(
    two: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody comes in meanwhile, and whoever waits comes in afterwards."""
    first, _ = two
    owner, first.leases._replica = first.leases._replica, None
    waiting = asyncio.create_task(first.enter())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    first.leases._replica = owner
    await asyncio.wait_for(waiting, 5)


async def test_whose_key_is_gone_leaves_nothing(two: tuple[Replica, Replica]) -> None:
    """What was held for an account, and learned of it, goes with the last who had its key."""
    first, _ = two
    await first.enter()
    first.places.forget(HOST.id)
    await calm()
    assert await asyncio.to_thread(held, first.ledger) == []


async def test_practice_is_each_one_s_own(two: tuple[Replica, Replica]) -> None:
    """The sandbox of each replica has as many places as if it were the only one."""
    assert [type(replica.places.of(PRACTICE)) for replica in two] == [ConcurrencyLimit, ConcurrencyLimit]


async def test_runs_of_two_replicas(tmp_path: Path) -> None:
    """With room for one, of the pictures that are asked for at both one is at the service, until it has ended."""
    timeouts = Timeouts(optional_wait=30, bill=30, shutdown_grace=5, places=LOOK)
    one = House(tmp_path / "data", shared=True, at_once=1, timeouts=timeouts)
    other = House(one.folder, beside=one, at_once=1, timeouts=timeouts)
    ends, runs = Held(), []
    for house in (one, other):
        await house.leases.begin()
        house.wire.always["result"] = ends
        runs.append(await house.press("pro", 2))
    await until(lambda: one.wire.seen["submit"] + other.wire.seen["submit"] == 1)
    await asyncio.sleep(0.1)
    assert one.wire.seen["submit"] + other.wire.seen["submit"] == 1
    ends.go.set()
    ended = await asyncio.gather(one.end_of(runs[0]), other.end_of(runs[1]))
    assert [run.state for run in ended] == ["completed"] * 2
    await other.aclose()
    await one.aclose()
