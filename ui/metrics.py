"""What Prometheus reads: how much goes on, what it costs, how long it takes. No label tells of a person."""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from core.backend import Backend
from core.ledger import books
from core.ledger.books import Line, UnderWay
from core.ledger.moments import midnight
from core.ledger.record import Record
from core.storage import sizes
from ui.host.overview import Kept, balance_of
from ui.light import HEADERS, refusal

PATH = "/metrics"
NO_TOKEN = "Send KONTEXT_METRICS_TOKEN as the bearer token."  # noqa: S105 - a sentence
PREDICTION_SECONDS = (1, 2, 4, 6, 8, 10, 15, 20, 30, 45, 60, 120, 300)
WRITE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The metrics of one backend, of this process since its start. What is counted is never taken back: a run that is
    deleted stays counted, and one that goes on after its end counts once more when it ends again.
    """

    def __init__(self, backend: Backend, seconds: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._token = f"Bearer {backend.settings.metrics_token}".encode()
        self.registry = CollectorRegistry()
        self._runs = Counter(
            "kontext_runs", "Runs that ended.", ["variant", "outcome", "paid_by"], registry=self.registry
        )
        self._charged = Counter(
            "kontext_charged_usd",
            "USD charged, as known when runs ended.",
            ["variant", "paid_by"],
            registry=self.registry,
        )
        self._prediction_seconds = Histogram(
            "kontext_prediction_seconds",
            "Seconds that the model took.",
            ["variant"],
            buckets=PREDICTION_SECONDS,
            registry=self.registry,
        )
        self._write_seconds = Histogram(
            "kontext_ledger_write_seconds",
            "Seconds from asking to write to being on the disk.",
            buckets=WRITE_SECONDS,
            registry=self.registry,
        )
        self._gauges = {name: Gauge(f"kontext_{name}", help, registry=self.registry) for name, help in GAUGES.items()}
        self._disk = Gauge("kontext_disk_bytes", "Bytes of the data folder.", ["part"], registry=self.registry)
        self._balance = Kept(self._ask_balance, seconds)
        self._sizes = Kept(lambda: asyncio.to_thread(sizes, backend.settings.data_dir), seconds)
        backend.runs.ended = self.ended
        backend.ledger.written = self._write_seconds.observe

    def routes(self) -> list[BaseRoute]:
        """The one address."""
        return [Route(PATH, self._answer)]

    def ended(self, before: Record, after: Record) -> None:
        """A run came to its end; `before` it went on, some of it may have been counted."""
        variant, paid_by = after.facts.variant_id, _payer(after)
        self._runs.labels(variant, after.state, paid_by).inc()
        if paid_by == "practice":
            return
        self._charged.labels(variant, paid_by).inc(float(max(Decimal(0), _charged(after) - _charged(before))))
        known = {(entry.number, entry.attempt) for entry in before.entries if entry.model_seconds is not None}
        for entry in after.entries:
            if entry.model_seconds is not None and (entry.number, entry.attempt) not in known:
                self._prediction_seconds.labels(variant).observe(entry.model_seconds)

    async def _answer(self, request: Request) -> Response:
        told = request.headers.get("authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(told, self._token):
            return refusal(401, NO_TOKEN)
        await self._look()
        return Response(generate_latest(self.registry), headers=HEADERS, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def _look(self) -> None:
        """Set what stands at this moment."""
        backend, today = self._backend, midnight(self._backend.clock())
        under_way, lines = await backend.runs.readers(self._read, today)
        host = [line for line in lines if line.kind != books.OWN]
        now = {
            "predictions_in_flight": under_way.at_service,
            "predictions_in_line": under_way.in_line,
            "spent_today_usd": sum(line.cost for line in host),
            "reserved_usd": sum(line.reserved for line in host),
            "spending_paused": await backend.paused(),
            "accepting_runs": backend.runs.accepting,
            "balance_usd": await self._balance(),
        }
        for name, value in now.items():
            self._gauges[name].set(math.nan if value is None else float(value))
        for part, size in (await self._sizes()).items():
            self._disk.labels(part).set(size)

    def _read(self, today: datetime) -> tuple[UnderWay, list[Line]]:
        with self._backend.ledger.reading() as connection:
            return books.under_way(connection), books.lines(connection, today)

    async def _ask_balance(self) -> Decimal | None:
        return await balance_of(self._backend.host) if self._backend.host else None


GAUGES = {
    "predictions_in_flight": "Predictions at the service.",
    "predictions_in_line": "Predictions that were not sent yet.",
    "spent_today_usd": "USD of the host's key that today's runs cost (UTC), reservations among them.",
    "reserved_usd": "USD of it that are reserved and not charged yet.",
    "balance_usd": "USD that are left at the service; NaN where that is not known.",
    "spending_paused": "1 while the host has paused spending.",
    "accepting_runs": "1 until the app closes.",
}


def _payer(record: Record) -> str:
    return "practice" if record.facts.account_kind == "sandbox" else record.facts.account_kind


def _charged(record: Record) -> Decimal:
    return sum((entry.charge or Decimal(0) for entry in record.entries), Decimal(0))
