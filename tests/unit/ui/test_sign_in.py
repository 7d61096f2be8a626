"""Signing in by Gradio's own routes, with a stand-in for the provider on this computer; and what gets nobody in."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import Any

import gradio as gr
import httpx
import pytest
from blocking import HOME
from gradio.routes import App
from itsdangerous import TimestampSigner
from openid import CLIENT, SECRET, Provider
from serving import AT_ONCE, Served, listening
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core.access.people import Login, is_anonymous
from core.backend import Backend
from core.errors import KontextError
from core.ledger.record import Entry, Record
from core.ledger.run import Facts
from core.settings import read
from ui import sign_in
from ui.door import CALLBACK, NOT_SIGNED_IN, Door
from ui.sessions import Presence
from ui.sign_in import BACK, LOGIN, LOGIN_ROUTES, SignIn, login_of
from ui.studio.input_handlers import InputHandlers
from ui.studio.page import build
from ui.studio.run_handlers import RunHandlers
from ui.studio.visitors import known

pytestmark = pytest.mark.anyio

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HERE, FRAME = "https://own.example.com", "https://a.hf.space"  # two names of one Space; a login comes back to the first

Person = dict[str, Any]
Open = Callable[..., "Space"]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    provider = Provider()
    with listening(provider.app) as provider.url:
        yield provider


class Space:
    """The app as a Space serves it, without a port."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.handlers = known(RunHandlers(backend, InputHandlers(backend, {})), backend.who)
        self.page = build(backend, {})
        routes = [*SignIn(backend).routes(), Route("/session", session)]
        ours = [*routes, *(LOGIN_ROUTES if backend.settings.sign_in else ())]
        door = Middleware(Door, ours=ours, names=None, presence=Presence())
        self.app = App.create_app(self.page, app_kwargs={"routes": routes, "middleware": [door]})
        self._browsers: list[Browser] = []

    def browser(self) -> Browser:
        self._browsers.append(Browser(self))
        return self._browsers[-1]

    def spent(self, visitor: str, cents: int = 4) -> str:
        """A run of that visitor's, on the host's key: its id."""
        run_id, usd, now = secrets.token_hex(8), Decimal(cents) / 100, datetime.now(UTC)
        facts = Facts(run_id, visitor, "host", "host", now, "pro", None, "an owl", {}, 7, 1, (), usd)
        self.backend.ledger.add(Record(facts, (Entry(1, "m", {}, usd),), state="completed", finished_at=now))
        return run_id

    async def history(self, held: str | None) -> set[str]:
        """The ids of the runs that a page sees which holds that."""
        return {run["id"] for run in (await self.handlers.history(held))["runs"]}  # type: ignore[arg-type]

    async def aclose(self) -> None:
        for browser in self._browsers:
            await browser.client.aclose()
        await self.backend.aclose()


async def session(request: Request) -> JSONResponse:
    """What the app reads in a cookie."""
    return JSONResponse(dict(request.scope.get("session", {})))


class Browser:
    """Somebody's: it keeps cookies as a browser does, and goes where it is sent."""

    def __init__(self, space: Space) -> None:
        self._space = space
        inside = httpx.ASGITransport(space.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(mounts={f"all://{name[8:]}": inside for name in (HERE, FRAME)})

    async def press(self, way: str, held: str, *, origin: str = HERE, until: str = "/") -> httpx.Response:
        """The page's form: what comes of it, up to where it would lead to that path."""
        answer = await self.client.post(HERE + way, data={"visitor": held}, headers={"Origin": origin})
        while answer.has_redirect_location and httpx.URL(answer.headers["location"]).path != until:
            answer = await self.client.get(answer.url.join(answer.headers["location"]))
        return answer

    async def request(self, origin: str = HERE) -> gr.Request:
        """As Gradio hands it to a handler, with what its cookie is to the app."""
        read = (await self.client.get(f"{HERE}/session")).json()
        headers = [(b"host", HERE[8:].encode()), (b"origin", origin.encode())]
        return gr.Request(request=Request({"type": "http", "headers": headers, "session": read}))  # type: ignore[arg-type]

    async def arrive(self, held: str | None = None, origin: str = HERE) -> str:
        """The page opens: what it holds from then on."""
        async for answer in self._space.handlers.arrive(await self.request(origin), held):
            return str(answer[0])
        raise AssertionError

    async def sign_in(self, held: str, **way: str) -> str:
        await self.press("/sign-in", held, **way)
        return await self.arrive(held)


@pytest.fixture(scope="module")
async def open_space(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory, served: Served
) -> AsyncIterator[Callable[..., Space]]:
    """Opens a copy on a Space with sign-in, or with what is changed of that."""
    told = {"OAUTH_CLIENT_ID": CLIENT, "OAUTH_CLIENT_SECRET": SECRET, "OAUTH_SCOPES": "openid profile"}
    told |= {"OPENID_PROVIDER_URL": provider.url}
    place = {"SYSTEM": "spaces", "SPACE_ID": "ann/studio", "SPACE_HOST": f"{HERE[8:]},{FRAME[8:]}"}
    asked = {"KONTEXT_SIGN_IN": "on", "WAVESPEED_API_KEY": "wsk_host", "WAVESPEED_BASE_URL": served.url}
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in told.items():
            patch.setattr(gr.oauth, name, value)
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("served")))

        def open(**given: str) -> Space:
            folder = tmp_path_factory.mktemp("data")
            environment = {**told, **place, **asked, "KONTEXT_DATA_DIR": str(folder), **given}
            for name in place:
                patch.setenv(name, environment[name])
            opened = Space(Backend(read(environment, folder), HOME / "presets", runtime=AT_ONCE))
            stack.push_async_callback(opened.aclose)
            return opened

        yield open


