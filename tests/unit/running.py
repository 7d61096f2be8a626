"""What tests of runs share: a time that never passes by itself, a wire that can fail, and a house to run things in."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from databases import open_ledger
from PIL import Image

from core.access.budget import Budget
from core.catalog.inputs import check
from core.ledger.run import Run
from core.pictures.reference import Reference, prepare
from core.runs.leases import Leases
from core.runs.runs import Runs
from core.runs.runtime import Runtime, Timeouts
from core.service.account import Account, AccountKind
from core.service.client import Client
from core.service.prediction import Prediction
from sandbox import create_app

KEY = "wsk_planted_secret_4711"

Forward = Callable[[httpx.Request], Awaitable[httpx.Response]]
Fault = Callable[[httpx.Request, Forward], Awaitable[httpx.Response]]


class Time:
    """A clock that moves only when somebody sleeps; `held` makes sleepers wait until it is let go."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.going = asyncio.Event()
        self.going.set()

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        wake = self.now + timedelta(seconds=seconds)
        await asyncio.sleep(0)
        await self.going.wait()
        self.now = max(self.now, wake)


class Wire(httpx.AsyncBaseTransport):
    """Carries requests to an app. `faults` by kind of request are used up first; a kind in `always` never ends."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app=app)
        self.seen: Counter[str] = Counter()
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.always: dict[str, Fault] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kind = kind_of(request.method, request.url.path)
        self.seen[kind] += 1
        fault = self.faults[kind].popleft() if self.faults[kind] else self.always.get(kind)
        return await (fault(request, self._forward) if fault else self._forward(request))

    async def _forward(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        await response.aread()
        return response


def kind_of(method: str, path: str) -> str:
    """What a request to the service is for."""
    if path.startswith("/storage/"):
        return "download" if method == "GET" else "put"
    ends = {"/result": "result", "/predictions": "history", "/model/price": "quote", "/billings/search": "billing"}
    older = {"/model/pricing": "quote", "/media/upload/binary": "upload"}
    known = {**ends, **older, "/media/uploads": "upload", "/balance": "balance", "/webhook/secret": "secret"}
    return next((kind for end, kind in known.items() if path.endswith(end)), "submit")


async def lost_before(request: httpx.Request, forward: Forward) -> httpx.Response:
    raise httpx.ReadError("reset by peer", request=request)


async def lost_after(request: httpx.Request, forward: Forward) -> httpx.Response:
    await forward(request)
    raise httpx.ReadTimeout("no answer", request=request)


async def html_502_before(request: httpx.Request, forward: Forward) -> httpx.Response:
    return httpx.Response(502, html="<html>Bad gateway</html>")


async def html_502_after(request: httpx.Request, forward: Forward) -> httpx.Response:
    await forward(request)
    return httpx.Response(502, html="<html>Bad gateway</html>")


async def half_a_json(request: httpx.Request, forward: Forward) -> httpx.Response:
    whole = await forward(request)
    return httpx.Response(200, content=whole.content[: len(whole.content) // 2])


async def half_a_body(request: httpx.Request, forward: Forward) -> httpx.Response:
    whole = await forward(request)
    return httpx.Response(200, headers=whole.headers, content=whole.content[: len(whole.content) // 2])


class Held:
    """A fault that lets a request wait: `reached` once the first has come, `go` to let it and all later ones pass."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, request: httpx.Request, forward: Forward) -> httpx.Response:
        self.reached.set()
        await self.go.wait()
        return await forward(request)


def answer(status: int, message: str, **headers: str) -> Fault:
    async def fault(request: httpx.Request, forward: Forward) -> httpx.Response:
        return httpx.Response(status, json={"code": status, "message": message}, headers=headers)

    return fault


def rewritten(change: Callable[[dict[str, Any]], None]) -> Fault:
    """The true answer with its `data` changed."""

    async def fault(request: httpx.Request, forward: Forward) -> httpx.Response:
        body = json.loads((await forward(request)).content)
        change(body["data"])
        return httpx.Response(200, json=body)

    return fault


