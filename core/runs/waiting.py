"""Waiting for a task to end: asking now and then, whatever the network does, until the run's deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from core.account import Account
from core.errors import Charged, LedgerError, RateLimited, ServiceBroken, ServiceError, Unreachable, WaitTimeout
from core.ledger import Ledger
from core.ledger.record import Entry, Facts
from core.prediction import Prediction
from core.runs import ends
from core.runs.live import Live
from core.runs.notes import Notes
from core.runs.patience import Patience
from core.runs.polling import Expectation, expect, next_look
from core.variants import REGISTRY

LATE = "The picture was not ready in time. The task goes on at the service."
ASKING = "The service can't be reached just now. The task goes on there; asking again."


class Waiter:
    """Asks for results at moments that the last runs of the variant make likely."""

    def __init__(
        self,
        ledger: Ledger,
        notes: Notes,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        patience: Patience,
    ) -> None:
        self._ledger = ledger
        self._notes = notes
        self._clock = clock
        self._sleep = sleep
        self._patience = patience

    async def expectation(self, facts: Facts) -> Expectation | None:
        """How long a task of that variant takes, as far as this app has seen. The sandbox is a world of its own."""
        sandbox = facts.account_kind == "sandbox"
        try:
            durations = await asyncio.to_thread(self._ledger.durations, facts.variant_id, sandbox=sandbox)
        except LedgerError:
            durations = []
        return expect(durations, None if sandbox else REGISTRY[facts.variant_id].published_seconds)

    async def wait(
        self, live: Live, account: Account, number: int, sent: Prediction | None, until: datetime
    ) -> Prediction | None:
        """Ask until the task has ended. `sent`: the answer to the submit; without one the first look is at once.

        None: the service does not know the task any more, and the entry says so.

        Raises:
            WaitTimeout: the task goes on, and can be taken up again.
            Stopped: likewise.
        """
        live.at("waiting", number)
        if sent is not None and sent.finished:
            return sent
        if sent is not None:
            await self._pause(live, number)
        while True:
            try:
                prediction = await live.unless_stopped(self._look(live, account, number))
            except _Gone as gone:
                await self._notes.after(live, self._gone(live, account, number, gone.error))
                return None
            if prediction is not None and prediction.finished:
                return prediction
            if self._clock() >= until:
                raise WaitTimeout(str(live.entry(number).id), LATE, ends.TAKE_UP)
            await self._pause(live, number)

    async def _pause(self, live: Live, number: int) -> None:
        await live.unless_stopped(self._sleep(next_look(self._elapsed(live.entry(number)), live.expectation)))

    async def _look(self, live: Live, account: Account, number: int) -> Prediction | None:
        """The prediction as it stands, or None where that can't be told just now."""
        entry = live.entry(number)
        assert entry.id is not None
        try:
            prediction = await account.client.result(entry.id)
        except (Unreachable, ServiceBroken, RateLimited):
            live.tell(number, ASKING)
            return None
        except ServiceError as error:
            if error.status != 404:
                raise
            # A service of many machines may not know everywhere yet what it has just created.
            if self._elapsed(entry) < self._patience.unknown.total_seconds():
                return None
            raise _Gone(error) from None
        live.tell(number, "")
        return prediction

    def _elapsed(self, entry: Entry) -> float:
        since = entry.submitted_at or self._clock()
        return max(timedelta(0), self._clock() - since).total_seconds()

    def _gone(self, live: Live, account: Account, number: int, error: ServiceError) -> Entry:
        # The embedded sandbox forgets everything when the app closes, and never charged for any of it.
        charged: Charged = "no" if account.kind == "sandbox" else "unknown"
        return ends.gone(live.entry(number), error, self._clock(), charged=charged)


class _Gone(Exception):
    """The service has no such prediction."""

    def __init__(self, error: ServiceError) -> None:
        self.error = error
        super().__init__()
