"""What the service asks for one submit: remembered for a few minutes, so that a press need not wait for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from core.catalog.variants import PICTURES
from core.errors import KontextError
from core.ledger.record import Record
from core.runs.journal import log_foreign
from core.runs.single_flight import SingleFlight
from core.service.account import Account

REMEMBERED = timedelta(minutes=5)
MOST = 4096  # so that no stream of keys fills the memory: an account has at most ten quotes
PAUSE = timedelta(seconds=30)  # after a failure, in which nobody is asked for the sake of looking
FLOOR = Decimal("0.1")  # of the list price: whatever is lower is a fault of the service, not a discount

T = TypeVar("T")
# Account, model, pictures of one submit. A run or a picture has one price whatever else is set, as the catalogue's
# formulas say (O, D), so no stream of odd parameters becomes a stream of questions.
Key = tuple[str, str, int]


class Quotes:
    """Two runs that need the same quote at the same moment share one request."""

    def __init__(self, clock: Callable[[], datetime], most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._known: dict[Key, tuple[Decimal, datetime]] = {}  # the oldest first
        self._failed: dict[Key, datetime] = {}
        self._going: SingleFlight[Key, Decimal | None] = SingleFlight("a quote")

    def ask(self, account: Account, model_id: str, payload: Mapping[str, Any]) -> asyncio.Task[Decimal | None]:
        """Will hold USD for one submit, discounts included; None where that can't be known. It never fails."""
        key = _key(account, model_id, payload)
        return self._going.begin(key, partial(self._quote, key, account, payload))

    def look(self, account: Account, model_id: str, payload: Mapping[str, Any]) -> asyncio.Task[Decimal | None] | None:
        """`ask` for whoever only looks; None soon after a failure, so that looking often is not asking often."""
        failed = self._failed.get(_key(account, model_id, payload))
        if failed is not None and failed <= self._clock() < failed + PAUSE:
            return None
        return self.ask(account, model_id, payload)

    def known(self, account: Account, model_id: str, payload: Mapping[str, Any]) -> Decimal | None:
        """The same as far as it is known now, without asking."""
        return self._fresh(_key(account, model_id, payload))

    def forget(self, account_id: str) -> None:
        """Nobody holds that account any more."""
        self._known = {key: known for key, known in self._known.items() if key[0] != account_id}
        self._failed = {key: failed for key, failed in self._failed.items() if key[0] != account_id}

    async def aclose(self) -> None:
        """Ask no further."""
        await self._going.aclose()

    async def _quote(self, key: Key, account: Account, payload: Mapping[str, Any]) -> Decimal | None:
        if (known := self._fresh(key)) is not None:
            return known
        quote = await _answer(account, key[1], payload)
        if quote is None:
            self._put(self._failed, key, self._clock())
        else:
            self._put(self._known, key, (quote, self._clock()))
        return quote

    def _fresh(self, key: Key) -> Decimal | None:
        known = self._known.get(key)
        return known[0] if known is not None and known[1] <= self._clock() < known[1] + REMEMBERED else None

    def _put(self, memory: dict[Key, T], key: Key, value: T) -> None:
        memory.pop(key, None)  # so that it goes to the end
        memory[key] = value
        if len(memory) > self._most:
            del memory[next(iter(memory))]


def priced(record: Record, quote: Decimal) -> Record:
    """The record with what the service asks expected and reserved, instead of the list price.

    A quote that is far too low would slip past every budget, so the list price stays reserved in its place.
    """
    entries = record.current
    if quote * len(entries) < FLOOR * record.facts.estimate:
        return record
    facts = replace(record.facts, estimate=quote * len(entries))
    return replace(record, facts=facts, entries=tuple(replace(e, reserved=quote, source="quote") for e in entries))


def _key(account: Account, model_id: str, payload: Mapping[str, Any]) -> Key:
    return account.id, model_id, int(payload.get(PICTURES.name, 1))


async def _answer(account: Account, model_id: str, payload: Mapping[str, Any]) -> Decimal | None:
    try:
        return await account.client.quote(model_id, payload) or None
    except KontextError:
        return None
    except Exception as fault:
        log_foreign(fault, "quote")
        return None
