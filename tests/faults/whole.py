"""The whole application, page and all, in a process of its own, and the way that programs call it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from server import KEY

HOME = Path(__file__).parents[2]
STARTING = 90  # seconds, on a machine that has other things to do


class Whole:
    """`python app.py` in `home` on a free port, started by way of `under`. It is killed with the block it is in."""

    def __init__(
        self, folder: Path, service: str, under: Sequence[str] = (), home: Path = HOME, **environment: str
    ) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        given = {
            "WAVESPEED_API_KEY": KEY,
            "WAVESPEED_BASE_URL": service,
            "KONTEXT_DATA_DIR": str(folder),
            "GRADIO_SERVER_PORT": self.url.rsplit(":", 1)[1],
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_ANALYTICS_ENABLED": "False",
            "KONTEXT_OPEN": "off",
            **environment,
        }
        self.process = subprocess.Popen(
            [*under, sys.executable, "app.py"],
            cwd=home,
            env={**os.environ, **given},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        """SIGKILL: nothing in it gets to say or to write another word."""
        self.process.kill()

    def await_start(self) -> None:
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"it does not serve: {self.process.poll()}")


@contextmanager
def whole_app(folder: Path, service: str, **environment: str) -> Iterator[Whole]:
    app = Whole(folder, service, **environment)
    try:
        app.await_start()
        yield app
    finally:
        app.kill()
        app.process.communicate(timeout=30)
        assert app.process.returncode == -signal.SIGKILL


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# a program that calls it


async def upload(http: httpx.AsyncClient, content: bytes) -> dict[str, Any]:
    """A picture at the app, as its API wants to have it named."""
    answer = await http.post("/gradio_api/upload", files={"files": ("a.png", content, "image/png")})
    return {"path": answer.raise_for_status().json()[0], "meta": {"_type": "gradio.FileData"}}


async def generate(
    http: httpx.AsyncClient, image: dict[str, Any], variant: str, values: dict[str, Any], invitation: str = ""
) -> Any:
    """What one call of /generate ends with: its answer, the refusal as a string, or None where the app died."""
    try:
        data = ["make it red", [image], variant, values, invitation]
        begun = await http.post("/gradio_api/call/generate", json={"data": data})
        event = begun.raise_for_status().json()["event_id"]
        async with http.stream("GET", f"/gradio_api/call/generate/{event}") as lines:
            return await _ending(lines)
    except httpx.TransportError:
        return None


async def _ending(lines: httpx.Response) -> Any:
    event = ""
    async for line in lines.aiter_lines():
        name, _, value = line.partition(": ")
        event = value if name == "event" else event
        if name == "data" and event in ("complete", "error"):
            said = json.loads(value)
            return said[0] if event == "complete" else str((said or {}).get("error"))
    return None


async def until(true: Callable[[], bool], seconds: float) -> None:
    """Wait for something that blocks to become true."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110 - it becomes true in another process
            await asyncio.sleep(0.1)
