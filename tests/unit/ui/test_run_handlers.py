"""Presses without a browser: what a handler sends to the service, and what it never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image
from running import calm
from serving import AT_ONCE, Served, serving

from core.backend import Backend
from core.catalog.variants import REFERENCE_LIMIT, REGISTRY
from core.comparisons import sheet
from core.comparisons.board import Board
from core.ledger.run import Run
from core.pictures.recipe import Recipe, to_json
from core.settings import read
from ui.studio.compare import Compare
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

    card: Card

    def __init__(self, backend: Backend, service: Served, photograph: bytes) -> None:
        self.backend, self.service, self.photograph = backend, service, photograph
        self.handlers = RunHandlers(backend, InputHandlers(backend, {}))

    def form(self, *cards: Card, **changes: Any) -> list[Any]:
        whole = {"preset": None, "fields": [""], "prompt": WORDS, "variant_id": "pro", "pictures": 1, "shape": AUTO}
        whole |= {"width": None, "height": None, "parameters": DEFAULTS, **changes}
        return Form(cards=list(cards or [self.card]), **whole).flat()  # type: ignore[arg-type]

    async def arrive(self) -> Card:
        """The same photograph once more, dropped by somebody."""
        source = save_bytes_to_cache(self.photograph, "drop-2.png", get_upload_folder())
        answer = await InputHandlers(self.backend, {}).prepare_reference({"path": source})
        return Card(image=answer["image"])

    async def prefetch(self, own: str | None, payer: str, *flat: Any) -> list[str]:
        """What the service was asked for until nothing goes on any more; bills of earlier runs apart."""
        assert await self.handlers.prefetch(own, payer, *(flat or self.form())) is None  # type: ignore[func-returns-value]
        await calm()
        return sorted({kind(path) for path, _ in self.service.heard} - {"billings/search"})

    async def generate(self, own: str | None, payer: str) -> dict[str, Any]:
        return [view async for view, *_ in self.handlers.generate(gr.Request(), VISITOR, own, payer, "", *self.form())][
            -1
        ]


def kind(path: str) -> str:
    return "put" if path.startswith("/storage/") else path.removeprefix("/api/v3/")


Sit = Callable[..., Awaitable[Desk]]
ALL = ["media/uploads", "model/price", "put"]


@pytest.fixture
async def sit(service: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sit]:
    """Opens an app with these settings, pointed at the service."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "data" / "served"))
    async with AsyncExitStack() as stack:

        async def sit(**environment: str) -> Desk:
            base = {"KONTEXT_DATA_DIR": str(tmp_path / "data"), "WAVESPEED_BASE_URL": service.url}
            backend = Backend(read({**base, **environment}, tmp_path), HOME / "presets", runtime=AT_ONCE)
            stack.push_async_callback(backend.aclose)
            picture = tmp_path / "picture.png"
            Image.new("RGB", (96, 64), "teal").save(picture)
            desk = Desk(backend, service, picture.read_bytes())
            desk.card = await desk.arrive()
            return desk

        yield sit


async def test_on_ones_own_computer_the_press_finds_it_done(sit: Sit) -> None:
    """With the computer's key the reference is uploaded and the price asked for at once; the press does neither."""
    desk = await sit(**HOST)
    assert await desk.prefetch(None, "host") == ALL
    desk.service.heard.clear()
    assert (await desk.generate(None, "host"))["pictures"]
    assert not {kind(path) for path, _ in desk.service.heard} & set(ALL)


async def test_each_variant_that_is_compared_has_it_done(sit: Sit) -> None:
    """The reference is uploaded once, and each one's price is asked for; one that can't take part asks for nothing."""
    desk = await sit(**HOST)
    compare = Compare(on=True, variants=("pro", "max", "dev"))
    await desk.prefetch(None, "host", *desk.form(*[desk.card] * 5, compare=compare))
    asked = [json.loads(body)["model_id"] for path, body in desk.service.heard if kind(path) == "model/price"]
    assert sorted(asked) == [REGISTRY[id].model_id for id in ("max", "pro")]
    assert [kind(path) for path, _ in desk.service.heard].count("put") == 1


