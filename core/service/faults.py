"""What goes wrong with a request, in our words: refusals of the service and of storage, and failures of the way there.

Whatever httpx raises becomes one of our errors here, and nowhere else.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from urllib.parse import urlsplit

import httpx

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
from core.service.hosts import NotAllowed
from core.service.prediction import MEDIA_NOT_FETCHED_CODE, NO_CREDIT_CODE
from core.service.redact import Redactor

log = logging.getLogger(__name__)

UPLOAD_LIMIT_MB = 20  # the strictest page (D)
DOWNLOAD_LIMIT_MB = 64
LONGEST_PAUSE = 60.0  # seconds


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
    ServiceBroken, "The service has a problem and gave no usable answer.", "Try again in a few minutes.", definite=False
)
_OTHER = _Refusal(ServiceError, "The service refused the request.", "Try again later.", definite=False)
_LOST = _Refusal(
    SubmitUnknown,
    "The request was sent, but no readable answer came back. The service may still be making the picture.",
    "Check the account's history before you press Generate again, or you may be charged twice.",
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
            "This key isn't allowed to do that.",
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
            "The account has reached its limit of requests at once or per minute.",
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
NO_PREDICTION = _Refusal(
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
    NotAllowed,
)
_CONNECTION_ADVICE = "Check the internet connection, then try again."
# Read from the top; the last row takes whatever else a transport may raise.
FOREIGN: tuple[tuple[tuple[type[Exception], ...], _Refusal], ...] = (
    (
        (httpx.UnsupportedProtocol, httpx.InvalidURL),
        _Refusal(ServiceError, "This isn't a valid web address.", "Check the address of the service."),
    ),
    (
        (NotAllowed,),
        _Refusal(
            ServiceError,
            "The service named an address that this app doesn't open: it is not on the public internet.",
            "Look for the picture in your account at the service.",
        ),
    ),
    (
        (httpx.PoolTimeout,),
        _Refusal(Unreachable, "The app has too many requests under way.", "Try again in a few minutes."),
    ),
    (
        (httpx.TimeoutException, TimeoutError),
        _Refusal(Unreachable, "The service did not answer in time.", _CONNECTION_ADVICE),
    ),
    (
        (httpx.NetworkError, httpx.ProxyError, OSError),
        _Refusal(Unreachable, "Can't reach WaveSpeedAI.", _CONNECTION_ADVICE),
    ),
    ((Exception,), _BROKEN),
)


class Busy(ServiceBroken):
    """A fault of the service that came with a Retry-After, in seconds."""

    retry_after: float | None = None


@dataclass(frozen=True)
class Asked:
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


def unanswered(failure: Exception, asked: Asked) -> ServiceError:
    """What a transport raised, as our error: its text is left behind, since it may quote a header or a URL."""
    row = next(row for kinds, row in FOREIGN if isinstance(failure, kinds))
    log.debug("%s: %s", asked.request, type(failure).__name__)
    sent = not isinstance(failure, UNSENT)
    return _error(_LOST if asked.paid and sent else row, asked)


def refused(
    asked: Asked, response: httpx.Response, now: datetime, *, code: int | None = None, said: str = ""
) -> ServiceError:
    """The service answered, but not with what was asked for. `code` and `said` are its own, from the envelope."""
    row = _row(asked.refusals, response.status_code, code, said)
    return _answered(row, asked, response, now, code=code, said=said)


def storage(method: str, url: str, charged: Charged, redactor: Redactor) -> Asked:
    """A request to a storage host, told by the host alone: what follows it is often a signature that opens the file."""
    refusals = {413: REFUSALS[413], 429: REFUSALS[429]}
    try:
        return Asked(method, redactor.line(urlsplit(url).hostname), charged=charged, refusals=refusals)
    except ValueError:
        return Asked(method, "", charged=charged)


def storage_refused(asked: Asked, response: httpx.Response, now: datetime) -> ServiceError:
    """Storage answered without the file, or did not take it.

    401 and 403 say nothing of our key here, and a 404 may be a file that is not everywhere yet: whatever storage
    refuses is worth another try, with a new ticket where there is one.
    """
    return _answered(asked.refusals.get(response.status_code, _BROKEN), asked, response, now)


def too_large(asked: Asked, response: httpx.Response) -> ServiceError:
    """More comes than any picture has."""
    return _error(_TOO_LARGE, asked, status=response.status_code)


def cut_off(asked: Asked, response: httpx.Response) -> ServiceError:
    """Less came than was announced."""
    return _error(_BROKEN, asked, status=response.status_code)


def _answered(
    row: _Refusal, asked: Asked, response: httpx.Response, now: datetime, *, code: int | None = None, said: str = ""
) -> ServiceError:
    pause = retry_after(response.headers.get("Retry-After"), now)
    return _error(row, asked, status=response.status_code, code=code, said=said, pause=pause)


def _error(
    row: _Refusal,
    asked: Asked,
    *,
    status: int | None = None,
    code: int | None = None,
    said: str = "",
    pause: float | None = None,
) -> ServiceError:
    row = _LOST if asked.paid and not row.definite else row
    kind = Busy if pause is not None and row is _BROKEN else row.kind
    happened = f"{row.happened} It says: “{said}”" if said and kind is ServiceError else row.happened
    charged: Charged = "unknown" if row is _LOST else asked.charged
    error = kind(happened, row.advice, status=status, code=code, request=asked.request, said=said, charged=charged)
    if isinstance(error, RateLimited | Busy):
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
