"""The client against a faked wire: what is sent where, how often, and what every failure becomes."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import KeyRejected, NoCredit, RateLimited, ServiceBroken, ServiceError, SubmitUnknown, Unreachable
from core.pictures.output import Picture, open_picture
from core.pictures.reference import Reference
from core.service.client import LIMITS, Client
from core.service.faults import retry_after

pytestmark = pytest.mark.anyio

SECRET = "wsk_planted5ecret0123456789"
HOST = "https://api.example"
CHANGELOG = Path(__file__).resolve().parents[3] / "CHANGELOG.md"
MODEL = "wavespeed-ai/flux-kontext-pro/multi"
ID = "0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
RECORD = {"id": ID, "model": MODEL, "status": "created", "outputs": [], "created_at": "2026-11-21T12:00:00Z"}

Step = httpx.Response | Exception
Act = Callable[[Client], Awaitable[Any]]


class Wire(httpx.AsyncBaseTransport):
    """Answers with one step after the other, the last one for ever, and keeps what was asked."""

    def __init__(self, *steps: Step | Callable[[httpx.Request], Step]) -> None:
        self.steps = list(steps)
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        answer = step(request) if callable(step) else step
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def lines(self) -> list[str]:
        return [f"{r.method} {r.url.host} {r.url.path}" for r in self.asked]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(r.content) for r in self.asked]


class Naps:
    """Stands in for sleep and keeps what it was asked for."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def envelope(data: Any, code: int = 200, status: int = 200, **headers: str) -> httpx.Response:
    body = {"code": code, "message": "success" if code == 200 else "no", "data": data}
    content = json.dumps(body)  # any character escaped, as a service may
    return httpx.Response(status, content=content, headers={k.replace("_", "-"): v for k, v in headers.items()})


def refusal(status: int, message: str = "", code: int | None = None, **headers: str) -> httpx.Response:
    body = {"code": status if code is None else code, "message": message}
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def speak(
    wire: httpx.AsyncBaseTransport | None, naps: Naps | None = None, *, base_url: str = HOST, **other: Any
) -> Client:
    sleep = naps or Naps()
    return Client(SECRET, base_url, transport=wire, sleep=sleep, random=random.Random(7), clock=lambda: NOW, **other)


