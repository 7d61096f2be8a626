"""Every run of the application, apart from any browser: start, watch, resume."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from core.catalog.inputs import Inputs
from core.catalog.variants import REGISTRY
from core.errors import KontextError, LedgerError
from core.ledger.callbacks import Call
from core.ledger.faults import Fenced
from core.ledger.ledger import Ledger, Search
from core.ledger.record import Record, new_record, snapshot, stage
from core.ledger.run import Cell, Facts, Label, LabelChange, Run
from core.ledger.spending import Spending
from core.pictures import reference as prepared
from core.pictures.reference import Reference
from core.pictures.served import ServedFiles, receipts_of
from core.runs import files, lost_rows, outcomes, recovery
from core.runs.background import Background
from core.runs.billing import Bills
from core.runs.callbacks import Callbacks
from core.runs.flow import Flow
from core.runs.journal import RUN, log_foreign
from core.runs.leases import RETRY_INTERVAL, Leases
from core.runs.live import LiveRun
from core.runs.matching import proven
from core.runs.news import News
from core.runs.presses import Press, Presses
from core.runs.readers import Readers
from core.runs.runtime import Runtime
from core.service.account import Account
from core.service.rate_limit import GROUP
from core.settings import AT_ONCE

NO_RUN = "There is no such run."
DELETE_LATER = "Wait for it to finish, or stop waiting, before you delete it."
OTHER_KEY = "This run was made with another key."
STILL_GOING = "This run isn't finished."
OF_TRIAL = "This picture belongs to a trial."
CLOSING = "The app is closing."

_RECOVERING = "prediction "  # and its id: what is done with it, beside what is done with runs

PAGE = 24  # runs that are shown, or read, at a time

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """Some entries of a visitor's history, newest first; `more`: whether older ones follow.

    An entry is a run alone, or all runs of a comparison, newest first, in the place of its oldest.
    """

    entries: list[list[Run]]
    more: bool

    @property
    def runs(self) -> list[Run]:
        return [run for entry in self.entries for run in entry]

    @property
    def last(self) -> str:
        """The id after which the next page begins."""
        return first_of(self.entries[-1]).id


@dataclass(frozen=True)
class Asked:
    """One run that is asked for."""

    inputs: Inputs
    references: Sequence[Reference]
    preset: str | None = None
    cell: Cell | None = None
    label: Label = Label()  # noqa: RUF009 - frozen


class Budget(Protocol):
    """Lets a press of these facts pass that costs `amount` USD, over what was spent before, and later each of its
    submits; or raises BudgetError.
    """

    def check(self, amount: Decimal, facts: Facts, spending: Spending) -> None: ...

    def check_open(self, facts: Facts, spending: Spending) -> None: ...


class Runs:
    """Holds every run that goes on, all on one event loop; finished ones are read back from the ledger.

    `at_once`: the most predictions that one account has at the service at once. `hosted`: on the host's key nothing is
    sent at a price that the service has not confirmed. `attempt`: around what may be a guess; it raises a KontextError
    where too many were wrong. `make_room` sees to the disk before a run is written down. `stay_connected` hears of each
    account that is likely to be used in a moment. `public_url`: where the service can call back; `account_of`: the
    account of an id, where its key is here.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        *,
        budget: Budget,
        runtime: Runtime | None = None,
        at_once: int = AT_ONCE,
        hosted: bool = False,
        served: ServedFiles | None = None,
        attempt: Callable[[], AbstractContextManager[object]] = nullcontext,
        make_room: Callable[[], Awaitable[None]] | None = None,
        leases: Leases | None = None,
        stay_connected: Callable[[Account], None] = lambda _: None,
        public_url: str | None = None,
        account_of: Callable[[str], Account | None] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._served = served or ServedFiles(folder)
        self._budget = budget
        self._make_room = make_room
        self._stay_connected = stay_connected
        self._runtime = runtime or Runtime()
        self.readers = Readers()
        self.ended: Callable[[Record, Record], None] = lambda *_: None  # as each was taken up, and as it ended
        self._live: dict[str, LiveRun] = {}
        self._changing: dict[str, asyncio.Task[Any]] = {}  # what comes alive, or out of the history, just now
        self._presses = Presses()
        self._closed = False
        self._attempt = attempt
        self._hosted = hosted
        self.leases = leases or Leases(ledger, self._runtime)
        self._account_of = account_of
        self._callbacks = Callbacks(ledger, self._runtime, public_url)
        self._late = Background("a late call of the service")
        self.news = News(ledger, self._runtime.sleep)
        self._asking = Background("what was asked of a run elsewhere")
        how: dict[str, Any] = {"at_once": at_once, "hosted": hosted, "may_send": budget.check_open}
        how["handed_over"] = self._handed_over
        self._flow = Flow(ledger, folder, self._callbacks, self.leases, self._runtime, **how)
        self._bills = Bills(ledger, self._runtime, self._billed)

    @property
    def accepting(self) -> bool:
        """Whether runs can be started and resumed; not once the app closes."""
        return not self._closed

    async def start(
        self,
        visitor: str,
        account: Account,
        inputs: Inputs,
        references: Sequence[Reference],
        preset: str | None = None,
        *,
        confirmed: Decimal | None = None,
    ) -> Run:
        """Reserve the estimate and set the run going; it goes on by itself, whoever watches.

        `confirmed`: the total in USD that a person was shown; without one, the list's prices hold.

        Raises:
            KontextError: it costs more than that.
            BudgetError: a cap refuses it.
            LedgerError: it can't be recorded, so nothing is spent.
        """
        asked = [Asked(inputs, references, preset)]
        (run,) = await self.start_all(visitor, account, asked, confirmed=confirmed)
        return run

    async def start_all(
        self, visitor: str, account: Account, asked: Sequence[Asked], *, confirmed: Decimal | None = None
    ) -> list[Run]:
        """The same for several runs of one press: all are reserved at once, or none is; each then goes on by itself.

        The service gets its time to tell the prices of several, and none of them is refused for its price after that.

        Raises:
            KontextError, BudgetError, LedgerError: as for one.
        """
        assert all(len(one.references) == one.inputs.reference_count for one in asked)
        self._stay_connected(account)
        with self._presses.begin(visitor) as press:
            if confirmed is not None or len(asked) > 1:  # a single run at the list's price compares on its way
                timeouts = self._runtime.timeouts
                seconds = timeouts.quote if len(asked) > 1 else timeouts.optional_wait
                await self._flow.ask_prices(account, [one.inputs for one in asked], seconds)
            ids = [uuid.uuid4().hex for _ in asked]
            return await self._exclusive(partial(self._start, ids, press, account, asked, confirmed), *ids)

    async def ask_prices(self, account: Account, pictures: int, *, soon: bool = False) -> None:
        """Have the account's own prices known, as far as the service tells them. Free, and never asked too often.

        `soon`: what is not told in a moment comes later, for whoever asks then.
        """
        if self.accepting:
            timeouts = self._runtime.timeouts
            seconds = timeouts.optional_wait if soon else timeouts.quote
            await self._flow.ask_prices(account, _one_of_each(pictures), seconds)

    def prices(self, account: Account, pictures: int) -> dict[str, Decimal]:
        """USD of one of so many pictures, by variant: what the service asks this account, as far as that is known."""
        records = self._priced("", account, _one_of_each(pictures))
        quoted = [record for record in records if all(entry.source == "quote" for entry in record.entries)]
        return {record.facts.variant_id: record.reserved / pictures for record in quoted}

    async def consider(self, visitor: str, account: Account, *inputs: Inputs) -> None:
        """Raise what the start of these would raise for their cost just now, before anything is done for them."""
        records = self._priced(visitor, account, inputs)
        await asyncio.to_thread(self._ledger.consider, records, partial(self._check, records))
        self._stay_connected(account)

    def _priced(self, visitor: str, account: Account, inputs: Sequence[Inputs]) -> list[Record]:
        now = self._runtime.clock()
        records = (new_record("", visitor, account, one, (), None, now) for one in inputs)
        return [self._flow.at_known_price(record, account) for record in records]

    def prefetch(self, account: Account, inputs: Inputs, references: Sequence[Reference]) -> None:
        """Take the references to the service and ask for the quote now, so that the press need not wait for either.

        Costs nothing, returns at once and says nothing of what fails: the run does that again. Where it is called, a
        person must be free to fill that account's storage. The sandbox has nothing to gain, and gets nothing.
        """
        if account.kind != "sandbox" and self.accepting:
            self._flow.prefetch(account, inputs, references)
            self._stay_connected(account)

    async def watch(self, visitor: str, run_id: str) -> AsyncGenerator[Run, None]:
        """The run as it stands at once, then each change; ends after the finished one.

        One that waits for its key, or that the app closes upon, ends unfinished. Nothing for another visitor's.
        """
        shown: Run | None = None
        with self.news.of(run_id) as changed:
            while True:
                changed.clear()
                live = await self._standing(visitor, run_id)
                record = None if live else await self._find(visitor, run_id)
                if live := live or self._mine(visitor, run_id):  # resumed meanwhile
                    async for run in live.watch():
                        yield (shown := run)
                    if live.lost:
                        continue
                if record is None or live is not None:
                    return
                run = self._read(record)
                if shown is None or replace(run, seconds=shown.seconds) != shown:
                    yield (shown := run)
                if self._closed or not self.leases.is_elsewhere(record):
                    return
                await self.news.wait(changed)

    async def _find(self, visitor: str, run_id: str) -> Record | None:
        """The run as the ledger tells, once it can: whoever watches it has nothing better to do."""
        while True:
            try:
                return await self.readers(self._ledger.find, visitor, run_id)
            except LedgerError as fault:
                if not fault.passing or self.leases.alone or self._closed:
                    raise
            await self._runtime.sleep(RETRY_INTERVAL)

    async def get(self, visitor: str, run_id: str) -> Run | None:
        """The run as it stands; None for another visitor's."""
        live = self._mine(visitor, run_id)
        if live is not None:
            return live.snapshot()
        record = await self.readers(self._ledger.find, visitor, run_id)
        return None if record is None else self._read(record)

    async def page(self, visitor: str, after: str = "", search: Search = Search()) -> Page:  # noqa: B008 - frozen
        """Some entries of the visitor's history, newest first, from the one after the run of that id."""
        records = await self.readers(self._ledger.page, visitor, PAGE + 1, after, search)
        entries = _entries(map(self._read, records))
        return Page(entries[:PAGE], more=len(entries) > PAGE)

    async def comparison(self, visitor: str, comparison_id: str) -> list[Run]:
        """The runs of one comparison of the visitor's, newest first; a cell that was made again has several."""
        records = await self.readers(self._ledger.comparison, visitor, comparison_id)
        return [self._read(record) for record in records]

    async def every(self, visitor: str) -> AsyncGenerator[list[Run], None]:
        """All of the visitor's runs, newest first, some at a time: nobody else waits for them."""
        page = await self.page(visitor)
        while page.entries:
            yield page.runs
            page = await self.page(visitor, after=page.last) if page.more else Page([], more=False)

    async def list_for(self, visitor: str) -> list[Run]:
        """All of the visitor's runs at once, newest first."""
        return [run async for runs in self.every(visitor) for run in runs]

    async def newest(self, visitor: str) -> Run | None:
        """The visitor's last run, as it stands."""
        record = await self.readers(self._ledger.newest, visitor)
        return None if record is None else self._read(record)

    async def owner(self, run: Run) -> str:
        """Whose it is by now: a visitor who signs in takes their runs along."""
        return await self.readers(self._ledger.owner, run.id) or run.visitor

    def hand_over(self, before: str, visitor: str) -> None:
        """In the ledger what the one made is the other's: so is what goes on."""
        for live in self._live.values():
            if live.facts.visitor == before:
                self._move(live, visitor)

    def _move(self, live: LiveRun, visitor: str) -> None:
        if live.facts.visitor != visitor:
            live.rewrite(replace(live.record, facts=replace(live.facts, visitor=visitor)))

    async def spent(self, visitor: str, since: datetime, account_id: str | None = None) -> Decimal:
        """USD that the visitor's runs since then cost; of one account, or of all but the sandbox."""
        return await self.readers(self._ledger.spent, visitor, since, account_id)

    def usual_seconds(self, variant_id: str) -> float | None:
        """How long the service usually takes for a variant; None where nothing is known. Blocking, at first."""
        return self._flow.usual_seconds(variant_id)

    async def stop_waiting(self, visitor: str, run_id: str) -> None:
        """Stop waiting: what was sent goes on and may be charged, and can be resumed; nothing more is sent.

        Raises:
            LedgerError: another replica works on it, and can't be asked.
        """
        live = await self._standing(visitor, run_id)
        if live is not None:
            live.stop()
        elif not self.leases.alone:
            await asyncio.to_thread(self._ledger.ask_to_stop, visitor, run_id)

    def asked(self, run_id: str | None = None) -> None:
        """Other replicas have asked something of that run, or of any. Returns at once."""
        if not self._closed and (run_id is None or run_id in self._live):
            self._asking.begin(self.heed(run_id))

    async def heed(self, run_id: str | None = None) -> None:
        """Do what was asked of runs that go on here; of that one it may be anything.

        Raises:
            LedgerError: that can't be told just now.
        """
        if (owner := self.leases.owner) is None:
            return
        for wanted in await asyncio.to_thread(self._ledger.asked_of, owner, run_id):
            if (live := self._live.get(wanted.run_id)) is not None:
                self._move(live, wanted.visitor)
                live.call_all()
                if wanted.stopping:
                    live.stop()

    async def resume(self, visitor: str, account: Account, run_id: str) -> Run:
        """Go on with a run whose waiting ended, or whose pictures are not all here.

        Raises:
            KontextError: there is no such run of this visitor, or it was made with another key.
        """
        run = await self._resume_kept(visitor, account, run_id)
        if run is None:
            raise KontextError(NO_RUN, "Look for it in the history.")
        return run

    async def _resume_kept(self, visitor: str, account: Account, run_id: str) -> Run | None:
        """The same, or None where there is no such run of this visitor."""
        return await self._exclusive(partial(self._resume, visitor, account, run_id), run_id)

    async def _resume(self, visitor: str, account: Account, run_id: str) -> Run | None:
        live = self._mine(visitor, run_id)
        if live is not None and not live.snapshot().resumable:
            return live.snapshot()
        record = live.record if live else await asyncio.to_thread(self._ledger.find, visitor, run_id)
        if record is None:
            return None
        if record.facts.account_id != account.id:
            raise KontextError(OTHER_KEY, "Add that key again, then check this run again.")
        if all(entry.settled for entry in record.current):
            return self._read(record)
        return await self._reopen(record, account)

    async def called(self, word: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Somebody calls who was told that word by us, or False: nobody was. What is said is written down, and whoever
        waits for it asks the service; a submit that was given up as unanswered is taken up again.

        Raises:
            LedgerError: it could not be written down.
        """
        taken = await self._callbacks.take(word, headers, body)
        if taken is not None and taken[1]:
            call = taken[0]
            if (live := self._live.get(call.run_id)) is not None:
                live.call(call.entry.number)
            elif call.entry.id is None and not self._closed and (account := self._account_of(call.account_id)):
                self._late.begin(self._take_up(call, account))
        return taken is not None

    def _handed_over(self, account: Account) -> None:
        if not self._closed:
            self._late.begin(self._resume_lost(account))

    async def _resume_lost(self, account: Account) -> None:
        """Take up what calls, or answers that came late, have told of ended runs of the account, while nobody could act
        on it.
        """
        for call in await self._callbacks.unresolved(account):
            self._late.begin(self._take_up(call, account))

    async def _take_up(self, call: Call, account: Account) -> None:
        """Reopen an ended run whose lost submit the service has called about, where the service confirms that."""
        prediction_id = str(call.told)
        if await proven(account.client, call.entry, prediction_id) is None:
            await self._callbacks.refute(call.run_id, call.entry, prediction_id)
            return
        run_id = call.run_id
        await self._exclusive(partial(self._reopen_lost, call, account), run_id)

    async def _reopen_lost(self, call: Call, account: Account) -> None:
        record = await asyncio.to_thread(self._ledger.find, call.visitor, call.run_id)
        entry = call.entry
        if record is None or not record.finished or not any(entry == now for now in record.current):
            return
        await self._reopen(record.with_entry(outcomes.unanswered(entry)), account)

    async def recover(self, visitor: str, account: Account, prediction_id: str) -> Run:
        """A run in the history for a prediction made on that account in the last 7 days (D: kept 7 days).

        Raises:
            KontextError: the service does not know it, another visitor has it or, on a hosted copy with the host's key,
                may have it, another model made it, or too many asked for what it does not know.
        """
        prediction_id = recovery.checked(prediction_id)
        with self._presses.begin(visitor) as press:
            recover = partial(self._recover, press, account, prediction_id)
            return await self._exclusive(recover, f"{_RECOVERING}{prediction_id}")

    async def _recover(self, press: Press, account: Account, prediction_id: str) -> Run:
        visitor = press.visitor
        holder = await asyncio.to_thread(self._ledger.holder, prediction_id)
        # Ids travel in receipts: a host's key proves nothing of who asks for what this ledger does not know.
        mine = holder[0] == visitor if holder else not (self._hosted and account.kind == "host")
        # Asked for while its run is being deleted, it is found as after that.
        if holder and mine and holder[1] and (kept := await self._resume_kept(visitor, account, holder[1])):
            return kept
        with self._attempt():
            if not mine:
                raise recovery.unknown()
            record = await recovery.find(account, visitor, prediction_id, self._runtime.clock(), uuid.uuid4().hex)
            record = replace(record, owner=self.leases.owner, fence=1)
        return await self._exclusive(partial(self._adopt, press, record, account), record.facts.id)

    async def _adopt(self, press: Press, record: Record, account: Account) -> Run:
        press.insist()
        await asyncio.to_thread(self._ledger.add, record)
        return self._spawn(record, account, self._flow.resume).snapshot()

    async def label(self, visitor: str, changes: Mapping[str, LabelChange]) -> None:
        """Change the labels of runs of the visitor's, by their ids."""
        await self._exclusive(partial(self._label, visitor, changes), *changes)

    async def _label(self, visitor: str, changes: Mapping[str, LabelChange]) -> None:
        await asyncio.to_thread(self._ledger.label, visitor, changes)
        for run_id, change in changes.items():
            if live := self._mine(visitor, run_id):
                live.rewrite(replace(live.record, label=replace(live.record.label, **change)))

    async def delete(self, visitor: str, run_id: str, *, of_trial: bool = False) -> None:
        """Take a run out of the history, with its files and their addresses; what it cost, or may have, still counts.

        A prepared reference goes too, unless another run that is kept uses the same bytes. `of_trial`: a trial's as
        well, which goes with all of them.

        Raises:
            KontextError: it still goes on, or it belongs to a trial.
        """
        await self._exclusive(partial(self._delete, visitor, run_id, of_trial), run_id)

    async def _delete(self, visitor: str, run_id: str, of_trial: bool) -> None:
        live = self._mine(visitor, run_id)
        if live is not None and not live.snapshot().finished:
            raise KontextError(STILL_GOING, DELETE_LATER)
        record = await asyncio.to_thread(self._ledger.find, visitor, run_id)
        if record is None:
            return
        if self.leases.is_elsewhere(record):
            raise KontextError(STILL_GOING, DELETE_LATER)
        if record.facts.cell and record.facts.cell.axis == "trial" and not of_trial:
            raise KontextError(OF_TRIAL, "Delete the trial instead.")
        kept = await asyncio.to_thread(self._ledger.delete, run_id, self._runtime.clock())
        self._live.pop(run_id, None)
        await asyncio.to_thread(self._clear, record.facts, kept)

    async def leave(self, visitor: str) -> None:
        """Take back what this visitor has pressed and is not written down; what is being written has its row after."""
        self._presses.withdraw(visitor)
        writing = {task for what, task in self._changing.items() if not what.startswith(_RECOVERING)}
        if writing:
            await asyncio.wait(writing)

    async def discard(self, references: Sequence[Reference]) -> None:
        """Take the cards of these off every address, and the prepared pictures behind them, as far as no kept run has
        them.
        """
        await asyncio.to_thread(self._discard_all, references)

    def _discard_all(self, references: Sequence[Reference]) -> None:
        kept = self._ledger.release({reference.sha256 for reference in references})
        for reference in references:
            self._discard(reference, kept)

    def clear_deleted(self) -> None:
        """Take off the disk what is left of deleted runs, where a crash cut the deletion off. Blocking."""
        for run_id in self._ledger.deleted().intersection(files.runs_in(self._folder)):
            files.remove(self._folder, run_id)
            self._served.forget(run_id)

    async def resume_all(self, account: Account) -> int:
        """Resume every unfinished run of that account, and ask for its bills; says how many runs."""
        resumed = await self.take_over(account)
        await self._resume_lost(account)
        await self._bills.resume(account)
        return resumed

    async def take_over(self, account: Account) -> int:
        """Resume every unfinished run of that account that nobody works on; says how many."""
        resumed = 0
        # One of our own is there where the line to the database broke before we heard that it is ours.
        for visitor, run_id in await asyncio.to_thread(self._ledger.unfinished, account.id, self.leases.owner):
            if run_id not in self._live and run_id not in self._changing:
                resumed += await self._exclusive(partial(self._resume_found, visitor, run_id, account), run_id)
        return resumed

    async def lose_all(self) -> None:
        """Let go of every run that goes on: another replica may have taken it over."""
        going = [live for live in self._live.values() if live.task is not None and not live.task.done()]
        for live in going:
            live.lose()
        await asyncio.gather(*(live.task for live in going if live.task), return_exceptions=True)

    async def _resume_found(self, visitor: str, run_id: str, account: Account) -> bool:
        # It may have ended since it was found, or been taken out of the history.
        now = await asyncio.to_thread(self._ledger.find, visitor, run_id)
        ours = None if now is None or now.finished else await self.leases.take_run(now)
        if ours is None:
            return False
        self._spawn(ours, account, self._flow.resume)
        return True

    async def count_strangers(self, account: Account) -> int:
        """Count what the service made for the account and the ledger knows nothing of, where its disk may forget; says
        how many there were.
        """
        if account.kind != "host" or not self._ledger.forgetful:
            return 0
        return await lost_rows.compare(self._ledger, account, self._runtime.clock, self._runtime.sleep)

    def busy(self, account_id: str) -> bool:
        """Whether any run of that account goes on."""
        return any(live.record.facts.account_id == account_id for live in self._live.values())

    def forget(self, account_id: str) -> None:
        """Nobody holds that account any more: what was learned of its limit goes."""
        self._flow.forget(account_id)
        self._callbacks.forget(account_id)

    async def aclose(self) -> None:
        """Start nothing more, wait for the answers to what was sent, let go whoever watches; nothing is lost."""
        self._closed = True
        self._flow.begin_close()
        await self._late.aclose()
        await self._asking.aclose()
        await self._callbacks.aclose()
        await asyncio.gather(*self._changing.values(), return_exceptions=True)
        tasks = [live.task for live in self._live.values() if live.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._bills.aclose()
        await self._flow.aclose()
        for live in self._live.values():
            live.leave()

    # inside

    def _clear(self, facts: Facts, kept: Sequence[Reference]) -> None:
        """Take everything of a deleted run off the disk; of its references what no `kept` one shares."""
        # Files before their addresses: whoever makes one just now looks for its file once more.
        files.remove(self._folder, facts.id)
        self._served.forget(facts.id)
        self._served.forget(receipts_of(facts.visitor))
        for reference in facts.references:
            self._discard(reference, kept)

    def _discard(self, reference: Reference, kept: Sequence[Reference]) -> None:
        if reference.card and reference.card not in {other.card for other in kept}:
            self._served.remove_card(reference.card)
        if reference.sha256 not in {other.sha256 for other in kept}:
            prepared.discard(reference.sha256, self._folder / prepared.FOLDER)

    async def _exclusive(self, work: Callable[[], Coroutine[Any, Any, T]], *run_ids: str) -> T:
        """Do that to these runs while nobody does anything else to them.

        It runs to its end, whoever stops waiting for it: a tab that closes in this moment must not leave a run behind
        that nothing comes of.

        Raises:
            KontextError: the app closes.
        """
        while others := {self._changing[run_id] for run_id in run_ids if run_id in self._changing}:
            await asyncio.wait(others)
        if self._closed:
            raise KontextError(CLOSING, "Open it again in a moment.")
        task = asyncio.create_task(work())
        self._changing |= dict.fromkeys(run_ids, task)
        task.add_done_callback(partial(self._changed, run_ids))
        return await asyncio.shield(task)

    def _changed(self, run_ids: Sequence[str], task: asyncio.Task[Any]) -> None:
        for run_id in run_ids:
            del self._changing[run_id]
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more, and asyncio would complain

    async def _start(
        self, ids: Sequence[str], press: Press, account: Account, asked: Sequence[Asked], confirmed: Decimal | None
    ) -> list[Run]:
        press.insist()
        if self._make_room is not None:
            await self._make_room()
        try:
            kept = await asyncio.to_thread(self._keep_references, ids, asked)
            now = self._runtime.clock()
            records = [
                new_record(run_id, press.visitor, account, one.inputs, references, one.preset, now, one.cell)
                for run_id, one, references in zip(ids, asked, kept, strict=True)
            ]
            most = _reserved(records) if confirmed is None else confirmed
            owner = self.leases.owner
            records = [
                replace(self._flow.at_known_price(record, account), label=one.label, owner=owner, fence=1)
                for record, one in zip(records, asked, strict=True)
            ]
            if (price := _reserved(records)) > most:
                raise outcomes.price_rose(price, most)
            if (several := len(asked) > 1) and self._flow.unconfirmed(account, [one.inputs for one in asked]):
                raise outcomes.unconfirmed()
            await asyncio.to_thread(self._ledger.reserve, records, partial(self._check, records))
        except KontextError:
            await asyncio.to_thread(self._remove_files, ids)
            raise
        go = partial(self._flow.go, settled=several)
        return [self._spawn(record, account, go).snapshot() for record in records]

    def _keep_references(self, ids: Sequence[str], asked: Sequence[Asked]) -> list[tuple[Reference, ...]]:
        folders = [files.folder_of(self._folder, run_id) for run_id in ids]
        return [files.keep_references(one.references, folder) for one, folder in zip(asked, folders, strict=True)]

    def _remove_files(self, ids: Sequence[str]) -> None:
        for run_id in ids:
            files.remove(self._folder, run_id)

    def _check(self, records: Sequence[Record], spending: Spending) -> None:
        self._budget.check(_reserved(records), records[0].facts, spending)

    async def _reopen(self, record: Record, account: Account) -> Run:
        ours = await self.leases.take_run(record)
        if ours is None:
            return self._read(record)
        record = ours
        entries = tuple(entry if entry.settled else replace(entry, troubles=()) for entry in record.entries)
        record = replace(record, entries=entries, state="waiting", finished_at=None, stopping=False)
        await asyncio.to_thread(self._ledger.end, record)
        return self._spawn(record, account, self._flow.resume).snapshot()

    def _spawn(self, record: Record, account: Account, way: Callable[[LiveRun], Awaitable[None]]) -> LiveRun:
        live = LiveRun(record, account, self._runtime)
        self._live[record.facts.id] = live
        if record.stopping:
            live.stop()
        self.news.touch(record.facts.id)
        live.task = asyncio.create_task(self._supervise(live, way))
        return live

    async def _supervise(self, live: LiveRun, way: Callable[[LiveRun], Awaitable[None]]) -> None:
        GROUP.set(live.facts.group)
        RUN.set(live.facts.id)
        before = live.record
        log.info("the run goes on")
        try:
            await way(live)
        except (asyncio.CancelledError, Fenced):
            if not live.lost:
                raise
        except Exception as fault:  # the flow catches what it can foresee; whoever watches must not wait for ever
            log_foreign(fault, f"run {live.facts.id}")
            live.rewrite(outcomes.broken(live.record, self._runtime.clock()))
            live.unwritten = True
        log.info("the run is %s", live.record.state)
        if live.record.finished and not live.lost:
            self.ended(before, live.record)
        if not self._closed and not live.lost:
            self._bills.follow(live.account, live.record)
        # What could not be written stays in memory, so that it is still shown.
        if not live.unwritten:
            self._live.pop(live.facts.id, None)
        if not self._closed and any(entry.lost for entry in live.record.entries):
            await self._resume_lost(live.account)

    async def _billed(self, amounts: Mapping[str, Decimal]) -> None:
        """Bills came in: into the ledger, and into runs that are resumed just now, with whoever watches them."""
        await asyncio.to_thread(self._ledger.bill, amounts)
        for live in self._live.values():
            told = [entry for entry in live.record.entries if entry.id in amounts and entry.source != "billing"]
            live.put(*(replace(entry, charge=amounts[str(entry.id)], source="billing") for entry in told))

    async def _standing(self, visitor: str, run_id: str) -> LiveRun | None:
        """The run, if it goes on; one that was just written down is about to."""
        if (coming := self._changing.get(run_id)) is not None:
            await asyncio.wait({coming})
        return self._mine(visitor, run_id)

    def _mine(self, visitor: str, run_id: str) -> LiveRun | None:
        live = self._live.get(run_id)
        return live if live is not None and live.facts.visitor == visitor and not live.lost else None

    def _read(self, record: Record) -> Run:
        live = self._live.get(record.facts.id)
        if live is not None and not live.lost:
            return live.snapshot()
        now = self._runtime.clock()
        if record.finished or record.facts.id in self._changing:
            return snapshot(record, now)
        if self.leases.is_elsewhere(record):
            return snapshot(record, now, state=stage(record))
        waits = outcomes.keyless(record)
        return snapshot(replace(record, troubles=(*record.troubles, waits)), now, state="keyless")


def first_of(entry: Sequence[Run]) -> Run:
    """The run in whose place an entry of the history stands."""
    return min(entry, key=lambda run: (run.created_at, run.id))


def _entries(runs: Iterable[Run]) -> list[list[Run]]:
    together: dict[str, list[Run]] = {}
    for run in runs:
        together.setdefault(run.group, []).append(run)
    by_id = sorted(together.values(), key=lambda entry: first_of(entry).id)
    return sorted(by_id, key=lambda entry: first_of(entry).created_at, reverse=True)


def _one_of_each(pictures: int) -> list[Inputs]:
    """What a price is asked for: nothing but the pictures tells it."""
    return [Inputs(variant, "", 0, pictures, None, {}) for variant in REGISTRY.values()]


def _reserved(records: Sequence[Record]) -> Decimal:
    return sum((record.reserved for record in records), Decimal(0))
