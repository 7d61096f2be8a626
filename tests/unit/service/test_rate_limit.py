"""The line that every request to the service stands in, by a clock that moves only when somebody sleeps."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from PIL import Image

from core.catalog.variants import REGISTRY
from core.pictures.reference import prepare
from core.service.client import Client
from core.service.rate_limit import GROUP, SLACK, RateLimiter
from sandbox import create_app

pytestmark = pytest.mark.anyio


class Time:
    """Seconds that pass for sleepers alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds


def busiest(moments: Sequence[float], within: float) -> int:
    """The most of them in any stretch of time, its end left out."""
    return max(sum(first <= moment < first + within - 1e-9 for moment in moments) for first in moments)


async def sent(rate_limiter: RateLimiter, time: Time, asking: Sequence[bool]) -> list[tuple[float, int]]:
    """When each went out, and which it was; `asking` says of each whether it is low_priority."""
    out: list[tuple[float, int]] = []

    async def one(number: int, low_priority: bool) -> None:
        await rate_limiter.acquire(low_priority=low_priority)
        out.append((time.now, number))

    await asyncio.gather(*(one(number, low_priority) for number, low_priority in enumerate(asking)))
    return out


@pytest.mark.parametrize("replicas", [1, 2, 4, 7])
async def test_never_more_in_a_second(replicas: int) -> None:
    """Of many that ask at once no second sees more than the limit, at all replicas together, and it is made use of."""
    time = Time()
    limiter = RateLimiter(50, replicas=lambda: replicas, clock=time.clock, sleep=time.sleep)
    moments = [moment for moment, _ in await sent(limiter, time, [False] * 230)]
    assert 50 - replicas <= busiest(moments, 1) * replicas <= 50
    assert moments[-1] == pytest.approx(230 / 50 * SLACK * replicas, rel=0.03)


async def test_late_ones_do_not_crowd_the_next() -> None:
    """Where some are held up on the way, a second at the other end still sees no more than the limit."""
    time = Time()
    moments = [
        moment for moment, _ in await sent(RateLimiter(50, clock=time.clock, sleep=time.sleep), time, [False] * 230)
    ]
    arrived = sorted(moment + (0.09 if moment < 0.5 else 0) for moment in moments)
    assert busiest(arrived, 1) == 50


async def test_a_few_go_at_once() -> None:
    """A tenth of a second's worth waits for nothing."""
    time = Time()
    assert [
        moment for moment, _ in await sent(RateLimiter(50, clock=time.clock, sleep=time.sleep), time, [False] * 5)
    ] == [0] * 5


async def test_low_priority_lets_others_pass() -> None:
    """Whoever came later and is in a hurry goes out before all of low priority; among equals the first is first."""
    time = Time()
    out = await sent(RateLimiter(20, clock=time.clock, sleep=time.sleep), time, [True] * 8 + [False] * 4)
    assert [number for _, number in out] == [0, 1, 8, 9, 10, 11, 2, 3, 4, 5, 6, 7]


async def test_groups_take_turns() -> None:
    """Whoever asks for one, or two, waits for one of each group before it, not for all that those ask for; what may be
    later is still later.
    """
    time = Time()
    limiter, out = RateLimiter(10, clock=time.clock, sleep=time.sleep), list[str]()

    async def one(group: str, low_priority: bool = False) -> None:
        GROUP.set(group)
        await limiter.acquire(low_priority=low_priority)
        out.append(group)

    first = [one("low", low_priority=True), *(one("big") for _ in range(6)), *(one("other") for _ in range(4))]
    await asyncio.gather(one("before"), *first, one("small"), one("small"))
    assert out == ["before", *["big", "other", "small"] * 2, *["big", "other"] * 2, "big", "big", "low"]


async def test_the_turns_of_one_priority_count_for_it_alone() -> None:
    """A group that was in a hurry many times puts nobody behind what may be later, and was asked for in that time."""
    time = Time()
    limiter, out = RateLimiter(10, clock=time.clock, sleep=time.sleep), list[str]()

    async def one(group: str, low_priority: bool = True) -> None:
        GROUP.set(group)
        await limiter.acquire(low_priority=low_priority)
        out.append(group)

    async def small() -> None:
        await one("hurry", low_priority=False)
        await one("small")

    hurried = [one("hurry", low_priority=False) for _ in range(4)]
    await asyncio.gather(one("before"), *(one("big") for _ in range(4)), *hurried, small())
    assert out == ["before", *["hurry"] * 5, "big", "small", "big", "big", "big"]


async def test_one_that_gave_up_takes_no_turn() -> None:
    """A request that is no longer wanted holds nobody up."""
    time = Time()
    rate_limiter = RateLimiter(10, clock=time.clock, sleep=time.sleep)
    await rate_limiter.acquire()
    leaving = asyncio.create_task(rate_limiter.acquire())
    staying = asyncio.create_task(rate_limiter.acquire())
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert time.now == pytest.approx(0.1 * SLACK)


async def test_a_rest_starts_it_anew() -> None:
    """After a line has emptied, the next one is served as well."""
    time = Time()
    rate_limiter = RateLimiter(10, clock=time.clock, sleep=time.sleep)
    await sent(rate_limiter, time, [False] * 3)
    time.now += 5
    first, second = await sent(rate_limiter, time, [False] * 2)
    assert first[0] == pytest.approx(5 + 0.2 * SLACK)
    assert second[0] == pytest.approx(5 + 0.3 * SLACK)


async def test_every_request_of_a_client_stands_in_line(tmp_path: Path) -> None:
    """Uploads, submits, looks, bills and downloads all count, and looks and bills are the low_priority ones."""
    time, arrived = Time(), list[tuple[float, str]]()
    service = httpx.ASGITransport(app=create_app(seconds=0))

    async def wire(request: httpx.Request) -> httpx.Response:
        arrived.append((time.now, f"{request.method} {request.url.path.rpartition('/')[2]}"))
        answer = await service.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

    rate_limiter = RateLimiter(20, clock=time.clock, sleep=time.sleep)
    client = Client(
        "wsk_paced", "http://service.invalid", transport=httpx.MockTransport(wire), rate_limiter=rate_limiter
    )
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(picture, "PNG")
    url = await client.upload(prepare(picture.getvalue(), 1, tmp_path))
    sent = await client.submit(REGISTRY["dev"].model_id, {"prompt": "make it red", "images": [url], "seed": 1})
    done = await client.result(sent.id)
    looks = [client.result(sent.id) for _ in range(12)]
    await asyncio.gather(*looks, client.billed([sent.id]), client.download(done.outputs[0]), client.balance())
    await client.aclose()

    moments, asked = zip(*arrived, strict=True)
    assert len(arrived) == 2 + 1 + 1 + 12 + 1 + 1 + 1
    assert busiest(moments, 0.1) == 2
    hurried = [number for number, request in enumerate(asked[4:]) if request not in ("GET result", "POST search")]
    assert len(hurried) == 2 and max(hurried) < 4
    assert asked[-1] == "POST search"