def jpeg(size: tuple[int, int] = (64, 48), kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(file, kind)
    return file.getvalue()


@pytest.fixture
def reference(tmp_path: Path) -> Reference:
    path = tmp_path / "prepared.jpg"
    path.write_bytes(jpeg())
    return Reference(path, "ab" * 32, "image/jpeg", 64, 48)


def ticket(host: str = "storage.example", **headers: str) -> httpx.Response:
    upload = {"method": "PUT", "url": f"https://{host}/put?signature=s1gned", "headers": headers}
    return envelope({"type": "image", "download_url": "https://cdn.example/a.jpg", "upload": upload})


async def submit(client: Client) -> Any:
    return await client.submit(MODEL, {"prompt": "a hat"})


async def result(client: Client) -> Any:
    return await client.result(ID)


async def history(client: Client) -> Any:
    return await client.history()


async def balance(client: Client) -> Any:
    return await client.balance()


async def price(client: Client) -> Any:
    return await client.quote(MODEL, {"prompt": "a hat"})


async def billed(client: Client) -> Any:
    return await client.billed([ID])


async def download(client: Client) -> Any:
    return await client.download("https://cdn.example/out?signature=s1gned")


FREE: tuple[Act, ...] = (result, history, balance, price, billed)
REPEATED: tuple[Act, ...] = (*FREE, download)


# ---- what is sent


async def test_every_request_says_who_asks() -> None:
    """An API request carries the key without the blanks around it, and names this client."""
    wire = Wire(envelope({"balance": 1}))
    await Client(f"  {SECRET}\n", f"{HOST}/", transport=wire).balance()
    assert str(wire.asked[0].url) == f"{HOST}/api/v3/balance"
    assert wire.asked[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert wire.asked[0].headers["X-Client-Name"] == "kontext-studio"
    assert wire.asked[0].headers["X-Client-OS"] in ("linux", "macos", "windows")
    newest = re.search(r"^## (\d\S+)", CHANGELOG.read_text("utf-8"), re.MULTILINE)
    assert newest and wire.asked[0].headers["X-Client-Version"] == newest[1]


@pytest.mark.parametrize("key", ["", "  ", "wsk_a b", "wsk_a\nb", "wsk_ä", "wsk_\u200ba", "wsk_a\x7f"])
def test_no_key_at_all(key: str) -> None:
    """What no key can hold is refused at once, in words that do not repeat it."""
    with pytest.raises(KeyRejected) as caught:
        Client(key, HOST)
    assert not key.strip() or key not in str(caught.value)


async def test_submit() -> None:
    """A submit is the flat payload to the model's own path; the prediction comes back."""
    wire = Wire(envelope(RECORD))
    found = await speak(wire).submit(MODEL, {"prompt": "a hat", "images": ["https://cdn.example/a"], "seed": 7})
    assert wire.lines == [f"POST api.example /api/v3/{MODEL}"]
    assert wire.bodies == [{"prompt": "a hat", "images": ["https://cdn.example/a"], "seed": 7}]
    assert wire.asked[0].headers["Content-Type"] == "application/json"
    assert (found.id, found.status) == (ID, "created")


@pytest.mark.parametrize(
    ("payload", "read"), [({}, 30), ({"enable_sync_mode": True}, 150), ({"enable_sync_mode": False}, 30)]
)
async def test_submit_time_out(payload: dict[str, Any], read: int) -> None:
    """Only a submit that waits for the pictures itself is given the time for it."""
    wire = Wire(envelope(RECORD))
    await speak(wire).submit(MODEL, payload)
    assert wire.asked[0].extensions["timeout"]["read"] == read
    assert wire.asked[0].extensions["timeout"]["connect"] == 10


@pytest.mark.parametrize("code", [200, 5004])
async def test_sync_mode_gave_up(code: int) -> None:
    """Code 5004 with a prediction, inside it or around it, is a prediction to wait for."""
    wire = Wire(envelope({**RECORD, "status": "processing", "code": 5004}, code=code))
    found = await speak(wire).submit(MODEL, {"enable_sync_mode": True})
    assert (found.id, found.finished, found.code) == (ID, False, 5004)


async def test_result() -> None:
    """A failed task is an answer, not an error, and its numbers stay what JSON says they are."""
    wire = Wire(envelope({**RECORD, "status": "failed", "timings": {"inference": 1500.5}}))
    found = await result(speak(wire))
    assert wire.lines == [f"GET api.example /api/v3/predictions/{ID}/result"]
    assert (found.status, found.seconds) == ("failed", 1.5005)


async def test_result_of_an_odd_id() -> None:
    """An id can't lead the request to another path."""
    wire = Wire(envelope(RECORD))
    await speak(wire).result("../balance?x=1#y")
    assert wire.asked[0].url.raw_path == b"/api/v3/predictions/..%2Fbalance%3Fx%3D1%23y/result"


async def test_history() -> None:
    """Times are sent as UTC, floats of the inputs stay floats, and an unreadable item costs only itself."""
    inputs = {"guidance_scale": 2.7}
    wire = Wire(envelope({"page": 2, "items": [{**RECORD, "input": inputs}, {"id": 7}, None, {**RECORD, "id": "b"}]}))
    since = datetime(2026, 11, 21, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    found = await speak(wire).history(model_id=MODEL, since=since, page=2, inputs=True)
    assert wire.lines == ["POST api.example /api/v3/predictions"]
    assert wire.bodies == [
        {"page": 2, "page_size": 100, "model": MODEL, "created_after": "2026-11-21T12:30:00Z", "include_inputs": True}
    ]
    assert [p.id for p in found] == [ID, "b"]
    assert found[0].inputs == inputs


async def test_history_by_default() -> None:
    """Nothing is asked for that was not asked for; no items at all is an empty history."""
    wire = Wire(envelope({"page": 1, "items": None}))
    assert await speak(wire).history() == []
    assert wire.bodies == [{"page": 1, "page_size": 100}]


@pytest.mark.parametrize(
    ("data", "amount"),
    [
        ('{"price": 0.04}', "0.04"),
        ('{"price": 0.04, "discounted_price": 0.036, "currency": "USD"}', "0.036"),
        ('{"price": 0.04, "discounted_price": null}', "0.04"),
        ('{"price": 0.04, "discounted_price": 0}', "0.04"),
        ('{"price": "0.025"}', "0.025"),
        ('{"price": 0.1000000000000000055511151231257827}', "0.1000000000000000055511151231257827"),
    ],
)
async def test_quote(data: str, amount: str) -> None:
    """A quote is the discounted price where there is one, digit by digit as it was sent."""
    wire = Wire(httpx.Response(200, text=f'{{"code": 200, "message": "success", "data": {data}}}'))
    assert await speak(wire).quote(MODEL, {"prompt": "a hat"}) == Decimal(amount)
    assert wire.lines == ["POST api.example /api/v3/model/price"]
    assert wire.bodies == [{"model_id": MODEL, "inputs": {"prompt": "a hat"}}]


@pytest.mark.parametrize("status", [404, 405])
async def test_quote_of_an_older_service(status: int) -> None:
    """Where the newer call is missing the older one is asked."""
    wire = Wire(refusal(status), envelope({"unit_price": 0.03}))
    assert await price(speak(wire)) == Decimal("0.03")
    assert wire.lines[1] == "POST api.example /api/v3/model/pricing"


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-Infinity", "-0.01", "1e30", "1e99999999999999999999", "true", "null", '"x"', "{}"]
)
@pytest.mark.parametrize("act", [price, balance])
async def test_absurd_amounts(act: Act, amount: str) -> None:
    """Money that is no number, endless, negative or absurd is a broken answer, not an amount."""
    data = f'{{"price": {amount}, "balance": {amount}}}'
    wire = Wire(httpx.Response(200, text=f'{{"code": 200, "data": {data}}}'))
    with pytest.raises(ServiceBroken):
        await act(speak(wire, attempts=1))


async def test_foreign_currency() -> None:
    """A price in another currency is not taken for dollars."""
    with pytest.raises(ServiceBroken):
        await price(speak(Wire(envelope({"price": 5, "currency": "CNY"})), attempts=1))


@given(st.decimals(min_value=0, max_value=1_000_000, allow_nan=False, places=6))
def test_money_is_never_a_float(amount: Decimal) -> None:
    """Any amount arrives as exactly the decimal that was written."""
    wire = Wire(httpx.Response(200, text=f'{{"code": 200, "data": {{"balance": {amount}}}}}'))
    assert asyncio.run(balance(speak(wire))) == amount


def bill(price: Any = 0.04, *, id: str = ID, state: Any = "done", kind: Any = "deduct") -> dict[str, Any]:
    """A billing record as the service's page shows one."""
    order = {"uuid": "o", "state": state, "price": price, "origin_price": price}
    made = {"uuid": id, "model_uuid": MODEL, "status": "completed"}
    return {"uuid": "b", "billing_type": kind, "price": price, "order": order, "prediction": made}


@pytest.mark.parametrize(
    ("data", "amounts"),
    [
        ({"items": [bill()]}, {ID: Decimal("0.04")}),
        ({"items": [bill(0.01), bill(0.03)]}, {ID: Decimal("0.04")}),
        ({"items": [bill(kind=None)]}, {ID: Decimal("0.04")}),
        ({"items": [bill(), {"price": 1}, None, "?", bill(id="another")]}, {ID: Decimal("0.04")}),
        ({"items": [bill(state="pre")]}, {}),
        ({"items": [bill(state=None)]}, {}),
        ({"items": [bill(0.01), bill(0.03, state="pre")]}, {}),
        ({"items": [{**bill(), "order": None}]}, {}),
        ({"items": [bill(), bill(0.04, kind="refund")]}, {}),
        ({"items": [bill(-0.04)]}, {}),
        ({"items": [bill(), bill(-0.01)]}, {}),
        ({"items": [bill("NaN")]}, {}),
        ({"items": [bill(1e30)]}, {}),
        ({"items": [bill(id="another")]}, {}),
        ({"items": [{"prediction_uuid": ID, "amount": 0.04}]}, {}),
        ({"items": ["?"]}, {}),
        ({"items": None}, {}),
    ],
)
async def test_billed(data: Any, amounts: dict[str, Decimal]) -> None:
    """Deductions whose order is done are summed; whatever else stands among them leaves that prediction untold."""
    wire = Wire(envelope(data))
    assert await billed(speak(wire)) == amounts
    assert wire.bodies == [{"page": 1, "page_size": 100, "prediction_uuids": [ID]}]


@pytest.mark.parametrize("data", [{}, [], None, "?"])
async def test_a_bill_of_another_shape_is_a_broken_answer(data: Any) -> None:
    """What is no page of records says nothing, rather than that nothing was billed."""
    with pytest.raises(ServiceBroken):
        await billed(speak(Wire(envelope(data)), attempts=1))


async def test_bills_come_in_pages() -> None:
    """A full page is followed by the next; many predictions are asked about in several questions."""
    wire = Wire(envelope({"items": [bill(0.001)] * 100}), envelope({"items": [bill(0.001)]}), envelope({"items": []}))
    found = await speak(wire).billed([ID, *(f"{n:032x}" for n in range(60))])
    assert found == {ID: Decimal("0.101")}
    assert [(body["page"], len(body["prediction_uuids"])) for body in wire.bodies] == [(1, 50), (2, 50), (1, 11)]


async def test_billed_nothing() -> None:
    """Nobody is asked about no predictions."""
    wire = Wire(envelope({}))
    assert await speak(wire).billed([]) == {}
    assert wire.asked == []


# ---- uploads


async def test_upload(reference: Reference) -> None:
    """The bytes go to the storage host with the ticket's headers alone; the key and our names stay behind."""
    wire = Wire(ticket(**{"Content-Type": "image/jpeg", "If-None-Match": "*"}), httpx.Response(200))
    assert await speak(wire).upload(reference) == "https://cdn.example/a.jpg"
    assert wire.lines == ["POST api.example /api/v3/media/uploads", "PUT storage.example /put"]
    size = reference.path.stat().st_size
    assert json.loads(wire.asked[0].content) == {
        "filename": "abababababababab.jpg",
        "size": size,
        "content_type": "image/jpeg",
    }
    assert wire.asked[1].content == reference.read()
    assert wire.asked[1].extensions["timeout"] == {"connect": 10, "read": 60, "write": 180, "pool": 60}
    assert dict(wire.asked[1].headers) == {
        "host": "storage.example",
        "content-length": str(size),
        "content-type": "image/jpeg",
        "if-none-match": "*",
    }


async def test_upload_to_the_api_host(reference: Reference) -> None:
    """Not even a storage under the API's own host gets the key."""
    wire = Wire(ticket("api.example"), httpx.Response(200))
    await speak(wire).upload(reference)
    assert "authorization" not in wire.asked[1].headers


@pytest.mark.parametrize("status", [404, 405])
async def test_upload_to_an_older_service(reference: Reference, status: int) -> None:
    """Where there are no tickets the file goes as a form to the older call, with the key."""
    wire = Wire(refusal(status), envelope({"download_url": "https://cdn.example/b.jpg"}))
    assert await speak(wire).upload(reference) == "https://cdn.example/b.jpg"
    assert wire.lines[1] == "POST api.example /api/v3/media/upload/binary"
    assert wire.asked[1].headers["Content-Type"].startswith("multipart/form-data")
    assert wire.asked[1].headers["Authorization"] == f"Bearer {SECRET}"
    assert b'name="file"; filename="abababababababab.jpg"' in wire.asked[1].content
    assert reference.read() in wire.asked[1].content


@pytest.mark.parametrize(
    "fault",
    [httpx.Response(500), httpx.Response(403), httpx.Response(503), httpx.ReadError(""), httpx.WriteTimeout("")],
)
async def test_upload_starts_over(reference: Reference, fault: Step) -> None:
    """A fault between ticket and file is cured by a new ticket."""
    wire = Wire(ticket(), fault, ticket(), httpx.Response(200))
    naps = Naps()
    assert await speak(wire, naps).upload(reference) == "https://cdn.example/a.jpg"
    assert len(wire.asked) == 4
    assert len(naps.taken) == 1


async def test_upload_already_there(reference: Reference) -> None:
    """A 412 means that the file stands there already, from a try whose answer got lost."""
    wire = Wire(ticket(), httpx.Response(412))
    assert await speak(wire).upload(reference) == "https://cdn.example/a.jpg"
    assert len(wire.asked) == 2


@pytest.mark.parametrize("steps", [(refusal(413),), (ticket(), httpx.Response(413))])
async def test_upload_too_large(reference: Reference, steps: tuple[Step, ...]) -> None:
    """A 413, of the service or of its storage, names the limit and is not tried again."""
    wire = Wire(*steps)
    with pytest.raises(ServiceError, match="20 MB") as caught:
        await speak(wire).upload(reference)
    assert len(wire.asked) == len(steps)
    assert (caught.value.status, caught.value.charged) == (413, "no")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "", None, 7, "/relative"])
