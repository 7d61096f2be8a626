"""The reference gallery in a real browser: in by every way, in any order, and that order is what is sent."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect
from studio import BRICK, CAT, COFFEE, GRASS, GRAVEL, LAUNCH, PORTRAIT, Visit

from core.storage import FULL, LATER


def order(visit: Visit) -> list[str]:
    return [str(card.get_attribute("alt")).split(", ", 1)[1] for card in visit.cards.all()]


def test_reordered_by_keyboard_the_request_follows(visit: Visit) -> None:
    """Arrow keys move a card, with focus and own words following; what is sent has the order on the page."""
    visit.drop(PORTRAIT, COFFEE, LAUNCH)
    visit.expect_cards(PORTRAIT, COFFEE, LAUNCH)
    before = visit.hashes()
    visit.prompt.fill("Image 1 holds image 2 before image 3, by keyboard.")
    visit.role(1).select_option("identity")
    visit.grip(1).focus()
    visit.page.keyboard.press("ArrowRight")
    visit.expect_cards(COFFEE, PORTRAIT, LAUNCH)
    expect(visit.prompt).to_have_value(re.compile("^Image 2 holds image 1 before image 3", re.IGNORECASE))
    expect(visit.grip(2)).to_be_focused()
    visit.page.keyboard.press("ArrowRight")
    visit.expect_cards(COFFEE, LAUNCH, PORTRAIT)
    words = re.compile("^Image 3 holds image 1 before image 2, by keyboard", re.IGNORECASE)
    expect(visit.prompt).to_have_value(words)
    expect(visit.role(3)).to_have_value("identity")

    visit.generate()
    visit.expect_pictures(1)
    (body,) = visit.studio.sent(visit.prompt.input_value())
    assert body["images"] == visit.hashes() == [before[1], before[2], before[0]]


def test_every_way_in_and_out(inputs: Visit) -> None:
    """Chosen, pasted, dropped; dragged, moved and removed by button and key; five are the most."""
    with inputs.page.expect_file_chooser() as waiting:
        inputs.references.get_by_role("button", name="Choose photos").click()
    waiting.value.set_files([CAT, BRICK])
    inputs.expect_cards(CAT, BRICK)
    inputs.paste(GRASS)
    inputs.expect_cards(CAT, BRICK, GRASS)
    inputs.drop(GRAVEL)
    inputs.expect_cards(CAT, BRICK, GRASS, GRAVEL)

    cards = inputs.references.get_by_role("listitem")
    cards.nth(3).drag_to(cards.nth(0))
    inputs.expect_cards(GRAVEL, CAT, BRICK, GRASS)
    inputs.references.get_by_role("button", name="Move reference 4 left").click()
    inputs.expect_cards(GRAVEL, CAT, GRASS, BRICK)
    expect(inputs.references.get_by_role("button", name="Move reference 1 left")).to_be_disabled()
    expect(inputs.references.get_by_role("button", name="Move reference 4 right")).to_be_disabled()

    inputs.drop(COFFEE, LAUNCH, PORTRAIT)
    inputs.expect_cards(GRAVEL, CAT, GRASS, BRICK, COFFEE)
    expect(inputs.references.get_by_role("alert")).to_contain_text(
        "Up to 5 pictures. Not added: launch.jpg, portrait.jpg"
    )
    expect(inputs.references.get_by_role("button", name="Add")).to_have_count(0)

    inputs.choose_variant("Dev")
    expect(inputs.references).to_contain_text("1 too many for Dev")
    expect(inputs.page.locator("#hints")).to_contain_text("4")
    inputs.prompt.fill("Too many")
    inputs.generate()
    said = inputs.page.get_by_role("alert").filter(has_text="Dev takes at most 4 references; there are 5.")
    expect(said).to_be_visible()
    assert inputs.studio.sent("Too many") == []

    inputs.references.get_by_role("button", name="Remove reference 2").click()
    inputs.expect_cards(GRAVEL, GRASS, BRICK, COFFEE)
    inputs.grip(1).press("Delete")
    inputs.expect_cards(GRASS, BRICK, COFFEE)
    expect(inputs.grip(1)).to_be_focused()


def test_roles_follow_the_preset(inputs: Visit) -> None:
    """New cards take the roles that a preset needs, and ask what a further one is for; one changed by hand is heard.

    Two cards may share one.
    """
    inputs.choose_preset("Dress a person")
    inputs.drop(PORTRAIT, COFFEE)
    inputs.expect_cards(PORTRAIT, COFFEE)
    expect(inputs.role(1)).to_have_value("identity")
    expect(inputs.role(2)).to_have_value("outfit")
    expect(inputs.prompt).to_have_value(re.compile("person from image 1 wearing the complete outfit from image 2"))
    inputs.drop(GRASS)
    expect(inputs.role(3).locator("option:checked")).to_have_text("What for?")
    inputs.role(3).select_option("background")
    expect(inputs.prompt).to_have_value(re.compile("in the scene from image 3"))
    inputs.role(3).select_option("outfit")
    expect(inputs.prompt).to_have_value(re.compile("outfit from images 2 and 3"))
    inputs.references.get_by_role("button", name="Move reference 1 right").click()
    expect(inputs.prompt).to_have_value(
        re.compile("person from image 2 wearing the complete outfit from images 1 and 3")
    )


def as_bytes(picture: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format)
    return buffer.getvalue()


REFUSED = [
    pytest.param("torn.jpg", CAT.read_bytes()[:3000], id="truncated"),
    pytest.param("words.png", b"only words", id="text"),
    pytest.param("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
    pytest.param("dot.png", as_bytes(Image.new("RGB", (1, 1)), "PNG"), id="one pixel"),
]


def note(visit: Visit) -> Locator:
    return visit.references.get_by_role("alert")


def test_a_broken_file_beside_two_good_ones(inputs: Visit) -> None:
    """The sentence names the broken one, by file and number; the two beside it stay, and so they do for each kind."""
    for parameter in REFUSED:
        name, data = parameter.values
        inputs.drop(CAT, (str(name), bytes(data)), BRICK)  # type: ignore[arg-type]
        expect(note(inputs)).to_contain_text(str(name))
        expect(note(inputs)).to_contain_text("Reference 2")
        inputs.expect_cards(CAT, BRICK)
        note(inputs).get_by_role("button", name="Dismiss").click()
        expect(note(inputs)).to_have_text("")
        for _ in range(2):
            inputs.references.get_by_role("button", name="Remove reference 1").click()
        expect(inputs.cards).to_have_count(0)


def test_what_is_sent_tells_nothing_of_the_place(inputs: Visit) -> None:
    """A sideways photograph with its place inside arrives upright, and without any of that."""
    picture = Image.new("RGB", (1800, 900), "teal")
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned a quarter
    exif.get_ifd(0x8825)[1] = "N"
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif)
    inputs.drop(("holiday.jpg", buffer.getvalue()))
    inputs.expect_cards("holiday.jpg")
    assert inputs.cards.evaluate("picture => [picture.naturalWidth, picture.naturalHeight]") == [768, 1536]
    shown = inputs.page.request.get(str(inputs.cards.evaluate("picture => picture.src"))).body()
    with Image.open(io.BytesIO(shown)) as opened:
        assert not opened.getexif()


def test_an_upload_without_room_says_so(inputs: Visit) -> None:
    """Where the app has no room for a picture, the page says that, and not that the connection is to blame."""
    full = f"{FULL} Nothing was charged. {LATER}"
    refusal = {"status": 507, "json": {"detail": full, "error": full}}
    inputs.page.route("**/gradio_api/upload*", lambda route: route.fulfill(**refusal))  # type: ignore[arg-type]
    inputs.drop(CAT)
    expect(note(inputs)).to_contain_text(f"{CAT.name}: {full}")
    inputs.page.unroute("**/gradio_api/upload*")
    inputs.drop(CAT)
    inputs.expect_cards(CAT)
    inputs.faults.clear()  # the browser logs the refusal by itself


def test_an_address_is_a_picture_outside_of_a_text_box(inputs: Visit) -> None:
    """Pasted or dropped on the page it is fetched, or refused in a sentence; in the prompt it stays text."""
    send = """([kind, target]) => {
      const data = new DataTransfer();
      data.setData(kind === "paste" ? "text/plain" : "text/uri-list", "http://10.0.0.7/dogs/rex.jpg");
      const common = { bubbles: true, cancelable: true };
      const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: data, ...common })
        : new DragEvent(kind, { dataTransfer: data, ...common });
      return !document.querySelector(target).dispatchEvent(event);
    }"""
    for kind in ("paste", "drop"):
        assert not inputs.page.evaluate(send, [kind, "#prompt textarea"])
        assert inputs.page.evaluate(send, [kind, "body"])
        expect(inputs.references.get_by_text("rex.jpg: Only addresses on the public web can be used.")).to_be_visible()
        inputs.references.get_by_role("button", name="Dismiss").click()
    inputs.expect_cards()
