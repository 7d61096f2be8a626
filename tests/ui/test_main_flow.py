"""The main job in a real browser: references in, price beside the button, pictures out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect
from studio import CAT, COFFEE, GRASS, LAUNCH, PORTRAIT, HandSandbox, Profile, Studio, Visit, sum_in_words

from core.catalog.estimate import dollars
from core.catalog.variants import REGISTRY, Variant

# Markup in the three ways in which a page could mistake a text for its own.
HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} ${value}"


def labels(variant: Variant) -> set[str]:
    """What the parameters of a variant are called on the page; a size is chosen by its shape."""
    apart = {"prompt", "images", "num_images", "aspect_ratio", "size"}
    return {"Shape"} | {row.label for row in variant.parameters if row.on_page and row.name not in apart}


ALL_LABELS = set().union(*(labels(variant) for variant in REGISTRY.values()))


def test_the_prompt_is_counted(inputs: Visit) -> None:
    """In small beside its label, in the colour of a warning past the limit; what is too long stays to be shortened."""
    count = inputs.page.locator("#prompt-count")
    inputs.prompt.fill("a cat 🐈")
    expect(count).to_have_text("7 / 4,000")
    assert "over" not in count.inner_html()
    inputs.prompt.fill("x" * 4012)
    expect(count.get_by_role("status")).to_have_text("4,012 / 4,000, 12 too many")
    expect(inputs.page.get_by_text("The prompt is 12 characters over the limit of 4,000. Shorten it.")).to_be_visible()
    expect(inputs.prompt).to_have_value("x" * 4012)
    label, counted = (
        inputs.page.locator("#prompt").get_by_text("Prompt", exact=True).bounding_box(),
        count.locator("span"),
    )
    place = counted.bounding_box()
    assert label and place and abs(label["y"] - place["y"]) < 8
    inputs.prompt.fill("")
    expect(count).to_have_text("")


def test_three_photographs_become_pictures(visit: Visit) -> None:
    """Drop three, choose a preset, try all four variants, generate: pictures, receipt, files, and on from there."""
    visit.drop(PORTRAIT, COFFEE, LAUNCH)
    visit.expect_cards(PORTRAIT, COFFEE, LAUNCH)
    visit.choose_preset("Dress a person")
    expect(visit.role(2)).to_have_value("outfit")
    expect(visit.role(3)).to_have_value("")  # nobody has said what it is for
    visit.role(3).select_option("background")
    expect(visit.prompt).to_have_value(re.compile("image 1.*image 2.*image 3", re.DOTALL))
    expect(visit.page.locator("#instead")).to_have_text("Setting is taken from picture 3.")
    for number, role in enumerate(("identity", "outfit", "background"), start=1):
        expect(visit.role(number)).to_have_value(role)

    parameters = visit.open_parameters()
    parameters.get_by_label("Seed").fill("4711")
    for variant in [*list(REGISTRY.values())[1:], REGISTRY["pro"]]:
        visit.choose_variant(variant.name)
        expect(visit.estimate).to_contain_text(sum_in_words(variant, 1))
        expect(visit.references).to_contain_text(f"3 of {variant.reference_limit}")
        expect(visit.prompt).to_have_value(re.compile(f"{variant.noun} 1"))
        for label in ALL_LABELS:
            shown = parameters.get_by_text(label, exact=True)
            expect(shown).to_be_visible() if label in labels(variant) else expect(shown).to_be_hidden()
        lost = visit.page.get_by_text("Max has no seed.")
        expect(lost).to_be_visible() if variant.id == "max" else expect(lost).to_be_hidden()
    expect(parameters.get_by_label("Seed")).to_have_value("4711")

    visit.choose_pictures(2)
    expect(visit.estimate).to_contain_text("2 × $0.04 = $0.08")
    prompt = visit.prompt.input_value()
    visit.generate()
    visit.expect_pictures(2)
    for said in ("Pro", "Free · $0.08 with a key", "seed 4711"):
        expect(visit.receipt).to_contain_text(said)
    expect(visit.total).to_contain_text("$0.08")

    bodies = visit.studio.sent(prompt)
    assert [body["seed"] for body in bodies] == [4711, 4712]
    assert all(body["images"] == visit.hashes() for body in bodies)
    check_download(visit, 0, r"kontext-pro-20\d{6}-seed4711-1\.(jpg|png)")
    check_download(visit, 1, r"kontext-pro-20\d{6}-seed4712-2\.(jpg|png)")

    visit.result.get_by_role("button", name="Use as reference").first.click()
    expect(visit.cards).to_have_count(4)
    expect(visit.cards.nth(3)).to_have_attribute("alt", re.compile("^Reference 4, kontext-pro-"))

    visit.result.get_by_role("button", name="Run again · free").click()
    expect(visit.result.get_by_text("seed 4711")).to_have_count(0)
    visit.expect_pictures(2)
    expect(visit.total).to_contain_text("$0.16")
    again = visit.studio.sent(prompt)[2:]
    assert len(again) == 2
    assert all(body["images"] == bodies[0]["images"] for body in again)
    assert again[0]["seed"] not in (4711, 4712)


def check_download(visit: Visit, index: int, name: str) -> None:
    """The download has a good name and every pixel that was made; without the recipe it is the very same file."""
    with_recipe = visit.result.get_by_role("checkbox", name="Save settings in the file")
    expect(with_recipe).to_be_checked()
    for box_is_ticked in (True, False):
        with_recipe.set_checked(box_is_ticked)
        with visit.page.expect_download() as waiting:
            visit.result.get_by_role("link", name="Download").nth(index).click()
        download = waiting.value
        assert re.fullmatch(name, download.suggested_filename)
        kept = visit.studio.output(download.suggested_filename)
        with Image.open(download.path()) as got, Image.open(kept) as picture:
            assert got.tobytes() == picture.tobytes()
    assert Path(download.path()).read_bytes() == kept.read_bytes()
    with_recipe.check()


@pytest.mark.soak
def test_every_variant_makes_a_picture(visit: Visit) -> None:
    """The other three variants run too, each with a file name that says which made it."""
    visit.drop(CAT)
    visit.expect_cards(CAT)
    for variant in list(REGISTRY.values())[1:]:
        visit.choose_variant(variant.name)
        expect(visit.estimate).to_contain_text(sum_in_words(variant, 1))
        visit.prompt.fill(f"A calm cat by {variant.name}")
        visit.generate()
        expect(visit.receipt).to_contain_text(re.compile(f"{variant.name}.*with a key"))
        visit.expect_pictures(1)
        expect(visit.receipt).to_contain_text(f"Free · {dollars(variant.price)} with a key")
        seed = r"-seed\d+" if variant.parameter("seed") else ""
        check_download(visit, 0, rf"kontext-{variant.id}-20\d{{6}}{seed}-1\.(jpg|png)")


def test_a_look_at_the_parameters_sets_none(visit: Visit) -> None:
    """Opened, with another variant tried on the way, they stand at the service's own defaults, the seed at none."""
    visit.drop(CAT)
    visit.expect_cards(CAT)
    parameters = visit.open_parameters()
    seed = parameters.get_by_label("Seed")
    for name in ("Pro", "Max", "Pro"):
        visit.choose_variant(name)
        expect(seed).to_have_value("") if name == "Pro" else expect(seed).to_be_hidden()
    closely = parameters.get_by_role("spinbutton", name="How closely")
    closely.fill("")  # and left empty, which is no wish for the least
    prompt = "A cat that nobody set anything for"
    visit.prompt.fill(prompt)
    for total, presses in (("$0.04", 1), ("$0.08", 2)):  # the same again is asked about once
        for _ in range(presses):
            visit.generate()
        expect(visit.total).to_contain_text(total)
    first, second = visit.studio.sent(prompt)
    assert first.pop("seed") != second.pop("seed")
    assert first == second == {"prompt": prompt, "images": first["images"], "guidance_scale": 3.5}