async def test_upload_to_nowhere(reference: Reference, url: Any) -> None:
    """A ticket that leads to no web address is a broken answer."""
    upload = {"method": "PUT", "url": url, "headers": {}}
    wire = Wire(envelope({"download_url": "https://cdn.example/a.jpg", "upload": upload}))
    with pytest.raises(ServiceBroken):
        await speak(wire, attempts=1).upload(reference)


# ---- downloads


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("media_type", ["image/gif", "binary/octet-stream", "text/html"])
async def test_download(kind: str, media_type: str) -> None:
    """A picture is what its bytes are, whatever the content type says; no key goes to its host."""
    data = jpeg(kind=kind)
    wire = Wire(httpx.Response(200, content=data, headers={"Content-Type": media_type}))
    assert await download(speak(wire)) == Picture(data, kind.lower(), 64, 48)
    assert not {"authorization", "x-client-name"} & set(wire.asked[0].headers)


async def test_download_follows_redirects() -> None:
    """A redirect of an output is followed, still without the key."""
    moved = httpx.Response(302, headers={"Location": f"{HOST}/elsewhere"})
    wire = Wire(moved, httpx.Response(200, content=jpeg()))
    assert (await download(speak(wire))).width == 64
    assert wire.lines == ["GET cdn.example /out", "GET api.example /elsewhere"]
    assert all("authorization" not in asked.headers for asked in wire.asked)


