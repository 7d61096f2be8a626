"""The inputs side in motion, without a browser: what each change of the form makes of the rest of it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import gradio as gr
import httpx
import pytest
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from core.backend import Backend
from core.catalog.inputs import check
from core.catalog.limits import FIELD_CHARACTERS, NAME_CHARACTERS, PROMPT_CHARACTERS, TYPED_CHARACTERS
from core.catalog.variants import REFERENCE_LIMIT, REGISTRY
from core.errors import InputError, KontextError, ReferenceRejected
from core.ledger.run import Output, Run
from core.pictures.recipe import Recipe
from core.prompts.compose import compose
from core.service.web import Web
from core.settings import read
from ui.studio.compare import Compare
from ui.studio.examples import load_examples
from ui.studio.form import AUTO, OWN, Form, plain_parameters
from ui.studio.input_handlers import InputHandlers, shapes
from ui.studio.references import Card

pytestmark = pytest.mark.anyio

HOME = Path(__file__).parents[3]
BOXES = 3
DEFAULTS = {name: None if name == "seed" else row.default for name, row in plain_parameters().items()}
SKIP = gr.skip()


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "data" / "served"))
    backend = Backend(read({"KONTEXT_DATA_DIR": str(tmp_path / "data")}, tmp_path), HOME / "presets")
    yield backend
    anyio.run(backend.aclose)


@pytest.fixture
def handlers(backend: Backend) -> InputHandlers:
    return InputHandlers(backend, load_examples(HOME / "examples"))


def said_of(updates: list[Any]) -> str:
    """The page's note on what came back; it stands where the form can be seen."""
    note = updates[-3]
    assert note["visible"] is bool(note["value"])
    return str(note["value"])


def card(name: str, role: str | None = None) -> Card:
    return Card(image=FileData(path=f"/nowhere/{name}.jpg"), name=name, role=role)


def form(variant_id: str = "pro", **changes: Any) -> Form:
    whole: dict[str, Any] = {
        "cards": [],
        "preset": None,
        "fields": [""] * BOXES,
        "prompt": "",
        "pictures": 1,
        "shape": AUTO,
        "width": 1024,
        "height": 1024,
        "parameters": DEFAULTS,
    }
    return Form(variant_id=variant_id, **{**whole, **changes})


def value(update: Any) -> Any:
    """What an update puts into its component; SKIP where it leaves it alone."""
    if isinstance(update, dict) and update.get("__type__") == "update":
        return update.get("value", SKIP)
    return update


def upload(folder: Path, colour: str = "teal", size: tuple[int, int] = (96, 64), name: str = "drop-x1.png") -> str:
    """A picture as it lies after the browser has sent it."""
    file = folder / "picture.png"
    Image.new("RGB", size, colour).save(file)
    return str(save_bytes_to_cache(file.read_bytes(), name, get_upload_folder()))


def filled(outputs: list[Any]) -> Form:
    """The form that the first outputs fill; the others are the page's notes on it."""
    return Form.read([value(update) for update in outputs[: len(form().flat())]])


def updates(outputs: list[Any]) -> Form:
    """The same with each update as it stands; the cards are put in by themselves, as no form takes an update there."""
    cards, *rest = outputs
    return replace(Form.read([[], *rest]), cards=cards)


def there(path: str) -> bool:
    return Path(path).is_file()


# References -------------------------------------------------------------------------------------------


async def test_a_picture_comes_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fetched goes through the very same preparation, and the file that was fetched goes away."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "data" / "served"))
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "cat.png")
    bodies = {"/cat.png": (tmp_path / "cat.png").read_bytes(), "/page": b"<html>Cats</html>"}
    wire = httpx.MockTransport(lambda request: httpx.Response(200, content=bodies[request.url.path]))
    web = Web(tmp_path / "fetched", transport=wire)
    backend = Backend(read({"KONTEXT_DATA_DIR": str(tmp_path / "data")}, tmp_path), HOME / "presets", web=web)
    handlers = InputHandlers(backend, {})
    shown = await handlers.prepare_reference({"address": "https://pictures.example/cat.png", "number": 1})
    assert shown["image"]["url"]
    page = await handlers.prepare_reference({"address": "https://pictures.example/page", "number": 2, "name": "page"})
    assert page["refused"].startswith("page: Reference 2 is a web page, not a picture. Nothing was charged.")
    inside = await handlers.prepare_reference({"address": "http://127.0.0.1/cat.png", "number": 2})
    assert inside["refused"].startswith("Only addresses on the public web can be used. Nothing was charged.")
    assert not list((tmp_path / "fetched").iterdir())
    await backend.aclose()


async def test_a_picture_that_arrives_is_prepared(handlers: InputHandlers, tmp_path: Path) -> None:
    """The answer is the prepared picture; the original, which may tell where it was taken, is gone."""
    original = upload(tmp_path)
    answer = await handlers.prepare_reference({"path": original, "number": 1, "name": "photo.png"})
    assert there(answer["image"]["path"]) and answer["image"]["meta"] == {"_type": "gradio.FileData"}
    assert not there(original)
    cards = [Card(image=answer["image"])]
    (reference,) = handlers.references(cards)
    assert (reference.width, reference.height) == (96, 64)
    assert reference.sha256 == hashlib.sha256(reference.read()).hexdigest()


async def test_a_picture_that_cannot_be_used_is_refused_by_name(handlers: InputHandlers, tmp_path: Path) -> None:
    """With the name it came with, what is wrong, that nothing was charged; and nothing of it is kept."""
    original = upload(tmp_path, size=(4, 4), name="drop-x2.png")
    answer = await handlers.prepare_reference({"path": original, "number": 3, "name": "dot.png"})
    assert answer["refused"].startswith("dot.png: Reference 3 ")
    assert "Nothing was charged." in answer["refused"]
    assert not there(original)


