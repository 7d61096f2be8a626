"""What the service says, read: each function takes the data of one kind of answer, and may stumble over any other."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from core.service.prediction import Prediction, parse
from core.service.redact import Redactor

LONGEST_URL = 4096
ABSURD_AMOUNT = Decimal(1_000_000)


@dataclass(frozen=True)
class Ticket:
    """Where an uploaded file will be fetched, and how it gets there; no address: it is there already."""

    download_url: str
    method: str = "PUT"
    address: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def envelope(content: bytes, number: Callable[[str], Any]) -> Mapping[str, Any]:
    """The body as an object; an empty one for HTML, a cut body or anything else."""
    try:
        body = json.loads(content, parse_float=number)
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def inline(output: str) -> bytes:
    """A picture that came inside the answer, as base64 with or without a prefix; nothing where it is none."""
    try:
        return base64.b64decode(output.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return b""


def said(body: Mapping[str, Any]) -> Any:
    """What a refusal says: its message, or the only thing in it (D)."""
    return body.get("message") or body.get("error")


def history(redactor: Redactor, data: Any) -> list[Prediction]:
    return [found for item in data["items"] or () if (found := _parsed(redactor, item))]


def _parsed(redactor: Redactor, item: Any) -> Prediction | None:
    try:
        return parse(item, redactor)
    except ValueError:
        return None


def _amount(value: Any) -> Decimal:
    """An amount of USD. Raises ValueError for what is no number, not finite, or absurd."""
    amount = value if isinstance(value, Decimal) else Decimal(str(value))
    if isinstance(value, bool) or not amount.is_finite() or abs(amount) > ABSURD_AMOUNT:
        raise ValueError("no amount")
    return amount


def _money(value: Any) -> Decimal:
    amount = _amount(value)
    if amount < 0:
        raise ValueError("less than nothing")
    return amount


def balance(data: Any) -> Decimal:
    return _money(data["balance"])


def price(data: Any) -> Decimal:
    if data.get("currency") not in (None, "", "USD"):
        raise ValueError("not USD")
    # A discounted price of 0 is taken for "no discount": a quote that is too low would slip past a budget.
    return _money(data.get("discounted_price") or data["price"])


def unit_price(data: Any) -> Decimal:
    return _money(data["unit_price"])


def billed(wanted: frozenset[str], data: Any) -> dict[str, Decimal]:
    """The sum of each wanted prediction's items, a refund being a negative one; nothing if it reads otherwise.

    A: nobody outside has seen this answer. The names of its fields are assumed here and nowhere else.
    """
    sums: dict[str, Decimal] = {}
    try:
        for item in data["items"]:
            name = item["prediction_uuid"]
            if name in wanted:
                sums[name] = sums.get(name, Decimal(0)) + _amount(item["amount"])
        return {name: _money(amount) for name, amount in sums.items()}
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return {}


def ticket(data: Any) -> Ticket:
    upload = data["upload"]
    method = upload.get("method") or "PUT"
    if method not in ("PUT", "POST"):
        raise ValueError("no way to hand a file over")
    return Ticket(_url(data["download_url"]), method, _url(upload["url"]), dict(upload["headers"]))


def stored(data: Any) -> Ticket:
    return Ticket(_url(data["download_url"]))


def _url(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_URL or urlsplit(value).scheme not in ("http", "https"):
        raise ValueError("no URL")
    return value