async def test_api_redirect_is_not_followed() -> None:
    """A redirect of the API is an error: the key does not travel after it."""
    wire = Wire(httpx.Response(307, headers={"Location": "https://elsewhere.example/"}))
    with pytest.raises(ServiceError):
        await balance(speak(wire))
    assert wire.lines == ["GET api.example /api/v3/balance"]


def announced(data: bytes, length: int) -> httpx.Response:
    return httpx.Response(200, content=data, headers={"Content-Length": str(length)})


@pytest.mark.parametrize(
    "fault",
    [
        httpx.Response(200, content=jpeg()[:-300]),
        httpx.Response(200, content=jpeg(kind="PNG")[:-300]),
        announced(jpeg(), 10**6),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=b"<html>nearly ready</html>"),
        httpx.Response(404),
        httpx.Response(403),
        httpx.Response(429),
        httpx.Response(502, text="<html>"),
        httpx.RemoteProtocolError("cut"),
        httpx.ReadTimeout(""),
    ],
)
async def test_download_starts_over(fault: Step) -> None:
    """Whatever is not the whole picture is fetched anew."""
    wire = Wire(fault, httpx.Response(200, content=jpeg()))
    naps = Naps()
    assert (await download(speak(wire, naps))).format == "jpeg"
    assert (len(wire.asked), len(naps.taken)) == (2, 1)


async def test_download_has_an_end() -> None:
    """A file beyond the cap is refused at once and not read to its end."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield bytes(2**20)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    with pytest.raises(ServiceError, match="64 MB"):
        await download(speak(transport))
    assert sent == 65


@pytest.mark.parametrize("act", [submit, result, balance, download])
async def test_a_drip_has_an_end(act: Act) -> None:
    """An answer of which a byte comes now and then ends after its total time, whatever each byte is allowed."""

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b" "

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=dripping()))
    error, expected = None, SubmitUnknown if act is submit else Unreachable
    async with asyncio.timeout(30):
        try:
            await act(speak(transport, longest=0.02, attempts=1))
        except ServiceError as caught:
            error = caught
    assert type(error) is expected


@pytest.mark.parametrize("act", [submit, result, balance])
async def test_an_answer_has_a_size(act: Act) -> None:
    """An answer of the API beyond any size is broken, and not read to its end."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield bytes(2**20)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    with pytest.raises((ServiceBroken, SubmitUnknown)):
        await act(speak(transport, attempts=1))
    assert sent == 65


async def test_an_upload_target_inside_is_not_written_to(reference: Reference) -> None:
    """A ticket that leads into this computer's network is refused before anything goes there."""
    wire = Wire(ticket("169.254.169.254"), httpx.Response(200))
    with pytest.raises(ServiceError, match="not on the public internet") as caught:
        await speak(wire).upload(reference)
    assert (len(wire.asked), caught.value.charged) == (1, "no")


