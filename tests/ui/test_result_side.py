"""What a person does with pictures once they are there: look closely, compare with a reference, start the next run."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import Browser, expect
from studio import CAT, COFFEE, HandSandbox, Profile, Studio, Visit

from core.catalog.estimate import in_micros
from core.catalog.variants import REGISTRY
from ui.studio.compare import Compare


def filled(visit: Visit) -> Visit:
    visit.drop(CAT, COFFEE)
    visit.expect_cards(CAT, COFFEE)
    visit.prompt.fill("The cat from image 1 beside the cup from image 2")
    return visit


def test_the_lightbox(visit: Visit) -> None:
    """Zoom and arrows by key, a flip to a reference and back in the same place; Escape and Back close it."""
    filled(visit).choose_pictures(2)
    visit.generate()
    visit.expect_pictures(2)
    opener = visit.result.get_by_role("button", name="Picture 1 of 2")
    opener.click()
    box = visit.page.get_by_role("dialog", name="Picture at full size")
    image = box.locator(".stage img")
    first = image.get_attribute("src")
    visit.page.keyboard.press("ArrowRight")
    expect(box).to_contain_text("Picture 2 of 2")
    assert image.get_attribute("src") != first
    visit.page.keyboard.press("z")
    expect(image).to_have_attribute("style", re.compile(r"scale\(2\.5\)"))
    box.get_by_role("button", name="Before and after: Reference 2").click()
    expect(box).to_contain_text("Reference 2")
    expect(image).to_have_attribute("style", re.compile(r"scale\(2\.5\)"))
    visit.page.keyboard.press("2")
    expect(box).to_contain_text("Picture 2 of 2")
    visit.page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(opener).to_be_focused()
    opener.click()
    visit.page.go_back()
    expect(box).to_be_hidden()
    expect(visit.pictures).to_have_count(2)
    opener.click()
    box.get_by_role("button", name="Use as reference").click()
    expect(box).to_be_hidden()
    expect(visit.cards).to_have_count(3)


def test_a_result_says_how_it_was_made(visit: Visit) -> None:
    """References with their roles, prompt, variant and parameters, under the picture; the title tells the end. The
    second press of the same inputs says so and sends nothing; the third does as it is told.
    """
    filled(visit).role(1).select_option(label="Picture to edit")
    expect(visit.prompt).to_have_value(re.compile("Use the main"))  # a role writes a sentence of its own
    visit.generate()
    visit.expect_pictures(1)
    expect(visit.page).to_have_title("✓ 1 picture · Kontext Studio")
    expect(visit.result.locator("+ .live")).to_have_text("Done. 1 picture.")
    visit.result.get_by_text("How this was made").click()
    made = visit.result.locator(".made")
    expect(made.get_by_role("list", name="References").get_by_role("listitem")).to_have_text(
        ["1. Picture to edit", "2. No role"]
    )
    expect(made).to_contain_text("The cat from image 1 beside the cup from image 2")
    expect(made).to_contain_text("Pro")
    expect(made).to_contain_text("How closely to follow the prompt")

    prompt = visit.prompt.input_value()
    before = len(visit.studio.sent(prompt))
    visit.generate()
    expect(visit.page.locator("#ask")).to_contain_text("Same settings as your last run")
    assert len(visit.studio.sent(prompt)) == before
    visit.generate()
    expect(visit.page.locator("#ask")).to_be_hidden()
    expect(visit.result.get_by_role("navigation", name="Recent").get_by_role("button")).to_have_count(2)
    visit.expect_pictures(1)
    assert len(visit.studio.sent(prompt)) == before + 1


def test_a_second_run_while_the_first_goes_on(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """Generate is not blocked; the first run goes on among the recent ones, ends there, and opens from there."""
    with Visit(profile, live).open() as visit:
        with service.held():
            filled(visit).generate()
            expect(visit.result.get_by_role("button", name="Stop waiting")).to_be_visible()
            visit.prompt.fill("Another picture")
            visit.generate()
            recent = visit.result.get_by_role("navigation", name="Recent")
            expect(recent.get_by_role("button", name=re.compile("^In progress: The cat"))).to_be_visible()
            expect(recent.get_by_role("button", name=re.compile("^In progress: Another"))).to_be_visible()
        expect(recent.get_by_role("button", name=re.compile("^1 picture: The cat"))).to_be_visible(timeout=20_000)
        recent.get_by_role("button", name=re.compile("^1 picture: The cat")).click()
        expect(visit.result.locator(".made dd").first).to_have_text(re.compile("^The cat"))


def test_a_late_bill_shows_by_itself(
    browser: Browser, live: Studio, service: HandSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service told after the end is on the receipt and in the header with nothing pressed, of a run and of a
    comparison.
    """
    with Visit(browser, live) as visit:  # whose clock can be set, and would stay set
        monkeypatch.setattr(service, "broken", "billings")
        visit.page.clock.install()
        filled(visit.open()).generate()
        visit.expect_pictures(1)
        expect(visit.receipt).to_contain_text("(quoted price)")
        billed(visit)
        expect(visit.receipt).to_contain_text("Charged $0.031")
        expect(visit.total).to_have_text("this session $0.031")
        visit.page.get_by_role("switch", name="Compare").click()
        visit.page.get_by_role("checkbox", name="Max").click()
        visit.generate()
        expect(visit.result).to_contain_text("Charged $0.12")
        billed(visit)
        expect(visit.result).to_contain_text("Charged $0.062 of $0.12")
        expect(visit.total).to_have_text("this session $0.093")


