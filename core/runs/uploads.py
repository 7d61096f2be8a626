"""Where the service finds a reference: each content is uploaded once for an account, and remembered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from core.errors import LedgerError
from core.ledger.ledger import Ledger
from core.pictures.reference import Reference
from core.runs.single_flight import SingleFlight
from core.service.account import Account

log = logging.getLogger(__name__)

REMEMBERED = timedelta(days=6)  # the service keeps an upload for 7 (D); the last day is for runs under way


class Uploads:
    """Two runs that need the same reference at the same moment share one upload."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._began = clock()
        self._going: SingleFlight[tuple[str, str], str] = SingleFlight("an upload")

    async def urls(self, account: Account, references: Sequence[Reference]) -> list[str]:
        """A URL for each reference, in their order; what is not there yet is uploaded side by side."""
        # Shielded: this run may be stopped while another one waits for the same upload.
        return await asyncio.gather(*map(asyncio.shield, self.begin(account, references)))

    def begin(self, account: Account, references: Sequence[Reference]) -> list[asyncio.Task[str]]:
        """The same without waiting, a task for each; a run that needs one meanwhile waits for that very upload."""
        return [self._going.begin((account.id, r.sha256), partial(self._url, account, r)) for r in references]

    async def forget(self, account: Account, urls: Iterable[str]) -> None:
        """The service can't fetch one of these: the next run uploads them anew."""
        await asyncio.to_thread(self._ledger.forget_uploads, account.id, list(urls))

    async def aclose(self) -> None:
        """Give up what is under way."""
        await self._going.aclose()

    def _since(self, account: Account) -> datetime:
        since = self._clock() - REMEMBERED
        # The embedded sandbox keeps nothing beyond the process that it lives in.
        return max(since, self._began) if account.kind == "sandbox" else since

    async def _url(self, account: Account, reference: Reference) -> str:
        known = None
        with suppress(LedgerError):  # what can't be looked up is uploaded once more, which costs nothing
            known = await asyncio.to_thread(self._ledger.uploaded, account.id, reference.sha256, self._since(account))
        return known or await self._upload(account, reference)

    async def _upload(self, account: Account, reference: Reference) -> str:
        url = await account.client.upload(reference)
        try:
            await asyncio.to_thread(self._ledger.remember_upload, account.id, reference.sha256, url, self._clock())
        except LedgerError as fault:
            log.warning("an upload is not remembered: %s", fault.happened)
        return url
