"""What inputs cost, in Decimal: computed here, and in the browser by code generated from the same rows."""

from __future__ import annotations

import json
from decimal import Decimal

from core.catalog.variants import REGISTRY, Variant

MILL = Decimal("0.001")  # a tenth of a cent, the finest amount that any price has


def estimate(variant: Variant, pictures: int) -> Decimal:
    """USD for that many pictures: pictures × price for every variant, as the vendor's pages state it (D)."""
    return variant.price * pictures


def pictures_for_a_dollar(variant: Variant) -> int:
    """How many whole pictures one dollar makes."""
    return int(1 / variant.price)


def dollars(amount: Decimal) -> str:
    """An amount as a person reads it: at least two decimals, a third only where it says something."""
    text = f"{amount.quantize(MILL):,f}"
    return "$" + (text[:-1] if text.endswith("0") else text)


def sum_in_words(variant: Variant, pictures: int) -> str:
    """The estimate with its working, such as "2 × $0.03 = $0.06"."""
    total = dollars(estimate(variant, pictures))
    return total if pictures == 1 else f"{pictures} × {dollars(variant.price)} = {total}"


def javascript() -> str:
    """The source of `sumInWords(variantId, pictures)` and `pricePerPicture(variantId)`.

    In whole mills, since floats can't hold 0.025 × 3.
    """
    mills = {row.id: int(row.price / MILL) for row in REGISTRY.values()}
    return (
        f"const pricePerPicture = (variantId) => ({json.dumps(mills)})[variantId] / 1000;\n"
        "function sumInWords(variantId, pictures) {\n"
        f"  const mills = {json.dumps(mills)}[variantId];\n"
        "  const dollars = (amount) => {\n"
        "    const text = Math.floor(amount / 1000) + '.' + String(amount % 1000).padStart(3, '0');\n"
        "    return '$' + (text.endsWith('0') ? text.slice(0, -1) : text);\n"
        "  };\n"
        "  const total = dollars(mills * pictures);\n"
        "  return pictures === 1 ? total : `${pictures} × ${dollars(mills)} = ${total}`;\n"
        "}\n"
    )
