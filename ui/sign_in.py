"""Signing in with Hugging Face, by Gradio's own routes: what goes before them, what comes after, and signing out.

Gradio's routes are real on a Space alone; elsewhere they would let anybody in under any name, so there they are not.
Its cookie, signed and out of reach of scripts, carries through the login which visitor this browser was: the login may
come back under another name of the Space, where the page's storage is another. Afterwards it holds a handle of ours in
place of what the provider said, so that it is worth nothing once that sign-in has ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_space
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from core.access.people import Login
from core.backend import Backend
from ui.blocks import Blocks
from ui.door import CALLBACK, NOT_SIGNED_IN, refusal

LOGIN = "/login/huggingface"  # Gradio's
BEGIN, BACK, END = "/sign-in", "/signed-in", "/sign-out"
CARRIED = 600.0  # seconds that a login may take and still bring along what the browser was before
LONGEST_SUBJECT = 255  # (OpenID Connect Core, 2)
FOREIGN = "Sign in from the app's own page. Nothing has changed."

_HANDLE, _BEFORE, _SINCE, _TOLD = "handle", "before", "since", "oauth_info"  # in the cookie; the last one is Gradio's


class Page(Blocks):
    """A page with Gradio's login routes, where there is real sign-in."""

    def __init__(self, *, sign_in: bool, **rest: Any) -> None:
        self._sign_in = sign_in
        super().__init__(**rest)

    @property
    def expects_oauth(self) -> bool:
        return self._sign_in and get_space() is not None


class SignIn:
    """The routes around a login, over one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def routes(self) -> list[BaseRoute]:
        """None where nobody can sign in."""
        if not self._backend.settings.sign_in:
            return []
        return [
            Route(BEGIN, self._begin, methods=["POST"]),
            Route(BACK, self._back),
            Route(END, self._end, methods=["POST"]),
        ]

    async def _begin(self, request: Request) -> Response:
        """To the provider, with what the browser shows of whom it was until now."""
        if not self._is_ours(request):
            return refusal(403, FOREIGN)
        session, claim = request.session, await _told(request)
        await self._backend.sign_out(claim)  # who is signed in and signs in anew is somebody else
        session.pop(_HANDLE, None)
        session.update({_BEFORE: claim, _SINCE: time.time()})
        return RedirectResponse(f"{LOGIN}?_target_url={BACK}", 303)

    async def _back(self, request: Request) -> Response:
        """From the provider: what it said is used once, and leaves the cookie."""
        session, now = request.session, time.time()
        told, before = session.pop(_TOLD, None), session.pop(_BEFORE, None)
        carried = before if now - session.pop(_SINCE, 0) < CARRIED else None
        if told is None and _HANDLE in session:  # gone back to from the page
            return RedirectResponse("/", 303)
        login = login_of(told, now)
        handle = await self._backend.sign_in(login, carried) if login else None
        if handle is None:
            return RedirectResponse(NOT_SIGNED_IN, 303)
        session[_HANDLE] = handle
        return RedirectResponse("/", 303)

    async def _end(self, request: Request) -> Response:
        if not self._is_ours(request):
            return refusal(403, FOREIGN)
        for handle in (await _told(request), request.session.get(_HANDLE)):
            await self._backend.sign_out(handle)
        request.session.clear()
        return RedirectResponse("/", 303)

    def _is_ours(self, request: Request) -> bool:
        return is_ours(request.headers, self._backend.settings.space_hosts)


def is_ours(headers: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether a page of this app sent that, be it under another of its `names`.

    Gradio lets any page read what it answers, and browsers send its cookie along with what any page asks.
    """
    host, origin = headers.get("host", "").lower(), urlsplit(headers.get("origin", "")).netloc.lower()
    return origin != "" and origin in (host, *names)


# What of Gradio's the door has to let through; here for their paths alone.
LOGIN_ROUTES: tuple[BaseRoute, ...] = (Route(LOGIN, RedirectResponse), Route(CALLBACK, RedirectResponse))


def handle_of(request: gr.Request, names: Sequence[str]) -> object:
    """The handle in the cookie of whoever opens a page of ours; `names` are those of the app."""
    asked: Request | None = request.request
    if asked is None or not is_ours(asked.headers, names):
        return None
    return asked.scope.get("session", {}).get(_HANDLE)


def login_of(told: object, now: float) -> Login | None:
    """What Gradio keeps of a login that has ended well; None where it doesn't say who that is, or no longer holds."""
    info: Mapping[str, Any] = told if isinstance(told, dict) else {}
    user: Mapping[str, Any] = info.get("userinfo") or {}
    subject, id, name = user.get("sub"), info.get("id_token"), user.get("preferred_username")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not isinstance(id, str) or not id:
        return None
    return Login(subject, name if isinstance(name, str) else "", id) if info.get("expires_at", now) >= now else None


async def _told(request: Request) -> str:
    """What the page that sent the form holds."""
    async with request.form(max_files=0, max_fields=1) as form:
        return str(form.get("visitor", ""))[:64]
