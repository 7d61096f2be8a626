"""The variants as cards to choose from: what each costs, takes, and how long it usually needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from core.catalog.estimate import dollars, pictures_for_a_dollar
from core.catalog.variants import REGISTRY, Variant

Usual = Callable[[str], float | None]  # a variant's id -> seconds


def variant_cards(usual: Usual, own: Mapping[str, Decimal] = MappingProxyType({})) -> list[tuple[str, str]]:
    """A card and the id of each variant; `own` are prices in USD, by id, that the account pays instead of the list's.

    Blocking, as `usual` is.
    """
    return [(variant_card(row, usual(row.id), own.get(row.id, row.price)), row.id) for row in REGISTRY.values()]


def variant_card(row: Variant, seconds: float | None, price: Decimal) -> str:
    """Name, price, limit and usual time of a variant, a line each; no line for a time that nobody knows."""
    beside = f"{pictures_for_a_dollar(row)} for $1" if price == row.price else f"list {dollars(row.price)}"
    lines = [row.name, f"{dollars(price)} · {beside}", f"up to {row.reference_limit} references"]
    lines += [f"about {max(1, round(seconds))} s"] if seconds else []
    return "\n".join(lines)
