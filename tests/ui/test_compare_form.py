"""Asking for a comparison: what is chosen, what it will cost, and what the press sends."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal

from playwright.sync_api import Browser, expect
from studio import BRICK, CAT, COFFEE, LAUNCH, PORTRAIT, Profile, Studio, Visit

from core.catalog.estimate import dollars, estimate, in_micros
from core.catalog.variants import PICTURES, REFERENCE_LIMIT, REGISTRY, Variant
from core.comparisons.comparison import FEWEST, MOST, plan
from core.errors import InputError
from ui.studio.compare import Compare
from ui.studio.page import head

DISCOUNTED = Decimal("0.8")
LISTS = (FEWEST, MOST)
SECOND = [
    Compare(),
    *(Compare(axis="seeds", seeds=[str(10 * n) for n in range(count)]) for count in LISTS),
    *(Compare(axis="prompts", wordings=[f"wording {n}" for n in range(1, count)]) for count in LISTS),
    Compare(axis="leave_one_out"),
]
CHOSEN = [ids for count in range(len(REGISTRY) + 1) for ids in itertools.combinations(REGISTRY, count)]
COUNTS = (int(PICTURES.minimum or 1), int(PICTURES.maximum or 1))

COMPARED = "SELECT * FROM runs WHERE comparison_id IS NOT NULL ORDER BY rowid"


def planned(compare: Compare, references: int, pictures: int) -> list[tuple[Variant, int]]:
    """Each variant with the pictures that core plans for it; none where core refuses the comparison."""
    values = {"num_images": pictures} | compare.values("a prompt")
    try:
        inputs = plan("a prompt", references, list(compare.variants), values, lambda: 7).inputs
    except InputError:
        return []
    groups = itertools.groupby(inputs, lambda one: one.variant)
    return [(variant, sum(one.pictures for one in group)) for variant, group in groups]


def in_words(terms: list[tuple[Variant, int]], rate: Decimal) -> str:
    parts = [f"{f'{n} × ' * (n > 1)}{variant.name} {dollars(variant.price * rate)}" for variant, n in terms]
    total = sum((estimate(variant, n) * rate for variant, n in terms), Decimal(0))
    return f"{' + '.join(parts)} = {dollars(total)}" if terms else ""


def test_the_sum_is_what_core_plans(browser: Browser) -> None:
    """For all variants, second axes, references and pictures, terms and total are the plan's; at 20 % off too."""
    cases = [
        (second.model_copy(update={"variants": variants}), references, pictures)
        for variants, second, references, pictures in itertools.product(
            CHOSEN, SECOND, range(1, REFERENCE_LIMIT + 1), COUNTS
        )
    ]
    page = browser.new_page()
    page.set_content(head())
    said = page.evaluate(
        """([cases, prices]) => cases.map(([compare, references, pictures]) => {
          const terms = window.kontext.terms(compare, references, pictures);
          return terms.length ? [termsInWords(terms), termsInWords(terms, prices)] : ["", ""];
        })""",
        [
            [(compare.model_dump(), references, pictures) for compare, references, pictures in cases],
            {row.id: in_micros(row.price * DISCOUNTED) for row in REGISTRY.values()},
        ],
    )
    page.close()
    assert len({words for words, _ in said}) > 100
    for case, words in zip(cases, said, strict=True):
        terms = planned(*case)
        assert words == [in_words(terms, Decimal(1)), in_words(terms, DISCOUNTED)], case


def test_a_large_sum_is_confirmed_by_the_button(browser: Browser) -> None:
    """Above $0.50 a press asks for that sum and spends nothing; the next one does. Any change takes it back. A price
    that rose above it, as a refusal has said, is confirmed by one press.

    In practice mode nothing is spent, and nothing asked.
    """
    page = browser.new_page()
    page.set_content(
        f"""{head()}<div id="inputs"><input id="a"><div class="cards"><img src="data:,1"></div>
        <div id="ask"><p></p></div><button id="generate">Generate 9 pictures</button></div>
        <script>let presses = 0; document.getElementById("generate").onclick = () => presses++;</script>"""
    )
    button = page.locator("#generate")

    def pressed(micros: int) -> int:
        page.evaluate("(micros) => window.kontext.spends(micros)", micros)
        button.click()
        return int(page.evaluate("presses"))

    assert pressed(500_000) == 1
    page.locator("#a").fill("another prompt")
    assert pressed(620_000) == 1
    expect(button).to_have_accessible_name("Spend $0.62")
    page.evaluate("window.kontext.changed()")
    expect(button).to_have_accessible_name("Spend $0.62")
    page.locator("#a").fill("a third prompt")
    expect(button).to_have_accessible_name("Generate 9 pictures")
    assert pressed(620_000) == 1
    page.evaluate("document.querySelector('.cards img').src = 'data:,2'; window.kontext.changed()")
    expect(button).to_have_accessible_name("Generate 9 pictures")
    assert pressed(620_000) == 1
    assert pressed(640_000) == 1
    expect(button).to_have_accessible_name("Spend $0.64")
    assert pressed(640_000) == 2
    expect(button).to_have_accessible_name("Generate 9 pictures")
    page.evaluate("window.kontext.refused(660000)")
    assert pressed(660_000) == 3
    page.evaluate("window.kontext.refused()")
    for payer, presses in (("sandbox", 4), ("host", 4)):
        page.locator("#a").fill(f"as {payer}")
        page.evaluate(
            "([payer, compare]) => window.kontext.price({}, 'max', 4, payer, compare, [{}, {}], '{}')",
            [payer, Compare(on=True, variants=("pro", "max"), axis="leave_one_out").model_dump()],
        )
        button.click()
        assert page.evaluate("presses") == presses
    button.click()
    assert page.evaluate("presses") == 5
    page.close()