@pytest.mark.parametrize("path", ["/etc/hostname", "../../etc/hostname", "", None, 7, "a\0b", ["x"]], ids=repr)
async def test_any_other_path_is_no_picture(handlers: InputHandlers, path: Any) -> None:
    """A caller may send any path: only where uploads lie is anything opened, or removed."""
    answer = await handlers.prepare_reference({"path": path})
    assert answer == {"refused": "The picture did not arrive. Nothing was charged. Drop it again."}
    assert there("/etc/hostname")


@pytest.mark.parametrize("name", ["0" * 64, "../../ledger", "picture"])
def test_a_card_whose_picture_is_gone_is_named(handlers: InputHandlers, name: str) -> None:
    """By its number; whatever stands in the path opens nothing."""
    with pytest.raises(ReferenceRejected) as caught:
        handlers.references([card(name)])
    assert caught.value.number == 1
    assert "is no longer here" in str(caught.value)


async def test_a_picture_of_a_run_becomes_a_card(handlers: InputHandlers, backend: Backend, tmp_path: Path) -> None:
    """The last one, with its name and no role; one that can't be opened is told of."""
    picture = tmp_path / "kontext-pro-1.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    before = [card("a")]
    run, output = await an_old_run(backend, tmp_path), Output(1, picture, 64, 64, 1, "a" * 32)
    *first, last = await handlers.use(run, output, before)
    assert first == before
    assert (last.name, last.role) == ("kontext-pro-1.png", None)
    with pytest.raises(InputError, match="There are 5 references already"):
        await handlers.use(run, output, before * REFERENCE_LIMIT)
    picture.write_text("no picture")
    with pytest.raises(KontextError):
        await handlers.use(run, output, before)


@pytest.mark.parametrize("path", ["x" * 100_000, "a/" * 20_000], ids=["name", "folders"])
async def test_an_endless_path_is_no_picture(handlers: InputHandlers, tmp_path: Path, path: str) -> None:
    """Refused like any picture that did not arrive; no step of it is looked for on the disk."""
    answer = await handlers.prepare_reference(
        {"path": f"{tmp_path}/served/{path}", "name": "a.jpg", "number": "9" * 99}
    )
    assert "did not arrive" in answer["refused"]


# Presets ----------------------------------------------------------------------------------------------


def chosen(handlers: InputHandlers, composed: str = "", **changes: Any) -> dict[str, Any]:
    whole = form(preset="dress-a-person", **changes)
    gallery, prompt, follows, own, back, *boxes, instead = handlers.choose_preset(composed, *whole.flat())
    said = {"gallery": gallery, "prompt": prompt, "composed": follows, "own": own, "back": back}
    return {**said, "boxes": boxes, "instead": instead}


def test_a_preset_deals_its_roles_and_writes_its_prompt(handlers: InputHandlers, backend: Backend) -> None:
    """The required ones, to cards in their order; what a further card is for, only a person can say."""
    got = chosen(handlers, cards=[card("a"), card("b"), card("c")])
    assert [c.role for c in got["gallery"]["value"]] == ["identity", "outfit", None]
    assert got["gallery"]["deal"] == ["identity", "outfit"]
    assert got["prompt"] == compose(backend.presets["dress-a-person"], ["identity", "outfit", None], "image")
    assert got["composed"] == got["prompt"]


def test_a_field_whose_place_a_reference_takes_stands_back(handlers: InputHandlers) -> None:
    """It goes, and a line says which picture is used instead; once the role is gone it is back."""
    cards = [card("a", "identity"), card("b", "outfit"), card("c", "background")]
    got = chosen(handlers, cards=cards)
    assert not got["boxes"][0]["visible"]
    assert got["instead"] == "<p><b>Setting</b> is taken from picture 3.</p>"
    whole = form(preset="dress-a-person", cards=cards[:2], prompt=got["prompt"], fields=["a beach", "", ""])
    prompt, *_, box, _, _, instead, _ = handlers.follow(got["composed"], [], *whole.flat())
    assert "a beach" in prompt
    assert (box, instead) == (gr.update(visible=True), "")


def test_a_preset_shows_its_boxes(handlers: InputHandlers) -> None:
    """With label, help and default; the boxes it has no use for are hidden and emptied."""
    first, *others = chosen(handlers)["boxes"]
    assert (first["label"], first["visible"]) == ("Setting", True)
    assert first["value"] == "a quiet city street in summer"
    assert len(others) == BOXES - 1
    assert all((box["value"], box["visible"]) == ("", False) for box in others)


@pytest.mark.parametrize("prompt", ["my own words", "my own words, "])
def test_own_words_are_kept_for_the_way_back(handlers: InputHandlers, prompt: str) -> None:
    """To the letter, with the button that brings them back."""
    got = chosen(handlers, prompt=prompt)
    assert (got["own"].prompt, got["back"]["visible"]) == (prompt, True)


def test_a_second_preset_does_not_forget_them(handlers: InputHandlers) -> None:
    """The words of the first preset are nobody's own: what was kept before it stays kept."""
    first = chosen(handlers, prompt="my own words")
    second = chosen(handlers, composed=first["composed"], prompt=first["prompt"])
    assert (second["own"], second["back"]) == (SKIP, SKIP)


def test_a_presets_words_that_were_changed_are_ones_own(handlers: InputHandlers) -> None:
    """One word is enough."""
    composed = chosen(handlers)["composed"]
    got = chosen(handlers, composed=composed, prompt=composed + " Smiling.")
    assert got["own"].prompt == composed + " Smiling."


def test_an_empty_prompt_needs_no_way_back(handlers: InputHandlers) -> None:
    """There is nothing to bring back."""
    assert chosen(handlers, prompt=" \n")["back"] == SKIP


@pytest.mark.parametrize("preset", [None, "", "gone"])
def test_no_preset_leaves_the_words(handlers: InputHandlers, preset: str | None) -> None:
    """Taking the preset away changes no word and no way back; from then on the words are one's own."""
    outputs = handlers.choose_preset("x", *form(preset=preset, prompt="x").flat())
    gallery, prompt, composed, own, back, *boxes, _ = outputs
    assert gallery["deal"] == [] and "value" not in gallery
    assert (prompt, composed, own, back) == (SKIP, "", SKIP, SKIP)
    assert not any(box["visible"] for box in boxes)


