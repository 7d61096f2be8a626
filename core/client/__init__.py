"""The thin client: every call to the service that this project makes, through one `_request`.

It knows nothing of runs. What is free is asked again on a transient fault; the submit, which costs money, is
sent once. Whatever httpx or Pillow raise becomes one of our errors here, and nowhere else.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import random as randomness
import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import tenacity
from PIL import Image

from core.errors import (
    Charged,
    KeyRejected,
    NoCredit,
    RateLimited,
    ServiceBroken,
    ServiceError,
    SubmitUnknown,
    Unreachable,
)
from core.pace import Pace
from core.prediction import MEDIA_NOT_FETCHED_CODE, NO_CREDIT_CODE, Prediction, parse
from core.references import Reference

T = TypeVar("T")
log = logging.getLogger(__name__)

PREFIX = "/api/v3/"
CLIENT_NAME = "kontext-studio"
CLIENT_VERSION = "1.0"

ORDINARY = httpx.Timeout(30, connect=10)
SYNC_SUBMIT = httpx.Timeout(30, connect=10, read=150)  # the service itself gives up after 90-120 s (D)
UPLOAD = httpx.Timeout(60, connect=10, write=180)  # httpx counts the whole body as one write

# Polls are short, so this serves hundreds of runs; uploads and downloads queue for a free connection.
# Fewer kept alive than allowed would make httpcore close idle ones while others are busy. Kept shorter than
# the 5 s after which common servers hang up: a submit must not meet a connection that is just being closed.
LIMITS = httpx.Limits(max_connections=128, max_keepalive_connections=128, keepalive_expiry=4)

UPLOAD_LIMIT_MB = 20  # the strictest page (D)
DOWNLOAD_LIMIT_MB = 64
LONGEST_PAUSE = 60.0
LONGEST_SAID = 300
ABSURD_AMOUNT = Decimal(1_000_000)
PROCESSING_CODE = 5004  # sync mode gave up waiting: still a prediction, with its id (D)
LARGEST_PICTURE = 50_000_000  # px; the models make about one million
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

TRANSIENT = (Unreachable, ServiceBroken, RateLimited)


@dataclass(frozen=True)
class Picture:
    """A whole picture: the bytes as they came, and what they are, such as "jpeg"; sizes in px."""

    data: bytes = field(repr=False)
    format: str
    width: int
    height: int


@dataclass(frozen=True)
class _Refusal:
    """What a status or task code means. `definite`: a submit answered so has surely created nothing."""

    kind: type[ServiceError]
    happened: str
    advice: str
    definite: bool = True


_BAD_INPUT = _Refusal(ServiceError, "The service did not accept the request.", "Change it, then try again.")
_NO_CREDIT = _Refusal(NoCredit, "The account has no credit left.", "Top up at wavespeed.ai, then press Generate again.")
_BROKEN = _Refusal(
    ServiceBroken, "The service has a fault and gave no usable answer.", "Try again in a few minutes.", definite=False
)
_OTHER = _Refusal(ServiceError, "The service refused the request.", "Try again later.", definite=False)
_LOST = _Refusal(
    SubmitUnknown,
    "The request went out, but no readable answer came back: the picture may be in the making.",
    "Look into the account's history before you press Generate again, or it may be charged twice.",
)

# HTTP statuses, and the task codes that come in their place (the tables "Errors" and "Task codes").
REFUSALS: Mapping[int, _Refusal] = MappingProxyType(
    {
        400: _BAD_INPUT,
        401: _Refusal(
            KeyRejected,
            "The service does not accept this key.",
            "Check that it is complete, and that the account was topped up once: a new key works only after that.",
        ),
        402: _NO_CREDIT,
        403: _Refusal(
            KeyRejected,
            "This key may not do that.",
            "Use a key with the right role, or ask whoever owns the account.",
        ),
        404: _Refusal(ServiceError, "Not found: the service does not know what was asked for.", "Update this app."),
        405: _Refusal(ServiceError, "The service no longer takes this kind of request.", "Update this app."),
        408: _BROKEN,
        413: _Refusal(
            ServiceError,
            f"What was sent is too large: the service takes pictures of at most {UPLOAD_LIMIT_MB} MB.",
            "Use a smaller picture.",
        ),
        422: _BAD_INPUT,
        429: _Refusal(
            RateLimited,
            "The account has reached the number of requests that the service allows it at once, or in a minute.",
            "Wait a minute, then try again.",
        ),
        1400: _BAD_INPUT,
        1401: _BAD_INPUT,
        MEDIA_NOT_FETCHED_CODE: _Refusal(
            ServiceError, "The service could not fetch a reference.", "Add the reference again, then press Generate."
        ),
        NO_CREDIT_CODE: _NO_CREDIT,
    }
)
_TOO_LARGE = _Refusal(
    ServiceError,
    f"The picture is larger than {DOWNLOAD_LIMIT_MB} MB, more than this app takes.",
    "It stays at the service for 7 days: download it there.",
)
_NO_CREDIT_WORDS = ("insufficient credit", "insufficient balance", "top up")
_NO_PREDICTION = _Refusal(
    ServiceError,
    "Not found: the service has no record of this prediction.",
    "It keeps predictions for 7 days, and shows each only to the account that made it.",
)

# These fail before a byte of the request is sent; of every other failure that can't be said.
UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
_CONNECTION_ADVICE = "Check the internet connection, then try again."
# Read from the top; the last row takes whatever else a transport may raise.
FOREIGN: tuple[tuple[tuple[type[Exception], ...], _Refusal], ...] = (
    (
        (httpx.UnsupportedProtocol, httpx.InvalidURL),
        _Refusal(ServiceError, "This is no web address that can be asked.", "Check the address of the service."),
    ),
    (
        (httpx.PoolTimeout,),
        _Refusal(Unreachable, "Too many requests are under way here.", "Try again in a few minutes."),
    ),
    (
        (httpx.TimeoutException,),
        _Refusal(Unreachable, "The service did not answer in time.", _CONNECTION_ADVICE),
    ),
    (
        (httpx.NetworkError, httpx.ProxyError, OSError),
        _Refusal(Unreachable, "There is no connection to the service, or it broke.", _CONNECTION_ADVICE),
    ),
    ((Exception,), _BROKEN),
)


class _Busy(ServiceBroken):
    """A fault of the service that came with a Retry-After, in seconds."""

    retry_after: float | None = None


@dataclass(frozen=True)
class _Asked:
    """What an error tells of the request it came from, and what is known of the money when it fails."""

    method: str
    where: str
    _: KW_ONLY
    charged: Charged = "no"
    paid: bool = False
    refusals: Mapping[int, _Refusal] = field(default_factory=lambda: REFUSALS)

    @property
    def request(self) -> str:
        return f"{self.method} {self.where}"


@dataclass(frozen=True)
class _Call(_Asked, Generic[T]):
    """One API request: what is sent, and how its answer is read.

    `read` makes what was asked for out of the envelope's data, and may stumble in any way over anything else.
    `exact` reads numbers as Decimal, for money. `patient`: where there is a line, all others go first.
    """

    read: Callable[[Any], T]
    body: Mapping[str, Any] | None = None
    _: KW_ONLY
    files: Mapping[str, tuple[str, bytes, str]] | None = None
    timeout: httpx.Timeout = field(default_factory=lambda: ORDINARY)
    exact: bool = False
    patient: bool = False

    @property
    def request(self) -> str:
        return f"{self.method} {PREFIX}{self.where}"


@dataclass(frozen=True)
class _Ticket:
    """Where an uploaded file will be fetched, and how it gets there; no address: it is there already."""

    download_url: str
    method: str = "PUT"
    address: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Client:
    """The service's API for one key.

    `attempts` is how often a free call is made at most; `clock` tells the UTC time; `pace`, if any, is shared by all
    clients of a process. What can go wrong is always a ServiceError or one of its kinds.

    Raises:
        KeyRejected: the key holds what no key can hold.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: randomness.Random | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        attempts: int = 6,
        pace: Pace | None = None,
    ) -> None:
        self._key = _checked_key(api_key)
        self._base_url = base_url.rstrip("/")
        self._sleep = sleep
        self._random = random or randomness.Random()  # noqa: S311 - spreads retries, guards nothing
        self._clock = clock
        self._attempts = attempts
        self._pace = pace
        # No header of the API is a default here: this client also speaks to storage hosts, which get no key.
        self._http = httpx.AsyncClient(
            transport=transport,
            limits=LIMITS,
            timeout=ORDINARY,
            follow_redirects=False,
            headers={"User-Agent": f"{CLIENT_NAME}/{CLIENT_VERSION}"},
        )

    def __repr__(self) -> str:
        return f"Client({self._base_url!r})"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def upload(self, reference: Reference) -> str:
        """Put a reference where the service can fetch it; its URL, good for 7 days (D).

        Uploads are free, and a ticket that was never used is just forgotten, so a fault anywhere in
        between is cured by starting over with a new ticket.
        """
        data = await asyncio.to_thread(reference.read)
        return await self._repeat(self._upload, _file_name(reference), data, reference.media_type)

    async def submit(self, model_id: str, payload: Mapping[str, Any]) -> Prediction:
        """Create a prediction. This is what costs money: it is sent once, and never again by itself.

        httpcore takes another connection only while the request is not yet on the wire (a connection that was
        lent to someone else in the meantime); once a byte is written, every failure comes back to us.
        Cancelled while waiting, it is as unknown as SubmitUnknown.

        Raises:
            SubmitUnknown: sent, and not answered readably; the prediction may exist and be billed.
            ServiceError: surely not created, `charged` is "no".
        """
        timeout = SYNC_SUBMIT if payload.get("enable_sync_mode") else ORDINARY
        return await self._request(_Call("POST", model_id, parse, payload, timeout=timeout, paid=True))

    async def result(self, prediction_id: str) -> Prediction:
        """The prediction as it stands now; its end says how the task ended, and is no error here."""
        path = f"predictions/{quote(prediction_id, safe='')}/result"
        refusals = {**REFUSALS, 404: _NO_PREDICTION}
        # What fails here is the question, not the task: that one was submitted, and may well be billed.
        call = _Call("GET", path, parse, charged="unknown", refusals=refusals, patient=True)
        return await self._repeat(self._request, call)

    async def history(
        self,
        *,
        model_id: str | None = None,
        since: datetime | None = None,
        page: int = 1,
        page_size: int = 100,
        inputs: bool = False,
    ) -> list[Prediction]:
        """The account's predictions of the last 7 days, newest first; what can't be read is left out."""
        body: dict[str, Any] = {"page": page, "page_size": page_size}
        body |= {"model": model_id} if model_id else {}
        body |= {"created_after": _iso_utc(since)} if since else {}
        body |= {"include_inputs": True} if inputs else {}
        return await self._repeat(self._request, _Call("POST", "predictions", _read_history, body))

    async def quote(self, model_id: str, payload: Mapping[str, Any]) -> Decimal:
        """What one submit of this payload costs this account, in USD, its discounts included. Free."""
        body = {"model_id": model_id, "inputs": dict(payload)}
        newer = _Call("POST", "model/price", _read_price, body, exact=True)
        older = _Call("POST", "model/pricing", _read_unit_price, body, exact=True)
        return await self._repeat(self._first_known, newer, older)

    async def balance(self) -> Decimal:
        """The account's credit in USD."""
        return await self._repeat(self._request, _Call("GET", "balance", _read_balance, exact=True))

    async def billed(self, prediction_ids: Sequence[str]) -> dict[str, Decimal]:
        """What was billed in USD for each prediction; one that the service says nothing of is not in it."""
        if not prediction_ids:
            return {}
        read = partial(_read_billed, frozenset(prediction_ids))
        body = {"prediction_uuids": list(prediction_ids)}
        return await self._repeat(self._request, _Call("POST", "billings/search", read, body, exact=True, patient=True))

    async def download(self, url: str) -> Picture:
        """Fetch an output, whole: a cut one is fetched anew, and it counts once it opens as a picture.

        There is an output only of a completed prediction, so what fails here has been charged.
        """
        return await self._repeat(self._download, url)

    # ---- one request

    async def _request(self, call: _Call[T]) -> T:
        """Send one API request, once: what was asked for, or one of our errors."""
        content = None if call.body is None else json.dumps(dict(call.body), allow_nan=False).encode()
        await self._turn(patient=call.patient)
        outcome = await _outcome(
            self._http.request(
                call.method,
                f"{self._base_url}{PREFIX}{call.where}",
                headers=self._headers(content),
                content=content,
                files=call.files,
                timeout=call.timeout,
            )
        )
        if isinstance(outcome, Exception):
            raise _unanswered(outcome, call)
        return self._read(call, outcome)

    async def _turn(self, *, patient: bool = False) -> None:
        if self._pace is not None:
            await self._pace.turn(patient=patient)

    def _headers(self, content: bytes | None) -> dict[str, str]:
        kind = {} if content is None else {"Content-Type": "application/json"}
        identity = {"X-Client-Name": CLIENT_NAME, "X-Client-Version": CLIENT_VERSION}
        return {"Authorization": f"Bearer {self._key}", **identity, **kind}

    def _read(self, call: _Call[T], response: httpx.Response) -> T:
        body = _json(response.content, Decimal if call.exact else float)
        code = body.get("code") if isinstance(body.get("code"), int) else None
        said = ""
        if not response.is_success or code not in (None, 200, PROCESSING_CODE):
            said = _words(body.get("message"), self._key)
        else:
            try:
                # Without an envelope the body itself may be it: an id that was paid for is not to be lost.
                return call.read(body.get("data", body))
            except Exception as stumble:
                log.debug("%s: unreadable answer, %s", call.request, type(stumble).__name__)
        raise self._refused(call, response, code, said)

    def _refused(self, asked: _Asked, response: httpx.Response, code: int | None, said: str) -> ServiceError:
        row = _row(asked.refusals, response.status_code, code, said)
        pause = retry_after(response.headers.get("Retry-After"), self._clock())
        return _error(row, asked, status=response.status_code, code=code, said=said, pause=pause)

    # ---- repeating what is free

    async def _repeat(self, attempt: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        retrying = tenacity.AsyncRetrying(
            sleep=self._sleep,
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=self._pause,
            retry=tenacity.retry_if_exception_type(TRANSIENT),
            before_sleep=_log_repeat,
            reraise=True,
        )
        answer: T = await retrying(attempt, *arguments)
        return answer

    def _pause(self, state: tenacity.RetryCallState) -> float:
        backoff = tenacity.wait_exponential(multiplier=0.5, max=8)(state) * self._random.uniform(0.5, 1)
        fault = state.outcome.exception() if state.outcome else None
        asked = fault.retry_after if isinstance(fault, RateLimited | _Busy) else None
        return max(backoff, asked or 0.0)

    async def _first_known(self, newer: _Call[T], older: _Call[T]) -> T:
        """The newer of two calls, or the older one where the service does not have the newer."""
        try:
            return await self._request(newer)
        except ServiceError as refused:
            if refused.status not in (404, 405):
                raise
        return await self._request(older)

    # ---- storage hosts: no key, none of our headers

    async def _upload(self, name: str, data: bytes, media_type: str) -> str:
        body = {"filename": name, "size": len(data), "content_type": media_type}
        ticketed = _Call("POST", "media/uploads", _read_ticket, body)
        multipart = _Call(
            "POST", "media/upload/binary", _read_stored, files={"file": (name, data, media_type)}, timeout=UPLOAD
        )
        ticket = await self._first_known(ticketed, multipart)
        if ticket.address:
            await self._put(ticket, data)
        return ticket.download_url

    async def _put(self, ticket: _Ticket, data: bytes) -> None:
        outcome = await _outcome(self._send_bare(ticket, data))
        asked = _storage(ticket.method, ticket.address, "no")
        if isinstance(outcome, Exception):
            raise _unanswered(outcome, asked)
        # 412: something stands at this address already. The ticket made it for this file alone, its name holds
        # the file's hash, and storage keeps a file whole or not at all: it is ours, from a try whose answer got lost.
        if not outcome.is_success and outcome.status_code != 412:
            raise self._storage_refused(outcome, asked)

    async def _send_bare(self, ticket: _Ticket, data: bytes) -> httpx.Response:
        # Made by hand, since the client would add headers of its own and the ticket's are to be sent as they are.
        extensions = {"timeout": UPLOAD.as_dict()}
        await self._turn()
        request = httpx.Request(
            ticket.method, ticket.address, headers=ticket.headers, content=data, extensions=extensions
        )
        return await self._http.send(request)

    async def _download(self, url: str) -> Picture:
        asked = _storage("GET", url, "yes")
        outcome = await _outcome(self._fetch(url, asked))
        if isinstance(outcome, Exception):
            raise outcome if isinstance(outcome, ServiceError) else _unanswered(outcome, asked)
        return await asyncio.to_thread(open_picture, outcome)

    async def _fetch(self, url: str, asked: _Asked) -> bytes:
        # Pictures don't shrink by compression, and without it the length that was announced can be checked.
        headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
        await self._turn()
        async with self._http.stream("GET", url, headers=headers, follow_redirects=True) as response:
            if not response.is_success:
                raise self._storage_refused(response, asked)
            data = bytearray()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > DOWNLOAD_LIMIT_MB * 2**20:
                    raise _error(_TOO_LARGE, asked, status=response.status_code)
            if _cut(response, data):
                raise _error(_BROKEN, asked, status=response.status_code)
            return bytes(data)

    def _storage_refused(self, response: httpx.Response, asked: _Asked) -> ServiceError:
        # 401 and 403 say nothing of our key here, and a 404 may be a file that is not everywhere yet: whatever
        # storage refuses is worth another try, with a new ticket where there is one.
        row = asked.refusals.get(response.status_code, _BROKEN)
        pause = retry_after(response.headers.get("Retry-After"), self._clock())
        return _error(row, asked, status=response.status_code, pause=pause)


# ---- failures into our errors


async def _outcome(sending: Awaitable[T]) -> T | Exception:
    # Handed back, not raised on: a foreign exception holds the request with its headers, and ours would
    # drag it along as their context.
    try:
        return await sending
    except Exception as error:
        return error


def _unanswered(failure: Exception, asked: _Asked) -> ServiceError:
    row = next(row for kinds, row in FOREIGN if isinstance(failure, kinds))
    log.debug("%s: %s", asked.request, type(failure).__name__)  # never its text, which may quote a header or a URL
    sent = not isinstance(failure, UNSENT)
    return _error(_LOST if asked.paid and sent else row, asked)


def _error(
    row: _Refusal,
    asked: _Asked,
    *,
    status: int | None = None,
    code: int | None = None,
    said: str = "",
    pause: float | None = None,
) -> ServiceError:
    row = _LOST if asked.paid and not row.definite else row
    kind = _Busy if pause is not None and row is _BROKEN else row.kind
    happened = f"{row.happened} It says: “{said}”" if said and kind is ServiceError else row.happened
    charged: Charged = "unknown" if row is _LOST else asked.charged
    error = kind(happened, row.advice, status=status, code=code, request=asked.request, said=said, charged=charged)
    if isinstance(error, RateLimited | _Busy):
        error.retry_after = pause
    return error


def _row(refusals: Mapping[int, _Refusal], status: int, code: int | None, said: str) -> _Refusal:
    # A 401 may ask for a top-up as well: the first one, which activates the key.
    if code == NO_CREDIT_CODE or (status != 401 and any(words in said.lower() for words in _NO_CREDIT_WORDS)):
        return _NO_CREDIT
    # The code tells more than the status where it is a task code, and all where the status is 200.
    tells = status < 300 or (status < 500 and code in refusals and code is not None and code >= 1000)
    number = code if tells and code is not None else status
    return refusals.get(number) or (_OTHER if 300 <= number < 500 or 1000 <= number < 5000 else _BROKEN)


def _storage(method: str, url: str, charged: Charged) -> _Asked:
    # The host alone: what follows it is often a signature that opens the file.
    refusals = {413: REFUSALS[413], 429: REFUSALS[429]}
    try:
        return _Asked(method, urlsplit(url).hostname or "", charged=charged, refusals=refusals)
    except ValueError:
        return _Asked(method, "", charged=charged)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a Retry-After header: a number or an HTTP date; None for anything else.

    A date gone by means now; more than LONGEST_PAUSE is cut to it.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now)
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(seconds, LONGEST_PAUSE)


