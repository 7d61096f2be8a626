"""The process is killed outright with many runs in flight, and started again: no picture and no cent is lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from checks import check_books, check_ends
from lean import MAX, PRO, VISITOR, Asked, Comparison, Press, Trial, history, live, spent, start_process
from server import Exchange, Fault, Server, after, half_a_json, html, plainly, reset

from core.ledger import trials
from core.ledger.ledger import Ledger
from core.ledger.record import snapshot
from core.ledger.run import Run

FEW, MANY = 6, 20  # runs in flight; many in a soak
SECONDS = 120  # for a process to say something
NEVER_CREATED = {"not sent", "not created", "refused"}


@dataclass(frozen=True)
class Moment:
    """When it dies: around the nth request of a kind, before or after the service has done it, and a little later."""

    kind: str
    nth: int
    done: bool
    pause: float

    def fault(self, die: Callable[[], None]) -> Fault:
        async def killing(exchange: Exchange) -> None:
            if self.done:
                await exchange.forward()
            await asyncio.sleep(self.pause)
            die()
            exchange.reset()

        return killing


# The first rounds, which are no soak, meet each kind of moment once, before and after the service has done it.
EACH = list(product(["upload", "put", "submit", "result", "download", "billing"], [False, True]))
OFTEN = [*["submit"] * 6, *["result"] * 4, *["download"] * 4, "billing", "upload", "put"]


def runs_in_flight(seed: int) -> int:
    return FEW if seed < len(EACH) else MANY


def draw_moment(seed: int, dice: random.Random) -> Moment:
    kind, done = EACH[seed] if seed < len(EACH) else (dice.choice(OFTEN), dice.random() < 0.5)
    nth = 1 if kind in ("upload", "put") else dice.randint(1, runs_in_flight(seed))
    return Moment(kind, nth, done, dice.choice([0, 0, 0.002, 0.01, 0.03]))


def draw_presses(count: int, dice: random.Random) -> list[Press]:
    """Mostly small pictures; among them duplicates without a seed, which only the ledger tells apart."""
    fast = [replace(Press(), pictures=dice.choice([1, 1, 2]), prompt=f"make {n} red") for n in range(count - 5)]
    presses = [*fast, PRO, replace(PRO, pictures=2), MAX, MAX, MAX]
    dice.shuffle(presses)
    return presses


def hear(process: BaseProcess, told: Connection) -> object:
    """What a process says next; None where it died instead."""
    assert told.poll(SECONDS), f"not a word, exit code {process.exitcode}"
    try:
        return told.recv()
    except EOFError:
        return None


@contextmanager
def ending(process: BaseProcess) -> Iterator[None]:
    """It does not outlive the test."""
    try:
        yield
    finally:
        process.kill()
        process.join(SECONDS)


def spend_a_life(server: Server, folder: Path, seed: int, presses: Sequence[Asked], moment: Moment | None) -> bool:
    """One process from its start to its own end, or to being killed at that moment. Whether it came to its end."""
    gate = server.gate("upload")
    process, told = start_process(live, folder, server.url, seed, presses)
    with closing(told), ending(process):
        if presses:
            assert hear(process, told) == sum(press.cells for press in presses)
        if moment is not None:
            server.next[moment.kind].extend([plainly] * (moment.nth - 1))
            server.next[moment.kind].append(moment.fault(process.kill))
        gate.open()
        ended = hear(process, told) == "done"
        process.join(SECONDS)
    server.clear()
    assert process.exitcode == (0 if ended else -9)
    return ended


@pytest.mark.parametrize(
    "seed", [*range(len(EACH)), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(len(EACH), 25))]
)
def test_killed_and_started_again(server: Server, tmp_path: Path, seed: int) -> None:
    """Each task has its pictures in the history, what was never created says so, and the totals agree."""
    dice, folder = random.Random(seed), tmp_path / "data"
    server.renew(seconds=0.3, seed=seed)
    server.next["submit"].extend(dice.choices([plainly, after(reset), half_a_json, html(502)], [9, 1, 1, 1], k=3))
    spend_a_life(server, folder, seed, draw_presses(runs_in_flight(seed), dice), draw_moment(seed, dice))
    sent = server.seen["submit"]
    if seed % 5 == 0:  # once more, while it takes things up
        kind = dice.choice(["result", "download"])
        spend_a_life(server, folder, seed + 100, [], Moment(kind, dice.randint(1, 5), dice.random() < 0.5, 0))
    assert spend_a_life(server, folder, seed + 200, [], None)
    assert server.seen["submit"] == sent
    runs = history(folder)
    assert len(runs) == runs_in_flight(seed)
    check_ends(runs)
    check_books(runs, spent(folder), server.books())
    check_each_task_is_shown(runs)


@pytest.mark.parametrize(
    "seed", [5, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (4, 9, *range(len(EACH), 25)))]
)
def test_a_comparison_killed_and_started_again(server: Server, tmp_path: Path, seed: int) -> None:
    """All 24 cells are in the history, together; each that was paid for has its picture, none was paid for twice."""
    dice, folder = random.Random(seed), tmp_path / "data"
    server.renew(seconds=0.3, seed=seed)
    spend_a_life(server, folder, seed, [Comparison()], draw_moment(seed, dice))
    sent = server.seen["submit"]
    assert spend_a_life(server, folder, seed + 200, [], None)
    assert server.seen["submit"] == sent <= 24
    runs = history(folder)
    assert [len(runs), len({run.cell.comparison_id for run in runs if run.cell})] == [24, 1]
    check_ends(runs)
    check_books(runs, spent(folder), server.books())
    check_each_task_is_shown(runs)


@pytest.mark.parametrize(
    ("seed", "cases"), [(5, 8), *(pytest.param(seed, 24, marks=pytest.mark.soak) for seed in range(25))]
)
def test_a_trial_killed_and_started_again(server: Server, tmp_path: Path, seed: int, cases: int) -> None:
    """Killed while its cells are made, each comes in the end, and was paid for once; the judges are let in."""
    dice, folder, asked = random.Random(seed), tmp_path / "data", Trial(cases)
    server.renew(seconds=0.3, seed=seed)
    spend_a_life(server, folder, seed, [asked], draw_moment(seed, dice))
    assert spend_a_life(server, folder, seed + 200, [], None)
    with closing(Ledger(folder)) as ledger, ledger.reading() as connection:
        (trial,) = trials.every(connection, VISITOR, folder)
        shown = {(one.case, one.variant) for one in trials.pictures(connection, trial.id, folder) if one.variant}
        runs = [snapshot(record, datetime.now(UTC)) for record in ledger.comparison(VISITOR, trial.id)]
    assert (trial.state, trial.withdrawn, len(shown)) == ("open", (), asked.cells)
    assert Counter((run.cell and run.cell.row, run.variant_id) for run in runs if run.charge) == Counter(
        (row, variant) for row in range(cases) for variant in asked.variants
    )
    check_books(runs, spent(folder), server.books())
    assert spent(folder) == cases * asked.price


def check_each_task_is_shown(runs: Sequence[Run]) -> None:
    """What was created has its pictures; what was not created costs nothing, and says so."""
    for run in runs:
        shown = {output.prediction_id for output in run.outputs}
        for prediction in run.predictions:
            if prediction.id is None:
                assert (prediction.status in NEVER_CREATED, prediction.charge) == (True, 0), prediction
            else:
                assert prediction.id in shown, prediction
        assert all(trouble.charged == "no" for trouble in run.troubles)
