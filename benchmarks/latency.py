"""From the press to the picture, as a person and a program get it, beside the official Python client.

Run `python benchmarks/latency.py`. Two sets of five photographs of 12 megapixels, a service that takes 4.3 s for a
prediction, and a link of 60 ms round trip, 20 Mbit/s up and two round trips for each new connection. Each round has a
fresh copy of the app, with a key as on a person's own computer: in a browser, references are added 8 s before the first
press, and the time runs from the finger on the button to the picture drawn; gradio_client calls /generate with the
second set, and again. Loopback only; five minutes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gradio_client
import requests
import wavespeed
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.children import Child, attend  # noqa: E402  (needs the line above when run as a script)
from benchmarks.prepare import NAMES, photograph  # noqa: E402
from benchmarks.table import heading, table, verdict  # noqa: E402
from core.catalog.variants import REGISTRY  # noqa: E402
from core.runs import polling  # noqa: E402

SECONDS = 4.3
LONG = 17.0
ROUNDS = 3
LOOKS = 3  # predictions that are watched for how often they are asked about
ADDED_BEFORE = 8.0  # seconds from adding the references to the first press
PAUSE = 6.0  # seconds before each other press: longer than a connection is kept, as it is when a person thinks
PROMPT = "Place the person from image 1 in the scene from image 2."
VIEW = {"width": 1440, "height": 900}

OFFICIAL, FIRST, LATER = "official client", "in a browser, first press ever", "in a browser, later presses"
NEW, AGAIN = "/generate, new references", "/generate, the same again"
ROWS = {OFFICIAL: None, FIRST: 1 / 12, LATER: 1 / 26, NEW: 1 / 6, AGAIN: 1 / 25}  # the share of the client's wanted

# Milliseconds from the finger on Generate until a picture that was not there before is decoded and painted.
DRAWN = """() => { window.drawn = new Promise((resolve) => {
  let pressed = null;
  const shown = () => [...document.querySelectorAll("#result figure img")];
  const before = new Set(shown().map((picture) => picture.src));
  const look = async () => {
    const picture = shown().find((picture) => !before.has(picture.src));
    if (!picture) return;
    seen.disconnect();
    await picture.decode();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - pressed)));
  };
  const seen = new MutationObserver(look);
  seen.observe(document.querySelector("#result"), { subtree: true, childList: true, attributes: true });
  addEventListener("pointerdown", (event) => { pressed = event.timeStamp; }, { once: true, capture: true });
}); }"""


@dataclass(frozen=True)
class Press:
    """One press: seconds to the picture, and bytes that went up the link for it."""

    seconds: float
    sent: int


def official(url: str, photographs: Sequence[Path], folder: Path, variant: str = "pro") -> float:
    """What a script does with the official client: upload, run, fetch the picture. Seconds."""
    began = time.perf_counter()
    client = wavespeed.Client(api_key="wsk_official", base_url=url)
    images = [client.upload(str(photograph)) for photograph in photographs]
    done = client.run(REGISTRY[variant].model_id, {"prompt": PROMPT, "images": images})
    for number, output in enumerate(done["outputs"], 1):
        (folder / f"official-{number}.jpg").write_bytes(requests.get(output, timeout=60).content)
    return time.perf_counter() - began


# the app, in a process of its own


def serve(base_url: str, folder: Path) -> None:
    """The app on a free port, with a key, as on a person's own computer."""
    import app
    from core.settings import read

    environment = {"WAVESPEED_API_KEY": "wsk_ours", "WAVESPEED_BASE_URL": base_url, "KONTEXT_DATA_DIR": str(folder)}
    app.keep_temporary_files(folder / "temporary")
    _, url = app.serve(read(environment, ROOT), server_port=None)
    over = threading.Event()
    attend({"port": int(url.rstrip("/").rpartition(":")[2])}, dict, over.set)
    over.wait()
    os._exit(0)


@contextmanager
def serving(base_url: str) -> Iterator[Child]:
    """A copy of the app that has seen nothing yet, and has had the time to warm up."""
    with tempfile.TemporaryDirectory() as folder, Child("latency.py", "--serve", base_url, folder) as app:
        time.sleep(PAUSE)
        yield app


# those who use it


