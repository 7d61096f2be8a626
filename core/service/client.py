"""The thin client: every call to the service that this project makes, through one `_request`.

It knows nothing of runs. What is free is asked again on a transient fault; the submit, which costs money, is
sent once. Whatever httpx or Pillow raise becomes one of our errors in this package, and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random as randomness
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import tenacity

from core.errors import KeyRejected, KontextError, RateLimited, ServiceBroken, ServiceError, Unreachable
from core.pictures.output import Picture, open_in_thread
from core.pictures.reference import Reference
from core.service import answers, catalogue, faults, hosts
from core.service.catalogue import Listed
from core.service.prediction import Prediction, parse
from core.service.rate_limit import RateLimiter
from core.service.redact import Redactor

T = TypeVar("T")
log = logging.getLogger(__name__)

PREFIX = "/api/v3/"
CLIENT_OS = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
CLIENT_NAME = "kontext-studio"
CLIENT_VERSION = "0.1.0"  # of this app, as its changelog has it

ORDINARY = httpx.Timeout(30, connect=10)
SYNC_SUBMIT = httpx.Timeout(30, connect=10, read=150)  # the service itself gives up after 90-120 s (D)
UPLOAD = httpx.Timeout(60, connect=10, write=180)  # httpx counts the whole body as one write
LONGEST = 300.0  # seconds for one request and its whole answer: each of the above begins anew with every byte
MOST_REDIRECTS = 5
LARGEST_ANSWER = 64 * 2**20  # bytes of the API's answers, which may hold pictures
LARGEST_RECEIPT = 64 * 2**10  # bytes that storage answers to an upload

# Polls are short, so this serves hundreds of runs; uploads and downloads queue for a free connection.
# Fewer kept alive than allowed would make httpcore close idle ones while others are busy. Kept shorter than
# the 5 s after which common servers hang up: a submit must not meet a connection that is just being closed. No more
# than these: at each request httpcore asks every idle one about all others.
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=4)

PAGE_SIZE = 100  # the most that a page of history or bills may have (D)
BILLS_ASKED, MOST_BILL_PAGES = 50, 4  # predictions in one question, each of which may have more than one record

PROCESSING_CODE = 5004  # sync mode gave up waiting: still a prediction, with its id (D)

TRANSIENT = (Unreachable, ServiceBroken, RateLimited)


_BEFORE_BYTES = ("http11.send_request_headers.started", "http11.send_request_body.started")  # as httpcore names them


@dataclass(frozen=True)
class _Call(faults.Asked, Generic[T]):
    """One API request: what is sent, and how its answer is read.

    `read` makes what was asked for out of the envelope's data, and may stumble in any way over anything else.
    `query` stays out of errors and logs. `exact` reads numbers as Decimal, for money.
    `low_priority`: where there is a line, all others go first. `permit` is asked before the first byte goes out, where
    httpcore is the transport at the very last moment, and raises where none may.
    """

    read: Callable[[Any], T]
    body: Mapping[str, Any] | None = None
    _: KW_ONLY
    query: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[str, bytes, str]] | None = None
    timeout: httpx.Timeout = field(default_factory=lambda: ORDINARY)
    exact: bool = False
    low_priority: bool = False
    permit: Callable[[], None] | None = None

    @property
    def extensions(self) -> dict[str, Any]:
        """What httpx takes along for its transport: httpcore tells of each step, and what is raised there ends it."""

        async def on_step(name: str, _: Mapping[str, Any]) -> None:
            # Headers and body are written apart, and without the second nothing is asked for yet.
            if self.permit is not None and name in _BEFORE_BYTES:
                self.permit()

        return {} if self.permit is None else {"trace": on_step}

    @property
    def request(self) -> str:
        return f"{self.method} {PREFIX}{self.where}"


class Client:
    """The service's API for one key.

    `attempts` is how often a free call is made at most; `clock` tells the UTC time; `rate_limiter`, if any, is shared
    by all clients of a process. `opener` opens what is downloaded; an app that strangers use hands in `Decoder.open`,
    which can be ended. `longest`: seconds for one request and its whole answer; `resolve` finds the addresses of
    storage hosts. What can go wrong is always a ServiceError or one of its kinds.

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
        rate_limiter: RateLimiter | None = None,
        opener: Callable[[bytes], Awaitable[Picture]] = open_in_thread,
        longest: float = LONGEST,
        resolve: hosts.Resolve = hosts.resolve,
    ) -> None:
        self._key = _checked_key(api_key)
        self._base_url = base_url.rstrip("/")
        self._sleep = sleep
        self._random = random or randomness.Random()  # noqa: S311 - spreads retries, guards nothing
        self._clock = clock
        self._attempts = attempts
        self._rate_limiter = rate_limiter
        self._open = opener
        self._longest = longest
        self._used = -math.inf
        self._redactor = Redactor(self._key)
        self._parse = partial(parse, redactor=self._redactor)
        allowed = hosts.Hosts(self._base_url)
        # No header of the API is a default here: this client also speaks to storage hosts, which get no key.
        self._http = httpx.AsyncClient(
            transport=transport or hosts.transport(allowed, LIMITS, resolve),
            limits=LIMITS,
            timeout=ORDINARY,
            follow_redirects=False,
            max_redirects=MOST_REDIRECTS,
            event_hooks={"request": [allowed.check]},  # before each redirect as well
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

    async def submit(
        self,
        model_id: str,
        payload: Mapping[str, Any],
        webhook: str | None = None,
        permit: Callable[[], None] | None = None,
    ) -> Prediction:
        """Create a prediction. This is what costs money: it is sent once, and never again by itself. `permit` raises a
        KontextError where, at the last moment, it must not be sent after all.

        httpcore takes another connection only while the request is not yet on the wire (a connection that was
        lent to someone else in the meantime); once a byte is written, every failure comes back to us.
        Cancelled while waiting, it is as unknown as SubmitUnknown. `webhook`: the address that the service is to call
        once the task has ended.

        Raises:
            SubmitUnknown: sent, and not answered readably; the prediction may exist and be billed.
            ServiceError: surely not created, `charged` is "no".
        """
        timeout = SYNC_SUBMIT if payload.get("enable_sync_mode") else ORDINARY
        query = {} if webhook is None else {"webhook": webhook}
        call = _Call("POST", model_id, self._parse, payload, query=query, timeout=timeout, paid=True, permit=permit)
        return await self._request(call)

    async def result(self, prediction_id: str) -> Prediction:
        """The prediction as it stands now; its end says how the task ended, and is no error here."""
        path = f"predictions/{quote(prediction_id, safe='')}/result"
        refusals = {**faults.REFUSALS, 404: faults.NO_PREDICTION}
        # What fails here is the question, not the task: that one was submitted, and may well be billed.
        call = _Call("GET", path, self._parse, charged="unknown", refusals=refusals, low_priority=True)
        return await self._repeat(self._request, call)

    async def history(
        self,
        *,
        model_id: str | None = None,
        since: datetime | None = None,
        page: int = 1,
        inputs: bool = False,
    ) -> list[Prediction]:
        """The account's predictions of the last 7 days, newest first; what can't be read is left out."""
        body: dict[str, Any] = {"page": page, "page_size": PAGE_SIZE}
        body |= {"model": model_id} if model_id else {}
        body |= {"created_after": _iso_utc(since)} if since else {}
        body |= {"include_inputs": True} if inputs else {}
        read = partial(answers.history, self._redactor)
        return await self._repeat(self._request, _Call("POST", "predictions", read, body))

    async def pages(
        self, most: int, *, model_id: str | None = None, since: datetime | None = None
    ) -> AsyncIterator[list[Prediction]]:
        """The history with its inputs page by page, at most so many.

        A service may ignore what it is asked for and hand over other models' predictions and older ones.
        """
        for page in range(1, most + 1):
            items = await self.history(model_id=model_id, since=since, page=page, inputs=True)
            if not items:  # what can't be read is left out, so a short page need not be the last one
                return
            yield items

    async def quote(self, model_id: str, payload: Mapping[str, Any]) -> Decimal:
        """What one submit of this payload costs this account, in USD, its discounts included. Free."""
        body = {"model_id": model_id, "inputs": dict(payload)}
        newer = _Call("POST", "model/price", answers.price, body, exact=True)
        older = _Call("POST", "model/pricing", answers.unit_price, body, exact=True)
        return await self._repeat(self._first_known, newer, older)

    async def balance(self) -> Decimal:
        """The account's credit in USD."""
        return await self._repeat(self._request, _Call("GET", "balance", answers.balance, exact=True))

    async def catalogue(self) -> dict[str, Listed | None]:
        """What the service says of each of its models, by id; None for one that can't be read."""
        read = partial(catalogue.read, self._redactor)
        return await self._repeat(self._request, _Call("GET", "models", read, exact=True, low_priority=True))

    async def webhook_secret(self) -> str:
        """What calls to webhooks are signed with, for this key. Free."""
        return await self._repeat(self._request, _Call("GET", "webhook/secret", answers.secret, low_priority=True))

    @property
    def idle_for(self) -> float:
        """Seconds since the last answer of the API, by which its connection is still open or not."""
        return time.monotonic() - self._used

    async def touch(self) -> None:
        """Use an open connection to the API, so that it stays open, or open one. Asked once, and only that."""
        await self._request(_Call("GET", "balance", answers.balance, exact=True, low_priority=True))

    async def billed(self, prediction_ids: Sequence[str]) -> dict[str, Decimal]:
        """What was billed in USD for each prediction; one whose order is not done yet, or not there, is not in it."""
        found: list[answers.Bill | None] = []
        for first in range(0, len(prediction_ids), BILLS_ASKED):
            found += await self._bills(prediction_ids[first : first + BILLS_ASKED])
        return answers.billed(prediction_ids, found)

    async def _bills(self, prediction_ids: Sequence[str]) -> list[answers.Bill | None]:
        found: list[answers.Bill | None] = []
        for page in range(1, MOST_BILL_PAGES + 1):
            body = {"page": page, "page_size": PAGE_SIZE, "prediction_uuids": list(prediction_ids)}
            call = _Call("POST", "billings/search", answers.bills, body, exact=True, low_priority=True)
            bills = await self._repeat(self._request, call)
            found += bills
            if len(bills) < PAGE_SIZE:
                break
        return found

    async def download(self, output: str) -> Picture:
        """Fetch an output, whole: a cut one is fetched anew, and it counts once it opens as a picture.

        `output` as the prediction has it: a URL, or the picture itself in base64. There is an output only of a
        completed prediction, so what fails here has been charged.
        """
        if output.startswith(("https://", "http://")):
            return await self._repeat(self._download, output)
        return await self._open(await asyncio.to_thread(answers.inline, output))

    # ---- one request

    async def _request(self, call: _Call[T]) -> T:
        """Send one API request, once: what was asked for, or one of our errors."""
        content = None if call.body is None else json.dumps(dict(call.body), allow_nan=False).encode()
        await self._acquire(low_priority=call.low_priority)
        if call.permit is not None:
            call.permit()
        outcome = await _outcome(self._ask(call, content))
        if isinstance(outcome, Exception):
            raise outcome if isinstance(outcome, KontextError) else faults.unanswered(outcome, call)
        return self._read(call, *outcome)

    async def _ask(self, call: _Call[T], content: bytes | None) -> tuple[httpx.Response, bytes]:
        request = self._http.build_request(
            call.method,
            f"{self._base_url}{PREFIX}{call.where}",
            params=call.query or None,
            headers=self._headers(content),
            content=content,
            files=call.files,
            timeout=call.timeout,
            extensions=call.extensions,
        )
        answer = await self._exchange(request, LARGEST_ANSWER)
        self._used = time.monotonic()
        return answer

    async def _exchange(
        self, request: httpx.Request, most: int, *, redirects: bool = False
    ) -> tuple[httpx.Response, bytes]:
        """Send it; the answer, and its body as far as it is no larger than `most` bytes.

        Raises:
            _TooLarge: there is more.
        """
        async with asyncio.timeout(self._longest):
            response = await self._http.send(request, stream=True, follow_redirects=redirects)
            try:
                return response, await _body(response, most)
            finally:
                await response.aclose()

    async def _acquire(self, *, low_priority: bool = False) -> None:
        if self._rate_limiter is not None:
            await self._rate_limiter.acquire(low_priority=low_priority)

    def _headers(self, content: bytes | None) -> dict[str, str]:
        kind = {} if content is None else {"Content-Type": "application/json"}
        identity = {"X-Client-Name": CLIENT_NAME, "X-Client-Version": CLIENT_VERSION, "X-Client-OS": CLIENT_OS}
        return {"Authorization": f"Bearer {self._key}", **identity, **kind}

    def _read(self, call: _Call[T], response: httpx.Response, content: bytes) -> T:
        body = answers.envelope(content, Decimal if call.exact else float)
        code = body.get("code") if isinstance(body.get("code"), int) else None
        said = ""
        if not response.is_success or code not in (None, 200, PROCESSING_CODE):
            said = self._redactor.line(answers.said(body))
        else:
            try:
                # Without an envelope the body itself may be it: an id that was paid for is not to be lost.
                return call.read(body.get("data", body))
            except Exception as stumble:
                log.debug("%s: unreadable answer, %s", call.request, type(stumble).__name__)
        raise faults.refused(call, response, self._clock(), code=code, said=said)

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
        asked = fault.retry_after if isinstance(fault, RateLimited | faults.Busy) else None
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
        ticketed = _Call("POST", "media/uploads", answers.ticket, body)
        multipart = _Call(
            "POST", "media/upload/binary", answers.stored, files={"file": (name, data, media_type)}, timeout=UPLOAD
        )
        ticket = await self._first_known(ticketed, multipart)
        if ticket.address:
            await self._put(ticket, data)
        return ticket.download_url

    async def _put(self, ticket: answers.Ticket, data: bytes) -> None:
        outcome = await _outcome(self._send_bare(ticket, data))
        asked = faults.storage(ticket.method, ticket.address, "no", self._redactor)
        if isinstance(outcome, Exception):
            raise faults.unanswered(outcome, asked)
        response, _ = outcome
        # 412: something stands at this address already. The ticket made it for this file alone, its name holds
        # the file's hash, and storage keeps a file whole or not at all: it is ours, from a try whose answer got lost.
        if not response.is_success and response.status_code != 412:
            raise faults.storage_refused(asked, response, self._clock())

    async def _send_bare(self, ticket: answers.Ticket, data: bytes) -> tuple[httpx.Response, bytes]:
        # Made by hand, since the client would add headers of its own and the ticket's are to be sent as they are.
        extensions = {"timeout": UPLOAD.as_dict()}
        await self._acquire()
        request = httpx.Request(
            ticket.method, ticket.address, headers=ticket.headers, content=data, extensions=extensions
        )
        return await self._exchange(request, LARGEST_RECEIPT)

    async def _download(self, url: str) -> Picture:
        asked = faults.storage("GET", url, "yes", self._redactor)
        outcome = await _outcome(self._fetch(url, asked))
        if isinstance(outcome, _TooLarge):
            raise faults.too_large(asked, outcome.response)
        if isinstance(outcome, Exception):
            raise outcome if isinstance(outcome, ServiceError) else faults.unanswered(outcome, asked)
        return await self._open(outcome)

    async def _fetch(self, url: str, asked: faults.Asked) -> bytes:
        # Pictures don't shrink by compression, and without it the length that was announced can be checked.
        headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
        request = self._http.build_request("GET", url, headers=headers)
        await self._acquire()
        response, data = await self._exchange(request, faults.DOWNLOAD_LIMIT_MB * 2**20, redirects=True)
        if not response.is_success:
            raise faults.storage_refused(asked, response, self._clock())
        if _cut(response, data):
            raise faults.cut_off(asked, response)
        return data


class _TooLarge(Exception):
    """More comes than is taken."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        super().__init__()


async def _body(response: httpx.Response, most: int) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > most:
            raise _TooLarge(response)
    return bytes(data)


async def _outcome(sending: Awaitable[T]) -> T | Exception:
    # Handed back, not raised on: a foreign exception holds the request with its headers, and ours would
    # drag it along as their context.
    try:
        return await sending
    except Exception as error:
        return error


def _log_repeat(state: tenacity.RetryCallState) -> None:
    fault = state.outcome.exception() if state.outcome else None
    if isinstance(fault, ServiceError):
        log.info("%s: %s, attempt %d", fault.request, type(fault).__name__, state.attempt_number)


def _cut(response: httpx.Response, data: bytes) -> bool:
    """Whether fewer bytes came than were announced; h11 tells by itself, other transports need not."""
    announced = response.headers.get("Content-Length", "")
    return "Content-Encoding" not in response.headers and announced.isdecimal() and int(announced) != len(data)


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
