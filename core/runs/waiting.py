"""Waiting for a task to end: asking now and then, whatever the network does, until the run's deadline."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from core.errors import Charged, RateLimited, ServiceBroken, ServiceError, Unreachable, WaitTimeout
from core.ledger.record import Entry
from core.runs import outcomes
from core.runs.callbacks import Callbacks
from core.runs.journal import Journal
from core.runs.live import LivePrediction
from core.runs.polling import CALLED, next_look
from core.runs.runtime import Runtime
from core.runs.times import Times
from core.service.prediction import Prediction

# So many predictions can be looked after as closely as it gets; more are looked at less often. Cells of comparisons,
# whose pictures nobody waits for one by one, take no looks from runs alone.
CLOSELY, CELLS_CLOSELY = 40, 20
# Before a look it is thought again when it is due: after that share of the seconds until then, and these at least.
NAPS, NAP = 0.4, 0.5
LONGEST_WAY = 0.5  # seconds that a look is taken to need for its way, however slow the last one was

# Seconds after which a task that has not begun is taken to be in line, where nothing is known of its time.
OVERDUE = 10.0

IN_LINE = "In line at the service. This account has reached its limit of pictures at once."
LATE = "The picture was not ready in time. The task goes on at the service."
ASKING = "The service can't be reached just now. It's still running there. Retrying…"


class Waiter:
    """Asks for results at moments that the last runs of the variant make likely."""

    def __init__(self, times: Times, journal: Journal, callbacks: Callbacks, runtime: Runtime) -> None:
        self._times = times
        self._journal = journal
        self._callbacks = callbacks
        self._runtime = runtime
        self._waiting: Counter[bool] = Counter()  # by whether it is a cell

    async def wait(self, live: LivePrediction, sent: Prediction | None) -> Prediction | None:
        """Ask until the task has ended. `sent`: the answer to the submit; without one the first look is at once.

        None: the service does not know the task any more, and the entry says so.

        Raises:
            WaitTimeout: the task goes on, and can be resumed.
            Stopped: likewise.
        """
        live.at("waiting")
        if sent is not None and sent.finished:
            return sent
        kind = live.run.facts.cell is not None
        self._waiting[kind] += 1
        try:
            return await self._ended(live, at_once=sent is None)
        finally:
            self._waiting[kind] -= 1

    async def _ended(self, live: LivePrediction, *, at_once: bool) -> Prediction | None:
        in_line_at: datetime | None = None  # when it was last seen there: the task takes its time from then on
        trip = timedelta(0)  # that the last look took, there and back
        silent = await self._callbacks.expected(live.entry)  # until it is called about
        if not at_once:
            silent = await self._pause(live, in_line_at, trip, silent)
        while True:
            try:
                asked_at = self._runtime.clock()
                prediction = await live.unless_stopped(self._poll(live))
                trip = self._runtime.clock() - asked_at
            except _Gone as gone:
                await self._journal.after(live.run, self._gone(live, gone.error))
                return None
            if prediction is not None and prediction.finished:
                return prediction
            if self._runtime.clock() >= live.run.deadline:
                raise WaitTimeout(str(live.entry.id), LATE, outcomes.CHECK_AGAIN)
            if prediction is not None:
                in_line = prediction.in_line and (in_line_at is not None or self._overdue(live))
                in_line_at = self._runtime.clock() if in_line else in_line_at
                live.tell(IN_LINE if in_line else "")
            silent = await self._pause(live, in_line_at, trip, silent)

    async def _pause(self, live: LivePrediction, in_line_at: datetime | None, trip: timedelta, silent: bool) -> bool:
        """Until the next look, or the service's call. Other tasks of the variant may end meanwhile, and tell when this
        one will. Says whether it is still silent: a call that is made once need not be made again.
        """
        on_its_way = min(max(trip.total_seconds() / 2, 0.0), LONGEST_WAY)  # a look is due there, not here
        elapsed, slept = self._elapsed(live.entry, in_line_at) + on_its_way, 0.0
        while True:
            live.run.expectation = self._times.expectation(live.run.facts)
            left = (CALLED if silent else next_look(elapsed, live.run.expectation, self._crowd(live))) - slept
            if left <= 0:
                return silent
            nap = left if silent else min(left, max(NAP, NAPS * left))
            if await live.rest(self._runtime.sleep(nap)):
                return False
            slept += nap

    def _crowd(self, live: LivePrediction) -> float:
        """How many times more wait than can be looked after closely."""
        alone = self._waiting[False]
        crowd = alone / CLOSELY if live.run.facts.cell is None else (alone + self._waiting[True]) / CELLS_CLOSELY
        return max(1.0, crowd)

    async def _poll(self, live: LivePrediction) -> Prediction | None:
        """The prediction as it stands, or None where that can't be told just now."""
        entry = live.entry
        assert entry.id is not None
        try:
            prediction = await live.account.client.result(entry.id)
        except (Unreachable, ServiceBroken, RateLimited):
            live.tell(ASKING)
            return None
        except ServiceError as error:
            if error.status != 404:
                raise
            # A service of many machines may not know everywhere yet what it has just created.
            if self._elapsed(entry) < self._runtime.timeouts.unknown.total_seconds():
                return None
            raise _Gone(error) from None
        return prediction

    def _overdue(self, live: LivePrediction) -> bool:
        """Whether a task that began at once would have ended."""
        expected = live.run.expectation
        return self._elapsed(live.entry) > (expected.median + expected.spread if expected else OVERDUE)

    def _elapsed(self, entry: Entry, in_line_at: datetime | None = None) -> float:
        """Seconds since the service got it, somewhere between the sending and the answer; or since it stood in line."""
        answered = entry.submitted_at or self._runtime.clock()
        since = in_line_at or answered - (answered - (entry.submitting_at or answered)) / 2
        return max(timedelta(0), self._runtime.clock() - since).total_seconds()

    def _gone(self, live: LivePrediction, error: ServiceError) -> Entry:
        # The embedded sandbox forgets everything when the app closes, and never charged for any of it.
        charged: Charged = "no" if live.account.kind == "sandbox" else "unknown"
        return outcomes.gone(live.entry, error, self._runtime.clock(), charged=charged)


class _Gone(Exception):
    """The service has no such prediction."""

    def __init__(self, error: ServiceError) -> None:
        self.error = error
        super().__init__()
