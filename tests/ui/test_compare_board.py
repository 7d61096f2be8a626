"""A comparison after the press: its board, the lightbox over it, names hidden and shown, what is taken away of it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Locator, expect
from studio import CAT, COFFEE, GRASS, HandSandbox, Profile, Studio, Visit

from core.catalog.variants import REGISTRY

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def asked(visit: Visit, variants: Sequence[str], axis: str, *values: str) -> None:
    """The form, filled in for a comparison of three references."""
    page = visit.page
    visit.drop(CAT, GRASS, COFFEE)
    visit.expect_cards(CAT, GRASS, COFFEE)
    visit.prompt.fill("The cat from image 1 on image 2, beside image 3")
    page.get_by_role("switch", name="Compare").click()
    for row in REGISTRY.values():
        card = page.locator(".compare label.variant").filter(
            has=page.get_by_role("checkbox", name=row.name, exact=True)
        )
        if card.get_by_role("checkbox").is_checked() != (row.name in variants):
            card.click()
    page.locator(".compare .axes label").filter(has_text=f"{axis}s").click()
    for number, value in enumerate(values, 1 if axis == "Seed" else 2):
        box = page.get_by_role("textbox", name=f"{axis} {number}", exact=True)
        if not box.count():
            page.get_by_role("button", name=f"Add a {axis.lower()}").click()
        box.fill(value)
        box.blur()


def cell(visit: Visit, name: str) -> Locator:
    return visit.result.get_by_role("listitem", name=name, exact=True)


def ended(visit: Visit, cells: int) -> None:
    expect(visit.result).to_have_attribute("aria-busy", "false")
    expect(visit.result).to_contain_text(f"{cells} of {cells} done")


def test_a_comparison_at_a_desk(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """A column each, reloaded in mid-run; what failed stays in its place and is made again alone, for its own price;
    the lightbox keeps all in step; a picture is made with another variant; one entry of the history, deleted whole.
    """
    with Visit(profile, live).open() as visit:
        page, before = visit.page, live.runs
        asked(visit, ["Pro", "Max"], "Wording", "The cat from image 1 [sandbox:failed]")
        with service.held():
            visit.generate()
            expect(cell(visit, "Pro, Wording 2")).to_contain_text("Generating")
            visit.open()
            visit.faults.clear()  # the page that goes logs that it was cut off
            expect(visit.result.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "4")
            expect(cell(visit, "Max, Wording 1")).to_contain_text("Generating")
        ended(visit, 4)
        expect(page).to_have_title("✓ 2 pictures · Kontext Studio")
        expect(visit.result.locator("+ .live")).to_have_text("Done. 2 pictures. 2 couldn't be made.")
        expect(visit.result).to_contain_text("Charged $0.12 of $0.24")
        failed = cell(visit, "Max, Wording 2")
        expect(failed).to_contain_text("Not made")
        failed.get_by_role("button", name="Make again · $0.08").click()
        expect(visit.result).to_contain_text("Charged $0.12 of $0.32")
        ended(visit, 4)
        assert live.runs == before + 5

        look_side_by_side(visit)
        visit.result.get_by_role("button", name="More with Pro, Wording 1").click()
        menu = page.get_by_role("dialog", name="Actions")
        expect(menu.get_by_role("button", name="Max · $0.08")).to_contain_text("Without the seed")
        menu.get_by_role("button", name="Dev · $0.03").click()
        visit.expect_pictures(1)
        expect(visit.receipt).to_contain_text("Dev")

        history = visit.tab("History")
        expect(history.get_by_role("listitem")).to_have_count(2)
        whole = history.get_by_role("listitem").nth(1)
        expect(whole).to_contain_text("Pro, Max")
        whole.get_by_role("button", name="Open", exact=True).click()
        expect(cell(visit, "Pro, Wording 1").get_by_role("img")).to_be_visible()
        whole = visit.tab("History").get_by_role("listitem").nth(1)
        whole.get_by_role("button", name="Delete").click()
        whole.get_by_role("button", name="Delete permanently?").click()
        expect(history.get_by_role("listitem")).to_have_count(1)
        kept = live.rows("SELECT id FROM runs WHERE comparison_id IS NOT NULL AND deleted_at IS NULL")
        assert kept == []


def look_side_by_side(visit: Visit) -> None:
    """Zoom and pan are the same for the pictures of a row and a reference beside them."""
    page = visit.page
    visit.result.get_by_role("button", name="Max, Wording 1: open at full size").click()
    box = page.get_by_role("dialog", name="Picture at full size")
    expect(box).to_contain_text("Max, Wording 1")
    page.keyboard.press("s")
    page.keyboard.press("1")
    expect(box.locator(".stage img")).to_have_count(3)
    expect(box.locator(".stage")).to_contain_text("Reference 1")
    page.keyboard.press("z")
    page.mouse.move(720, 300)
    page.mouse.down()
    page.mouse.move(690, 320)
    page.mouse.up()
    styles = {image.get_attribute("style") for image in box.locator(".stage img").all()}
    assert styles == {"transform: translate(-30px, 20px) scale(2.5);"}
    page.keyboard.press("s")
    expect(box.locator(".stage img")).to_have_count(1)
    expect(box.locator(".stage img")).to_have_attribute("style", styles.pop() or "")
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


def test_names_are_hidden_on_a_phone(browser: Browser, studio: Studio) -> None:
    """Four variants with two seeds, one of which has none; nothing on the page tells one from another until one is
    chosen, not even after a reload; then everything is told, and can be taken away. Nothing scrolls sideways.
    """
    with Visit(browser, studio, **PHONE).open() as visit:
        asked(visit, [row.name for row in REGISTRY.values()], "Seed", "7", "8")
        visit.generate()
        visit.result.get_by_role("button", name="Hide names").tap()
        ended(visit, 6)
        visit.open()
        expect(visit.result.get_by_role("button", name="Choose F")).to_be_visible()
        told = visit.result.evaluate("(result) => result.outerHTML")
        assert not re.search(r"\b(pro|max|dev|ultra)\b|\$|\bseed", told, re.IGNORECASE)
        flip_by_tap(visit)
        visit.result.get_by_role("button", name="Choose B", exact=True).tap()
        expect(visit.result).to_contain_text("You chose")
        expect(visit.result.get_by_text("Your choice", exact=True)).to_have_count(1)
        expect(cell(visit, "Ultra-fast, Seed 8")).to_contain_text("$0.025 with a key")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        taken_away(visit)


def flip_by_tap(visit: Visit) -> None:
    visit.result.get_by_role("button", name="Picture A: open at full size").tap()
    box = visit.page.get_by_role("dialog", name="Picture at full size")
    expect(box).to_contain_text("Picture A")
    box.locator(".stage img").tap()
    expect(box).to_contain_text("Picture B")
    box.get_by_role("button", name="Close").tap()


def taken_away(visit: Visit) -> None:
    """The contact sheet, and everything."""
    with visit.page.expect_download() as waiting:
        visit.result.get_by_role("button", name="Contact sheet").tap()
    with Image.open(waiting.value.path()) as sheet:
        assert sheet.format == "PNG" and sheet.width < 2000
    with visit.page.expect_download() as waiting:
        visit.result.get_by_role("button", name="Download all").tap()
    with zipfile.ZipFile(BytesIO(Path(waiting.value.path()).read_bytes())) as whole:
        names = whole.namelist()
    assert len(names) == len(set(names)) == 8 and {"contact-sheet.png", "receipts.txt"} < set(names)
    assert sum(name.startswith(("1-kontext-", "2-kontext-")) for name in names) == 6
