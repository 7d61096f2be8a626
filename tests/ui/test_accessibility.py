"""axe-core over the page in every state that a person meets, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect
from studio import CAT, PORTRAIT, HandSandbox, Studio, Visit, serving


@pytest.fixture(scope="module")
def live(service: HandSandbox, own_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    data = tmp_path_factory.mktemp("axe")
    with serving(data, WAVESPEED_API_KEY="wsk_axe", WAVESPEED_BASE_URL=service.url) as studio:
        yield studio


class Auditor:
    """Collects what axe finds serious or critical, state by state."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.found: dict[str, list[str]] = {}

    def look(self, state: str) -> None:
        violations = Axe().run(self._visit.page).response["violations"]
        grave = [v for v in violations if v["impact"] in ("serious", "critical")]
        if grave:
            self.found[state] = [f"{v['id']}: {node['html'][:160]}" for v in grave for node in v["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation(
    browser: Browser, live: Studio, service: HandSandbox, scheme: Literal["light", "dark"]
) -> None:
    """Empty, refused, filled, parameters, settings, running, finished, failed, history, code: none is found."""
    with Visit(browser, live, color_scheme=scheme).open() as visit:
        auditor = Auditor(visit)
        assert visit.page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
        auditor.look("empty")
        visit.drop(PORTRAIT, ("words.png", b"only words"), CAT)
        visit.expect_cards(PORTRAIT, CAT)
        expect(visit.references.get_by_role("alert")).to_contain_text("words.png")
        visit.choose_preset("Poster with a title")
        expect(visit.prompt).to_have_value(re.compile("^Make a poster"))
        visit.prompt.fill("A poster of image 9")
        expect(visit.page.locator("#hints")).to_contain_text("9")
        auditor.look("filled")
        visit.choose_variant("Dev")
        parameters = visit.open_parameters()
        expect(parameters.get_by_label("Seed")).to_be_visible()
        visit.page.get_by_role("button", name="Your key").click()
        expect(visit.page.get_by_role("textbox", name="WaveSpeedAI key")).to_be_visible()
        auditor.look("parameters and settings open")

        visit.prompt.fill("A poster of reference 1")
        with service.held():
            visit.generate()
            expect(visit.result.get_by_text("Generating")).to_be_visible()
            auditor.look("running")
        visit.expect_pictures(1)
        auditor.look("finished")
        visit.prompt.fill("A poster [sandbox:failed]")
        visit.generate()
        expect(visit.result.get_by_role("alert")).to_contain_text("failed")
        auditor.look("failed")
        expect(visit.tab("History")).to_contain_text("A poster of reference 1")
        auditor.look("history")
        visit.tab("Code")
        expect(visit.page.get_by_role("region", name="Python code")).to_be_visible()
        auditor.look("code")
    assert auditor.found == {}


def test_the_whole_job_by_keyboard(visit: Visit) -> None:
    """Without a mouse: an example, another variant, and Generate."""
    page = visit.page
    example = visit.result.get_by_role("button", name="A coffee among the stars")
    example.focus()
    page.keyboard.press("Enter")
    expect(visit.cards).to_have_count(2)
    expect(page.get_by_role("radio", name="Max")).to_be_checked()
    reach(visit, page.get_by_role("radio", name="Dev"))
    page.keyboard.press("Space")
    expect(visit.estimate).to_contain_text("$0.03")
    reach(visit, page.get_by_role("button", name="Generate"))
    page.keyboard.press("Enter")
    visit.expect_pictures(1)
    expect(visit.receipt).to_contain_text("Dev")


def reach(visit: Visit, control: Locator) -> None:
    """Goes on with the tab key until the focus is there."""
    for _ in range(60):
        if control.evaluate("element => element === document.activeElement"):
            return
        visit.page.keyboard.press("Tab")
    raise AssertionError("The tab key never comes there.")
