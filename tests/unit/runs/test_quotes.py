"""A quote is asked for once in a while, and never made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from running import Fault, Held, House, answer, calm, html_502_before, rewritten

from core.runs.quotes import Quotes
from core.runs.runtime import Timeouts
from core.service.account import Account

pytestmark = pytest.mark.anyio

DEV = "wavespeed-ai/flux-kontext-dev/multi"
PAYLOAD = {"prompt": "a hat", "images": [], "seed": 7, "size": "512*512", "num_images": 1}
PRICE = Decimal("0.03")

Ask = Callable[..., Awaitable[Decimal | None]]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data")
    yield house
    await house.aclose()


@pytest.fixture
def ask(house: House) -> Ask:
    """Asks with one memory for all, for PAYLOAD with changes, on the house's account or another."""
    quotes = Quotes(house.time.clock, most=4)

    async def ask(account: Account = house.account, model: str = DEV, **changes: Any) -> Decimal | None:
        return await quotes.ask(account, model, {**PAYLOAD, **changes})

    return ask


async def test_an_answer_counts_for_five_minutes(house: House, ask: Ask) -> None:
    """The second is asked for only when five minutes have gone by, and it is the new price that counts then."""
    assert await ask() == PRICE
    house.wire.always["quote"] = rewritten(lambda data: data.update(discounted_price=0.02))
    house.time.now += timedelta(minutes=5) - timedelta(seconds=1)
    assert await ask() == PRICE
    assert house.wire.seen["quote"] == 1
    house.time.now += timedelta(seconds=1)
    assert [await ask(), await ask()] == [Decimal("0.02")] * 2
    assert house.wire.seen["quote"] == 2


@pytest.mark.parametrize(
    ("changes", "requests"),
    [
        ({"prompt": "another hat"}, 1),
        ({"seed": 8}, 1),
        ({"images": ["http://service.invalid/storage/x.png"]}, 1),
        ({"prompt": "another hat", "seed": -1, "images": ["a", "b"]}, 1),
        ({"size": "512*768"}, 1),
        ({"guidance_scale": 3.5}, 1),
        ({"num_images": 2}, 2),
    ],
)
async def test_what_tells_the_price_is_asked_anew(
    house: House, ask: Ask, changes: dict[str, Any], requests: int
) -> None:
    """How many pictures one submit makes tells its price, and nothing else does."""
    await ask()
    assert await ask(**changes) == PRICE * changes.get("num_images", 1)
    assert house.wire.seen["quote"] == requests


async def test_each_account_and_model_has_its_own(house: House, ask: Ask) -> None:
    """Discounts belong to an account, so no account is shown another's; no model another's price either."""
    await ask()
    house.wire.faults["quote"].append(rewritten(lambda data: data.update(discounted_price=0.01)))
    assert await ask(Account("own-1234", "own", house.account.client)) == Decimal("0.01")
    assert await ask(model="wavespeed-ai/flux-kontext-dev/multi-ultra-fast") == Decimal("0.025")
    assert await ask() == PRICE
    assert house.wire.seen["quote"] == 3


@pytest.mark.parametrize(
    "fault",
    [
        answer(404, "no such thing"),
        html_502_before,
        rewritten(lambda data: data.clear()),
        rewritten(lambda data: data.update(price=0, discounted_price=0)),
    ],
    ids=["refused", "down", "unreadable", "nothing"],
)
async def test_a_failure_is_not_remembered(house: House, ask: Ask, fault: Fault) -> None:
    """Without an answer there is no quote, and the next one who needs it asks again; nor is an old answer used."""
    house.wire.always["quote"] = fault
    assert await ask() is None
    house.wire.always.clear()
    assert await ask() == PRICE
    house.time.now += timedelta(minutes=5)
    house.wire.always["quote"] = fault
    assert await ask() is None


async def test_two_at_once_share_one_request(house: House, ask: Ask) -> None:
    """Who asks while an answer is on its way waits for the same one."""
    held = Held()
    house.wire.faults["quote"].append(held)
    asking = [asyncio.ensure_future(ask(prompt=f"hat {n}")) for n in range(3)]
    await held.reached.wait()
    held.go.set()
    assert await asyncio.gather(*asking) == [PRICE] * 3
    assert house.wire.seen["quote"] == 1


async def test_a_late_answer_serves_the_next_run(tmp_path: Path) -> None:
    """A run goes without a quote that does not come in time; once it has come, the next run need not ask."""
    house, held = House(tmp_path / "data", timeouts=Timeouts(optional_wait=0, shutdown_grace=5)), Held()
    house.wire.always["billing"] = answer(404, "none")
    house.wire.faults["quote"].append(held)
    assert (await house.run()).charge_source == "estimate"
    held.go.set()
    await calm()
    assert (await house.run()).charge_source == "quote"
    assert house.wire.seen["quote"] == 1
    await house.aclose()


async def test_memory_is_bounded(house: House, ask: Ask) -> None:
    """Any number of keys pushes out the oldest quotes, and no more than those."""
    accounts = [Account(f"own-{number}", "own", house.account.client) for number in range(5)]
    for account in accounts:
        await ask(account)
    await ask(accounts[1])
    assert house.wire.seen["quote"] == 5
    await ask(accounts[0])
    assert house.wire.seen["quote"] == 6