class Program:
    """What calls /generate with gradio_client."""

    def __init__(self, app: Child, folder: Path) -> None:
        self._client = gradio_client.Client(app.url, verbose=False, download_files=str(folder))

    def generate(self, photographs: Sequence[Path], variant: str = "pro") -> float:
        """Seconds until its pictures are files here."""
        began = time.perf_counter()
        files = [gradio_client.handle_file(photograph) for photograph in photographs]
        answer = self._client.predict(PROMPT, files, variant, api_name="/generate")
        assert answer["status"] == "completed" and answer["outputs"], answer
        return time.perf_counter() - began


def add(page: Page, photographs: Sequence[Path]) -> None:
    page.locator("#references input[type=file]").first.set_input_files([str(file) for file in photographs])


def press(page: Page) -> float:
    """Seconds from the finger on Generate to the picture drawn."""
    page.evaluate(DRAWN)
    page.get_by_role("button", name="Generate").click()
    return float(page.evaluate("() => window.drawn")) / 1000


def watched(relay: Child, pause: float, press: Callable[[], float]) -> Press:
    """The press after a pause, with what went up meanwhile."""
    time.sleep(pause)
    return Press(press(), relay.ask()["up"])


def in_the_browser(browser: Browser, app: Child, relay: Child, photographs: Sequence[Path]) -> Iterator[Press]:
    """The first press ever, and a later one with the same references."""
    page = browser.new_page(viewport=VIEW)
    page.goto(app.url)
    expect(page.get_by_text("this session")).to_be_visible()
    relay.ask()
    began = time.monotonic()
    add(page, photographs)
    page.get_by_role("textbox", name="Prompt", exact=True).fill(PROMPT)
    expect(page.get_by_text(f"{len(photographs)} of 5")).to_be_visible()
    yield watched(relay, began + ADDED_BEFORE - time.monotonic(), lambda: press(page))
    page.get_by_role("textbox", name="Prompt", exact=True).fill(f"{PROMPT} In the sun.")
    yield watched(relay, PAUSE, lambda: press(page))
    page.close()


def one_round(browser: Browser, relay: Child, sets: Sequence[Sequence[Path]], folder: Path) -> dict[str, Press]:
    """One press of each kind, the connections cold before each."""
    relay.ask()
    pressed = {OFFICIAL: watched(relay, PAUSE, lambda: official(relay.url, sets[0], folder))}
    with serving(relay.url) as app:
        pressed |= zip((FIRST, LATER), in_the_browser(browser, app, relay, sets[0]), strict=True)
        program = Program(app, folder)
        pressed[NEW] = watched(relay, PAUSE, lambda: program.generate(sets[1]))
        pressed[AGAIN] = watched(relay, PAUSE, lambda: program.generate(sets[1]))
    return pressed


def rounds(count: int, sets: Sequence[Sequence[Path]], folder: Path) -> None:
    taken: dict[str, list[Press]] = {name: [] for name in ROWS}
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with (
        Child("service.py", SECONDS) as service, Child("relay.py", service.about["port"]) as relay,
        sync_playwright() as playwright,
    ):  # fmt: skip
        print(f"The link: {relay.about['link']}.\n")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        for number in range(count):
            pressed = one_round(browser, relay, sets, folder)
            for name, each in pressed.items():
                taken[name].append(each)
            over = ", ".join(f"{name} {each.seconds - SECONDS:.2f} s" for name, each in pressed.items())
            print(f"round {number + 1}, load {os.getloadavg()[0]:.1f}: {over}", flush=True)
        browser.close()
    print()
    show(taken)


def show(taken: Mapping[str, Sequence[Press]]) -> None:
    over = {name: statistics.median(press.seconds for press in row) - SECONDS for name, row in taken.items()}
    rows = []
    for name, share in ROWS.items():
        sent = statistics.median(press.sent for press in taken[name]) / 1e6
        row = [name, f"{over[name]:.2f} s"]
        row += ["", ""] if share is None else [
            f"1/{over[OFFICIAL] / over[name]:.1f}", verdict(over[name], over[OFFICIAL] * share) + " s"
        ]  # fmt: skip
        rows.append([*row, f"{sent:.2f} MB"])
    header = (f"median of {len(taken[OFFICIAL])}", f"over the model's {SECONDS} s", "of the client's", "target", "sent")
    table(header, rows)


# the waiting