def _seconds_until(value: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return math.nan
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _log_repeat(state: tenacity.RetryCallState) -> None:
    fault = state.outcome.exception() if state.outcome else None
    if isinstance(fault, ServiceError):
        log.info("%s: %s, attempt %d", fault.request, type(fault).__name__, state.attempt_number)


# ---- reading answers


def _json(content: bytes, number: Callable[[str], Any]) -> Mapping[str, Any]:
    """The body as an object; an empty one for HTML, a cut body or anything else."""
    try:
        body = json.loads(content, parse_float=number)
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _words(message: Any, key: str) -> str:
    """The service's own words, fit to be shown: one line, not long, nothing in it that looks like a key."""
    if not isinstance(message, str):
        return ""
    printable = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in message[:100_000])
    printable = "".join(c for c in printable if unicodedata.category(c)[0] != "C").replace(key, "[key]")
    masked = re.sub(r"(?i)\bbearer\s+\S+|wsk_[^\s\"'<>,;]+", "[key]", printable)
    line = " ".join(masked.split())
    return line if len(line) <= LONGEST_SAID else line[: LONGEST_SAID - 1] + "…"


def _read_history(data: Any) -> list[Prediction]:
    return [found for item in data["items"] or () if (found := _parsed(item))]


def _parsed(item: Any) -> Prediction | None:
    try:
        return parse(item)
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


