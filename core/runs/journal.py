"""What a run writes down on its way: before a step it must succeed, after the submit the run goes on regardless."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from core.errors import LedgerError
from core.ledger import callbacks
from core.ledger.faults import Fenced
from core.ledger.ledger import Ledger
from core.ledger.record import Entry, Record
from core.ledger.run import Facts
from core.ledger.spending import Spending
from core.runs.leases import RETRY_INTERVAL, Leases
from core.runs.live import LiveRun
from core.runs.runtime import Runtime

AWAY = "The app's database can't be reached. This goes on once it can, and nothing is sent twice."

_OF_ALL = 0  # before the numbers of its predictions

T = TypeVar("T")

log = logging.getLogger(__name__)

RUN: ContextVar[str] = ContextVar("run", default="")  # the one that this is done for, as the log tells it


MaySend = Callable[[Facts, Spending], None]  # lets what was reserved be sent, or raises


class Journal:
    """Writes entries of live runs into the ledger, off the event loop.

    What can't be written since the database is away waits for it, within the run's time and until the app closes. A
    run that turns out to be another replica's is lost here, and Fenced raised.
    """

    def __init__(self, ledger: Ledger, may_send: MaySend, leases: Leases, runtime: Runtime) -> None:
        self._ledger = ledger
        self._may_send = may_send
        self._leases = leases
        self._runtime = runtime
        self._closing = False

    def close(self) -> None:
        """Wait no longer for a database that is away: what it lacks is found again by whoever goes on with the run."""
        self._closing = True

    async def before(self, run: LiveRun, *entries: Entry) -> None:
        """Write down what is about to happen.

        Raises:
            BudgetError: the host does not want it any more.
            LedgerError: it could not be written, so it must not happen.
        """
        await self._patiently(run, self._leases.secure)
        check = partial(self._may_send, run.facts)
        announce = partial(self._ledger.announce, run.facts, *entries, check=check, fence=run.record.fence)
        await self._written(run, announce)
        run.put(*entries)

    async def after(self, run: LiveRun, entry: Entry, answer: Mapping[str, Any] | None = None) -> None:
        """Write down what has happened. A picture that was paid for is not given up because that fails: whatever is
        written next holds this as well, and after a crash the service's history tells it.
        """
        run.put(entry)
        try:
            save = partial(self._ledger.save, run.facts.id, entry, answer=answer, fence=run.record.fence)
            await self._written(run, save)
        except Fenced:
            raise
        except LedgerError as fault:
            log.warning("run %s, prediction %s: not recorded. %s", run.facts.id, entry.id, fault.happened)

    async def claim(self, run: LiveRun, entry: Entry) -> bool:
        """Write an entry that takes over the prediction of its id, unless any entry has that id already.

        Raises:
            LedgerError: it could not be written.
        """
        return await self._written(run, partial(self._ledger.claim, run.facts.id, entry, run.record.fence))

    async def tell_late(self, run: LiveRun, entry: Entry, prediction_id: str) -> None:
        """Write down which prediction a submit has made whose run has become another replica's meanwhile.

        Raises:
            LedgerError: it could not be written.
        """
        await self._written(run, partial(self._tell_late, run.facts.id, entry, prediction_id))

    def _tell_late(self, run_id: str, entry: Entry, prediction_id: str) -> None:
        with self._ledger.writing() as connection:
            callbacks.tell_late(connection, run_id, entry, prediction_id)

    async def end(self, run: LiveRun, record: Record) -> None:
        """Write how the run ended.

        Raises:
            LedgerError: it could not be written.
        """
        await self._written(run, partial(self._ledger.end, record))

    async def _written(self, run: LiveRun, write: Callable[[], T]) -> T:
        return await self._patiently(run, partial(asyncio.to_thread, write))

    async def _patiently(self, run: LiveRun, work: Callable[[], Awaitable[T]]) -> T:
        try:
            while True:
                try:
                    return await work()
                except Fenced:
                    run.lose()
                    raise
                except LedgerError as fault:
                    if not fault.passing or self._closing or self._runtime.clock() >= run.deadline:
                        raise
                run.tell(_OF_ALL, AWAY)
                await self._runtime.sleep(RETRY_INTERVAL)
        finally:
            run.tell(_OF_ALL, "")


def log_foreign(fault: BaseException, where: str) -> None:
    """Name a fault that nobody foresaw, and the line it came from; its text may quote anything, so it stays out."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    log.error("%s: %s at %s", where, type(fault).__name__, line)