def simulated(durations: Sequence[float], pace: Callable[[float], float]) -> tuple[float, float]:
    """Over durations: the mean number of result requests, and the median seconds from an end to its being seen."""
    counts, delays = [], []
    for duration in durations:
        elapsed, looks = 0.0, 0
        while elapsed < duration:
            elapsed += pace(elapsed)
            looks += 1
        counts.append(looks)
        delays.append(elapsed - duration)
    return statistics.mean(counts), statistics.median(delays)


def schedules() -> None:
    """Many predictions of about 17 s, without waiting for them: the poll schedule beside one look a second."""
    rows = []
    draw = random.Random(17)
    for spread in (0.0, 0.5, 1.0, 2.0):
        ends = [draw.gauss(LONG, spread) + draw.uniform(-0.5, 0.5) for _ in range(1020)]
        learned, published = polling.expect(ends[:20], None), polling.expect([], LONG)
        fixed = simulated(ends[20:], lambda _: 1.0)
        looks, delay = simulated(ends[20:], lambda elapsed: polling.next_look(elapsed, learned))  # noqa: B023 - at once
        first = simulated(ends[20:], lambda elapsed: polling.next_look(elapsed, published))  # noqa: B023 - at once
        rows.append(
            [f"{LONG:.0f} s ± {spread}", f"{fixed[0]:.1f} · {fixed[1]:.2f} s", f"{first[0]:.1f} · {first[1]:.2f} s",
             f"{looks:.1f} · {delay:.2f} s", verdict(looks, 18, ".0f"), verdict(delay, 0.25) + " s"]
        )  # fmt: skip
    header = ("simulated, 1000 each: requests · delay", "every second", "published time", "learned", "target", "target")
    table(header, rows)


def asked_about(photographs: Sequence[Path], folder: Path) -> None:
    """Predictions of 17 s for real, the official client's beside ours, each counted at a service of its own."""
    with (
        Child("service.py", LONG) as one, Child("relay.py", one.about["port"]) as before_one,
        Child("service.py", LONG) as other, Child("relay.py", other.about["port"]) as before_other,
        serving(before_other.url) as app,
    ):  # fmt: skip
        ours, rows = Program(app, folder), []
        for number in range(LOOKS):
            theirs = threading.Thread(target=official, args=(before_one.url, photographs[:1], folder, "dev"))
            theirs.start()
            ours.generate(photographs[:1], "dev")
            theirs.join()
            (looks1, delay1), (looks, delay) = (looks_of(service.ask()["asked"]) for service in (one, other))
            known = "published time" if number == 0 else f"learned from {number}"
            cells = [f"{looks1} · {delay1:.2f} s", f"{looks} · {delay:.2f} s"]
            rows.append([f"{number + 1}, {known}", *cells, verdict(looks, 18, ".0f"), verdict(delay, 0.25) + " s"])
    table(("for real: requests · delay", "official client", "ours", "target", "target"), rows)


def looks_of(asked: Sequence[tuple[float, str]]) -> tuple[int, float]:
    """Result requests of the one prediction in there, and seconds from its end to the last of them."""
    submitted = next(moment for moment, kind in asked if kind == "submit")
    looks = [moment for moment, kind in asked if kind == "result"]
    return len(looks), looks[-1] - submitted - LONG


def made(folder: Path) -> list[list[Path]]:
    """Two sets of photographs that have no byte in common."""
    sets = []
    for number in range(2):
        home = folder / f"set-{number}"
        home.mkdir()
        for seed, name in enumerate(NAMES):
            data = photograph(ROOT / "examples" / f"{name}.jpg", seed + number * len(NAMES))
            (home / f"{name}-{number}.jpg").write_bytes(data)
        sets.append(sorted(home.iterdir()))
    return sets


def main(count: int, folder: Path) -> None:
    heading(f"Latency: official client {wavespeed.__version__} and ours, {SECONDS} s for a prediction")
    sets = made(folder)
    total = sum(photograph.stat().st_size for photograph in sets[0]) / 1e6
    print(f"{len(NAMES)} photographs of 12 megapixels, {total:.1f} MB.")
    rounds(count, sets, folder)
    schedules()
    asked_about(sets[0], folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="From the press to the picture, from outside.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve[0], Path(chosen.serve[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(chosen.rounds, Path(temporary))