def billed(visit: Visit) -> None:
    """Bills come in, and the page asks for them."""
    with closing(sqlite3.connect(visit.studio.data / "ledger.db")) as file, file:
        file.execute("UPDATE predictions SET charge = 31000, source = 'billing'")
    visit.page.clock.fast_forward("00:11")


@pytest.mark.parametrize("step", [60, pytest.param(20, marks=pytest.mark.soak)])
def test_nothing_overlaps_at_any_width(visit: Visit, step: int) -> None:
    """From 320 to 2,560 px, with the shortest and the longest price: count, price and button stay apart and inside. At
    200 % zoom nothing that is in focus lies under them.
    """
    page = visit.page
    visit.drop(CAT, COFFEE)
    visit.expect_cards(CAT, COFFEE)
    for width in (*range(320, 1500, step), *range(1500, 2561, 200)):  # from 1,480 px on only the margins grow
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(OVERLAPS, PRICES) == [], f"{width} px"
    page.set_viewport_size({"width": 720, "height": 450})
    assert page.evaluate(UNSEEN) == []


# Of a variant and its pictures, and of all variants compared, at prices with four decimals that aren't the list's.
DEAR = json.dumps({row.id: 2 * in_micros(row.price) - 150 for row in REGISTRY.values()})
ALL = Compare(on=True, variants=tuple(REGISTRY), axis="leave_one_out").model_dump()
PRICES = [
    ["pro", 1, "sandbox", {"on": False}, "{}"],
    ["ultra-fast", 4, "own", {"on": False}, DEAR],
    ["ultra-fast", 4, "own", ALL, DEAR],
]

OVERLAPS = """(prices) => prices.flatMap(([variant, pictures, payer, compare, known]) => {
  const notes = { sandbox: 'with a key', own: 'from your own key' };
  const [words, { value }] = window.kontext.price(notes, variant, pictures, payer, compare, [{}, {}], known);
  document.querySelector('#estimate .sum').parentElement.innerHTML = words;
  document.getElementById('generate').lastChild.textContent = value;
  // A comparison's sum runs on into what stands after it.
  const price = compare.on ? ['#estimate'] : ['#estimate .sum', '#estimate small'];
  const parts = ['#pictures .wrap', ...price, '#generate'];
  const boxes = parts.map((name) => [name, document.querySelector(name).getBoundingClientRect()]);
  const wide = document.documentElement.scrollWidth > innerWidth ? ['the page scrolls sideways'] : [];
  const out = boxes.filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([name]) => `${name} is cut off`);
  const tall = boxes.filter(([, box]) => box.height > 80).map(([name]) => `${name} is broken up`);
  const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
  const pairs = boxes.flatMap(([name, a], at) =>
    boxes.slice(at + 1).filter(([, b]) => !apart(a, b)).map(([other]) => `${name} lies on ${other}`));
  return [...wide, ...out, ...tall, ...pairs].map((found) => `${words}: ${found}`);
})"""

UNSEEN = """() => [...document.querySelectorAll('#inputs :is(button, select, textarea, input)')].filter((control) => {
  control.focus();
  if (document.activeElement !== control) return false;
  const shown = control.closest('label') || control, { left, bottom, width, height } = shown.getBoundingClientRect();
  return !shown.contains(document.elementFromPoint(left + width / 2, bottom - Math.min(height / 2, 12)));
}).map((control) => control.ariaLabel || control.outerHTML)"""
