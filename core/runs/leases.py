"""This replica's lease: while it holds, what is its own is worked on here and nowhere else.

Where the app runs alone on its ledger there is nothing to renew, and all is its own.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from core.errors import LedgerError
from core.ledger import leases as rows
from core.ledger.faults import GONE, OUT_OF_TOUCH, Fenced, error
from core.ledger.ledger import Ledger
from core.ledger.record import Record
from core.runs.runtime import Runtime

T = TypeVar("T")
log = logging.getLogger(__name__)

LEASE = timedelta(seconds=15)
RENEWAL = 4.0  # seconds between two; the second one that fails is noticed by the others
RETRY_INTERVAL = 1.0  # seconds, while the database is away

_NEVER = datetime.min.replace(tzinfo=UTC)


class Leases:
    """What is whose. `alone`: no other process works on this ledger. `renewal`: seconds between two.

    By our clock the lease ends no later than by the database's, which the others go by: it counts from before it was
    asked for.
    """

    def __init__(
        self,
        ledger: Ledger,
        runtime: Runtime,
        *,
        alone: bool = True,
        lease: timedelta = LEASE,
        renewal: float = RENEWAL,
    ) -> None:
        self._lease = lease
        self._renewal = renewal
        self._ledger = ledger
        self._runtime = runtime
        self._until = _NEVER
        self._replica: str | None = None
        self.alone = alone
        self.reachable = True  # whether the database answered when it was last asked
        self.replicas = 1  # that are known, this one too, as of the last renewal

    @property
    def owner(self) -> str | None:
        """The name that what is ours is under; whoever is alone has none.

        Raises:
            Fenced: nothing can be ours now.
        """
        if self._replica is None and not self.alone:
            raise error(OUT_OF_TOUCH, Fenced)
        return self._replica

    def surely_has(self, record: Record) -> bool:
        """Whether a run of ours is ours still, as far as our clock can tell: under another name all is lost."""
        return record.owner == self._replica and self.sure

    @property
    def sure(self) -> bool:
        return self.alone or self._runtime.clock() < self._until

    def is_elsewhere(self, record: Record) -> bool:
        """Whether another replica works on what nobody does here, or one will in a moment, be it this one."""
        if self.alone or record.finished:
            return False
        return record.owner not in (None, self._replica) or record.facts.account_kind != "own"

    async def begin(self) -> None:
        """Be known from now on, under a name that nothing was ever under."""
        if self.alone:
            return
        name, asked_at = uuid.uuid4().hex, self._runtime.clock()
        await self._do(partial(self._begun, name))
        self._replica, self._until = name, asked_at + self._lease

    async def secure(self) -> None:
        """Have a lease that is good for a while yet.

        Raises:
            LedgerError: it can't be had now.
            Fenced: it is lost.
        """
        if not self.sure and not await self._renew():
            raise error(GONE, Fenced)

    async def keep(self, lost: Callable[[], Awaitable[None]], take_over: Callable[[], Awaitable[None]]) -> None:
        """Renew for as long as the app serves. `lost` hears that all that was ours may be another's; `take_over` takes
        what is free.
        """
        while not self.alone:
            await self._runtime.sleep(self._renewal if self.reachable else RETRY_INTERVAL)
            try:
                if not await self._renew():
                    log.warning("this copy stood still for too long: what it worked on is another's")
                    await lost()
                    await self.begin()
                self.reachable = True
                await take_over()
            except LedgerError as fault:
                if self.reachable:  # said once, however often it is tried
                    log.warning("the lease could not be renewed: %s", fault.happened)
                self.reachable = not fault.passing
            except Exception as fault:  # its text may quote anything
                log.error("the lease could not be renewed: %s", type(fault).__name__)

    async def leave(self) -> None:
        """Let all of it go, so that nobody need wait for the lease to run out."""
        self._until, name = _NEVER, self._replica
        if name is not None:
            await self._do(lambda connection, _: rows.leave(connection, name))

    async def take_run(self, record: Record) -> Record | None:
        """Make a run ours; None where it is another's, or was since it was read."""
        name = self._replica  # it may be another one by the time it is ours
        take = partial(rows.take_run, run_id=record.facts.id, fence=record.fence, replica=name)
        fence = await self._do(lambda connection, _: take(connection))
        return None if fence is None else replace(record, owner=name, fence=fence)

    async def take_trial(self, trial_id: str) -> bool:
        """Make a trial ours to make; False where it is another's."""
        take = partial(rows.take_trial, trial_id=trial_id, replica=self._replica)
        return await self._do(lambda connection, _: take(connection))

    async def release_trial(self, trial_id: str) -> None:
        """Let others make a trial of ours."""
        if (name := self._replica) is not None:
            await self._do(lambda connection, _: rows.release_trial(connection, trial_id, name))

    async def _renew(self) -> bool:
        asked_at = self._runtime.clock()
        # Where we could not renew for a while, nobody could: the database was away. The others get their turn first.
        late = asked_at > self._until - self._lease / 2
        kept = await self._do(partial(self._renewed, others=not late))
        if kept:
            self._until = asked_at + self._lease
        return kept

    def _begun(self, name: str, connection: sa.Connection, now: datetime) -> None:
        rows.begin(connection, name, now + self._lease)
        self.replicas = rows.count(connection)

    def _renewed(self, connection: sa.Connection, now: datetime, *, others: bool) -> bool:
        # Ours first: where nobody has noticed that it ran out, all that is ours still is.
        kept = self._replica is not None and rows.renew(connection, self._replica, now + self._lease)
        if others:
            rows.free(connection, now)
        self.replicas = max(1, rows.count(connection))
        return kept

    async def _do(self, work: Callable[[sa.Connection, datetime], T]) -> T:
        return await asyncio.to_thread(self._at_its_time, work)

    def _at_its_time(self, work: Callable[[sa.Connection, datetime], T]) -> T:
        with self._ledger.writing(rows.LOCK) as connection:
            return work(connection, self._ledger.now(connection, self._runtime.clock()))
