"""What a variant's card says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.catalog.variants import REGISTRY
from ui.studio.variant_cards import variant_card


@pytest.mark.parametrize(
    ("variant_id", "seconds", "price", "card"),
    [
        ("pro", None, "0.04", ["Pro", "$0.04 · 25 for $1", "up to 5 references"]),
        ("max", 8.4, "0.08", ["Max", "$0.08 · 12 for $1", "up to 5 references", "about 8 s"]),
        ("max", None, "0.064", ["Max", "$0.064 · list $0.08", "up to 5 references"]),
        ("dev", 17.0, "0.03", ["Dev", "$0.03 · 33 for $1", "up to 4 references", "about 17 s"]),
        ("ultra-fast", 0.2, "0.025", ["Ultra-fast", "$0.025 · 40 for $1", "up to 4 references", "about 1 s"]),
    ],
)
def test_a_card_says_what_is_known(variant_id: str, seconds: float | None, price: str, card: list[str]) -> None:
    """Price and what a dollar makes, whole pictures only; the account's own price beside the list's; the limit; and the
    time, where it is known.
    """
    assert variant_card(REGISTRY[variant_id], seconds, Decimal(price)).splitlines() == card
