"""The sandbox calls back as the service's pages say: signed, with what was asked for, again where nobody answers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from worlds import DEV, PRO, World

pytestmark = pytest.mark.anyio

HERE = "http://127.0.0.1:9/called?by=it"


class Receiver(httpx.AsyncBaseTransport):
    """Whoever is called: answers with the next of these, then with 200; None: not at all."""

    def __init__(self, *answers: int | None, expected: int = 1) -> None:
        self._expected = expected
        self.heard: list[httpx.Request] = []
        self.enough = asyncio.Event()
        self._answers: Iterator[int | None] = iter(answers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.heard.append(request)
        answer = next(self._answers, 200)
        if len(self.heard) == self._expected:
            self.enough.set()
        if answer is None:
            raise httpx.ReadTimeout("nobody there")
        return httpx.Response(answer)


async def submitted(world: World, address: str = HERE, model: str = PRO, **inputs: object) -> httpx.Response:
    body = {"prompt": "a calm picture", "images": [await world.upload()], **inputs}
    return await world.post(f"{model}?webhook={quote(address, safe='')}", body)


async def test_it_calls_once_with_the_bare_prediction() -> None:
    """At the end of the task: no envelope, its outputs, and what was asked for as `input`."""
    receiver = Receiver()
    world = World(calls=receiver)
    sent = (await submitted(world)).json()["data"]
    await receiver.enough.wait()
    (request,) = receiver.heard
    told = json.loads(request.content)
    assert (str(request.url), told["id"], told["status"], len(told["outputs"])) == (HERE, sent["id"], "completed", 1)
    assert told["input"]["prompt"] == "a calm picture"


async def test_it_calls_for_a_failure_as_well() -> None:
    """A task that brings no picture has ended too."""
    receiver = Receiver()
    await submitted(World(calls=receiver), prompt="[sandbox:failed]")
    await receiver.enough.wait()
    assert json.loads(receiver.heard[0].content)["status"] == "failed"


async def test_the_call_is_signed() -> None:
    """HMAC-SHA256 over id, time and body, with the secret of that very key as text and without its prefix."""
    receiver = Receiver()
    world = World(calls=receiver)
    await submitted(world)
    await receiver.enough.wait()
    secret = (await world.get("/api/v3/webhook/secret")).json()["data"]["secret"]
    assert (
        secret.startswith("whsec_")
        and secret != ((await world.get("/api/v3/webhook/secret", "wsk_two")).json()["data"]["secret"])
    )
    headers, body = receiver.heard[0].headers, receiver.heard[0].content
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(secret[len("whsec_") :].encode(), message, hashlib.sha256).hexdigest()
    assert headers["webhook-signature"] == f"v3,{digest}"
    assert abs(int(headers["webhook-timestamp"]) - world.now) < 2


@pytest.mark.parametrize(("answers", "calls"), [((500, None), 3), ((404, 301, 500, None, 500), 4)])
async def test_it_calls_again_where_nobody_takes_it(answers: tuple[int | None, ...], calls: int) -> None:
    """Up to three times more, under the same id, within twenty minutes; then it leaves it."""
    receiver = Receiver(*answers, expected=calls)
    world = World(calls=receiver)
    await submitted(world)
    begun = world.now
    await receiver.enough.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(receiver.heard) == calls and world.now - begun < 20 * 60
    assert len({request.headers["webhook-id"] for request in receiver.heard}) == 1


@pytest.mark.parametrize("address", ["http://example.com/x", "ftp://example.com", "example.com", "", "http://[::1"])
async def test_only_public_https_is_called(address: str) -> None:
    """Anything else is refused before it costs something; this computer is called by http too."""
    world = World(calls=Receiver())
    refused = await submitted(world, address)
    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert await world.balance() == 10
    assert (await submitted(world, "http://localhost:1/x")).status_code == 200
    assert (await submitted(world, "https://example.com/x")).status_code == 200


async def test_no_base64_by_webhook() -> None:
    """The two are not taken together, and the refusal has no envelope."""
    refused = await submitted(World(calls=Receiver()), model=DEV, enable_base64_output=True)
    assert refused.status_code == 400 and "webhook" in refused.json()["error"]
