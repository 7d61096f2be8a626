"""What the service billed for finished runs: asked for until it is there, beside everything else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal

from core.errors import KontextError, LedgerError
from core.ledger.ledger import Ledger
from core.ledger.record import Record
from core.runs.background import Background
from core.runs.journal import log_foreign
from core.runs.runtime import Runtime
from core.service.account import Account

log = logging.getLogger(__name__)

PAUSES = (5.0, 20.0, 60.0, 180.0)  # seconds before each question; what is not told by then is asked at the next start
KEPT = timedelta(days=7)  # how far back a start asks
BELIEVED = 10  # times the reservation; what is more is no price of a picture
# Followed at once, in runs, and asked about at a start, in predictions; the next start asks about the others.
MOST = 256

Reserved = Mapping[str, Decimal]  # USD by prediction
Tell = Callable[[Mapping[str, Decimal]], Awaitable[None]]  # hears of amounts in USD by prediction


class Bills:
    """Asks a few times for what is not billed yet, at most so many runs at once; `tell` writes down what comes."""

    def __init__(self, ledger: Ledger, runtime: Runtime, tell: Tell) -> None:
        self._ledger = ledger
        self._runtime = runtime
        self._tell = tell
        self._following = Background("following a bill")

    def follow(self, account: Account, record: Record) -> None:
        """Ask for the bill of a run that has ended; returns at once."""
        open = {e.id: e.reserved for e in record.entries if e.id and e.charge and e.reserved and e.source != "billing"}
        self._begin(account, open)

    async def resume(self, account: Account) -> None:
        """Ask for what an earlier process was not told."""
        try:
            since = self._runtime.clock() - KEPT
            open = await asyncio.to_thread(self._ledger.unbilled, account.id, since, MOST)
        except LedgerError as fault:
            log.warning("bills are not asked for: %s", fault.happened)
            return
        self._begin(account, open)

    async def aclose(self) -> None:
        """Ask no further."""
        await self._following.aclose()

    def _begin(self, account: Account, open: Reserved) -> None:
        if account.kind != "sandbox" and open and len(self._following) < MOST:
            self._following.begin(self._follow(account, dict(open)))

    async def _follow(self, account: Account, open: dict[str, Decimal]) -> None:
        for pause in PAUSES:
            await self._runtime.sleep(pause)
            if told := await billed(account, open):
                try:
                    await self._tell(told)
                except LedgerError as fault:  # they are asked for once more
                    log.warning("bills are not recorded: %s", fault.happened)
                    continue
            open = {name: reserved for name, reserved in open.items() if name not in told}
            if not open:
                return


async def billed(account: Account, reserved: Reserved) -> dict[str, Decimal]:
    """What was billed for these predictions, as far as it can be had and believed. Never fails."""
    try:
        found = await account.client.billed(list(reserved))
    except KontextError:
        return {}
    except Exception as fault:
        log_foreign(fault, "billing records")
        return {}
    # Nothing billed for a picture that was made is more likely a record that is not written yet.
    return {name: amount for name, amount in found.items() if 0 < amount <= BELIEVED * reserved[name]}