async def test_a_visitor_s_own_key_is_the_one_that_is_used(sit: Sit) -> None:
    """Where a visitor has brought a key, the upload belongs to that account, and the next press finds it."""
    desk = await sit(**HOST)
    own, _, _ = await desk.backend.bring("wsk_of_a_visitor")
    desk.service.heard.clear()
    assert await desk.prefetch(own, "own") == ALL
    desk.service.heard.clear()
    assert (await desk.generate(own, "own"))["pictures"]
    assert not {kind(path) for path, _ in desk.service.heard} & set(ALL)


async def test_words_wait_for_the_press(sit: Sit) -> None:
    """Nothing that goes out ahead holds what the person wrote; the submit does."""
    desk = await sit(**HOST)
    await desk.prefetch(None, "host")
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
    assert await desk.prefetch(None, payer) == []


async def test_a_key_brought_to_a_hosted_app_waits_as_well(sit: Sit) -> None:
    """A hosted app uploads at the press, whoever pays."""
    desk = await sit(**HOST, **HOSTED)
    own, _, _ = await desk.backend.bring("wsk_of_a_visitor")
    desk.service.heard.clear()
    assert await desk.prefetch(own, "own") == []


async def test_what_can_t_be_sent_is_left_to_the_press(sit: Sit) -> None:
    """An empty table, too many cards, a card whose picture is gone: no upload and no complaint."""
    desk = await sit(**HOST)
    gone = Card(image=FileData(path="/nowhere/picture.jpg"))
    tables = ([], [desk.card] * (REFERENCE_LIMIT + 1), [desk.card, gone])
    for cards in tables:
        flat = desk.form()
        assert await desk.prefetch(None, "host", cards, *flat[1:]) == []


async def test_a_page_from_before_a_restart_spends_nothing_that_it_does_not_say(sit: Sit) -> None:
    """A page that says practice outlives a restart with a key: its presses are refused, and nothing is sent."""
    desk = await sit(**HOST)
    for before in ("sandbox", "invited", "own", "", None):
        view = await desk.generate(None, before)  # type: ignore[arg-type]
        assert "eload the page" in view["troubles"][0]["advice"] and "Nothing" not in view["troubles"][0]["happened"]
    assert not await desk.backend.runs.list_for(VISITOR)
    assert [path for path, _ in desk.service.heard] == []


async def test_no_claim_of_a_price_passes_a_cap(sit: Sit) -> None:
    """Whatever is claimed to have been confirmed, a visitor with $0.04 makes one picture of $0.04; none for less."""
    desk = await sit(**HOST, **HOSTED, KONTEXT_VISITOR_BUDGET_USD="0.04")
    claims = ["-1.000000", "NaN", "Infinity", "1e9", "999999.000000", "9" * 40, "٩.٠٠٠٠٠٠", "0.04\n", None, 5, [1], {}]
    for number, claim in enumerate([*claims, "0.039999", "0.000000"]):
        visitor, low = f"{number:032x}", number >= len(claims)
        for _ in range(2):
            pressed = desk.handlers.generate(gr.Request(), visitor, None, "host", claim, *desk.form())  # type: ignore[arg-type]
            (view, *_) = [seen async for seen in pressed][-1]
        assert ("The price is now" if low else "a day that one visitor can spend") in json.dumps(view), claim
        assert len(await desk.backend.runs.list_for(visitor)) == (not low), claim


async def test_a_refused_press_leaves_what_it_was_made_on(sit: Sit) -> None:
    """At a price that is too low nothing more is made: the run stands there as before, to be pressed on once more, and
    what was wrong is said over it.
    """
    desk = await sit(**HOST)
    shown = await press(desk, MAKER)
    low = event(run=shown["id"], number=1, variant="max", beside="0.010000")
    for pressed in (desk.handlers.again, desk.handlers.make_with):
        view = [seen async for seen in pressed(gr.Request(), MAKER, None, "host", low)][-1]
        assert "The price is now" in view["refused"][0]["happened"]
        assert (view["pictures"], view["again"]) == (shown["pictures"], ["pro", 1])
    assert (await the_run(desk)).id == shown["id"]


