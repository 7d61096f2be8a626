"""What is forgotten leaves amounts behind, and nothing else: by age, and at once where somebody asks for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image
from running import Held, House, lost_after, lost_before
from serving import Served, at_once

from core.access.people import Login, People
from core.access.retention import SERVICE, Belongings, Retention
from core.backend import Backend
from core.catalog.inputs import check
from core.comparisons import comparison
from core.errors import KontextError
from core.ledger import ballots, forgetting, trials
from core.ledger.ballots import Ballot, Choice
from core.ledger.run import Run
from core.ledger.schema import people, predictions, runs, sign_ins
from core.ledger.spending import Spending
from core.ledger.trials import Case, Spec
from core.pictures.decoder import Decoder
from core.pictures.reference import Reference
from core.pictures.served import receipts_of
from core.runs.exports import archive
from core.runs.presses import GONE
from core.runs.runtime import Runtime
from core.service.account import Account
from core.settings import read
from core.storage import clear
from core.trials.blind import Blind
from core.trials.life import Trials

pytestmark = [pytest.mark.anyio, pytest.mark.both(soak=True)]

HOME = Path(__file__).parents[3]
KEEP = timedelta(days=3)
ANN, BOB = "a" * 32, "b" * 32
WORDS = "a marzipan heron"  # in all that somebody types
EVER = datetime(2000, 1, 1, tzinfo=UTC)


class Copy:
    """A hosted copy whose clock can be put forward, and who has been there."""

    def __init__(self, folder: Path, service: str) -> None:
        self.folder = folder
        self.ahead = timedelta(0)
        own = {"KONTEXT_DATA_DIR": str(folder), "WAVESPEED_API_KEY": "wsk_host", "WAVESPEED_BASE_URL": service}
        caps = {"KONTEXT_HOSTED": "on", "KONTEXT_DAILY_BUDGET_USD": "9", "KONTEXT_VISITOR_BUDGET_USD": "9"}
        more = {"KONTEXT_KEEP_DAYS": str(KEEP.days), "KONTEXT_SANDBOX_SECONDS": "0"}
        self._settings = read({**own, **caps, **more}, folder)
        self.backend = self._made()

    def _made(self) -> Backend:
        return Backend(self._settings, HOME / "presets", runtime=Runtime(self.clock, at_once))

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def again(self) -> None:
        """As after a restart."""
        await self.backend.aclose()
        self.backend = self._made()
        await self.backend.open()

    async def reference(self, colour: str) -> Reference:
        source = self.folder / "upload.png"
        Image.effect_noise((96, 64), 60).save(source)
        with Image.open(source) as noise:  # no two pictures have the same bytes
            Image.merge("RGB", [noise, noise, noise.point(lambda _: len(colour) * 20)]).save(source)
        made = await self.backend.prepare(source, 1)
        source.unlink()
        shown = self.backend.served.card(made)
        assert shown
        return shown

    async def run(self, visitor: str, account: Account, reference: Reference, words: str = WORDS) -> Run:
        inputs = check("pro", words, 1, {"seed": 7}, lambda: 7)
        started = await self.backend.runs.start(visitor, account, inputs, [reference])
        return [seen async for seen in self.backend.runs.watch(visitor, started.id)][-1]

    async def compare(self, visitor: str, reference: Reference) -> list[Run]:
        backend = self.backend
        planned = comparison.plan(WORDS, 1, ["pro", "dev"], {"seed": 7}, lambda: 7)
        _, made = await comparison.start(backend.runs, visitor, backend.account, planned, [reference])
        return [[seen async for seen in backend.runs.watch(visitor, run.id)][-1] for run in made]

    async def trial(self, visitor: str, reference: Reference) -> str:
        backend, cases = self.backend, (Case(WORDS, (reference,)),)
        spec = Spec(WORDS, WORDS, ("pro", "max"), cases)
        draft = await backend.trials.save(visitor, backend.practice, spec)
        await backend.trials.seal(visitor, backend.practice, draft.id, Decimal("0.12"))
        made = [progress async for progress in backend.trials.watch(visitor, draft.id)][-1].trial
        ballot = Ballot("ballot", 0, 1, 1, ("pro", "max"))
        with backend.ledger.writing() as connection:
            judge = ballots.join(connection, made.id, "token", WORDS, True, self.clock(), lambda _: [ballot])
            assert judge
            ballots.vote(connection, judge.id, ballot.id, Choice("pro", "max", remark=WORDS), self.clock())
        return made.id

    def put(self, run: Run) -> list[Path]:
        """What the page has fetched of a run."""
        served = self.backend.served
        packed = served.put(run.id, "all.zip", archive(run), run.outputs[0].path.parent)
        receipts = served.put(receipts_of(run.visitor), "receipts.csv", b"", self.folder)
        return [path for path in (served.show(run.id, run.outputs[0].path), packed, receipts) if path]

    def totals(self) -> dict[str, Any]:
        """All sums that anybody is told or held to."""
        ledger, today = self.backend.ledger, datetime.now(UTC).replace(hour=0, minute=0, second=0)
        cost = sa.func.sum(sa.func.coalesce(predictions.c.charge, predictions.c.reserved))
        by = (runs.c.variant_id, runs.c.account_kind, runs.c.invitation, sa.func.substr(runs.c.created_at, 1, 10))
        joined = predictions.join(runs, predictions.c.run_id == runs.c.id)
        with ledger.reading() as connection:
            spending = Spending(connection)
            return {
                "ever": spending.total(EVER),
                "of today": spending.total(today),
                "of visitors": [spending.by_visitor(visitor, today) for visitor in (ANN, BOB)],
                "each": connection.execute(sa.select(*by, cost).select_from(joined).group_by(*by).order_by(*by)).all(),
                "runs": connection.execute(sa.select(sa.func.count()).select_from(runs)).scalar(),
            }

    def texts(self, visitor: str) -> set[str]:
        """Every id that the ledger has of a visitor."""
        with self.backend.ledger.reading() as connection:
            which = runs.c.visitor == visitor
            own = connection.execute(sa.select(runs.c.id, runs.c.comparison_id).where(which)).all()
            joined = predictions.join(runs, predictions.c.run_id == runs.c.id)
            sent = connection.execute(sa.select(predictions.c.prediction_id).select_from(joined).where(which)).all()
        return {visitor, *(text for row in (*own, *sent) for text in row if text)}

    def holds(self, texts: set[str]) -> set[str]:
        """Those of the texts that stand anywhere in the data folder, or name a file there."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        held = b"\n".join(path.read_bytes() for path in files) + "\n".join(map(str, files)).encode()
        return {text for text in texts if text.encode() in held}

    def contents(self) -> set[str]:
        """The hashes of all files but the ledger's own."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith("ledger")]
        return {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
async def copy(tmp_path: Path, served: Served) -> AsyncIterator[Copy]:
    async with AsyncExitStack() as stack:
        copy = Copy(tmp_path / "data", served.url)
        stack.push_async_callback(lambda: copy.backend.aclose())
        await copy.backend.open()
        yield copy


async def a_whole_visit(copy: Copy) -> tuple[set[str], list[Path], set[str]]:
    """Ann does all that can be done: every text of hers, every address, and the hashes of every file."""
    before, backend = copy.contents(), copy.backend
    own = Account("own-0123456789abcdef", "own", backend.account.client)
    one, other = await copy.reference("red"), await copy.reference("yellow")
    made = [await copy.run(ANN, account, one) for account in (backend.account, own)]
    made += await copy.compare(ANN, other)
    failed, deleted = [await copy.run(ANN, backend.account, one, f"{WORDS} [sandbox:failed]") for _ in range(2)]
    await backend.runs.delete(ANN, deleted.id)
    await backend.runs.label(ANN, {failed.id: {"name": f"{WORDS}, named", "favourite": True}})
    trial = await copy.trial(ANN, await copy.reference("blue"))
    addresses = [path for run in made for path in copy.put(run)]
    card = one.card
    assert all(path.exists() for path in addresses) and card
    texts = copy.texts(ANN) | {WORDS, trial, own.id, one.sha256, other.sha256}
    assert copy.holds(texts) == texts
    return texts, [*addresses, card], copy.contents() - before


async def test_after_its_days_nothing_is_left_but_amounts(copy: Copy, caplog: pytest.LogCaptureFixture) -> None:
    """No word, no id, no picture and no address; whoever came later keeps all of theirs, and every sum is the same."""
    texts, addresses, files = await a_whole_visit(copy)
    copy.ahead = KEEP
    clear(copy.folder, 10**12, copy.clock().timestamp())  # as each hour: cards go after a day of their own
    bob = await copy.run(BOB, copy.backend.account, await copy.reference("green"), "a bob")
    shown = copy.put(bob)
    before = copy.totals()
    await copy.backend.retention.sweep()
    assert copy.holds(texts) == set() and files.isdisjoint(copy.contents())
    assert not [text for text in texts if text in caplog.text]
    assert not [path for path in addresses if path.exists()]
    assert copy.totals() == before and before["of visitors"][0] > 0
    assert [run.id for run in await copy.backend.runs.list_for(BOB)] == [bob.id] and all(
        path.exists() for path in shown
    )
    assert await copy.backend.runs.list_for(ANN) == [] and await copy.backend.trials.list_for(ANN) == []


async def test_everything_of_mine_is_deleted_at_once(copy: Copy, caplog: pytest.LogCaptureFixture) -> None:
    """The same a moment after it was made, with what lies on the page; a program that has the id finds nothing."""
    texts, addresses, files = await a_whole_visit(copy)
    lying = await copy.reference("purple")
    bob = await copy.run(BOB, copy.backend.account, await copy.reference("green"), "a bob")
    before = copy.totals()
    assert await copy.backend.retention.belongings(ANN) == Belongings(trials=1, judges=1, going=0)
    await copy.backend.retention.forget(ANN, [lying])
    assert copy.holds(texts) == set() and files.isdisjoint(copy.contents())
    assert not [text for text in texts if text in caplog.text]
    assert not [path for path in (*addresses, lying.path) if path.exists()]
    assert copy.totals() == before
    assert [run.id for run in await copy.backend.runs.list_for(BOB)] == [bob.id]
    assert await copy.backend.retention.belongings(ANN) == Belongings(0, 0, 0)
    for prediction in texts:
        with pytest.raises(KontextError):
            await copy.backend.runs.recover(ANN, copy.backend.account, prediction)


async def test_what_was_touched_later_stays_with_all_of_it(copy: Copy) -> None:
    """A comparison goes by its newest cell, a trial by its last vote; favourites by age alone."""
    cells = await copy.compare(ANN, await copy.reference("red"))
    trial = await copy.trial(ANN, await copy.reference("blue"))
    copy.ahead = KEEP / 2
    again = await comparison.again(copy.backend.runs, ANN, copy.backend.account, cells[0].id)
    [seen async for seen in copy.backend.runs.watch(ANN, again.id)]
    with copy.backend.ledger.writing() as connection:
        assert ballots.join(connection, trial, "another", "Kim", False, copy.clock(), lambda _: [])
    for ahead, left in ((KEEP, (3, 1)), (2 * KEEP, (0, 0))):
        copy.ahead = ahead
        await copy.backend.retention.sweep()
        listed, owned = await copy.backend.runs.list_for(ANN), await copy.backend.trials.list_for(ANN)
        assert (len(listed), len(owned)) == left


async def test_what_a_crash_cuts_off_is_seen_through(copy: Copy) -> None:
    """One run's row is empty and its files are there, a trial is gone and its runs are not: the next start goes on."""
    run = await copy.run(ANN, copy.backend.account, await copy.reference("red"))
    await copy.run(ANN, copy.backend.account, await copy.reference("yellow"))
    trial = await copy.trial(ANN, await copy.reference("blue"))
    copy.put(run)
    texts, before = copy.texts(ANN) | {WORDS, trial}, copy.totals()
    ledger = copy.backend.ledger
    with ledger.writing() as connection:
        forgetting.leave(connection, ANN, copy.clock())
        trials.delete(connection, trial, "open")
    await asyncio.to_thread(ledger.delete, run.id, copy.clock())
    assert copy.holds(texts) > {ANN, WORDS}
    await copy.again()
    await copy.backend.retention.sweep()
    assert copy.holds(texts) == set() and copy.totals() == before
    assert not [path for path in copy.folder.rglob("*") if path.parent.name in ("outputs", "trials")]


