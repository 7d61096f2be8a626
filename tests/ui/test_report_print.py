"""The report on paper, as the browser lays it out."""

from __future__ import annotations

from pathlib import Path

from making import document, drawn
from playwright.sync_api import Browser

from ui.trials.sheet import html

WIDTH, HEIGHT = 687, 1032  # px of an A4 page within its margins
LOW = 70  # px, of a picture that is still one


def test_page_one_is_one_page(browser: Browser, tmp_path: Path) -> None:
    """Of two, three and four variants, with the longest words: from the title to the seal, and pictures one can see."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.emulate_media(media="print")
    pictures = drawn(tmp_path, 3)
    for variants in (2, 3, 4):
        told = document(cases=3, variants=variants, practice=True)
        told["sealed"] |= {"title": "A long title " * 6, "question": "A question, put at length " * 6}
        told["report"]["verdict"]["words"] += " One more thing that a reader has to know." * 6
        names = {variant["id"] for variant in told["sealed"]["variants"]} | {None}
        page.set_content(html(told, [one for one in pictures if one.variant in names]))
        bottoms, low = page.evaluate("""() => {
          const box = (node) => node.getBoundingClientRect();
          return [[...document.querySelectorAll(".boss *")].map((node) => box(node).bottom),
            Math.min(...[...document.querySelectorAll(".boss img")].map((image) => box(image).height))];
        }""")
        assert (max(bottoms) <= HEIGHT, low >= LOW) == (True, True), variants
    page.close()
