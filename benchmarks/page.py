"""How soon the page follows a hand: the estimate, and a change to five references, none of which asks the server.

Run `python benchmarks/page.py`. The app on its sandbox, all presets and five references loaded, in a headless Chromium;
each time is from the click to the change in the page. Loopback only.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import app  # noqa: E402  (needs the line above when run as a script)
from benchmarks.table import heading, percentile, table, verdict  # noqa: E402
from core.settings import read  # noqa: E402

ROUNDS = 20
PHOTOGRAPHS = ("portrait", "cat", "coffee", "launch", "galaxies")

# Milliseconds from a click on the element to the first change inside what `where` selects.
CLICK = """(element, where) => new Promise((resolve) => {
  const began = performance.now();
  const seen = new MutationObserver(() => { seen.disconnect(); resolve(performance.now() - began); });
  seen.observe(document.querySelector(where),
    { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["src", "alt"] });
  element.click();
})"""


def taken(elements: Sequence[Locator], where: str) -> list[float]:
    """Milliseconds of each click, one element after the other, round after round."""
    return [element.evaluate(CLICK, where) for _ in range(ROUNDS) for element in elements]


def show(page: Page) -> None:
    counts = [page.locator("#pictures").get_by_role("radio", name=str(number)) for number in (2, 3, 4, 1)]
    estimate = taken(counts, "#estimate")
    right = page.get_by_role("button", name="Move reference 1 right")
    order = taken([right], "#references")
    rows = [
        [
            name,
            f"{statistics.median(times):.1f} ms",
            f"{percentile(times, 0.95):.1f} ms",
            verdict(percentile(times, 0.95), most, ".0f") + " ms",
        ]
        for name, times, most in (("the estimate", estimate, 5), ("two of five references change places", order, 100))
    ]
    table(("from the click to the change", "median", "95th percentile", "target"), rows)


def main(folder: Path) -> None:
    heading("Page: how soon it follows")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    served, url = app.serve(read({"KONTEXT_DATA_DIR": str(folder)}, ROOT), server_name="127.0.0.1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url)
        expect(page.get_by_text("this session")).to_be_visible()
        files = [str(ROOT / "examples" / f"{name}.jpg") for name in PHOTOGRAPHS]
        page.locator("#references input[type=file]").first.set_input_files(files)
        expect(page.get_by_text("5 of 5")).to_be_visible()
        page.wait_for_timeout(2000)  # what the references set off at the server has come back
        show(page)
        browser.close()
    served.close(verbose=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