# while something goes on


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data")
    yield house
    await house.aclose()


def retention(house: House, keep: timedelta | None = None) -> Retention:
    of_trials = Trials(house.ledger, house.runs, Blind(Decoder(), house.folder), house.runtime)
    return Retention(house.ledger, house.runs, of_trials, keep, house.time.clock)


def left(house: House) -> int:
    """How many runs have a name of their own."""
    with house.ledger.reading() as connection:
        named = sa.select(sa.func.count()).select_from(runs).where(~runs.c.id.startswith("forgotten-"))
        return connection.execute(named).scalar_one()


async def test_what_is_paid_for_ends_first(house: House) -> None:
    """A run that goes on is not cut off: it ends, is billed, and goes then, though the process died meanwhile; nobody
    can start another one for the visitor who left meanwhile.
    """
    house.time.going.clear()
    run = await house.until(await house.press(visitor=ANN), lambda run: run.state == "waiting")
    done = await house.until(await house.press(visitor=BOB), lambda run: run.state == "waiting")
    assert await retention(house).belongings(ANN) == Belongings(0, 0, going=1)
    await retention(house).forget(ANN)
    assert (await house.runs.get(ANN, run.id)) and left(house) == 2
    await house.kill()
    await house.runs.resume_all(house.account)
    await retention(house).finish()
    assert left(house) == 2
    house.time.going.set()
    assert (await house.end_of(run)).state == "completed"
    await house.end_of(done)
    await retention(house).sweep()
    with house.ledger.reading() as connection:
        assert forgetting.who_leave(connection) == [] and left(house) == 1
        assert Spending(connection).total(EVER) == Decimal("0.08") == await house.billed()
        assert Spending(connection).by_visitor(ANN, EVER) == Decimal("0.04")
    assert [kept.id for kept in await house.runs.list_for(BOB)] == [done.id]
    # The same person, at another moment: what comes after is theirs, and stays.
    house.time.now += timedelta(seconds=1)
    again = await house.run(visitor=ANN)
    await retention(house).sweep()
    assert [kept.id for kept in await house.runs.list_for(ANN)] == [again.id]


