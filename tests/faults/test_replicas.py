"""Two replicas on one database, with 20 runs in flight: one is killed, or stands still and wakes up again."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from checks import check_books, check_ends
from lean import history, replica, spent, start_process
from server import Gate, Server, plainly
from test_kill import check_each_task_is_shown, draw_moment, draw_presses, ending, hear


def moments(*gate: int) -> list[Any]:
    """Twenty-five, of which these are met in the gate."""
    return [seed if seed in gate else pytest.param(seed, marks=pytest.mark.soak) for seed in range(25)]


Replica = tuple[BaseProcess, Connection]


@contextmanager
def two(server: Server, folder: Path, database: str, seed: int) -> Iterator[tuple[list[Replica], Gate]]:
    """Each has half of the presses written down, and nothing of them sent as yet."""
    presses = draw_presses(20, random.Random(seed))
    gate = server.gate("upload")
    with ExitStack() as stack:
        replicas = [
            start_process(replica, folder, server.url, database, seed + number, presses[number::2])
            for number in range(2)
        ]
        for process, told in replicas:
            stack.enter_context(closing(told))
            stack.enter_context(ending(process))
        for one in replicas:
            assert hear(*one) == 10
        for _, told in replicas:
            told.send("all have pressed")
        yield replicas, gate


def at_a_moment(server: Server, seed: int, blow: Callable[[], None]) -> None:
    moment = draw_moment(seed, random.Random(seed))
    server.next[moment.kind].extend([plainly] * (moment.nth - 1))
    server.next[moment.kind].append(moment.fault(blow))


def check(server: Server, folder: Path) -> None:
    """Nothing was sent twice, each picture that was paid for is here, and the ledger is what the service charged."""
    runs = history(folder)
    assert len(runs) == 20
    assert server.seen["submit"] <= sum(len(run.predictions) for run in runs)
    check_ends(runs)
    check_books(runs, spent(folder), server.books())
    check_each_task_is_shown(runs)


@pytest.mark.parametrize("seed", moments(8))
def test_one_is_killed(server: Server, tmp_path: Path, postgresql: str, seed: int) -> None:
    """The other brings all to its end once the lease has run out."""
    server.renew(seconds=0.3, seed=seed)
    with two(server, tmp_path / "data", postgresql, seed) as (((first, _), other), gate):
        at_a_moment(server, seed, first.kill)
        gate.open()
        assert hear(*other) == "done"
        other[1].send("that is all")
        other[0].join(30)
    check(server, tmp_path / "data")


@pytest.mark.parametrize("seed", moments())
def test_one_stands_still(server: Server, tmp_path: Path, postgresql: str, seed: int) -> None:
    """The other brings all to its end; the one that wakes up sends nothing and writes nothing of what it had lost."""
    server.renew(seconds=0.3, seed=seed)
    with two(server, tmp_path / "data", postgresql, seed) as (((first, told), other), gate):
        at_a_moment(server, seed, lambda: os.kill(first.pid or 0, signal.SIGSTOP))
        gate.open()
        assert hear(*other) == "done"
        sent, before = server.seen["submit"], history(tmp_path / "data")
        os.kill(first.pid or 0, signal.SIGCONT)
        assert hear(first, told) == "done"
        assert (server.seen["submit"], history(tmp_path / "data")) == (sent, before)
        for process, line in ((first, told), other):
            line.send("that is all")
            process.join(30)
    check(server, tmp_path / "data")
