"""The sandbox on a real port of this computer, for code that brings a client of its own; what it is sent is kept."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.runs.runtime import Runtime
from sandbox import create_app

SUBMIT = "/api/v3/wavespeed-ai/"


async def at_once(_seconds: float) -> None:
    """In place of a pause, where the other side is done at once as well."""
    await asyncio.sleep(0)


AT_ONCE = Runtime(sleep=at_once)


@dataclass
class Served:
    """`submits` are (model id, body) in the order they came, before the sandbox has dropped anything.

    `asked` is the path of each request, `heard` each that has a body as (path, body).
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    submits: list[tuple[str, Any]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Served]:
    served, sandbox = Served(), create_app(seconds=0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        served.asked.append(scope["path"])

        async def heard() -> Message:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.request" and not message.get("more_body"):
                note(scope["path"], body)
            return message

        await sandbox(scope, heard, send)

    def note(path: str, body: bytes) -> None:
        served.heard.append((path, body))
        if path.startswith(SUBMIT):
            served.submits.append((path.removeprefix("/api/v3/"), json.loads(body)))

    with listening(app) as served.url:
        yield served


@contextmanager
def listening(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """The app on that port of this computer, or on a free one: its address."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none", proxy_headers=False))
        thread = threading.Thread(target=server.run, args=([opened],))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
