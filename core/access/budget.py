"""Who may still spend what of the host's key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from core.catalog.estimate import dollars
from core.errors import BudgetError
from core.ledger.ledger import midnight
from core.settings import Settings

_OWN_KEY = "Come back then, or bring your own WaveSpeedAI key."


@dataclass(frozen=True)
class Budget:
    """Two caps in USD for a UTC day, None: no cap. `daily` holds for all visitors together, `visitor` for each."""

    daily: Decimal | None = None
    visitor: Decimal | None = None

    def check(self, amount: Decimal, *, spent: Decimal, spent_by_visitor: Decimal, now: datetime) -> None:
        """Let a run pass that costs `amount`, when that much was spent or reserved since midnight UTC.

        Raises:
            BudgetError: which cap refuses it, what is left of it, when it renews.
        """
        if not amount.is_finite() or amount <= 0:
            raise BudgetError(
                "The price of this isn't known, so it was not sent.", "Choose another variant.", cap="unpriced"
            )
        if self.visitor is not None and spent_by_visitor + amount > self.visitor:
            raise _refusal("visitor", self.visitor, spent_by_visitor, amount, now)
        if self.daily is not None and spent + amount > self.daily:
            raise _refusal("daily", self.daily, spent, amount, now)


def terms(settings: Settings) -> str:
    """For whoever starts the app: whom it trusts, and what that can cost them in a day."""
    whom = "Hosted: visitors are not trusted." if settings.hosted else "Not hosted: visitors are trusted."
    if settings.api_key is None:
        return f"{whom} Without a key nothing is charged."
    caps = ((settings.daily_budget, "for all visitors together"), (settings.visitor_budget, "for one visitor"))
    most = ", ".join(f"{dollars(cap)} {whose}" for cap, whose in caps if cap is not None)
    return f"{whom} Your key pays " + (f"at most, per day (UTC): {most}." if most else "for every run, without a cap.")


def _refusal(
    cap: Literal["daily", "visitor"], limit: Decimal, spent: Decimal, amount: Decimal, now: datetime
) -> BudgetError:
    left = max(limit - spent, Decimal(0))
    renews = midnight(now) + timedelta(days=1)
    whose = "one visitor" if cap == "visitor" else "all visitors together"
    happened = (
        f"This would cost {dollars(amount)}, and {dollars(left)} is left of the {dollars(limit)} a day that {whose} "
        "can spend here."
    )
    cheaper = " Choose a cheaper variant or fewer pictures, or wait." if left else ""
    advice = f"It renews at midnight UTC, on {renews.day} {renews:%B}.{cheaper} {_OWN_KEY}"
    return BudgetError(happened, advice, cap=cap, limit=limit, left=left, renews=renews)
