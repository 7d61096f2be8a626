"""What is there for hosts: an image that runs the app and holds no secret, and nginx in front of it."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path, PurePath

import container
import httpx
import pytest
import uvicorn
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
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
FULL = "There is no room."


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
    """In the app's place: a stream whose second part waits for a word, headers told back, no room for uploads."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        routes = [Route("/stream", self.stream), Route("/headers", self.headers)]
        self.app = Uploads(Starlette(routes=routes), room_for=self.room_for)

    async def stream(self, _request: Request) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            yield "data: first\n\n"
            await asyncio.to_thread(self.heard.wait, 30)
            yield "data: second\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def headers(self, request: Request) -> JSONResponse:
        return JSONResponse(dict(request.headers))

    def room_for(self, _size: int) -> AbstractAsyncContextManager[Arrived]:
        raise KontextError(FULL)


def listening() -> socket.socket:
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    return opened


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture(scope="module")
def url(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where nginx listens, with the file of docs/ but for the two ports."""
    with listening() as behind, serving(upstream, behind):
        with listening() as free:
            port = free.getsockname()[1]
        folder = tmp_path_factory.mktemp("nginx")
        written = (HOME / "docs" / "nginx.conf").read_text("utf-8")
        assert written.count("listen 80;") == written.count("127.0.0.1:7860") == 1
        written = written.replace("listen 80;", f"listen 127.0.0.1:{port};")
        written = written.replace("127.0.0.1:7860", f"127.0.0.1:{behind.getsockname()[1]}")
        with nginx(folder, written, port):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def serving(upstream: Upstream, opened: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(upstream.app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, args=([opened],))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield
    server.should_exit = True
    thread.join()


@contextmanager
def nginx(folder: Path, written: str, port: int) -> Iterator[None]:
    """nginx with everything that it writes in a folder of its own; it ends with the block."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder / kind}; " for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder / 'pid'}; error_log {folder / 'log'};\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{written}}}\n"
    )
    command = [NGINX, "-p", str(folder), "-e", str(folder / "log"), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        await_port(process, port)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


def await_port(process: subprocess.Popen[str], port: int) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1])


def test_events_come_through_as_they_happen(upstream: Upstream, url: str) -> None:
    """nginx holds no part of a stream back until the next one comes."""
    with httpx.stream("GET", f"{url}/stream", timeout=30) as answer:
        parts = answer.iter_text()
        assert next(parts) == "data: first\n\n"
        upstream.heard.set()
        assert next(parts) == "data: second\n\n"


def test_the_app_hears_what_is_true_of_a_visitor(url: str) -> None:
    """The name and the scheme that were asked for, and the address that nginx saw; what a visitor claims is gone."""
    claimed = {"Host": "studio.example.com", "X-Forwarded-For": "8.8.8.8", "X-Forwarded-Host": "evil.example"}
    heard = httpx.get(f"{url}/headers", headers=claimed | {"X-Forwarded-Proto": "https"}).json()
    assert [heard["host"], heard["x-forwarded-host"]] == ["studio.example.com"] * 2
    assert [heard["x-forwarded-for"], heard["x-forwarded-proto"]] == ["127.0.0.1", "http"]


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
