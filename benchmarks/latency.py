"""From the press of Generate to the picture on disk, beside the official Python client, over the same slow link.

Run `python benchmarks/latency.py`. Five photographs of 12 megapixels, a service that takes 4.3 s for a prediction, and
a link of 60 ms round trip, 20 Mbit/s up and two round trips for each new connection. Loopback only; four minutes.

On a person's own computer the app sends references as they are added, on a hosted copy at the press: both are shown.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests
import wavespeed

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.children import Child  # noqa: E402  (needs the line above when run as a script)
from benchmarks.prepare import THREADS, make  # noqa: E402
from benchmarks.table import heading, table, verdict  # noqa: E402
from core.access.budget import Budget  # noqa: E402
from core.catalog.inputs import check  # noqa: E402
from core.catalog.variants import REGISTRY  # noqa: E402
from core.ledger.ledger import Ledger  # noqa: E402
from core.pictures.reference import Reference, prepare  # noqa: E402
from core.runs.polling import expect, next_look  # noqa: E402
from core.runs.runs import Runs  # noqa: E402
from core.service.account import Account  # noqa: E402
from core.service.client import Client  # noqa: E402

SECONDS = 4.3
LONG = 17.0
ROUNDS = 3
LEARNING = 3  # runs before the first round, so that the usual time of the variant is known
PAUSE = 6.0  # seconds before each press: longer than a connection is kept, as it is when a person thinks
PROMPT = "Place the person from image 1 in the scene from image 2."
MODEL = REGISTRY["pro"].model_id

OFFICIAL, NEW, HOSTED = "official client", "ours, references new", "ours, references new, on a hosted copy"
ROWS = {OFFICIAL: None, NEW: 1 / 9, "ours, the same again": 1 / 25}  # the share of the client's that is wanted


@dataclass(frozen=True)
class Press:
    """One press of Generate: seconds to the picture on disk, and bytes that went up the link."""

    seconds: float
    sent: int


def official(url: str, photographs: Sequence[Path], folder: Path) -> float:
    """What a script does with the official client: upload, run, fetch the picture. Seconds."""
    began = time.perf_counter()
    client = wavespeed.Client(api_key="wsk_official", base_url=url)
    images = [client.upload(str(photograph)) for photograph in photographs]
    done = client.run(MODEL, {"prompt": PROMPT, "images": images})
    for number, output in enumerate(done["outputs"], 1):
        (folder / f"official-{number}.jpg").write_bytes(requests.get(output, timeout=60).content)
    return time.perf_counter() - began


class Ours:
    """Our core without a page: the ledger, the runs and the client of the app, in a folder of their own."""

    def __init__(self, url: str, folder: Path) -> None:
        self._ledger = Ledger(folder)
        self._runs = Runs(self._ledger, folder, budget=Budget(None, None))
        self._client = Client("wsk_ours", url)

    def drop(self, references: Sequence[Reference], account: str) -> None:
        """What the page does when references are added, unless the app is hosted."""
        inputs = check("pro", PROMPT, len(references), {}, lambda: 1)
        self._runs.prefetch(Account(account, "host", self._client), inputs, references)

    async def press(self, references: Sequence[Reference], account: str, variant: str = "pro") -> float:
        """Seconds to the pictures on disk. An account that was never used has uploaded nothing yet."""
        began = time.perf_counter()
        paying = Account(account, "host", self._client)
        inputs = check(variant, PROMPT, len(references), {}, lambda: random.randrange(2**31))
        run = await self._runs.start("visitor", paying, inputs, references)
        taken = None
        async for state in self._runs.watch("visitor", run.id):
            run = state
            if taken is None and len(run.outputs) == run.pictures:
                taken = time.perf_counter() - began
        assert run.state == "completed" and taken is not None, run.troubles
        return taken

    async def aclose(self) -> None:
        await self._runs.aclose()
        await self._client.aclose()
        self._ledger.close()


async def timed(relay: Child, press: Awaitable[float], before: Callable[[], None] = lambda: None) -> Press:
    """The press after a pause, alone on the link; `before` begins with the pause, and what it sends counts as well."""
    relay.ask()
    before()
    await asyncio.sleep(PAUSE)
    return Press(await press, relay.ask()["up"])


async def rounds(relay: Child, photographs: Sequence[Path], references: Sequence[Reference], folder: Path) -> None:
    """Official; ours with new references, sent as they are added and sent at the press; ours with the same again."""
    ours = Ours(relay.url, folder)
    await asyncio.gather(*(ours.press(references[:1], "learning") for _ in range(LEARNING)))
    taken: dict[str, list[Press]] = {name: [] for name in (*ROWS, HOSTED)}
    for number in range(ROUNDS):
        early, late = f"early-{number}", f"late-{number}"
        presses = (
            await timed(relay, asyncio.to_thread(official, relay.url, photographs, folder)),
            await timed(relay, ours.press(references, early), lambda: ours.drop(references, early)),  # noqa: B023 - at once
            await timed(relay, ours.press(references, early)),
            await timed(relay, ours.press(references, late)),
        )
        for row, press in zip(taken.values(), presses, strict=True):
            row.append(press)
        print(f"round {number + 1}: " + ", ".join(f"{press.seconds:.2f} s" for press in presses))
    await ours.aclose()
    print()
    show_rounds(taken)


def show_rounds(taken: Mapping[str, Sequence[Press]]) -> None:
    over = {name: statistics.median(press.seconds for press in row) - SECONDS for name, row in taken.items()}
    sent = {name: statistics.median(press.sent for press in row) / 1e6 for name, row in taken.items()}
    rows = []
    for name, share in {**ROWS, HOSTED: ROWS[NEW]}.items():
        row = [name, f"{over[name] + SECONDS:.2f} s", f"{over[name]:.2f} s"]
        if share is None:
            row += ["", "", f"{sent[name]:.2f} MB", "", ""]
        else:
            row += [f"1/{over[OFFICIAL] / over[name]:.1f}", verdict(over[name], over[OFFICIAL] * share) + " s"]
            ratio, most = sent[OFFICIAL] / sent[name], verdict(sent[name], sent[OFFICIAL] / 6) + " MB"
            row += [f"{sent[name]:.2f} MB", f"1/{ratio:.1f}", most]
        rows.append(row)
    header = (f"median of {ROUNDS}", "in all", "over the model", "of the client's", "target", "sent", "ratio", "target")
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
        learned = expect(ends[:20], None)
        fixed = simulated(ends[20:], lambda _: 1.0)
        looks, delay = simulated(ends[20:], lambda elapsed: next_look(elapsed, learned))  # noqa: B023 - called here
        first = simulated(ends[20:], lambda elapsed: next_look(elapsed, expect([], LONG)))
        rows.append(
            [f"{LONG:.0f} s ± {spread}", f"{fixed[0]:.1f} · {fixed[1]:.2f} s", f"{first[0]:.1f} · {first[1]:.2f} s",
             f"{looks:.1f} · {delay:.2f} s", verdict(looks, 18, ".0f"), verdict(delay, 0.25) + " s"]
        )  # fmt: skip
    header = ("simulated, 1000 each: requests · delay", "every second", "published time", "learned", "target", "target")
    table(header, rows)


async def watched(references: Sequence[Reference], folder: Path) -> None:
    """Three predictions of 17 s for real, the official client's beside ours, each counted at a service of its own."""
    with (
        Child("service.py", LONG) as one, Child("relay.py", one.about["port"]) as before_one,
        Child("service.py", LONG) as other, Child("relay.py", other.about["port"]) as before_other,
    ):  # fmt: skip
        ours, rows = Ours(before_other.url, folder), []
        for number in range(ROUNDS):
            theirs = asyncio.to_thread(official, before_one.url, [references[0].path], folder)
            await asyncio.gather(theirs, ours.press(references[:1], "account", "dev"))
            (looks1, delay1), (looks, delay) = (looks_of(service.ask()["asked"]) for service in (one, other))
            known = "published time" if number == 0 else f"learned from {number}"
            cells = [f"{looks1} · {delay1:.2f} s", f"{looks} · {delay:.2f} s"]
            rows.append([f"{number + 1}, {known}", *cells, verdict(looks, 18, ".0f"), verdict(delay, 0.25) + " s"])
        await ours.aclose()
    table(("for real: requests · delay", "official client", "ours", "target", "target"), rows)


