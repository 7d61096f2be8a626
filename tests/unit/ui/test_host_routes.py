"""The host's page behind its passcode: what it answers, and all that does not open it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import re
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from blocking import HOME
from starlette.applications import Starlette

import app
from core.access.attempts import FREE, Attempts
from core.access.passcode import BROWSERS, LASTS, WRONG, Passcode
from core.backend import Backend
from core.errors import SettingsError
from core.ledger import trials
from core.ledger.trials import Spec, Trial
from core.service.account import Account
from core.service.client import Client
from core.settings import read
from ui.door import Door
from ui.host.overview import FRESH, PATIENCE, Overview
from ui.host.routes import COOKIE, FOREIGN, OUT, HostApi
from ui.light import HEADERS
from ui.sessions import Presence

pytestmark = pytest.mark.anyio

PASSCODE = "planted-passcode-of-the-host-4711"
MARKUP = "=<img src=x onerror=alert(1)>"
OURS = {"X-Kontext-Host": "1"}


class Desk:
    """The host's routes behind the door, over a backend of a hosted copy without a key."""

    def __init__(self, folder: Path) -> None:
        environment = {"KONTEXT_DATA_DIR": str(folder), "KONTEXT_HOSTED": "on", "KONTEXT_HOST_PASSCODE": PASSCODE}
        self.backend = Backend(read(environment, folder), HOME / "presets")
        self.seconds = 0.0
        passcode = Passcode(PASSCODE, Attempts(lambda: self.seconds), lambda: self.seconds)
        routes = HostApi(self.backend, passcode).routes()
        self._door = Door(Starlette(routes=routes), ours=routes, names={"studio.example"}, presence=Presence())
        self.paths = [route.path for route in routes]  # type: ignore[attr-defined]
        self.http = self.browser()

    def browser(self, url: str = "http://127.0.0.1") -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self._door), base_url=url)

    async def post(self, path: str, said: object, **headers: str) -> httpx.Response:
        return await self.http.post(f"/host/api/{path}", json=said, headers=OURS | headers)

    async def enter(self, passcode: str = PASSCODE) -> httpx.Response:
        return await self.post("enter", {"passcode": passcode})

    async def told(self) -> dict[str, Any]:
        return dict((await self.http.get("/host/api/overview")).json())


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path / "data")
    yield desk
    await desk.http.aclose()
    await desk.backend.aclose()


async def everything(desk: Desk, **more: Any) -> list[httpx.Response]:
    """What each address that is for the host alone answers."""
    inside = [
        path for path in desk.paths if path.split("/")[-1] not in ("host", "page.css", "page.js", "enter", "leave")
    ]
    posts = {"/host/api/pause": {"on": True}, "/host/api/invite": {}, "/host/api/invitation": {}}
    return [
        await (
            desk.http.post(path, json=posts[path], headers=OURS, **more)
            if path in posts
            else desk.http.get(path, **more)
        )
        for path in inside
    ]


async def test_without_a_passcode_there_is_no_such_page(desk: Desk) -> None:
    """Not even one that says so; and a passcode that is soon guessed is none."""
    assert len(app._host_page(desk.backend)) == len(desk.paths)
    desk.backend.settings = replace(desk.backend.settings, host_passcode=None)
    assert app._host_page(desk.backend) == []
    with pytest.raises(SettingsError, match="KONTEXT_HOST_PASSCODE must have at least 20 characters") as refused:
        read({"KONTEXT_HOST_PASSCODE": "x" * 19}, HOME)
    assert "x" * 19 not in str(refused.value)


async def test_the_passcode_opens_it_and_signing_out_closes_it(desk: Desk) -> None:
    """Nothing is to be seen before and after; in between all of it."""
    assert {(one.status_code, one.json()["error"]) for one in await everything(desk)} == {(401, OUT)}
    assert (await desk.enter()).status_code == 200
    assert (await desk.told())["pause"] == {"on": False, "fixed": False, "since": ""}
    assert (await desk.post("leave", {})).status_code == 200
    assert not desk.http.cookies
    assert {one.status_code for one in await everything(desk)} == {401}


@pytest.mark.parametrize("forged", ["", "0", PASSCODE, "x" * 43, "../", "é"])
async def test_a_forged_cookie_opens_nothing(desk: Desk, forged: str) -> None:
    """Only what was given out is taken: no guess, no passcode in its place, no token of another start."""
    await desk.enter()
    desk.http.cookies.clear()
    cookie = {"Cookie": f"{COOKIE}={forged}".encode()}
    assert {one.status_code for one in [await desk.http.get("/host/api/overview", headers=cookie)]} == {401}  # type: ignore[arg-type]