def test_a_comparison_is_asked_for(visit: Visit) -> None:
    """By keyboard: two variants and two seeds. What is wrong stands at its field; then all are made at that sum."""
    page, compare = visit.page, visit.page.get_by_role("region", name="Compare")
    visit.drop(PORTRAIT, COFFEE)
    visit.expect_cards(PORTRAIT, COFFEE)
    visit.prompt.fill("The cup of image 2 for the person of image 1")
    visit.choose_variant("Dev")
    switch = compare.get_by_role("switch", name="Compare")
    expect(compare.get_by_role("checkbox")).to_have_count(0)
    switch.press("Space")
    expect(switch).to_be_focused()
    expect(page.locator("#variant")).to_be_hidden()
    expect(compare.get_by_role("checkbox", name="Dev")).to_be_checked()
    expect(visit.estimate).to_contain_text("Choose one more variant")
    for name in ("Pro", "Max"):
        compare.get_by_role("checkbox", name=name).press("Space")
    expect(visit.estimate).to_contain_text("Pro $0.04 + Max $0.08 + Dev $0.03 = $0.15 with a key")
    generate = page.locator("#generate")
    expect(generate).to_have_text("Generate 3 pictures")
    expect(compare).to_contain_text("The same seed for all that have one. Max has none.")

    compare.get_by_role("radio", name="Nothing else").press("ArrowRight")
    expect(compare.get_by_role("radio", name="Seeds")).to_be_checked()
    expect(compare.get_by_role("radio", name="Seeds")).to_be_focused()
    expect(compare.get_by_role("checkbox", name="Max")).to_have_accessible_description(
        re.compile("Left out: it has no")
    )
    visit.choose_pictures(2)
    expect(visit.estimate).to_contain_text("4 × Pro $0.04 + 4 × Dev $0.03 = $0.28")
    compare.get_by_role("textbox", name="Seed 1").fill("7")
    compare.get_by_role("textbox", name="Seed 2").fill("8")
    generate.click()
    expect(compare.get_by_role("alert")).to_contain_text("Seeds 7 and 8 are too close")
    compare.get_by_role("textbox", name="Seed 2").fill("9")
    page.keyboard.press("Tab")
    expect(compare.get_by_role("alert")).to_be_hidden()
    page.wait_for_function("localStorage['kontext-draft']?.includes('\"7\",\"9\"')")

    page.reload()
    visit.expect_cards(PORTRAIT, COFFEE)
    expect(compare.get_by_role("textbox", name="Seed 2")).to_have_value("9")
    expect(generate).to_have_text("Generate 8 pictures")
    visit.choose_pictures(1)
    expect(generate).to_have_text("Generate 4 pictures")
    before = len(visit.studio.rows(COMPARED))
    generate.click()
    expect(visit.result.get_by_role("img")).not_to_have_count(0)
    rows = visit.studio.rows(COMPARED)[before:]
    assert [(row["variant_id"], row["seed"]) for row in rows] == [("pro", 7), ("pro", 9), ("dev", 7), ("dev", 9)]
    assert len({row["comparison_id"] for row in rows}) == 1
    assert sum(row["estimate"] for row in rows) == in_micros(Decimal("0.14"))

    page.get_by_role("button", name="Start over").click()
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(compare.get_by_role("checkbox", name="Dev")).not_to_be_checked()


def test_wordings_on_a_phone(phones: Profile, studio: Studio) -> None:
    """Nothing is wider than the screen, every target is as large as a thumb, and numbers follow their pictures."""
    with Visit(phones, studio).open() as visit:
        compare = visit.page.get_by_role("region", name="Compare")
        visit.drop(PORTRAIT, COFFEE, LAUNCH, CAT, BRICK)
        visit.expect_cards(PORTRAIT, COFFEE, LAUNCH, CAT, BRICK)
        visit.prompt.fill("The cup of image 2")
        compare.get_by_role("switch", name="Compare").tap()
        for name in ("Max", "Dev"):
            compare.locator("label", has_text=name).tap()
        dev = compare.get_by_role("checkbox", name="Dev")
        expect(dev).to_have_accessible_description(re.compile("Left out: it takes at most 4 references; there are 5."))
        compare.locator("label", has_text="Wordings").tap()
        expect(compare.get_by_role("textbox", name="Wording 2")).to_have_value("The cup of image 2")
        compare.get_by_role("button", name="Add a wording").tap()
        compare.get_by_role("textbox", name="Wording 3").fill("A saucer for image 2")
        expect(visit.estimate).to_contain_text("3 × Pro $0.04 + 3 × Max $0.08 = $0.36")
        expect(visit.page.locator("#generate")).to_have_text("Generate 6 pictures")
        visit.grip(2).press("ArrowLeft")
        expect(compare.get_by_role("textbox", name="Wording 3")).to_have_value("A saucer for image 1")
        compare.get_by_role("button", name="Remove wording 2").tap()
        expect(compare.get_by_role("textbox", name="Wording 2")).to_have_value("A saucer for image 1")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        small = (
            "(all) => all.map((one) => one.getBoundingClientRect()).filter((box) => box.height < 44 || box.width < 44)"
        )
        assert compare.locator("button, label").evaluate_all(small) == []
        expect(visit.page.locator("#generate")).to_be_in_viewport(ratio=1)
