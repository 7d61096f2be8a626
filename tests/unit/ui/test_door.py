"""The door in front of Gradio: names, paths and sizes, each let through or answered with a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ui.door import FAILED, ID_CHARACTERS, MISDIRECTED, NOT_FOUND, REQUEST_KB, TOO_LARGE, Door, is_known
from ui.sessions import Presence

pytestmark = pytest.mark.anyio

JOIN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
MOST = REQUEST_KB * 1024


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def ours(_request: Request) -> JSONResponse:
    return JSONResponse({"ours": True})


def client(names: Collection[str] | None = frozenset(), host: str = "127.0.0.1:7860") -> httpx.AsyncClient:
    """Speaks to a door with an app behind it that answers any path with the length of what it was sent."""
    behind = Starlette(routes=[Route("/ours", ours), Route("/{path:path}", echo, methods=["GET", "POST", "PUT"])])
    door = Door(behind, ours=[Route("/ours", ours)], names=names, presence=Presence())
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=f"http://{host}")


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 65536):
        yield b" " * min(65536, size - start)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:7860", "LOCALHOST:1", "localhost."),
        *("127.0.0.1:7860", "0.0.0.0:7860", "192.168.1.20", "[::1]:7860", "[fe80::1]"),
        *("studio.example.com", "Studio.Example.com:443", "studio.example.com."),
    ],
)
def test_a_name_that_is_ours_is_known(host: str) -> None:
    """This computer, an address in numbers, and what is allowed by name, with any port and in any case."""
    assert is_known(host, {"studio.example.com"})


@pytest.mark.parametrize(
    "host",
    [
        *("", ":7860", "evil.example", "evil.example:7860", "studio.example.com.evil.example", "xstudio.example.com"),
        *("127.0.0.1.evil.example", "localhost.evil.example", "2130706433.evil.example", "1.evil.example:80"),
        *("evil.example@127.0.0.1", "evil@localhost", "127.0.0.1@evil.example", "[::1", "[::1]evil", "127.1x"),
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    """A page that has its own name answered with our address still sends that name."""
    assert not is_known(host, {"studio.example.com"})


@pytest.mark.parametrize("headers", [{"Host": "evil.example:7860"}, {"X-Forwarded-Host": "evil.example"}])
async def test_a_foreign_name_is_sent_away_with_a_sentence(headers: dict[str, str]) -> None:
    """421 for every path, our own too, and nothing behind the door hears of it."""
    async with client() as speaking:
        for answer in [await speaking.get(path, headers=headers) for path in ("/", "/ours", "/config")]:
            assert (answer.status_code, answer.json()["detail"]) == (421, MISDIRECTED)


async def test_behind_a_proxy_any_name_is_known_unless_some_are_named() -> None:
    """A hosted copy answers to what its proxy sends; where names are given, they hold there too."""
    async with client(names=None, host="a.hf.space") as speaking:
        assert (await speaking.get("/")).status_code == 200
    async with client(names={"b.hf.space"}, host="a.hf.space") as speaking:
        assert (await speaking.get("/")).status_code == 421


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in pieces"])
@pytest.mark.parametrize(
    "path", [JOIN, "/gradio_api/component_server", "/gradio_api/call/generate", "/gradio_api/run/x"]
)
async def test_a_body_is_read_up_to_the_limit(path: str, announced: bool) -> None:
    """The app gets all of what is just small enough; one byte more is refused, however it is sent."""
    async with client() as speaking:
        fits, over = [
            await speaking.post(path, content=b" " * size if announced else in_pieces(size))
            for size in (MOST, MOST + 1)
        ]
    assert (fits.status_code, fits.text) == (200, str(MOST))
    assert (over.status_code, over.json()["detail"]) == (413, TOO_LARGE)


async def test_no_more_than_the_limit_is_read() -> None:
    """Somebody who never stops sending is answered as soon as it is too much."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    async with client() as speaking:
        assert (await speaking.post(JOIN, content=endless())).status_code == 413
    assert sent <= MOST + 2 * 65536


async def test_an_upload_is_not_held_to_it() -> None:
    """Pictures are larger; how large they may be is said elsewhere."""
    async with client() as speaking:
        assert (await speaking.post(UPLOAD, content=in_pieces(2 * MOST))).text == str(2 * MOST)


async def test_a_session_is_named_by_an_id() -> None:
    """Gradio remembers thousands of them, so none may be a text."""
    async with client() as speaking:
        answers = [
            await speaking.post(JOIN, json={"data": [], "session_hash": "a" * length})
            for length in (ID_CHARACTERS, ID_CHARACTERS + 1)
        ]
    assert [answer.status_code for answer in answers] == [200, 413]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/file=https://example.com/a.png"),
        ("GET", "/gradio_api/file=HTTP://127.0.0.1/"),
        ("GET", "/gradio_api/upload"),
        ("PUT", "/gradio_api/upload"),
        ("POST", "/config"),
        ("GET", "/gradio_api//info"),
        ("GET", "/gradio_api/queue/../monitoring"),
        ("GET", "/assets"),
        ("POST", "/login"),
        ("OPTIONS", "/ours"),  # by which a foreign page asks leave, and Gradio gives it
    ],
)
async def test_what_is_not_used_is_not_there(method: str, path: str) -> None:
    """404 and a sentence, though the app behind would answer."""
    async with client() as speaking:
        answer = await speaking.request(method, path)
    assert (answer.status_code, answer.json()["detail"]) == (404, NOT_FOUND)


async def test_our_own_routes_are_there() -> None:
    """What stands beside Gradio needs no entry in the door's table."""
    async with client() as speaking:
        assert (await speaking.get("/ours")).json() == {"ours": True}


async def test_a_stream_passes_as_it_comes() -> None:
    """The first event is out before the second is made."""
    out: list[dict[str, Any]] = []
    second = asyncio.Event()

    async def streaming(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await second.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    async def send(message: Any) -> None:
        out.append(dict(message))

    async def never() -> Any:
        await asyncio.Event().wait()

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/gradio_api/queue/data",
        "headers": [(b"host", b"localhost")],
    }
    scope["query_string"] = b"session_hash=a-page"
    presence = Presence()
    door = Door(streaming, ours=[], names=(), presence=presence)
    going = asyncio.create_task(door(scope, never, send))
    await asyncio.sleep(0)
    assert "a-page" in presence.readers
    assert [message.get("body") for message in out] == [None, b"data: 1\n\n"]
    second.set()
    await going
    assert len(out) == 3
    assert "a-page" not in presence.readers


@pytest.mark.parametrize("begun", [False, True])
async def test_what_fails_behind_it_is_one_line(caplog: pytest.LogCaptureFixture, begun: bool) -> None:
    """Anybody can ask Gradio for what it stumbles over: they get a sentence, the log no trace and no words."""

    async def stumbling(_scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("wsk_planted_secret")

    door = Door(stumbling, ours=[], names=None, presence=Presence())
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    scope = {"type": "http", "method": "POST", "path": JOIN, "headers": [], "query_string": b""}
    await door(scope, receive, send)
    assert [record.getMessage() for record in caplog.records] == ["a request could not be answered: KeyError"]
    assert caplog.records[0].exc_info is None
    assert sent[0]["status"] == (200 if begun else 500)
    assert begun or FAILED.encode() in sent[1]["body"]