def test_own_words_survive(inputs: Visit) -> None:
    """A preset takes the place of a person's own text only with a way back, and a change of variant only rewords it."""
    inputs.drop(PORTRAIT, GRASS)
    inputs.expect_cards(PORTRAIT, GRASS)
    own = "Put the woman from image 1 on the meadow of image 2, my way."
    inputs.prompt.fill(own)
    inputs.choose_preset("Dress a person")
    back = inputs.page.get_by_role("button", name="Restore my text")
    expect(back).to_be_visible()
    expect(inputs.prompt).not_to_have_value(own)
    back.click()
    expect(inputs.prompt).to_have_value(own)
    expect(back).to_be_hidden()

    inputs.choose_variant("Dev")
    expect(inputs.prompt).to_have_value(own.replace("image", "reference"))
    inputs.choose_variant("Pro")
    expect(inputs.prompt).to_have_value(own)

    # A preset's prompt that a person went on to change is their own too.
    inputs.choose_preset("Dress a person")
    expect(inputs.prompt).to_have_value(re.compile("outfit"))
    edited = inputs.prompt.input_value() + " At dusk."
    inputs.prompt.fill(edited)
    inputs.choose_preset("Line drawing")
    back.click()
    expect(inputs.prompt).to_have_value(edited)


def test_failures_say_three_things(visit: Visit) -> None:
    """What happened, whether it was charged, what to do: for each way in which the service fails."""
    alert = visit.result.get_by_role("alert")
    visit.drop(CAT)
    visit.expect_cards(CAT)
    for marker, happened, charged, advice in (
        ("failed", "failed", "wouldn.t be charged", "try again"),
        ("moderated", "safety filter", "might be charged", "Try a different prompt"),
        ("no-credit", "credit", "wouldn.t be charged", "op up"),
    ):
        visit.prompt.fill(f"A cat [sandbox:{marker}]")
        visit.generate()
        expect(alert).to_contain_text(re.compile(happened, re.IGNORECASE))
        expect(alert.get_by_role("definition").first).to_contain_text(re.compile(charged, re.IGNORECASE))
        expect(alert).to_contain_text("What to do")
        expect(alert).to_contain_text(advice)
        expect(visit.pictures).to_have_count(0)


