"""The host's own way in: a passcode of the environment, and for a while the browsers that have shown it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from core.access.attempts import Attempts
from core.errors import KontextError

LASTS = 12 * 3600.0  # seconds that a browser is let in for
BROWSERS = 16  # at once; past it the one that came first goes

WRONG = "That isn't the passcode."


class Passcode:
    """Lets browsers in that show it. What they hold then is 256 random bits, kept here as a hash alone, until the app
    ends. Wrong ones are slowed for everybody together, and so is the right one among them: it may be a short one.

    `clock` tells seconds, from anywhere.
    """

    def __init__(self, passcode: str, attempts: Attempts, clock: Callable[[], float] = time.monotonic) -> None:
        self._passcode = _digest(passcode)
        self._attempts = attempts
        self._clock = clock
        self._until: dict[bytes, float] = {}  # hash -> when it ends, the oldest first

    def enter(self, told: object) -> str:
        """A token for the browser that shows the passcode.

        Raises:
            KontextError: it is another one, or too many were tried.
        """
        with self._attempts.attempt():
            # Hashes of one length: how long it takes says nothing of either.
            if not hmac.compare_digest(_digest(str(told)), self._passcode):
                raise KontextError(WRONG, "It is the value of KONTEXT_HOST_PASSCODE.")
        token = secrets.token_urlsafe(32)
        for old in list(self._until)[: len(self._until) + 1 - BROWSERS]:
            del self._until[old]
        self._until[_digest(token)] = self._clock() + LASTS
        return token

    def is_in(self, token: str) -> bool:
        """Whether that browser is let in. Tokens are found by their hash, so that nothing is compared in time."""
        return self._clock() < self._until.get(_digest(token), 0.0)

    def leave(self, token: str) -> None:
        """That browser is out."""
        with suppress(KeyError):
            del self._until[_digest(token)]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