# Comparisons ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "compare",
    [
        Compare(on=True, variants=("pro", "max")),
        Compare(on=True, variants=("pro", "dev"), axis="seeds", seeds=("7", "70")),
        Compare(on=True, variants=("max", "dev"), axis="prompts", wordings=("two",)),
        Compare(on=True, variants=("max", "dev"), axis="leave_one_out"),
    ],
    ids=lambda compare: compare.axis,
)
async def test_the_settings_of_a_comparison_come_back_whole(sit: Sit, compare: Compare) -> None:
    """Whatever stood in the form, what was compared and what each variant was told stands there again."""
    desk = await sit(**HOST)
    set_before = {"parameters": DEFAULTS | {"seed": 7, "num_inference_steps": 40}, "shape": "16:9", "pictures": 2}
    cards = [desk.card, Card(image=(await desk.arrive()).image)]
    asked = Form.read(desk.form(*cards, compare=compare, **set_before))
    shown = await press(desk, MAKER, *asked.cards, compare=compare, **set_before)
    other = desk.form(prompt="other words", variant_id="ultra-fast", parameters=DEFAULTS | {"num_inference_steps": 9})
    back = await desk.handlers.restore(MAKER, "", event(run=shown["id"]), *other)
    form = Form.read([told(update, before) for update, before in zip(back, other, strict=False)])
    assert (form.compare, form.compared(), len(form.cards)) == (compare, asked.compared(), 2)


def told(update: Any, before: Any) -> Any:
    """What a control holds after an update."""
    is_update = isinstance(update, dict) and update.get("__type__") == "update"
    return update.get("value", before) if is_update else update


async def test_nobody_reaches_another_s_comparison(sit: Sit) -> None:
    """Whoever knows the id of a cell sees, hides, shows, downloads, makes and deletes nothing of it; while names are
    hidden its maker takes nothing away either that would tell them.
    """
    desk = await sit(**HOST)
    compare = Compare(on=True, variants=("pro", "max"))
    shown = await press(desk, MAKER, compare=compare)
    assert [json.loads(cell)["title"] for cell in shown["cells"]] == ["Pro", "Max"]
    await calm()  # its bills have come
    before = await desk.backend.runs.list_for(MAKER)
    asked, handlers = event(run=shown["id"], number=1, variant="dev", chosen=True, beside="0.030000"), desk.handlers
    for start in (handlers.open, handlers.hide, handlers.reveal):
        assert [seen async for seen in start(gr.Request(), THIEF, asked)] == []
    for spend in (handlers.again, handlers.make_with):
        assert [seen async for seen in spend(gr.Request(), THIEF, None, "host", asked)] == []
    for take in (handlers.sheet, handlers.archive):
        assert await take(THIEF, asked) == gr.skip()
    assert (await handlers.discard(THIEF, asked))["runs"] == []
    assert await desk.backend.runs.list_for(MAKER) == before
    assert await handlers.archive(MAKER, asked) != gr.skip()
    hidden = [seen async for seen in handlers.hide(gr.Request(), MAKER, asked)][-1]
    assert hidden["hidden"] and not any(word in json.dumps(hidden["cells"]) for word in ("Pro", "Max", "pro-", "$"))
    for take in (handlers.sheet, handlers.archive):
        assert await take(MAKER, asked) == gr.skip()


