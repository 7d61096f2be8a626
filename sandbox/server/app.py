"""The routes of the API and of its storage, and the envelope that every answer comes in."""

from __future__ import annotations

import asyncio
import json
import math
import random as randomness
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive

from sandbox.server import webhooks
from sandbox.server.rules import MODELS, Model, Refused, check_value
from sandbox.server.tasks import (
    KEPT,
    LARGEST_UPLOAD,
    SERVED_TYPES,
    TICKET_LIFE,
    Account,
    File,
    Prediction,
    Service,
    iso,
)
from sandbox.server.webhooks import Webhooks

LARGEST_JSON = 1024 * 1024
FORM_OVERHEAD = 64 * 1024
REFUSED_KEY = "wsk_invalid"
SYNC_TIMED_OUT = 5004
PAGE = {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1}
PAGE_SIZE = {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}

Sleep = Callable[[float], Awaitable[object]]


def create_app(
    *,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.time,
    sleep: Sleep = asyncio.sleep,
    random: randomness.Random | None = None,
    balance: Decimal = Decimal("10.00"),
    endless: bool = False,
    base_url: str | None = None,
    sync_limit: float = 90.0,
    at_once: int | None = None,
    threads: Executor | None = None,
    calls: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """The sandbox as a Starlette application.

    `seconds`: how long a prediction takes by `clock`. `sleep`: how sync mode waits, at most `sync_limit`
    seconds. `random`: where ids and drawn seeds come from (default: the system's, not to be guessed).
    `at_once`: how many predictions of one key run at once, the others wait (default: any number).
    `balance`: USD that every key starts with; nothing is taken off where it is `endless`. `base_url`: what URLs in
    answers begin with (default: whatever address the request came to). `threads`: where pictures are drawn (default:
    two of its own); they are closed with the application's lifespan, or by whoever hands them in and runs it without
    one. `calls` carries what is sent to webhooks (default: the network). All its state is in itself.
    """
    threads = threads or ThreadPoolExecutor(max_workers=2, thread_name_prefix="sandbox")
    dice = random or randomness.SystemRandom()
    service = Service(
        seconds=seconds, clock=clock, dice=dice, start=balance, endless=endless, threads=threads, at_once=at_once
    )
    calling = Webhooks(clock, sleep, calls)
    api = Api(service, calling, sleep=sleep, base_url=base_url, sync_limit=sync_limit)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        calling.close()
        threads.shutdown(wait=False, cancel_futures=True)

    return Starlette(
        routes=api.routes(),
        lifespan=lifespan,
        exception_handlers={Refused: _refusal, HTTPException: _http_refusal, Exception: _broken},
    )


class Api:
    """One method a route; each says what it answers, the Service does it."""

    def __init__(
        self, service: Service, calling: Webhooks, *, sleep: Sleep, base_url: str | None, sync_limit: float
    ) -> None:
        self._service = service
        self._calling = calling
        self._sleep = sleep
        self._base_url = base_url
        self._sync_limit = sync_limit

    def routes(self) -> list[Route]:
        v3 = "/api/v3"
        return [
            Route("/", self.about, methods=["GET"]),
            Route("/storage/{token}/{name}", self.download, methods=["GET"]),
            Route("/storage/{token}/{name}", self.put, methods=["PUT"]),
            Route(f"{v3}/predictions/{{id}}/result", self.result, methods=["GET"]),
            Route(f"{v3}/predictions/{{id}}", self.result, methods=["GET"]),
            Route(f"{v3}/predictions", self.history, methods=["POST"]),
            Route(f"{v3}/webhook/secret", self.webhook_secret, methods=["GET"]),
            Route(f"{v3}/balance", self.balance, methods=["GET"]),
            Route(f"{v3}/models", self.models, methods=["GET"]),
            Route(f"{v3}/model/price", self.price, methods=["POST"]),
            Route(f"{v3}/model/pricing", self.pricing, methods=["POST"]),
            Route(f"{v3}/billings/search", self.billings, methods=["POST"]),
            Route(f"{v3}/media/uploads", self.ticket, methods=["POST"]),
            Route(f"{v3}/media/upload/binary", self.upload, methods=["POST"]),
            Route(f"{v3}/{{model:path}}", self.submit, methods=["POST"]),
        ]

    async def about(self, _: Request) -> Response:
        return JSONResponse(
            {
                "name": "sandbox",
                "about": "Speaks the API at /api/v3 without a model. Any key will do; nothing is charged.",
                "models": list(MODELS),
            }
        )

    # predictions

    async def submit(self, request: Request) -> Response:
        account = self._account(request)
        model = _model(request.path_params["model"])
        inputs = model.check(await _json(request))
        webhook = request.query_params.get("webhook")
        if webhook is not None:
            webhooks.check(webhook, inputs)
        prediction = self._service.submit(account, model, inputs)
        if webhook is not None:
            self._calling.begin(webhook, _key(request), lambda: self._ended(request, prediction))
        if inputs["enable_sync_mode"]:
            return await self._wait(request, prediction)
        return _envelope(self._describe(request, prediction))

    async def _wait(self, request: Request, prediction: Prediction) -> Response:
        left = prediction.due - self._service.clock()
        await self._sleep(max(0.0, min(left, self._sync_limit)))
        if left <= self._sync_limit:
            await self._finish(request, prediction)
            return _envelope(self._describe(request, prediction))
        late = {
            "status": "processing",
            "code": SYNC_TIMED_OUT,
            "error": "Sync mode timed out. Query the result later.",
        }
        return _envelope({**self._describe(request, prediction), **late})

    async def _ended(self, request: Request, prediction: Prediction) -> dict[str, Any]:
        """The prediction at its end as webhooks get it: bare, with what was asked for as `input` (D)."""
        await self._sleep(max(0.0, prediction.due - self._service.clock()))
        await self._finish(request, prediction)
        return {**self._describe(request, prediction), "input": prediction.inputs}

    async def webhook_secret(self, request: Request) -> Response:
        self._account(request)
        return _envelope({"secret": webhooks.secret_of(_key(request))})

    async def result(self, request: Request) -> Response:
        prediction = self._service.find(self._account(request), request.path_params["id"])
        await self._settle(request, [prediction])
        return _envelope(self._describe(request, prediction))

    async def history(self, request: Request) -> Response:
        account = self._account(request)
        query = await _json_object(request)
        page, size = _whole(query, "page", PAGE), _whole(query, "page_size", PAGE_SIZE)
        after, before = _moment(query, "created_after"), _moment(query, "created_before")
        found = self._service.history(account)
        await self._settle(request, found)
        now = self._service.clock()
        kept = [
            prediction
            for prediction in found
            if query.get("model") in (None, "", prediction.model.id)
            and query.get("status") in (None, "", prediction.status(now))
            and (after is None or prediction.created >= after)
            and (before is None or prediction.created <= before)
        ]
        shown = kept[(page - 1) * size : page * size]
        items = [self._describe(request, p, inputs=bool(query.get("include_inputs"))) for p in shown]
        return _envelope({"page": page, "page_size": size, "total": len(kept), "items": items})

    async def _settle(self, request: Request, predictions: list[Prediction]) -> None:
        now = self._service.clock()
        for prediction in predictions:
            if now >= prediction.due and not prediction.finished:
                await self._finish(request, prediction)

    async def _finish(self, request: Request, prediction: Prediction) -> None:
        await self._service.finish(prediction, self._base(request))

    def _describe(self, request: Request, prediction: Prediction, *, inputs: bool = False) -> dict[str, Any]:
        failure = prediction.failure if prediction.finished else None
        spent = round(1000 * (prediction.due - prediction.begins)) if prediction.finished else 0
        about: dict[str, Any] = {
            "id": prediction.id,
            "model": prediction.model.id,
            "status": prediction.status(self._service.clock()),
            "outputs": prediction.outputs,
            "urls": {"get": f"{self._base(request)}/api/v3/predictions/{prediction.id}/result"},
            "has_nsfw_contents": prediction.flags(),
            "created_at": iso(prediction.created),
            "error": failure.message if failure else "",
            "code": failure.code if failure else 0,
            "executionTime": spent,
            "timings": {"inference": spent},
        }
        return {**about, "inputs": prediction.inputs} if inputs else about

    # money

    async def balance(self, request: Request) -> Response:
        account = self._account(request)
        await self._settle(request, self._service.history(account))
        return _envelope({"balance": float(account.balance)})

    async def price(self, request: Request) -> Response:
        model, listed, cost = await self._cost(request)
        # A discount belongs to an account; what rate the service writes is assumed (A).
        rate = max(0.0, round(1 - cost / listed, 6))
        about = {"model_id": model.id, "price": max(listed, cost), "discounted_price": cost, "discount_rate": rate}
        return _envelope({**about, "currency": "USD"})

    async def pricing(self, request: Request) -> Response:
        model, _, cost = await self._cost(request)
        return _envelope({"model_id": model.id, "unit_price": cost, "currency": "USD"})

    async def _cost(self, request: Request) -> tuple[Model, float, float]:
        """The model, what it costs by the list and what it costs this account, in USD."""
        account = self._account(request)
        asked = await _json_object(request)
        inputs = asked.get("inputs", {})
        if not isinstance(inputs, dict):
            raise Refused(400, 'field "inputs" must be of type object')
        model = _model(str(asked.get("model_id", "")))
        listed, cost = float(model.cost(inputs)), float(account.price(model, inputs))
        account.told.add(model.id)
        return model, listed, cost

    async def billings(self, request: Request) -> Response:
        account = self._account(request)
        query = await _json_object(request)
        page, size = _whole(query, "page", _required(PAGE)), _whole(query, "page_size", _required(PAGE_SIZE))
        ids, kind = query.get("prediction_uuids"), query.get("billing_type")
        if ids is not None and not isinstance(ids, list):
            raise Refused(400, 'field "prediction_uuids" must be of type array')
        since, until = _epoch(query, "start_time", 0), _epoch(query, "end_time", math.inf)
        found = [p for p in self._service.history(account) if not ids or p.id in ids]
        await self._settle(request, found)
        now = self._service.clock()
        found = [p for p in found if since <= 1000 * p.created <= until and kind in (None, "", "deduct")]
        items = [_bill(prediction, now) for prediction in found[(page - 1) * size : page * size]]
        return _envelope({"page": page, "total": len(found), "items": items})

    async def models(self, request: Request) -> Response:
        self._account(request)
        return _envelope([model.catalogue_entry() for model in MODELS.values()])

    # files

    async def ticket(self, request: Request) -> Response:
        self._account(request)
        asked = await _json_object(request)
        size = _whole(asked, "size", {"type": "integer", "minimum": 1, "maximum": 2**40})
        kind = str(asked.get("content_type") or "application/octet-stream")
        file = self._service.ticket(self._base(request), str(asked.get("filename") or ""), size, kind)
        headers = {"Content-Type": file.content_type, "If-None-Match": "*"}
        upload = {"method": "PUT", "url": f"{file.url}?ticket={file.ticket}", "headers": headers}
        expires = iso(file.expires - KEPT + TICKET_LIFE)
        return _envelope({**_about_file(file), "upload": upload, "expires_at": expires})

    async def put(self, request: Request) -> Response:
        """Takes the bytes as storage does: a signed URL, the signed headers and nothing else, once."""
        _refuse_key(request)
        file = self._file(request)
        if not file.ticket or request.query_params.get("ticket") != file.ticket or self._late(file):
            raise Refused(403, "This upload URL is not valid, or no longer")
        sent = (request.headers.get("content-type"), request.headers.get("if-none-match"))
        if sent != (file.content_type, "*"):
            raise Refused(403, "The headers are not the ones that were signed")
        content = await _body(request, LARGEST_UPLOAD)
        if file.content is not None:
            raise Refused(412, "The file is already there")
        if len(content) != file.size:
            raise Refused(400, "The file does not have the size that was announced")
        file.content = content
        self._service.uploads.trim()
        return Response(status_code=200)

    def _late(self, file: File) -> bool:
        return self._service.clock() > file.expires - KEPT + TICKET_LIFE

    async def upload(self, request: Request) -> Response:
        """The older upload: one multipart request, field `file`."""
        self._account(request)
        limited = Request(request.scope, _limited(request.receive, LARGEST_UPLOAD + FORM_OVERHEAD))
        async with limited.form(max_files=1, max_fields=10) as form:
            part = form.get("file")
            if not isinstance(part, UploadFile):
                raise Refused(400, 'field "file" is required')
            content = await part.read()
            kind = part.content_type or "application/octet-stream"
            file = self._service.ticket(self._base(request), part.filename or "", len(content), kind)
        file.content, file.ticket = content, ""
        self._service.uploads.trim()
        return _envelope(_about_file(file))

    async def download(self, request: Request) -> Response:
        _refuse_key(request)
        file = self._file(request)
        if file.content is None:
            raise Refused(404, "File not found")
        kept = SERVED_TYPES | {"binary/octet-stream"}
        # A file is served as a picture or as bytes, never as a page that a browser would run.
        kind = file.content_type if file.content_type in kept else "application/octet-stream"
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private"}
        return Response(file.content, media_type=kind, headers=headers)

    def _file(self, request: Request) -> File:
        file = self._service.stored(request.path_params["token"])
        if file is None or not file.url.endswith("/" + request.path_params["name"]):
            raise Refused(404, "File not found")
        return file

    # what every route needs

    def _base(self, request: Request) -> str:
        return (self._base_url or str(request.base_url)).rstrip("/")

    def _account(self, request: Request) -> Account:
        """The account behind the key. Raises Refused (401)."""
        return self._service.account(_key(request))


def _key(request: Request) -> str:
    """Raises Refused (401)."""
    scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key or key == REFUSED_KEY:
        raise Refused(401, "Invalid API key")
    return key


def _refuse_key(request: Request) -> None:
    # Storage is another host in life: a key sent there has leaked.
    if "authorization" in request.headers:
        raise Refused(400, "Storage takes no Authorization header")


def _bill(prediction: Prediction, now: float) -> dict[str, Any]:
    """A billing record, there from the submit on (D). A refund is taken off it: how one reads is not known (A)."""
    price, state = float(prediction.charge), "done" if prediction.finished else "pre"
    return {
        "uuid": f"bill-{prediction.id}",
        "billing_type": "deduct",
        "price": price,
        "created_at": iso(prediction.created),
        "order": {
            "uuid": f"order-{prediction.id}",
            "state": state,
            "price": price,
            "origin_price": float(prediction.price),
        },
        "prediction": {
            "uuid": prediction.id,
            "model_uuid": prediction.model.id,
            "status": prediction.status(now),
        },
        "access_key_name": "sandbox",
    }


def _model(id: str) -> Model:
    if id not in MODELS:
        raise Refused(404, "Model not found")
    return MODELS[id]


def _about_file(file: File) -> dict[str, Any]:
    return {
        "type": file.content_type.partition("/")[0] if file.content_type in SERVED_TYPES else "file",
        "download_url": file.url,
        "filename": file.url.rsplit("/", 1)[-1],
        "size": file.size,
    }


def _whole(query: dict[str, Any], name: str, rule: dict[str, Any]) -> int:
    if name not in query and "default" not in rule:
        raise Refused(400, f'field "{name}" is required')
    value: Any = query.get(name, rule.get("default"))
    check_value(name, rule, value)
    return int(value)


def _required(rule: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != "default"}


def _epoch(query: dict[str, Any], name: str, default: float) -> float:
    """Milliseconds since the epoch, which come as text (D)."""
    text = query.get(name)
    if text in (None, ""):
        return default
    if not isinstance(text, str) or not text.isdecimal():
        raise Refused(400, f'field "{name}" must be milliseconds since the epoch')
    return float(text)


def _moment(query: dict[str, Any], name: str) -> float | None:
    """Seconds since the epoch; a time without a zone is UTC."""
    text = query.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Refused(400, f'field "{name}" must be an ISO time') from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


# bodies


def _limited(receive: Receive, most: int) -> Receive:
    """The same messages, until they carry more than `most` bytes."""
    total = 0

    async def limited() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise Refused(413, "Request is too large")
        return message

    return limited


async def _body(request: Request, most: int) -> bytes:
    return await Request(request.scope, _limited(request.receive, most)).body()


async def _json(request: Request) -> object:
    try:
        return json.loads(await _body(request, LARGEST_JSON), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "request body must be JSON") from None


def _no_constant(name: str) -> None:
    # Python reads NaN and Infinity, JSON does not know them.
    raise ValueError(name)


async def _json_object(request: Request) -> dict[str, Any]:
    body = await _json(request)
    if not isinstance(body, dict):
        raise Refused(400, "request body must be a JSON object")
    return body


# answers


def _envelope(data: object) -> Response:
    return JSONResponse({"code": 200, "message": "success", "data": data})


def _refused(status: int, message: str, code: int) -> Response:
    return JSONResponse({"code": code, "message": message, "data": None}, status_code=status)


async def _refusal(_: Request, wrong: Exception) -> Response:
    assert isinstance(wrong, Refused)
    return _refused(wrong.status, wrong.message, wrong.code)


async def _http_refusal(_: Request, wrong: Exception) -> Response:
    """What no route takes is refused as the service's outer layer does it, without an envelope (D)."""
    assert isinstance(wrong, HTTPException)
    return JSONResponse({"error": wrong.detail}, status_code=wrong.status_code)


async def _broken(_: Request, __: Exception) -> Response:
    return _refused(500, "Internal error", 5000)