def test_own_words_come_back(handlers: InputHandlers) -> None:
    """With the roles that went with them, without the preset and its boxes, and without a role's sentence anew."""
    cards = [card("a", "style"), card("b")]
    own = chosen(handlers, prompt="my own words", cards=cards)["own"]
    dealt = form(preset="dress-a-person", cards=[card("b", "outfit"), card("a", "identity")])
    gallery, preset, prompt, composed, back, order, kept, *boxes, _ = handlers.give_back(own, *dealt.flat())
    assert [c.role for c in gallery["value"]] == [None, "style"]
    assert (preset, prompt, composed, back["visible"], kept) == (None, "my own words", "", False, None)
    assert [box["visible"] for box in boxes] == [False] * BOXES
    again = form(prompt=prompt, cards=gallery["value"])
    assert handlers.follow(composed, order, *again.flat())[0] == SKIP


def test_an_edited_preset_is_rebuilt(handlers: InputHandlers, backend: Backend) -> None:
    """It is offered once a word was edited; the edited words can be had back, with preset and fields."""
    cards = [card("a", "identity"), card("b", "outfit")]
    written = compose(backend.presets["dress-a-person"], ["identity", "outfit"], "image", {"setting": "a beach"})
    whole = form(preset="dress-a-person", cards=cards, prompt="edited", fields=["a beach", "", ""])
    assert handlers.hint(written, *whole.flat())[1] == gr.update(visible=True)
    assert handlers.hint("edited", *whole.flat())[1] == gr.update(visible=False)
    prompt, composed, own, back, button = handlers.rebuild("old", *whole.flat())
    assert prompt == composed == written
    assert (back["visible"], button["visible"]) == (True, False)
    _, preset, prompt, composed, *_, box, _, _, _ = handlers.give_back(own, *whole.flat())
    assert (preset, prompt, composed, box["value"]) == ("dress-a-person", "edited", "old", "a beach")


# Roles without a preset -------------------------------------------------------------------------------


def test_roles_write_behind_own_words(handlers: InputHandlers) -> None:
    """A sentence that follows roles and numbers, and goes with the last role; own words stay to the letter."""
    own = "A quiet evening with image 2"
    steps = [
        ([card("a", "identity"), card("b")], "\nUse the person from image 1."),
        ([card("b", "background"), card("a", "identity")], "\nUse the scene from image 1 and the person from image 2."),
        ([card("b"), card("a")], ""),
    ]
    prompt, composed, order = own, "", [("/nowhere/a.jpg", None), ("/nowhere/b.jpg", None)]
    for cards, said in steps:
        prompt, composed, order, *_ = handlers.follow(composed, order, *form(prompt=prompt, cards=cards).flat())
        assert prompt == own.replace("2", str([c.name for c in cards].index("b") + 1)) + said
        assert composed == said.strip()


def test_a_sentence_of_roles_that_was_deleted_stays_away(handlers: InputHandlers) -> None:
    """Until another role is named; a variant speaks of it in its own word."""
    cards = [card("a", "identity")]
    order = [("/nowhere/a.jpg", "identity")]
    more = form(prompt="Mine.", cards=[*cards, card("b")])
    assert handlers.follow("Use the person from image 1.", order, *more.flat())[:2] == [SKIP, ""]
    dev = form("dev", prompt="Mine.\nUse the person from image 1.", cards=cards)
    _, prompt, composed, *_ = handlers.choose_variant("Use the person from image 1.", "pro", *dev.flat())
    assert (prompt, composed) == ("Mine.\nUse the person from reference 1.", "Use the person from reference 1.")


# Following --------------------------------------------------------------------------------------------


def followed(handlers: InputHandlers, prompt: str, before: str, after: str, **changes: Any) -> tuple[Any, Any, Any]:
    """The prompt, the composed words and the order after cards named by letters were `before` and are `after`."""
    old = [(card(name).image.path, None) for name in before]
    whole = form(prompt=prompt, cards=[card(name) for name in after], **changes)
    prompt, composed, order, *_ = handlers.follow("", old, *whole.flat())
    assert order == [(card(name).image.path, None) for name in after]
    return prompt, composed, order


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("abc", "bac", "image 2 beside image 1, on image 3"),
        ("abc", "cab", "image 2 beside image 3, on image 1"),
        ("abc", "cba", "image 3 beside image 2, on image 1"),
        ("abc", "ab", SKIP),
        ("abc", "bc", "image 3 beside image 1, on image 2"),
        ("abc", "ac", "image 1 beside image 3, on image 2"),
        ("abc", "xabc", "image 2 beside image 3, on image 4"),
        ("abc", "abcx", SKIP),
        ("abc", "abc", SKIP),
        ("", "abc", SKIP),
        ("aab", "baa", "image 2 beside image 3, on image 1"),
    ],
)
def test_numbers_follow_their_pictures(handlers: InputHandlers, before: str, after: str, words: Any) -> None:
    """In a person's own words, whatever is moved, added or removed; equal pictures keep their order.

    Words that stay as they are are not written back, so that nobody's typing is overtaken.
    """
    prompt, composed, _ = followed(handlers, "image 1 beside image 2, on image 3", before, after)
    assert (prompt, composed) == (words, SKIP)


def test_words_without_numbers_stay(handlers: InputHandlers) -> None:
    """There is nothing to follow in them."""
    assert followed(handlers, "make it red", "ab", "ba")[0] == SKIP


