"""Uploads on their way to Gradio: what there is no room for is not read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import KontextError
from core.storage import UPLOAD_MB, Arrived
from ui.door import UPLOAD, refusal

NO_LENGTH = "This upload does not say how large it is, so it was not read. Send a Content-Length."
TOO_LARGE = f"This upload is larger than {UPLOAD_MB} MB, so it was not read. Send fewer or smaller pictures at once."


class Uploads:
    """Middleware: `room_for(bytes)` is asked before each upload and told what comes; both raise where none is."""

    def __init__(self, app: ASGIApp, *, room_for: Callable[[int], AbstractAsyncContextManager[Arrived]]) -> None:
        self._app = app
        self._room_for = room_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != UPLOAD:
            await self._app(scope, receive, send)
            return
        # The server holds a body to the length that it announces.
        length = Headers(scope=scope).get("content-length", "")
        if not length.isdecimal():
            await refusal(411, NO_LENGTH)(scope, receive, send)
        elif int(length) > UPLOAD_MB * 10**6:
            await refusal(413, TOO_LARGE)(scope, receive, send)
        else:
            await self._let_in(int(length), scope, receive, send)

    async def _let_in(self, size: int, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._room_for(size) as arrived:
                await self._app(scope, _counted(receive, arrived), send)
        except KontextError as error:
            await refusal(507, str(error))(scope, receive, send)


def _counted(receive: Receive, arrived: Arrived) -> Receive:
    """`receive` for an app behind us, with each part of the body told as it comes."""

    async def next_message() -> Message:
        message = await receive()
        arrived(len(message.get("body", b"")))
        return message

    return next_message
