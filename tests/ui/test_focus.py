"""The focus is never lost: after each event of the page something has it, so that a keyboard goes on from there."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect
from studio import CAT, COFFEE, Visit

# Each time that nothing has had the focus for 100 ms on end, with what had it before. By a timer: to ask for frames
# would have the browser draw sixty of them a second.
WATCH = """() => {
  window.lost = [];
  let last = "nothing yet", looks = 0;
  setInterval(() => {
    const now = document.activeElement;
    looks = now && now !== document.body ? 0 : looks + 1;
    if (!looks) last = now.ariaLabel || now.textContent.slice(0, 40) || now.id || now.tagName;
    if (looks === 5) window.lost.push(last);
  }, 20);
}"""

# Closes the lightbox, and opens it again before the browser has gone back.
AT_ONCE = """(picture) => new Promise((done) => {
  const box = document.querySelector("dialog[open]");
  box.addEventListener("close", () => {
    addEventListener("popstate", done, { once: true });
    picture.click();
  }, { once: true });
  box.close();
}).then(() => undefined)"""


@pytest.fixture
def watched(visit: Visit) -> Visit:
    """A page whose focus is watched from the first press on."""
    visit.page.get_by_role("button", name="Start over").focus()
    visit.page.evaluate(WATCH)
    return visit


def press(control: Locator, key: str = "Enter") -> None:
    control.press(key)


def check(visit: Visit) -> None:
    visit.page.evaluate("new Promise((done) => setTimeout(done, 200))")
    assert visit.page.evaluate("window.lost") == []


def test_among_the_inputs(watched: Visit) -> None:
    """References, presets, variants, parameters, the key panel, ways back to other words, and a start from nothing."""
    visit, page = watched, watched.page
    button = page.get_by_role
    press(visit.result.get_by_role("button", name="A coffee among the stars"))
    expect(visit.cards).to_have_count(2)
    press(visit.references.get_by_role("button", name="Move reference 1 right"))
    visit.expect_cards("galaxies.jpg", "coffee.jpg")
    press(visit.grip(2), "ArrowLeft")
    visit.expect_cards("coffee.jpg", "galaxies.jpg")
    press(visit.grip(2), "Delete")
    press(visit.references.get_by_role("button", name="Remove reference 1"))
    expect(visit.cards).to_have_count(0)
    visit.drop(CAT, COFFEE)
    visit.expect_cards(CAT, COFFEE)
    visit.role(1).focus()
    visit.role(1).select_option("identity")
    check(visit)

    press(visit.preset)
    page.keyboard.press("Escape")
    for name in ("poster", "drawing"):
        press(visit.preset)
        page.keyboard.type(name)
        page.keyboard.press("Enter")
    expect(visit.prompt).to_have_value(re.compile("black ink"))
    visit.prompt.fill("Mine alone.")
    press(button("button", name="Rebuild the prompt"))
    press(button("button", name="Restore my text"))
    expect(visit.prompt).to_have_value("Mine alone.")
    press(button("button", name="Remove the preset"))
    check(visit)

    press(button("radio", name=re.compile("^Max")), "ArrowRight")
    expect(visit.estimate).to_contain_text("$0.03")
    visit.open_parameters().get_by_label("Seed").press("7")
    press(button("button", name="Seed held: 7"))
    expect(button("button", name="Seed held: 7")).to_be_hidden()
    press(button("button", name="Your key", exact=True))
    key = page.get_by_label("Your WaveSpeedAI key")
    key.fill("wsk_invalid")
    press(key)
    expect(key).to_have_value("")
    press(button("button", name="Your key", exact=True))
    press(button("button", name="Start over"))
    expect(visit.cards).to_have_count(0)
    press(button("button", name="Generate"))
    expect(page.locator("#references .problem")).to_be_visible()
    check(visit)


def test_around_the_result(watched: Visit) -> None:
    """A run and its end, stopped and made again, the lightbox by both ways out, the history, and what it deletes."""
    visit, page = watched, watched.page
    visit.drop(CAT)
    visit.expect_cards(CAT)
    visit.prompt.fill("A calm cat")
    visit.prompt.press("Control+Enter")
    visit.expect_pictures(1)
    picture = visit.result.get_by_role("button", name="open at full size")
    press(picture)
    page.keyboard.press("Escape")
    press(picture)
    picture.evaluate(AT_ONCE)
    page.go_back()
    expect(page.get_by_role("dialog", name="Picture at full size")).to_be_hidden()
    press(visit.result.get_by_role("button", name="Use as reference"))
    expect(visit.cards).to_have_count(2)
    check(visit)

    visit.prompt.fill("A cat that takes its time [sandbox:slow]")
    press(page.get_by_role("button", name="Generate"))
    press(visit.result.get_by_role("button", name="Stop waiting"))
    expect(visit.result).to_have_attribute("aria-busy", "false")
    press(visit.result.get_by_role("navigation", name="Recent").get_by_role("button").last)
    visit.expect_pictures(1)
    press(visit.result.get_by_role("button", name=re.compile("^Run again")))
    expect(visit.result.get_by_role("navigation", name="Recent").get_by_role("button")).to_have_count(3)
    visit.expect_pictures(1)
    check(visit)

    press(page.get_by_role("tab", name="History"))
    history = page.get_by_role("region", name="History", exact=True)
    expect(history.get_by_role("listitem")).to_have_count(3)
    for name in ("Delete", "Delete permanently?"):
        press(history.get_by_role("button", name=name).first)
    expect(history.get_by_role("listitem")).to_have_count(2)
    press(history.get_by_role("button", name="Reuse these settings").last)
    expect(visit.prompt).to_have_value("A calm cat")
    press(history.get_by_role("button", name="Open", exact=True).last)
    expect(visit.result).to_be_visible()
    check(visit)
