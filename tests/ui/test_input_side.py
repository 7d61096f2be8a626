"""The inputs side in a real browser: presets by keyboard, roles, and words that are never lost."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from studio import CAT, HOME, PORTRAIT, Profile, Studio, Visit

from core.prompts.presets import FAMILIES, load_presets

PRESETS = load_presets(HOME / "presets")


def test_a_preset_is_chosen_by_keyboard_alone(inputs: Visit) -> None:
    """Open, search, go by arrows, choose, close by Escape; the focus is back where it was each time."""
    page = inputs.page
    expect(inputs.preset).to_have_attribute("aria-expanded", "false")
    inputs.preset.press("Enter")
    sheet = page.get_by_role("dialog", name="Choose a preset")
    expect(sheet.get_by_role("option")).to_have_count(len(PRESETS) + 1)
    for family in FAMILIES.values():
        expect(sheet.get_by_role("group", name=family)).to_be_visible()
    expect(sheet.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("drawing")
    expect(sheet.get_by_role("option")).to_have_count(1)
    for _ in "drawing":
        page.keyboard.press("Backspace")
    page.keyboard.press("ArrowDown")
    expect(sheet.get_by_role("option", name="No preset")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    second = list(PRESETS.values())[1]
    tile = sheet.get_by_role("option", name=second.name)
    expect(tile).to_be_focused()
    expect(tile).to_contain_text(second.summary)
    expect(tile.locator("img")).to_have_js_property("naturalWidth", 360)
    page.keyboard.press("Enter")
    expect(sheet).to_be_hidden()
    expect(inputs.preset).to_be_focused()
    expect(inputs.preset).to_contain_text(second.name)
    expect(inputs.prompt).to_have_value(re.compile("companion"))
    inputs.preset.press("Enter")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(inputs.preset).to_be_focused()


def test_roles_and_own_words_get_along(inputs: Visit) -> None:
    """Without a preset a role writes behind them; a preset takes both over, and both come back."""
    inputs.drop(PORTRAIT, CAT)
    inputs.expect_cards(PORTRAIT, CAT)
    inputs.prompt.fill("On a meadow in spring.")
    inputs.role(2).select_option("style")
    own = "On a meadow in spring.\nUse the art style of image 2."
    expect(inputs.prompt).to_have_value(own)
    inputs.choose_preset("Two in one photo")
    expect(inputs.role(2)).to_have_value("companion")
    inputs.page.get_by_role("button", name="Restore my text").click()
    expect(inputs.prompt).to_have_value(own)
    expect(inputs.role(1)).to_have_value("")
    expect(inputs.role(2)).to_have_value("style")
    inputs.choose_variant("Dev")
    expect(inputs.prompt).to_have_value(own.replace("image", "reference"))


def test_an_edited_prompt_can_be_rebuilt(inputs: Visit) -> None:
    """Once a word is changed by hand the fields are silent, and one press lets them speak again."""
    inputs.drop(CAT)
    inputs.expect_cards(CAT)
    inputs.choose_preset("Line drawing")
    rebuild = inputs.page.get_by_role("button", name="Rebuild the prompt")
    expect(inputs.prompt).to_have_value(re.compile("black ink"))
    expect(rebuild).to_be_hidden()
    inputs.prompt.fill("Mine alone.")
    inputs.page.get_by_role("textbox", name="Kind of drawing").fill("a red chalk drawing")
    rebuild.click()
    expect(inputs.prompt).to_have_value(re.compile("red chalk"))
    expect(rebuild).to_be_hidden()
    inputs.page.get_by_role("button", name="Restore my text").click()
    expect(inputs.prompt).to_have_value("Mine alone.")


def test_a_held_seed_is_seen_and_let_go(visit: Visit) -> None:
    """What “Reuse these settings” pins stands beside Generate, and goes at one press; Ctrl+Enter is a press too."""
    visit.drop(CAT)
    visit.expect_cards(CAT)
    visit.prompt.fill("A cat with a seed")
    visit.prompt.press("Control+Enter")
    visit.expect_pictures(1)
    visit.tab("History").get_by_role("button", name="Reuse these settings").first.click()
    chip = visit.page.locator("#press").get_by_role("button", name="Same seed as before")
    chip.click()
    expect(chip).to_be_hidden()
    visit.generate()
    expect(visit.result.get_by_role("navigation", name="Recent").get_by_role("button")).to_have_count(2)
    visit.expect_pictures(1)
    first, second = visit.studio.sent("A cat with a seed")
    assert first["seed"] != second["seed"]


def test_a_key_says_what_it_is_good_for(visit: Visit) -> None:
    """Before it: what practice is, and where a key is got. With it: its balance, in pictures of the variant."""
    glance = visit.page.locator("#glance")
    expect(glance).to_contain_text("Practice is free.")
    glance.get_by_role("button", name="Use your key").click()
    expect(visit.page.get_by_role("link", name="get a WaveSpeedAI key")).to_have_attribute(
        "href", re.compile("^https://wavespeed.ai/")
    )
    visit.page.get_by_label("Your WaveSpeedAI key").fill("wsk_good_for_something")
    visit.page.get_by_role("button", name="Use this key").click()
    balance = visit.page.locator("#header .balance")
    expect(balance).to_have_text("$10.00 left · about 250 more pictures")
    visit.choose_variant("Max")
    expect(balance).to_have_text("$10.00 left · about 125 more pictures")
    expect(glance).to_have_text("")
    expect(visit.page.locator("#paid")).to_have_text("Runs are paid from your own key.")


def test_a_draft_comes_back(visit: Visit) -> None:
    """Cards, roles, preset, fields, words, variant and parameters, after a reload; the preset goes on writing."""
    visit.drop(PORTRAIT, CAT)
    visit.expect_cards(PORTRAIT, CAT)
    visit.choose_preset("Two in one photo")
    expect(visit.prompt).not_to_have_value("")
    pose = visit.page.get_by_role("textbox", name="Pose")
    pose.fill("back to back")
    expect(visit.prompt).to_have_value(re.compile("back to back"))
    visit.choose_variant("Dev")
    visit.choose_pictures(3)
    visit.open_parameters().get_by_label("Seed").fill("4711")
    visit.page.wait_for_function("localStorage['kontext-draft']?.includes('4711')")
    prompt = visit.prompt.input_value()
    assert "reference 1" in prompt

    visit.page.reload()
    visit.expect_cards(PORTRAIT, CAT)
    expect(visit.prompt).to_have_value(prompt)
    expect(visit.role(2)).to_have_value("companion")
    expect(pose).to_have_value("back to back")
    expect(visit.page.get_by_role("radio", name=re.compile("^Dev"))).to_be_checked()
    expect(visit.estimate).to_contain_text("3 × $0.03 = $0.09")
    expect(visit.page.get_by_role("button", name="Same seed as before: 4711")).to_be_visible()
    pose.fill("hand in hand")
    expect(visit.prompt).to_have_value(re.compile("hand in hand"))

    visit.page.get_by_role("button", name="Start over").click()
    expect(visit.cards).to_have_count(0)
    expect(visit.prompt).to_have_value("")
    expect(visit.preset).to_contain_text("Choose a preset")


def test_what_stops_a_press_is_said_at_its_field(phones: Profile, studio: Studio) -> None:
    """In view on a phone, told to screen readers, and gone as soon as its cause is mended, and no sooner."""
    with Visit(phones, studio).open() as visit:
        page, before, ask = visit.page, studio.runs, visit.page.locator("#ask")
        missing, empty = (page.locator(f"#{field} .problem") for field in ("references", "prompt"))
        page.locator("#parameters").scroll_into_view_if_needed()
        visit.generate()
        expect(missing).to_have_text("There is no reference yet: add at least one picture.")
        expect(missing).to_be_in_viewport(ratio=1)
        expect(empty).to_have_role("alert")
        expect(visit.prompt).to_have_attribute("aria-invalid", "true")
        expect(visit.prompt).to_have_accessible_description(re.compile("The prompt is empty"))
        expect(ask).to_contain_text("Nothing was sent or charged.")
        expect(visit.result).to_contain_text("Your pictures appear here")

        visit.prompt.fill("A cat")
        expect(empty).to_have_count(0)
        expect(missing).to_have_count(1)
        assert visit.prompt.get_attribute("aria-invalid") is None
        visit.drop(CAT)
        expect(missing).to_have_count(0)
        expect(ask).to_be_hidden()

        seed = visit.open_parameters().get_by_label("Seed")
        seed.fill("a lucky one")
        page.get_by_role("button", name="Parameters").click()
        expect(seed).to_be_hidden()
        visit.generate()
        expect(page.locator("#seed .problem")).to_be_in_viewport(ratio=1)
        expect(seed).to_have_accessible_description(re.compile("a whole number"))
        assert studio.runs == before
        seed.fill("7")
        expect(page.locator("#seed .problem")).to_have_count(0)
        visit.generate()
        visit.expect_pictures(1)
