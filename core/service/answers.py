"""What the service says, read: each function takes the data of one kind of answer, and may stumble over any other."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from core.service.prediction import Prediction, parse
from core.service.redact import Redactor

LONGEST_URL = 4096
LONGEST_SECRET = 512
ABSURD_AMOUNT = Decimal(1_000_000)


@dataclass(frozen=True)
class Ticket:
    """Where an uploaded file will be fetched, and how it gets there; no address: it is there already."""

    download_url: str
    method: str = "PUT"
    address: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bill:
    """One billing record in USD; no amount while its order is not done."""

    prediction_id: str
    amount: Decimal | None


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


def secret(data: Any) -> str:
    told = data["secret"]
    if not isinstance(told, str) or not 8 <= len(told) <= LONGEST_SECRET:
        raise ValueError("no secret")
    return told


def price(data: Any) -> Decimal:
    if data.get("currency") not in (None, "", "USD"):
        raise ValueError("not USD")
    # A discounted price of 0 is taken for "no discount": a quote that is too low would slip past a budget.
    return _money(data.get("discounted_price") or data["price"])


def unit_price(data: Any) -> Decimal:
    return _money(data["unit_price"])


def bills(data: Any) -> list[Bill | None]:
    """One page of billing records, a None for each that can't be read."""
    return [_bill(item) for item in data["items"] or ()]


def _bill(item: Any) -> Bill | None:
    try:
        return Bill(str(item["prediction"]["uuid"]), _done(item))
    except (LookupError, TypeError):
        return None


def _done(item: Any) -> Decimal | None:
    """How a refund reads is not said anywhere: what is no plain deduction, or not done yet, tells no amount."""
    try:
        done = item["order"]["state"] == "done" and item.get("billing_type") in (None, "", "deduct")
        return _money(item["price"]) if done else None
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
        return None


def billed(wanted: Iterable[str], found: Iterable[Bill | None]) -> dict[str, Decimal]:
    """USD of each prediction whose records are all done."""
    amounts: dict[str, list[Decimal | None]] = {name: [] for name in wanted}
    for bill in found:
        if bill is not None and bill.prediction_id in amounts:
            amounts[bill.prediction_id].append(bill.amount)
    sure = {name: [a for a in listed if a is not None] for name, listed in amounts.items() if None not in listed}
    return {name: sum(listed, Decimal(0)) for name, listed in sure.items() if listed}


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
