"""A served app, a service that it can be pointed at, and a visitor's page spoken to as a person would."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import os
import queue
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import gradio as gr
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, Response, Route, expect
from starlette.requests import Request
from starlette.responses import Response as Answer
from starlette.types import Message, Receive, Scope, Send

import app
from core.catalog.estimate import dollars, estimate
from core.catalog.variants import Variant
from core.runs.runtime import Runtime
from core.settings import read
from sandbox import create_app

HOST_KEY = "wsk_host_4f1c2a9b8d7e6f50"
HOST_PASSCODE = "a passcode of the host"

SECONDS = 30  # that the page may take for anything, on a machine that has other things to do
expect.set_options(timeout=1000 * SECONDS)

DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

HOME = Path(app.__file__).parent
PHOTOS = HOME / "examples"
PORTRAIT, COFFEE, LAUNCH = (PHOTOS / name for name in ("portrait.jpg", "coffee.jpg", "launch.jpg"))
CAT, BRICK, GRASS, GRAVEL = (PHOTOS / name for name in ("cat.jpg", "brick.jpg", "grass.jpg", "gravel.jpg"))


@dataclass(frozen=True)
class Studio:
    """An app that serves: its address, its page, and the folder where it keeps everything."""

    url: str
    page: gr.Blocks
    data: Path

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """What the ledger's file holds."""
        connection = sqlite3.connect(self.data / "ledger.db")
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query, values)]
        finally:
            connection.close()

    def sent(self, prompt: str) -> list[dict[str, Any]]:
        """The bodies that were submitted with this prompt, each reference as the hash of what was uploaded for it."""
        hashes = {row["url"]: row["sha256"] for row in self.rows("SELECT url, sha256 FROM uploads")}
        bodies = [json.loads(row["payload"]) for row in self.rows("SELECT payload FROM predictions ORDER BY rowid")]
        return [b | {"images": [hashes[url] for url in b["images"]]} for b in bodies if b.get("prompt") == prompt]

    @property
    def runs(self) -> int:
        return int(self.rows("SELECT count(*) AS runs FROM runs")[0]["runs"])

    def output(self, name: str) -> Path:
        """The newest file of that name among the outputs."""
        return max((self.data / "outputs").rglob(name), key=lambda path: path.stat().st_mtime)

    def take_turn(self) -> None:
        """The folder that Gradio serves from belongs to the process: with several apps in it, to one at a time."""
        os.environ["GRADIO_TEMP_DIR"] = str(self.data / "served")


@contextmanager
def serving(data: Path, runtime: Runtime | None = None, **environment: str) -> Iterator[Studio]:
    """The app on a free port, with nothing of the developer's environment."""
    settings = read({"KONTEXT_DATA_DIR": str(data), **environment}, HOME)
    page, url = app.serve(settings, runtime=runtime, server_name="127.0.0.1", server_port=free_port())
    try:
        yield Studio(url.rstrip("/"), page, data)
    finally:
        page.close(verbose=False)


def sum_in_words(variant: Variant, pictures: int) -> str:
    """The list price with its working, such as "2 × $0.03 = $0.06"."""
    total = dollars(estimate(variant, pictures))
    return total if pictures == 1 else f"{pictures} × {dollars(variant.price)} = {total}"


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


class HandSandbox:
    """The sandbox served to anyone; while held, its clock stands still and no prediction gets done."""

    def __init__(self) -> None:
        self._held: float | None = None
        self.broken = ""  # requests with this in their path are answered with a 503
        self.failing: tuple[str, int] | None = None  # a task of this model with this seed fails
        self._asked: queue.Queue[str] = queue.Queue()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._service = create_app(seconds=0.05, clock=self._clock)
        config = uvicorn.Config(self._take, interface="asgi3", host="127.0.0.1", port=port, log_level="warning")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        broken = scope["type"] == "http" and self.broken and self.broken in scope["path"]
        if scope["type"] == "http" and self.failing and scope["path"].endswith(self.failing[0]):
            receive = _told_to_fail(await Request(scope, receive).json(), self.failing[1])
        await (Answer(status_code=503) if broken else self._service)(scope, receive, send)
        if scope["type"] == "http":
            self._asked.put(f"{scope['method']} {scope['path']}")

    def asked(self, until: str = "") -> list[str]:
        """Each request that was answered since the last look, in order; waits for one with these letters in it."""
        asked: list[str] = []
        while until and not any(until in request for request in asked):
            asked.append(self._asked.get(timeout=SECONDS))
        while not self._asked.empty():
            asked.append(self._asked.get())
        return asked

    def _clock(self) -> float:
        return time.time() if self._held is None else self._held

    @contextmanager
    def held(self) -> Iterator[None]:
        self._held = time.time()
        try:
            yield
        finally:
            self._held = None

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def _told_to_fail(asked: dict[str, Any], seed: int) -> Receive:
    """The same request, whose task fails where it has that seed."""
    body = asked | {"prompt": "[sandbox:failed]"} if asked.get("seed") == seed else asked

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    return receive


