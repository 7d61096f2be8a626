"""Uploads on their way to Gradio: what there is no room for is answered before it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from core.errors import KontextError
from core.storage import FULL, UPLOAD_MB, Arrived
from ui.door import UPLOAD
from ui.uploads import Uploads

LARGEST = UPLOAD_MB * 10**6


@asynccontextmanager
async def room_for(size: int) -> AsyncIterator[Arrived]:
    def arrived(size: int) -> None:
        if size == 900:
            raise KontextError(FULL)

    if size > 1000:
        raise KontextError(FULL)
    yield arrived


async def read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


app = Starlette(
    routes=[Route(UPLOAD, read, methods=["POST"]), Route("/other", read, methods=["POST"])],
    middleware=[Middleware(Uploads, room_for=room_for)],
)


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (JSONResponse(["/served/a.jpg", "/served/b.png"]), [[Path("/served/a.jpg"), Path("/served/b.png")]]),
        (JSONResponse({"detail": "No."}, 400), [[]]),
        (PlainTextResponse("[", 500), [[]]),
    ],
)
def test_what_arrived_is_told(answer: Response, heard: list[list[Path]]) -> None:
    """Whoever waits for uploads hears where they lie, as Gradio answers it; that answer goes on unchanged."""
    told: list[Sequence[Path]] = []

    async def take(request: Request) -> Response:
        await request.body()
        return answer

    route = Route(UPLOAD, take, methods=["POST"])
    uploads = Middleware(Uploads, room_for=room_for, taken=told.append)
    given = TestClient(Starlette(routes=[route], middleware=[uploads])).post(UPLOAD, content=b"x")
    assert (given.content, given.status_code, told) == (answer.body, answer.status_code, heard)


def in_pieces() -> Iterator[bytes]:
    yield b"x" * 10


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        (b"x" * 1000, {}, 200, "1000 bytes"),
        (b"x" * 1001, {}, 507, FULL),
        (b"x" * 900, {}, 507, FULL),  # let in, and full by the time that it came
        (b"", {"content-length": str(LARGEST + 1)}, 413, "larger than 330 MB"),
        (b"", {"content-length": "-1"}, 411, "does not say how large"),
        (in_pieces(), {}, 411, "does not say how large"),
    ],
)
def test_uploads(content: bytes, headers: dict[str, str], status: int, said: str) -> None:
    """An upload says how large it is, is no larger than five pictures, and there is room for it; else a sentence."""
    answer = TestClient(app).post(UPLOAD, content=content, headers=headers)
    assert (answer.status_code, said in answer.text) == (status, True)


def test_nothing_else_is_asked() -> None:
    """Any other request goes by."""
    assert TestClient(app).post("/other", content=b"x" * 2000).text == "2000 bytes"
