"""What inputs cost, in Decimal: computed here, and in the browser by code generated from the same rows."""

from __future__ import annotations

import json
from decimal import ROUND_CEILING, Decimal

from core.catalog.variants import REGISTRY, Variant

MILL = Decimal("0.001")  # a tenth of a cent, the finest amount that any price has
SHOWN = Decimal("0.0001")  # what a discount makes of such a price
MICRO = Decimal("0.000001")


def estimate(variant: Variant, pictures: int) -> Decimal:
    """USD for that many pictures: pictures × price for every variant, as the vendor's pages state it (D)."""
    return variant.price * pictures


def pictures_for_a_dollar(variant: Variant) -> int:
    """How many whole pictures one dollar makes."""
    return int(1 / variant.price)


def dollars(amount: Decimal) -> str:
    """An amount as a person reads it: at least two decimals, a third and a fourth only where they say something."""
    whole, _, decimals = f"{amount.quantize(SHOWN):,f}".partition(".")
    return f"${whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def in_micros(unit: Decimal) -> int:
    """A price in millionths of a dollar, as the browser counts; rounded up, so that none is too low."""
    return int((unit / MICRO).to_integral_value(ROUND_CEILING))


def javascript() -> str:
    """The source of what the page says of prices, in millionths of a dollar, since floats can't hold 0.025 × 3.

    `prices`: what a picture of each variant costs the account that pays, where the service has told it. `terms`: what a
    press makes, as [variant, pictures] each.
    """
    listed = {row.id: in_micros(row.price) for row in REGISTRY.values()}
    names = {row.id: row.name for row in REGISTRY.values()}
    return f"const listPrices = {json.dumps(listed)}, variantNames = {json.dumps(names)};\n{_JAVASCRIPT}"


_JAVASCRIPT = """
const unitPrice = (id, prices = {}) => prices[id] ?? listPrices[id];
const times = (pictures) => (pictures === 1 ? '' : `${pictures} × `);
function inDollars(micros) {
  const [whole, decimals] = (Math.round(micros / 100) / 10000).toFixed(4).split('.');
  return '$' + whole + '.' + decimals.slice(0, 2) + decimals.slice(2).replace(/0+$/, '');
}
// What a press costs, what the list says, and the difference in words: "list $0.08", "list price" or "".
function priceOf(terms, prices) {
  const sum = (known) => terms.reduce((total, [id, pictures]) => total + pictures * unitPrice(id, known), 0);
  const total = sum(prices), listed = sum(), quoted = terms.every(([id]) => id in prices);
  return { total, listed, beside: !quoted ? 'list price' : total === listed ? '' : `list ${inDollars(listed)}` };
}
function sumInWords(id, pictures, prices) {
  const total = inDollars(unitPrice(id, prices) * pictures);
  return pictures === 1 ? total : `${times(pictures)}${inDollars(unitPrice(id, prices))} = ${total}`;
}
function termsInWords(terms, prices = {}) {
  const part = ([id, pictures]) => `${times(pictures)}${variantNames[id]} ${inDollars(unitPrice(id, prices))}`;
  return `${terms.map(part).join(' + ')} = ${inDollars(priceOf(terms, prices).total)}`;
}
"""
