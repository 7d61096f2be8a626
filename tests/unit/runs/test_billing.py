"""The bill is asked for until it is there, without anybody waiting for it, and not believed where it is absurd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from running import Fault, Held, House, answer, calm, rewritten

from core.ledger.run import Run
from core.runs.runtime import Timeouts

pytestmark = pytest.mark.anyio

SOON = Timeouts(optional_wait=30, bill=0, shutdown_grace=5)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data")
    yield house
    await house.aclose()


def changed(**values: Any) -> Fault:
    """The true bill with some of its fields changed."""

    def change(data: dict[str, Any]) -> None:
        for item in data["items"]:
            item.update(values)

    return rewritten(change)


PRE = changed(order={"state": "pre"})


async def now(house: House, run: Run) -> tuple[Decimal | None, str | None]:
    read = await house.runs.get("ann", run.id)
    assert read is not None
    return read.charge, read.charge_source


async def test_the_run_does_not_wait_for_its_bill(tmp_path: Path) -> None:
    """A service that is slow to bill holds no run up; the history says what was billed once it is told."""
    house, held = House(tmp_path / "data", timeouts=SOON), Held()
    house.wire.faults["billing"].append(held)
    run = await house.run()
    assert (run.state, run.charge_source) == ("completed", "quote")
    await calm()
    assert await now(house, run) == (Decimal("0.04"), "billing")
    await house.aclose()


@pytest.mark.parametrize("fault", [PRE, changed(order=None), rewritten(lambda data: data.update(items=[]))])
async def test_it_is_asked_again_while_it_is_not_done(house: House, fault: Fault) -> None:
    """A record that is missing, or whose order is still "pre", is asked for again within the first minutes."""
    house.wire.faults["billing"].extend([fault] * 3)
    run = await house.run()
    assert run.charge_source == "quote"
    began = house.time.now
    await calm()
    assert await now(house, run) == (Decimal("0.04"), "billing")
    assert house.wire.seen["billing"] == 4
    assert (house.time.now - began).total_seconds() < 300


async def test_it_is_asked_a_few_times_and_then_at_the_next_start(house: House) -> None:
    """What is never done is given up soon; the next start asks once more, on the disk it was not forgotten."""
    house.wire.always["billing"] = PRE
    run = await house.run()
    await calm()
    asked = house.wire.seen["billing"]
    assert asked <= 6
    await calm()
    assert house.wire.seen["billing"] == asked
    await house.kill()
    house.wire.always.clear()
    await house.runs.resume_all(house.account)
    await calm()
    assert await now(house, run) == (Decimal("0.04"), "billing")
    await house.runs.resume_all(house.account)
    await calm()
    assert house.wire.seen["billing"] == asked + 1


@pytest.mark.parametrize("price", [24300, 0.41, -0.04, 0, "NaN", None, "x"])
async def test_what_is_absurd_is_not_believed(house: House, price: Any) -> None:
    """A bill of many times the reservation, of less than nothing, or of no number leaves the quote standing."""
    house.wire.always["billing"] = changed(price=price)
    run = await house.run()
    await calm()
    assert await now(house, run) == (Decimal("0.04"), "quote")
    assert house.spent() == Decimal("0.04")


async def test_a_dearer_bill_counts(house: House) -> None:
    """What was truly billed is what the budgets count, be it more than was quoted."""
    house.wire.faults["billing"].append(PRE)
    house.wire.always["billing"] = changed(price=0.2)
    run = await house.run()
    await calm()
    assert await now(house, run) == (Decimal("0.20"), "billing")
    assert house.spent() == Decimal("0.20")


async def test_a_deleted_run_s_money_is_billed_as_well(house: House) -> None:
    """The run is gone from the history, what it cost is not."""
    house.wire.faults["billing"].append(PRE)
    house.wire.always["billing"] = changed(price=0.03)
    house.time.going.clear()
    run = await house.press()
    await house.until(run, lambda now: now.state == "waiting")
    house.time.going.set()
    run = await house.end_of(run)
    house.time.going.clear()
    await house.runs.delete("ann", run.id)
    house.time.going.set()
    await calm()
    assert house.spent() == Decimal("0.03")


async def test_closing_asks_no_further(house: House) -> None:
    """The app does not stay open for a bill."""
    house.wire.always["billing"] = PRE
    run = await house.run()
    house.time.going.clear()
    await house.runs.aclose()
    asked = house.wire.seen["billing"]
    house.time.going.set()
    await calm()
    assert (house.wire.seen["billing"], run.state) == (asked, "completed")


async def test_the_sandbox_sends_no_bills_later(tmp_path: Path) -> None:
    """Practice costs nothing, so nobody asks again what it cost."""
    house = House(tmp_path / "data", kind="sandbox")
    house.wire.always["billing"] = answer(404, "none")
    await house.run()
    asked = house.wire.seen["billing"]
    await calm()
    assert house.wire.seen["billing"] == asked
    await house.aclose()
