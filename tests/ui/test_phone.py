"""At 390 px: one column, nothing to scroll sideways, and the price and its button always in reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from studio import CAT, COFFEE, LAUNCH, PORTRAIT, Studio, Visit


@pytest.fixture
def phone(browser: Browser, studio: Studio) -> Iterator[Visit]:
    with Visit(browser, studio, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as visit:
        yield visit.open()


def check(phone: Visit) -> None:
    """Nothing is wider than the screen, and the press is in the viewport with its price."""
    width = phone.page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert width <= 390
    expect(phone.page.get_by_role("button", name="Generate")).to_be_in_viewport(ratio=1)
    expect(phone.estimate.get_by_text("$")).to_be_in_viewport(ratio=1)


def test_the_main_job_on_a_phone(phone: Visit) -> None:
    """From the empty page to a picture, one column all the way."""
    check(phone)
    phone.drop(PORTRAIT, COFFEE, LAUNCH, CAT)
    phone.expect_cards(PORTRAIT, COFFEE, LAUNCH, CAT)
    phone.choose_preset("Dress a person")
    check(phone)
    for name in ("Ultra-fast", "Dev", "Max", "Pro"):
        phone.choose_variant(name)
        check(phone)
    phone.choose_pictures(4)
    expect(phone.estimate).to_contain_text("4 × $0.04 = $0.16")
    phone.open_parameters()
    phone.choose_variant("Dev")
    check(phone)
    phone.generate()
    phone.expect_pictures(4)
    expect(phone.pictures.first).to_be_in_viewport()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    phone.tab("History")
    phone.tab("Code")
    expect(phone.page.get_by_role("region", name="Python code")).to_be_visible()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_camera_is_offered(phone: Visit) -> None:
    """A phone's camera is one press away."""
    with phone.page.expect_file_chooser() as waiting:
        phone.references.get_by_role("button", name="Take a photo").click()
    assert waiting.value.element.get_attribute("capture") == "environment"
    waiting.value.set_files(CAT)
    phone.expect_cards(CAT)
