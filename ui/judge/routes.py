"""The judges' page and its JSON: all that a judge's browser can reach, each answer made in a thread."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.access.attempts import Attempts
from core.errors import InputError, KontextError, LedgerError
from core.ledger.trials import Trial
from core.trials.judging import FULL, Judging, Shown

HERE = Path(__file__).parent
PATH = "/judge"
BODY_KB = 8  # the largest thing that a judge sends has less than 2
JOINING = 4  # at once, so that a crowd that comes together is not taken for guessing
CLOSED = "This link isn't open. It may be incomplete, or voting has closed."
UNREADABLE = "This request can't be read. Send a JSON object of at most 8 kB."
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
PICTURE_HEADERS = {**HEADERS, "Cache-Control": "private, max-age=3600, immutable"}

Fields = dict[str, Any]


class JudgeApi:
    """The routes over one `Judging`; guesses of codes are slowed for all together by `attempts`."""

    def __init__(self, judging: Judging, attempts: Attempts) -> None:
        self._judging = judging
        self._attempts = attempts
        self._joining = asyncio.Semaphore(JOINING)

    def routes(self) -> list[BaseRoute]:
        """The page, its two files, and its JSON."""
        posts = {"trial": self.trial, "join": self.join, "vote": self.vote, "undo": self.undo}
        return [
            _file(PATH, "page.html", "text/html"),
            _file(f"{PATH}/page.css", "page.css", "text/css"),
            _file(f"{PATH}/page.js", "page.js", "text/javascript"),
            Route(f"{PATH}/api/ballot", _answering(self.ballot)),
            Route(f"{PATH}/picture/{{ballot}}/{{picture}}", self.picture),
            *(Route(f"{PATH}/api/{name}", _answering(post), methods=["POST"]) for name, post in posts.items()),
        ]

    async def trial(self, request: Request) -> Fields | None:
        """What an invitation is to, before anybody joins: nothing is written down."""
        found = await self._invited((await _body(request)).get("code"))
        return found and {"title": found[0].spec.title, "question": found[0].spec.question, "total": found[1]}

    async def join(self, request: Request) -> Fields | None:
        """One more judge of a trial."""
        said = await _body(request)
        if not await self._invited(said.get("code")):
            return None
        told = said["code"], said.get("name"), said.get("named") is True
        joined = await asyncio.to_thread(self._judging.join, *told)
        if joined is None:
            return None
        token, trial, progress = joined
        return {"token": token, "title": trial.spec.title, "question": trial.spec.question, **progress._asdict()}

    async def ballot(self, request: Request) -> Fields | None:
        """The next one, or the one at a position, which is how a page loads ahead."""
        told = request.query_params.get("position", "")
        position = int(told) if told.isdecimal() and len(told) < 4 else None
        shown = await asyncio.to_thread(self._judging.ballot, _token(request), position)
        return None if shown is None else _ballot(shown)

    async def vote(self, request: Request) -> Fields | None:
        """Answered once the vote is on the disk."""
        said = await _body(request)
        told = (said.get(name) for name in ("ballot", "best", "worst", "usable", "remark"))
        done = await asyncio.to_thread(self._judging.vote, _token(request), *told)
        return done and done._asdict()

    async def undo(self, request: Request) -> Fields | None:
        """The last vote, and where a ballot is named no other."""
        said = await _body(request)
        done = await asyncio.to_thread(self._judging.undo, _token(request), said.get("ballot"))
        return done and done._asdict()

    async def picture(self, request: Request) -> Response:
        """By an address that only the ballot's judge was told; all pictures come with the same headers."""
        which = request.path_params["ballot"], request.path_params["picture"]
        data = await asyncio.to_thread(self._read, *which)
        return _refusal(404, CLOSED) if data is None else Response(data, 200, PICTURE_HEADERS, "image/jpeg")

    def _read(self, ballot_id: str, picture_id: str) -> bytes | None:
        path = self._judging.picture(ballot_id, picture_id)
        return None if path is None else path.read_bytes()

    async def _invited(self, code: Any) -> tuple[Trial, int] | None:
        """What a code lets in to; one that is wrong counts as a guess."""
        with suppress(_Wrong):
            async with self._joining:
                with self._attempts.attempt():
                    found = await asyncio.to_thread(self._judging.look, code if isinstance(code, str) else "")
                    if found is None:
                        raise _Wrong
                    return found
        return None


class _Wrong(Exception):
    """A code that lets nobody in."""


class _Unreadable(Exception):
    """A request that is no JSON object, or a large one."""


def _answering(handler: Callable[[Request], Awaitable[Fields | None]]) -> Callable[[Request], Awaitable[Response]]:
    """The handler's answer as JSON; what is wrong as a status and a sentence, the same for all that opens nothing."""

    async def answer(request: Request) -> Response:
        try:
            told = await handler(request)
        except _Unreadable:
            return _refusal(400, UNREADABLE)
        except InputError as error:
            return _refusal(422, error.happened)
        except LedgerError as error:
            return _refusal(503, f"{error.happened} {error.advice}")
        except KontextError as error:
            status = 409 if error.happened == FULL else 429
            return _refusal(status, f"{error.happened} {error.advice}".strip())
        return _refusal(404, CLOSED) if told is None else JSONResponse(told, headers=HEADERS)

    return answer


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, HEADERS)


def _file(path: str, name: str, kind: str) -> Route:
    """A file beside this one, read and compressed once."""
    plain = (HERE / name).read_bytes()
    packed = gzip.compress(plain, mtime=0)

    async def answer(request: Request) -> Response:
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, headers={**HEADERS, "Content-Encoding": "gzip"}, media_type=kind)
        return Response(plain, headers=HEADERS, media_type=kind)

    return Route(path, answer)


async def _body(request: Request) -> Fields:
    body = await request.body()
    try:
        told = json.loads(body) if len(body) <= BODY_KB * 1024 else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise _Unreadable
    return told


def _token(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def _ballot(shown: Shown) -> Fields:
    done = shown.progress._asdict()
    if shown.ballot is None:
        return {"finished": True, **done}
    address = f"{PATH}/picture/{shown.ballot.id}"
    return {
        "ballot": shown.ballot.id,
        "pictures": [{"id": id, "url": f"{address}/{id}"} for id in shown.pictures],
        "references": [f"{address}/{id}" for id in shown.references],
        "prompt": shown.prompt,
        **done,
    }
