"""The way of one run: prepared, each prediction run beside the others, ended."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from core.catalog.inputs import Inputs
from core.errors import Charged, KontextError, LedgerError, RateLimited, SubmitUnknown
from core.ledger.faults import Fenced
from core.ledger.ledger import Ledger
from core.ledger.record import RESERVED, Entry, Record, ending
from core.ledger.run import Trouble
from core.pictures.reference import Reference
from core.runs import outcomes
from core.runs.callbacks import Callbacks
from core.runs.collect import Collector
from core.runs.concurrency import ConcurrencyLimit
from core.runs.journal import AWAY, Journal, MaySend, log_foreign
from core.runs.leases import Leases
from core.runs.live import LivePrediction, LiveRun, Stopped
from core.runs.places import Places
from core.runs.prepare import Preparer
from core.runs.quotes import Quotes
from core.runs.reconcile import Reconciler
from core.runs.runtime import Runtime
from core.runs.submit import Claims, Submitter
from core.runs.times import Times
from core.runs.uploads import Uploads
from core.runs.waiting import Waiter
from core.service.account import Account
from core.service.prediction import MEDIA_NOT_FETCHED_CODE, Prediction

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # seconds after a 429 that does not say how long

STOPPED = "You stopped waiting. The task goes on at the service, at the same price."
STOPPED_UNSENT = "This was stopped before it was sent."
INTERRUPTED = "The app was closed before this was sent."
NOT_KEPT = "The pictures are here, but the app's records can't be written, so the history may lose this run."
QUEUED = "Number {place} in line. This account can make {limit} at once."
BUSY = "The service has no room for more from this account just now. Trying again in {seconds:.0f} s."
CROWDED = "The service never had room for this, so it was not sent."


Step = Callable[[LivePrediction], Awaitable[None]]


class Flow:
    """The steps, and what all runs share on their way: uploads, places in line, claims on predictions.

    `may_send`: asked once more before each submit on the host's key. `handed_over`: hears of the account of a submit
    that was answered once its run was another replica's.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        callbacks: Callbacks,
        leases: Leases,
        runtime: Runtime,
        *,
        at_once: int,
        hosted: bool,
        may_send: MaySend,
        handed_over: Callable[[Account], None],
    ) -> None:
        self._runtime = runtime
        self._leases = leases
        self._places = Places(at_once, ledger, leases, runtime.timeouts.places)
        journal, claims = Journal(ledger, may_send, leases, runtime), Claims()
        self._journal, self._claims = journal, claims
        self._preparer = Preparer(Uploads(ledger, runtime.clock), Quotes(runtime.clock), runtime, hosted=hosted)
        self._submitter = Submitter(journal, claims, callbacks, leases, runtime, handed_over)
        self._reconciler = Reconciler(ledger, journal, claims, callbacks, leases, runtime)
        self._times = Times(ledger)
        self._waiter = Waiter(self._times, journal, callbacks, runtime)
        self._collector = Collector(folder, journal, runtime)

    async def go(self, run: LiveRun, *, settled: bool = False) -> None:
        """A new run, from its reservation to its end; `settled`: at the price that it was reserved at."""
        if await self._preparer.prepare(run, settled=settled):
            await self._side_by_side(run, self._run_prediction)
        await self._finish(run)

    async def resume(self, run: LiveRun) -> None:
        """A run that was left: nothing of it is sent that had not been sent."""
        await self._side_by_side(run, self._again)
        await self._finish(run)

    def prefetch(self, account: Account, inputs: Inputs, references: Sequence[Reference]) -> None:
        """Before the press: what costs nothing and a run of these inputs will need."""
        self._preparer.prefetch(account, inputs, references)

    def at_known_price(self, record: Record, account: Account) -> Record:
        """A record that is about to be reserved, at the account's own price where that is known already."""
        return self._preparer.known(record, account)

    async def ask_prices(self, account: Account, asked: Sequence[Inputs], seconds: float) -> None:
        """Have the account's own prices for these known, as far as the service tells them in time."""
        await self._preparer.ask(account, asked, seconds)

    def unconfirmed(self, account: Account, asked: Sequence[Inputs]) -> bool:
        """Whether any of these may not be sent, since the service has not told its price."""
        return self._preparer.unconfirmed(account, asked)

    def usual_seconds(self, variant_id: str) -> float | None:
        """How long the service usually takes for a variant; None where nothing is known. Blocking, at first."""
        return self._times.usual(variant_id)

    def forget(self, account_id: str) -> None:
        """Drop what is remembered of an account that no run needs."""
        self._places.forget(account_id)
        self._preparer.forget(account_id)

    def begin_close(self) -> None:
        """Nothing waits any longer for a database that is away."""
        self._journal.close()

    async def aclose(self) -> None:
        """Let the submits that are under way hear their answer, so that nobody has to search for it."""
        await self._preparer.aclose()
        await self._submitter.drain(self._runtime.timeouts.shutdown_grace)
        await self._places.aclose()

    # each prediction for itself

    async def _side_by_side(self, run: LiveRun, step: Step) -> None:
        await self._times.recall(run.facts)
        run.expectation = self._times.expectation(run.facts)
        await asyncio.gather(*(self._guarded(live, step) for live in run.predictions))

    async def _guarded(self, live: LivePrediction, step: Step) -> None:
        """Whatever happens to one prediction ends as a trouble with its honest money, and stays with that one."""
        try:
            await step(live)  # made here: cancelled before it comes to this, it leaves no coroutine behind
        except Fenced:
            raise
        except Stopped:
            await self._break_off(live, STOPPED_UNSENT, STOPPED, outcomes.AGAIN)
        except KontextError as error:
            await self._break_off(live, error.happened, error.happened, error.advice)
        except Exception as fault:
            log_foreign(fault, f"run {live.run.facts.id}, prediction {live.number}")
            await self._break_off(live, outcomes.BROKEN, outcomes.BROKEN, outcomes.AGAIN)
        finally:
            live.run.over(live.number)

    async def _break_off(self, live: LivePrediction, unsent: str, sent: str, advice: str) -> None:
        entry = live.entry
        happened, advice = (unsent, advice) if entry.status == RESERVED else (sent, outcomes.CHECK_AGAIN)
        await self._journal.after(live.run, outcomes.broken_off(entry, happened, advice, self._runtime.clock()))

    async def _run_prediction(self, live: LivePrediction) -> None:
        """Send it, in its turn and as soon as the service has room, and stay with it to its end."""
        live.at("submitting")
        concurrency = self._places.of(live.account)
        for refusals in itertools.count(1):
            await live.unless_stopped(self._place(live, concurrency))
            try:
                ended = await self._sent_and_ended(live)
                break
            except RateLimited as busy:
                concurrency.refused()
                pause = self._pause(busy, refusals)
            finally:
                concurrency.leave()
            await self._back_off(live, pause)
        if ended:
            concurrency.finished()
            await self._end(live, ended, resend=True)

    async def _sent_and_ended(self, live: LivePrediction) -> Prediction | None:
        """The prediction once its task has ended; or None, and the entry says why there is none."""
        try:
            sent = await self._submitter.send(live)
        except SubmitUnknown:
            return await self._found_and_ended(live)
        return await self._waiter.wait(live, sent) if sent else None

    async def _found_and_ended(self, live: LivePrediction) -> Prediction | None:
        if not live.entry.id and not await self._reconciler.find_lost(live):
            return None
        return await self._waiter.wait(live, None)

    async def _again(self, live: LivePrediction) -> None:
        """Go on where it was left."""
        entry = live.entry
        if entry.status == RESERVED:
            unsent = outcomes.not_sent(entry, self._runtime.clock(), Trouble(INTERRUPTED, "no", outcomes.AGAIN))
            await self._journal.after(live.run, unsent)
            return
        concurrency = self._places.of(live.account)
        concurrency.take()
        try:
            ended = await self._found_and_ended(live)
        finally:
            concurrency.leave()
        if ended:
            await self._end(live, ended)

    def _pause(self, busy: RateLimited, refusals: int) -> float:
        if busy.retry_after is not None:
            return max(1.0, busy.retry_after) + self._runtime.random.random()
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(refusals, 6)) * self._runtime.random.uniform(0.5, 1)

    async def _back_off(self, live: LivePrediction, pause: float) -> None:
        if self._runtime.clock() >= live.run.deadline:
            raise KontextError(CROWDED, outcomes.AGAIN)
        live.tell(BUSY.format(seconds=pause))
        await live.unless_stopped(self._runtime.sleep(pause))
        live.tell("")

    async def _place(self, live: LivePrediction, concurrency: ConcurrencyLimit) -> None:
        def tell(place: int) -> None:
            waits = QUEUED.format(place=place, limit=concurrency.limit) if self._leases.reachable else AWAY
            live.tell(waits if place else "")

        facts = live.run.facts
        await concurrency.enter(facts.group, tell)

    # ending

    async def _end(self, live: LivePrediction, prediction: Prediction, *, resend: bool = False) -> None:
        """`resend`: it may be sent once more where the service could not fetch an upload; else that is a failure."""
        entry = live.entry
        entry = replace(entry, status=prediction.status, error=outcomes.clean(prediction.error), troubles=())
        entry = replace(entry, model_seconds=prediction.seconds)
        if prediction.seconds is not None:
            self._times.learn(live.run.facts, prediction.seconds)
        if prediction.completed:
            await self._collector.collect(live, entry, prediction)
        elif resend and prediction.code == MEDIA_NOT_FETCHED_CODE and self._may_upload_again(live, entry):
            await self._upload_again(live, entry, prediction)
        else:
            end = outcomes.failed(entry, prediction, self._runtime.clock())
            await self._journal.after(live.run, end, prediction.answer)

    def _may_upload_again(self, live: LivePrediction, entry: Entry) -> bool:
        """Once, and only soon after the press: the first task surely failed and is refunded (D), and the reservation
        passes to the second.
        """
        facts = live.run.facts
        soon = self._runtime.clock() < facts.created_at + self._runtime.timeouts.run
        return entry.attempt == 1 and soon and bool(facts.references)

    async def _upload_again(self, live: LivePrediction, entry: Entry, prediction: Prediction) -> None:
        now = self._runtime.clock()
        first = outcomes.failed(entry, prediction, now)
        try:
            urls = await self._preparer.urls_anew(live.run, entry.payload)
            payload = {**entry.payload, "images": urls}
            second = Entry(entry.number, entry.model_id, payload, entry.reserved, attempt=2, source=entry.source)
            await self._journal.before(live.run, first, second)
        except Fenced:
            raise
        except (Stopped, KontextError):
            await self._journal.after(live.run, first, prediction.answer)
            return
        await self._run_prediction(live)

    async def _finish(self, run: LiveRun) -> None:
        run.at("downloading")
        record = replace(run.record, state=ending(run.record), finished_at=self._runtime.clock())
        troubles = record.troubles
        try:
            await self._journal.end(run, record)
            self._claims.release(*(entry.id for entry in record.entries))
        except Fenced:
            raise
        except LedgerError as fault:
            run.unwritten = True
            if record.state != "failed":  # else its troubles have said so already
                trouble = Trouble(NOT_KEPT, _charged(record.entries), f"{fault.happened} {fault.advice}")
                troubles = (*troubles, trouble)
        # Its end alone: meanwhile it may have got a name, or its bill.
        run.rewrite(replace(run.record, state=record.state, finished_at=record.finished_at, troubles=troubles))


def _charged(entries: Sequence[Entry]) -> Charged:
    costs = [entry.charge for entry in entries]
    return "unknown" if None in costs else "yes" if any(costs) else "no"
