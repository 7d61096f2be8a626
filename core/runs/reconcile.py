"""The submit that was never answered: which of the service's predictions is ours, if any.

It is never sent again. The service's history is asked instead, and a prediction is taken over only where its inputs
are ours. Two submits of ours with the same inputs are interchangeable, but no prediction is taken twice.
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
from core.ledger.ledger import Ledger
from core.ledger.record import Entry
from core.runs import outcomes
from core.runs.journal import Journal
from core.runs.live import LivePrediction
from core.runs.runtime import Runtime
from core.runs.submit import Claims
from core.service.client import Client
from core.service.prediction import Prediction

log = logging.getLogger(__name__)

# The service's clock and ours may differ. What is too old is no danger: the inputs must be ours as well.
CLOCK_SKEW = timedelta(minutes=15)
KEPT = timedelta(days=7) - CLOCK_SKEW  # of the history (D)
MOST_PAGES = 10
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between looks; the last one is repeated

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
        ours=tuple(sorted(ours, key=lambda p: not _agrees(payload, p.inputs or {}))),
        nameless=tuple(p for p in found if p.inputs is None),
    )


def same(payload: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether these are the inputs that we sent: the URLs of our uploads, the prompt and the seed tell it.

    Where the variant has no seed, nothing that both name may differ. The service may have added defaults, left some
    out, or written a value in another way (A), so more is not asked where the seed tells.
    """
    telling = [name for name in ("prompt", "images", "seed") if name in payload]
    told = all(name in inputs and inputs[name] == payload[name] for name in telling)
    return told and ("seed" in payload or _agrees(payload, inputs))


def _agrees(payload: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    return all(inputs[name] == value for name, value in payload.items() if name in inputs)


async def _since(client: Client, model_id: str, since: datetime) -> list[Prediction]:
    found = [p async for items in client.pages(MOST_PAGES, model_id=model_id, since=since) for p in items]
    return [p for p in found if p.model_id in ("", model_id) and (p.created_at is None or _aware(p, since))]


def _aware(prediction: Prediction, since: datetime) -> bool:
    created = prediction.created_at
    assert created is not None
    return created.replace(tzinfo=created.tzinfo or since.tzinfo) >= since


class Reconciler:
    """Looks for the prediction of a submit that was never answered, for a while, and takes it over."""

    def __init__(self, ledger: Ledger, journal: Journal, claims: Claims, runtime: Runtime) -> None:
        self._ledger = ledger
        self._journal = journal
        self._claims = claims
        self._runtime = runtime

    async def find_lost(self, live: LivePrediction) -> Prediction | None:
        """The prediction, taken over and recorded; or None, and the entry says how it ended.

        Raises:
            Stopped: the person did not want to wait; it can be looked for again.
        """
        live.at("submitting")
        live.tell("The service did not answer. Checking its history to see whether it started. Nothing is sent twice.")
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            findings = await live.unless_stopped(self._search(live))
            if findings is not None and (found := await self._take_over(live, findings)):
                live.tell("")
                return found
            if (end := await self._end(live, findings)) is not None:
                await self._journal.after(live.run, end)
                return None
            await live.unless_stopped(self._runtime.sleep(pause))
        return None

    async def _search(self, live: LivePrediction) -> Findings | None:
        """None where nothing can be said just now: no answer, or a duplicate whose answer is still to come."""
        entry = live.entry
        assert entry.submitting_at is not None
        try:
            since = min(entry.submitting_at, self._runtime.clock())  # the clock may have been set back meanwhile
            findings = await search_history(live.account.client, entry.model_id, entry.payload, since)
        except ServiceError:
            return None
        return None if self._claims.duplicate_in_flight(live.account.id, entry.payload) else findings

    async def _take_over(self, live: LivePrediction, findings: Findings) -> Prediction | None:
        for candidate in findings.ours:
            entry = live.entry
            ours = replace(entry, id=candidate.id, status=candidate.status, submitted_at=entry.submitting_at)
            if not self._claims.claim(candidate.id):
                continue
            if await self._record(live, ours):
                live.run.put(ours)
                return candidate
            self._claims.release(candidate.id)
        return None

    async def _record(self, live: LivePrediction, entry: Entry) -> bool:
        try:
            return await asyncio.to_thread(self._ledger.claim, live.run.facts.id, entry)
        except LedgerError as fault:
            log.warning("run %s, prediction %s: not recorded. %s", live.run.facts.id, entry.id, fault.happened)
            return True

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
        strangers = await self._strangers(findings)
        return outcomes.unclear(entry, strangers) if strangers else outcomes.not_created(entry, now)

    async def _strangers(self, findings: Findings) -> int:
        """How many predictions there are that may be this one.

        Of some the history does not tell the inputs; one that has our inputs is left where a person has recovered it by
        its id, without knowing which submit it came from.
        """
        ids = [p.id for p in (*findings.nameless, *findings.ours)]
        try:
            taken = await asyncio.to_thread(self._ledger.taken, ids)
        except LedgerError:
            taken = set()
        return sum(1 for id in ids if id not in taken and not self._claims.has(id))
