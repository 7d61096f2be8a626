"""Uploads on their way to Gradio: what there is no room for is not read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import KontextError
from core.storage import UPLOAD_MB
from ui.door import UPLOAD, refusal

NO_LENGTH = "This upload does not say how large it is, so it was not read. Send a Content-Length."
TOO_LARGE = f"This upload is larger than {UPLOAD_MB} MB, so it was not read. Send fewer or smaller pictures at once."


class Uploads:
    """Middleware: holds `room_for(bytes)` while an upload comes in; entering that raises where there is none."""

    def __init__(self, app: ASGIApp, *, room_for: Callable[[int], AbstractAsyncContextManager[None]]) -> None:
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
        async with AsyncExitStack() as room:
            try:
                await room.enter_async_context(self._room_for(size))
            except KontextError as error:
                await refusal(507, str(error))(scope, receive, send)
                return
            await self._app(scope, receive, send)
