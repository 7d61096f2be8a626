"""The making of a trial: runs like any others, seen to their end, until the judges can be let in to their pictures."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from core.errors import KontextError
from core.ledger import trials
from core.ledger.ledger import Ledger
from core.ledger.run import Run
from core.ledger.trials import Picture, Trial
from core.runs.again import Unfinished, insist
from core.runs.journal import log_foreign
from core.runs.runs import Runs
from core.runs.runtime import Runtime
from core.service.account import Account
from core.trials import results
from core.trials.blind import Blind

RETRY_INTERVAL = 30.0  # seconds

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass
class Watched:
    """How many cells of a trial are done; `changed` is set at the next change, and then another one."""

    done: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def touch(self, done: int = 0) -> None:
        self.done += done
        self.changed.set()
        self.changed = asyncio.Event()


class Making:
    """Every trial whose pictures are being made just now, in `under_way` by its id from before the reservation on."""

    def __init__(self, ledger: Ledger, runs: Runs, blind: Blind, runtime: Runtime) -> None:
        self._ledger = ledger
        self._runs = runs
        self._blind = blind
        self._runtime = runtime
        self._tasks: set[asyncio.Task[None]] = set()
        self.under_way: dict[str, Watched] = {}

    async def begin(self, trial: Trial, account: Account, reserve: Callable[[], Awaitable[list[Run]]]) -> None:
        """Make a trial by the runs that `reserve` gives once it is sealed; without any, it is a draft again.

        Raises:
            KontextError: it is being made already; or what `reserve` raised.
        """
        if trial.id in self.under_way:
            raise still_making()
        self.under_way[trial.id] = Watched()
        runs: list[Run] = []
        try:
            if not await self._runs.leases.take_trial(trial.id):
                raise still_making()
            runs = await reserve()
        finally:
            if not runs:
                try:
                    await write(self._ledger, partial(trials.unseal, trial_id=trial.id))
                    await self._runs.leases.release_trial(trial.id)
                finally:
                    self._end(trial)
        if runs:
            task = asyncio.create_task(self._make(trial, account, results.tries_of(runs)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def resume(self, account: Account) -> None:
        """Go on with the trials of that account that an earlier process, or the lack of the key, left unmade."""
        for trial in await read(self._ledger, partial(trials.unmade, account_id=account.id, home=self._ledger.home)):
            if trial.id not in self.under_way and await self._runs.leases.take_trial(trial.id):
                paying = replace(account, invitation=trial.invitation)
                await self.begin(trial, paying, partial(self._runs.comparison, trial.visitor, trial.id))

    async def aclose(self) -> None:
        """Let go of all; the next start goes on with them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, trial: Trial, account: Account, tries: results.Tries) -> None:
        async def one(runs: Sequence[Run]) -> list[Run]:
            made = await insist(self._runs, account, runs, self._runtime.sleep)
            self.under_way[trial.id].touch(done=1)
            return made

        try:
            await write(self._ledger, partial(trials.move, trial_id=trial.id, before="sealed", after="making"))
            # All come to an end before any fault counts: nothing of it goes on when it is taken up again.
            made = await asyncio.gather(*map(one, tries.values()), return_exceptions=True)
            await self._opened(trial, {cell: _sound(runs) for cell, runs in zip(tries, made, strict=True)})
        except Unfinished:
            await self._runs.leases.release_trial(trial.id)
        except Exception as fault:  # the next start tries it again
            log_foreign(fault, f"trial {trial.id}")
        finally:
            self._end(trial)

    async def _opened(self, trial: Trial, made: results.Tries) -> None:
        """Open it as soon as the disk and the ledger allow it: everything is paid for, and only this is left."""
        while True:
            try:
                return await self._open(trial, made)
            except KontextError as fault:
                log.warning("a trial can't be opened yet: %s", fault.happened)
            await self._runtime.sleep(RETRY_INTERVAL)

    async def _open(self, trial: Trial, made: results.Tries) -> None:
        """Let the judges in to what there is; where no case is left, there is nothing to judge."""
        trial = replace(trial, withdrawn=results.withdrawn(trial, made))
        pictures = await asyncio.to_thread(lambda: [*_made(trial, made), *_given(trial)])
        unopened = await self._blind.make(trial.id, _of_standing(trial, pictures))
        # No variant is to blame for a file that was damaged here.
        gone = [{"case": case, "reason": reason, "failed": []} for case, reason in unopened.items()]
        trial = replace(trial, withdrawn=(*trial.withdrawn, *gone))
        await write(self._ledger, partial(self._let_in, trial=trial, shown=_of_standing(trial, pictures)))

    def _let_in(self, connection: sa.Connection, trial: Trial, shown: Sequence[Picture]) -> None:
        now, withdrawn = self._runtime.clock(), list(trial.withdrawn)
        if trials.move(connection, trial.id, "making", "open", opened_at=now, withdrawn=withdrawn, owner=None):
            trials.add_pictures(connection, trial.id, shown, self._ledger.home)
        if not trial.standing:
            trials.move(connection, trial.id, "open", "closed", closed_at=now, code_hash=None)

    def _end(self, trial: Trial) -> None:
        self.under_way.pop(trial.id).touch()


def _sound(ended: list[Run] | BaseException) -> list[Run]:
    if isinstance(ended, BaseException):
        raise ended
    return ended


def _of_standing(trial: Trial, pictures: Sequence[Picture]) -> list[Picture]:
    return [picture for picture in pictures if picture.case in trial.standing]


def _made(trial: Trial, made: results.Tries) -> Iterator[Picture]:
    """What the variants made."""
    for (row, variant), runs in made.items():
        case, take = results.places(trial)[row]
        for output in runs[-1].outputs[:1]:
            yield Picture(secrets.token_hex(16), case, variant, take, output.path, _hash_of(output.path), runs[-1].id)


def _hash_of(path: Path) -> str:
    """Nothing of a file that is gone: its case is withdrawn when it can't be opened."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _given(trial: Trial) -> Iterator[Picture]:
    """What they were made from."""
    for number, case in enumerate(trial.spec.cases, 1):
        for place, reference in enumerate(case.references, 1):
            yield Picture(secrets.token_hex(16), number, None, place, reference.path, reference.sha256)


def still_making() -> KontextError:
    return KontextError("Pictures of this trial are still being made.", "Wait until they are made.")


async def read(ledger: Ledger, work: Callable[[sa.Connection], T]) -> T:
    """Do that in one reading of the ledger."""
    return await asyncio.to_thread(_on, ledger.reading, work)


async def write(ledger: Ledger, work: Callable[[sa.Connection], T]) -> T:
    """Do that in one transaction of the ledger."""
    return await asyncio.to_thread(_on, ledger.writing, work)


def _on(open: Callable[[], AbstractContextManager[sa.Connection]], work: Callable[[sa.Connection], T]) -> T:
    with open() as connection:
        return work(connection)
