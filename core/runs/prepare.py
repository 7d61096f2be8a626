"""What a run needs before anything is sent: its references at the service, and a price that the person agreed to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from core.catalog.inputs import Inputs
from core.errors import KontextError
from core.ledger.record import Entry, Record
from core.ledger.run import Trouble
from core.pictures.reference import Reference
from core.runs import outcomes
from core.runs.journal import log_foreign
from core.runs.live import LiveRun, Stopped
from core.runs.quotes import Quotes, priced
from core.runs.runtime import Runtime
from core.runs.uploads import Uploads
from core.service.account import Account


class Preparer:
    """Uploads and asks for the quote side by side; nothing here costs anything.

    `hosted`: a budget holds for strangers, so nothing is sent on the host's key at a price that nobody confirmed.
    """

    def __init__(self, uploads: Uploads, quotes: Quotes, runtime: Runtime, *, hosted: bool) -> None:
        self._uploads = uploads
        self._quotes = quotes
        self._runtime = runtime
        self._hosted = hosted

    async def prepare(self, run: LiveRun, *, settled: bool) -> bool:
        """Make the entries ready to be sent. False: nothing will be sent, and the run says why.

        `settled`: all that was to be asked about the price was asked at the press.
        """
        run.at("uploading")
        entry = run.record.entries[0]
        # What was known at the press stands: the caps were asked about that very amount.
        known = settled or entry.source == "quote"
        # Where the references lie tells no price.
        asking = None if known else self._quotes.ask(run.account, entry.model_id, entry.payload)
        try:
            urls = await self.urls(run)
            entries = _agreed(run, await self._quote(run, asking)) if asking else run.record.current
        except Stopped:
            self._call_off(run, Trouble("This was stopped before it was sent.", "no", outcomes.AGAIN))
        except KontextError as error:
            self._call_off(run, Trouble(error.happened, "no", error.advice))
        except Exception as fault:
            log_foreign(fault, f"run {run.facts.id}, before sending")
            self._call_off(run, Trouble(outcomes.BROKEN, "no", outcomes.AGAIN))
        else:
            run.put(*(replace(entry, payload={**entry.payload, "images": urls}) for entry in entries))
            return True
        return False

    def known(self, record: Record, account: Account) -> Record:
        """A record that is about to be reserved, at the account's own price where that is known already."""
        entry = record.entries[0]
        quote = self._quotes.known(account, entry.model_id, entry.payload)
        return record if quote is None else priced(record, quote)

    def unconfirmed(self, account: Account, asked: Sequence[Inputs]) -> bool:
        """Whether any of these may not be sent, since the service has not told its price."""
        prices = (self._quotes.known(account, one.variant.model_id, one.payload([], None)) for one in asked)
        return self._insists(account) and None in prices

    async def ask(self, account: Account, asked: Sequence[Inputs], seconds: float) -> None:
        """Have the prices of these known, as far as the service tells them in time. The sandbox has the list's."""
        if account.kind == "sandbox":
            return
        payloads = [(inputs.variant.model_id, inputs.payload([], None)) for inputs in asked]
        asking = {task for named in payloads if (task := self._quotes.look(account, *named)) is not None}
        if asking:
            await asyncio.wait(asking, timeout=seconds)

    def forget(self, account_id: str) -> None:
        """Drop the prices of an account that nobody holds."""
        self._quotes.forget(account_id)

    def prefetch(self, account: Account, inputs: Inputs, references: Sequence[Reference]) -> None:
        """Begin on what the next run of these inputs will need; whatever fails here, that run does again."""
        self._uploads.begin(account, references)
        self._quotes.ask(account, inputs.variant.model_id, inputs.payload([], None))

    async def aclose(self) -> None:
        """Give up what is under way."""
        await self._uploads.aclose()
        await self._quotes.aclose()

    async def urls(self, run: LiveRun) -> list[str]:
        """Where the service finds the run's references, in their order."""
        return await run.unless_stopped(self._uploads.urls(run.account, run.facts.references))

    async def urls_anew(self, run: LiveRun, payload: Mapping[str, Any]) -> list[str]:
        """The same after the service could not fetch those of the payload."""
        await self._uploads.forget(run.account, payload["images"])
        return await self.urls(run)

    async def _quote(self, run: LiveRun, asking: asyncio.Task[Decimal | None]) -> Decimal | None:
        """What the service asks for each submit; None: not known, and the list price will do.

        Raises:
            KontextError: not known, and it has to be.
        """
        insist = self._insists(run.account)
        timeouts = self._runtime.timeouts
        await run.unless_stopped(asyncio.wait({asking}, timeout=timeouts.quote if insist else timeouts.optional_wait))
        quote = asking.result() if asking.done() else None
        if quote is None and insist:
            raise outcomes.unconfirmed()
        return quote

    def _insists(self, account: Account) -> bool:
        return self._hosted and account.kind == "host"

    def _call_off(self, run: LiveRun, trouble: Trouble) -> None:
        run.put(*(outcomes.not_sent(entry, self._runtime.clock()) for entry in run.record.current))
        run.rewrite(replace(run.record, troubles=(trouble,)))


def _agreed(run: LiveRun, quote: Decimal | None) -> tuple[Entry, ...]:
    """The entries at the price that the service asks, where it is known.

    Raises:
        KontextError: it is more than the person agreed to.
    """
    entries, estimate = run.record.current, run.facts.estimate
    if quote is None:
        return entries
    if quote * len(entries) > estimate:
        raise outcomes.price_rose(quote * len(entries), estimate)
    return priced(run.record, quote).current
