"""Whether anybody waits while others open long histories: twenty of two hundred runs, all at once.

Run `python benchmarks/history.py`. The app is the real one, in a process of its own. Twenty pages ask for their whole
history, page after page, while somebody else asks /healthz all the time. Loopback only; half a minute.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import statistics
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.children import Child  # noqa: E402  (needs the line above when run as a script)
from benchmarks.load import TIMEOUT, Crowd  # noqa: E402
from benchmarks.table import heading, percentile, table, verdict  # noqa: E402
from core.catalog.inputs import check  # noqa: E402
from core.ledger.ledger import Ledger  # noqa: E402
from core.ledger.record import Record, new_record  # noqa: E402
from core.ledger.run import Output  # noqa: E402
from core.runs import files  # noqa: E402
from core.service.account import Account  # noqa: E402
from core.service.client import Client  # noqa: E402

HISTORIES, RUNS = 20, 200
EVERY = 0.005  # seconds between two requests of somebody else


def fill(folder: Path) -> list[str]:
    """Visitors, each with a long history of runs that have ended."""
    account = Account("host", "host", Client("wsk_load", "http://service.invalid"))
    picture = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((1024, 1024)).save(picture, "JPEG")
    ledger, visitors = Ledger(folder), [uuid.uuid4().hex for _ in range(HISTORIES)]
    for visitor in visitors:
        records = [ended(folder, visitor, account, picture.getvalue(), number) for number in range(RUNS)]
        ledger.reserve(records, lambda _: None)
    ledger.close()
    return visitors


def ended(folder: Path, visitor: str, account: Account, picture: bytes, number: int) -> Record:
    """One run of last month's."""
    day, id = datetime.now(UTC) - timedelta(days=30, minutes=number), uuid.uuid4().hex
    inputs = check("dev", f"The thing from the sea, for the {number}th time, in the sun.", 1, {}, lambda: number)
    record = new_record(id, visitor, account, inputs, (), None, day)
    path = files.folder_of(folder, id) / "picture.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(picture)
    (entry,) = record.entries
    output = Output(1, path, 1024, 1024, number, None)
    entry = replace(
        entry, id=uuid.uuid4().hex, status="completed", charge=entry.reserved, settled_at=day, outputs=(output,)
    )
    return replace(record, entries=(entry,), state="completed", finished_at=day)


async def read(crowd: Crowd, visitor: str) -> int:
    """The whole history of a visitor, page after page: how many runs."""
    await crowd.follow("arrive", [visitor], visitor)
    page = (await crowd.follow("history", [visitor], visitor))[0]
    runs = page["runs"]
    while page["more"]:
        asked = {"words": "", "variant": "", "favourites": False, "after": runs[-1]["id"]}
        page = (await crowd.follow("search", [visitor], visitor, asked))[0]
        runs += page["runs"]
    return len(runs)


def ask(port: int, over: threading.Event, taken: list[float]) -> None:
    """Somebody else: /healthz, over and over. Appends seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    while not over.wait(EVERY):
        began = time.perf_counter()
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        taken.append(time.perf_counter() - began)
    connection.close()


async def measure(app: Child, visitors: list[str]) -> tuple[list[float], float]:
    """Seconds of each request for /healthz, and until the last history was there."""
    crowd, over, taken = Crowd(app), threading.Event(), []
    asking = threading.Thread(target=ask, args=(app.about["port"], over, taken))
    asking.start()
    began = time.perf_counter()
    counts = await asyncio.gather(*(read(crowd, visitor) for visitor in visitors))
    seconds = time.perf_counter() - began
    over.set()
    await asyncio.to_thread(asking.join)
    await crowd.aclose()
    assert counts == [RUNS] * HISTORIES, counts
    return taken, seconds


def main(folder: Path) -> None:
    heading(f"History: {HISTORIES} of {RUNS} runs, opened at once and read to their ends")
    visitors = fill(folder)
    with Child("load.py", "--serve", "http://service.invalid", folder) as app:
        taken, seconds = asyncio.run(measure(app, visitors))
    waits = [1000 * wait for wait in (statistics.median(taken), percentile(taken, 0.95), max(taken))]
    header = ("", "median", "95th percentile", "longest", "target")
    table(
        header, [["/healthz meanwhile", *(f"{wait:.0f} ms" for wait in waits), verdict(waits[2], 250, ".0f") + " ms"]]
    )
    print(f"All {HISTORIES * RUNS} runs were shown after {seconds:.1f} s.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
