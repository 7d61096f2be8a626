"""The judges' page and its JSON: all that a judge's browser can reach, each answer made in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.access.attempts import Attempts
from core.errors import InputError, KontextError, LedgerError
from core.trials.judging import FULL, Judging
from ui.light import HEADERS, Endpoint, Fields, Unreadable, body, file, refusal

PATH = "/judge"
FILES = {"": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}
BODY_KB = 8  # the largest thing that a judge sends has less than 2
CLOSED = "This link isn't open. It may be incomplete, or voting has closed."
UNREADABLE = f"This request can't be read. Send a JSON object of at most {BODY_KB} kB."
PICTURE_HEADERS = {**HEADERS, "Cache-Control": "private, max-age=3600, immutable"}


class JudgeApi:
    """The routes over one `Judging`; wrong codes are slowed for all together by `attempts`, right ones never."""

    def __init__(self, judging: Judging, attempts: Attempts) -> None:
        self._judging = judging
        self._attempts = attempts

    def routes(self) -> list[BaseRoute]:
        """The page and its two files, the pictures, and the JSON."""
        posts = {"trial": self._trial, "join": self._join, "vote": self._vote, "undo": self._undo}
        return [
            *(Route(f"{PATH}{path}", file(__file__, path or "/page.html", kind)) for path, kind in FILES.items()),
            *(Route(f"{PATH}/api/{name}", self._answering(post), methods=["POST"]) for name, post in posts.items()),
            Route(f"{PATH}/api/ballot", self._answering(self._ballot)),
            Route(f"{PATH}/picture/{{ballot}}/{{picture}}", self._picture),
        ]

    # what is answered; None to whoever has no right to it

    def _trial(self, _token: str, said: Fields) -> Fields | None:
        """What an invitation is to, before anybody joins."""
        found = self._judging.look(said["code"])
        return found and {"title": found[0].spec.title, "question": found[0].spec.question, "total": found[1]}

    def _join(self, _token: str, said: Fields) -> Fields | None:
        joined = self._judging.join(said["code"], said.get("name"), said.get("named") is True, said.get("token"))
        if joined is None:
            return None
        token, trial, progress = joined
        return {"token": token, "title": trial.spec.title, "question": trial.spec.question, **progress._asdict()}

    def _ballot(self, token: str, said: Fields) -> Fields | None:
        """The next one, or the one at a position, which is how a page loads ahead."""
        told = said.get("position", "")
        shown = self._judging.ballot(token, int(told) if told.isdecimal() and len(told) < 4 else None)
        if shown is None or shown.ballot is None:
            return None if shown is None else {"finished": True, **shown.progress._asdict()}
        address = f"{PATH}/picture/{shown.ballot.id}"
        return {
            "ballot": shown.ballot.id,
            "pictures": [{"id": id, "url": f"{address}/{id}"} for id in shown.pictures],
            "references": [f"{address}/{id}" for id in shown.references],
            "prompt": shown.prompt,
            "position": shown.ballot.position,
            "turn": shown.ballot.turn,
            **shown.progress._asdict(),
        }

    def _vote(self, token: str, said: Fields) -> Fields | None:
        """Answered once the vote is on the disk."""
        told = (said.get(name) for name in ("ballot", "best", "worst", "usable", "remark", "turn"))
        done = self._judging.vote(token, *told)
        return done and done._asdict()

    def _undo(self, token: str, said: Fields) -> Fields | None:
        done = self._judging.undo(token, said.get("ballot"), said.get("turn"))
        return done and done._asdict()

    async def _picture(self, request: Request) -> Response:
        """By an address that only the ballot's judge was told; all pictures come with the same headers."""
        data = await asyncio.to_thread(self._read, request.path_params["ballot"], request.path_params["picture"])
        return refusal(404, CLOSED) if data is None else Response(data, 200, PICTURE_HEADERS, "image/jpeg")

    def _read(self, ballot_id: str, picture_id: str) -> bytes | None:
        path = self._judging.picture(ballot_id, picture_id)
        with suppress(FileNotFoundError):  # its trial is deleted at this moment
            return None if path is None else path.read_bytes()
        return None

    # how

    def _answering(self, handler: Callable[[str, Fields], Fields | None]) -> Endpoint:
        """The handler's answer; what is wrong as a status and a sentence, the same for all that opens nothing."""

        async def answer(request: Request) -> Response:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            try:
                said = dict(request.query_params) if request.method == "GET" else await body(request, BODY_KB)
                known = handler not in (self._trial, self._join) or await self._is_code(said.get("code"))
                told = await asyncio.to_thread(handler, token, said) if known else None
            except Unreadable:
                return refusal(400, UNREADABLE)
            except InputError as error:
                return refusal(422, error.happened)
            except KontextError as error:
                status = 503 if isinstance(error, LedgerError) else 409 if error.happened == FULL else 429
                return refusal(status, f"{error.happened} {error.advice}".strip())
            return refusal(404, CLOSED) if told is None else JSONResponse(told, headers=HEADERS)

        return answer

    async def _is_code(self, code: Any) -> bool:
        """Whether it lets anybody in; one that doesn't counts as a guess, and whoever has a right one never waits."""
        if isinstance(code, str) and await asyncio.to_thread(self._judging.look, code) is not None:
            return True
        with suppress(_Wrong), self._attempts.attempt():
            raise _Wrong
        return False


class _Wrong(Exception):
    """A code that lets nobody in."""
