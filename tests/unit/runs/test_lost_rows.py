"""Predictions that no row knows: counted against the day's cap, shown to nobody, and given back to whose they are."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from running import Held, House, answer, html_502_after, rewritten

from core.access.budget import Budget
from core.errors import BudgetError
from core.ledger.run import Run

pytestmark = pytest.mark.anyio

BUCKET = "hf-mount / fuse.hf-mount rw 0 0\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """On a bucket, with 20 cents a day for all."""
    house = House(tmp_path / "data", mounted=BUCKET, budget=Budget(daily=Decimal("0.20")))
    yield house
    await house.aclose()


async def forget(house: House, *runs: Run) -> None:
    """The disk loses those rows, and the app starts anew."""
    await house.kill()
    house.ledger.close()
    with closing(sqlite3.connect(house.folder / "ledger.db")) as file, file:
        for run in runs:
            file.execute("DELETE FROM predictions WHERE run_id = ?", [run.id])
            file.execute("DELETE FROM runs WHERE id = ?", [run.id])


def rows(house: House) -> list[Any]:
    house.ledger.close()
    with closing(sqlite3.connect(house.folder / "ledger.db")) as file:
        query = "SELECT visitor, prompt, payload, reserved FROM runs JOIN predictions ON runs.id = run_id ORDER BY 1, 4"
        return file.execute(query).fetchall()


async def test_what_is_lost_counts(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Two of three runs are gone: their money is not, the log says how many, and a second look finds nothing new."""
    kept, *lost = [await house.run("pro"), await house.run("dev", 2), await house.run("pro")]
    await forget(house, *lost)
    with caplog.at_level(logging.WARNING):
        assert await house.runs.count_strangers(house.account) == 2
    assert "2 predictions of this account were not in the records" in caplog.text
    with pytest.raises(BudgetError, match=r"\$0\.06 is left"):
        await house.press("max")
    assert await house.runs.count_strangers(house.account) == 0
    assert house.spent() == kept.charge
    strangers = [row for row in rows(house) if row[0] == ""]
    assert strangers == [("", "", "{}", 40000), ("", "", "{}", 60000)]


async def test_a_failed_one_was_refunded(house: House) -> None:
    """What the service made no picture of is known from then on, and counts nothing."""
    await forget(house, await house.run(prompt="[sandbox:failed]"))
    assert await house.runs.count_strangers(house.account) == 1
    await house.press("pro", 4)


async def test_whose_it_is_takes_its_place(house: House) -> None:
    """A submit that was lost in the crash is found although it was counted already, and counts once."""
    house.wire.faults["submit"].append(html_502_after)
    looking = Held()
    house.wire.faults["history"].append(looking)
    run = await house.press()
    await looking.reached.wait()
    await house.kill()
    assert await house.runs.count_strangers(house.account) == 1
    await house.runs.resume_all(house.account)
    run = await house.end_of(run)
    assert (run.state, len(run.outputs), len(rows(house))) == ("completed", 1, 1)


async def test_a_run_that_goes_on_meanwhile_counts_once(house: House) -> None:
    """The service knows a prediction before its id is written down here: the row that comes takes the stranger's."""
    created, heard = asyncio.Event(), asyncio.Event()

    async def slow(request: Any, forward: Any) -> Any:
        told = await forward(request)
        created.set()
        await heard.wait()
        return told

    house.wire.faults["submit"].append(slow)
    run = await house.press()
    await created.wait()
    assert await house.runs.count_strangers(house.account) == 1
    heard.set()
    run = await house.end_of(run)
    assert (run.state, len(rows(house))) == ("completed", 1)


async def test_it_can_be_recovered_by_its_id(house: House) -> None:
    """Whoever made it gets it back, and it counts once."""
    run = await house.run()
    await forget(house, run)
    await house.runs.count_strangers(house.account)
    back = await house.end_of(await house.runs.recover("ann", house.account, str(run.predictions[0].id)))
    assert (back.state, len(back.outputs)) == ("completed", 1)
    assert [row[3] for row in rows(house)] == [40000, 0]


async def test_the_pages_have_an_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history that always has one more page, and other people's models, is left after so many."""

    def never_ending(data: dict[str, Any]) -> None:
        for item in data["items"]:
            item["model"] = "somebody/else"

    await house.run()
    before = house.wire.seen["history"]
    house.wire.always["history"] = rewritten(never_ending)

    async def same_page(**asked: Any) -> Any:
        return await plain(**{**asked, "page": 1})

    plain = house.account.client.history
    monkeypatch.setattr(house.account.client, "history", same_page)
    assert await house.runs.count_strangers(house.account) == 0
    assert house.wire.seen["history"] - before == 50


async def test_a_service_that_does_not_answer_is_asked_again(house: House) -> None:
    """Later, and a few times; the app goes on meanwhile."""
    await forget(house, await house.run())
    house.wire.faults["history"].extend([answer(503, "x")] * 12)
    assert await house.runs.count_strangers(house.account) == 1


@pytest.mark.parametrize(("mounted", "kind"), [("", "host"), (BUCKET, "sandbox"), (BUCKET, "own")])
async def test_only_where_rows_can_be_lost(tmp_path: Path, mounted: str, kind: Any) -> None:
    """A disk of this computer forgets nothing, and only the host's account has a cap."""
    house = House(tmp_path / "data", mounted=mounted, kind=kind)
    assert await house.runs.count_strangers(house.account) == 0
    assert house.wire.seen["history"] == 0
    await house.aclose()