async def test_whoever_signed_in_is_forgotten_too(house: House) -> None:
    """Signed out everywhere at once, with name and visitor; who they are stays known while today's spending counts."""
    of_people = People(house.ledger, clock=house.time.clock)
    signed_in = await asyncio.to_thread(of_people.sign_in, Login("subject", WORDS, "login"))
    assert signed_in
    await house.run(visitor=signed_in.visitor)
    await retention(house).forget(signed_in.visitor)
    assert await asyncio.to_thread(of_people.who, signed_in.handle) is None
    for ahead, known in ((0, [signed_in.visitor]), (1, [])):
        house.time.now += timedelta(days=ahead)
        await retention(house).sweep()
        with house.ledger.reading() as connection:
            assert connection.execute(sa.select(people.c.visitor)).scalars().all() == known
            (left_over,) = connection.execute(sa.select(sign_ins)).mappings().all()
            assert not {WORDS, signed_in.visitor} & {*map(str, left_over.values())}


async def test_a_press_from_before_is_refused(house: House) -> None:
    """What waits for its price when everything is deleted is not sent: nothing of it comes after."""
    house.wire.always["quote"] = asked = Held()
    pressed = asyncio.create_task(house.press(visitor=ANN, confirmed=Decimal("0.04")))
    await asked.reached.wait()
    await retention(house).forget(ANN)
    asked.go.set()
    with pytest.raises(KontextError, match=GONE):
        await pressed
    assert left(house) == 0 and await house.created() == []


async def test_what_is_not_known_stays_until_it_can_t_be(house: House) -> None:
    """Whether it was charged may turn out as long as the service keeps it; after that it goes with what it reserved."""
    house.wire.always |= {"submit": lost_after, "history": lost_before}
    run = await house.run(visitor=ANN)
    assert run.resumable
    for ahead, count in ((timedelta(days=2), 1), (2 * SERVICE, 0)):
        house.time.now = run.created_at + ahead
        await retention(house, timedelta(days=1)).sweep()
        assert left(house) == count
    with house.ledger.reading() as connection:
        assert Spending(connection).total(EVER) == Decimal("0.04")