def _has_draft(route: Route) -> bool:
    return '\\"cards\\"' in (route.request.post_data or "")


class Profile:
    """A browser that one visitor after another sits down at, emptied in between.

    One page is never closed in it. With it stay the process that draws all of them and the scripts that are compiled
    there, which is half of what it costs to open the app's page.
    """

    def __init__(self, browser: Browser, **context: Any) -> None:
        self.context = browser.new_context(**DESK | context)
        self._kept = self.context.new_page()
        self._devtools = self.context.new_cdp_session(self._kept)

    def empty(self, url: str) -> None:
        """Nothing is left open, or kept for that address."""
        for page in self.context.pages:
            if page != self._kept:
                page.close()
        # By the browser itself: what a page wrote just before it was closed may come after another page's word.
        everything = {"origin": url, "storageTypes": "all"}
        self._devtools.send("Storage.clearDataForOrigin", everything)


class Visit:
    """One visitor with the app's page, in a browser of their own or in one that is emptied for the next.

    Leaving it fails where the page logged an error, threw one, opened a dialog, asked another host for anything, or
    was answered with a 5xx.
    """

    def __init__(self, browser: Browser | Profile, studio: Studio, **context: Any) -> None:
        self.studio = studio
        studio.take_turn()
        self._profile = browser if isinstance(browser, Profile) else None
        own = browser.context if isinstance(browser, Profile) else browser.new_context(**DESK | context)
        self.context: BrowserContext = own
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(1000 * SECONDS)
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._listen()

    def _listen(self) -> None:
        page = self.page
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"thrown: {error}"))
        page.on("dialog", self._on_dialog)
        page.on("response", self._on_response)
        page.on("request", lambda request: self.requests.append(request.url))

    def _on_console(self, message: ConsoleMessage) -> None:
        # Gradio logs that a page was left or loaded anew while it listened.
        left = any(words in message.text for words in ("AbortError", "Connection errored out"))
        if message.type == "error" and not left:
            self.faults.append(f"logged: {message.text}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_response(self, response: Response) -> None:
        if response.status >= 500:
            self.faults.append(f"{response.status} from {response.url}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._profile:
            self._profile.empty(self.studio.url)
        else:
            self.context.close()
        if kind is None:
            self.sound()

    def open(self) -> Self:
        self.page.goto(self.studio.url)
        # The total comes once the server knows the visitor: from here on presses are heard.
        expect(self.page.get_by_text("this session")).to_be_visible()
        return self

    def start_over(self) -> None:
        """Everything as on the first visit, by hand: what was opened is closed, and the inputs are empty."""
        self.page.unroute_all()
        for name in ("Your key", "Parameters ▼"):
            opened = self.page.get_by_role("button", name=name, exact=True)
            if opened.get_attribute("aria-expanded") == "true":
                opened.click()
        self.page.get_by_role("button", name="Start over").click()
        expect(self.cards).to_have_count(0)
        expect(self.prompt).to_have_value("")
        expect(self.preset).to_contain_text("Choose a preset")
        expect(self.page.get_by_role("radio", name=re.compile("^Pro"))).to_be_checked()
        expect(self.page.locator(".problem")).to_have_count(0)

    def sound(self) -> None:
        """Nothing went wrong on the page since this was asked last."""
        faults, requests = self.faults, self.requests
        self.faults, self.requests = [], []
        foreign = [url for url in requests if not url.startswith((self.studio.url, "data:", "blob:"))]
        assert not faults, faults
        assert not foreign, foreign

    @contextmanager
    def draft_held(self) -> Iterator[None]:
        """Opens the page anew; inside, the draft is still on its way to the server."""
        waiting: list[Route] = []
        theirs = "**/gradio_api/run/**"
        self.page.route(theirs, lambda route: (waiting.append if _has_draft(route) else Route.continue_)(route))
        self.page.reload()
        expect(self.page.get_by_text("this session")).to_be_visible()
        yield
        for route in waiting:
            route.continue_()
        self.page.unroute(theirs)

    # references

    def drop(self, *files: Path | tuple[str, bytes]) -> None:
        """Drops files from outside somewhere on the page."""
        self.page.evaluate(
            """(files) => {
              const dataTransfer = window.testTransfer(files);
              for (const type of ["dragenter", "dragover", "drop"])
                document.querySelector("main, body").dispatchEvent(
                  new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
            }""",
            self._transfer(files),
        )

    def paste(self, *files: Path | tuple[str, bytes]) -> None:
        """Pastes files while the cursor is in the prompt."""
        self.prompt.focus()
        self.page.evaluate(
            """(files) => document.activeElement.dispatchEvent(new ClipboardEvent("paste",
              { clipboardData: window.testTransfer(files), bubbles: true, cancelable: true }))""",
            self._transfer(files),
        )

    def _transfer(self, files: Sequence[Path | tuple[str, bytes]]) -> list[list[str]]:
        self.page.evaluate(
            """() => { window.testTransfer = (files) => {
              const transfer = new DataTransfer();
              for (const [name, type, text] of files)
                transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
              return transfer;
            }; }"""
        )
        named = [(file.name, file.read_bytes()) if isinstance(file, Path) else file for file in files]
        return [[n, mimetypes.guess_type(n)[0] or "", base64.b64encode(data).decode()] for n, data in named]

    @property
    def references(self) -> Locator:
        return self.page.get_by_role("region", name="References")

    @property
    def cards(self) -> Locator:
        return self.references.get_by_role("img", name=re.compile("^Reference [0-9]"))

    def expect_cards(self, *files: Path | str) -> None:
        """These cards in this order, each picture loaded."""
        names = [file.name if isinstance(file, Path) else file for file in files]
        expect(self.cards).to_have_count(len(names))
        for number, name in enumerate(names, start=1):
            card = self.cards.nth(number - 1)
            expect(card).to_have_attribute("alt", f"Reference {number}, {name}")
            expect(card).to_have_js_property("complete", True)
            assert card.evaluate("picture => picture.naturalWidth") > 0

    def hashes(self) -> list[str]:
        """The hash of each card's prepared picture, in the order on the page."""
        files = [Path(str(card.get_attribute("src")).partition("file=")[2]) for card in self.cards.all()]
        return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]

    def role(self, number: int) -> Locator:
        return self.page.get_by_role("combobox", name=f"Role of reference {number}")

    def grip(self, number: int) -> Locator:
        return self.references.get_by_role("button", name=re.compile(f"^Reference {number},"))

    # the form

    @property
    def prompt(self) -> Locator:
        return self.page.get_by_role("textbox", name="Prompt", exact=True)

    @property
    def preset(self) -> Locator:
        """The button that shows the chosen preset and opens the others."""
        return self.page.locator("#preset").get_by_role("button", name=re.compile("preset", re.IGNORECASE)).first

    @property
    def estimate(self) -> Locator:
        return self.page.locator("#estimate")

    def choose_preset(self, name: str) -> None:
        self.preset.click()
        self.page.get_by_role("option", name=name).click()
        expect(self.page.get_by_role("dialog")).to_be_hidden()

    def choose_variant(self, name: str) -> None:
        # Its label, as a hand does: pressed by force, the radio itself may lie under the bar with Generate.
        self.page.locator("#variant label").filter(
            has=self.page.get_by_role("radio", name=re.compile(f"^{name}"))
        ).click()
        expect(self.page.get_by_role("radio", name=re.compile(f"^{name}"))).to_be_checked()

    def choose_pictures(self, count: int) -> None:
        self.page.locator("#pictures").get_by_role("radio", name=str(count)).check(force=True)

    def open_parameters(self) -> Locator:
        """Opens them. Controls are made in this moment and filled a little later; no hand is faster than that."""
        self.page.get_by_role("button", name="Parameters").click()
        expect(self.page.locator("#shape").get_by_role("combobox")).not_to_have_value("")
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.page.locator("#parameters")

    # runs

    @property
    def result(self) -> Locator:
        return self.page.get_by_role("region", name="Result")

    @property
    def pictures(self) -> Locator:
        return self.result.get_by_role("img", name=re.compile("^Picture [0-9]"))

    @property
    def receipt(self) -> Locator:
        return self.result.locator(".receipt")

    def generate(self) -> None:
        self.page.get_by_role("button", name="Generate").click()

    def expect_pictures(self, count: int) -> None:
        """A finished run with so many pictures, each loaded."""
        expect(self.result).to_have_attribute("aria-busy", "false")
        expect(self.receipt).to_be_visible()
        expect(self.pictures, self.result.inner_text()).to_have_count(count)
        for picture in self.pictures.all():
            expect(picture).to_have_js_property("complete", True)
            assert picture.evaluate("picture => picture.naturalWidth") > 0

    def tab(self, name: str) -> Locator:
        """Opens a tab and gives back what it shows."""
        self.page.get_by_role("tab", name=name).click()
        return self.page.get_by_role("region", name=name, exact=True)

    @property
    def total(self) -> Locator:
        return self.page.locator("#header .total")

    def stored(self) -> Mapping[str, str]:
        """What the page has left in the browser."""
        return dict(self.page.evaluate("({ ...localStorage, ...sessionStorage })"))
