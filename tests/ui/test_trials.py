"""A trial in practice mode, in real browsers: set up, sealed, judged, closed, and its report taken away."""

from __future__ import annotations

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from studio import Studio, Visit

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}


def look(page: Page, found: dict[str, list[str]], state: str) -> None:
    """What axe finds there, on a desk; and whether anything is wider than a phone."""
    broken = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    found |= {state: [f"{v['id']}: {node['html'][:160]}" for v in broken for node in v["nodes"]]} if broken else {}
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    if page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
        found.setdefault(state, []).append("wider than a phone")
    page.set_viewport_size(DESK)  # type: ignore[arg-type]


def judge(browser: Browser, studio: Studio, link: str, ballots: int) -> None:
    with Visit(browser, studio) as visit:
        visit.page.goto(link)
        visit.page.get_by_label("Your name or nickname").fill("Kim")
        visit.page.get_by_role("button", name="Start").click()
        for number in range(1, ballots + 1):
            expect(visit.page.locator("#count")).to_have_text(re.compile(f"^{number} of "))
            expect(visit.page.locator("#next")).to_be_enabled()
            visit.page.keyboard.press("1")
            visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("heading", name="Thank you!")).to_be_visible()


def test_the_whole_way(browser: Browser, studio: Studio, visit: Visit) -> None:
    """Two cases, from the studio's inputs and from the history, of two variants; nobody is shut out at any step."""
    found: dict[str, list[str]] = {}
    page = visit.page
    visit.result.get_by_role("button", name="A coffee among the stars").click()
    expect(visit.cards).to_have_count(2)
    page.get_by_role("link", name="Trials", exact=True).click()
    page.get_by_role("button", name="New trial").click()
    page.get_by_role("button", name="Seal and make").click()
    expect(page.get_by_text("Give the trial a title")).to_be_visible()
    look(page, found, "what is missing")
    page.get_by_role("textbox", name="Title").fill("Cups")
    page.get_by_role("textbox", name="Question").fill("Which cup would you buy?")
    page.get_by_role("button", name="Add from the studio").click()
    expect(page.get_by_role("textbox", name="Case 1")).to_have_value(re.compile("^Place the product"))
    page.get_by_role("textbox", name="Case 1").fill("Put the cup from image 1 among the stars of image 2.")
    page.get_by_role("link", name="Studio", exact=True).click()
    page.get_by_role("link", name="Trials", exact=True).click()  # back to the draft, for the next case
    expect(page.get_by_role("textbox", name="Title")).to_have_value("Cups")
    page.get_by_role("link", name="Studio", exact=True).click()
    visit.generate()
    visit.expect_pictures(1)
    history = visit.tab("History")
    history.get_by_role("button", name="Add to a trial").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Cups").click()
    page.get_by_role("link", name="Trials", exact=True).click()
    expect(page.get_by_text("2 cases × 2 variants = 4 pictures")).to_be_visible()
    expect(page.get_by_role("textbox", name="Case 1")).to_have_value(re.compile("^Put the cup"))

    page.get_by_role("button", name="Seal and make 4 practice pictures").click()
    expect(page.get_by_role("heading", name="Invite judges")).to_be_visible()
    expect(page.get_by_role("img", name="The judges' link to scan").locator("svg")).to_be_visible()
    look(page, found, "open")
    judge(browser, studio, page.get_by_role("textbox", name="The judges' link").input_value(), ballots=2)
    page.reload()  # the address is enough to come back, and this browser still knows the link
    expect(page.get_by_text("1 of 5 judges, 2 of")).to_be_visible()
    expect(page.get_by_role("textbox", name="The judges' link")).to_have_value(re.compile("/judge#kj_"))
    page.get_by_role("button", name="Close the trial").click()
    page.get_by_role("button", name="No more votes, for good").click()
    expect(page.get_by_role("table")).to_contain_text("Max")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download report").click()
    assert "Which cup would you buy?" in Path(download.value.path()).read_text("utf-8")
    look(page, found, "closed")
    page.get_by_role("button", name="Show the whole report").click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Cups")).to_be_visible()
    within = "document.querySelector('iframe').contentDocument.body.offsetHeight"
    page.wait_for_function(f"document.querySelector('iframe').clientHeight === {within}")  # nothing in it is scrolled
    page.goto(f"{studio.url}/trials")
    expect(page.get_by_role("link", name="Cups")).to_contain_text("Closed · Too early")
    assert found == {}
