"""Uploads on their way to Gradio: what there is no room for is not read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import KontextError
from core.storage import UPLOAD_MB, Arrived
from ui.door import UPLOAD, refusal

NO_LENGTH = "This upload does not say how large it is, so it was not read. Send a Content-Length."
TOO_LARGE = f"This upload is larger than {UPLOAD_MB} MB, so it was not read. Send fewer or smaller pictures at once."


class Uploads:
    """Middleware: `room_for(bytes)` is asked before each upload and told what comes; both raise where none is.

    `taken` hears where the files of each upload lie.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        room_for: Callable[[int], AbstractAsyncContextManager[Arrived]],
        taken: Callable[[Sequence[Path]], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._room_for = room_for
        self._taken = taken

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
        answer = Answer(send)
        try:
            async with self._room_for(size) as arrived:
                await self._app(scope, _counted(receive, arrived), answer)
        except KontextError as error:
            await refusal(507, str(error))(scope, receive, send)
        else:
            self._taken(answer.files)


def _counted(receive: Receive, arrived: Arrived) -> Receive:
    """`receive` for an app behind us, with each part of the body told as it comes."""

    async def next_message() -> Message:
        message = await receive()
        arrived(len(message.get("body", b"")))
        return message

    return next_message


class Answer:
    """Gradio's answer to an upload, on its way to whoever sent it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._body = b""

    async def __call__(self, message: Message) -> None:
        self._body += message.get("body", b"")
        await self._send(message)

    @property
    def files(self) -> list[Path]:
        """Where what was uploaded lies now; none where it was refused."""
        with suppress(ValueError):
            told = json.loads(self._body)
            return [Path(path) for path in told if isinstance(path, str)] if isinstance(told, list) else []
        return []
