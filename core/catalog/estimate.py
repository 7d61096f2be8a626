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
    """The source of `sumInWords(variantId, pictures)`, `pricePerPicture(variantId)` and, over terms of [variantId,
    pictures], of `termsInWords(terms)` and `millsOf(terms)`.

    In whole mills, since floats can't hold 0.025 × 3.
    """
    mills = {row.id: int(row.price / MILL) for row in REGISTRY.values()}
    names = {row.id: row.name for row in REGISTRY.values()}
    return f"const variantMills = {json.dumps(mills)}, variantNames = {json.dumps(names)};\n{_JAVASCRIPT}"


_JAVASCRIPT = """
const pricePerPicture = (variantId) => variantMills[variantId] / 1000;
const inDollars = (mills) => {
  const text = Math.floor(mills / 1000) + '.' + String(mills % 1000).padStart(3, '0');
  return '$' + (text.endsWith('0') ? text.slice(0, -1) : text);
};
const millsOf = (terms) => terms.reduce((sum, [variantId, pictures]) => sum + variantMills[variantId] * pictures, 0);
const times = (pictures) => (pictures === 1 ? '' : `${pictures} × `);
function sumInWords(variantId, pictures) {
  const total = inDollars(variantMills[variantId] * pictures);
  return pictures === 1 ? total : `${times(pictures)}${inDollars(variantMills[variantId])} = ${total}`;
}
function termsInWords(terms) {
  const parts = terms.map(([id, pictures]) => `${times(pictures)}${variantNames[id]} ${inDollars(variantMills[id])}`);
  return `${parts.join(' + ')} = ${inDollars(millsOf(terms))}`;
}
"""
