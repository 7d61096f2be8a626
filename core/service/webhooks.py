"""What the service sends when it calls back: whether it is signed, and the prediction in it (D)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from core.errors import ServiceError
from core.service import answers
from core.service.account import Account
from core.service.prediction import Prediction, parse

OLDEST = timedelta(seconds=300)
ASKED_AGAIN = timedelta(minutes=10)  # a secret can be made anew at any time
SCHEME = "v3,"


def prediction(body: bytes) -> Prediction | None:
    """The prediction that a call is about: bare, with its inputs; None where there is none to be read."""
    with suppress(ValueError):
        return parse(answers.envelope(body, float))
    return None


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether the holder of the secret has signed this, and lately. Header names in small letters."""
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or len(timestamp) > 12 or abs(now.timestamp() - int(timestamp)) > OLDEST.seconds:
        return False
    message = f"{id}.{timestamp}.".encode("utf-8", "replace") + body
    # As text without its prefix, not decoded (D).
    expected = hmac.new(secret.removeprefix("whsec_").encode(), message, hashlib.sha256).hexdigest()
    told = headers.get("webhook-signature", "").encode("utf-8", "replace").split()
    return any(hmac.compare_digest(one, f"{SCHEME}{expected}".encode()) for one in told)


class Secrets:
    """Each key's secret, as the service told it to that key; in memory alone."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: dict[str, str] = {}
        self._asked: dict[str, datetime] = {}

    def of(self, account_id: str) -> str | None:
        """None: not told, so no signature can be checked."""
        return self._known.get(account_id)

    async def learn(self, account: Account) -> None:
        """Ask for it, unless that was done lately. Free; what fails leaves it as it was."""
        now = self._clock()
        if account.id in self._asked and now - self._asked[account.id] < ASKED_AGAIN:
            return
        self._asked[account.id] = now
        with suppress(ServiceError):
            self._known[account.id] = await account.client.webhook_secret()

    def forget(self, account_id: str) -> None:
        """Nobody holds that account any more."""
        self._known.pop(account_id, None)
        self._asked.pop(account_id, None)
