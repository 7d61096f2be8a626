"""What Prometheus and a collector of logs get to read, of runs whose every word is planted."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from blocking import HOME
from gradio import queueing, routes, utils
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from serving import AT_ONCE, Served
from starlette.applications import Starlette

import app
from core.backend import Backend
from core.catalog.inputs import check
from core.errors import KontextError
from core.ledger import books
from core.ledger.run import Run
from core.pictures.reference import prepare
from core.settings import read
from ui.logs import log_as_json, print_no_faults
from ui.metrics import Metrics

pytestmark = pytest.mark.anyio

KEY, TOKEN = "wsk_planted_key_of_the_host", "planted-token-of-the-metrics"
PROMPT, VISITOR, NAME = "a planted owl", "planted-visitor", "planted guest"


class Copy:
    """A hosted copy with a key, and its metrics."""

    def __init__(self, folder: Path, served: Served) -> None:
        environment = {"KONTEXT_DATA_DIR": str(folder), "KONTEXT_HOSTED": "on", "KONTEXT_METRICS_TOKEN": TOKEN}
        environment |= {"WAVESPEED_API_KEY": KEY, "WAVESPEED_BASE_URL": served.url}
        self.backend = Backend(read(environment, folder), HOME / "presets", runtime=AT_ONCE)
        self.metrics = Metrics(self.backend)
        door = httpx.ASGITransport(Starlette(routes=self.metrics.routes()))
        self.http = httpx.AsyncClient(transport=door, base_url="http://127.0.0.1")
        Image.new("RGB", (64, 48), "teal").save(folder / "planted.png")
        self.reference = prepare(folder / "planted.png", 1, self.backend.references)
        self.code = self.backend.invitations.invite(NAME, Decimal(1), "never")

    async def run(self, variant: str = "pro", prompt: str = PROMPT) -> Run:
        """A run at its end, paid from the invitation."""
        runs, (account, _) = self.backend.runs, await self.backend.invited(self.code)
        inputs = check(variant, prompt, 1, {"num_images": 1}, lambda: 7)
        started = await runs.start(VISITOR, account, inputs, [self.reference])
        return [run async for run in runs.watch(VISITOR, started.id)][-1]

    async def text(self) -> str:
        return (await self.http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text

    async def told(self) -> dict[str, float]:
        """Each sample by its name and its labels, as Prometheus's own parser reads it."""
        families = text_string_to_metric_families(await self.text())
        samples = [sample for family in families for sample in family.samples]
        return {" ".join([sample.name, *sorted(sample.labels.values())]): sample.value for sample in samples}


@pytest.fixture
async def copy(tmp_path: Path, served: Served) -> AsyncIterator[Copy]:
    async with AsyncExitStack() as stack:
        (tmp_path / "data").mkdir()
        copy = await asyncio.to_thread(Copy, tmp_path / "data", served)
        stack.push_async_callback(copy.backend.aclose)
        stack.push_async_callback(copy.http.aclose)
        yield copy


async def test_what_happened_is_counted_and_never_taken_back(copy: Copy) -> None:
    """Runs by their outcome, USD to the cent, seconds, gauges of this moment; a deletion changes no count."""
    for prompt in (PROMPT, PROMPT, f"[sandbox:failed] {PROMPT}"):
        run = await copy.run(prompt=prompt)
    await copy.run("ultra-fast")
    counted = {
        "kontext_runs_total completed host pro": 2.0,
        "kontext_runs_total failed host pro": 1.0,
        "kontext_runs_total completed host ultra-fast": 1.0,
        "kontext_charged_usd_total host pro": 0.08,
        "kontext_charged_usd_total host ultra-fast": 0.025,
    }
    now = {
        "kontext_spent_today_usd": 0.105,
        "kontext_predictions_in_flight": 0.0,
        "kontext_predictions_in_line": 0.0,
        "kontext_reserved_usd": 0.0,
        "kontext_spending_paused": 0.0,
        "kontext_accepting_runs": 1.0,
    }
    told = await copy.told()
    assert counted | now == {name: pytest.approx(told[name]) for name in counted | now}
    assert told["kontext_ledger_write_seconds_count"] > 8
    assert told["kontext_disk_bytes records"] > 0
    assert not math.isnan(told["kontext_balance_usd"])
    await copy.backend.runs.delete(VISITOR, run.id)
    await copy.backend.pause(True)
    later = await copy.told()
    assert {name: told[name] for name in counted} == {name: later[name] for name in counted}
    assert later["kontext_spending_paused"] == 1.0


