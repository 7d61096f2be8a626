"""The history as the page asks for it: never more than a page at once, and all of it in the table of receipts."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from core.backend import Backend
from core.ledger.record import Entry, Record
from core.ledger.run import Facts
from core.settings import read
from ui.studio.input_handlers import InputHandlers
from ui.studio.run_handlers import RunHandlers

pytestmark = pytest.mark.anyio

HOME = Path(__file__).parents[3]
VISITOR = "0123456789abcdef" * 2
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def record(number: int) -> Record:
    facts = Facts(
        id=f"{number:032x}",
        visitor=VISITOR,
        account_id="host",
        account_kind="host",
        created_at=NOON + timedelta(minutes=number),
        variant_id="pro",
        preset=None,
        prompt=f"An owl, number {number:03}",
        values={},
        seed=None,
        pictures=1,
        references=(),
        estimate=Decimal("0.04"),
    )
    entry = Entry(1, "m", {}, Decimal("0.04"), charge=Decimal("0.04"), settled_at=NOON)
    return Record(facts, (entry,), state="failed", finished_at=NOON)


@pytest.fixture
async def handlers(tmp_path: Path) -> AsyncIterator[RunHandlers]:
    """Sixty runs of one visitor."""
    backend = Backend(read({"KONTEXT_DATA_DIR": str(tmp_path)}, tmp_path), HOME / "presets")
    for number in range(60):
        backend.ledger.add(record(number))
    yield RunHandlers(backend, InputHandlers(backend, {}))
    await backend.aclose()


async def found(handlers: RunHandlers, **data: Any) -> dict[str, Any]:
    return await handlers.search(VISITOR, gr.EventData(None, data))


async def test_pages_of_twenty_four(handlers: RunHandlers) -> None:
    """The first one when the tab opens, the next ones on demand, and an end."""
    page = await handlers.history(VISITOR)
    sizes, seen = [(len(page["runs"]), page["more"])], [run["id"] for run in page["runs"]]
    while page["more"]:
        page = await found(handlers, words="", variant="", after=seen[-1])
        sizes.append((len(page["runs"]), page["more"]))
        seen += [run["id"] for run in page["runs"]]
    assert sizes == [(24, True), (24, True), (12, False)]
    assert seen == [f"{number:032x}" for number in reversed(range(60))]


async def test_a_search_reaches_beyond_the_page(handlers: RunHandlers) -> None:
    """What would come on the third page is found, and the answer says what it answers."""
    page = await found(handlers, words="NUMBER 003", variant="pro")
    assert [run["prompt"] for run in page["runs"]] == ["An owl, number 003"]
    assert (page["words"], page["variant"], page["after"], page["more"]) == ("NUMBER 003", "pro", "", False)


@pytest.mark.parametrize(
    "data", [{}, {"words": 7, "after": ["x"], "variant": None}, {"words": "x" * 10**6}, {"words": "owl \ud83d"}]
)
async def test_what_is_no_search_finds_what_it_can(handlers: RunHandlers, data: dict[str, Any]) -> None:
    """Any caller may send anything: no more than a page comes of it, and no fault."""
    page = await found(handlers, **data)
    assert len(page["runs"]) in (0, 24) and len(page["words"]) <= 300
    assert json.dumps(page, ensure_ascii=False).encode()


async def test_receipts_are_of_all_runs(handlers: RunHandlers) -> None:
    """One head, a line for each of sixty runs, and their sum."""
    offer = (await handlers.receipts(VISITOR))["offer"]
    lines = list(csv.DictReader((await asyncio.to_thread(Path(offer["path"]).read_text)).splitlines()))
    assert len(lines) == len({line["run_id"] for line in lines}) == 60
    assert sum(Decimal(line["charge_usd"]) for line in lines) == Decimal("2.40")


async def test_a_deleted_run_goes_and_its_money_stays(handlers: RunHandlers) -> None:
    """The answer names it, so that the page need not come anew; the total of the session does not change."""
    event = gr.EventData(None, {"run": f"{59:032x}"})
    before = await handlers.after(VISITOR, NOON, None, "pro")
    assert await handlers.discard(VISITOR, event) == {"gone": f"{59:032x}"}
    assert await handlers.after(VISITOR, NOON, None, "pro") == before
    assert (await handlers.history(VISITOR))["runs"][0]["id"] == f"{58:032x}"