def test_a_presets_prompt_is_written_anew(handlers: InputHandlers, backend: Backend) -> None:
    """For cards that changed, with what stands in its boxes, as long as nobody changed a word of it."""
    preset = backend.presets["dress-a-person"]
    composed = compose(preset, [], "image")
    cards = [card("a", "outfit"), card("b", "identity")]
    fields = ["a quiet beach", "", ""]
    whole = form(preset=preset.id, prompt=composed, cards=cards, fields=fields)
    prompt, follows, *_ = handlers.follow(composed, [], *whole.flat())
    assert prompt == follows == compose(preset, ["outfit", "identity"], "image", {"setting": "a quiet beach"})
    assert "the person from image 2" in prompt and "a quiet beach" in prompt


def test_a_presets_prompt_that_was_changed_is_ones_own(handlers: InputHandlers, backend: Backend) -> None:
    """Only its numbers follow then."""
    composed = compose(backend.presets["dress-a-person"], ["identity", "outfit"], "image")
    own = composed + " Smiling."
    cards = [card("b", "outfit"), card("a", "identity")]
    before = [(card("a").image.path, "identity"), (card("b").image.path, "outfit")]
    prompt, follows, *_ = handlers.follow(
        composed, before, *form(preset="dress-a-person", prompt=own, cards=cards).flat()
    )
    assert prompt.endswith(" Smiling.") and "the person from image 2" in prompt
    assert follows == SKIP


# Hints ------------------------------------------------------------------------------------------------


def test_hints_are_a_list_or_nothing(handlers: InputHandlers) -> None:
    """One point for each remark, and no empty list."""
    two = [card("a"), card("b")]
    assert handlers.hint("", *form(prompt="image 1 and image 2", cards=two).flat())[0] == ""
    hint, _ = handlers.hint("", *form(prompt="image 1 only", cards=two).flat())
    assert hint.startswith("<ul><li>") and hint.endswith("</li></ul>")
    assert hint.count("<li>") == 1 and "2" in hint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": "x" * (TYPED_CHARACTERS + 1)}, "The prompt is 1 character over the limit of 20,000."),
        ({"fields": ["", "x" * 302, ""]}, "Field 2 is 2 characters over the limit of 300."),
        ({"cards": [card("a"), card("x" * 256)]}, "The name of picture 2 is 1 character over the limit of 255."),
        ({"cards": [card("a", "x" * 10**6)]}, "Picture 1 has a role that does not exist."),
        ({"cards": [card("a")] * 100_000}, "At most 5 pictures are taken; there are 100,000."),
    ],
    ids=["prompt", "field", "name", "role", "cards"],
)
def test_what_no_page_sends_is_refused_by_every_event(
    handlers: InputHandlers, changes: dict[str, Any], said: str
) -> None:
    """With one sentence, which says the limit and that nothing was charged, before anything is done with it."""
    flat = form(**changes).flat()
    events = (
        lambda: handlers.hint("", *flat),
        lambda: handlers.follow("", [], *flat),
        lambda: handlers.choose_preset("", *flat),
        lambda: handlers.choose_variant("", "max", *flat),
        lambda: handlers.code("http://app.invalid/", *flat),
    )
    for event in events:
        with pytest.raises(gr.Error) as caught:
            event()
        assert caught.value.message.startswith(said)
        assert caught.value.message.endswith("Nothing was charged.")


def test_what_a_page_can_hold_is_read(handlers: InputHandlers) -> None:
    """A prompt that fills its box, the longest field and the longest name are within."""
    most = form(
        prompt="x" * TYPED_CHARACTERS, fields=["x" * FIELD_CHARACTERS] * BOXES, cards=[card("x" * NAME_CHARACTERS)] * 5
    )
    assert Form.read(most.flat()) == most


def test_a_prompt_past_its_limit_is_counted_and_not_read(handlers: InputHandlers) -> None:
    """The hint is the limit alone; a change of variant and of the cards leaves such words as they are."""
    long = "image 9 " * 1000
    whole = form("dev", prompt=long, cards=[card("a"), card("b")])
    limit = "<ul><li>The prompt is 4,000 characters over the limit of 4,000. Shorten it.</li></ul>"
    assert handlers.hint("", *whole.flat())[0] == limit
    assert handlers.choose_variant("", "pro", *whole.flat())[1] == SKIP
    assert handlers.follow("", [("/nowhere/b.jpg", None), ("/nowhere/a.jpg", None)], *whole.flat())[0] == SKIP


def test_hints_know_the_variants_limit(handlers: InputHandlers) -> None:
    """Five are fine for Pro and one too many for Dev."""
    five = [card(name) for name in "abcde"]
    assert handlers.hint("", *form("pro", prompt="all images", cards=five).flat())[0] == ""
    assert "Dev" in handlers.hint("", *form("dev", prompt="all images", cards=five).flat())[0]


# Variants ---------------------------------------------------------------------------------------------


def switched(handlers: InputHandlers, before: str, after: str, composed: str = "", **changes: Any) -> dict[str, Any]:
    whole = form(after, **changes)
    _, prompt, follows, current, note, gallery, shape, *parameters = handlers.choose_variant(
        composed, before, *whole.flat()
    )
    return {
        "prompt": prompt,
        "composed": follows,
        "before": current,
        "note": note,
        "gallery": gallery,
        "shape": shape,
        **dict(zip(DEFAULTS, parameters, strict=True)),
    }


@pytest.mark.parametrize("after", REGISTRY)
@pytest.mark.parametrize("before", REGISTRY)
def test_only_what_the_variant_has_is_shown(handlers: InputHandlers, before: str, after: str) -> None:
    """Every control of a plain parameter, with the variant's own default where nothing was set; and nothing is lost.

    What stands there already is not written again: the person may be changing it while the answer is on its way.
    """
    old = REGISTRY[before]
    at_default = {
        name: row.default if (row := old.parameter(name)) and name != "seed" else DEFAULTS[name] for name in DEFAULTS
    }
    got = switched(handlers, before, after, parameters=at_default)
    assert (got["before"], got["note"]["visible"]) == (after, False)
    assert got["gallery"] == gr.update(limit=REGISTRY[after].reference_limit, variant=REGISTRY[after].name)
    for name in DEFAULTS:
        row = REGISTRY[after].parameter(name)
        assert got[name]["visible"] is (row is not None)
        if row:
            wanted = None if name == "seed" else row.default
            assert ("value" in got[name]) is (wanted != at_default[name])
            assert got[name].get("value", at_default[name]) == wanted
    assert got["shape"] == gr.update(choices=shapes(REGISTRY[after]))


