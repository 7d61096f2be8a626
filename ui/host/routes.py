"""The host's page and its JSON, behind a passcode; without one none of it is there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.access.passcode import LASTS, Passcode
from core.backend import Backend
from core.errors import KontextError, LedgerError
from core.ledger.invitations import Renewal
from ui.host.export import tables
from ui.host.overview import Overview
from ui.light import HEADERS, Endpoint, Fields, Unreadable, body, file, refusal

PATH = "/host"
FILES = {"": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}
COOKIE = "kontext_host"
OWN_HEADER = "x-kontext-host"  # which no other site's page can send without asking first, and nobody answers that
BODY_KB = 8
OUT = "Sign in first."
FOREIGN = "This request didn't come from the host's page."
UNREADABLE = f"This request can't be read. Send a JSON object of at most {BODY_KB} kB."

Act = Callable[[Fields], Awaitable[Fields]]


class HostApi:
    """The routes over one backend."""

    def __init__(self, backend: Backend, passcode: Passcode) -> None:
        self._backend = backend
        self._passcode = passcode
        self._overview = Overview(backend)

    def routes(self) -> list[BaseRoute]:
        """The page and its two files, the way in and out, what is to be seen, and all that can be done."""
        acts: dict[str, Act] = {"pause": self._pause, "invite": self._invite, "invitation": self._change}
        return [
            *(Route(f"{PATH}{path}", file(__file__, path or "/page.html", kind)) for path, kind in FILES.items()),
            Route(f"{PATH}/api/enter", self._checked(self._enter), methods=["POST"]),
            Route(f"{PATH}/api/leave", self._checked(self._leave), methods=["POST"]),
            Route(f"{PATH}/api/overview", self._inside(self._told)),
            Route(f"{PATH}/tables.zip", self._inside(self._tables)),
            *(
                Route(f"{PATH}/api/{name}", self._checked(self._inside(self._doing(act))), methods=["POST"])
                for name, act in acts.items()
            ),
        ]

    # in and out

    async def _enter(self, request: Request) -> Response:
        said = await body(request, BODY_KB)
        answer = JSONResponse({}, headers=HEADERS)
        token = self._passcode.enter(said.get("passcode"))
        answer.set_cookie(COOKIE, token, max_age=int(LASTS), **_cookie(request))
        return answer

    async def _leave(self, request: Request) -> Response:
        self._passcode.leave(request.cookies.get(COOKIE, ""))
        answer = JSONResponse({}, headers=HEADERS)
        answer.delete_cookie(COOKIE, **_cookie(request))
        return answer

    # what is seen

    async def _told(self, _request: Request) -> Response:
        return JSONResponse(await self._overview.told(), headers=HEADERS)

    async def _tables(self, _request: Request) -> Response:
        ours = self._backend
        packed = await ours.runs.readers(tables, ours.ledger, ours.invitations, ours.drift)
        named = {"Content-Disposition": f"attachment; filename=kontext-{ours.clock():%Y-%m-%d}.zip"}
        return Response(packed, headers={**HEADERS, **named}, media_type="application/zip")

    # what is done; whoever did it is told how all stands then

    async def _pause(self, said: Fields) -> Fields:
        await self._backend.pause(said.get("on") is True)
        return {}

    async def _invite(self, said: Fields) -> Fields:
        name, renews = str(said.get("name", "")), _renewal(said.get("renews"))
        expires = self._backend.clock() + timedelta(days=days) if (days := _days(said.get("days"))) else None
        invite = self._backend.invitations.invite
        return {"name": name, "code": await asyncio.to_thread(invite, name, _usd(said.get("usd")), renews, expires)}

    async def _change(self, said: Fields) -> Fields:
        name, ours = str(said.get("name", "")), self._backend.invitations
        match said.get("do"):
            case "pause" | "resume" as what:
                await asyncio.to_thread(ours.pause, name, what == "pause")
            case "end":
                await asyncio.to_thread(ours.end, name)
            case "new code":
                return {"name": name, "code": await asyncio.to_thread(ours.renew_code, name)}
            case _:
                raise KontextError("An invitation can be paused, resumed, ended, or get a new code.")
        return {}

    # how

    def _doing(self, act: Act) -> Endpoint:
        async def answer(request: Request) -> Response:
            done = await act(await body(request, BODY_KB))
            return JSONResponse({**done, "overview": await self._overview.told(soon=True)}, headers=HEADERS)

        return answer

    def _inside(self, endpoint: Endpoint) -> Endpoint:
        """For browsers that were let in; whatever else a cookie holds is answered alike.

        Gradio lets any page read what it answers, and browsers send this cookie along with what the pages of a
        neighbour ask: another port of this computer, another name below the same domain.
        """

        async def answer(request: Request) -> Response:
            if not _from_here(request):
                return refusal(403, FOREIGN)
            if not self._passcode.is_in(request.cookies.get(COOKIE, "")):
                return refusal(401, OUT)
            return await _told_what_is_wrong(endpoint, request)

        return answer

    def _checked(self, endpoint: Endpoint) -> Endpoint:
        """For what the page itself sends, and no other site in its name."""

        async def answer(request: Request) -> Response:
            if OWN_HEADER not in request.headers or not _from_here(request):
                return refusal(403, FOREIGN)
            return await _told_what_is_wrong(endpoint, request)

        return answer


async def _told_what_is_wrong(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint(request)
    except Unreadable:
        return refusal(400, UNREADABLE)
    except KontextError as error:
        return refusal(503 if isinstance(error, LedgerError) else 422, f"{error.happened} {error.advice}".strip())


def _from_here(request: Request) -> bool:
    """By what a browser says of the page that asks; where it says nothing, nothing is known against it."""
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = request.headers.get("origin")
    hosts = [request.headers.get("host", ""), *request.headers.getlist("x-forwarded-host")]
    return origin is None or origin.partition("://")[2] in hosts


def _cookie(request: Request) -> dict[str, Any]:
    """Sent to this page alone, and to no script. A proxy in front speaks https where it says so."""
    secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
    return {"path": PATH, "httponly": True, "samesite": "strict", "secure": secure}


def _usd(told: object) -> Decimal:
    try:
        return Decimal(str(told).strip().removeprefix("$"))
    except InvalidOperation:
        raise KontextError("The allowance is no amount.", "Write one such as 2 or 0.50.") from None


def _renewal(told: object) -> Renewal:
    for known in get_args(Renewal):
        if told == known:
            return cast(Renewal, known)
    raise KontextError("An allowance renews never, daily, weekly or monthly.", "Choose one of them.")


def _days(told: object) -> int:
    """0: it has no end."""
    text = str(told or "").strip()
    if not re.fullmatch(r"[0-9]{0,4}", text):
        raise KontextError("The number of days is none.", "Write a whole number, or nothing: it then has no end.")
    return int(text or 0)
