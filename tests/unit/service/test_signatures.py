"""Calls of the service: which of them are signed by it, and how its secret is learned."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from core.service.account import Account
from core.service.client import Client
from core.service.webhooks import Secrets, is_signed, prediction

SECRET, BODY, NOW = "whsec_c2VjcmV0", b'{"id":"abc","status":"completed"}', datetime(2026, 11, 24, tzinfo=UTC)


def headers(secret: str = SECRET, body: bytes = BODY, age: float = 0, **changed: str) -> dict[str, str]:
    """As the service's page has them: the secret is text, without its prefix and not decoded (D)."""
    id, timestamp = "45b392b22c3b449fa935bd4", str(int(NOW.timestamp() - age))
    message = f"{id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.removeprefix("whsec_").encode(), message, hashlib.sha256).hexdigest()
    told = {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": f"v3,{digest}"}
    return told | {name.replace("_", "-"): value for name, value in changed.items()}


@pytest.mark.parametrize(
    "told",
    [
        headers(),
        headers(age=299),
        headers(age=-299),
        headers(webhook_signature=f"v1,abc {headers()['webhook-signature']}"),
    ],
)
def test_what_the_service_signs(told: dict[str, str]) -> None:
    """Right, and no more than five minutes from now; one of several signatures is enough."""
    assert is_signed(SECRET, told, BODY, NOW)


@pytest.mark.parametrize(
    "told",
    [
        {},
        headers("whsec_other"),
        headers(body=BODY + b" "),
        headers(age=302),
        headers(age=-302),
        headers(webhook_id="another"),
        headers(webhook_timestamp=str(int(NOW.timestamp()) - 1)),
        headers(webhook_timestamp="soon"),
        headers(webhook_timestamp="²"),
        headers(webhook_timestamp="1" * 400),
        headers(webhook_timestamp=""),
        headers(webhook_signature=""),
        headers(webhook_signature=headers()["webhook-signature"].removeprefix("v3,")),
        headers(webhook_signature="v3,ÿ"),
        headers(webhook_signature="v3,"),
    ],
)
def test_what_it_does_not(told: dict[str, str]) -> None:
    """Another secret, body, id or time, too old or too new, and whatever is no signature."""
    assert not is_signed(SECRET, told, BODY, NOW)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"id":7}', b"\xff", b"[" * 60_000, b'{"data":{"id":"abc"}}'])
def test_what_is_no_prediction_is_none(body: bytes) -> None:
    """Junk, JSON that is something else, and JSON that is nested without end."""
    assert prediction(body) is None


async def _told(secrets: Secrets, answers: list[httpx.Response]) -> str | None:
    asked = httpx.MockTransport(lambda _: answers.pop(0))
    await secrets.learn(Account("own", "own", Client("wsk_planted_secret", "https://x.example", transport=asked)))
    return secrets.of("own")


def _answer(data: Any) -> httpx.Response:
    return httpx.Response(200, json={"code": 200, "data": data})


@pytest.mark.anyio
async def test_a_secret_is_asked_for_now_and_then() -> None:
    """Once in ten minutes, since it can be made anew; where it can't be had, the one that is known stays."""
    now = NOW
    secrets = Secrets(lambda: now)
    answers = [httpx.Response(404), _answer({"secret": SECRET}), httpx.Response(404), _answer({"secret": "whsec_new"})]
    assert await _told(secrets, answers) is None
    assert await _told(secrets, answers) is None and len(answers) == 3
    for expected in (SECRET, SECRET, "whsec_new"):
        now += timedelta(minutes=11)
        assert await _told(secrets, answers) == expected
    secrets.forget("own")
    assert secrets.of("own") is None