async def test_a_browser_is_let_in_for_a_while(desk: Desk) -> None:
    """After half a day it has to show the passcode again; so has the oldest of too many."""
    await desk.enter()
    desk.seconds = LASTS - 1
    assert (await desk.http.get("/host/api/overview")).status_code == 200
    desk.seconds = LASTS
    assert (await desk.http.get("/host/api/overview")).status_code == 401
    await desk.enter()
    first = dict(desk.http.cookies)
    for _ in range(BROWSERS):
        await desk.enter()
    assert (await desk.http.get("/host/api/overview")).status_code == 200
    desk.http.cookies.clear()
    stale = {"Cookie": f"{COOKIE}={first[COOKIE]}"}
    assert (await desk.http.get("/host/api/overview", headers=stale)).status_code == 401


async def test_guesses_are_slowed(desk: Desk) -> None:
    """Ten may be wrong, then everybody waits, whoever is right too; what was let in stays in."""
    await desk.enter()
    inside = dict(desk.http.cookies)
    answers = [await desk.enter(f"guess {n}") for n in range(FREE + 2)]
    assert [one.json()["error"].startswith(WRONG) for one in answers] == [True] * (FREE + 1) + [False]
    assert {one.status_code for one in answers} == {422}
    assert "Too many failed attempts. Try again in" in (await desk.enter()).json()["error"]
    assert dict(desk.http.cookies) == inside
    assert (await desk.http.get("/host/api/overview")).status_code == 200
    desk.seconds += 60
    assert (await desk.enter()).status_code == 200


@pytest.mark.parametrize("said", [{}, {"passcode": None}, {"passcode": ["x"]}, {"passcode": {"$ne": ""}}])
async def test_what_is_no_passcode_is_a_wrong_one(desk: Desk, said: dict[str, Any]) -> None:
    """Whatever its type."""
    assert (await desk.post("enter", said)).json()["error"].startswith(WRONG)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Kontext-Host": ""},  # without, as a form or a script of another site sends it
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
    ],
    ids=str,
)
async def test_another_site_sets_nothing_off(desk: Desk, headers: dict[str, str]) -> None:
    """Not even with the host's cookie: no pause, no invitation, no way in or out."""
    await desk.enter()
    sent = {name: value for name, value in (OURS | headers).items() if value}
    for path in (path for path in desk.paths if "/api/" in path and not path.endswith("overview")):
        answer = await desk.http.post(path, json={"on": True, "passcode": PASSCODE}, headers=sent)
        assert (answer.status_code, answer.json()["error"]) == (403, FOREIGN)
    assert not (await desk.told())["pause"]["on"]


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://127.0.0.1:3000"}]
)
async def test_a_neighbour_s_page_reads_nothing(desk: Desk, headers: dict[str, str]) -> None:
    """A page at another port, or another name below the domain, for which browsers send the host's cookie along."""
    await desk.enter()
    for path in ("/host/api/overview", "/host/tables.zip"):
        answer = await desk.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, FOREIGN)


async def test_the_cookie_is_for_this_page_alone(desk: Desk) -> None:
    """No script reads it, no other site has it sent, and where the page is https it never goes without."""
    plain = (await desk.enter()).headers["set-cookie"]
    assert all(word in plain for word in ("HttpOnly", "SameSite=strict", "Path=/host", f"Max-Age={int(LASTS)}"))
    assert "Secure" not in plain and PASSCODE not in plain
    behind = {"Host": "studio.example", "X-Forwarded-Proto": "https", "Origin": "https://studio.example"}
    assert "Secure" in (await desk.post("enter", {"passcode": PASSCODE}, **behind)).headers["set-cookie"]


async def test_nothing_is_kept_by_anybody_on_the_way(desk: Desk) -> None:
    """No answer may be stored, framed, or take anything from elsewhere, whatever its status."""
    answers = [await desk.enter(), *await everything(desk), await desk.post("pause", {"on": False}, Origin="null")]
    answers += [await desk.http.get(path) for path in ("/host", "/host/page.css", "/host/page.js")]
    assert all(one.headers[name] == value for one in answers for name, value in HEADERS.items())
    assert PASSCODE not in "".join(one.text for one in answers if "zip" not in one.headers["content-type"])


async def test_the_page_takes_nothing_from_elsewhere(desk: Desk) -> None:
    """It names no other host, has no inline script, and puts nothing up as markup; a foreign name gets nothing."""
    page, script = [(await desk.http.get(path)).text for path in ("/host", "/host/page.js")]
    assert not re.findall(r"https?://|<script>|\son\w+=", page) and "innerHTML" not in script
    async with desk.browser("http://evil.example") as foreign:
        assert (await foreign.get("/host")).status_code == 421