@pytest.mark.parametrize("method", ["DELETE", "GET", "put\r\nX: y", 7])
async def test_an_upload_puts_or_posts(reference: Reference, method: Any) -> None:
    """A ticket can't make this app do anything but hand a file over."""
    upload = {"method": method, "url": "https://storage.example/put", "headers": {}}
    wire = Wire(envelope({"download_url": "https://cdn.example/a.jpg", "upload": upload}))
    with pytest.raises(ServiceBroken):
        await speak(wire, attempts=1).upload(reference)
    assert len(wire.asked) == 1


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "data:image/png;base64,AAAA", "", "x", "http://[::1"]
)
async def test_download_from_nowhere(url: str) -> None:
    """Only the web is fetched from; anything else is refused without waiting."""
    naps = Naps()
    with pytest.raises(ServiceError):
        await speak(None, naps).download(url)
    assert naps.taken == []


async def test_downloads_side_by_side() -> None:
    """Four outputs are fetched at the same time, and each stays its own."""
    together = asyncio.Barrier(4)

    async def answer(request: httpx.Request) -> httpx.Response:
        await together.wait()
        return httpx.Response(200, content=jpeg((int(request.url.path[1:]), 16)))

    client = speak(httpx.MockTransport(answer))
    async with asyncio.timeout(30):
        pictures = await asyncio.gather(*(client.download(f"https://cdn.example/{w}") for w in (16, 32, 48, 64)))
    assert [p.width for p in pictures] == [16, 32, 48, 64]


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
async def test_a_picture_inside_the_answer(prefix: str) -> None:
    """An output in base64 is opened without a request; so is one with the prefix that nobody promised."""
    data = jpeg((32, 16))
    picture = await speak(None).download(prefix + base64.b64encode(data).decode())
    assert (picture.format, picture.width, picture.height, picture.data) == ("jpeg", 32, 16, data)


@pytest.mark.parametrize("output", ["", "!", "AAAA", "data:,", "é" * 8, "ftp://cdn.example/1.png"])
async def test_no_picture_inside_the_answer(output: str) -> None:
    """What is no picture is said to be damaged, and was charged."""
    with pytest.raises(ServiceBroken) as broken:
        await speak(None).download(output)
    assert broken.value.charged == "yes"


async def test_an_output_is_opened_where_the_app_says() -> None:
    """Whoever makes the client says how its downloads are opened; what that refuses for good is not fetched anew."""
    requests: list[httpx.Request] = []

    async def refuse(data: bytes) -> Picture:
        raise ServiceError(f"{len(data)} bytes are too much.", charged="yes")

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, content=b"123")

    client = speak(httpx.MockTransport(answer), opener=refuse)
    for output, size in (("https://cdn.example/1.png", 3), ("AAAA", 3)):
        with pytest.raises(ServiceError, match=f"{size} bytes are too much"):
            await client.download(output)
    assert len(requests) == 1


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"P6 1 1 255 rgb", jpeg()[:-300]])
def test_no_picture(data: bytes) -> None:
    """Bytes that are no whole picture of a known kind are a fault of the service, after the charge."""
    with pytest.raises(ServiceBroken) as caught:
        open_picture(data)
    assert caught.value.charged == "yes"
    assert caught.value.__context__ is None


def test_bomb() -> None:
    """A picture of far more pixels than any output has is refused before it is decoded."""
    file = io.BytesIO()
    Image.new("1", (8000, 8000)).save(file, "PNG")
    with pytest.raises(ServiceBroken):
        open_picture(file.getvalue())


# ---- refusals

HTML = httpx.Response(504, text="<html><h1>504 Gateway Time-out</h1></html>")
DEFINITE: list[tuple[Step, type[ServiceError]]] = [
    (refusal(400, 'field "aspect_ratio" must be one of 1:1'), ServiceError),
    (refusal(401, "invalid key"), KeyRejected),
    (refusal(401, "Not activated. Please top up."), KeyRejected),
    (refusal(402), NoCredit),
    (refusal(403, "role"), KeyRejected),
    (refusal(404, "Prediction not found"), ServiceError),
    (refusal(413), ServiceError),
    (refusal(422, "no"), ServiceError),
    (refusal(429, "You have reached your concurrency limit"), RateLimited),
    (refusal(400, "Insufficient credits. Please top up."), NoCredit),
    (refusal(403, "insufficient balance"), NoCredit),
    (refusal(400, "no", code=1407), NoCredit),
    (refusal(500, "no", code=1407), NoCredit),
    (refusal(400, "no", code=1402), ServiceError),
    (httpx.Response(401, text="<html>"), KeyRejected),
    (httpx.Response(402, text=""), NoCredit),
    (envelope(None, code=401), KeyRejected),
    (envelope(None, code=400), ServiceError),
    (envelope(None, code=1400), ServiceError),
    (envelope(None, code=1407), NoCredit),
    (envelope(RECORD, code=429), RateLimited),
]
UNREADABLE: list[Step] = [
    HTML,
    httpx.Response(500),
    httpx.Response(502, text="<html>"),
    refusal(503),
    httpx.Response(408),
    refusal(500, "no", code=400),
    refusal(502, "no", code=1401),
    httpx.Response(200),
    httpx.Response(200, text="<html>"),
    httpx.Response(200, text='{"code": 200, "data": {"id": "0123'),
    httpx.Response(200, text="[" * 100_000),
    httpx.Response(200, content=b"\xff\xfe\x00"),
    httpx.Response(200, json=[1]),
    envelope(None),
    envelope({}),
    envelope([]),
    envelope({"status": "created"}),
    envelope(None, code=500),
    envelope(None, code=5000),
    envelope(None, code=5004),
]


async def fail(act: Act, *steps: Step, **other: Any) -> tuple[ServiceError, Wire, Naps]:
    wire, naps = Wire(*steps), Naps()
    with pytest.raises(ServiceError) as caught:
        await act(speak(wire, naps, **other))
    return caught.value, wire, naps