def test_what_was_set_is_kept(handlers: InputHandlers) -> None:
    """Where the new variant has it too."""
    got = switched(handlers, "pro", "dev", parameters={**DEFAULTS, "seed": 7, "guidance_scale": 5.0})
    assert got["seed"] == got["guidance_scale"] == gr.update(visible=True)
    assert got["note"]["visible"] is False


def test_what_cannot_be_kept_is_said(handlers: InputHandlers) -> None:
    """By name, all of it; what had its default is no loss."""
    assert switched(handlers, "pro", "max", parameters={**DEFAULTS, "seed": 7})["note"]["value"] == "Max has no seed."
    changed = {**DEFAULTS, "num_inference_steps": 40, "output_format": "png"}
    note = switched(handlers, "dev", "pro", parameters=changed, shape=OWN)["note"]
    assert note["visible"] and note["value"].count("Pro has no ") == 3
    assert "seed" not in note["value"]


def test_what_was_hidden_comes_back(handlers: InputHandlers) -> None:
    """Pro's seed survives a look at Max."""
    got = switched(handlers, "max", "pro", parameters={**DEFAULTS, "seed": 7})
    assert got["seed"] == gr.update(visible=True)


def test_a_shape_is_kept_and_a_size_by_hand_is_not(handlers: InputHandlers) -> None:
    """A ratio goes along as a ratio or as a size; width and height are for those that have a size."""
    assert switched(handlers, "pro", "dev", shape="16:9")["shape"] == gr.update(choices=shapes(REGISTRY["dev"]))
    assert switched(handlers, "dev", "ultra-fast", shape=OWN)["shape"] == gr.update(
        choices=shapes(REGISTRY["ultra-fast"])
    )
    lost = switched(handlers, "dev", "pro", shape=OWN)
    assert lost["shape"]["value"] == AUTO
    assert lost["note"]["value"] == "Pro has no width and height of your own."


@pytest.mark.parametrize("variant_id", REGISTRY)
def test_the_shapes_are_the_variants(variant_id: str) -> None:
    """Sizes are spelt out for whom they are sent to, and only they can be had by hand."""
    sized = REGISTRY[variant_id].parameter("size") is not None
    labels = {value: label for label, value in shapes(REGISTRY[variant_id])}
    assert next(iter(labels)) == AUTO and len(labels) == (11 if sized else 10)
    assert (OWN in labels) is sized
    assert labels["1:1"] == ("1:1 · 1024 × 1024" if sized else "1:1")


def test_the_words_change_with_the_noun(handlers: InputHandlers, backend: Backend) -> None:
    """A preset's prompt is written anew, own words are reworded; what they mean stays."""
    assert switched(handlers, "pro", "dev", prompt="Use image 2.")["prompt"] == "Use reference 2."
    preset = backend.presets["dress-a-person"]
    composed = compose(preset, [], "image", {"setting": "a beach"})
    got = switched(handlers, "pro", "dev", composed, prompt=composed, preset=preset.id, fields=["a beach", "", ""])
    assert got["prompt"] == got["composed"] == compose(preset, [], "reference", {"setting": "a beach"})


# The whole form ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("example_id", list(load_examples(HOME / "examples")))
async def test_an_example_fills_the_page(handlers: InputHandlers, backend: Backend, example_id: str) -> None:
    """Its cards with their roles, its variant and preset, the preset's words; and they make checked inputs."""
    example = load_examples(HOME / "examples")[example_id]
    whole = form(prompt="old", shape=OWN, pictures=4)
    outputs = await handlers.example("", gr.EventData(None, {"example": example_id}), *whole.flat())
    page = filled(outputs)
    composed = outputs[len(page.flat())]
    assert (page.variant_id, page.preset, page.prompt) == (example.variant_id, example.preset, composed)
    assert page.roles == [role for _, role in example.references]
    assert (page.pictures, page.shape) == (1, AUTO)
    assert len(handlers.references(page.cards)) == len(page.cards)
    assert handlers.hint("", *page.flat())[0] == ""
    assert "code" in handlers.code("http://app.invalid/", *page.flat())


async def test_an_unknown_example_changes_nothing(handlers: InputHandlers) -> None:
    """Whatever the event says."""
    outputs = await handlers.example("", gr.EventData(None, {"example": "gone"}), *form().flat())
    assert len(outputs) > len(form().flat())
    assert all(output == SKIP for output in outputs)


async def an_old_run(backend: Backend, tmp_path: Path, **changes: Any) -> Run:
    colours = ("red", "green")
    references = []
    for number, colour in enumerate(colours, start=1):
        source = tmp_path / f"{colour}.png"
        Image.new("RGB", (96, 64), colour).save(source)
        held = await backend.prepare(source, number)
        references.append(replace(held, role="identity" if number == 1 else None))
    whole: dict[str, Any] = {
        "variant_id": "dev",
        "preset": "dress-a-person",
        "values": {"guidance_scale": 4.5, "num_inference_steps": 40, "output_format": "png", "size": "800*608"},
        "seed": 4711,
        "pictures": 3,
    }
    return Run(
        id="r1",
        visitor="ann",
        account_id="host",
        account_kind="host",
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
        prompt="reference 1 beside reference 2",
        references=tuple(references),
        estimate=Decimal("0.09"),
        charge=None,
        charge_source=None,
        state="completed",
        predictions=(),
        outputs=(),
        troubles=(),
        notice="",
        seconds=1.0,
        model_seconds=None,
        expected_seconds=None,
        **{**whole, **changes},
    )


def restored(handlers: InputHandlers, run: Run, *flat: Any) -> list[Any]:
    """A run's inputs as the page gets them back: by its recipe, with its own references at hand."""
    return handlers.restored(run.recipe, [run], "", *flat)


