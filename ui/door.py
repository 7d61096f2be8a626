"""The door in front of Gradio's app: by which names it is reached, what of Gradio is there, how much may be sent."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from ipaddress import ip_address

from gradio.route_utils import API_PREFIX
from starlette.datastructures import Headers, QueryParams
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.sessions import Presence

log = logging.getLogger(__name__)

REQUEST_KB = 256  # the body of any request that is no upload; the largest of the page's own has less than 100
ID_CHARACTERS = 64  # of a session's id, of which Gradio remembers thousands; the page's have 11, a program's 36

MISDIRECTED = (
    "This app doesn't answer to that name. Open it by its IP address or as localhost. Its host can allow the name "
    "with KONTEXT_ALLOWED_HOSTS."
)
TOO_LARGE = f"This request is larger than {REQUEST_KB} kB, so it was not read. Nothing was charged. Send less text."
NOT_FOUND = "There is no such page."
FAILED = "This request could not be answered."

CALLBACK = "/login/callback"  # of Gradio's sign-in
NOT_SIGNED_IN = "/#not-signed-in"  # the page says so

UPLOAD = f"{API_PREFIX}/upload"
INFO = f"{API_PREFIX}/info"

# All that the page and gradio_client ask Gradio for. It serves more (recordings, deep links, proxies, monitoring): what
# is not named here is not there, so that a new version opens nothing by itself.
_USED = {
    "GET": (
        "/",
        "/config/?",
        "/(assets|static)/.+",
        "/(theme.css|favicon.ico|robots.txt|manifest.json)",
        f"{API_PREFIX}/(info|app_id|startup-events|theme.css|upload_progress|queue/data)",
        f"{API_PREFIX}/heartbeat/[^/]+",
        f"{API_PREFIX}/call/(v2/)?[^/]+/[^/]+",
        f"{API_PREFIX}/file=(?!https?:).+",  # it would fetch an address for anybody
    ),
    "POST": (
        UPLOAD,
        f"{API_PREFIX}/(queue/join|component_server/?|cancel)",
        f"{API_PREFIX}/run/[^/]+",
        f"{API_PREFIX}/call/(v2/)?[^/]+",
    ),
}
_PATTERNS = {method: re.compile("|".join(paths), re.IGNORECASE) for method, paths in _USED.items()}


class Door:
    """Middleware: lets a request through to the app, or answers it with a status and a sentence.

    `ours` are the routes beside Gradio's. `names` are the hosts that this copy is known by, besides localhost and
    addresses in numbers; None: any, as a proxy in front of it sends them. They may be added to while it serves.
    `presence` is told who has a page open, and who listens for an answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ours: Sequence[BaseRoute],
        names: Collection[str] | None,
        presence: Presence,
    ) -> None:
        self._app = app
        self._ours = ours
        self._names = names
        self._presence = presence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # nothing here speaks by websocket
            await send({"type": "websocket.close"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_known(Headers(scope=scope)):
            await refusal(421, MISDIRECTED)(scope, receive, send)
        elif not self._is_there(scope):
            await refusal(404, NOT_FOUND)(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD") or scope["path"] == UPLOAD:
            with self._noted(scope):
                await self._behind(_asked_anew(scope), receive, send)
        elif (body := await _read(scope, receive)) is None or _names_too_much(body):
            await refusal(413, TOO_LARGE)(scope, receive, send)
        else:
            await self._behind(scope, _again(body, receive), send)

    async def _behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app, whose faults are a sentence for whoever asked and a line in the log: anybody can bring one about."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as fault:
            log.warning("a request could not be answered: %s", type(fault).__name__)  # its text may quote the request
            if not begun:
                by_hand = scope["path"] == CALLBACK  # somebody comes by it in their browser
                answer = RedirectResponse(NOT_SIGNED_IN, 303) if by_hand else refusal(500, FAILED)
                await answer(scope, receive, send)

    def _noted(self, scope: Scope) -> AbstractContextManager[None]:
        """A stream is open as long as its request goes on."""
        before, _, last = scope["path"].removeprefix(f"{API_PREFIX}/").rpartition("/")
        if before == "heartbeat":
            return self._presence.pages.open(last)
        if (before, last) == ("queue", "data"):
            return self._presence.readers.open(QueryParams(scope["query_string"]).get("session_hash", ""))
        return self._presence.readers.open(last) if before.startswith("call/") else nullcontext()

    def _is_known(self, headers: Headers) -> bool:
        if self._names is None:
            return True
        told = [headers.get("host", ""), *headers.getlist("x-forwarded-host")]  # Gradio believes either
        return all(is_known(name, self._names) for hosts in told for name in hosts.split(","))

    def _is_there(self, scope: Scope) -> bool:
        if any(route.matches(scope)[0] is Match.FULL for route in self._ours):
            return True
        used = _PATTERNS.get("GET" if scope["method"] == "HEAD" else scope["method"])
        return used is not None and used.fullmatch(scope["path"]) is not None


def is_known(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names this computer, or is one of `names`.

    A foreign page that has its own name answered with our address (DNS rebinding) still sends that name; an address
    in numbers can't be answered with another.
    """
    told = re.fullmatch(r"\[([^\]]+)\](?::\d*)?|([^\s:@\[\]/?#]+)(?::\d*)?", host.strip())
    if told is None:
        return False
    name = (told[1] or told[2]).lower().rstrip(".")
    try:
        ip_address(name)
    except ValueError:
        return name == "localhost" or name in names
    return True


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body, or None once it is known to be too large."""
    most = REQUEST_KB * 1024
    announced = Headers(scope=scope).get("content-length", "0")
    if not announced.isdecimal() or int(announced) > most:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body", False):  # also where the other side has hung up
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` for an app behind us: the body that was read, then whatever comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


def _asked_anew(scope: Scope) -> Scope:
    """Gradio keeps its description of the API as the first caller asked for it, with the app's address in it as they
    named it; that of a page it makes anew each time, and ours is called "".
    """
    return {**scope, "query_string": scope["query_string"] + b"&page="} if scope["path"] == INFO else scope


def _names_too_much(body: bytes) -> bool:
    """Whether it names a session by more than an id."""
    if b"session_hash" not in body:
        return False
    try:
        told = json.loads(body)
    except ValueError:
        return False  # Gradio refuses it
    return isinstance(told, dict) and len(str(told.get("session_hash"))) > ID_CHARACTERS


def refusal(status: int, sentence: str) -> JSONResponse:
    """Under the names that Gradio's page and its client look for."""
    return JSONResponse({"detail": sentence, "error": sentence}, status)
