"""A sandbox whose time is moved by hand, and a small client to talk to it."""

from __future__ import annotations

import io
import random
from decimal import Decimal
from typing import Any

import httpx
from PIL import Image

from sandbox import create_app

FAMILY = "wavespeed-ai/flux-kontext-"
MODELS = [FAMILY + name for name in ("pro/multi", "max/multi", "dev/multi", "dev/multi-ultra-fast")]
PRO, MAX, DEV, ULTRA_FAST = MODELS


def picture(colour: str = "teal", size: tuple[int, int] = (96, 64), format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format)
    return buffer.getvalue()


class World:
    """The sandbox, its clock, and requests as one key makes them."""

    def __init__(self, *, seconds: float = 2.0, balance: str = "10.00", **app: Any) -> None:
        self.now = 1_750_000_000.0
        sandbox = create_app(
            seconds=seconds,
            clock=lambda: self.now,
            sleep=self.sleep,
            random=random.Random(4711),
            balance=Decimal(balance),
            **app,
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(sandbox), base_url="http://sandbox.test")

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def get(self, path: str, key: str = "wsk_one") -> httpx.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {key}"})

    async def post(self, path: str, body: Any, key: str = "wsk_one") -> httpx.Response:
        return await self.http.post(f"/api/v3/{path}", json=body, headers={"Authorization": f"Bearer {key}"})

    async def upload(self, content: bytes | None = None, name: str = "a.png", key: str = "wsk_one") -> str:
        content = picture() if content is None else content
        body = {"filename": name, "size": len(content), "content_type": "image/png"}
        ticket = (await self.post("media/uploads", body, key)).json()["data"]
        put = ticket["upload"]
        assert (await self.http.put(put["url"], content=content, headers=put["headers"])).status_code == 200
        return str(ticket["download_url"])

    async def submit(self, model: str = PRO, key: str = "wsk_one", **inputs: Any) -> dict[str, Any]:
        """The prediction of a submit that is taken."""
        body = {"prompt": "a calm picture", "images": [await self.upload(key=key)], **inputs}
        answer = await self.post(model, body, key)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    async def result(self, prediction: dict[str, Any], key: str = "wsk_one") -> dict[str, Any]:
        return dict((await self.get(prediction["urls"]["get"], key)).json()["data"])

    async def ended(self, model: str = PRO, **inputs: Any) -> dict[str, Any]:
        """A prediction at its end."""
        prediction = await self.submit(model, **inputs)
        self.now += 100
        return await self.result(prediction)

    async def balance(self, key: str = "wsk_one") -> float:
        return float((await self.get("/api/v3/balance", key)).json()["data"]["balance"])
