"""A service on loopback that misbehaves on purpose, and keeps its own books of what was created and charged."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass, replace
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import uvicorn
from running import KEY, kind_of
from starlette.types import Message, Receive, Scope, Send

from sandbox import create_app

T = TypeVar("T")

HTML = b"<html><body><h1>Bad gateway</h1></body></html>"


@dataclass(frozen=True)
class Answer:
    """What the sandbox behind the faults said."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def with_type(self, media_type: bytes) -> Answer:
        others = tuple(h for h in self.headers if h[0] != b"content-type")
        return replace(self, headers=(*others, (b"content-type", media_type)))


class Exchange:
    """One request under way, and all that can be done to it."""

    def __init__(self, inner: Callable[..., Awaitable[None]], scope: Scope, receive: Receive, send: Send) -> None:
        self.kind = kind_of(scope["method"], scope["path"])
        self.path = str(scope["path"])
        self._inner = inner
        self._scope = scope
        self._receive = receive
        self._send = send
        self._answer: Answer | None = None

    async def forward(self) -> Answer:
        """Let the sandbox do what is asked for; its answer is kept back."""
        heard: list[Message] = []

        async def hear(message: Message) -> None:
            heard.append(message)

        await self._inner(self._scope, self._receive, hear)
        body = b"".join(message.get("body", b"") for message in heard)
        return Answer(heard[0]["status"], tuple(heard[0]["headers"]), body)

    async def say(self, answer: Answer, *, announced: int | None = None) -> None:
        """Answer. With more bytes `announced` than there are, the connection is hung up where they end."""
        length = len(answer.body) if announced is None else announced
        headers = [h for h in answer.headers if h[0] != b"content-length"]
        headers.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        more = length > len(answer.body)
        await self._send({"type": "http.response.body", "body": answer.body, "more_body": more})
        if more:
            self._transport.close()

    async def hold(self) -> None:
        """Say nothing until the other side has enough."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def reset(self) -> None:
        """Break the connection as a crash would: RST, not an orderly end."""
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()

    @property
    def _transport(self) -> Any:
        return self._send.__self__.transport  # type: ignore[attr-defined]  # uvicorn's; ASGI has no such word


Fault = Callable[[Exchange], Awaitable[None]]


# faults


async def plainly(exchange: Exchange) -> None:
    await exchange.say(await exchange.forward())


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def silence(exchange: Exchange) -> None:
    await exchange.hold()


async def half_a_json(exchange: Exchange) -> None:
    whole = await exchange.forward()
    await exchange.say(replace(whole, body=whole.body[: len(whole.body) // 2]))


async def half_a_body(exchange: Exchange) -> None:
    whole = await exchange.forward()
    await exchange.say(replace(whole, body=whole.body[: len(whole.body) // 2]), announced=len(whole.body))


async def empty(exchange: Exchange) -> None:
    whole = await exchange.forward()
    await exchange.say(replace(whole, body=b""))


async def junk(exchange: Exchange) -> None:
    whole = await exchange.forward()
    await exchange.say(replace(whole, body=bytes(random.Random(4711).randbytes(300))))


async def corrupt(exchange: Exchange) -> None:
    """As long as it should be, and damaged where a picture says what it is."""
    whole = await exchange.forward()
    await exchange.say(replace(whole, body=b"\0" * 64 + whole.body[64:]))


async def page_as_picture(exchange: Exchange) -> None:
    whole = await exchange.forward()
    await exchange.say(replace(whole, body=HTML))


def mislabelled(media_type: bytes) -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.say((await exchange.forward()).with_type(media_type))

    return fault


def html(status: int) -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.say(Answer(status, ((b"content-type", b"text/html"),), HTML))

    return fault


def refusal(status: int, message: str, **headers: str) -> Fault:
    body = json.dumps({"code": status, "message": message}).encode()
    raw = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())

    async def fault(exchange: Exchange) -> None:
        await exchange.say(Answer(status, ((b"content-type", b"application/json"), *raw), body))

    return fault


def after(fault: Fault) -> Fault:
    """The same, once the sandbox has done what was asked for."""

    async def late(exchange: Exchange) -> None:
        await exchange.forward()
        await fault(exchange)

    return late


SEVEN_WAYS: tuple[Fault, ...] = (
    refusal(429, "Too many requests", retry_after="1"),
    refusal(429, "Too many requests"),
    refusal(500, "Internal error"),
    html(504),
    reset,
    silence,
    half_a_body,
    junk,
)


class ThirtyPercent:
    """Of every ten GETs of one address three fail, each in the next of the ways; which three, a seed says."""

    def __init__(self, seed: int, ways: tuple[Fault, ...] = SEVEN_WAYS) -> None:
        self._dice = random.Random(seed)
        self._ways = ways
        self._left: defaultdict[str, list[bool]] = defaultdict(list)
        self.done = 0

    def __call__(self, exchange: Exchange) -> Fault | None:
        if exchange.kind not in ("result", "download"):
            return None
        left = self._left[exchange.path]
        if not left:
            left += [True] * 3 + [False] * 7
            self._dice.shuffle(left)
        if not left.pop():
            return None
        self.done += 1
        return self._ways[self.done % len(self._ways)]


class Gate:
    """Holds requests back in the server's thread until it is opened from any other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open = asyncio.Event()

    async def wait(self, exchange: Exchange) -> None:
        await self._open.wait()
        await plainly(exchange)

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)