async def test_a_press_is_seen_however_slow_the_service_is(desk: Desk) -> None:
    """The answer to Pause takes the balance as it was last, in place of waiting for another."""
    now, away = 0.0, asyncio.Event()

    async def service(_: httpx.Request) -> httpx.Response:
        if now:
            await away.wait()
        return httpx.Response(200, json={"code": 200, "data": {"balance": 7.5}})

    client = Client("planted-key-of-the-host", "http://service.invalid", transport=httpx.MockTransport(service))
    desk.backend.host = Account("host", "host", client)
    overview = Overview(desk.backend, lambda: now)
    assert (await overview.told())["balance"]["left"] == "$7.50"
    now = 2 * FRESH
    async with asyncio.timeout(PATIENCE / 2):
        assert (await overview.told(soon=True))["balance"]["left"] == "$7.50"


async def test_invitations_are_made_and_changed(desk: Desk) -> None:
    """A code is told once, at the making; a name may hold anything, and does nothing."""
    await desk.enter()
    said = {"name": MARKUP, "usd": "$2.50", "renews": "daily", "days": "14"}
    made = (await desk.post("invite", said)).json()
    assert re.fullmatch(r"kx_[a-z2-7]{32}", made["code"])
    (one,) = made["overview"]["invitations"]
    assert (one["name"], one["state"], one["left"], one["renews"]) == (
        MARKUP,
        "open",
        "$2.50 of $2.50 left",
        "renews daily",
    )
    assert made["code"] not in json.dumps(await desk.told())
    assert desk.backend.invitations.find(made["code"]).invitation.name == MARKUP
    states = []
    for what in ("pause", "resume", "new code", "end"):
        answer = (await desk.post("invitation", {"name": MARKUP, "do": what})).json()
        states.append(answer["overview"]["invitations"][0]["state"])
        made |= answer if "code" in answer else {}
    assert states == ["paused", "open", "open", "ended"]
    assert json.dumps(await desk.told()).count("kx_") == 0


@pytest.mark.parametrize(
    ("path", "said", "sentence"),
    [
        ("invite", {"name": "", "usd": "2", "renews": "never"}, "A name has 1 to 80 characters."),
        ("invite", {"name": "Anna", "usd": "much", "renews": "never"}, "The allowance is no amount."),
        ("invite", {"name": "Anna", "usd": "NaN", "renews": "never"}, "An allowance is more than $0"),
        ("invite", {"name": "Anna", "usd": "-1", "renews": "never"}, "An allowance is more than $0"),
        ("invite", {"name": "Anna", "usd": "2", "renews": "hourly"}, "An allowance renews never, daily"),
        ("invite", {"name": "Anna", "usd": "2", "renews": "never", "days": "soon"}, "The number of days is none."),
        ("invite", [1], "This request can't be read."),
        ("invitation", {"name": "Nobody", "do": "end"}, "There is no invitation named 'Nobody'."),
        ("invitation", {"name": "Nobody", "do": "double"}, "An invitation can be paused"),
    ],
)
async def test_what_cannot_be_done_is_a_sentence(desk: Desk, path: str, said: Any, sentence: str) -> None:
    """And nothing is made of it."""
    await desk.enter()
    answer = await desk.post(path, said)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"].startswith(sentence)
    assert (await desk.told())["invitations"] == []


async def test_the_switch(desk: Desk) -> None:
    """A press pauses spending for all, and another one ends that."""
    await desk.enter()
    assert (await desk.post("pause", {"on": True})).json()["overview"]["pause"]["on"]
    assert await desk.backend.paused()
    assert not (await desk.post("pause", {"on": "yes"})).json()["overview"]["pause"]["on"]  # only what is true pauses
    assert not await desk.backend.paused()


async def test_the_tables_hold_no_formula_and_nobody(desk: Desk) -> None:
    """No cell begins as a formula, whoever wrote it, and no visitor's id is in them: it would let somebody in."""
    await desk.enter()
    await desk.post("invite", {"name": MARKUP, "usd": "2", "renews": "never"})
    trial = Trial("t", "visitor-id-planted", "host", "host", desk.backend.clock(), Spec("+1+1", "?", ("dev", "max")))
    with desk.backend.ledger.writing() as connection:
        trials.put(connection, trial, desk.backend.ledger.home)
    desk.backend.drift = ("@SUM(1)",)
    packed = (await desk.http.get("/host/tables.zip")).content
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        tables = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(tables) == {"predictions.csv", "trials.csv", "invitations.csv", "drift.csv"}
    cells = [cell for text in tables.values() for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert {f"'{MARKUP}", "'+1+1", "'@SUM(1)", "2.000"} <= set(cells)
    assert "planted" not in "".join(tables.values())


async def test_the_passcode_is_written_nowhere(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the settings' words, nor in the log, nor in the data folder."""
    caplog.set_level(logging.DEBUG)
    for passcode in (PASSCODE, f"{PASSCODE}x"):
        await desk.enter(passcode)
    assert PASSCODE not in repr(desk.backend.settings) + caplog.text
    files = [file.read_bytes() for file in desk.backend.settings.data_dir.rglob("*") if file.is_file()]
    assert PASSCODE.encode() not in b"".join(files)
