"""Asking for a comparison: what is chosen, what it will cost, and what the press sends."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

from playwright.sync_api import Browser

from core.catalog.estimate import dollars, estimate
from core.catalog.variants import PICTURES, REFERENCE_LIMIT, REGISTRY
from core.errors import InputError
from core.trials.comparison import FEWEST, MOST, plan
from ui.studio.compare import Compare
from ui.studio.page import head

LISTS = range(FEWEST, MOST + 1)
SECOND = [
    Compare(),
    *(Compare(axis="seeds", seeds=[str(10 * n) for n in range(count)]) for count in LISTS),
    *(Compare(axis="prompts", wordings=[f"wording {n}" for n in range(1, count)]) for count in LISTS),
    Compare(axis="leave_one_out"),
]
CHOSEN = [ids for count in range(len(REGISTRY) + 1) for ids in itertools.combinations(REGISTRY, count)]
COUNTS = (int(PICTURES.minimum or 1), int(PICTURES.maximum or 1))


def reserved(compare: Compare, references: int, pictures: int) -> list[tuple[str, int, Decimal]]:
    """Each variant with its pictures and what core reserves for them; none where core refuses the comparison."""
    values = {"num_images": pictures} | compare.values("a prompt")
    try:
        inputs = plan("a prompt", references, list(compare.variants), values, lambda: 7).inputs
    except InputError:
        return []
    runs = [(one.variant, one.pictures, estimate(one.variant, one.pictures)) for one in inputs]
    groups = [(variant, list(group)) for variant, group in itertools.groupby(runs, lambda run: run[0])]
    return [(variant.id, sum(n for _, n, _ in group), sum(usd for *_, usd in group)) for variant, group in groups]


def in_words(terms: list[tuple[str, int, Decimal]]) -> str:
    parts = [f"{f'{n} × ' * (n > 1)}{REGISTRY[id].name} {dollars(REGISTRY[id].price)}" for id, n, _ in terms]
    return f"{' + '.join(parts)} = {dollars(sum((usd for *_, usd in terms), Decimal(0)))}"


def test_the_sum_is_what_core_reserves(browser: Browser) -> None:
    """For all variants, second axes, references and counts of pictures the page's terms and total are the plan's."""
    told: list[tuple[dict[str, Any], int, int, str]] = []
    for variants, second, references in itertools.product(CHOSEN, SECOND, range(1, REFERENCE_LIMIT + 1)):
        compare = second.model_copy(update={"variants": variants})
        for pictures in COUNTS:
            terms = reserved(compare, references, pictures)
            told.append((compare.model_dump(), references, pictures, in_words(terms) if terms else ""))
    page = browser.new_page()
    page.set_content(head())
    said = page.evaluate(
        """(told) => told.map(([compare, references, pictures]) => {
          const terms = window.kontext.terms(compare, references, pictures);
          return terms.length ? termsInWords(terms) : "";
        })""",
        told,
    )
    page.close()
    assert len(set(said)) > 100
    assert [(case, words) for case, words in zip(told, said, strict=True) if case[-1] != words][:3] == []