def _read_balance(data: Any) -> Decimal:
    return _money(data["balance"])


def _read_price(data: Any) -> Decimal:
    if data.get("currency") not in (None, "", "USD"):
        raise ValueError("not USD")
    # A discounted price of 0 is taken for "no discount": a quote that is too low would slip past a budget.
    return _money(data.get("discounted_price") or data["price"])


def _read_unit_price(data: Any) -> Decimal:
    return _money(data["unit_price"])


def _read_billed(wanted: frozenset[str], data: Any) -> dict[str, Decimal]:
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


def _read_ticket(data: Any) -> _Ticket:
    upload = data["upload"]
    return _Ticket(
        _url(data["download_url"]), upload.get("method") or "PUT", _url(upload["url"]), dict(upload["headers"])
    )


def _read_stored(data: Any) -> _Ticket:
    return _Ticket(_url(data["download_url"]))


def _url(value: Any) -> str:
    if not isinstance(value, str) or urlsplit(value).scheme not in ("http", "https"):
        raise ValueError("no URL")
    return value


def _cut(response: httpx.Response, data: bytearray) -> bool:
    """Whether fewer bytes came than were announced; h11 tells by itself, other transports need not."""
    announced = response.headers.get("Content-Length", "")
    return "Content-Encoding" not in response.headers and announced.isdecimal() and int(announced) != len(data)


