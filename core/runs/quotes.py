"""What the service asks for one submit: remembered for a few minutes, so that a press need not wait for the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from core.errors import KontextError
from core.ledger.record import Record
from core.runs.journal import log_foreign
from core.runs.single_flight import SingleFlight
from core.service.account import Account

REMEMBERED = timedelta(minutes=5)
MOST = 256  # so that no stream of odd parameters fills the memory
PRICE_NEUTRAL = frozenset({"prompt", "images", "seed"})  # (D)
FLOOR = Decimal("0.1")  # of the list price: whatever is lower is a fault of the service, not a discount

Key = tuple[str, str, str]


class Quotes:
    """Two runs that need the same quote at the same moment share one request."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: dict[Key, tuple[Decimal, datetime]] = {}  # the oldest first
        self._going: SingleFlight[Key, Decimal | None] = SingleFlight("a quote")

    def ask(self, account: Account, model_id: str, payload: Mapping[str, Any]) -> asyncio.Task[Decimal | None]:
        """Will hold USD for one submit, discounts included; None where that can't be known. It never fails."""
        key = (account.id, model_id, _price_key(payload))
        return self._going.begin(key, partial(self._quote, key, account, payload))

    def known(self, account: Account, model_id: str, payload: Mapping[str, Any]) -> Decimal | None:
        """The same as far as it is known now, without asking."""
        return self._fresh((account.id, model_id, _price_key(payload)))

    async def aclose(self) -> None:
        """Ask no further."""
        await self._going.aclose()

    async def _quote(self, key: Key, account: Account, payload: Mapping[str, Any]) -> Decimal | None:
        if (known := self._fresh(key)) is not None:
            return known
        quote = await _answer(account, key[1], payload)
        if quote is not None:
            self._remember(key, quote)
        return quote

    def _fresh(self, key: Key) -> Decimal | None:
        known = self._known.get(key)
        return known[0] if known is not None and known[1] <= self._clock() < known[1] + REMEMBERED else None

    def _remember(self, key: Key, quote: Decimal) -> None:
        self._known.pop(key, None)  # so that it goes to the end
        self._known[key] = (quote, self._clock())
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]


def priced(record: Record, quote: Decimal) -> Record:
    """The record with what the service asks reserved, instead of what we expected.

    A quote that is far too low would slip past every budget, so the list price stays reserved in its place.
    """
    entries = record.current
    if quote * len(entries) < FLOOR * record.facts.estimate:
        return record
    return replace(record, entries=tuple(replace(entry, reserved=quote, source="quote") for entry in entries))


def _price_key(payload: Mapping[str, Any]) -> str:
    """What of a payload may tell its price."""
    return json.dumps({name: payload[name] for name in payload.keys() - PRICE_NEUTRAL}, sort_keys=True)


async def _answer(account: Account, model_id: str, payload: Mapping[str, Any]) -> Decimal | None:
    try:
        return await account.client.quote(model_id, payload) or None
    except KontextError:
        return None
    except Exception as fault:
        log_foreign(fault, "quote")
        return None
