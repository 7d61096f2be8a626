"""axe-core over the page in every state that a person meets, light and dark."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect
from studio import CAT, PORTRAIT, HandSandbox, Profile, Studio, Visit


class Auditor:
    """Collects what axe finds, state by state: everything in the light, and in the dark what colours can do wrong."""

    def __init__(self, visit: Visit) -> None:
        self._page = visit.page
        self._page.evaluate(Axe().axe_script)
        self.found: dict[str, list[str]] = {}

    def look(self, state: str, part: str = "body") -> None:
        """At the whole page, or at the part of it that has changed since the last look."""
        self._note(state, self._axe(part, {}))
        self._show("dark")
        self._note(f"{state}, dark", self._axe(part, {"runOnly": ["color-contrast"]}))
        self._show("light")

    def _axe(self, part: str, options: dict[str, Any]) -> Any:
        # Of what is well, one element a rule is enough to hear of: to describe all takes axe a third of its time.
        asked = {"resultTypes": ["violations"], **options}
        whole = "document" if part == "body" else f"'{part}'"
        return self._page.evaluate(f"(options) => axe.run({whole}, options)", asked)

    def _show(self, scheme: Literal["light", "dark"]) -> None:
        self._page.emulate_media(color_scheme=scheme)
        self._page.wait_for_function(f"document.body.classList.contains('dark') === ('{scheme}' === 'dark')")

    def _note(self, state: str, said: dict[str, Any]) -> None:
        assert said["passes"], f"{state}: nothing was looked at"
        if found := said["violations"]:
            self.found[state] = [f"{v['id']}: {node['html'][:160]}" for v in found for node in v["nodes"]]


def test_no_violation_before_a_run(profile: Profile, live: Studio) -> None:
    """Of any severity, in every state of the inputs: empty, filled in, all of it open."""
    with Visit(profile, live).open() as visit:
        auditor = Auditor(visit)
        auditor.look("empty")
        visit.generate()
        expect(visit.page.locator("#prompt .problem")).to_be_visible()
        auditor.look("stopped at its fields", "#inputs")
        visit.drop(PORTRAIT, ("words.png", b"only words"), CAT)
        visit.expect_cards(PORTRAIT, CAT)
        expect(visit.references.get_by_role("alert")).to_contain_text("words.png")
        visit.choose_preset("Poster with a title")
        expect(visit.prompt).to_have_value(re.compile("^Make a poster"))
        visit.prompt.fill("A poster of image 9")
        expect(visit.page.locator("#hints")).to_contain_text("9")
        auditor.look("filled", "#inputs")
        visit.choose_variant("Dev")
        parameters = visit.open_parameters()
        expect(parameters.get_by_label("Seed")).to_be_visible()
        visit.page.get_by_role("button", name="Your key").click()
        expect(visit.page.get_by_role("textbox", name="WaveSpeedAI key")).to_be_visible()
        auditor.look("parameters and settings open")
        compare = visit.page.get_by_role("region", name="Compare")
        compare.get_by_role("switch").click()
        compare.locator("label", has_text="Wordings").click()
        expect(compare.get_by_role("textbox", name="Wording 2")).to_be_visible()
        auditor.look("comparing wordings", "#inputs")
        compare.locator("label", has_text="Seeds").click()
        expect(compare.get_by_role("textbox", name="Seed 2")).to_be_visible()
        visit.tab("Code")
        expect(visit.page.get_by_role("region", name="Python code")).to_be_visible()
        auditor.look("comparing seeds, and the code")
    assert auditor.found == {}


def test_no_violation_from_a_run_on(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """While it goes on, at its end, looked at closely, in the strip and in the history."""
    with Visit(profile, live).open() as visit:
        auditor = Auditor(visit)
        visit.drop(PORTRAIT)
        visit.expect_cards(PORTRAIT)
        visit.prompt.fill("A poster of image 1")
        with service.held():
            visit.generate()
            expect(visit.result.get_by_text("Generating")).to_be_visible()
            auditor.look("running", "#result")
        visit.expect_pictures(1)
        visit.result.get_by_text("How this was made").click()
        auditor.look("finished, and how it was made")
        visit.result.get_by_role("button", name="open at full size").click()
        expect(visit.page.get_by_role("dialog", name="Picture at full size")).to_be_visible()
        auditor.look("lightbox", "dialog[open]")
        visit.page.keyboard.press("Escape")
        visit.prompt.fill("A poster [sandbox:failed]")
        visit.generate()
        expect(visit.result.get_by_role("alert")).to_contain_text("failed")
        expect(visit.result.get_by_role("navigation", name="Recent")).to_be_visible()
        auditor.look("failed, and the strip", "#result")
        expect(visit.tab("History")).to_contain_text("A poster of image 1")
        auditor.look("history")
    assert auditor.found == {}


def test_the_whole_job_by_keyboard(visit: Visit) -> None:
    """Without a mouse: an example, another variant, and Generate."""
    page = visit.page
    example = visit.result.get_by_role("button", name="A coffee among the stars")
    example.focus()
    page.keyboard.press("Enter")
    expect(visit.cards).to_have_count(2)
    expect(page.get_by_role("radio", name="Max")).to_be_checked()
    reach(visit, page.get_by_role("radio", name="Max"))
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Dev")).to_be_focused()
    expect(visit.estimate).to_contain_text("$0.03")
    reach(visit, page.get_by_role("button", name="Generate"))
    page.keyboard.press("Enter")
    visit.expect_pictures(1)
    expect(visit.receipt).to_contain_text("Dev")


def test_what_opens_says_whether_it_is_open(inputs: Visit) -> None:
    """The key panel and the parameters, before and after."""
    for name in ("Your key", "Parameters ▼"):
        button = inputs.page.get_by_role("button", name=name, exact=True)
        expect(button).to_have_attribute("aria-expanded", "false")
        button.click()
        expect(button).to_have_attribute("aria-expanded", "true")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_nothing_moves_while_the_page_comes(browser: Browser, studio: Studio, width: int, scheme: str) -> None:
    """What was looked at stays where it was seen first, in the colours that the visitor's system has."""
    with Visit(browser, studio, viewport={"width": width, "height": 844}, color_scheme=scheme) as visit:
        visit.page.add_init_script(SHIFTS)
        visit.open()
        expect(visit.page.get_by_role("button", name="Generate")).to_be_visible()
        assert visit.page.evaluate("window.shifts") < 0.05
        assert visit.page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")


SHIFTS = """
  window.shifts = 0;
  new PerformanceObserver((list) => {
    for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.shifts += shift.value;
  }).observe({ type: "layout-shift", buffered: true });
"""


def reach(visit: Visit, control: Locator) -> None:
    """Goes on with the tab key until the focus is there."""
    for _ in range(60):
        if control.evaluate("element => element === document.activeElement"):
            return
        visit.page.keyboard.press("Tab")
    raise AssertionError("The tab key never comes there.")