def looks_of(asked: Sequence[tuple[float, str]]) -> tuple[int, float]:
    """Result requests of the one prediction in there, and seconds from its end to the last of them."""
    submitted = next(moment for moment, kind in asked if kind == "submit")
    looks = [moment for moment, kind in asked if kind == "result"]
    return len(looks), looks[-1] - submitted - LONG


def prepared(photographs: Sequence[Path], folder: Path) -> list[Reference]:
    """What happens at the drop, while the person still types."""
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        made = list(pool.map(lambda numbered: prepare(numbered[1], numbered[0], folder), enumerate(photographs, 1)))
    total = sum(photograph.stat().st_size for photograph in photographs) / 1e6
    print(
        f"{len(photographs)} photographs of 12 megapixels, {total:.1f} MB; ours prepares them at the drop, before the "
        f"press, in {time.perf_counter() - began:.2f} s on {THREADS} threads."
    )
    return made


async def main(folder: Path) -> None:
    (folder / "photographs").mkdir()
    make(folder / "photographs")
    photographs = sorted((folder / "photographs").iterdir())
    heading(f"Latency: official client {wavespeed.__version__} and ours, {SECONDS} s for a prediction")
    references = prepared(photographs, folder / "references")
    with Child("service.py", SECONDS) as service, Child("relay.py", service.about["port"]) as relay:
        print(f"The link: {relay.about['link']}. Each press comes {PAUSE:.0f} s after the last, connections cold.\n")
        await rounds(relay, photographs, references, folder / "short")
    schedules()
    await watched(references, folder / "long")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
