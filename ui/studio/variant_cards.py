"""The variants as cards to choose from: what each costs, takes, and how long it usually needs."""

from __future__ import annotations

from collections.abc import Callable

from core.catalog.estimate import dollars, pictures_for_a_dollar
from core.catalog.variants import REGISTRY, Variant

Usual = Callable[[str], float | None]  # a variant's id -> seconds


def variant_cards(usual: Usual) -> list[tuple[str, str]]:
    """A card and the id of each variant. Blocking, as `usual` is."""
    return [(variant_card(row, usual(row.id)), row.id) for row in REGISTRY.values()]


def variant_card(row: Variant, seconds: float | None) -> str:
    """Name, price, limit and usual time of a variant, a line each; no line for a time that nobody knows."""
    price = f"{dollars(row.price)} · {pictures_for_a_dollar(row)} for $1"
    lines = [row.name, price, f"up to {row.reference_limit} references"]
    lines += [f"about {max(1, round(seconds))} s"] if seconds else []
    return "\n".join(lines)