async def test_what_a_recipe_may_not_hold_is_left_out(
    handlers: InputHandlers, backend: Backend, tmp_path: Path
) -> None:
    """A role that does not exist and a prompt past its limit stay out; the reference itself comes back."""
    run = await an_old_run(backend, tmp_path)
    strange = tuple((sha256, "x" * 1000) for sha256, _ in run.recipe.references)
    recipe = replace(run.recipe, prompt="x" * (PROMPT_CHARACTERS + 1), references=strange)
    page = filled(handlers.restored(recipe, [run], "", *form().flat()))
    assert page.prompt == ""
    assert page.roles == [None] * len(run.references)


async def test_a_run_comes_back_whole(handlers: InputHandlers, backend: Backend, tmp_path: Path) -> None:
    """References in order with their roles, words, variant, every parameter, seed and count; nothing is composed."""
    run = await an_old_run(backend, tmp_path)
    outputs = restored(handlers, run, *form(prompt="other words").flat())
    page = filled(outputs)
    assert outputs[len(page.flat())] == ""
    assert [reference.sha256 for reference in handlers.references(page.cards)] == [r.sha256 for r in run.references]
    assert page.roles == ["identity", None]
    assert (page.prompt, page.preset, page.variant_id) == (run.prompt, "dress-a-person", "dev")
    assert page.values(REGISTRY["dev"]) == {**run.values, "seed": 4711, "num_images": 3}


@pytest.mark.parametrize(
    ("variant_id", "values", "shape", "edges"),
    [
        ("dev", {"size": "800*608"}, OWN, (800, 608)),
        ("dev", {"size": "1024*1024"}, "1:1", (SKIP, SKIP)),
        ("dev", {}, AUTO, (SKIP, SKIP)),
        ("pro", {"aspect_ratio": "9:21"}, "9:21", (SKIP, SKIP)),
        ("pro", {}, AUTO, (SKIP, SKIP)),
    ],
)
async def test_a_shape_comes_back_as_it_was_chosen(
    handlers: InputHandlers, backend: Backend, tmp_path: Path, variant_id: str, values: Any, shape: str, edges: Any
) -> None:
    """A size that belongs to a ratio is that ratio again."""
    run = await an_old_run(backend, tmp_path, variant_id=variant_id, values=values)
    page = filled(restored(handlers, run, *form().flat()))
    assert (page.shape, (page.width, page.height)) == (shape, edges)


async def test_what_the_run_did_not_set_has_its_default(
    handlers: InputHandlers, backend: Backend, tmp_path: Path
) -> None:
    """Nothing of the form before it is left, the seed of a variant that has none included."""
    run = await an_old_run(backend, tmp_path, variant_id="max", values={}, seed=None, preset="gone")
    before = form(parameters={**DEFAULTS, "seed": 7, "guidance_scale": 9.0}, preset="poster", fields=["a", "b", "c"])
    page = updates(restored(handlers, run, *before.flat())[: len(before.flat())])
    assert value(page.parameters["guidance_scale"]) == 3.5
    assert page.parameters["seed"] == gr.update(visible=False)
    assert page.preset is None
    assert [value(box) for box in page.fields] == ["", "", ""]


async def test_a_reference_that_is_gone_is_left_out(handlers: InputHandlers, backend: Backend, tmp_path: Path) -> None:
    """The rest comes back all the same."""
    run = await an_old_run(backend, tmp_path)
    run.references[0].path.unlink()
    page = filled(restored(handlers, run, *form().flat()))
    assert [c.name for c in page.cards] == ["reference 2"]
    # The words still mean the picture that is there; the one that is gone has the next free number.
    assert page.prompt == "reference 2 beside reference 1"


async def test_references_come_back_from_the_visitors_own_runs_alone(
    handlers: InputHandlers, backend: Backend, tmp_path: Path
) -> None:
    """A hash that came with somebody else's file opens nothing, although the picture lies on this server."""
    run = await an_old_run(backend, tmp_path)
    assert filled(handlers.restored(run.recipe, [], "", *form().flat())).cards == []


async def test_a_forged_card_opens_nothing(handlers: InputHandlers, backend: Backend, tmp_path: Path) -> None:
    """A card whose file is not there is refused, even where its name is a hash that this server knows."""
    run = await an_old_run(backend, tmp_path)
    forged = Path(get_upload_folder()) / "any" / f"{run.references[0].sha256}.jpg"
    with pytest.raises(ReferenceRejected, match="Reference 1"):
        handlers.references([Card(image=FileData(path=str(forged)), name="x", role=None)])


async def test_a_seed_that_comes_back_is_seen(handlers: InputHandlers, backend: Backend, tmp_path: Path) -> None:
    """On a chip beside Generate, for as long as the variant takes one: else two presses would pay for one picture."""
    run = await an_old_run(backend, tmp_path)
    chip = restored(handlers, run, *form().flat())[-1]
    assert chip["visible"] and str(run.seed) in chip["value"]
    seeded = form("max", parameters={**DEFAULTS, "seed": 7})
    assert not handlers.choose_variant("", "pro", *seeded.flat())[0]["visible"]


