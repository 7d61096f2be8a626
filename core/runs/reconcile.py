"""The submit that was never answered: which of the service's predictions is ours, if any.

It is never sent again. Where the service calls back, that tells; else its history is asked, and a prediction is taken
over only where its inputs are ours. Two submits of ours with the same inputs are interchangeable, but no prediction is
taken twice.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core.errors import KontextError, LedgerError, ServiceError
from core.ledger.faults import Fenced
from core.ledger.ledger import Ledger
from core.ledger.record import Entry
from core.runs import outcomes
from core.runs.callbacks import Callbacks
from core.runs.journal import Journal
from core.runs.leases import Leases
from core.runs.live import LivePrediction
from core.runs.matching import CLOCK_SKEW, agrees, proven, same
from core.runs.runtime import Runtime
from core.runs.submit import Claims
from core.service.client import Client
from core.service.prediction import Prediction

log = logging.getLogger(__name__)

KEPT = timedelta(days=7) - CLOCK_SKEW  # of the history (D)
MOST_PAGES = 10
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between looks; the last one is repeated
# Seconds after a task should have ended in which the service may still call about it, before the history is asked; and
# how long one takes whose variant nothing is known of.
CALL_GRACE, UNKNOWN_TASK = 10.0, 20.0

AWAITED = "The service did not answer. Waiting for it to report the picture. Nothing is sent twice."
SEARCHED = "The service did not answer. Checking its history to see whether it started. Nothing is sent twice."
UNHEARD = "The request was sent but never answered, and the service's history can't be reached to look for it."
LOOK_AGAIN = "Check again from the history to look once more. Sending it again could be charged twice."
TOO_LATE = "The request was sent but never answered, and the service's history no longer reaches back that far."


@dataclass(frozen=True)
class Findings:
    """What the history shows since a moment: predictions with our inputs, and how many tell no inputs at all."""

    ours: tuple[Prediction, ...]
    nameless: tuple[Prediction, ...]


async def search_history(client: Client, model_id: str, payload: Mapping[str, Any], since: datetime) -> Findings:
    """Ask the history for predictions of that payload.

    Raises:
        ServiceError: it does not answer.
    """
    found = await _since(client, model_id, since - CLOCK_SKEW)
    ours = [p for p in found if p.inputs is not None and same(payload, p.inputs)]
    return Findings(
        # Two runs may differ in a setting alone: the one that agrees in everything comes first.
        ours=tuple(sorted(ours, key=lambda p: not agrees(payload, p.inputs or {}))),
        nameless=tuple(p for p in found if p.inputs is None),
    )


async def _since(client: Client, model_id: str, since: datetime) -> list[Prediction]:
    found = [p async for items in client.pages(MOST_PAGES, model_id=model_id, since=since) for p in items]
    return [p for p in found if p.model_id in ("", model_id) and (p.created_at is None or _aware(p, since))]


def _aware(prediction: Prediction, since: datetime) -> bool:
    created = prediction.created_at
    assert created is not None
    return created.replace(tzinfo=created.tzinfo or since.tzinfo) >= since


class Reconciler:
    """Looks for the prediction of a submit that was never answered, for a while, and takes it over."""

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        claims: Claims,
        callbacks: Callbacks,
        leases: Leases,
        runtime: Runtime,
    ) -> None:
        self._ledger = ledger
        self._leases = leases
        self._journal = journal
        self._claims = claims
        self._callbacks = callbacks
        self._runtime = runtime

    async def find_lost(self, live: LivePrediction) -> Prediction | None:
        """The prediction, taken over and recorded; or None, and the entry says how it ended.

        Raises:
            Stopped: the person did not want to wait; it can be looked for again.
        """
        live.at("submitting")
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            told = await self._callbacks.told(live.run.facts.id, live.entry)
            waiting = told is None and self._may_be_called(live)
            live.tell(AWAITED if waiting else SEARCHED)
            findings = None if waiting else await live.unless_stopped(self._search(live, told))
            if findings is not None and (found := await self._take_over(live, findings)):
                live.tell("")
                return found
            if told is not None and findings is not None:
                await self._callbacks.refute(live.run.facts.id, live.entry, told)
            elif (end := await self._end(live, findings)) is not None:
                await self._journal.after(live.run, end)
                return None
            await live.rest(self._runtime.sleep(pause))
        return None

    def _may_be_called(self, live: LivePrediction) -> bool:
        """Whether the service was asked to call, and may still be about to."""
        entry, expected = live.entry, live.run.expectation
        assert entry.submitting_at is not None
        usual = expected.median + expected.spread if expected else UNKNOWN_TASK
        until = entry.submitting_at + timedelta(seconds=usual + CALL_GRACE)
        return entry.callback is not None and self._runtime.clock() < until

    async def _search(self, live: LivePrediction, told: str | None) -> Findings | None:
        """What the service says of the prediction that a call named, or else what its history shows.

        None where nothing can be said just now: no answer, or a duplicate whose answer is still to come.
        """
        entry, client = live.entry, live.account.client
        assert entry.submitting_at is not None
        try:
            if told is not None:
                found = await proven(client, entry, told)
                findings = Findings((found,) if found else (), ())
            else:
                since = min(entry.submitting_at, self._runtime.clock())  # the clock may have been set back meanwhile
                findings = await search_history(client, entry.model_id, entry.payload, since)
        except ServiceError:
            return None
        if self._claims.duplicate_in_flight(live.account.id, entry.payload) or await self._twin_elsewhere(live):
            return None
        return findings

    async def _twin_elsewhere(self, live: LivePrediction) -> bool:
        """Whether another replica may still hear the answer to a duplicate, or can't be asked."""
        if self._leases.alone:
            return False
        since = self._runtime.clock() - self._runtime.timeouts.answer
        try:
            sent = await asyncio.to_thread(self._ledger.sent_elsewhere, live.account.id, self._leases.owner, since)
        except LedgerError:
            return True
        return live.entry.payload in sent

    async def _take_over(self, live: LivePrediction, findings: Findings) -> Prediction | None:
        for candidate in findings.ours:
            entry = live.entry
            ours = replace(entry, id=candidate.id, status=candidate.status, submitted_at=entry.submitting_at)
            if self._claims.claim(candidate.id) and await self._record(live, ours):
                live.run.put(ours)
                return candidate
        return None

    async def _record(self, live: LivePrediction, entry: Entry) -> bool:
        recorded = False
        try:
            recorded = await self._journal.claim(live.run, entry)
        except Fenced:
            raise
        except LedgerError as fault:
            log.warning("run %s, prediction %s: not recorded. %s", live.run.facts.id, entry.id, fault.happened)
            recorded = True
        finally:
            if not recorded:
                self._claims.release(entry.id)
        return recorded

    async def _end(self, live: LivePrediction, findings: Findings | None) -> Entry | None:
        """How the search ends, if it ends now."""
        entry = live.entry
        assert entry.submitting_at is not None
        now = self._runtime.clock()
        if findings is None:
            return outcomes.broken_off(entry, UNHEARD, LOOK_AGAIN, now) if now >= live.run.deadline else None
        if now < entry.submitting_at + self._runtime.timeouts.search:
            return None
        if now > entry.submitting_at + KEPT:
            return outcomes.gone(entry, KontextError(TOO_LATE), now, charged="unknown")
        try:
            strangers = await self._strangers(findings)
        except LedgerError as fault:
            if fault.passing and now < live.run.deadline:
                return None
            raise
        return outcomes.unclear(entry, strangers) if strangers else outcomes.not_created(entry, now)

    async def _strangers(self, findings: Findings) -> int:
        """How many predictions there are that may be this one.

        Of some the history does not tell the inputs; one that has our inputs is left where a person has recovered it by
        its id, without knowing which submit it came from.
        """
        ids = [p.id for p in (*findings.nameless, *findings.ours)]
        taken = await asyncio.to_thread(self._ledger.taken, ids)
        return sum(1 for id in ids if id not in taken and not self._claims.has(id))