@dataclass(frozen=True)
class Books:
    """What the server knows: USD by task."""

    charges: dict[str, Decimal]

    @property
    def tasks(self) -> set[str]:
        return set(self.charges)

    @property
    def total(self) -> Decimal:
        return sum(self.charges.values(), Decimal(0))


class Server:
    """The sandbox on a port of its own, in a thread. A fault in `next` is used once, one in `always` never ends."""

    def __init__(self, *, seconds: float = 0.2, seed: int = 1) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._take,
            interface="asgi3",
            lifespan="off",
            http="h11",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        self._uvicorn = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.renew(seconds=seconds, seed=seed)

    def renew(self, *, seconds: float = 0.2, seed: int = 1, **app: Any) -> None:
        """A service without a past: no tasks, no faults. `app`: what else the sandbox takes."""
        sandbox = create_app(seconds=seconds, random=random.Random(seed), balance=Decimal(1000), **app)
        self._sandbox = sandbox
        self._turn = asyncio.Lock()
        self.seen: Counter[str] = Counter()
        self.created: list[str] = []
        self.next: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.always: dict[str, Fault] = {}
        self.plan: Callable[[Exchange], Fault | None] = lambda exchange: None

    def clear(self) -> None:
        """No more faults."""
        self.next.clear()
        self.always.clear()

    def gate(self, kind: str) -> Gate:
        """Requests of that kind wait in front of it until it is opened."""
        gate = Gate(self._loop)
        self.always[kind] = gate.wait
        return gate

    def books(self) -> Books:
        """Every task that was created, and what it was charged, straight from the sandbox."""
        return self._there(self._books())

    async def _books(self) -> Books:
        transport, headers = httpx.ASGITransport(self._sandbox), {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(transport=transport, base_url=self.url, headers=headers) as http:
            items: list[dict[str, Any]] = []
            for page in range(1, 2 + len(self.created) // 100):
                body = {"page": page, "page_size": 100, "prediction_uuids": self.created}
                asked = await http.post("/api/v3/billings/search", json=body)
                items += json.loads(asked.content, parse_float=Decimal)["data"]["items"]
        assert len(items) == len(set(self.created)), "the books and the sandbox differ"
        return Books({item["prediction"]["uuid"]: Decimal(item["price"]) for item in items})

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self._noting, scope, receive, send)
        self.seen[exchange.kind] += 1
        waiting = self.next[exchange.kind]
        fault = waiting.popleft() if waiting else self.always.get(exchange.kind) or self.plan(exchange)
        await (fault or plainly)(exchange)

    async def _noting(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The sandbox, with each task that it creates written down at that moment."""
        sandbox, created = self._sandbox, self.created

        async def note(message: Message) -> None:
            if kind_of(scope["method"], scope["path"]) == "submit" and message["type"] == "http.response.body":
                data = json.loads(message["body"]).get("data") or {}
                created.extend([data["id"]] if "id" in data else [])
            await send(message)

        # One at a time, or each of twenty that ask at once would render the pictures of all twenty.
        renders = kind_of(scope["method"], scope["path"]) in ("result", "history", "billing")
        async with self._turn if renders else nullcontext():
            await sandbox(scope, receive, note)

    # its thread

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._uvicorn.serve(sockets=[self._socket]))
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._uvicorn.force_exit = True
        self._uvicorn.should_exit = True
        self._thread.join(10)
        self._socket.close()
