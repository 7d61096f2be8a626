"""What inputs cost, and how an amount is said."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.catalog.estimate import dollars, estimate
from core.catalog.variants import REGISTRY

# USD for one, two, three and four pictures, worked out by hand.
SUMS = {
    "pro": ("0.04", "0.08", "0.12", "0.16"),
    "max": ("0.08", "0.16", "0.24", "0.32"),
    "dev": ("0.03", "0.06", "0.09", "0.12"),
    "ultra-fast": ("0.025", "0.050", "0.075", "0.100"),
}


@pytest.mark.parametrize(
    ("variant_id", "pictures", "usd"),
    [(variant_id, pictures, usd) for variant_id, sums in SUMS.items() for pictures, usd in enumerate(sums, start=1)],
)
def test_each_run_has_its_price(variant_id: str, pictures: int, usd: str) -> None:
    """Pictures times price for every variant, exact to the last digit."""
    amount = estimate(REGISTRY[variant_id], pictures)
    assert isinstance(amount, Decimal)
    assert amount == Decimal(usd)


@given(st.sampled_from(list(REGISTRY.values())), st.integers(1, 4), st.integers(1, 4))
def test_splitting_a_run_costs_the_same(variant, one: int, other: int) -> None:  # type: ignore[no-untyped-def]
    """There is no rounding to gain or lose by: the parts add up to the whole."""
    assert estimate(variant, one) + estimate(variant, other) == estimate(variant, one + other)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("0", "$0.00"),
        ("0.04", "$0.04"),
        ("0.040", "$0.04"),
        ("0.1", "$0.10"),
        ("1", "$1.00"),
        ("0.025", "$0.025"),
        ("0.075", "$0.075"),
        ("0.100", "$0.10"),
        ("12.5", "$12.50"),
        ("10", "$10.00"),
        ("1234.5", "$1,234.50"),
        ("0.0376", "$0.0376"),
        ("0.03755", "$0.0376"),
        ("0.0300", "$0.03"),
        ("1E+1", "$10.00"),
    ],
)
def test_an_amount_as_a_person_reads_it(amount: str, said: str) -> None:
    """Two decimals, and more only where they say something."""
    assert dollars(Decimal(amount)) == said


@given(st.integers(0, 10**9))
def test_an_amount_said_is_the_amount(mills: int) -> None:
    """No tenth of a cent is lost on the way to the page."""
    said = dollars(Decimal(mills) / 1000)
    assert Decimal(said.removeprefix("$").replace(",", "")) * 1000 == mills
    assert len(said.partition(".")[2]) in (2, 3)
