"""The application without its page, against a service at an address: in real time, but in more of a hurry."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
from databases import DATABASE, open_ledger
from running import KEY, picture

from core.access.budget import Budget
from core.catalog.inputs import check
from core.catalog.variants import REGISTRY
from core.comparisons.comparison import plan, start
from core.ledger.record import snapshot
from core.ledger.run import Run
from core.ledger.trials import Case, Spec
from core.pictures.decoder import Decoder
from core.pictures.reference import Reference, prepare
from core.runs.leases import Leases
from core.runs.runs import Runs
from core.runs.runtime import Runtime, Timeouts
from core.service.account import Account
from core.service.client import LIMITS, Client
from core.trials.blind import Blind
from core.trials.life import Trials

HASTE = 20  # a pause of the app is that many times shorter here
LEASE, RENEWAL = timedelta(seconds=2), 10.0  # the pause as the app counts it
TIMEOUTS = Timeouts(
    search=timedelta(seconds=1.2),
    answer=timedelta(seconds=3),
    unknown=timedelta(seconds=1),
    fetch=timedelta(seconds=2),
    optional_wait=1,
    bill=1,
    shutdown_grace=5,
)
BRIEF = replace(TIMEOUTS, search=timedelta(seconds=0.2), fetch=timedelta(seconds=0.2))  # where it is all in vain
SMALL = {"size": "256*256"}
VISITOR = "ann"


@dataclass(frozen=True)
class Press:
    """What a person asks for."""

    variant: str = "ultra-fast"
    pictures: int = 1
    prompt: str = "make it red"
    values: dict[str, Any] = field(default_factory=lambda: dict(SMALL))
    reference: str = "teal"  # its colour
    cells: int = field(default=1, init=False)  # runs that it makes


@dataclass(frozen=True)
class Comparison:
    """What a person asks for who wants to know which of four pictures matters, and to which variant."""

    variants: tuple[str, ...] = tuple(REGISTRY)
    values: dict[str, Any] = field(default_factory=lambda: {"leave_one_out": True, **SMALL})
    cells: int = 24


@dataclass(frozen=True)
class Trial:
    """What a person asks for who wants to know which of two is good enough for many things."""

    cases: int = 24
    variants: tuple[str, ...] = ("dev", "ultra-fast")
    price: Decimal = Decimal("0.055")  # of a case

    @property
    def cells(self) -> int:
        return self.cases * len(self.variants)


Asked = Press | Comparison | Trial

PRO, MAX = Press("pro", values={}), Press("max", values={})


class Hurried(httpx.AsyncHTTPTransport):
    """Real connections that wait less for an answer than the client asks them to: `get` and `post` in seconds."""

    def __init__(self, get: float, post: float) -> None:
        super().__init__(limits=LIMITS)
        self._seconds = {"GET": get, "POST": post}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["timeout"]["read"] = self._seconds.get(request.method, 10)
        return await super().handle_async_request(request)


class Lean:
    """Ledger, runs and a client of the host's key."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        seed: int = 0,
        get: float = 10,
        post: float = 10,
        budget: Budget | None = None,
        timeouts: Timeouts = TIMEOUTS,
        lock: float = 30,
        runtime: Runtime | None = None,
        shared: bool = False,
        **runs: Any,
    ) -> None:
        """`shared`: beside other replicas, on one ledger."""
        self.folder = folder
        self.ledger = open_ledger(folder, timeout=lock)
        dice = random.Random(seed)
        client = Client(KEY, url, transport=Hurried(get, post), sleep=hurried, random=dice)
        self.account = Account("host", "host", client)
        runtime = runtime or Runtime(sleep=hurried, random=dice, timeouts=timeouts)
        self.leases = Leases(self.ledger, runtime, alone=not shared, lease=LEASE, renewal=RENEWAL)
        self.runs = Runs(self.ledger, folder, budget=budget or Budget(), runtime=runtime, leases=self.leases, **runs)
        self.decoder = Decoder()
        self.trials = Trials(self.ledger, self.runs, Blind(self.decoder, folder), runtime)

    def keeping(self) -> list[Coroutine[Any, Any, None]]:
        """What a replica does all the time: renew its lease, take over what others leave, hear of them."""
        return [self.leases.keep(self.runs.lose_all, self._take_over), self.runs.news.keep(self.runs.asked)]

    async def _take_over(self) -> None:
        await self.runs.heed()
        await self.runs.take_over(self.account)

    async def press(self, press: Press, visitor: str = VISITOR) -> Run:
        values = {**press.values, "num_images": press.pictures}
        inputs = check(press.variant, press.prompt, 1, values, lambda: 4711)
        reference = prepare(picture(press.reference), 1, self.folder / "references")
        return await self.runs.start(visitor, self.account, inputs, [reference])

    async def compare(self, comparison: Comparison, visitor: str = VISITOR) -> list[Run]:
        colours = enumerate(("teal", "red", "gold", "navy"), 1)
        references = [prepare(picture(colour), n, self.folder / "references") for n, colour in colours]
        made = plan("make it red", 4, comparison.variants, comparison.values, lambda: 4711)
        assert len(made.cells) == comparison.cells
        return (await start(self.runs, visitor, self.account, made, references))[1]

    async def try_out(self, trial: Trial, visitor: str = VISITOR) -> list[Run]:
        reference = a_reference(self.folder)
        cases = tuple(Case(f"make {n} red", (reference,), SMALL) for n in range(trial.cases))
        spec = Spec("Red", "Which one?", trial.variants, cases)
        draft = await self.trials.save(visitor, self.account, spec)
        await self.trials.seal(visitor, self.account, draft.id, trial.price * trial.cases)
        return await self.runs.comparison(visitor, draft.id)

    async def all_of(self, press: Asked) -> list[Run]:
        """The runs of one press."""
        if isinstance(press, Trial):
            return await self.try_out(press)
        return await self.compare(press) if isinstance(press, Comparison) else [await self.press(press)]

    async def end_of(self, run: Run) -> Run:
        async with asyncio.timeout(120):
            return [seen async for seen in self.runs.watch(run.visitor, run.id)][-1]

    async def run(self, press: Press) -> Run:
        return await self.end_of(await self.press(press))

    async def aclose(self) -> None:
        await self.trials.aclose()
        await self.runs.aclose()
        await self.account.client.aclose()
        self.decoder.close()
        self.ledger.close()