def open_picture(data: bytes) -> Picture:
    """Decode a picture to its last pixel; what it is, is told by the bytes alone. Blocking.

    Raises:
        ServiceBroken: it is no whole picture. Charged: only a completed prediction has outputs.
    """
    try:
        # Formats are named, since some that Pillow knows would start programs or fetch things.
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as image:
            width, height = image.size
            if width * height > LARGEST_PICTURE:
                raise ValueError("more pixels than any output has")
            image.load()
            return Picture(data, _format(image), width, height)
    except Exception:  # decoders raise nearly anything over bytes that are no picture
        broken = ServiceBroken(
            "The picture that came from the service is damaged or cut off.", "Try again.", charged="yes"
        )
    raise broken


def _format(image: Image.Image) -> str:
    # MPO is a JPEG with a second picture behind the first.
    return "jpeg" if image.format == "MPO" else (image.format or "").lower()


# ---- small things on the way out


def _checked_key(api_key: str) -> str:
    # Refused here, since h11 would quote the whole header, key and all, in its complaint.
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise KeyRejected("This is no API key: it is empty, or has blanks or odd characters in it.", "Paste it again.")
    return key


def _file_name(reference: Reference) -> str:
    # The hash, not the name a person gave the file: that one is nobody's business.
    return reference.sha256[:16] + reference.path.suffix.lower()


def _iso_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
