"""The one step that costs money: sent once, its id kept before anything else happens with it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from core.errors import KontextError, RateLimited, SubmitUnknown
from core.ledger.faults import Fenced
from core.ledger.record import RESERVED, SUBMITTING, Entry
from core.runs import outcomes
from core.runs.background import Background
from core.runs.callbacks import Address, Callbacks
from core.runs.journal import Journal, log_foreign
from core.runs.leases import Leases
from core.runs.live import LivePrediction, Stopped
from core.runs.runtime import Runtime
from core.service.account import Account
from core.service.prediction import Prediction

log = logging.getLogger(__name__)


class _StoodStill(KontextError):
    """By our clock somebody may have taken the run over since the submit was announced, so it was not sent."""

    def __init__(self) -> None:
        super().__init__("The app stood still for too long, so this was not sent.", outcomes.AGAIN)


class Claims:
    """Which predictions of runs under way are spoken for, and which submits are in the air, in this process.

    A prediction whose answer is still on its way must not be taken over by a duplicate of its submit. Once a run is in
    the ledger to its end, the ledger tells whose its predictions are, and they are released here.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._in_flight: Counter[str] = Counter()

    @contextmanager
    def in_flight(self, account_id: str, payload: Mapping[str, Any]) -> Iterator[None]:
        key = _key(account_id, payload)
        self._in_flight[key] += 1
        try:
            yield
        finally:
            self._in_flight[key] -= 1
            self._in_flight += Counter()  # drops the zeros

    def duplicate_in_flight(self, account_id: str, payload: Mapping[str, Any]) -> bool:
        return self._in_flight[_key(account_id, payload)] > 0

    def claim(self, prediction_id: str) -> bool:
        """Whether it was free; from now on it is not."""
        if prediction_id in self._ids:
            return False
        self._ids.add(prediction_id)
        return True

    def release(self, *prediction_ids: str | None) -> None:
        """They turned out to be another's, or the ledger tells whose they are."""
        self._ids.difference_update(prediction_ids)

    def has(self, prediction_id: str) -> bool:
        return prediction_id in self._ids

    def __len__(self) -> int:
        """How many predictions are spoken for here."""
        return len(self._ids)


class Submitter:
    """Sends submits, and hears their answers even where nobody waits for them any more.

    Between the last look at the lease and the first byte on the wire a process can stand still all the same, and send
    what another replica has looked for in vain by then. The answer tells which prediction that is, and `handed_over`
    hears of the account: the run is opened again, as it is where the service calls late.
    """

    def __init__(
        self,
        journal: Journal,
        claims: Claims,
        callbacks: Callbacks,
        leases: Leases,
        runtime: Runtime,
        handed_over: Callable[[Account], None],
    ) -> None:
        self._handed_over = handed_over
        self._journal = journal
        self._leases = leases
        self._claims = claims
        self._callbacks = callbacks
        self._clock = runtime.clock
        self._posting = Background("a submit")

    async def send(self, live: LivePrediction) -> Prediction | None:
        """Submit. None: the service refused, and the entry says so.

        Raises:
            SubmitUnknown: sent and unanswered; the entry stays as it is, to be searched for.
            RateLimited: there was no room; nothing was created, so it may be sent again.
            BudgetError, LedgerError: the host does not want it, or it can't be recorded, so it was not sent.
            Fenced: the run is another replica's.
            Stopped: the person no longer wants it, so it was not sent.
        """
        while True:
            try:
                return await self._send(live)
            except _StoodStill:
                if self._clock() >= live.run.deadline:
                    raise
                log.warning("run %s, prediction %s: not sent in time.", live.run.facts.id, live.number)

    async def drain(self, seconds: float) -> None:
        """Let the submits that are under way hear their answer, so that nobody has to search for it."""
        await self._posting.drain(seconds)

    async def _send(self, live: LivePrediction) -> Prediction | None:
        live.at("submitting")
        address = self._callbacks.address(live.account)
        entry = replace(live.entry, status=SUBMITTING, submitting_at=self._clock(), callback=address and address.hash)
        await self._journal.before(live.run, entry)
        if live.run.stopping:  # the last moment at which it costs nothing
            await self._not_sent(live, entry)
            raise Stopped
        try:
            # Shielded: whoever gives up waiting must not tear the request from the wire and lose its answer.
            return await asyncio.shield(self._posting.begin(self._post(live, entry, address)))
        except (SubmitUnknown, RateLimited, Fenced, _StoodStill):
            raise
        except KontextError as error:
            self._callbacks.not_taken(error)
            await self._journal.after(live.run, outcomes.refused(entry, error, self._clock()))
            return None

    def _permit(self, live: LivePrediction) -> None:
        """Whoever stood still since it was announced must not send it: another replica may be looking for it by now.

        Where nobody is, it is announced once more.
        """
        if not self._leases.surely_has(live.run.record):
            raise _StoodStill

    async def _not_sent(self, live: LivePrediction, entry: Entry) -> None:
        await self._journal.after(live.run, replace(entry, status=RESERVED, submitting_at=None, callback=None))

    async def _post(self, live: LivePrediction, entry: Entry, address: Address | None) -> Prediction:
        webhook = address and address.url
        with self._claims.in_flight(live.account.id, entry.payload):
            sent_at = self._clock()  # the waiting goes by it, and the disk may have taken its time
            try:
                permit = partial(self._permit, live)
                prediction = await live.account.client.submit(entry.model_id, entry.payload, webhook, permit)
            except (RateLimited, _StoodStill):
                await self._not_sent(live, entry)
                raise
            except KontextError:
                raise
            except Exception as fault:  # foreseen by nobody, so it may have gone out
                log_foreign(fault, f"submit of run {live.run.facts.id}")
                raise SubmitUnknown("The request may have gone out.") from None
            self._claims.claim(prediction.id)
        kept = replace(
            entry, id=prediction.id, status=prediction.status, submitting_at=sent_at, submitted_at=self._clock()
        )
        try:
            await self._journal.after(live.run, kept, prediction.answer)
        except Fenced:
            await self._hand_over(live, entry, prediction.id)
            raise
        return prediction

    async def _hand_over(self, live: LivePrediction, entry: Entry, prediction_id: str) -> None:
        """Whoever has the run now may have looked for the task before there was one."""
        self._claims.release(prediction_id)
        await self._journal.tell_late(live.run, entry, prediction_id)
        self._handed_over(live.account)


def _key(account_id: str, payload: Mapping[str, Any]) -> str:
    return json.dumps([account_id, payload], sort_keys=True)
