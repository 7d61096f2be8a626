"""Presses without a browser: what a handler sends to the service, and what it never does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image
from running import calm
from serving import Served, serving

from core.backend import Backend
from core.catalog.variants import REFERENCE_LIMIT
from core.service.account import Account
from core.settings import read
from ui.studio.form import AUTO, Form, plain_parameters
from ui.studio.input_handlers import InputHandlers
from ui.studio.references import Card
from ui.studio.run_handlers import RunHandlers

pytestmark = pytest.mark.anyio

HOME = Path(__file__).parents[3]
WORDS = "words that nobody has pressed Generate for"
VISITOR = "0123456789abcdef" * 2
DEFAULTS = {name: None if name == "seed" else row.default for name, row in plain_parameters().items()}

HOST = {"WAVESPEED_API_KEY": "wsk_of_the_host"}
HOSTED = {"KONTEXT_HOSTED": "on"}


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def service(running: Served) -> Served:
    """One that has heard nothing yet."""
    running.heard.clear()
    return running


class Desk:
    """A page's handlers over a backend of their own, with one reference on the table."""

    def __init__(self, backend: Backend, service: Served, card: Card) -> None:
        self.backend, self.service, self.card = backend, service, card
        self.handlers = RunHandlers(backend, InputHandlers(backend, {}))

    def form(self, *cards: Card, **changes: Any) -> list[Any]:
        whole = {"preset": None, "fields": [""], "prompt": WORDS, "variant_id": "pro", "pictures": 1, "shape": AUTO}
        whole |= {"width": None, "height": None, "parameters": DEFAULTS, **changes}
        return Form(cards=list(cards or [self.card]), **whole).flat()  # type: ignore[arg-type]

    async def ahead(self, own: Account | None, payer: str, *flat: Any) -> list[str]:
        """What the service was asked for until nothing goes on any more."""
        assert await self.handlers.ahead(own, payer, *(flat or self.form())) is None  # type: ignore[func-returns-value]
        await calm()
        return sorted(kind(path) for path, _ in self.service.heard)

    async def generate(self, own: Account | None, payer: str) -> dict[str, Any]:
        return [view async for view in self.handlers.generate(gr.Request(), VISITOR, own, payer, *self.form())][-1]


def kind(path: str) -> str:
    return "put" if path.startswith("/storage/") else path.removeprefix("/api/v3/")


Sit = Callable[..., Awaitable[Desk]]
ALL = ["media/uploads", "model/price", "put"]


@pytest.fixture
async def sit(service: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sit]:
    """Opens an app with these settings, pointed at the service."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    async with AsyncExitStack() as stack:

        async def sit(**environment: str) -> Desk:
            base = {"KONTEXT_DATA_DIR": str(tmp_path / "data"), "WAVESPEED_BASE_URL": service.url}
            backend = Backend(read({**base, **environment}, tmp_path), HOME / "presets")
            stack.push_async_callback(backend.aclose)
            picture = tmp_path / "picture.png"
            Image.new("RGB", (96, 64), "teal").save(picture)
            source = save_bytes_to_cache(picture.read_bytes(), "drop-1.png", str(tmp_path / "served"))
            answer = await InputHandlers(backend, {}).prepare_reference({"path": source})
            return Desk(backend, service, Card(image=answer["image"]))

        yield sit


async def test_on_ones_own_computer_the_press_finds_it_done(sit: Sit) -> None:
    """With the computer's key the reference is uploaded and the price asked for at once; the press does neither."""
    desk = await sit(**HOST)
    assert await desk.ahead(None, "host") == ALL
    desk.service.heard.clear()
    assert (await desk.generate(None, "host"))["pictures"]
    assert not {kind(path) for path, _ in desk.service.heard} & set(ALL)


async def test_a_visitor_s_own_key_is_the_one_that_is_used(sit: Sit) -> None:
    """Where a visitor has brought a key, the upload belongs to that account, and the next press finds it."""
    desk = await sit(**HOST)
    own, _ = await desk.backend.bring("wsk_of_a_visitor")
    desk.service.heard.clear()
    assert await desk.ahead(own, "own") == ALL
    desk.service.heard.clear()
    assert (await desk.generate(own, "own"))["pictures"]
    assert not {kind(path) for path, _ in desk.service.heard} & set(ALL)
    await own.client.aclose()


async def test_words_wait_for_the_press(sit: Sit) -> None:
    """Nothing that goes out ahead holds what the person wrote; the submit does."""
    desk = await sit(**HOST)
    await desk.ahead(None, "host")
    assert not any(WORDS.encode() in body for _, body in desk.service.heard)
    await desk.generate(None, "host")
    assert any(WORDS.encode() in body for _, body in desk.service.heard)


@pytest.mark.parametrize(
    ("environment", "payer"),
    [({**HOST, **HOSTED}, "host"), ({**HOST}, "own"), ({}, "sandbox")],
    ids=["hosted", "key gone", "sandbox"],
)
async def test_nobody_fills_an_account_that_is_not_theirs(sit: Sit, environment: dict[str, str], payer: str) -> None:
    """On a hosted app, with one's own key forgotten, or in the sandbox, nothing goes out before the press."""
    desk = await sit(**environment)
    assert await desk.ahead(None, payer) == []


async def test_a_key_brought_to_a_hosted_app_waits_as_well(sit: Sit) -> None:
    """A hosted app uploads at the press, whoever pays."""
    desk = await sit(**HOST, **HOSTED)
    own, _ = await desk.backend.bring("wsk_of_a_visitor")
    desk.service.heard.clear()
    assert await desk.ahead(own, "own") == []
    await own.client.aclose()


async def test_what_can_t_be_sent_is_left_to_the_press(sit: Sit) -> None:
    """An empty table, too many cards, a card whose picture is gone: no upload and no complaint."""
    desk = await sit(**HOST)
    gone = Card(image=FileData(path="/nowhere/picture.jpg"))
    tables = ([], [desk.card] * (REFERENCE_LIMIT + 1), [desk.card, gone])
    for cards in tables:
        flat = desk.form()
        assert await desk.ahead(None, "host", cards, *flat[1:]) == []
