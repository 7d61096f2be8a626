"""The service calls back: each submit names an address of its own, and whatever is said there is a hint.

It is worth a question to the service with the account's own key, and is believed in nothing before that. What was said
is in the ledger before it is answered, so that a restart, or another process, goes by it as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, TypeVar

from core.errors import KontextError, LedgerError
from core.ledger import callbacks as rows
from core.ledger.callbacks import Call
from core.ledger.ledger import Ledger
from core.ledger.record import Entry
from core.runs.background import Background
from core.runs.matching import may_be
from core.runs.runtime import Runtime
from core.service import webhooks
from core.service.account import Account
from core.service.prediction import Prediction

PATH = "/callback"
BYTES = 16  # of each word: 128 bits, which nobody guesses

T = TypeVar("T")
log = logging.getLogger(__name__)


class Address(NamedTuple):
    """Where the service is to call about one submit, and the hash that is kept of it."""

    url: str
    hash: str


class Callbacks:
    """What is asked for and what comes. `public_url`: where the service reaches this app; None: nowhere.

    `word` makes what nobody can guess.
    """

    def __init__(
        self,
        ledger: Ledger,
        runtime: Runtime,
        public_url: str | None,
        word: Callable[[], str] = lambda: secrets.token_hex(BYTES),
    ) -> None:
        self._ledger = ledger
        self._clock = runtime.clock
        self._public_url = public_url
        self._word = word
        self._secrets = webhooks.Secrets(runtime.clock)
        self._learning = Background("asking for the secret of webhooks")

    def address(self, account: Account) -> Address | None:
        """One for a submit that is about to be sent; None where the service can't call."""
        if self._public_url is None or account.kind == "sandbox":
            return None
        self._learning.begin(self._secrets.learn(account))
        word = self._word()
        return Address(f"{self._public_url}{PATH}/{word}", _hash(word))

    def not_taken(self, error: KontextError) -> None:
        """A submit was refused. Where the reason is its address, none is named any more, until the next start: that
        these models have webhooks is said of all models, and not of them (D).
        """
        if self._public_url is not None and "webhook" in error.happened.lower():
            log.warning("The service takes no webhooks for these models; it is asked for results instead.")
            self._public_url = None

    async def expected(self, entry: Entry) -> bool:
        """Whether the service is likely to call about this one: it does so lately."""
        return entry.callback is not None and bool(await self._read(rows.arrive))

    async def take(self, word: str, headers: Mapping[str, str], body: bytes) -> tuple[Call, bool] | None:
        """Write down what a call says; the entry that it is about, and whether it said anything new that may be true.

        None: nobody was told that word. Header names in small letters.

        Raises:
            LedgerError: it could not be written down.
        """
        return await asyncio.to_thread(self._take, word, headers, body)

    async def told(self, run_id: str, entry: Entry) -> str | None:
        """The id that the service, whoever knows the word, or a replica that was fenced has named for this one."""
        return await self._read(rows.told, run_id, entry)

    async def refute(self, run_id: str, entry: Entry, prediction_id: str) -> None:
        """That id is not this one's."""
        with suppress(LedgerError):  # it is asked about once more
            await asyncio.to_thread(self._refute, run_id, entry, prediction_id)

    async def unresolved(self, account: Account) -> list[Call]:
        """Calls about runs of the account that ended without an answer to a submit of theirs."""
        return await self._read(rows.unresolved, account.id, self._ledger.home) or []

    def forget(self, account_id: str) -> None:
        """Nobody holds that account any more."""
        self._secrets.forget(account_id)

    async def aclose(self) -> None:
        await self._learning.aclose()

    async def _read(self, work: Callable[..., T], *arguments: object) -> T | None:
        """What that reads; None where the ledger can't tell, since without a call everything goes on as well."""

        def reading() -> T:
            with self._ledger.reading() as connection:
                return work(connection, *arguments)

        with suppress(LedgerError):
            return await asyncio.to_thread(reading)
        return None

    # blocking

    def _take(self, word: str, headers: Mapping[str, str], body: bytes) -> tuple[Call, bool] | None:
        callback = _hash(word)
        with self._ledger.reading() as connection:
            call = rows.find(connection, callback, self._ledger.home)
        if call is None:
            return None
        told = self._plausible(call, headers, body)
        if told is None:
            return call, False
        with self._ledger.writing() as connection:
            return replace(call, told=told.id), rows.tell(connection, callback, told.id)

    def _plausible(self, call: Call, headers: Mapping[str, str], body: bytes) -> Prediction | None:
        """What it says, unless it is signed by somebody else, or speaks of another prediction."""
        secret = self._secrets.of(call.account_id)
        if secret is not None and not webhooks.is_signed(secret, headers, body, self._clock()):
            return None
        said = webhooks.prediction(body)
        if said is None or call.entry.id is not None:
            return said if said and said.id == call.entry.id else None
        return said if said.inputs is not None and call.entry.lost and may_be(call.entry, said) else None

    def _refute(self, run_id: str, entry: Entry, prediction_id: str) -> None:
        with self._ledger.writing() as connection:
            rows.refute(connection, run_id, entry, prediction_id)


def _hash(word: str) -> str:
    return hashlib.sha256(word.encode("utf-8", "replace")).hexdigest()