async def test_own_words_are_kept_when_the_form_is_filled(
    handlers: InputHandlers, backend: Backend, tmp_path: Path
) -> None:
    """Behind the form: nothing composed, the order and the variant as they are now, and the way back to the words."""
    run = await an_old_run(backend, tmp_path)
    whole = form(prompt="my own words").flat()
    outputs = restored(handlers, run, *whole)
    page, behind = updates(outputs[: len(whole)]), outputs[len(whole) :]
    order = [(card.image.path, card.role) for card in value(page.cards)]
    assert behind[:3] == ["", order, "dev"]
    assert behind[3].prompt == "my own words"
    assert behind[4] == gr.update(visible=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"values": {"guidance_scale": 999}}, "“How closely to follow the prompt”"),
        ({"values": {"guidance_scale": "much"}}, "“How closely to follow the prompt”"),
        (
            {"values": {"guidance_scale": True, "num_inference_steps": 2.5}},
            "“How closely to follow the prompt”, “Steps (quality)”",
        ),
        ({"values": {"output_format": "exe"}}, "“File format”"),
        ({"values": {"size": "9*9"}}, "“Size”"),
        ({"values": {"aspect_ratio": "1:1", "<img onerror=x>": 1}}, "settings that Dev doesn't have"),
        ({"values": {"guidance_scale": ["a", {}]}}, "“How closely to follow the prompt”"),
        ({"pictures": 99}, "“Pictures”"),
        ({"seed": -7}, "“Seed”"),
        ({"preset": "gone"}, "the preset"),
        ({"variant_id": "schnell", "values": {}, "seed": None}, "the variant"),
    ],
    ids=str,
)
async def test_what_does_not_fit_is_left_out(
    handlers: InputHandlers, backend: Backend, tmp_path: Path, said: str, changes: dict[str, Any]
) -> None:
    """Whatever a recipe or an old run holds, the form takes every value, the rest comes back, one sentence tells."""
    run = await an_old_run(backend, tmp_path, **changes)
    updates = restored(handlers, run, *form().flat())
    page = filled(updates)
    checked = check(page.variant_id, page.prompt, len(page.cards), page.values(REGISTRY[page.variant_id]), lambda: 1)
    assert (checked.prompt, len(page.cards)) == (run.prompt, 2)
    assert said in said_of(updates) and "<" not in said_of(updates)


async def test_a_role_that_does_not_exist_is_left_out(
    handlers: InputHandlers, backend: Backend, tmp_path: Path
) -> None:
    """The reference comes back without it, so that no event of the form fails."""
    run = await an_old_run(backend, tmp_path)
    run = replace(run, references=tuple(replace(r, role="__proto__") for r in run.references))
    updates = restored(handlers, run, *form().flat())
    page = filled(updates)
    assert page.roles == [None, None]
    assert "role of reference 1" in said_of(updates) and "role of reference 2" in said_of(updates)
    handlers.hint("", *page.flat())


async def test_what_fits_is_said_nothing_of(handlers: InputHandlers, backend: Backend, tmp_path: Path) -> None:
    """An ordinary run comes back whole, and no note disturbs."""
    assert said_of(restored(handlers, await an_old_run(backend, tmp_path), *form().flat())) == ""


# Code -------------------------------------------------------------------------------------------------


def test_the_code_is_the_forms(handlers: InputHandlers) -> None:
    """In each language, with a seed left to the service rather than one that nobody chose."""
    shown = handlers.code("http://app.invalid/", *form(prompt="make it red", cards=[card("a")], pictures=2).flat())
    assert list(shown["code"]) == ["Python", "JavaScript", "curl"]
    assert all("make it red" in text for text in shown["code"].values())
    assert "'seed': -1" in shown["code"]["Python"]


