"""At 390 px: one column, nothing to scroll sideways, and the price and its button always in reach."""

from __future__ import annotations

from playwright.sync_api import expect
from studio import CAT, COFFEE, LAUNCH, PORTRAIT, Profile, Studio, Visit

# What is less than 44 px either way, and boxes for text so small that the phone zooms in. Links inside a sentence are
# as high as its line; a box to tick is pressed by its label.
TOO_SMALL = """() => {
  const size = (node) => node.getBoundingClientRect();
  const seen = (node) => node.checkVisibility() && size(node).width > 1 && getComputedStyle(node).opacity !== "0";
  const inText = (node) => Boolean(node.closest("p, footer"));
  const all = (names) => [...document.querySelectorAll(names)].filter((node) => seen(node) && !inText(node));
  const named = (node) => `${node.tagName}.${node.className} ${node.ariaLabel || node.textContent}`;
  const targets = all("button, summary, select, .button, .recipes, #pictures label, #variant label");
  const typed = all("input:not([type=radio], [type=checkbox], [type=range]), select, textarea");
  return [
    ...targets.filter((node) => Math.min(size(node).width, size(node).height) < 43.5),
    ...typed.filter((node) => parseFloat(getComputedStyle(node).fontSize) < 16),
  ].map(named);
}"""


def check(phone: Visit) -> None:
    """Nothing is wider than the screen, and the press is in the viewport with its price."""
    width = phone.page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert width <= 390
    expect(phone.page.get_by_role("button", name="Generate")).to_be_in_viewport(ratio=1)
    expect(phone.estimate.get_by_text("$")).to_be_in_viewport(ratio=1)


def test_the_main_job_on_a_phone(phones: Profile, studio: Studio) -> None:
    """From the empty page, where its camera is one press away, to a picture: one column all the way, and a thumb finds
    every target.
    """
    with Visit(phones, studio).open() as phone:
        check(phone)
        with phone.page.expect_file_chooser() as waiting:
            phone.references.get_by_role("button", name="Take a photo").click()
        assert waiting.value.element.get_attribute("capture") == "environment"
        waiting.value.set_files(PORTRAIT)
        phone.expect_cards(PORTRAIT)
        phone.drop(COFFEE, LAUNCH, CAT)
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
        assert phone.page.evaluate(TOO_SMALL) == []
        expect(phone.tab("History").get_by_role("listitem")).to_have_count(1)
        assert phone.page.evaluate(TOO_SMALL) == []
        phone.tab("Code")
        expect(phone.page.get_by_role("region", name="Python code")).to_be_visible()
        assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
