"""Where the service calls back: answered at once, with a status and nothing else, whatever comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.access.attempts import Attempts
from core.errors import KontextError, LedgerError
from core.runs.background import Background
from core.runs.callbacks import PATH
from ui.door import NOT_FOUND, refusal

BODY_KB = 64  # a prediction with the longest prompt, five references and four pictures has less than 32
SOON = 0.8  # seconds; the service waits for 10 (D), and calls again where this was not enough

TAKEN, UNKNOWN, GUESSED, TOO_LARGE, NOT_NOW = 200, 404, 429, 413, 503

Called = Callable[[str, Mapping[str, str], bytes], Awaitable[bool]]


class CallbackApi:
    """The route over `called`, which says whether anybody was told that word. Wrong words are slowed by `attempts`,
    for all together; right ones never.
    """

    def __init__(self, called: Called, attempts: Attempts, soon: float = SOON) -> None:
        self._called = called
        self._attempts = attempts
        self._soon = soon
        self._taking = Background("a call of the service")

    def route(self) -> Route:
        return Route(f"{PATH}/{{word}}", self._answer, methods=["POST"])

    async def _answer(self, request: Request) -> Response:
        body = await request.body()  # the door has read it, up to its own limit
        if len(body) > BODY_KB * 1024:
            return _said(TOO_LARGE)
        # What was heard is dealt with even where it takes longer than anybody waits.
        taking = self._taking.begin(self._take(request.path_params["word"], request.headers, body))
        await asyncio.wait({taking}, timeout=self._soon)
        return _said(taking.result() if taking.done() else NOT_NOW)

    async def _take(self, word: str, headers: Mapping[str, str], body: bytes) -> int:
        try:
            if await self._called(word, headers, body):
                return TAKEN
            with self._attempts.attempt():
                raise _Wrong
        except _Wrong:
            return UNKNOWN
        except LedgerError:
            return NOT_NOW
        except KontextError:
            return GUESSED


class _Wrong(Exception):
    """A word that nobody was told."""


def _said(status: int) -> Response:
    """A wrong word is answered as any page that is not there."""
    return refusal(UNKNOWN, NOT_FOUND) if status == UNKNOWN else JSONResponse({"status": status}, status)