@pytest.fixture(scope="module")
async def space(open_space: Callable[..., Space]) -> Space:
    return open_space()  # on a loop, or Gradio would make one of its own


@pytest.fixture
def anna(provider: Provider) -> Person:
    """She sits at the provider; nobody knows her yet."""
    provider.person = {"sub": secrets.token_hex(12), "preferred_username": "anna"}
    return provider.person


@pytest.fixture
def x() -> str:
    """A visitor's id."""
    return secrets.token_hex(16)


async def test_a_person_is_the_same_on_every_device(space: Space, provider: Provider, anna: Person) -> None:
    """Known by `sub`: under another name too, and somebody else with the old name is somebody else."""
    names, held = [], []
    for person in (anna, anna | {"preferred_username": "anna-b"}, anna | {"sub": "another"}):
        provider.person, browser = person, space.browser()
        held.append(await browser.sign_in(await browser.arrive()))
        names.append((await space.handlers.greet(await browser.request(), None))[1])
    who = [await space.backend.who(one) for one in held]
    assert len(set(held)) == 3 and who[0] == who[1] != who[2]
    assert names == ["anna", "anna-b", "anna"]


async def test_what_the_browser_made_before_is_joined(space: Space, anna: Person, x: str) -> None:
    """Its runs and what they cost, once; also where the login comes back under the Space's other name."""
    here, frame, other = space.browser(), space.browser(), secrets.token_hex(16)
    before, more = space.spent(x), space.spent(other, 8)
    desk, held = await here.sign_in(x), await frame.sign_in(other, origin=FRAME)
    assert await space.history(desk) == await space.history(held) == {before, more}
    assert "$0.28 of $0.40 left today" in await space.handlers.after(held, datetime.now(UTC), None, "pro")
    for noted in (x, other):  # whoever noted the id down has nothing of it, and nothing more to spend
        assert await space.backend.who(noted) is None
    assert await frame.arrive(x) == held


async def test_signing_out_leaves_nothing_to_use(space: Space, anna: Person, x: str) -> None:
    """The browser is a new visitor's; neither the handle nor the cookie of before opens anything, and the person has
    their history at the next sign-in.
    """
    desk, thief, run = space.browser(), space.browser(), space.spent(x)
    held = await desk.sign_in(x)
    thief.client.cookies = httpx.Cookies(desk.client.cookies)
    await desk.press("/sign-out", held)
    for browser in (desk, thief):
        fresh = await browser.arrive(held)
        assert is_anonymous(fresh) and fresh != x
        assert await space.history(fresh) == await space.history(held) == set()
    assert await space.history(await desk.sign_in(fresh)) == {run}


async def test_who_signs_in_next_gets_nothing_of_the_one_before(
    space: Space, provider: Provider, anna: Person, x: str
) -> None:
    """On one browser, whether the first has signed out or not; what each made stays with each."""
    shared, annas = space.browser(), space.spent(x)
    held = await shared.sign_in(x)
    provider.person = {"sub": secrets.token_hex(12), "preferred_username": "ben"}
    ben = await shared.sign_in(held)
    assert await space.history(ben) == set() == await space.history(held)
    bens = space.spent(str(await space.backend.who(ben)))
    await shared.press("/sign-out", ben)
    provider.person = anna
    assert await space.history(await shared.sign_in(await shared.arrive(ben))) == {annas} != {bens}


