"""How long what visitors made is kept, and how all of it is forgotten at once. Their money stays, under a pseudonym.

Everything goes a run at a time, so that nobody waits for it, and begins again where a crash cut it off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import sqlalchemy as sa

from core.errors import KontextError
from core.ledger import forgetting, people, trials
from core.ledger.forgetting import Owned
from core.ledger.ledger import Ledger
from core.ledger.moments import midnight
from core.pictures.reference import Reference
from core.runs import files
from core.runs.background import repeat
from core.runs.runs import Runs

SERVICE = timedelta(days=8)  # it keeps a prediction, an upload and its history for 7 (D); a run may take a while
INTERVAL = 3600.0  # seconds between sweeps

T = TypeVar("T")


class Trials(Protocol):
    """What is asked of trials: to go as a whole, or to raise a KontextError while they are being made."""

    async def delete(self, visitor: str, trial_id: str) -> None: ...


@dataclass(frozen=True)
class Belongings:
    """What a visitor has here: trials with so many judges, and runs that have not ended."""

    trials: int
    judges: int
    going: int


class Retention:
    """Forgets what is older than `keep`, where that is set, and everything of whoever asks for it."""

    def __init__(
        self, ledger: Ledger, runs: Runs, trials: Trials, keep: timedelta | None, clock: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._runs = runs
        self._trials = trials
        self._keep = keep
        self._clock = clock
        self._clean_log = True  # whether no word of what was deleted stands in the ledger's log

    async def hourly(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Sweep for as long as the app serves."""
        await repeat("forgetting what is old", self.sweep, INTERVAL, sleep)

    async def sweep(self) -> None:
        """Forget what is too old, and go on with whoever asked to be forgotten."""
        now = self._clock()
        if self._keep is not None:
            await self._forget_older(now - self._keep, now - max(self._keep, SERVICE))
        await self._write(partial(forgetting.forget_uploads, before=now - SERVICE))
        await self._write(partial(people.drop_expired, now=now))
        await self._write(partial(people.drop_idle, since=midnight(now)))
        await self._clean()
        await self.finish()

    async def _forget_older(self, before: datetime, given_up: datetime) -> None:
        """`given_up`: what has not settled by then never will."""
        idle = await self._read(partial(trials.idle, before=before, given_up=given_up, home=self._ledger.home))
        await self._delete([Owned(trial.visitor, trial.id) for trial in idle], self._trials.delete)
        old = await self._read(partial(forgetting.old_runs, before=before, given_up=given_up))
        await self._delete(old, self._runs.delete)
        await self._rename(await self._read(partial(forgetting.named, until=before)))

    async def belongings(self, visitor: str) -> Belongings:
        """What goes when this visitor wants everything to be deleted."""

        def counted(connection: sa.Connection) -> Belongings:
            owned = trials.every(connection, visitor, self._ledger.home)
            judges, going = forgetting.judges_of(connection, visitor), forgetting.under_way(connection, visitor)
            return Belongings(len(owned), judges, going)

        return await self._read(counted)

    async def forget(self, visitor: str, cards: Sequence[Reference] = ()) -> None:
        """Delete everything that a visitor has here, the cards of their page too.

        What still goes on goes as soon as it has ended, whatever happens meanwhile; what was not sent yet is refused.
        """
        await self._runs.leave(visitor)
        now = self._clock()
        await self._write(partial(forgetting.leave, visitor=visitor, now=now))
        await self._write(partial(people.leave, visitor=visitor, now=now))
        await self._see_off(visitor, now)
        await self._runs.discard(cards)

    async def finish(self) -> None:
        """Go on with those who asked for it while something of theirs went on."""
        with suppress(KontextError):  # the ledger can't be read or written to: later
            for visitor, asked_at in await self._read(forgetting.who_leave):
                await self._see_off(visitor, asked_at)
            if not self._clean_log:
                await self._clean()

    async def _see_off(self, visitor: str, asked_at: datetime) -> None:
        mine = await self._read(partial(trials.every, visitor=visitor, home=self._ledger.home))
        owned = [Owned(visitor, trial.id) for trial in mine if trial.created_at <= asked_at]
        left = await self._delete(owned, self._trials.delete)
        await self._runs.discard([one for trial in mine for case in trial.spec.cases for one in case.references])
        pressed = partial(forgetting.runs_of, visitor=visitor, until=asked_at)
        left += await self._delete(await self._read(pressed), self._runs.delete)
        left += await self._rename(await self._read(partial(forgetting.named, until=asked_at, visitor=visitor)))
        if not left:
            await self._write(partial(forgetting.arrive, visitor=visitor))
        await self._clean()

    async def _clean(self) -> None:
        await self._write(partial(forgetting.rename_predictions, since=self._clock() - SERVICE))
        self._clean_log = await asyncio.to_thread(self._ledger.empty_log)

    async def _delete(self, owned: Sequence[Owned], delete: Callable[[str, str], Awaitable[None]]) -> int:
        """How many are still here: they go on, or the disk can't be written to."""
        left = 0
        for one in owned:
            try:
                await delete(one.visitor, one.id)
            except KontextError:
                left += 1
        return left

    async def _rename(self, run_ids: Sequence[str]) -> int:
        """How many keep their name for now, by which their files are found."""
        gone = [id for id in run_ids if not await asyncio.to_thread(files.folder_of(self._ledger.home, id).exists)]
        for run_id in gone:
            await self._write(partial(forgetting.rename, run_id=run_id))
        return len(run_ids) - len(gone)

    async def _read(self, work: Callable[[sa.Connection], T]) -> T:
        def reading() -> T:
            with self._ledger.reading() as connection:
                return work(connection)

        return await self._runs.readers(reading)

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        def writing() -> T:
            with self._ledger.writing() as connection:
                return work(connection)

        return await asyncio.to_thread(writing)
