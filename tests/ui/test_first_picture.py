"""From opening the page to the first practice picture: what is in view without scrolling, and how few clicks it is."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from studio import CAT, PORTRAIT, Profile, Studio, Visit

COUNT = "window.clicks = 0; addEventListener('click', (event) => { window.clicks += event.isTrusted; }, true);"

# What a first picture needs, as far as it is not whole in the window, or lies under something else.
OUT_OF_SIGHT = """() => {
  const inputs = ["references", "preset", "fields", "prompt", "variant", "parameters"];
  const parts = [...inputs, "pictures", "estimate", "generate"];
  const foot = document.getElementById("press").getBoundingClientRect().top;
  const seen = (id) => {
    const node = document.getElementById(id), box = node.getBoundingClientRect();
    const last = node.closest("#press") ? innerHeight : foot;
    return box.top >= 0 && box.bottom <= last && node.contains(document.elementFromPoint(box.x + 20, box.bottom - 4));
  };
  return parts.filter((id) => !seen(id));
}"""


def test_at_a_desk(visit: Visit) -> None:
    """By an example two clicks, and then all is in view at 1440 by 900; with one's own pictures four."""
    page = visit.page
    page.evaluate(COUNT)
    visit.result.get_by_role("button", name="An astronaut and her cat").click()
    expect(visit.cards).to_have_count(3)
    expect(page.locator("#said")).to_have_text("Everything is filled in. Press Generate.")
    expect(visit.prompt).to_have_value(re.compile("image 3"))
    assert page.evaluate(OUT_OF_SIGHT) == []
    visit.generate()
    visit.expect_pictures(1)
    assert page.evaluate("window.clicks") == 2

    page.get_by_role("button", name="Start over").click()
    expect(visit.cards).to_have_count(0)
    page.evaluate("window.clicks = 0")
    with page.expect_file_chooser() as chooser:
        visit.references.get_by_role("button", name="Choose photos").click()
    chooser.value.set_files([PORTRAIT, CAT])
    visit.expect_cards(PORTRAIT, CAT)
    visit.choose_preset("Two in one photo")
    expect(visit.prompt).to_have_value(re.compile("companion from image 2"))
    visit.generate()
    visit.expect_pictures(1)
    expect(visit.result.get_by_role("navigation", name="Recent").get_by_role("button")).to_have_count(2)
    assert page.evaluate("window.clicks") == 4


def test_on_a_phone(phones: Profile, studio: Studio) -> None:
    """Two clicks, on an example that is in view from the start; what is said meanwhile lies over nothing, and goes."""
    with Visit(phones, studio).open() as visit:
        page, said = visit.page, visit.page.locator("#said")
        page.evaluate(COUNT)
        example = page.locator("#examples-row").get_by_role("button", name="An astronaut and her cat")
        expect(example).to_be_in_viewport(ratio=1)
        example.click()
        expect(visit.cards).to_have_count(3)
        expect(said).to_have_text("Everything is filled in. Press Generate.")
        expect(said).to_be_in_viewport(ratio=1)
        assert said.evaluate("(said) => getComputedStyle(said).position") == "static"
        expect(visit.prompt).to_have_value(re.compile("image 3"))
        visit.generate()
        expect(said).to_be_hidden()
        visit.expect_pictures(1)
        assert page.evaluate("window.clicks") == 2