async def test_two_tabs_that_sign_in_at_once(space: Space, anna: Person, x: str) -> None:
    """Both end signed in as the same person, and what was made before is joined once."""
    desk, run = space.browser(), space.spent(x)
    begun = [await desk.press("/sign-in", x, until=LOGIN) for _ in range(2)]
    for answer in begun:
        while answer.has_redirect_location and httpx.URL(answer.headers["location"]).path != "/":
            answer = await desk.client.get(answer.url.join(answer.headers["location"]))
    held = await desk.arrive(x)
    assert await space.history(held) == {run}
    assert space.backend.ledger.spent(str(await space.backend.who(held)), EPOCH) == Decimal("0.04")


async def test_a_login_is_good_for_one_sign_in(space: Space, anna: Person, x: str) -> None:
    """A cookie that was copied while the login went on is worth nothing once it has ended."""
    desk, thief = space.browser(), space.browser()
    await desk.press("/sign-in", x, until=BACK)
    thief.client.cookies = httpx.Cookies(desk.client.cookies)
    ends = [(await browser.client.get(HERE + BACK)).headers["location"] for browser in (desk, thief)]
    assert ends == ["/", NOT_SIGNED_IN]
    assert is_anonymous(await thief.arrive()) and not is_anonymous(await desk.arrive())


