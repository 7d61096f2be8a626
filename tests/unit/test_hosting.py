"""What is there for hosts: an image that runs the app and holds no secret, and nginx in front of it."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path, PurePath

import container
import httpx
import nginx
import pytest
from gradio.utils import get_heartbeat_rate
from serving import listening
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from core.errors import KontextError
from core.settings import read
from core.storage import UPLOAD_MB, Arrived
from ui.door import UPLOAD
from ui.uploads import Uploads

HOME = Path(__file__).resolve().parents[2]
FULL = "There is no room."
LARGE, PIECE = 64 * 2**20, 2**16  # bytes: far more than all sockets between two programs hold


def test_the_image_runs_the_app_as_nobody_in_particular() -> None:
    """Somebody without rights, one volume for all data, reachable from outside, and the app as the first process."""
    settings = read(container.environment(), HOME)
    words = [word for word, _ in container.INSTRUCTIONS]
    assert container.last("FROM").startswith("python:3.11-")
    assert f" {container.last('USER')} " in " ".join(rest for word, rest in container.INSTRUCTIONS if word == "RUN")
    assert words.index("USER") > max(n for n, word in enumerate(words) if word in ("RUN", "COPY"))
    assert [rest for word, rest in container.INSTRUCTIONS if word == "VOLUME"] == [str(settings.data_dir)]
    assert settings.hosted and settings.server_name == "0.0.0.0"
    assert container.last("EXPOSE") == container.environment()["GRADIO_SERVER_PORT"]
    assert container.command(container.last("CMD")) == ["python", "app.py"]
    assert "/readyz" in container.last("HEALTHCHECK")


@pytest.mark.parametrize(
    "path",
    [".env", "data/ledger.db", ".git/config", "id_rsa", "core/__pycache__/a.pyc", "tests/conftest.py", ".venv/x"],
)
def test_nothing_else_goes_into_the_image(path: str) -> None:
    """Neither a secret nor anybody's pictures, whatever lies in the folder that it is built from."""
    assert not container.goes_in(PurePath(path))


def test_what_is_copied_on_its_own_is_there() -> None:
    """The files that the Dockerfile names exist, and .dockerignore lets them through."""
    named = [
        name for word, rest in container.INSTRUCTIONS if word == "COPY" for name in rest.split()[:-1] if name != "."
    ]
    assert named and all((HOME / name).is_file() and container.goes_in(PurePath(name)) for name in named)


class Upstream:
    """In the app's place: a stream whose second part waits for a word, a large one, headers told back, no room."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self.sent = 0  # bytes of the large stream
        routes = [Route("/stream", self.stream), Route("/large", self.large), Route("/headers", self.headers)]
        self.app = Uploads(Starlette(routes=routes), room_for=self.room_for)

    async def stream(self, _request: Request) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            yield "data: first\n\n"
            await asyncio.to_thread(self.heard.wait, 30)
            yield "data: second\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def large(self, _request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            while self.sent < LARGE:
                yield bytes(PIECE)
                self.sent += PIECE

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def headers(self, request: Request) -> JSONResponse:
        assert request.client is not None
        return JSONResponse({**request.headers, "port": request.client.port})

    def room_for(self, _size: int) -> AbstractAsyncContextManager[Arrived]:
        raise KontextError(FULL)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture(params=[nginx.ALONE, nginx.REPLICAS])
def url(request: pytest.FixtureRequest, upstream: Upstream, tmp_path: Path) -> Iterator[str]:
    """Where nginx listens, with each of the two files of docs/."""
    with listening(upstream.app) as behind:
        places = [behind.removeprefix("http://")] * len(nginx.addresses(request.param))
        with nginx.in_front(tmp_path, request.param, *places) as url:
            yield url


def test_events_come_through_as_they_happen(upstream: Upstream, url: str) -> None:
    """nginx holds no part of a stream back until the next one comes."""
    with httpx.stream("GET", f"{url}/stream", timeout=30) as answer:
        parts = answer.iter_text()
        assert next(parts) == "data: first\n\n"
        upstream.heard.set()
        assert next(parts) == "data: second\n\n"


def test_nginx_takes_no_more_of_a_stream_than_somebody_reads(upstream: Upstream, url: str) -> None:
    """Nothing of it is put aside on its disk: the app sees that nobody reads, and waits."""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as opened:
        opened.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        before = -1
        while before < upstream.sent or not before:
            before = upstream.sent
            time.sleep(0.05)
        assert 0 < upstream.sent < LARGE


def test_the_app_hears_what_is_true_of_a_visitor(url: str) -> None:
    """The name with its port and the scheme that were asked for, and the address that nginx saw; claims are gone."""
    claimed = {"Host": "studio.example.com:8080", "X-Forwarded-For": "8.8.8.8", "X-Forwarded-Host": "evil.example"}
    heard = httpx.get(f"{url}/headers", headers=claimed | {"X-Forwarded-Proto": "https"}).json()
    assert [heard["host"], heard["x-forwarded-host"]] == ["studio.example.com:8080"] * 2
    assert [heard["x-forwarded-for"], heard["x-forwarded-proto"]] == ["127.0.0.1", "http"]


def test_a_connection_to_the_app_is_used_again(url: str) -> None:
    """One request after another comes by the same one, to whichever replica."""
    with httpx.Client(base_url=url) as visitor:
        for replica in ("one", "two"):
            visitor.headers["Cookie"] = f"kontext_replica={replica}"
            assert len({visitor.get("/headers").json()["port"] for _ in range(3)}) == 1


@pytest.mark.parametrize("name", [nginx.ALONE, nginx.REPLICAS])
def test_nginx_waits_for_the_next_sign_of_life(name: str) -> None:
    """A stream on which nothing happens says so now and then, and is not cut in between."""
    (minutes,) = re.findall(r"^\s+proxy_read_timeout (\d+)m;$", (HOME / "docs" / name).read_text("utf-8"), re.MULTILINE)
    assert 60 * int(minutes) >= 3 * get_heartbeat_rate()


@pytest.mark.parametrize(("size", "status", "said"), [(0, 507, FULL), (1, 413, f"larger than {UPLOAD_MB} MB")])
def test_the_app_says_itself_what_is_too_large(url: str, size: int, status: int, said: str) -> None:
    """Uploads up to the app's own limit and beyond it are the app's to answer, before they have been sent."""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30) as opened:
        length = UPLOAD_MB * 10**6 + size
        opened.sendall(f"POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode())
        answer = b""
        while said.encode() not in answer and (more := opened.recv(4096)):
            answer += more
    assert re.match(rf"HTTP/1.1 {status} ", answer.decode()) and said in answer.decode()
