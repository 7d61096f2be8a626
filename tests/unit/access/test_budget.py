"""The caps themselves; that nothing slips past them is shown with the ledger and the runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.access.budget import Budget, terms
from core.errors import BudgetError
from core.ledger.moments import midnight
from core.ledger.run import Facts
from core.ledger.spending import Spending
from core.settings import read

NOON = datetime(2026, 12, 31, 12, tzinfo=UTC)
CENTS = st.decimals(0, 5, places=3)


FACTS = Facts("r", "ann", "host", "host", NOON, "pro", None, "an owl", {}, 7, 1, (), Decimal("0.04"))


class Known(Spending):
    """Sums that are handed in."""

    def __init__(self, total: str, by_visitor: str) -> None:
        self.sums = Decimal(total), Decimal(by_visitor)

    def paused(self) -> bool:
        return False

    def total(self, since: datetime) -> Decimal:
        assert since == midnight(NOON)
        return self.sums[0]

    def by_visitor(self, visitor: str, since: datetime) -> Decimal:
        assert (visitor, since) == ("ann", midnight(NOON))
        return self.sums[1]


def refusal(budget: Budget, amount: str, spent: str, by_visitor: str) -> BudgetError | None:
    try:
        budget.check(Decimal(amount), FACTS, Known(spent, by_visitor))
    except BudgetError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("daily", "visitor", "amount", "spent", "by_visitor", "cap", "left"),
    [
        (None, None, "1000", "0", "0", None, None),
        ("1.00", None, "0.04", "0.96", "0.96", None, None),
        ("1.00", None, "0.04", "0.961", "0", "daily", "0.039"),
        ("1.00", "0.20", "0.08", "0.20", "0.12", None, None),
        ("1.00", "0.20", "0.081", "0.20", "0.12", "visitor", "0.08"),
        ("1.00", "0.20", "0.04", "2.00", "0.00", "daily", "0"),
        ("0", None, "0.025", "0", "0", "daily", "0"),
        (None, None, "0", "0", "0", "unpriced", None),
        (None, None, "-1", "0", "0", "unpriced", None),
        (None, None, "NaN", "0", "0", "unpriced", None),
        (None, None, "Infinity", "0", "0", "unpriced", None),
    ],
)
def test_caps(
    daily: str | None, visitor: str | None, amount: str, spent: str, by_visitor: str, cap: str | None, left: str | None
) -> None:
    """Each cap lets pass what just fits and refuses a tenth of a cent more; what has no price passes nowhere."""
    budget = Budget(daily and Decimal(daily), visitor and Decimal(visitor))
    error = refusal(budget, amount, spent, by_visitor)
    assert (error.cap if error else None) == cap
    assert error is None or error.left == (None if left is None else Decimal(left))


def test_a_refusal_says_everything() -> None:
    """Which cap, how large, what is left, when it renews, that nothing was charged: in the sentence and as facts."""
    error = refusal(Budget(visitor=Decimal("0.20")), "0.16", "0.10", "0.10")
    assert error is not None
    assert (error.limit, error.renews) == (Decimal("0.20"), datetime(2027, 1, 1, tzinfo=UTC))
    for words in ("$0.16", "$0.10", "$0.20", "one visitor", "midnight UTC", "1 January", "Nothing was charged."):
        assert words in str(error)


@given(amount=CENTS, spent=CENTS, by_visitor=CENTS, daily=CENTS, visitor=CENTS)
def test_nothing_passes_a_cap(
    amount: Decimal, spent: Decimal, by_visitor: Decimal, daily: Decimal, visitor: Decimal
) -> None:
    """Whatever passes leaves both sums within their caps, and whatever has a price and fits both passes."""
    passes = refusal(Budget(daily, visitor), str(amount), str(spent), str(by_visitor)) is None
    assert passes == (amount > 0 and spent + amount <= daily and by_visitor + amount <= visitor)


def test_the_day_is_utc() -> None:
    """The day turns at midnight UTC, wherever the clock stands."""
    tokyo = timezone(timedelta(hours=9))
    assert midnight(datetime(2026, 11, 21, 8, 59, tzinfo=tokyo)) == datetime(2026, 11, 20, tzinfo=UTC)
    assert midnight(datetime(2026, 11, 21, 9, 0, tzinfo=tokyo)) == datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "Not hosted: visitors are trusted. Without a key nothing is charged."),
        (
            {"WAVESPEED_API_KEY": "wsk_1"},
            "Not hosted: visitors are trusted. Your key pays for every run, without a cap.",
        ),
        (
            {"WAVESPEED_API_KEY": "wsk_1", "GRADIO_SHARE": "True"},
            "Hosted: visitors are not trusted. Your key pays at most, per day (UTC): "
            "$1.00 for all visitors together, $0.20 for one visitor.",
        ),
        (
            {"WAVESPEED_API_KEY": "wsk_1", "KONTEXT_DAILY_BUDGET_USD": "5"},
            "Not hosted: visitors are trusted. Your key pays at most, per day (UTC): $5.00 for all visitors together.",
        ),
    ],
)
def test_the_start_says_whom_it_trusts_and_what_that_can_cost(environment: dict[str, str], said: str) -> None:
    """A share link is a hosted copy with both caps, and whoever starts it reads so."""
    assert terms(read(environment, Path("/srv"))) == said
