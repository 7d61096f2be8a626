"""Makes the README's pictures, a finished run, a ballot and a report: `python -m scripts.screenshots`.

Drives the browser that CHROMIUM names, or the `chromium` of the PATH. Uses a port and a data folder of its own.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx
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
LARGEST = 250_000  # bytes; the README should open quickly


@dataclass(frozen=True)
class Shot:
    """One picture to take: the window in px, and how many pictures the run in it makes."""

    name: str
    width: int
    height: int
    pictures: int


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PAPER = {"width": 794, "height": 1123}  # px of A4
JUDGES = ("Ada", "Ben", "Cleo")

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


def take_trial(browser: Browser, url: str) -> None:
    """A ballot on a phone, and the first page of the report."""
    page = browser.new_page(color_scheme="light")
    page.set_default_timeout(120_000)
    page.goto(url)
    link = seal_a_trial(page)
    ballot = browser.new_page(**PHONE, color_scheme="light")
    ballot.goto(link)
    ballot.get_by_label("Your name or nickname").fill("Kim")
    ballot.get_by_role("button", name="Start").click()
    expect(ballot.locator("#count")).to_have_text(re.compile("^1 of "))
    expect(ballot.locator("#next")).to_be_enabled()
    save(ballot.screenshot(animations="disabled"), FOLDER / "judge.png")
    for name in JUDGES:
        judge(url, link.partition("#")[2], name)
    page.get_by_role("button", name="Close the trial").click()
    page.get_by_role("button", name=re.compile("for good")).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download report").click()
    report = browser.new_page(viewport=PAPER, color_scheme="light")
    report.emulate_media(media="print")
    report.set_content(Path(download.value.path()).read_text("utf-8"))
    report.add_style_tag(content="body { margin: 12mm 14mm } .boss ~ * { display: none }")  # as a printer cuts it
    save(report.screenshot(animations="disabled"), FOLDER / "sheet.png")


def seal_a_trial(page: Page) -> str:
    """Set up, in practice mode, of the ready examples: the judges' link once all is made."""
    examples = page.get_by_role("region", name="Result").locator(".examples button")
    expect(examples).to_have_count(4)
    page.get_by_role("link", name="Trials", exact=True).click()
    page.get_by_role("button", name="New trial").click()
    page.get_by_role("textbox", name="Title").fill("Autumn shop pictures")
    page.get_by_role("textbox", name="Question").fill("Which picture would you put on the shop page?")
    page.get_by_role("checkbox", name="Dev").check()
    for case in range(8):
        page.get_by_role("link", name="Studio", exact=True).click()
        examples.nth(case % 4).click()
        expect(page.locator("#said")).to_be_visible()
        page.get_by_role("link", name="Trials", exact=True).click()
        page.get_by_role("button", name="Add from the studio").click()
        expect(page.get_by_role("button", name=f"Remove case {case + 1}")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Seal")).click()
    return page.get_by_role("textbox", name="The judges' link").input_value()


def judge(url: str, code: str, name: str) -> None:
    """Somebody who votes by chance, on all ballots."""
    chance = random.Random(name)
    with httpx.Client(base_url=f"{url.rstrip('/')}/judge/api") as client:
        joined = client.post("join", json={"code": code, "name": name, "named": True}).json()
        client.headers["Authorization"] = f"Bearer {joined['token']}"
        while "ballot" in (shown := client.get("ballot").json()):
            ids = [picture["id"] for picture in shown["pictures"]]
            best, worst = chance.sample(ids, 2)
            usable = [best, *chance.sample(ids, 1)]
            vote = {"ballot": shown["ballot"], "best": best, "worst": worst, "usable": list(set(usable)), "remark": ""}
            client.post("vote", json=vote).raise_for_status()


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
            take_trial(browser, url)
            browser.close()
        app.close()


if __name__ == "__main__":
    main()