@pytest.mark.parametrize(("step", "kind"), DEFINITE)
async def test_submit_refused(step: Step, kind: type[ServiceError]) -> None:
    """A definite refusal created nothing: sent once, its own kind, nothing charged."""
    error, wire, naps = await fail(submit, step)
    assert type(error) is kind
    assert (error.charged, len(wire.asked), naps.taken) == ("no", 1, [])
    assert error.request == f"POST /api/v3/{MODEL}"


@pytest.mark.parametrize(("step", "kind"), DEFINITE)
async def test_result_refused(step: Step, kind: type[ServiceError]) -> None:
    """The same refusals of a question about a paid task leave open whether it was charged."""
    error, wire, _ = await fail(result, step)
    assert type(error) is kind
    assert error.charged == "unknown"
    assert len(wire.asked) == (6 if kind is RateLimited else 1)


@pytest.mark.parametrize("step", [*UNREADABLE, httpx.Response(302), httpx.Response(409)])
async def test_submit_unknown(step: Step) -> None:
    """Whatever is neither a prediction nor a definite refusal is unknown, and never sent again."""
    error, wire, naps = await fail(submit, step)
    assert type(error) is SubmitUnknown
    assert (error.charged, len(wire.asked), naps.taken) == ("unknown", 1, [])
    assert error.request == f"POST /api/v3/{MODEL}"
    assert "charged twice" in error.advice


@pytest.mark.parametrize("step", UNREADABLE)
@pytest.mark.parametrize("act", [result, history, balance, price])
async def test_broken(act: Act, step: Step) -> None:
    """A fault or an unreadable answer to a free question is asked again, and then said to be the service's."""
    error, wire, naps = await fail(act, step)
    assert isinstance(error, ServiceBroken)
    assert error.charged == ("unknown" if act is result else "no")
    assert (len(wire.asked), len(naps.taken)) == (6, 5)


@pytest.mark.parametrize("act", REPEATED)
@pytest.mark.parametrize(
    "fault", [HTML, httpx.Response(500), httpx.Response(429), httpx.ConnectError(""), httpx.ReadError("")]
)
async def test_cured(act: Act, fault: Step) -> None:
    """Every free call gets over a passing fault."""
    data = {**RECORD, "items": [], "balance": 1, "price": 1}
    good = httpx.Response(200, content=jpeg()) if act is download else envelope(data)
    wire = Wire(fault, fault, good)
    await act(speak(wire))
    assert len(wire.asked) == 3


async def test_not_found() -> None:
    """An unknown prediction is said to be not found, with where to look for the reason."""
    error, _, _ = await fail(result, refusal(404, "Prediction not found"))
    assert error.happened.startswith("Not found: the service has no record of this prediction.")
    assert "7 days" in error.advice


async def test_no_credit_in_words() -> None:
    """Without credit a person reads what to do, and that nothing was charged."""
    error, _, _ = await fail(submit, refusal(400, "Insufficient credits. Please top up."))
    assert str(error) == (
        "The account has no credit left. Nothing was charged. Top up at wavespeed.ai, then press Generate again."
    )
    assert (error.status, error.code, error.said) == (400, 400, "Insufficient credits. Please top up.")


async def test_facts() -> None:
    """An error holds the status, the task code, the request, and what the service said where that helps."""
    error, _, _ = await fail(submit, refusal(400, 'field "size" must be W*H', code=1401))
    assert (error.status, error.code, error.said) == (400, 1401, 'field "size" must be W*H')
    assert 'It says: “field "size" must be W*H”' in str(error)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("plain", "plain"),
        ("two\nlines\tand\x00\x1b[31m more\r\n", "two lines and [31m more"),
        ("right\u202eleft\u200b\ufeff", "rightleft"),
        (f"key {SECRET} is bad", "key [key] is bad"),
        ("key wsk_another1234, is bad", "key [key], is bad"),
        ("header Bearer abc.def-123 is bad", "header [key] is bad"),
        ("header bearer   abc", "header [key]"),
        (f"key {SECRET[:9]}\u200b{SECRET[9:]}", "key [key]"),
        ("x" * 600, "x" * 499 + "…"),
        (f"a key that was cut: {SECRET[:14]}", "a key that was cut: [key]"),
        (f"a key in capitals: {SECRET.upper()}", "a key in capitals: [key]"),
        ("a lone\ud83d surrogate", "a lone surrogate"),
        (f"{'x' * 290} {SECRET}", "x" * 290 + " [key]"),
        (None, ""),
        (["a"], ""),
        (7, ""),
    ],
)
async def test_said(message: Any, said: str) -> None:
    """The service's words come on one line, not long, without anything like a key."""
    error, _, _ = await fail(submit, httpx.Response(400, content=json.dumps({"code": 400, "message": message})))
    assert error.said == said


async def test_a_refusal_may_hold_nothing_but_its_sentence() -> None:
    """Some refusals come as {"error": …} alone."""
    error, _, _ = await fail(submit, httpx.Response(400, json={"error": f"webhook and base64 {SECRET}"}))
    assert (error.said, error.status) == ("webhook and base64 [key]", 400)


