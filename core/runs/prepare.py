"""What a run needs before anything is sent: its references at the service, and a price that the person agreed to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from core.catalog.inputs import Inputs
from core.errors import KontextError
from core.ledger.record import Entry
from core.ledger.run import Trouble
from core.pictures.reference import Reference
from core.runs import outcomes
from core.runs.journal import log_foreign
from core.runs.live import LiveRun, Stopped
from core.runs.quotes import Quotes
from core.runs.runtime import Runtime
from core.runs.uploads import Uploads
from core.service.account import Account


class Preparer:
    """Uploads and asks for the quote side by side; nothing here costs anything."""

    def __init__(self, uploads: Uploads, quotes: Quotes, runtime: Runtime) -> None:
        self._uploads = uploads
        self._quotes = quotes
        self._runtime = runtime

    async def prepare(self, run: LiveRun) -> bool:
        """Make the entries ready to be sent. False: nothing will be sent, and the run says why."""
        run.at("uploading")
        entry = run.record.entries[0]
        asking = self._quotes.ask(run.account, entry.model_id, entry.payload)  # where the references lie tells no price
        try:
            urls = await self.urls(run)
            await run.unless_stopped(asyncio.wait({asking}, timeout=self._runtime.timeouts.optional_wait))
            entries = _priced(run, asking.result() if asking.done() else None)
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

    def ahead(self, account: Account, inputs: Inputs, references: Sequence[Reference]) -> None:
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

    def _call_off(self, run: LiveRun, trouble: Trouble) -> None:
        run.put(*(outcomes.not_sent(entry, self._runtime.clock()) for entry in run.record.current))
        run.rewrite(replace(run.record, troubles=(trouble,)))


def _priced(run: LiveRun, quote: Decimal | None) -> tuple[Entry, ...]:
    """The entries, with what the service asks reserved instead of what we expected.

    Raises:
        KontextError: it is more than the person agreed to.
    """
    entries, estimate = run.record.current, run.facts.estimate
    if quote is None:
        return entries
    if quote * len(entries) > estimate:
        raise outcomes.price_rose(quote * len(entries), estimate)
    return tuple(replace(entry, reserved=quote, source="quote") for entry in entries)
