"""Signing in with Hugging Face, by Gradio's own routes: what goes before them, what comes after, and signing out.

Gradio's routes are real on a Space alone; elsewhere they would let anybody in under any name, so there they are not.
Its cookie, signed and out of reach of scripts, carries through the login which visitor this browser was: the login may
come back under another name of the Space, where the page's storage is another. Afterwards it holds a handle of ours in
place of what the provider said, so that it is worth nothing once that sign-in has ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_space
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from core.access.people import Login
from core.backend import Backend
from ui.door import CALLBACK, NOT_SIGNED_IN, refusal

LOGIN = "/login/huggingface"  # Gradio's
BEGIN, BACK, END = "/sign-in", "/signed-in", "/sign-out"
CARRIED = 600.0  # seconds that a login may take and still bring along what the browser was before
LONGEST_SUBJECT = 255  # (OpenID Connect Core, 2)
FOREIGN = "Sign in from the app's own page. Nothing has changed."

_HANDLE, _BEFORE, _SINCE, _TOLD = "handle", "before", "since", "oauth_info"  # in the cookie; the last one is Gradio's


class Page(gr.Blocks):
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
        session = request.session
        before = session.get(_BEFORE) if time.time() - session.get(_SINCE, 0) < CARRIED else None
        login = login_of(session.get(_TOLD), time.time())
        session.clear()
        handle = await self._backend.sign_in(login, before) if login else None
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
        """Whether a page of this app sent the form: no foreign page may sign anybody in or out."""
        names = {request.headers.get("host", "").lower(), *self._backend.settings.space_hosts}
        return urlsplit(request.headers.get("origin", "")).netloc.lower() in names - {""}


# What of Gradio's the door has to let through; here for their paths alone.
LOGIN_ROUTES: tuple[BaseRoute, ...] = (Route(LOGIN, RedirectResponse), Route(CALLBACK, RedirectResponse))


def handle_of(request: gr.Request) -> object:
    """The handle in the cookie of whoever opens a page."""
    scope: Mapping[str, Any] = getattr(request.request, "scope", {})
    session: MutableMapping[str, Any] = scope.get("session", {})
    return session.get(_HANDLE)


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
