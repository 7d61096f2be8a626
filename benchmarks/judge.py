"""What a judge waits for: the first ballot on a slow phone, the next one, and the answer to a vote in a crowd.

Run `python benchmarks/judge.py`. The app is the real one, in a process of its own; the service is in another. A phone
opens the link at 1.6 Mbit/s and 150 ms, as the browser itself slows it; then fifty judges vote while twenty runs go on.
Loopback only; a minute and a half.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageEnhance, ImageOps
from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]

from judged import VARIANTS, open_trial  # noqa: E402  (needs the line above when run as a script)

from benchmarks.children import Child  # noqa: E402
from benchmarks.load import Crowd  # noqa: E402
from benchmarks.table import heading, percentile, table, verdict  # noqa: E402
from core.ledger.ledger import Ledger  # noqa: E402

LATENCY, DOWN, UP = 150, 1.6e6 / 8, 0.75e6 / 8  # ms; bytes a second
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
ROUNDS = 5
JUDGES, RUNS, CASES = 50, 20, 12
SECONDS = 17.0  # that a run takes
PAUSE = 1.0  # seconds that a judge takes for a ballot: far less than a person would
PHOTOGRAPHS = sorted((ROOT / "examples").glob("*.jpg"))


def photograph(case: int, variant: str | None) -> bytes:
    """A million pixels of a photograph, a little different for each variant."""
    with Image.open(PHOTOGRAPHS[case % len(PHOTOGRAPHS)]) as opened:
        picture = ImageOps.fit(opened.convert("RGB"), (1024, 1024))
    file = io.BytesIO()
    ImageEnhance.Color(picture).enhance(len(variant or "four") / 4).save(file, "PNG")
    return file.getvalue()


# on a slow phone


def first_ballot(browser: Browser, url: str, code: str) -> tuple[float, float]:
    """Seconds from opening the link to a ballot that can be judged, and from its vote to the next one."""
    context = browser.new_context(**PHONE)
    page = context.new_page()
    slow = {"offline": False, "latency": LATENCY, "downloadThroughput": DOWN, "uploadThroughput": UP}
    context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    began = time.perf_counter()
    page.goto(f"{url}/judge#{code}", wait_until="commit")
    page.get_by_label("Your name or nickname").fill("Kim")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#step")).to_contain_text("best", timeout=60_000)
    first = time.perf_counter() - began
    page.wait_for_function("n => performance.getEntriesByType('resource').length >= n", arg=20, timeout=60_000)
    page.locator("#next").click()
    began = time.perf_counter()
    page.locator("#next").click()
    expect(page.locator("#count")).to_contain_text("2 of")
    expect(page.locator("#step")).to_contain_text("best", timeout=60_000)
    following = time.perf_counter() - began
    context.close()
    return first, following


def on_a_phone(url: str, ledger: Ledger) -> list[list[str]]:
    """A row for three and for four variants."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        for count in (3, 4):
            _, code = open_trial(ledger, CASES, VARIANTS[:count], draw=photograph)
            taken = [first_ballot(browser, url, code) for _ in range(ROUNDS)]
            for name, times, most in zip(
                ("first ballot", "next ballot"), zip(*taken, strict=True), (5, 0.5), strict=True
            ):
                middle = statistics.median(times)
                rows.append(
                    [f"{name}, {count} variants", f"{middle:.2f} s", f"{max(times):.2f} s", verdict(middle, most)]
                )
        browser.close()
    return rows


# in a crowd


async def judge(http: httpx.AsyncClient, code: str, number: int, answered: list[float]) -> None:
    """One judge to the end: looks at each ballot for a moment and votes. Appends the seconds of each vote."""
    token = (await http.post("join", json={"code": code, "name": f"Judge {number}"})).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    while "ballot" in (ballot := (await http.get("ballot", headers=headers)).json()):
        await asyncio.sleep(random.uniform(0, 2 * PAUSE))
        best, *_, worst = (picture["id"] for picture in ballot["pictures"])
        vote = {"ballot": ballot["ballot"], "best": best, "worst": worst, "usable": [best], "remark": ""}
        began = time.perf_counter()
        (await http.post("vote", json=vote, headers=headers)).raise_for_status()
        answered.append(time.perf_counter() - began)


async def in_a_crowd(app: Child, code: str) -> list[float]:
    """All judges at once, while the runs go on."""
    crowd, answered = Crowd(app), list[float]()
    visitors = [uuid.uuid4().hex for _ in range(RUNS)]
    await asyncio.gather(*(crowd.arrive(0, visitor) for visitor in visitors))
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=f"{app.url}/judge/api", timeout=60, limits=limits) as http:
        judges = (judge(http, code, number, answered) for number in range(JUDGES))
        await asyncio.gather(*judges, *(crowd.press(0, visitor) for visitor in visitors))
    await crowd.aclose()
    return answered


def main(folder: Path) -> None:
    heading(f"Judges: a phone at 1.6 Mbit/s and {LATENCY} ms; {JUDGES} judges voting during {RUNS} runs")
    own = {"GRADIO_ANALYTICS_ENABLED": "False"}
    with (
        Child("service.py", SECONDS) as service,
        Child("load.py", "--serve", service.url, folder, environment=own) as app,
    ):
        ledger = Ledger(folder)
        rows = on_a_phone(app.url, ledger)
        _, code = open_trial(ledger, CASES)
        answered = asyncio.run(in_a_crowd(app, code))
        ledger.close()
        with httpx.Client(base_url=app.url) as http:
            pages = [http.get(f"/judge{path}").headers["content-length"] for path in ("", "/page.css", "/page.js")]
    table(("from the link, or from the vote", "median", "longest", "target, s"), rows)
    late = percentile(answered, 0.95) * 1000
    row = [
        f"{len(answered)} votes",
        f"{statistics.median(answered) * 1000:.0f} ms",
        f"{late:.0f} ms",
        verdict(late, 100, ".0f"),
    ]
    table(("a vote in the crowd", "median", "95th percentile", "target, ms"), [row])
    print(f"The page with its style and script: {sum(map(int, pages)) / 1000:.1f} kB compressed.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