async def test_a_login_that_takes_too_long_brings_nothing_along(
    space: Space, anna: Person, x: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds a sign-in left open on a shared computer signs in as themselves alone."""
    desk, run = space.browser(), space.spent(x)
    await desk.press("/sign-in", x, until=BACK)
    later = sign_in.time.time() + sign_in.CARRIED
    monkeypatch.setattr(sign_in.time, "time", lambda: later)
    await desk.client.get(HERE + BACK)
    assert await space.history(await desk.arrive()) == set() and await space.history(x) == {run}


def forged(session: dict[str, Any], secret: str) -> str:
    """A cookie as Gradio signs it."""
    key = hashlib.sha256(secret.encode()).hexdigest()
    return TimestampSigner(key).sign(base64.b64encode(json.dumps(session).encode())).decode()


USER = {"sub": "a" * 24, "preferred_username": "anna"}
PROFILE = {"userinfo": USER, "id_token": "forged", "access_token": "forged", "expires_at": 2**40}


@pytest.mark.parametrize("secret", ["-v4", "", "guessed-v4"], ids=["of the mock", "empty", "guessed"])
async def test_a_forged_cookie_opens_nothing(space: Space, secret: str) -> None:
    """Neither a profile in it nor a handle: signed without the Space's secret it is none."""
    known = space.backend.people.sign_in(Login(USER["sub"], "anna", secret))
    assert known is not None
    for told in ({"oauth_info": PROFILE}, {"handle": known.handle}):
        thief = space.browser()
        thief.client.cookies.set("session", forged(told, secret), domain=HERE[8:])
        assert is_anonymous(await thief.arrive())
        assert (await thief.client.get(HERE + BACK)).headers["location"] == NOT_SIGNED_IN
    thief.client.cookies.set("session", forged(told, f"{SECRET}-v4"), domain=HERE[8:])
    assert await thief.arrive() == known.handle  # such a one would be believed
    assert (await thief.client.get(HERE + BACK)).headers["location"] == "/" and await thief.arrive() == known.handle


async def test_no_claim_makes_somebody_a_person(space: Space, anna: Person, x: str) -> None:
    """Not their visitor's id, should it ever come out, nor their name, nor what looks like a handle."""
    run = space.spent(x)
    visitor = await space.backend.who(await space.browser().sign_in(x))
    assert visitor is not None
    event = gr.EventData(None, {"run": run})
    for claim in (visitor, visitor[7:], "person-", "ks_" + "a" * 32, anna["sub"], "anna", PROFILE, None, x):
        assert await space.history(claim) == set()
        assert (await space.handlers.discard(claim, event)).get("runs") == []
    assert space.backend.ledger.find(visitor, run) is not None


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", f"{HERE}.evil.example", "http://127.0.0.1:1"])
async def test_no_foreign_page_signs_anybody_in_or_out(space: Space, anna: Person, x: str, origin: str) -> None:
    """It could have its own history taken for the visitor's, or theirs away; nor does it get to see a handle."""
    desk = space.browser()
    held = await desk.sign_in(x)
    foreign = secrets.token_hex(16)
    for way in ("/sign-in", "/sign-out"):
        assert (await desk.press(way, foreign, origin=origin)).status_code == 403
    assert is_anonymous(await desk.arrive(origin=origin))  # though the browser sends the cookie with what it asks
    assert (await space.handlers.greet(await desk.request(origin), None))[1] == ""
    assert await desk.arrive(held) == held and await space.backend.who(foreign) == foreign


@pytest.mark.parametrize("target", ["https://evil.example/x", "//evil.example", "////evil.example", "/\\evil.example"])
async def test_a_login_leads_nowhere_else(space: Space, anna: Person, target: str) -> None:
    """Whatever address it was begun with, it ends on this host."""
    desk = space.browser()
    answer = await desk.client.get(HERE + LOGIN, params={"_target_url": target})
    while answer.has_redirect_location and not answer.headers["location"].startswith("/"):
        answer = await desk.client.get(answer.headers["location"])
    assert answer.url.path == CALLBACK and answer.url.join(answer.headers["location"]).host == HERE[8:]
    assert not answer.headers["location"].startswith(("//", "/\\"))


async def test_who_refuses_at_the_provider_is_told_so(space: Space, provider: Provider, x: str) -> None:
    """They come back to the page as who they were."""
    provider.person, desk = None, space.browser()
    answer = await desk.press("/sign-in", x)
    assert answer.headers["location"] == NOT_SIGNED_IN and await desk.arrive(x) == x


async def test_what_pays_for_a_person(open_space: Open, anna: Person, x: str) -> None:
    """Where others practise the host's key pays for them; an invitation that they bring comes first, as the page says;
    and a page that only says that the host pays spends nothing.
    """
    here = open_space(KONTEXT_ACCESS="invited")
    desk, code = here.browser(), here.backend.invitations.invite("Anna", Decimal(1), "never")
    tell, account = here.handlers.arrive_invited, here.handlers.account
    assert (await tell(await desk.request(), "", x))[-1] == "sandbox"
    held = await desk.sign_in(x)
    payers = {brought: (await tell(await desk.request(), brought, held))[-1] for brought in ("", code, "kx_wrong")}
    assert payers == {"": "host", code: "invited", "kx_wrong": "host"}
    assert [(await account(held, *ways)).invitation is not None for ways in ((code, "invited"), ("", "host"))] == [1, 0]
    assert (await here.handlers.forget_key(held, code))[-1] == "host"
    for stranger in (None, x, secrets.token_hex(16)):
        with pytest.raises(KontextError, match="What pays for pictures has changed"):
            await account(stranger, "", "host")


async def test_where_it_is_not_real_there_is_none(open_space: Open) -> None:
    """No button, no route, no cookie: Gradio's mock, which lets anybody be anybody, is never there."""
    here = open_space(SYSTEM="linux")
    desk = here.browser()
    for method, path in product(("GET", "POST"), (LOGIN, CALLBACK, "/sign-in", BACK, "/sign-out", "/logout")):
        assert (await desk.client.request(method, HERE + path, headers={"Origin": HERE})).status_code == 404
    assert not any(cls is SessionMiddleware for cls, *_ in here.app.user_middleware)
    assert not any(getattr(block, "elem_id", "") == "sign-in" and block.visible for block in here.page.blocks.values())
    assert await here.backend.who("ks_" + "a" * 32) is None


@pytest.mark.parametrize(
    "told",
    [
        *(None, 7, "anna", [], {}, {"userinfo": None}, {"userinfo": USER}, {"userinfo": {}, "id_token": "1"}),
        *({**PROFILE, "userinfo": {"sub": sub}} for sub in ("", "x" * 256, 7, None)),
        *({**PROFILE, "id_token": id} for id in ("", 7, None)),
        {**PROFILE, "expires_at": 99.0},
    ],
)
def test_what_says_nobody_is_nobody(told: object) -> None:
    """A login that lacks who it is, or has expired."""
    assert login_of(told, 100.0) is None
    assert login_of(PROFILE, 100.0) == Login(USER["sub"], "anna", "forged")