async def test_reasons_are_counted_without_the_service_s_words(copy: Copy) -> None:
    """They may quote what was asked for, and would keep like from like."""
    for _ in range(2):
        await copy.run(prompt=f"[sandbox:failed] {PROMPT}")
    await copy.run(prompt=f"[sandbox:moderated] {PROMPT}")
    with copy.backend.ledger.reading() as connection:
        found = books.reasons(connection, copy.backend.clock() - timedelta(days=1))
    failed = "The task failed at the service. The service refunds it within three hours."
    assert [(one.happened, one.runs) for one in found] == [(failed, 2), ("Blocked by the safety filter.", 1)]


async def test_no_metric_tells_of_a_person(copy: Copy) -> None:
    """Nor of a run, a prompt, an invitation or a key."""
    run = await copy.run()
    text = await copy.text()
    assert "planted" not in text
    assert not [id for id in (run.id, copy.code, str(run.predictions[0].id)) if id in text]


@pytest.mark.parametrize("told", ["", "Bearer ", f"Bearer {TOKEN}x", f"bearer {TOKEN}", f"Basic {TOKEN}", "Bearer é"])
async def test_metrics_are_for_whoever_has_the_token(copy: Copy, told: str) -> None:
    """All others are answered alike; without a token in the settings there are no metrics."""
    answer = await copy.http.get("/metrics", headers={"Authorization": told.encode()})  # type: ignore[arg-type]
    assert (answer.status_code, "kontext_" in answer.text) == (401, False)
    assert TOKEN not in repr(copy.backend.settings)
    plain = read({"KONTEXT_DATA_DIR": "x"}, HOME)
    copy.backend.settings = plain
    assert app._metrics(copy.backend) == []


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the log says as JSON."""
    root, stream = logging.getLogger(), io.StringIO()
    before, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", "app", "core", "ui")}
    root.handlers = []
    log_as_json(stream)
    yield stream
    root.handlers = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def test_the_log_tells_of_runs_and_of_nothing_that_was_said_in_them(copy: Copy, lines: io.StringIO) -> None:
    """Each line is JSON; a run's lines have its id; no prompt, key, code or visitor is in any."""
    run = await copy.run()
    failed = await copy.run(prompt=f"[sandbox:failed] {PROMPT}")
    with pytest.raises(KontextError):
        await copy.backend.invited(f"{copy.code[:-4]}aaaa")
    ours, theirs = logging.getLogger("core.planted"), logging.getLogger("another.library")
    ours.warning("a key %s and a code %s slipped in", KEY, copy.code)
    theirs.warning("could not draw %s", PROMPT)
    theirs.error(f"could not draw {PROMPT}")
    try:
        raise ValueError(PROMPT)
    except ValueError:
        theirs.exception("could not draw %s", PROMPT)
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert {run.id, failed.id} <= {line.get("run") for line in told}
    assert [line["message"] for line in told if line.get("run") == failed.id][-1] == "the run is failed"
    assert [line.get("message") for line in told if line["logger"] == theirs.name] == [
        "could not draw %s",
        None,
        "could not draw %s",
    ]
    assert told[-1]["fault"] == "ValueError" and __file__ in told[-1]["line"]
    slipped = next(line["message"] for line in told if line["logger"] == ours.name)
    assert slipped == "a key [key] and a code [code] slipped in"
    text = lines.getvalue().replace(ours.name, "")
    assert not [word for word in (PROMPT, KEY, copy.code, VISITOR, NAME, TOKEN) if word in text]


async def test_what_gradio_would_print_of_a_fault_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A fault's words quote all that was sent, such as a call in the shape of another version of the API."""
    monkeypatch.setattr(traceback, "print_exc", traceback.print_exc)  # put back afterwards
    print_no_faults()
    try:
        raise ValueError("planted prompt")
    except ValueError:
        for module in (queueing, routes, utils):
            module.traceback.print_exc()  # as each does of what an event raises
    assert "planted" not in "".join(capsys.readouterr())
    assert "planted" not in caplog.text and caplog.text.count("ValueError at ") == 3
