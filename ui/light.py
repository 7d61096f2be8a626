"""Light pages without Gradio: their files, the headers that they keep to themselves by, and the JSON that they send."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

Fields = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]


class Unreadable(Exception):
    """A request that is no JSON object, or a large one."""


def refusal(status: int, sentence: str) -> Response:
    """What is wrong, as a status and a sentence."""
    return JSONResponse({"error": sentence}, status, HEADERS)


def file(module: str, name: str, kind: str) -> Endpoint:
    """A file beside that module, read and compressed once."""
    plain = (Path(module).parent / name[1:]).read_bytes()
    packed = gzip.compress(plain, mtime=0)

    async def answer(request: Request) -> Response:
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, headers={**HEADERS, "Content-Encoding": "gzip"}, media_type=kind)
        return Response(plain, headers=HEADERS, media_type=kind)

    return answer


async def body(request: Request, most_kb: int) -> Fields:
    """The JSON object that was sent.

    Raises:
        Unreadable: it is none, or larger.
    """
    sent = await request.body()
    try:
        told = json.loads(sent) if len(sent) <= most_kb * 1024 else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Unreadable
    return told