async def test_the_words_of_a_task_are_clean() -> None:
    """What a failed task says holds no key and no control characters, is short, and the kept record as well."""
    said = f"bad header Bearer abc, key {SECRET}\x00\ud83d " + "x" * 100_000
    wire = Wire(envelope({**RECORD, "status": "failed", "error": said, "extra": {SECRET: [said[:100]]}}))
    found = await result(speak(wire))
    assert found.error.startswith("bad header [key] key [key] xx")
    assert len(found.error) == 500
    assert SECRET not in repr(found)
    assert len(repr(found)) < 5000
    found.error.encode()


async def test_a_key_is_no_id() -> None:
    """An id that is a key, or that no address can hold, is no prediction: it would stand on the page."""
    for odd in (SECRET, "wsk_another", "a b", "a\nb", "x" * 129, "\ud83d"):
        with pytest.raises(SubmitUnknown):
            await submit(speak(Wire(envelope({**RECORD, "id": odd}))))


async def test_said_about_another_kind_of_key() -> None:
    """The key itself is taken out whatever it looks like."""
    wire = Wire(refusal(400, "token plain-secret-777 is bad"))
    with pytest.raises(ServiceError) as caught:
        await submit(Client("plain-secret-777", HOST, transport=wire))
    assert caught.value.said == "token [key] is bad"


# ---- exceptions that are not ours


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for sub in kind.__subclasses__():
        if sub.__module__.split(".")[0] == "httpx":
            yield from subclasses(sub)


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, httpx.HTTPStatusError):
        return kind(SECRET, request=httpx.Request("GET", HOST), response=httpx.Response(500))
    try:
        return kind(SECRET)
    except TypeError:  # StreamConsumed and its like take nothing
        return kind()


OF_HTTPX = sorted(
    {*subclasses(httpx.HTTPError), *subclasses(httpx.InvalidURL), *subclasses(httpx.StreamError)}, key=str
)
OTHERS = [OSError, ConnectionResetError, RuntimeError, ValueError, KeyError, UnicodeDecodeError]
NEVER_SENT = {
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
}


def test_map_has_something_to_map() -> None:
    """The walk through httpx's exceptions finds them all, the deepest too."""
    assert {httpx.ConnectTimeout, httpx.RemoteProtocolError, httpx.DecodingError, httpx.StreamClosed} <= set(OF_HTTPX)
    assert len(OF_HTTPX) > 20


def thrown(kind: type[Exception]) -> Exception:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, SECRET) if kind is UnicodeDecodeError else made(kind)


@pytest.mark.parametrize("act", REPEATED)
@pytest.mark.parametrize("kind", [*OF_HTTPX, *OTHERS])
async def test_map_of_free_calls(act: Act, kind: type[Exception]) -> None:
    """No foreign exception leaves a free call, neither as itself nor behind ours."""
    error, wire, _ = await fail(act, thrown(kind))
    assert isinstance(error, ServiceError) and not isinstance(error, SubmitUnknown)
    assert error.charged == {result: "unknown", download: "yes"}.get(act, "no")
    assert (error.__cause__, error.__context__) == (None, None)
    assert SECRET not in f"{error} {vars(error)}"
    assert len(wire.asked) == (1 if kind in (httpx.UnsupportedProtocol, httpx.InvalidURL) else 6)


@pytest.mark.parametrize("kind", [*OF_HTTPX, *OTHERS])
async def test_map_of_submit(kind: type[Exception]) -> None:
    """A submit that surely was not sent says so; any other failure on the way is unknown. Never sent again."""
    error, wire, naps = await fail(submit, thrown(kind))
    sent = kind not in NEVER_SENT
    assert isinstance(error, SubmitUnknown) is sent
    assert error.charged == ("unknown" if sent else "no")
    assert (len(wire.asked), naps.taken) == (1, [])
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError])
async def test_no_connection(kind: type[Exception]) -> None:
    """Without a connection the service is unreachable, for a submit as for a question."""
    for act in (submit, balance):
        error, _, _ = await fail(act, made(kind))
        assert type(error) is Unreachable


async def test_cancelled() -> None:
    """Being cancelled is nobody's fault and passes through at once."""

    async def hang(request: httpx.Request) -> httpx.Response:
        raise asyncio.CancelledError

    for act in (submit, balance, download):
        with pytest.raises(asyncio.CancelledError):
            await act(speak(httpx.MockTransport(hang)))


# ---- waiting between tries


async def test_backs_off() -> None:
    """The pauses grow, are spread at random, and are the same for the same randomness."""
    _, _, naps = await fail(balance, httpx.Response(500))
    for pause, longest in zip(naps.taken, (0.5, 1, 2, 4, 8), strict=True):
        assert longest / 2 <= pause <= longest
    assert len({pause / longest for pause, longest in zip(naps.taken, (0.5, 1, 2, 4, 8), strict=True)}) == 5
    _, _, again = await fail(balance, httpx.Response(500))
    assert again.taken == naps.taken


@pytest.mark.parametrize("status", [429, 503])
async def test_honours_retry_after(status: int) -> None:
    """The service's own pause is kept, where it is longer than ours, and the person is told by the error."""
    error, _, naps = await fail(balance, refusal(status, Retry_After="9"), attempts=3)
    assert naps.taken == [9, 9]
    assert isinstance(error, RateLimited if status == 429 else ServiceBroken)
    assert getattr(error, "retry_after", None) == 9


@pytest.mark.parametrize("value", ["0", "0.01"])
async def test_retry_after_of_nothing(value: str) -> None:
    """A service that says "at once" is not asked without any pause."""
    _, _, naps = await fail(balance, refusal(429, Retry_After=value), attempts=2)
    assert naps.taken[0] >= 0.25


