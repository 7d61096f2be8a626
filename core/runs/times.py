"""How long the tasks of each variant took lately, as far as this app has seen."""

from __future__ import annotations

import asyncio
from collections import deque

from core.catalog.variants import REGISTRY
from core.errors import LedgerError
from core.ledger.ledger import Ledger
from core.ledger.run import Facts
from core.runs.polling import REMEMBERED, Expectation, expect

_Kind = tuple[str, bool]  # the variant's id, and whether it is the sandbox: that is a world of its own


class Times:
    """Read from the ledger once, learned from every task that ends after that."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: dict[_Kind, deque[float]] = {}

    async def recall(self, facts: Facts) -> None:
        """Know what earlier runs of the variant took."""
        if _kind(facts) not in self._seen:
            await asyncio.to_thread(self._read, _kind(facts))

    def usual(self, variant_id: str) -> float | None:
        """Seconds that the service usually takes: as seen, else as published, else None. Blocking, at first."""
        kind = (variant_id, False)
        if kind not in self._seen:
            self._read(kind)
        known = self._expect(kind)
        return None if known is None else known.median

    def learn(self, facts: Facts, seconds: float) -> None:
        """A task of that variant took so long."""
        self._seen.setdefault(_kind(facts), deque(maxlen=REMEMBERED)).append(seconds)

    def expectation(self, facts: Facts) -> Expectation | None:
        """What is known now: from what was seen, else from what is published, else nothing."""
        return self._expect(_kind(facts))

    def _expect(self, kind: _Kind) -> Expectation | None:
        variant, sandbox = kind
        published = None if sandbox else REGISTRY[variant].published_seconds
        return expect(list(self._seen.get(kind, ())), published)

    def _read(self, kind: _Kind) -> None:
        try:
            seen = self._ledger.durations(kind[0], sandbox=kind[1], count=REMEMBERED)
        except LedgerError:  # another time
            return
        self._seen.setdefault(kind, deque(seen, maxlen=REMEMBERED))


def _kind(facts: Facts) -> _Kind:
    return facts.variant_id, facts.account_kind == "sandbox"
