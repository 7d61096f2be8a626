"""Runs that are asked for once more: by a person, or by themselves until they have their picture."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from core.catalog.inputs import check
from core.catalog.variants import PICTURES, SEED
from core.errors import BudgetError, KontextError, LedgerError
from core.ledger.pause import INVITATION_PAUSED, PAUSED
from core.ledger.run import Run
from core.runs.flow import INTERRUPTED
from core.runs.runs import Asked, Runs
from core.service.account import Account

TRIES = 2
CHECKS = 2  # for a task that goes on at the service after we stopped waiting
PAUSE = 2.0  # seconds before each of either


class Unfinished(Exception):
    """The app closes, the key is not here, or the host has paused what pays: it goes on once that is over."""


def asked_again(run: Run) -> Asked:
    """What was asked for in that run."""
    values = {**run.values, PICTURES.name: run.pictures, SEED.name: run.seed}
    inputs = check(run.variant_id, run.prompt, len(run.references), values, lambda: 0)
    return Asked(inputs, run.references, run.preset, run.cell, replace(run.label, chosen=False))


async def insist(
    runs: Runs, account: Account, tries: Sequence[Run], sleep: Callable[[float], Awaitable[None]]
) -> list[Run]:
    """See a run to its end; one that failed and cost nothing is made once more.

    `tries` are the runs that there are of it, oldest first; they come back as they ended, with those that were added.
    A picture that may yet come is waited for, never ordered again, and nothing goes beyond what was reserved at first.

    Raises:
        Unfinished: it can't be seen to its end now.
        LedgerError: it can't be recorded.
    """
    told, checks = list(tries), 0
    while True:
        run = told[-1] = await _end_of(runs, told[-1])
        if run.resumable and not run.outputs and checks < CHECKS:
            checks += 1
            await sleep(PAUSE)
            await runs.resume(await runs.owner(run), account, run.id)
        elif not run.outputs and _may_be_tried_again(told):
            await sleep(PAUSE)
            try:
                owner = await runs.owner(run)
                told += await runs.start_all(owner, account, [asked_again(run)], confirmed=run.estimate)
            except LedgerError:
                raise
            except KontextError as refused:  # the budget has gone elsewhere meanwhile, or the price has risen
                if not runs.accepting or (isinstance(refused, BudgetError) and refused.cap == "paused"):
                    raise Unfinished from refused
                return told
        else:
            return told


async def _end_of(runs: Runs, run: Run) -> Run:
    async for state in runs.watch(await runs.owner(run), run.id):
        run = state
    if not run.finished or not runs.accepting:
        raise Unfinished
    return run


def _may_be_tried_again(tries: Sequence[Run]) -> bool:
    """What the app's own end or the host's pause kept from being sent was no try."""
    no_try = (INTERRUPTED, PAUSED, INVITATION_PAUSED)
    counted = [run for run in tries if not any(trouble.happened in no_try for trouble in run.troubles)]
    return len(counted) < TRIES and not any(run.charge for run in tries)
