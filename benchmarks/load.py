"""Two hundred runs in flight at once in one process: what they cost each other, the page, and the service.

Run `python benchmarks/load.py`. The app is the real one, in a process of its own; the service is in another, and takes
17 s for a prediction. Two hundred pages press Generate and watch their run, while somebody else uses the page; then ten
pages press for a comparison of 24 cells at once, and others press for single runs meanwhile. Loopback only; two minutes
and a half. `--over 0` has all of them press in the same moment; `--only` makes one of the two.

`--replicas 2` has four hundred pages press, spread over so many copies of the app on one PostgreSQL, which is started
for it and flushes what it commits. `--replicas 1 --runs 200` is the same as without, but for the database.

A run's processor time is that of the app's own process, user and system, from before the first page opens until every
page has its receipt, divided by the runs: the opening of the page counts, and what somebody else does on theirs. What
the processes beside the app take to open pictures is told apart, and so is PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import io
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]

from databases import DATABASE, serving  # noqa: E402  (needs the line above when run as a script)

from benchmarks.children import Child, attend, processor  # noqa: E402
from benchmarks.table import heading, percentile, table, verdict  # noqa: E402
from core.catalog.variants import REGISTRY  # noqa: E402

RUNS, OVER_REPLICAS = 200, 400
SECONDS = 17.0
VARIANT = "dev"  # the one whose time is published; of another the app first has to see a run or two end
OPENING = 5.0  # seconds over which their pages open
OVER = 10.0  # seconds over which they press; all are in flight together for the rest
COMPARISONS, CELLS = 10, 24  # pressed in the same moment
SINGLES = 16  # runs pressed meanwhile; with the cells they fill the places at the service, and none is over
BEHIND = 0.5  # seconds between them
EVERY = 0.1  # seconds between two plain events
TIMEOUT = 90.0  # seconds for everything to end

PARTS = ("runs", "comparisons")
KEPT_APART = ("processor", "opening")  # seconds of the app's own process, and of those beside it

Told = Mapping[str, float]  # what an app says of itself


@dataclass(frozen=True)
class Result:
    """Seconds over the model: to the picture on disk, and to the page's last word; seconds of each plain event."""

    on_disk: list[float]
    on_page: list[float]
    events: list[float]
    idle_events: list[float]


# the app, in a process of its own


def serve(base_url: str, folder: Path) -> None:
    """The app on a free port; says how its events are called."""
    import app
    from core.settings import read

    environment = {
        "WAVESPEED_API_KEY": "wsk_load",
        "WAVESPEED_BASE_URL": base_url,
        "KONTEXT_DATA_DIR": str(folder),
        "KONTEXT_AT_ONCE": str(OVER_REPLICAS),
        **{name: os.environ[name] for name in [DATABASE] if name in os.environ},
    }
    gc.disable()
    page, url = app.serve(read(environment, ROOT), server_port=None)
    gc.freeze()  # as the app does in a process of its own
    gc.enable()
    events = {fn.name: number for number, fn in page.fns.items() if fn.api_visibility == "private"}
    press = page.fns[events["generate"]]
    over = threading.Event()
    about = {
        "port": int(url.rstrip("/").rpartition(":")[2]),
        "events": events,
        "names": [component.elem_id for component in press.inputs],
        "values": [getattr(component, "value", None) for component in press.inputs],
        "after": [getattr(component, "value", None) for component in page.fns[events["after"]].inputs],
        "card": card(folder),
    }
    own = os.getpid()
    attend(about, lambda: {"peak": peak(), "processor": time.process_time(), "opening": processor(own)[1]}, over.set)
    over.wait()
    os._exit(0)  # the pages that still watch are nobody's


def card(folder: Path) -> dict[str, Any]:
    """A small reference, as the page holds it after a drop."""
    from core.pictures.reference import prepare
    from core.pictures.served import ServedFiles
    from ui.files import file_data

    picture = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(picture, "JPEG")
    shown = ServedFiles(folder).card(prepare(picture.getvalue(), 1, folder / "references"))
    assert shown is not None
    return {"image": file_data(shown.path), "name": "a", "role": None}