def test_hostile_text_stays_text(visit: Visit) -> None:
    """Markup in the prompt, a field, a file's name or a refusal is shown as it was typed, and nothing of it runs."""
    visit.drop((f"{HOSTILE.replace('/', '')}.jpg", CAT.read_bytes()), (f"{HOSTILE}.png", b"no picture"))
    expect(visit.cards).to_have_count(1)
    expect(visit.cards).to_have_attribute("alt", re.compile("<img src=x onerror=alert"))
    refused = visit.references.get_by_role("alert")
    expect(refused).to_contain_text(HOSTILE)
    visit.prompt.fill(f"{HOSTILE} with image 9")
    expect(visit.page.locator("#hints")).to_contain_text("9")
    visit.generate()
    visit.expect_pictures(1)
    expect(visit.pictures).to_have_attribute("alt", re.compile(re.escape(HOSTILE)))
    expect(visit.tab("History")).to_contain_text(HOSTILE)
    expect(visit.tab("Code")).to_contain_text("<img src=x onerror=alert(1)>")
    visit.choose_preset("Poster with a title")
    title = visit.page.get_by_role("textbox", name="Title")
    title.fill(HOSTILE)  # arrives at once, as pasted words do
    expect(visit.prompt).to_have_value(re.compile(re.escape(f'"{HOSTILE}"')))
    title.press("Backspace")
    expect(visit.prompt).to_have_value(re.compile(re.escape(f'"{HOSTILE[:-1]}"')))


def test_ready_examples_spend_nothing(inputs: Visit) -> None:
    """Each example fills the whole page at one click, and makes no run by itself."""
    before = inputs.studio.runs
    names = [str(card.text_content()) for card in inputs.result.get_by_role("listitem").all()]
    assert names
    for example, variant in (
        ("An astronaut and her cat", "pro"),
        ("A coffee among the stars", "max"),
        ("A cup made of brick", "dev"),
        ("A cat in the colours of space", "ultra-fast"),
    ):
        inputs.result.get_by_role("button", name=example).click()
        row = REGISTRY[variant]
        expect(inputs.page.get_by_role("radio", name=re.compile(f"^{row.name}"))).to_be_checked()
        expect(inputs.estimate).to_contain_text(sum_in_words(row, 1))
        expect(inputs.prompt).to_have_value(re.compile(f"{row.noun} 1"))
        expect(inputs.cards.first).to_be_visible()
        expect(inputs.page.locator("#hints")).to_have_text("")
    assert inputs.studio.runs == before


