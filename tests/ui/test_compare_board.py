"""A comparison after the press: its board, the lightbox over it, names hidden and shown, what is taken away of it."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from studio import BRICK, CAT, COFFEE, GRASS, PHONE, PORTRAIT, HandSandbox, Profile, Studio, Visit

from core.catalog.variants import REGISTRY

KEPT = "SELECT id FROM runs WHERE comparison_id IS NOT NULL AND deleted_at IS NULL"


def asked(visit: Visit, *references: Path) -> Locator:
    """The form, filled in for a comparison of all variants."""
    compare = visit.page.get_by_role("region", name="Compare")
    visit.drop(*references)
    visit.expect_cards(*references)
    visit.prompt.fill("The cat from image 1 on image 2, beside image 3")
    compare.get_by_role("switch", name="Compare").click()
    for row in REGISTRY.values():
        card = compare.locator("label.variant").filter(
            has=visit.page.get_by_role("checkbox", name=row.name, exact=True)
        )
        if not card.get_by_role("checkbox").is_checked():
            card.click()
    return compare


def by_seeds(visit: Visit, compare: Locator) -> None:
    """Seeds 7 and 8, for the three that have one."""
    compare.locator(".axes label").filter(has_text="Seeds").click()
    for number, seed in enumerate(("7", "8"), 1):
        box = compare.get_by_role("textbox", name=f"Seed {number}")
        box.fill(seed)
        box.blur()
    expect(compare).to_contain_text("Left out: it has no seed.")
    expect(visit.estimate).to_contain_text("2 × Pro $0.04 + 2 × Dev $0.03 + 2 × Ultra-fast $0.025 = $0.19")
    expect(visit.page.locator("#generate")).to_have_text("Generate 6 pictures")


def cell(visit: Visit, name: str) -> Locator:
    return visit.result.get_by_role("listitem", name=name, exact=True)


def ended(visit: Visit, cells: int) -> None:
    expect(visit.result).to_have_attribute("aria-busy", "false")
    expect(visit.result).to_contain_text(f"{cells} of {cells} done")


def test_a_comparison_at_a_desk(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """With five references two variants stay out; with three and two seeds another one does. Reloaded in mid-run; what
    failed stays in its place and is made again alone, for its own price; the lightbox keeps all in step; names are
    hidden, over a reload too, and one is chosen; a contact sheet, and all of it as a ZIP; nothing scrolls sideways at
    the width of a hand; a picture is made with another variant; one entry of the history, deleted whole.
    """
    with Visit(profile, live).open() as visit:
        page, before, kept = visit.page, live.runs, live.rows(KEPT)
        compare = asked(visit, CAT, GRASS, COFFEE, BRICK, PORTRAIT)
        for name in ("Dev", "Ultra-fast"):
            expect(compare.get_by_role("checkbox", name=name)).to_have_accessible_description(
                re.compile("Left out: it takes at most 4 references; there are 5")
            )
        expect(visit.estimate).to_contain_text("Pro $0.04 + Max $0.08 = $0.12")
        expect(page.locator("#generate")).to_have_text("Generate 2 pictures")
        for number in (5, 4):
            visit.references.get_by_role("button", name=f"Remove reference {number}").click()
        by_seeds(visit, compare)
        reloaded_in_mid_run(visit, service)
        expect(page).to_have_title("✓ 5 pictures · Kontext Studio")
        expect(visit.result.locator("+ .live")).to_have_text("Done. 5 pictures. 1 couldn't be made.")
        expect(visit.result).to_contain_text("Charged $0.16 of $0.19")
        other = other_tab(visit)
        cell(visit, "Dev, Seed 8").get_by_role("button", name="Make again · $0.03").click()
        expect(visit.result).to_contain_text("Charged $0.16 of $0.22")
        ended(visit, 6)
        expect(other.get_by_role("region", name="Result")).to_contain_text("Charged $0.19 of $0.22")
        other.close()
        assert live.runs == before + 7

        look_side_by_side(visit)
        names_hidden(visit)
        visit.open()
        revealed(visit)
        contact_sheet(visit)
        everything(visit, pictures=6)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.set_viewport_size({"width": 1440, "height": 900})
        visit.result.get_by_role("button", name="More with Pro, Seed 7").click()
        menu = page.get_by_role("dialog", name="Actions")
        expect(menu.get_by_role("button", name="Max · $0.08")).to_contain_text("Without the seed")
        menu.get_by_role("button", name="Dev · $0.03").click()
        visit.expect_pictures(1)
        expect(visit.receipt).to_contain_text("Dev")

        history = visit.tab("History")
        expect(history.get_by_role("listitem")).to_have_count(2)
        whole = history.get_by_role("listitem").nth(1)
        expect(whole).to_contain_text("Pro, Dev, Ultra-fast")
        whole.get_by_role("button", name="Open", exact=True).click()
        expect(cell(visit, "Pro, Seed 7").get_by_role("img")).to_be_visible()
        whole = visit.tab("History").get_by_role("listitem").nth(1)
        whole.get_by_role("button", name="Delete").click()
        whole.get_by_role("button", name="Delete permanently?").click()
        expect(history.get_by_role("listitem")).to_have_count(1)
        assert live.rows(KEPT) == kept


def other_tab(visit: Visit) -> Page:
    """A second page of the same visitor, with the same board on it."""
    other = visit.context.new_page()
    other.goto(visit.studio.url)
    expect(other.get_by_role("region", name="Result")).to_contain_text("6 of 6 done")
    return other


def reloaded_in_mid_run(visit: Visit, service: HandSandbox) -> None:
    """Six cells to their end, of which one fails; what a hand may be about to press stays where it is."""
    service.failing = REGISTRY["dev"].model_id, 8
    with service.held():
        visit.generate()
        expect(cell(visit, "Pro, Seed 8")).to_contain_text("Generating")
        visit.open()
        visit.faults.clear()  # the page that goes logs that it was cut off
        expect(visit.result.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "6")
        expect(cell(visit, "Dev, Seed 7")).to_contain_text("Generating")
        hide = visit.result.get_by_role("button", name="Hide names").element_handle()
    ended(visit, 6)
    assert hide.evaluate("(button) => button.isConnected")
    service.failing = None
    expect(cell(visit, "Dev, Seed 8")).to_contain_text("Not made")


def look_side_by_side(visit: Visit) -> None:
    """Zoom and pan are the same for the pictures of a row and a reference beside them."""
    page = visit.page
    visit.result.get_by_role("button", name="Pro, Seed 8: open at full size").click()
    box = page.get_by_role("dialog", name="Picture at full size")
    expect(box).to_contain_text("Pro, Seed 8")
    page.keyboard.press("s")
    page.keyboard.press("1")
    expect(box.locator(".stage img")).to_have_count(4)
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


def names_hidden(visit: Visit) -> None:
    visit.result.get_by_role("button", name="Hide names").click()
    expect(visit.result.get_by_role("button", name="Choose C")).to_be_visible()


def revealed(visit: Visit) -> None:
    """Nothing on the page tells one from another until one is chosen; then everything is told."""
    expect(visit.result.get_by_role("button", name="Choose C")).to_be_visible()
    told = visit.result.evaluate("(result) => result.outerHTML")
    assert not re.search(r"\b(pro|max|dev|ultra)\b|\$|\bseed", told, re.IGNORECASE)
    flipped(visit)
    visit.result.get_by_role("button", name=re.compile("^Choose [A-F]$")).nth(1).click()
    expect(visit.result).to_contain_text("You chose")
    expect(visit.result.get_by_text("Your choice", exact=True)).to_have_count(1)
    expect(cell(visit, "Ultra-fast, Seed 8")).to_contain_text("Charged $0.025")


@pytest.mark.soak
def test_a_comparison_on_a_phone(browser: Browser, live: Studio, service: HandSandbox) -> None:
    """The same at the width of a hand: names stay hidden over a reload, a tap flips from picture to picture, nothing
    scrolls sideways, and all of it can be taken away.
    """
    with Visit(browser, live, **PHONE).open() as visit:
        by_seeds(visit, asked(visit, CAT, GRASS, COFFEE))
        reloaded_in_mid_run(visit, service)
        expect(visit.result).to_contain_text("Charged $0.16 of $0.19")
        names_hidden(visit)
        visit.open()
        revealed(visit)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        contact_sheet(visit)
        everything(visit, pictures=5)


def flipped(visit: Visit) -> None:
    """From one picture without a name to the next, by the picture itself on a phone and by a key at a desk."""
    visit.result.get_by_role("button", name=re.compile("^Picture [A-F]: open")).first.click()
    box = visit.page.get_by_role("dialog", name="Picture at full size")
    first = box.locator(".stage img").get_attribute("alt") or ""
    if visit.page.evaluate("navigator.maxTouchPoints"):
        box.locator(".stage img").tap()
    else:
        visit.page.keyboard.press("ArrowRight")
    expect(box.locator(".stage img")).not_to_have_attribute("alt", first)
    expect(box.locator(".stage img")).to_have_attribute("alt", re.compile("^Picture [A-F]$"))
    box.get_by_role("button", name="Close").click()


def contact_sheet(visit: Visit) -> None:
    with visit.page.expect_download() as waiting:
        visit.result.get_by_role("button", name="Contact sheet").click()
    with Image.open(waiting.value.path()) as sheet:
        assert sheet.format == "PNG" and sheet.width < 2000


def everything(visit: Visit, pictures: int) -> None:
    with visit.page.expect_download() as waiting:
        visit.result.get_by_role("button", name="Download all").click()
    with zipfile.ZipFile(BytesIO(Path(waiting.value.path()).read_bytes())) as whole:
        names = whole.namelist()
    assert len(names) == len(set(names)) == pictures + 2 and {"contact-sheet.png", "receipts.txt"} < set(names)
    assert sum(name.startswith(("1-kontext-", "2-kontext-")) for name in names) == pictures
