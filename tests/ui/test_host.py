"""The host's page in a real browser: in with the passcode, an invitation, the pause, out again; on a phone too."""

from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from studio import HOST_PASSCODE, Studio

NAME = "<img src=x onerror=alert(1)> {{7*7}} ${alert(2)}"


def invited(page: Page) -> str:
    """An invitation is made by hand; gives back its link."""
    page.get_by_text("New invitation").click()
    page.get_by_label("Name, for you").fill(NAME)
    page.get_by_label("USD").fill("2")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_role("heading", name=f"Invitation for {NAME}")).to_be_visible()
    link = page.locator("#link").input_value()
    page.get_by_role("button", name="Done").click()
    for field in ("#link", "#code"):
        expect(page.locator(field)).to_have_value("")
    return link


def switched(page: Page, press: str, state: str) -> None:
    page.get_by_role("button", name=press).click()
    expect(page.locator("#state")).to_have_text(state)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_host_s_visit(browser: Browser, studio: Studio, width: int, scheme: Literal["light", "dark"]) -> None:
    """All by its name, no barrier, no sideways scroll, no markup that runs; after signing out nothing is left."""
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    said: list[str] = []
    page.on("pageerror", lambda fault: said.append(str(fault)))
    page.on("dialog", lambda asked: (said.append(asked.message), asked.accept()))
    page.goto(f"{studio.url}/host")
    for passcode in ("wrong", HOST_PASSCODE):
        page.get_by_label("Passcode").fill(passcode)
        page.get_by_role("button", name="Open").click()
        if passcode == "wrong":
            expect(page.get_by_role("alert")).to_have_text(
                "That isn't the passcode. It is the value of KONTEXT_HOST_PASSCODE."
            )
    expect(page.locator("#state")).to_have_text("Spending")
    link = invited(page)
    assert link.startswith(f"{studio.url}/#invite=kx_")
    expect(page.locator(".invitations b").first).to_have_text(NAME)
    switched(page, "Pause spending", "Paused")
    assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert link[-32:] not in page.content()
    switched(page, "Resume spending", "Spending")
    page.get_by_role("button", name=f"End: {NAME}").click()
    expect(page.locator(".invitations .chip").first).to_have_text("Ended")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Passcode")).to_be_visible()
    expect(page.get_by_text(NAME)).to_have_count(0)
    page.close()
    assert said == [f"“{NAME}” spends nothing more, ever."]
