"""Makes the README's pictures, a finished run on a desk and on a phone: `python -m scripts.screenshots`.

Drives the browser that CHROMIUM names, or the `chromium` of the PATH. Uses a port and a data folder of its own.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

HOME = Path(__file__).resolve().parents[1]
FOLDER = HOME / "docs"
QUIET = (
    "--no-sandbox",  # it visits our own page alone, and may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

EXAMPLE = "An astronaut and her cat"
SEED = "4711"
LARGEST = 400_000  # bytes; the README should open quickly


@dataclass(frozen=True)
class Shot:
    """One picture to take: the window in px, and how many pictures the run in it makes."""

    name: str
    width: int
    height: int
    pictures: int


SHOTS = (Shot("desk", 1440, 900, pictures=2), Shot("phone", 390, 844, pictures=1))


def chromium() -> str:
    """The path of the browser."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    return found or sys.exit("No Chromium was found: install it, or set CHROMIUM to the path of one.")


def finish_a_run(page: Page, url: str, pictures: int) -> None:
    """Open the page, fill it with a ready example, and wait for its pictures."""
    page.goto(url)
    page.get_by_role("region", name="Result").get_by_text(EXAMPLE).click()
    expect(page.get_by_text("3 of 5")).to_be_visible()
    expect(page.get_by_role("textbox", name="Prompt")).not_to_be_empty()
    parameters = page.get_by_role("button", name="Parameters")
    parameters.click()
    page.wait_for_timeout(300)  # its controls have just been made, and are filled from the page once more
    page.get_by_role("textbox", name="Seed").fill(SEED)  # the same pictures every time
    parameters.click()
    page.locator("#pictures").get_by_role("radio", name=str(pictures)).check(force=True)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".receipt")).to_be_visible(timeout=60_000)
    expect(page.locator("#said")).to_be_empty(timeout=10_000)  # what was said has gone by itself
    page.wait_for_function("[...document.images].every((image) => image.complete || image.loading === 'lazy')")


def take(browser: Browser, url: str, shot: Shot) -> None:
    """One picture of the page, as a PNG small enough for a README."""
    page = browser.new_page(viewport={"width": shot.width, "height": shot.height}, color_scheme="light")
    finish_a_run(page, url, shot.pictures)
    page.mouse.move(0, 0)
    # Where everything fits, this is the top; on a phone it shows the press and the picture under it.
    page.evaluate("scrollTo(0, 0)")
    page.locator(".receipt").scroll_into_view_if_needed()
    save(page.screenshot(animations="disabled"), FOLDER / f"{shot.name}.png")
    page.close()


def save(png: bytes, path: Path) -> None:
    """Write a picture with as many colours as fit into `LARGEST` bytes."""
    for colours in (None, 256, 128, 64):
        with Image.open(io.BytesIO(png)) as image:
            picture = image.convert("RGB")
        out = io.BytesIO()
        (picture.quantize(colours) if colours else picture).save(out, "PNG", optimize=True)
        if out.tell() <= LARGEST:
            break
    path.write_bytes(out.getvalue())
    print(f"{path.relative_to(HOME)}: {out.tell() // 1000} kB")


def main() -> None:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from app import serve
    from core.settings import read

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        app, url = serve(read({"KONTEXT_DATA_DIR": data}, HOME))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=[*QUIET])
            for shot in SHOTS:
                take(browser, url, shot)
            browser.close()
        app.close()


if __name__ == "__main__":
    main()
