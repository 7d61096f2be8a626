"""The service that benchmarks talk to: the sandbox on a port of its own, with one picture that was drawn before.

Drawing a picture takes the sandbox a moment; without it a prediction takes exactly as long as is asked for, and the
processor is left to what is measured. Run `python benchmarks/service.py 4.3`; loopback only, ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvicorn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.children import attend  # noqa: E402  (needs the line above when run as a script)
from sandbox import create_app  # noqa: E402
from sandbox.collage import pictures  # noqa: E402
from sandbox.server import tasks  # noqa: E402

RUNS = 1000  # whose predictions it remembers

KINDS = (
    ("result", r"GET .*/result$"),
    ("ticket", r"POST .*/media/uploads$"),
    ("put", r"PUT /storage/"),
    ("download", r"GET /storage/"),
    ("quote", r"POST .*/model/price$"),
    ("billing", r"POST .*/billings/search$"),
    ("submit", r"POST .*/(multi|multi-ultra-fast)$"),
)


class Watched:
    """An ASGI application, and what it was asked and when."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._asked: list[tuple[float, str]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            asked = f"{scope['method']} {scope['path']}"
            kind = next((kind for kind, pattern in KINDS if re.match(pattern, asked)), "other")
            self._asked.append((time.time(), kind))
        await self._app(scope, receive, send)

    def seen(self) -> dict[str, Any]:
        """How many requests of each kind, and when each was made; forgotten with the telling."""
        asked, self._asked = self._asked, []
        return {"kinds": Counter(kind for _, kind in asked), "asked": asked}


def picture() -> bytes:
    """About a megapixel, as the sandbox makes them."""
    references = [(ROOT / "examples" / f"{name}.jpg").read_bytes() for name in ("portrait", "coffee")]
    return pictures.compose(references, "the person from image 1 with the cup from image 2", seed=1)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description="The sandbox, with a picture drawn beforehand.")
    parser.add_argument("seconds", type=float, help="how long a prediction takes")
    seconds = parser.parse_args().seconds
    drawn = picture()
    tasks.render = lambda prediction: [drawn] * prediction.inputs.get("num_images", 1)  # type: ignore[assignment]
    tasks.MOST_PREDICTIONS = RUNS
    app = Watched(create_app(seconds=seconds, balance=Decimal(1000)))
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    # As patient with idle connections as services usually are, who would else set the pace of their clients.
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_keep_alive=5))

    def end() -> None:
        server.should_exit = server.force_exit = True

    attend({"port": listening.getsockname()[1], "seconds": seconds}, app.seen, end)
    asyncio.run(server.serve(sockets=[listening]))


if __name__ == "__main__":
    main()