def test_the_code_of_a_comparison_is_its_call(handlers: InputHandlers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as it stands, it asks this app for the very comparison of the form."""
    asked: list[Any] = []
    client = SimpleNamespace(predict=lambda *rest, api_name: asked.append((rest, api_name)) or {"cells": []})
    library = SimpleNamespace(Client=lambda url: asked.append(url) or client, handle_file=str)
    monkeypatch.setitem(sys.modules, "gradio_client", library)
    compare = comparing("pro", "max", axis="prompts", wordings=('it\'s "blue"',))
    whole = form(prompt="red", cards=[card("a")], pictures=2, shape="16:9", compare=compare)
    exec(handlers.code("http://app.invalid/it's/", *whole.flat())["code"]["Python"], {})
    call = ("red", ["reference-1.jpg"], ["pro", "max"], whole.compared())
    assert asked == ["http://app.invalid/it's/", (call, "/compare")]
    lone = form(prompt="red", cards=[card("a")], compare=comparing("pro"))
    assert "nothing to compare" in handlers.code("", *lone.flat())["note"]


def test_what_is_missing_stands_in_for_the_code(handlers: InputHandlers) -> None:
    """In the words of the check; nothing is charged for looking at code, so nothing is said of it."""
    shown = handlers.code("http://app.invalid/", *form().flat())
    assert list(shown) == ["note"]
    assert "add at least one picture" in shown["note"] and "prompt is empty" in shown["note"]
    assert "charged" not in shown["note"]
    json.dumps(shown)


# Drafts -----------------------------------------------------------------------------------------------

DRAFT: dict[str, Any] = {
    "cards": [],
    "preset": "line-drawing",
    "fields": ["a red chalk drawing"],
    "prompt": "Mine.",
    "variant": "dev",
    "pictures": 2,
    "shape": "16:9",
    "width": 1024,
    "height": 1024,
    "parameters": {"seed": "7", "num_inference_steps": 12},
}


async def test_a_draft_fills_the_page(handlers: InputHandlers) -> None:
    """With every value that fits, and what its preset would write behind its words, so that they can be rebuilt."""
    outputs = await handlers.drafted(json.dumps(DRAFT), *form().flat())
    page = filled(outputs)
    assert (page.preset, page.prompt, page.variant_id, page.pictures) == ("line-drawing", "Mine.", "dev", 2)
    assert (page.fields[0], page.shape) == ("a red chalk drawing", "16:9")
    assert (page.parameters["seed"], page.parameters["num_inference_steps"]) == (7, 12)
    assert "red chalk" in outputs[len(form().flat())]


@pytest.mark.parametrize(
    "odd",
    [
        {"variant": "schnell"},
        {"preset": "gone"},
        {"pictures": 99},
        {"shape": "<b>"},
        {"shape": "own", "width": 1},
        {"parameters": {"seed": "x", "num_inference_steps": 10**30, "other": 1}},
        {"cards": [{"path": "/etc/passwd", "name": "x", "role": None}]},
    ],
    ids=str,
)
async def test_what_does_not_fit_in_a_draft_is_left_out(handlers: InputHandlers, odd: dict[str, Any]) -> None:
    """And the rest comes back: the draft may be of another version, or by anybody."""
    page = filled(await handlers.drafted(json.dumps({**DRAFT, **odd}), *form().flat()))
    assert page.prompt == "Mine." and page.cards == []
    variant = REGISTRY[page.variant_id]
    check(variant.id, "x", 1, page.values(variant), lambda: 0)


@pytest.mark.parametrize("text", ["", "{}", "[", None, "x" * 200_000, json.dumps({**DRAFT, "prompt": "x" * 30_000})])
async def test_what_is_no_draft_changes_nothing(handlers: InputHandlers, text: Any) -> None:
    """The page is as on the first visit."""
    assert set(map(str, await handlers.drafted(text, *form().flat()))) == {str(SKIP)}


# Compare ----------------------------------------------------------------------------------------------


def comparing(*variants: str, **rest: Any) -> Compare:
    return Compare(on=True, variants=variants, **rest)


def offered(handlers: InputHandlers, whole: Form) -> tuple[dict[str, Any], ...]:
    """What becomes of the gallery, the shapes, the pictures, the held seed; and of each parameter, by name."""
    *first, _ = rest = handlers.choose_compared(*whole.flat())
    return (*first[:4], dict(zip(plain_parameters(), rest[4:], strict=True)))


def test_what_any_of_the_variants_has_is_shown(handlers: InputHandlers) -> None:
    """With whose it is where not all have it; switched off, all is as for the one that was chosen before."""
    gallery, shape, pictures, _, shown = offered(handlers, form(compare=comparing("max", "dev", "ultra-fast")))
    assert (gallery["limit"], gallery["variant"], pictures["label"]) == (5, "Max", "Pictures each")
    assert ("Custom size · only Dev and Ultra-fast", OWN) in shape["choices"]
    assert ("1:1", "1:1") in shape["choices"]
    assert all(parameter["visible"] for parameter in shown.values())
    assert shown["seed"]["info"].endswith("Only Dev and Ultra-fast.")
    assert shown["enable_safety_checker"]["info"].endswith("Only Ultra-fast.")
    assert "Only" not in shown["guidance_scale"]["info"]
    gallery, shape, pictures, _, shown = offered(handlers, form("dev", compare=Compare(variants=("pro", "max"))))
    assert (gallery["limit"], gallery["variant"], pictures["label"]) == (4, "Dev", "Pictures")
    assert shape["choices"] == shapes(REGISTRY["dev"])
    assert [name for name, parameter in shown.items() if not parameter["visible"]] == ["enable_safety_checker"]
    assert not any("Only" in parameter["info"] for parameter in shown.values())


def test_a_held_seed_is_shown_only_where_it_counts(handlers: InputHandlers) -> None:
    """Not among seeds that are compared, nor where no variant has one."""
    seeds, nobody, somebody = (
        offered(handlers, form(parameters=DEFAULTS | {"seed": 7}, compare=compare))
        for compare in (comparing("pro", "dev", axis="seeds"), comparing("max"), comparing("max", "pro"))
    )
    assert [(chip["visible"], shown["seed"]["visible"]) for *_, chip, shown in (seeds, nobody, somebody)] == [
        (False, False),
        (False, False),
        (True, True),
    ]


def test_every_wording_is_hinted_at(handlers: InputHandlers) -> None:
    """Each remark once; of wordings that are not compared just now there is none."""
    wordings = {"wordings": ("image 1 and image 9", "image 1 and image 9")}
    cards = [card("a")]
    for axis, count in (("prompts", 1), ("seeds", 0)):
        whole = form(cards=cards, prompt="image 1", compare=comparing("pro", axis=axis, **wordings))
        assert handlers.hint("", *whole.flat())[0].count("image 9") == count


def test_the_numbers_of_every_wording_follow(handlers: InputHandlers) -> None:
    """Cards that change places take the wordings along; where none speaks of them nothing is written back."""
    before = [("/nowhere/a.jpg", None), ("/nowhere/b.jpg", None)]
    cards = [card("b"), card("a")]
    moved, still = (
        handlers.follow("", before, *form(cards=cards, compare=comparing("pro", wordings=wordings)).flat())[-1]
        for wordings in (("image 1", "a cup"), ("a cup",))
    )
    assert (moved.wordings, still) == (("image 2", "a cup"), SKIP)


async def test_whole_fillings_end_the_comparison(handlers: InputHandlers) -> None:
    """A recipe is one run's: the switch goes off, and what was typed stays until everything starts over."""
    kept = comparing("pro", "dev", axis="prompts", wordings=("another",))
    whole = form(compare=kept).flat()
    recipe = Recipe("dev", "a cup", {}, 7, 1, None, ())
    assert filled(handlers.restored(recipe, [], "", *whole)).compare == kept.model_copy(update={"on": False})
    assert filled(handlers.start_over("", *whole)).compare == Compare()


async def test_a_draft_brings_the_comparison_back(handlers: InputHandlers) -> None:
    """As it was left; one that can't be read is none, and the rest of the draft still comes."""
    kept = comparing("pro", "dev", axis="prompts", wordings=("another",))
    draft = {"cards": [], "preset": None, "fields": [], "prompt": "a cup", "variant": "dev", "pictures": 2}
    draft |= {"shape": AUTO, "width": None, "height": None, "parameters": {}}
    for told, read_as in ((kept.model_dump(), kept), ({"on": True, "seeds": 7}, Compare()), (None, Compare())):
        back = filled(await handlers.drafted(json.dumps(draft | {"compare": told}), *form().flat()))
        assert (back.compare, back.prompt, back.pictures) == (read_as, "a cup", 2)
    draft |= {"variant": "pro", "parameters": {"num_inference_steps": 40}, "compare": kept.model_dump()}
    back = filled(await handlers.drafted(json.dumps(draft), *form().flat()))
    assert back.parameters["num_inference_steps"] == 40  # which only another of them has