@pytest.mark.soak
def test_a_reload_in_the_middle_loses_nothing(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """The page is left and opened again while the run goes on: it is there, and its picture comes."""
    before = live.runs
    with Visit(profile, live).open() as visit:
        visit.drop(CAT)
        visit.expect_cards(CAT)
        visit.prompt.fill("A cat that waits")
        progress = visit.result.get_by_role("list", name="Progress").get_by_role("listitem")
        with service.held():
            visit.generate()
            expect(progress.filter(has_text="Generating")).to_have_attribute("aria-current", "step")
            visit.page.reload()
            expect(progress.filter(has_text="Generating")).to_have_attribute("aria-current", "step")
            expect(visit.total).to_contain_text("this session")
        visit.expect_pictures(1)
        expect(visit.receipt).to_contain_text("$0.04")
        expect(visit.total).to_contain_text("this session")
        assert live.runs == before + 1


def test_the_page_shows_the_run_that_was_asked_for_last(visit: Visit) -> None:
    """While one run goes on another is opened, and a third is pressed: each takes the page, and none is lost."""
    visit.drop(CAT)
    visit.expect_cards(CAT)
    before = visit.studio.runs
    slow = "A cat that others wait for [sandbox:slow]"
    generate = visit.page.get_by_role("button", name="Generate")
    visit.prompt.fill(slow)
    visit.generate()
    expect(visit.result.get_by_role("button", name="Stop waiting")).to_be_visible()

    visit.tab("History").get_by_role("button", name="Open", exact=True).first.click()
    expect(visit.result.get_by_role("button", name="Stop waiting")).to_be_visible()
    expect(generate).to_be_enabled()
    visit.prompt.fill("A cat that comes at once")
    visit.generate()
    visit.expect_pictures(1)
    expect(visit.pictures).to_have_attribute("alt", re.compile("comes at once"))

    visit.result.get_by_role("button", name="Run again").click()
    visit.prompt.fill("A cat that comes last")
    visit.generate()
    expect(visit.pictures).to_have_attribute("alt", re.compile("comes last"))
    visit.expect_pictures(1)
    assert visit.studio.runs == before + 4
    assert len(visit.studio.sent(slow)) == 1


def test_a_size_that_is_none_is_said_and_stops_nothing(visit: Visit) -> None:
    """A width out of range is named at the press and spends nothing; the page goes on, with other variants too."""
    visit.drop(CAT)
    visit.expect_cards(CAT)
    before = visit.studio.runs
    visit.prompt.fill("A cat of some size")
    parameters = visit.open_parameters()
    visit.choose_variant("Dev")
    parameters.get_by_role("combobox", name="Shape").click()
    visit.page.get_by_role("option", name="Custom size").click()
    parameters.get_by_role("spinbutton", name="Width").fill("100")
    visit.generate()
    expect(parameters.get_by_role("alert")).to_have_text("Width must be a whole number from 256 to 1536.")
    expect(visit.page.locator("#ask")).to_contain_text("Nothing was sent or charged")
    assert visit.studio.runs == before

    visit.choose_variant("Pro")
    expect(visit.references).to_contain_text("1 of 5")
    expect(visit.page.get_by_text("Pro has no width and height of your own.")).to_be_visible()
    visit.generate()
    visit.expect_pictures(1)
    assert visit.studio.runs == before + 1


def test_inputs_taken_back_show_no_dead_fields(visit: Visit) -> None:
    """A preset's box is there only where it still writes the prompt."""
    visit.drop(CAT)
    visit.expect_cards(CAT)
    title = visit.page.get_by_role("textbox", name="Title")
    for words in (None, "A TITLE OF MY OWN"):
        visit.choose_preset("Poster with a title")
        expect(title).to_have_value("BEYOND THE SKY")
        if words:
            title.fill(words)
            expect(visit.prompt).to_have_value(re.compile(words))
        prompt = visit.prompt.input_value()
        visit.generate()
        visit.expect_pictures(1)
        expect(visit.pictures).to_have_attribute("alt", re.compile(re.escape(prompt[:60])))
        visit.choose_preset("Line drawing")
        reuse = visit.tab("History").get_by_role("button", name="Reuse these settings")
        expect(reuse).to_have_count(2 if words else 1)  # the tab may show its older list for a moment
        reuse.first.click()
        expect(visit.prompt).to_have_value(prompt)
        expect(title).to_be_hidden() if words else expect(title).to_be_visible()
        if words is None:
            title.fill("ANOTHER")
            expect(visit.prompt).to_have_value(re.compile("ANOTHER"))