async def test_what_is_packed_while_it_is_deleted_has_no_address_after(
    sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison is deleted cell by cell, and its ZIP may be written when the first of them is gone already."""
    desk = await sit(**HOST)
    shown = await press(desk, MAKER, compare=Compare(on=True, variants=("pro", "max")))
    first = event(run=shown["id"], beside="0.080000")
    assert [seen async for seen in desk.handlers.again(gr.Request(), MAKER, None, "host", first)]  # so it isn't shown
    loop, pack, delete = asyncio.get_running_loop(), sheet.archive, desk.backend.runs.delete

    def packed_meanwhile(whole: Board) -> bytes:
        asyncio.run_coroutine_threadsafe(delete(MAKER, shown["id"]), loop).result()
        return pack(whole)

    monkeypatch.setattr(sheet, "archive", packed_meanwhile)
    offered = (await desk.handlers.archive(MAKER, first))["offer"]["path"]
    assert there([offered]) == [offered]
    for run in await desk.backend.runs.list_for(MAKER):
        await delete(MAKER, run.id)
    assert there([offered]) == []


# Doors ------------------------------------------------------------------------------------------------

MAKER, THIEF = "0123456789abcdef" * 2, "fedcba9876543210" * 2
COPIES = pytest.mark.parametrize(
    "environment",
    [{**HOST, **HOSTED}, HOST, {"KONTEXT_SANDBOX_SECONDS": "0"}],
    ids=["hosted", "own computer", "sandbox"],
)


def payer(desk: Desk) -> str:
    return desk.backend.account.kind


async def press(desk: Desk, visitor: str, *cards: Card, **form: Any) -> dict[str, Any]:
    """The run as it is shown last, or what is said at the fields where there is none."""
    pressed = desk.handlers.generate(gr.Request(), visitor, None, payer(desk), "", *desk.form(*cards, **form))
    view, *_, problems = [seen async for seen in pressed][-1]
    return problems.get("found", view)  # type: ignore[no-any-return]


def event(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)


async def the_run(desk: Desk, visitor: str = MAKER) -> Run:
    (run,) = await desk.backend.runs.list_for(visitor)
    return run


async def restored(desk: Desk, visitor: str, recipe: Recipe) -> list[Card]:
    filled = await desk.handlers.restore_recipe(visitor, "", event(recipe=to_json(recipe)), *desk.form())
    return list(filled[0].get("value") or []) if isinstance(filled[0], dict) else []


def there(files: list[str]) -> list[str]:
    return [file for file in files if Path(file).is_file()]


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@COPIES
@pytest.mark.parametrize("deleted", [False, True], ids=["kept", "deleted by its maker"])
async def test_a_hash_opens_nothing(sit: Sit, environment: dict[str, str], deleted: bool) -> None:
    """Whoever has a shared picture knows the hashes of its references. Any bytes uploaded under such a name are no
    card: nothing is sent, no run is made, and the recipe gives back nothing of another visitor's.
    """
    desk = await sit(**environment)
    assert (await press(desk, MAKER))["pictures"]
    recipe = (await the_run(desk)).recipe
    if deleted:
        await desk.handlers.discard(MAKER, event(run=(await the_run(desk)).id))
    ((sha256, _),) = recipe.references
    desk.service.heard.clear()
    for ending in (".jpg", ".png"):
        for name in (sha256 + ending, "reference" + ending):
            junk = save_bytes_to_cache(b"any bytes", name, get_upload_folder())
            problems = await press(desk, THIEF, Card(image=FileData(path=junk)))
            assert "Reference 1 is no longer here." in problems["references"]
            assert not await desk.prefetch(None, payer(desk), *desk.form(Card(image=FileData(path=junk))))
    assert await restored(desk, THIEF, recipe) == []
    # The maker's own bill may be asked for meanwhile; it carries no reference.
    assert not {kind(path) for path, _ in desk.service.heard} - {"billings/search"}
    assert await desk.backend.runs.list_for(THIEF) == []


async def test_one_s_own_references_come_back_by_their_recipe(sit: Sit) -> None:
    """The same recipe, from the visitor whose run it is, brings the very same bytes, ready to press with."""
    desk = await sit(**HOST, **HOSTED)
    await press(desk, MAKER)
    cards = await restored(desk, MAKER, (await the_run(desk)).recipe)
    assert (await press(desk, MAKER, *cards))["pictures"]
    first, second = (run.references[0] for run in await desk.backend.runs.list_for(MAKER))
    assert first.sha256 == second.sha256 and first.read() == second.read()


async def test_what_the_page_holds_goes_with_everything(sit: Sit) -> None:
    """The key that was brought and the cards on the page answer to nobody, and the session has none of its words."""
    desk = await sit(**HOSTED)
    own, _, _ = await desk.backend.bring("wsk_of_a_visitor")
    await press(desk, MAKER)
    first = (await desk.handlers.belongings(MAKER))["leaving"]
    done, *rest = await desk.handlers.forget(MAKER, own, [desk.card])
    assert (first["trials"], first["judges"], first["going"], done["leaving"]["gone"]) == (0, 0, 0, True)
    assert rest == ["", "", None, []]
    assert desk.backend.keys.account(own) is None
    assert await asyncio.to_thread(desk.backend.served.reference, str(desk.card.image.path)) is None
    assert await desk.backend.runs.list_for(MAKER) == []


async def test_nobody_becomes_another_visitor(sit: Sit) -> None:
    """A name that is no id of ours, "api" among them, sees nothing and starts nothing; another's run can't be used."""
    desk = await sit(**HOST, **HOSTED)
    await press(desk, MAKER)
    run = (await the_run(desk)).id
    desk.service.heard.clear()
    for visitor in ("api", "", MAKER.upper(), f"{MAKER}\n", "%", THIEF):
        assert (await desk.handlers.history(visitor))["runs"] == []
        assert await desk.handlers.archive(visitor, event(run=run)) == gr.skip()
        assert await desk.handlers.use(visitor, event(run=run, number=1), *desk.form()) == gr.skip()
        await desk.handlers.discard(visitor, event(run=run))
        await desk.handlers.forget(visitor, None, [])
        for press_again in (desk.handlers.again, desk.handlers.resume):
            assert not [v async for v in press_again(gr.Request(), visitor, None, "host", event(run=run))]
        assert not [v async for v in desk.handlers.open(gr.Request(), visitor, event(run=run))]
    assert "lost track of who you are" in (await press(desk, "api"))["troubles"][0]["happened"]
    assert desk.service.heard == []
    assert (await the_run(desk)).id == run


@COPIES
async def test_after_a_deletion_no_address_answers(sit: Sit, environment: dict[str, str]) -> None:
    """Pictures, downloads, ZIP, receipts, the cards it was made from, those taken back from it and made of it: all
    gone when the press of Delete returns; so is the prepared reference, and the prompt from every byte on the disk.
    """
    desk = await sit(**environment)
    view = await press(desk, MAKER)
    run = await the_run(desk)
    cards = [desk.card, *await restored(desk, MAKER, run.recipe)]
    cards += (await desk.handlers.use(MAKER, event(run=run.id, number=1), *desk.form()))[1:]
    files = [picture[kind]["path"] for picture in view["pictures"] for kind in ("image", "with_recipe")]
    files += [picture["path"] for picture in (await desk.handlers.history(MAKER))["runs"][0]["pictures"]]
    files += [(await desk.handlers.archive(MAKER, event(run=run.id)))["offer"]["path"]]
    files += [(await desk.handlers.receipts(MAKER))["offer"]["path"]]
    files += [card.image.path for card in cards]
    files += [str(desk.backend.references / f"{run.references[0].sha256}{run.references[0].path.suffix}")]
    assert len(cards) == 3 and there(files) == files
    assert WORDS.encode() in everything(desk.backend.settings.data_dir)

    await desk.handlers.discard(MAKER, event(run=run.id))
    assert there(files) == []
    for card in cards:
        assert "no longer here" in (await press(desk, MAKER, card))["references"]
    assert WORDS.encode() not in everything(desk.backend.settings.data_dir)


async def test_what_other_runs_need_stays_when_one_is_deleted(sit: Sit) -> None:
    """Two runs from one card, and somebody else's from the same photograph: each is whole until it is deleted."""
    desk = await sit(**HOST, **HOSTED)
    other = await desk.arrive()
    await press(desk, MAKER)
    first = await the_run(desk)
    await press(desk, MAKER)
    await press(desk, THIEF, other)
    await desk.handlers.discard(MAKER, event(run=first.id))
    for visitor, card in ((MAKER, desk.card), (THIEF, other)):
        assert (await the_run(desk, visitor)).references[0].path.is_file()
        assert (await press(desk, visitor, card))["pictures"]
    for run in await desk.backend.runs.list_for(MAKER):
        await desk.handlers.discard(MAKER, event(run=run.id))
    assert there([desk.card.image.path, other.image.path]) == [other.image.path]
    assert (await press(desk, THIEF, other))["pictures"]