def peak() -> float:
    """The most memory that this process ever had, in MB; nan where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), float("nan"))


# those who use it


class Crowd:
    """Pages of one app over HTTP, each with a session and a visitor of its own."""

    def __init__(self, app: Child) -> None:
        self._about = app.about
        limits = httpx.Limits(max_connections=None)
        self._http = httpx.AsyncClient(base_url=f"{app.url}/gradio_api", timeout=TIMEOUT, limits=limits)

    async def arrive(self, after: float, visitor: str) -> None:
        """One page opens, as every page does before anything can be pressed on it."""
        await asyncio.sleep(after)
        await self.follow("arrive", [visitor], visitor)

    async def compare(self, visitor: str) -> float:
        """One page: press for a comparison of all variants with one of four references left out at a time."""
        asked = {"on": True, "variants": [*REGISTRY], "axis": "leave_one_out"}
        return await self.press(0, visitor, references=[self._about["card"]] * 4, compare=asked)

    async def press(self, after: float, visitor: str, **form: Any) -> float:
        """One page: press Generate and follow the run to its picture, or the board to its end. Seconds."""
        await asyncio.sleep(after)
        began = time.perf_counter()
        named = {
            "references": [self._about["card"]],
            "prompt": "The thing from image 1, in the sun.",
            "variant": VARIANT,
            **form,
        }
        _, *rest = zip(self._about["names"], self._about["values"], strict=True)  # the visitor comes first
        await self.follow("generate", [visitor, *(named.get(name, value) for name, value in rest)], visitor)
        return time.perf_counter() - began

    async def follow(
        self, event: str, data: list[Any], session: str, said_with_it: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """One event of a page, to its end: what it gives back."""
        body = {"data": data, "fn_index": self._about["events"][event], "session_hash": session}
        body |= {"event_data": said_with_it} if said_with_it else {}
        (await self._http.post("/queue/join", json=body)).raise_for_status()
        async with self._http.stream("GET", "/queue/data", params={"session_hash": session}) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:") and (said := json.loads(line[5:]))["msg"] == "process_completed":
                    assert said["success"], said
                    return list(said["output"]["data"])
        raise RuntimeError("The page was let go before its event had ended.")

    async def aclose(self) -> None:
        await self._http.aclose()


def use(about: Mapping[str, Any], visitor: str, over: threading.Event, taken: list[float]) -> None:
    """Somebody else: a plain event now and then, in a thread. Appends seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", about["port"], timeout=TIMEOUT)
    data = [visitor, *about["after"][1:]]  # the visitor comes first
    body = json.dumps({"data": data, "fn_index": about["events"]["after"], "session_hash": visitor})
    while not over.wait(EVERY):
        began = time.perf_counter()
        connection.request("POST", "/gradio_api/run/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        taken.append(time.perf_counter() - began)
    connection.close()


async def measure(apps: Sequence[Child], folder: Path, count: int, over: float) -> Result:
    visitors = [uuid.uuid4().hex for _ in range(count)]
    idle, events = [], []
    crowds = [Crowd(app) for app in apps]
    moments = [(number / count, crowds[number % len(crowds)], visitor) for number, visitor in enumerate(visitors)]
    await asyncio.gather(*(crowd.arrive(OPENING * share, visitor) for share, crowd, visitor in moments))
    for seconds, taken in ((3.0, idle), (None, events)):
        stop = threading.Event()
        using = threading.Thread(target=use, args=(apps[0].about, uuid.uuid4().hex, stop, taken))
        using.start()
        if seconds is None:
            presses = (crowd.press(over * share, visitor) for share, crowd, visitor in moments)
            pages = await asyncio.wait_for(asyncio.gather(*presses), TIMEOUT)
        else:
            await asyncio.sleep(seconds)
        stop.set()
        await asyncio.to_thread(using.join)
    await asyncio.gather(*(crowd.aclose() for crowd in crowds))
    return Result(ended(folder, visitors, count), [page - SECONDS for page in pages], events, idle)


async def measure_comparisons(apps: Sequence[Child], folder: Path, _count: int, _over: float) -> Result:
    """Single runs while ten whole comparisons are made."""
    (app,) = apps
    boards, singles = ([uuid.uuid4().hex for _ in range(count)] for count in (COMPARISONS, SINGLES))
    crowd, stop, events = Crowd(app), threading.Event(), list[float]()
    await asyncio.gather(*(crowd.arrive(0, visitor) for visitor in (*boards, *singles)))
    using = threading.Thread(target=use, args=(app.about, uuid.uuid4().hex, stop, events))
    using.start()
    whole = asyncio.gather(*map(crowd.compare, boards))
    pages = asyncio.gather(*(crowd.press(BEHIND * n, visitor) for n, visitor in enumerate(singles, 1)))
    await asyncio.wait_for(asyncio.gather(whole, pages), TIMEOUT)
    stop.set()
    await asyncio.to_thread(using.join)
    await crowd.aclose()
    over = percentile([seconds - SECONDS for seconds in whole.result()], 0.95)
    print(f"The {COMPARISONS} boards were whole {over:.2f} s after the model's {SECONDS:.0f} s (95th percentile).\n")
    ended(folder, boards, COMPARISONS * CELLS)
    return Result(ended(folder, singles, SINGLES), [page - SECONDS for page in pages.result()], events, [])


def ended(folder: Path, visitors: Sequence[str], count: int) -> list[float]:
    """Seconds over the model of each of so many runs, from the press to its picture on the disk."""
    from core.ledger.ledger import Ledger

    ledger = Ledger(folder, url=os.environ.get(DATABASE))
    records = [record for visitor in visitors for record in ledger.list_for(visitor)]
    ledger.close()
    states = Counter(record.state for record in records)
    assert states == {"completed": count}, states
    pictures = [(record.facts.created_at, entry.outputs) for record in records for entry in record.entries]
    return [
        output.path.stat().st_mtime - began.timestamp() - SECONDS for began, outputs in pictures for output in outputs
    ]


def busiest(asked: Sequence[tuple[float, str]]) -> int:
    """The most requests in any one second."""
    moments = sorted(moment for moment, _ in asked)
    most = first = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def show(what: str, result: Result, before: Sequence[Told], after: Sequence[Told], seen: dict[str, Any]) -> None:
    rows = [
        seconds("over the model, picture on disk", result.on_disk, most=1.0 if len(after) == 1 else 1.5),
        seconds("over the model, receipt on the page", result.on_page),
        milliseconds("a plain event meanwhile", result.events, most=100),
    ]
    rows += [milliseconds("the same with nobody else there", result.idle_events)] if result.idle_events else []
    table((what, "median", "95th percentile", "target"), rows)
    most = max(told["peak"] for told in after)
    print(f"Peak memory of the app: {max(told['peak'] for told in before):.0f} MB idle, {most:.0f} MB", end="")
    print(f" ({verdict(most, 450, '.0f')} MB).")
    asked = sum(seen["kinds"].values())
    print(f"To the service: {asked} requests, at most {busiest(seen['asked'])} in one second. By kind: ", end="")
    print(", ".join(f"{count} {kind}" for kind, count in sorted(seen["kinds"].items())) + ".")


def show_processor(runs: int, before: Sequence[Told], after: Sequence[Told], database: float | None) -> None:
    """Milliseconds of processor for each run. `database`: seconds that PostgreSQL took for all of them."""
    app, opening = (sum(told[what] for told in after) - sum(told[what] for told in before) for what in KEPT_APART)
    parts = [f"the app's own {1000 * app / runs:.0f} ms ({verdict(1000 * app / runs, 50, '.0f')} ms)"]
    parts += [f"opening pictures beside it {1000 * opening / runs:.0f} ms"]
    parts += [] if database is None else [f"PostgreSQL's {1000 * database / runs:.0f} ms"]
    print(f"Processor for each run: {', '.join(parts)}.")


def seconds(what: str, taken: Sequence[float], most: float | None = None) -> list[str]:
    late = percentile(taken, 0.95)
    return [what, f"{statistics.median(taken):.2f} s", f"{late:.2f} s", f"{verdict(late, most)} s" if most else ""]


def milliseconds(what: str, taken: Sequence[float], most: float | None = None) -> list[str]:
    middle, late = 1000 * statistics.median(taken), 1000 * percentile(taken, 0.95)
    return [what, f"{middle:.0f} ms", f"{late:.0f} ms", f"{verdict(late, most, '.0f')} ms" if most else ""]


@contextmanager
def copies(count: int, service: Child, folder: Path) -> Iterator[list[Child]]:
    """So many apps, each in a process of its own."""
    own = {"GRADIO_ANALYTICS_ENABLED": "False"}
    with ExitStack() as stack:
        yield [
            stack.enter_context(Child("load.py", "--serve", service.url, folder, environment=own)) for _ in range(count)
        ]


@contextmanager
def database() -> Iterator[int]:
    """A PostgreSQL that the apps find in their environment; its process."""
    with serving(quick=False) as server:
        os.environ[DATABASE] = server.url
        yield server.process
        del os.environ[DATABASE]


def main(part: str, over: float, folder: Path, replicas: int | None, runs: int) -> None:
    """One of the parts, with apps and a service of its own."""
    how, what, count = {
        "runs": (measure, f"{runs} runs at once", runs),
        "comparisons": (
            measure_comparisons,
            f"{SINGLES} runs beside {COMPARISONS} comparisons of {CELLS} cells",
            SINGLES + COMPARISONS * CELLS,
        ),
    }[part]
    where = f", {replicas} copies of the app on PostgreSQL" if replicas else ""
    heading(f"Load: {what}, {SECONDS:.0f} s for a prediction{where}")
    with ExitStack() as stack:
        server = stack.enter_context(database()) if replicas else None
        service = stack.enter_context(Child("service.py", SECONDS))
        apps = stack.enter_context(copies(replicas or 1, service, folder))
        before, begun = [app.ask() for app in apps], sum(processor(server)) if server else 0.0
        service.ask()
        result = asyncio.run(how(apps, folder, count, over))
        after, taken = [app.ask() for app in apps], sum(processor(server)) - begun if server else None
        show(what, result, before, after, service.ask())
        show_processor(count, before, after, taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hundreds of runs at once.")
    parser.add_argument("--over", type=float, default=OVER, help="seconds over which they press")
    parser.add_argument("--only", choices=PARTS, help="make this part alone")
    parser.add_argument(
        "--replicas", type=int, help="so many copies of the app on one PostgreSQL, and single runs alone"
    )
    parser.add_argument("--runs", type=int, help=f"how many press; {RUNS}, or {OVER_REPLICAS} with --replicas")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve[0], Path(chosen.serve[1]))
    else:
        alone = ["runs"] if chosen.replicas else PARTS
        for part in [chosen.only] if chosen.only else alone:
            with tempfile.TemporaryDirectory() as temporary:
                runs = chosen.runs or (OVER_REPLICAS if chosen.replicas else RUNS)
                main(part, chosen.over, Path(temporary), chosen.replicas, runs)
