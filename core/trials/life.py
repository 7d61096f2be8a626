"""The life of a trial: draft, sealed, making, open, closed. Its cells are runs like any others, of one reservation."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from core.access.codes import code_hash, new_code
from core.catalog.estimate import dollars
from core.catalog.inputs import seed_drawer
from core.errors import InputError, KontextError, LedgerError, Problem
from core.ledger import ballots, trials
from core.ledger.ballots import Judge
from core.ledger.ledger import Ledger
from core.ledger.run import Cell, Run
from core.ledger.trials import Case, Picture, Spec, State, Trial, Unpaid
from core.pictures.reference import Reference
from core.runs import files
from core.runs.news import LOOK_INTERVAL
from core.runs.runs import Asked, Runs
from core.runs.runtime import Runtime
from core.service.account import Account
from core.statistics.report import report
from core.trials import results, seal
from core.trials.blind import Blind
from core.trials.making import Making, read, still_making, write
from core.trials.trial import FOLDER, TrialCell, check_draft, folder_of, plan, total

SAVING = 600.0  # seconds that it takes at most, clocks that differ included
CODE = "kj_"  # how a judges' code begins
MOST_DRAFTS = 100  # of one visitor
MOST_REPORTS = 1000  # that are kept in memory, at a few kB each

NO_TRIAL = "There is no such trial."
SEALED = "This trial is sealed, so nothing of it can change."
CHANGED = "This trial was changed meanwhile, so it is not sealed."
NO_JUDGE = "That judge can't be removed."
NOT_OPEN = "Judges can't vote on this trial."
NOT_CLOSED = "This trial isn't closed yet, so there is no report."

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a trial has come: so many of its cells are done, be it without a picture. `waits`: for its key."""

    trial: Trial
    done: int
    cells: int
    waits: bool = False


