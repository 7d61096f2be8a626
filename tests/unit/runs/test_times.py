"""What the app learns of how long a variant takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from running import Forward, House

from core.catalog.variants import REGISTRY
from core.ledger.run import Run

pytestmark = pytest.mark.anyio

SECONDS = 2.0  # of the house's service


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.aclose()


async def expected(house: House, run: Run) -> float | None:
    """What the page is told of a run when it begins to wait."""
    return (await house.until(run, lambda now: now.state == "waiting")).expected_seconds


async def test_what_one_run_took_the_next_expects(house: House) -> None:
    """Nothing is known of a variant without a published time until a run of it has ended; the others learn nothing."""
    first = await house.press("pro")
    assert await expected(house, first) is None
    await house.end_of(first)
    assert await expected(house, await house.press("pro")) == SECONDS
    assert await expected(house, await house.press("dev")) == REGISTRY["dev"].published_seconds


async def test_it_is_known_after_a_restart(house: House) -> None:
    """The ledger tells the next process."""
    await house.run("pro")
    await house.kill()
    assert await expected(house, await house.press("pro")) == SECONDS


async def test_a_run_learns_while_it_waits(house: House) -> None:
    """A run that nothing was known of when it was sent expects what another has shown meanwhile."""
    slow = await house.press("pro", prompt="[sandbox:slow] make it red")
    (prediction,) = (await house.until(slow, lambda run: run.state == "waiting")).predictions
    quick_ended = asyncio.Event()

    async def held(request: httpx.Request, forward: Forward) -> httpx.Response:
        if str(prediction.id) in request.url.path:
            await quick_ended.wait()
        return await forward(request)

    house.wire.always["result"] = held
    quick = await house.press("pro")
    assert await expected(house, quick) is None
    await house.end_of(quick)
    quick_ended.set()
    assert (await house.until(slow, lambda run: run.state == "downloading")).expected_seconds == SECONDS


async def test_the_usual_time_is_measured_or_published(house: House) -> None:
    """A variant has the published one, or none, until a run of it has ended; a restart knows what that took."""
    usual = house.runs.usual_seconds
    assert [usual("dev"), usual("pro")] == [REGISTRY["dev"].published_seconds, None]
    await house.run("dev")
    await house.run("pro")
    assert [usual("dev"), usual("pro")] == [SECONDS, SECONDS]
    await house.kill()
    assert house.runs.usual_seconds("pro") == SECONDS
