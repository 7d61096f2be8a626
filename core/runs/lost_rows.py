"""What the ledger may have lost: predictions that the service has made for this account and that no row knows.

They cost money all the same, so they count against the day's cap, as strangers: nobody's runs, shown to nobody. The
run that one turns out to belong to takes its place.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from core.catalog.variants import BY_MODEL, PICTURES, Variant
from core.errors import KontextError
from core.ledger.ledger import Ledger
from core.ledger.record import STRANGER, Entry, Record
from core.runs import outcomes
from core.runs.journal import log_foreign
from core.runs.recovery import found_facts
from core.service.account import Account
from core.service.prediction import Prediction

log = logging.getLogger(__name__)

KEPT = timedelta(days=7)  # of the history (D)
MOST_PAGES = 50
PAUSES = (60.0, 600.0, 3600.0)  # seconds before the history is asked again, where it does not answer


async def compare(
    ledger: Ledger, account: Account, clock: Callable[[], datetime], sleep: Callable[[float], Awaitable[None]]
) -> int:
    """Write down every prediction of the last days that is missing; says how many there were."""
    for pause in (*PAUSES, None):
        try:
            found = await _compare(ledger, account, clock)
        except KontextError as error:
            log.warning("the service's history could not be compared with the records: %s", error.happened)
            if pause is not None:
                await sleep(pause)
            continue
        except Exception as fault:
            log_foreign(fault, "comparison with the service's history")
            return 0
        if found:
            log.warning("%d predictions of this account were not in the records; they count as spent.", found)
        return found
    return 0


async def _compare(ledger: Ledger, account: Account, clock: Callable[[], datetime]) -> int:
    since, found = clock() - KEPT, 0
    async for items in account.client.pages(MOST_PAGES, since=since):
        records = [_stranger(account, BY_MODEL[p.model_id], p, clock()) for p in items if _is_asked_for(p, since)]
        found += await asyncio.to_thread(ledger.add_strangers, records)
    return found


def _is_asked_for(prediction: Prediction, since: datetime) -> bool:
    return prediction.model_id in BY_MODEL and (prediction.created_at is None or prediction.created_at >= since)


def _stranger(account: Account, variant: Variant, prediction: Prediction, now: datetime) -> Record:
    """What it is and what it cost; not a word of what was asked for."""
    counted = {PICTURES.name: (prediction.inputs or {}).get(PICTURES.name)}
    facts = found_facts(account, STRANGER, variant, prediction, counted, prediction.created_at or now, uuid.uuid4().hex)
    entry = Entry(1, variant.model_id, {}, facts.estimate, status=prediction.status, id=prediction.id, settled_at=now)
    if prediction.finished and not prediction.completed:
        entry = replace(outcomes.failed(entry, prediction, now), error="", troubles=())
    return Record(facts, (entry,), state="completed", finished_at=now)