class Trials:
    """All trials of one ledger. A trial is found by the visitor who made it, and by nobody else: for all others there
    is none.
    """

    def __init__(self, ledger: Ledger, runs: Runs, blind: Blind, runtime: Runtime) -> None:
        self._ledger = ledger
        self._folder = ledger.home
        self._runs = runs
        self._clock = runtime.clock
        self._sleep = runtime.sleep
        self._draw_seed = seed_drawer(runtime.random)
        self._making = Making(ledger, runs, blind, runtime)
        self._reports: dict[str, dict[str, Any]] = {}
        self._writing: set[asyncio.Task[Any]] = set()

    # setting up

    async def save(self, visitor: str, account: Account, spec: Spec, trial_id: str = "") -> Trial:
        """A draft, new or in the place of an older one. It may lack anything; files of its references are kept.

        Raises:
            InputError: it is larger than a trial can be.
            KontextError: there is no such draft of this visitor, or no room for one more.
        """
        check_draft(spec)
        if trial_id:
            await self.get(visitor, trial_id)
        kind, now = account.kind, self._clock()
        trial = Trial(trial_id or secrets.token_hex(16), visitor, account.id, kind, now, spec)
        return await self._to_its_end(asyncio.to_thread(self._save, trial, new=not trial_id))

    def _save(self, trial: Trial, *, new: bool) -> Trial:
        folder = folder_of(self._folder, trial.id)
        trial = replace(trial, spec=_with_files(trial.spec, folder))
        with self._ledger.writing() as connection:
            if new and trials.drafts(connection, trial.visitor) >= MOST_DRAFTS:
                shutil.rmtree(folder, ignore_errors=True)
                raise KontextError(f"There are {MOST_DRAFTS} drafts already.", "Delete one that you no longer need.")
            if not trials.put(connection, trial, self._folder):
                raise KontextError(SEALED, "Make a new one.")
        _drop_others(trial.spec, folder)
        return trial

    def plan(self, account: Account, spec: Spec, confirmed: Decimal) -> tuple[Spec, tuple[TrialCell, ...]]:
        """The same with every seed drawn, and all cells that it makes.

        Raises:
            InputError: with every problem found; or the total is not the one that was confirmed, by the list's prices
                or by the account's own.
        """
        spec, cells = plan(spec, self._draw_seed, self._clock())
        expected = total(cells, self._runs.prices(account, 1))
        if confirmed not in (expected, total(cells)):
            sentence = f"These {len(cells)} pictures are expected to cost {dollars(expected)}. Confirm that amount."
            raise InputError([Problem("confirm_usd", sentence)])
        return spec, cells

    async def seal(self, visitor: str, account: Account, trial_id: str, confirmed: Decimal) -> tuple[Trial, str]:
        """Fix everything, reserve the whole total, and begin with the pictures: the trial, and the judges' code.

        Raises:
            InputError: with every problem found; or the total is not the one that was confirmed.
            KontextError: the service asks for more by now, a budget refuses it, or it can't be recorded: nothing is
                reserved, and it stays a draft.
        """
        draft, now = await self.get(visitor, trial_id), self._clock()
        if draft.state != "draft":
            raise KontextError(SEALED, "Make a new one.")
        spec, cells = self.plan(account, draft.spec, confirmed)
        prices = self._runs.prices(account, 1)
        text = seal.canonical(seal.document(spec, cells, prices, now, practice=account.kind == "sandbox"))
        code = new_code(CODE)
        fixed: dict[str, Any] = {
            "sealed": text,
            "seal": seal.seal(text),
            "sealed_at": now,
            "code_hash": code_hash(code),
            "account_id": account.id,
            "account_kind": account.kind,
            "invitation": account.invitation,
        }
        sealed = partial(trials.seal, draft=draft, spec=spec, home=self._folder, **fixed)
        reserve = partial(self._reserve, visitor, account, sealed, _asked(draft.id, spec, cells), confirmed)
        await self._to_its_end(self._making.begin(replace(draft, spec=spec), account, reserve))
        return await self.get(visitor, trial_id), code

    async def _reserve(
        self,
        visitor: str,
        account: Account,
        sealed: Callable[[sa.Connection], bool],
        asked: Sequence[Asked],
        confirmed: Decimal,
    ) -> list[Run]:
        if not await self._write(sealed):
            raise KontextError(CHANGED, "Look at it once more, then seal it.")
        return await self._runs.start_all(visitor, account, asked, confirmed=confirmed)

    async def resume(self, account: Account) -> None:
        """Go on with the trials of that account that an earlier process, or the lack of the key, left unmade."""
        await self._making.resume(account)

    # following

    async def get(self, visitor: str, trial_id: str) -> Trial:
        """The visitor's trial as it stands.

        Raises:
            KontextError: there is none of that id.
        """
        trial = await self._write(partial(self._find, visitor=visitor, trial_id=trial_id))
        if trial is None:
            raise KontextError(NO_TRIAL, "Check its id.")
        return trial

    def _find(self, connection: sa.Connection, visitor: str, trial_id: str) -> Trial | None:
        trials.close_due(connection, self._clock())
        return trials.find(connection, visitor, trial_id, self._folder)

    async def list_for(self, visitor: str) -> list[Trial]:
        """All of the visitor's trials, newest first."""
        await self._write(partial(trials.close_due, now=self._clock()))
        return await self._read(partial(trials.every, visitor=visitor, home=self._folder))

    async def watch(self, visitor: str, trial_id: str) -> AsyncGenerator[Progress]:
        """The trial as it stands, then each change while its pictures are made.

        Raises:
            KontextError: there is none of that id.
        """
        while True:
            making = self._making.under_way.get(trial_id)
            changed = making.changed if making else None
            trial = await self.get(visitor, trial_id)
            cells = len(trial.spec.variants) * len(results.places(trial))
            unmade = trial.state in ("sealed", "making")
            elsewhere = unmade and making is None and await self._is_made_elsewhere(trial)
            made = await self._made(trial) if elsewhere else cells * (trial.state in ("open", "closed"))
            waits = unmade and making is None and not elsewhere
            yield Progress(trial, making.done if making else made, cells, waits)
            if changed is not None:
                await changed.wait()
            elif elsewhere:
                await self._sleep(LOOK_INTERVAL)
            else:
                return

    async def _is_made_elsewhere(self, trial: Trial) -> bool:
        owner = await self._read(partial(trials.owner, trial_id=trial.id))
        return owner is not None and owner != self._runs.leases.owner

    async def _made(self, trial: Trial) -> int:
        """How many of its cells have come to an end, as the ledger tells."""
        tries = results.tries_of(await self._runs.comparison(trial.visitor, trial.id))
        return sum(runs[-1].finished for runs in tries.values())

    async def progress(self, visitor: str, trial_id: str) -> list[tuple[Judge, int, int]]:
        """Each judge with how many votes and how many ballots they have: nothing of what they said."""
        trial = await self.get(visitor, trial_id)

        def told(connection: sa.Connection) -> list[tuple[Judge, int, int]]:
            counts = ballots.counts(connection, trial.id)
            return [(judge, *counts.get(judge.id, (0, 0))) for judge in ballots.judges(connection, trial.id)]

        return await self._read(told)

    async def invite(self, visitor: str, trial_id: str) -> str:
        """A new code for the judges; the old one lets nobody in any more. Who is in stays in.

        Raises:
            KontextError: there is no such trial, or nobody can vote on it.
        """
        trial = await self.get(visitor, trial_id)
        if trial.state not in ("making", "open"):
            raise KontextError(NOT_OPEN, "Only one that is sealed and not closed takes votes.")
        code = new_code(CODE)
        await self._write(partial(trials.change, trial_id=trial.id, code_hash=code_hash(code)))
        return code

    async def uninvite(self, visitor: str, trial_id: str) -> None:
        """From now on nobody else comes in."""
        trial = await self.get(visitor, trial_id)
        await self._write(partial(trials.change, trial_id=trial.id, code_hash=None))

    async def remove(self, visitor: str, trial_id: str, number: int) -> None:
        """Take the place of the judge of that number away for somebody else; the report says how many votes went.

        Raises:
            KontextError: there is no such trial, it is not open, or it has no such judge.
        """
        trial, now = await self.get(visitor, trial_id), self._clock()

        def removed(connection: sa.Connection) -> bool:
            is_open = trials.is_open(connection, trial.id, now)
            return is_open and ballots.remove(connection, trial.id, number, now)

        if not await self._write(removed):
            raise KontextError(NO_JUDGE, "Judges can be removed until the trial is closed.")

    # the end

    async def close(self, visitor: str, trial_id: str) -> Trial:
        """Take no more votes.

        Raises:
            KontextError: there is no such trial, or it is not open.
        """
        trial, now = await self.get(visitor, trial_id), self._clock()
        if trial.state not in ("open", "closed"):
            raise KontextError(NOT_OPEN, "It can be closed once its pictures are made.")
        change = partial(trials.move, trial_id=trial.id, before="open", after="closed", closed_at=now, code_hash=None)
        await self._write(change)
        return await self.get(visitor, trial_id)

    async def report(self, visitor: str, trial_id: str) -> dict[str, Any]:
        """What the votes say, as `core.statistics.report.report` tells it.

        Raises:
            KontextError: there is no such trial, or it is not closed.
        """
        return dict((await self.document(visitor, trial_id))["report"])

    async def look(self, visitor: str, trial_id: str) -> dict[str, Any]:
        """The same before the closing, which the report then says, and which makes a winner harder to name.

        Raises:
            KontextError: there is no such trial, or it is not open.
        """
        trial, now = await self.get(visitor, trial_id), self._clock()
        if trial.state == "open" and trial.looked_at is None:
            trial = replace(trial, looked_at=now)
            await self._write(partial(trials.change, trial_id=trial.id, looked_at=now))
        return dict((await self._document(_in(trial, "open", "closed")))["report"])

    async def document(self, visitor: str, trial_id: str) -> dict[str, Any]:
        """The whole of a closed trial for a file that `core.trials.seal.check` can be asked about.

        Raises:
            KontextError: there is no such trial, or it is not closed.
        """
        return await self._document(_in(await self.get(visitor, trial_id), "closed"))

    async def _document(self, trial: Trial) -> dict[str, Any]:
        tries = results.tries_of(await self._runs.comparison(trial.visitor, trial.id))
        return await asyncio.to_thread(self._told, trial, results.making(trial, tries))

    def _told(self, trial: Trial, making: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        with self._ledger.reading() as connection:
            told = results.unordered(ballots.voted(connection, trial.id))
            removed = ballots.votes_removed(connection, trial.id)
            pictures = results.picture_rows(trials.pictures(connection, trial.id, self._folder))
        judges = {judge.number: judge.name if judge.named else "" for judge, _ in told}
        file: dict[str, Any] = {
            "sealed": json.loads(str(trial.sealed)),
            "seal": trial.seal,
            "pictures": pictures,
            "withdrawn": list(trial.withdrawn),
            "pictures_seal": seal.pictures_seal(str(trial.seal), pictures, trial.withdrawn),
            "making": list(making),
            "late": trial.late,
            "looked": trial.looked_at is not None,
            "removed": removed,
            "judges": [{"judge": number, "name": name} for number, name in judges.items()],
            "votes": results.vote_rows(told),
        }
        file["report"] = self._report(trial, file)
        return {**file, "votes_seal": seal.votes_seal(file)}

    def _report(self, trial: Trial, file: Mapping[str, Any]) -> dict[str, Any]:
        """Of a closed trial worked out once, since that takes a while and nothing of it changes any more."""
        told = self._reports.get(trial.id) or report(results.facts(file), results.votes(file["votes"]))
        if trial.state == "closed" and len(self._reports) < MOST_REPORTS:
            self._reports[trial.id] = told
        return told

    async def pictures(self, visitor: str, trial_id: str) -> list[Picture]:
        """The pictures of a closed trial.

        Raises:
            KontextError: there is no such trial, or it is not closed.
        """
        trial = _in(await self.get(visitor, trial_id), "closed")
        return await self._read(partial(trials.pictures, trial_id=trial.id, home=self._folder))

    async def delete(self, visitor: str, trial_id: str) -> None:
        """Take a trial away, with its pictures, its votes and its judges' names; what it cost still counts.

        Raises:
            KontextError: there is no such trial, or its pictures are being made.
        """
        trial = await self.get(visitor, trial_id)
        if trial.id in self._making.under_way or not await self._runs.leases.take_trial(trial.id):
            raise still_making()
        await self._to_its_end(self._delete(trial))

    async def _delete(self, trial: Trial) -> None:
        made = await self._runs.comparison(trial.visitor, trial.id)
        # The trial first: what is left of it where a crash cuts this off is found by its lack.
        if not await self._write(partial(trials.delete, trial_id=trial.id, state=trial.state)):
            raise still_making()
        for run in made:
            await self._runs.delete(run.visitor, run.id, of_trial=True)
        await asyncio.to_thread(shutil.rmtree, folder_of(self._folder, trial.id), ignore_errors=True)
        self._reports.pop(trial.id, None)
        await self._runs.discard([reference for case in trial.spec.cases for reference in _without_cards(case)])

    async def unpaid(self) -> list[Unpaid]:
        """Every trial that nothing was paid for and that is not being made."""
        return await self._read(partial(trials.unpaid, home=self._folder))

    async def clear_deleted(self) -> None:
        """Take away what is left of deleted trials, where a crash cut the deletion off."""
        for visitor, run_id in await self._read(trials.orphans):
            await self._runs.delete(visitor, run_id, of_trial=True)
        known = await self._read(trials.ids)
        # A draft that another replica saves just now has its files before it has its row.
        before = math.inf if self._runs.leases.alone else self._clock().timestamp() - SAVING
        await asyncio.to_thread(_clear, self._folder / FOLDER, known, before)

    async def aclose(self) -> None:
        """Let go what is being made, which goes on at the next start, and bring to its end what is being written."""
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self._making.aclose()

    async def lose_all(self) -> None:
        """Let go what is being made: another replica may have taken it over."""
        await self._making.aclose()

    # inside

    async def _read(self, work: Callable[[sa.Connection], T]) -> T:
        return await read(self._ledger, work)

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        return await write(self._ledger, work)

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Whoever stops waiting for it: a tab that closes must leave nothing half done."""
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return await asyncio.shield(task)


def _in(trial: Trial, *states: State) -> Trial:
    """The same, if it is in one of these states."""
    if trial.state not in states:
        raise KontextError(NOT_CLOSED, "Close it first: nobody sees results before that.")
    return trial


def _asked(trial_id: str, spec: Spec, cells: Sequence[TrialCell]) -> list[Asked]:
    return [
        Asked(cell.inputs, _without_cards(spec.cases[cell.case - 1]), cell=Cell(trial_id, "trial", cell.row))
        for cell in cells
    ]


def _without_cards(case: Case) -> list[Reference]:
    """Its references; their cards belong to the studio, where somebody may work with them."""
    return [replace(reference, card=None) for reference in case.references]


def _with_files(spec: Spec, folder: Path) -> Spec:
    """The same with references that are the trial's own, each content once."""

    def kept(reference: Reference) -> Reference:
        path = files.keep_reference(reference, folder, reference.sha256)
        return replace(reference, path=path)

    try:
        cases = tuple(replace(case, references=tuple(map(kept, case.references))) for case in spec.cases)
    except OSError:
        happened = "The references can't be kept: the app's disk is full or can't be written to, or one is gone."
        raise LedgerError(happened, "Free some space or add the references again.") from None
    return replace(spec, cases=cases)


def _drop_others(spec: Spec, folder: Path) -> None:
    """Take away references that no case has any more."""
    kept = {reference.path for case in spec.cases for reference in case.references}
    for path in (folder / "references").glob("*"):
        if path not in kept:
            path.unlink(missing_ok=True)


def _clear(folder: Path, known: Collection[str], before: float) -> None:
    """Take away the folders of all trials that are not known, as far as nothing was put there since then."""
    for path in folder.glob("*"):
        if path.name not in known and path.stat().st_mtime < before:
            shutil.rmtree(path, ignore_errors=True)