class House:
    """A whole application without a page: its ledger, its runs, and a sandbox for a service behind a wire."""

    def __init__(
        self,
        folder: Path,
        *,
        kind: AccountKind = "host",
        budget: Budget | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
        mounted: str = "",
        key: str = KEY,
        timeouts: Timeouts = Timeouts(optional_wait=30, bill=30, shutdown_grace=5),  # noqa: B008 - frozen
        beside: House | None = None,
        **runs: Any,
    ) -> None:
        """`beside`: another replica, whose ledger, service and time this one has too."""
        self.folder = folder
        self.time = beside.time if beside else Time()
        sandbox = {"clock": lambda: self.time.now.timestamp(), "sleep": self.time.sleep, "random": random.Random(1)}
        nobody = httpx.MockTransport(lambda _: httpx.Response(200))  # is called where a submit names a webhook
        self.service = beside.service if beside else create_app(seconds=2, calls=nobody, **sandbox)
        self.wire = Wire(self.service)
        self._alone = not runs.pop("shared", beside is not None)
        self.budget = budget or Budget()
        self._key = key
        self._sleep = sleep or self.time.sleep
        self._timeouts = timeouts
        self._settings = runs
        self._mounted = mounted
        self.account = Account(kind, kind, self._client(self.wire))
        self._plain = self._client(self.wire._inner)
        self.reference = prepare(picture(), 1, folder / "references")
        self.open()

    def _client(self, transport: httpx.AsyncBaseTransport) -> Client:
        tools = {"sleep": self.time.sleep, "clock": self.time.clock, "random": random.Random(2)}
        return Client(self._key, "http://service.invalid", transport=transport, **tools)

    def open(self) -> None:
        self._threads = ThreadPoolExecutor()
        asyncio.get_running_loop().set_default_executor(self._threads)
        self.ledger = open_ledger(self.folder, timeout=0.2, mounted=self._mounted)
        self.runtime = Runtime(self.time.clock, self._sleep, random.Random(3), self._timeouts)
        self.leases = Leases(self.ledger, self.runtime, alone=self._alone)
        self.runs = Runs(
            self.ledger, self.folder, budget=self.budget, runtime=self.runtime, leases=self.leases, **self._settings
        )

    async def press(
        self,
        variant: str = "pro",
        pictures: int = 1,
        prompt: str = "make it red",
        visitor: str = "ann",
        references: list[Reference] | None = None,
        confirmed: Decimal | None = None,
        **values: Any,
    ) -> Run:
        references = [self.reference] if references is None else references
        inputs = check(variant, prompt, len(references), {"num_images": pictures, **values}, lambda: 4711)
        return await self.runs.start(visitor, self.account, inputs, references, confirmed=confirmed)

    async def end_of(self, run: Run) -> Run:
        """The last snapshot that a watcher sees."""
        return [seen async for seen in self.runs.watch(run.visitor, run.id)][-1]

    async def run(self, *args: Any, **values: Any) -> Run:
        return await self.end_of(await self.press(*args, **values))

    async def until(self, run: Run, reached: Callable[[Run], bool]) -> Run:
        async for now in self.runs.watch(run.visitor, run.id):
            if reached(now):
                return now
        raise AssertionError("it never came to that")

    async def kill(self) -> None:
        """Every task of ours dies where it stands, and the application starts anew on what is on the disk."""
        mine = tasks_of_ours()
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        self._threads.shutdown()  # a dead process writes nothing any more
        self.ledger.close()
        self.open()

    async def created(self) -> list[Prediction]:
        """Every task on the server's side."""
        return await self._plain.history(inputs=True)

    async def billed(self) -> Decimal:
        """What the server charged, all in all."""
        return sum((await self._plain.billed([p.id for p in await self.created()])).values(), Decimal(0))

    def spent(self, visitor: str = "ann") -> Decimal:
        return self.ledger.spent(visitor, self.time.now - timedelta(days=1))

    async def aclose(self) -> None:
        self.time.going.set()
        await self.runs.aclose()
        await self.account.client.aclose()
        await self._plain.aclose()
        self.ledger.close()


def tasks_of_ours() -> set[asyncio.Task[Any]]:
    """Whatever of the application is under way."""
    return {task for task in asyncio.all_tasks() if "/core/" in _file_of(task)}


async def calm() -> None:
    """Until nothing of it is under way any more."""
    while mine := tasks_of_ours():
        await asyncio.wait(mine)


def _file_of(task: asyncio.Task[Any]) -> str:
    return getattr(getattr(task.get_coro(), "cr_code", None), "co_filename", "")


def picture(colour: str = "teal") -> bytes:
    """A small one, to be sent as a reference."""
    file = BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "PNG")
    return file.getvalue()


def another_reference(folder: Path, colour: str) -> Reference:
    return prepare(picture(colour), 1, folder / "references")