async def test_submit_retry_after() -> None:
    """A refused submit tells how long to wait, for whoever may send it again."""
    error, _, _ = await fail(submit, refusal(429, Retry_After="30"))
    assert isinstance(error, RateLimited) and error.retry_after == 30


@pytest.mark.parametrize("attempts", [1, 2, 9])
async def test_attempts(attempts: int) -> None:
    """The number of tries is configuration."""
    _, wire, naps = await fail(balance, httpx.Response(500), attempts=attempts)
    assert (len(wire.asked), len(naps.taken)) == (attempts, attempts - 1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("1", 1),
        (" 7 ", 7),
        ("2.5", 2.5),
        ("1e1", 10),
        ("60", 60),
        ("61", 60),
        ("86400", 60),
        ("1e30", 60),
        ("9" * 5000, None),
        ("1e999", None),
        ("-1", None),
        ("-0.5", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("soon", None),
        ("10 s", None),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 12:00:30", 30),
        ("Sat, 21 Nov 2026 14:00:30 +0200", 30),
        ("Sat, 21 Nov 2026 11:59:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Fri, 31 Dec 2027 23:59:59 GMT", 60),
        ("Sat, 99 Nov 2026 12:00:30 GMT", None),
        ("Sat, 21 Nov 99999 12:00:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Retry-After is seconds or a date; nonsense is no answer, a past date is now, a long one is cut."""
    assert retry_after(value, NOW) == seconds


@given(st.text())
def test_retry_after_of_anything(value: str) -> None:
    """No header breaks the reading, and none makes it wait long or backwards."""
    seconds = retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= 60


# ---- over real sockets

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    running = await asyncio.start_server(closing, "127.0.0.1", 0)
    host, port = running.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        running.close()


async def asked_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


def http(body: bytes, *, length: int | None = None, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length or len(body)}\r\n\r\n".encode() + body


GOOD = json.dumps({"code": 200, "message": "success", "data": {**RECORD, "balance": 1}}).encode()


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 200 OK\r\nContent-", http(GOOD[:40], length=len(GOOD)), b"nonsense\r\n\r\n"]
)
async def test_submit_cut_off(reply: bytes) -> None:
    """A connection that breaks anywhere in the answer leaves the submit unknown, and arrives exactly once."""
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await asked_of(reader))
        writer.write(reply)

    async with server(serve) as url:
        client = speak(None, base_url=url)
        with pytest.raises(SubmitUnknown):
            await submit(client)
        await client.aclose()
    assert len(arrived) == 1


async def test_submit_on_a_stale_connection() -> None:
    """A kept connection that breaks under the submit does not make it be sent a second time."""
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked_of(reader)
        writer.write(http(GOOD))
        arrived.append(await asked_of(reader))

    async with server(serve) as url:
        client = speak(None, base_url=url)
        assert await balance(client) == 1
        with pytest.raises(SubmitUnknown):
            await submit(client)
        await client.aclose()
    assert len(arrived) == 1
    assert arrived[0].startswith(b"POST ")


async def test_connection_is_kept() -> None:
    """One connection serves one question after the other."""
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        for _ in range(5):
            await asked_of(reader)
            writer.write(http(GOOD))

    async with server(serve) as url:
        client = speak(None, base_url=url)
        for _ in range(5):
            await balance(client)
        await client.aclose()
    assert opened == 1


async def test_nobody_listens() -> None:
    """A refused connection is unreachable, and a submit then has surely cost nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nobody should be connected")

    async with server(serve) as url:
        pass
    client = speak(None, base_url=url)
    with pytest.raises(Unreachable) as caught:
        await submit(client)
    assert caught.value.charged == "no"
    await client.aclose()


async def test_download_cut_off_on_the_wire() -> None:
    """A download cut in the middle by the network is fetched anew, whole."""
    data, served = jpeg((200, 200)), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await asked_of(reader)
        writer.write(http(data if served > 1 else data[:1000], length=len(data)))

    async with server(serve) as url:
        client = speak(None, base_url=url)
        assert (await client.download(f"{url}/out")).data == data
        await client.aclose()
    assert served == 2


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
async def test_secret_stays_secret(level: int, caplog: pytest.LogCaptureFixture) -> None:
    """A planted key, even one that the service repeats, is in no log, no error, no repr, at any level."""
    caplog.set_level(level)
    echo = json.dumps({"code": 400, "message": f"bad key {SECRET}, Authorization: Bearer {SECRET}"}).encode()
    arrived: list[bytes] = []
    replies = [http(GOOD), http(echo, status="400 Bad Request"), http(echo, status="503 Busy"), b"", http(GOOD[:9])]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await asked_of(reader))
        writer.write(replies[len(arrived) - 1])

    seen: list[str] = []
    async with server(serve) as url:
        client = speak(None, base_url=url)
        await balance(client)
        for act in (submit, submit, submit, submit):
            with pytest.raises(ServiceError) as caught:
                await act(client)
            seen += [str(caught.value), repr(caught.value), repr(vars(caught.value))]
        seen += [repr(client), str(client)]
        await client.aclose()
    assert all(SECRET.encode() in asked for asked in arrived) and len(arrived) == 5
    assert any(record.name.startswith("http") for record in caplog.records)
    for record in caplog.records:
        seen += [record.getMessage(), repr(record.args), str(record.exc_text)]
    assert not [text for text in seen if SECRET in text]


def test_limits_keep_every_connection() -> None:
    """As many connections may be kept as may be open: else busy ones would push idle ones out."""
    assert LIMITS.max_keepalive_connections == LIMITS.max_connections