def hurried(seconds: float) -> Awaitable[None]:
    return asyncio.sleep(seconds / HASTE)


def a_reference(folder: Path) -> Reference:
    return prepare(picture(), 1, folder / "references")


def history(folder: Path, visitor: str = VISITOR) -> list[Run]:
    """The visitor's runs as a page would show them, read by nobody but us."""
    ledger = open_ledger(folder)
    try:
        return [snapshot(record, datetime.now(UTC)) for record in ledger.list_for(visitor)]
    finally:
        ledger.close()


def spent(folder: Path, visitor: str = VISITOR) -> Decimal:
    """The ledger's total."""
    ledger = open_ledger(folder)
    try:
        return ledger.spent(visitor, datetime.now(UTC) - timedelta(days=1))
    finally:
        ledger.close()


# a process of its own, which can be killed

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["lean", "sandbox"])


def start_process(target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Start it with the far end of a pipe as its last argument; what it says comes out of ours."""
    ours, theirs = _FORKS.Pipe()
    given = (os.environ.get(DATABASE), target, *arguments, theirs)
    process = _FORKS.Process(target=_in_the_test_s_own, args=given, daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _in_the_test_s_own(database: str | None, target: Callable[..., None], *arguments: Any) -> None:
    """The server of forks has the environment of whichever test came first, and with it that test's database."""
    os.environ.pop(DATABASE, None)
    if database:
        os.environ[DATABASE] = database
    target(*arguments)


def live(folder: Path, url: str, seed: int, presses: Sequence[Asked], told: Connection) -> None:
    """Resume what an earlier process left, press, say how many were reserved, see all of them to their end."""
    asyncio.run(_live(folder, url, seed, presses, told))


def replica(folder: Path, url: str, database: str, seed: int, presses: Sequence[Asked], told: Connection) -> None:
    """The same beside others, going on with what they leave: it sees all runs to their end, whosever they are."""
    os.environ[DATABASE] = database
    asyncio.run(_replica(folder, url, seed, presses, told))


async def _replica(folder: Path, url: str, seed: int, presses: Sequence[Asked], told: Connection) -> None:
    lean = Lean(folder, url, seed=seed, shared=True)
    await lean.leases.begin()
    keeping = [asyncio.create_task(work) for work in lean.keeping()]
    told.send(len([run for press in presses for run in await lean.all_of(press)]))
    await asyncio.to_thread(told.recv)  # the others have pressed as well
    for run in await lean.runs.list_for(VISITOR):
        await lean.end_of(run)
    for task in keeping:
        task.cancel()
    told.send("done")
    await asyncio.to_thread(told.recv)  # nothing more is asked of it
    await lean.leases.leave()
    await lean.aclose()


async def _live(folder: Path, url: str, seed: int, presses: Sequence[Asked], told: Connection) -> None:
    lean = Lean(folder, url, seed=seed)
    await lean.runs.resume_all(lean.account)
    await lean.trials.resume(lean.account)
    if presses:
        told.send(len([run for press in presses for run in await lean.all_of(press)]))
    for run in await lean.runs.list_for(VISITOR):
        await lean.end_of(run)
    for trial in await lean.trials.list_for(VISITOR):
        async with asyncio.timeout(120):
            async for _ in lean.trials.watch(VISITOR, trial.id):
                pass
    await lean.aclose()
    told.send("done")
