"""What a run writes down on its way: before a step it must succeed, after the submit the run goes on regardless."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

from core.errors import LedgerError
from core.ledger.ledger import Ledger
from core.ledger.record import Entry
from core.ledger.run import Facts
from core.ledger.spending import Spending
from core.runs.live import LiveRun

log = logging.getLogger(__name__)

RUN: ContextVar[str] = ContextVar("run", default="")  # the one that this is done for, as the log tells it


MaySend = Callable[[Facts, Spending], None]  # lets what was reserved be sent, or raises


class Journal:
    """Writes entries of live runs into the ledger, off the event loop."""

    def __init__(self, ledger: Ledger, may_send: MaySend) -> None:
        self._ledger = ledger
        self._may_send = may_send

    async def before(self, run: LiveRun, *entries: Entry) -> None:
        """Write down what is about to happen.

        Raises:
            BudgetError: the host does not want it any more.
            LedgerError: it could not be written, so it must not happen.
        """
        check = partial(self._may_send, run.facts)
        await asyncio.to_thread(partial(self._ledger.announce, run.facts, *entries, check=check))
        run.put(*entries)

    async def after(self, run: LiveRun, entry: Entry, answer: Mapping[str, Any] | None = None) -> None:
        """Write down what has happened. A picture that was paid for is not given up because that fails: whatever is
        written next holds this as well, and after a crash the service's history tells it.
        """
        run.put(entry)
        try:
            await asyncio.to_thread(self._ledger.save, run.facts.id, entry, answer=answer)
        except LedgerError as fault:
            log.warning("run %s, prediction %s: not recorded. %s", run.facts.id, entry.id, fault.happened)


def log_foreign(fault: BaseException, where: str) -> None:
    """Name a fault that nobody foresaw, and the line it came from; its text may quote anything, so it stays out."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    log.error("%s: %s at %s", where, type(fault).__name__, line)
