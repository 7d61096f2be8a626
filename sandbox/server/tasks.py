"""What the sandbox remembers: accounts, predictions and files, all in memory and all bounded."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sandbox.collage import pictures
from sandbox.server.rules import Model, Refused, size_of

DAY = 24 * 3600
KEPT = 7 * DAY  # predictions, uploads and outputs alike (D)
TICKET_LIFE = 3600
LARGEST_UPLOAD = 20 * 1024 * 1024
SHELF_BYTES = 256 * 1024 * 1024
MOST_PREDICTIONS = 300
MOST_ACCOUNTS = 1000
DISCOUNT_KEY, RISING_KEY = "wsk_discount", "wsk_rising"  # what keys begin with whose accounts pay other prices
RISE = Decimal("1.25")
SLOW_FACTOR, SLOW_LEAST = 10, 20.0
SERVED_TYPES = frozenset(f"image/{kind}" for kind in ("jpeg", "png", "webp", "gif", "bmp", "x-ms-bmp", "tiff"))


@dataclass(frozen=True)
class Failure:
    """How a task ends without pictures: the task code and the sentence that goes with it."""

    code: int
    message: str


MODERATED = Failure(1200, "Content flagged as potentially sensitive. Please try different prompts or images.")
EXECUTION_FAILED = Failure(1403, "Execution failed. The sandbox was asked to fail.")


def unfetchable(number: int) -> Failure:
    return Failure(1402, f"Failed to fetch media URL: image {number} can't be read.")


@dataclass
class Account:
    """The balance in USD of one key; an endless one is never less.

    It pays `share` of the list's prices. Where it `rises`, a model costs a quarter more once its price was told.
    """

    balance: Decimal
    endless: bool = False
    share: Decimal = Decimal(1)
    rises: bool = False
    told: set[str] = field(default_factory=set)

    def price(self, model: Model, inputs: Mapping[str, Any]) -> Decimal:
        """USD that these inputs cost this account just now."""
        return model.cost(inputs) * self.share * (RISE if self.rises and model.id in self.told else 1)

    def add(self, amount: Decimal) -> None:
        if not self.endless:
            self.balance += amount


@dataclass
class Prediction:
    """One submitted request; times in seconds since the epoch. `price` in USD by the list; `charge`: what it costs this
    account, and what is left of that after a refund.
    """

    id: str
    account: Account
    model: Model
    inputs: dict[str, Any]
    charge: Decimal
    price: Decimal
    seed: int
    created: float
    begins: float
    due: float
    references: list[bytes]
    failure: Failure | None
    outputs: list[str] = field(default_factory=list)
    finished: bool = False
    finishing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def status(self, now: float) -> str:
        if self.finished:
            return "failed" if self.failure else "completed"
        return "created" if now < self.begins + 0.1 * (self.due - self.begins) else "processing"

    @property
    def prompt(self) -> str:
        return str(self.inputs["prompt"])

    def flags(self) -> list[bool] | None:
        """One bool an output, None before there are any; the word `[sandbox:flagged]` flags the last."""
        flags = [False] * len(self.outputs)
        if not self.finished:
            return None
        if flags and "[sandbox:flagged]" in self.prompt:
            flags[-1] = True
        return flags


@dataclass
class File:
    """One stored file; `content` is None while its ticket waits for the bytes."""

    url: str
    content_type: str
    expires: float
    content: bytes | None = None
    ticket: str = ""
    size: int = 0


class Shelf:
    """Files by their token; past `limit` bytes the oldest go."""

    def __init__(self, limit: int = SHELF_BYTES, most: int = 5000) -> None:
        self._files: OrderedDict[str, File] = OrderedDict()
        self._limit = limit
        self._most = most

    def put(self, token: str, file: File) -> None:
        self._files[token] = file
        self.trim()

    def trim(self) -> None:
        total = sum(len(file.content or b"") for file in self._files.values())
        while len(self._files) > 1 and (total > self._limit or len(self._files) > self._most):
            _, dropped = self._files.popitem(last=False)
            total -= len(dropped.content or b"")

    def get(self, token: str, now: float) -> File | None:
        file = self._files.get(token)
        return file if file is not None and now < file.expires else None


class Service:
    """Everything behind the routes; a prediction takes `seconds`, every key starts with `start` USD.

    Pictures are drawn in `threads`. Where balances are `endless`, nothing is taken off them. `at_once`: how many of a
    key's predictions run at once; a further one is taken, and waits until one ends (D).
    """

    def __init__(
        self,
        *,
        seconds: float,
        clock: Callable[[], float],
        dice: random.Random,
        start: Decimal,
        endless: bool,
        threads: Executor,
        at_once: int | None = None,
    ) -> None:
        self.seconds = seconds
        self.at_once = at_once
        self.clock = clock
        self.dice = dice
        self.start = start
        self.endless = endless
        self._threads = threads
        self.uploads = Shelf()
        self.outputs = Shelf()
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._predictions: OrderedDict[str, Prediction] = OrderedDict()

    # accounts

    def account(self, key: str) -> Account:
        """The account of a key, made on first sight; the key itself is not kept."""
        name = hashlib.sha256(key.encode()).hexdigest()
        share = Decimal("0.8") if key.startswith(DISCOUNT_KEY) else Decimal(1)
        fresh = Account(self.start, self.endless, share, rises=key.startswith(RISING_KEY))
        account = self._accounts.setdefault(name, fresh)
        self._accounts.move_to_end(name)
        if len(self._accounts) > MOST_ACCOUNTS:
            self._accounts.popitem(last=False)
        return account

    # files

    def token(self) -> str:
        return f"{self.dice.getrandbits(128):032x}"

    def ticket(self, base: str, filename: str, size: int, content_type: str) -> File:
        """A place for one upload, open for an hour. Raises Refused (413) over 20 MB."""
        if size > LARGEST_UPLOAD:
            raise Refused(413, "File size exceeds the 20 MB limit")
        token = self.token()
        url = f"{base}/storage/{token}/{safe_name(filename)}"
        file = File(url, content_type, self.clock() + KEPT, ticket=self.token(), size=size)
        self.uploads.put(token, file)
        return file

    def stored(self, token: str) -> File | None:
        now = self.clock()
        return self.uploads.get(token, now) or self.outputs.get(token, now)

    def fetch(self, url: str) -> bytes | None:
        """The bytes behind a URL that was given out here; nothing is ever fetched from elsewhere."""
        parts = url.split("/storage/", 1)[-1].split("/")
        file = self.stored(parts[0])
        return file.content if file is not None and file.url == url else None

    # predictions

    def submit(self, account: Account, model: Model, inputs: dict[str, Any]) -> Prediction:
        """Charges the account and makes a prediction. Raises Refused where the credit does not reach."""
        charge = account.price(model, inputs)
        prompt = inputs["prompt"]
        if "[sandbox:no-credit]" in prompt or account.balance < charge:
            # 400, not 402: this is the answer that was seen (O).
            raise Refused(400, "Insufficient credits. Please top up.")
        account.add(-charge)
        references = [self.fetch(url) for url in inputs.get("images", ())]
        now = self.clock()
        begins = self._begins(account, now)
        prediction = Prediction(
            id=self.token(),
            account=account,
            model=model,
            inputs=inputs,
            charge=charge,
            price=model.cost(inputs),
            seed=self._seed(inputs),
            created=now,
            begins=begins,
            due=begins + self._duration(prompt),
            references=[content for content in references if content is not None],
            failure=_failure(prompt, references),
        )
        self._remember(prediction)
        return prediction

    def _begins(self, account: Account, now: float) -> float:
        """When a prediction that comes now has a place."""
        ends = sorted(p.due for p in self._predictions.values() if p.account is account and p.due > now)
        return now if self.at_once is None or len(ends) < self.at_once else ends[-self.at_once]

    def _seed(self, inputs: Mapping[str, Any]) -> int:
        seed = int(inputs.get("seed", -1))
        return self.dice.randrange(2**31) if seed < 0 else seed

    def _duration(self, prompt: str) -> float:
        slow = "[sandbox:slow]" in prompt
        return max(SLOW_LEAST, SLOW_FACTOR * self.seconds) if slow else self.seconds

    def _remember(self, prediction: Prediction) -> None:
        self._predictions[prediction.id] = prediction
        while len(self._predictions) > MOST_PREDICTIONS:
            self._predictions.popitem(last=False)

    def find(self, account: Account, id: str) -> Prediction:
        """Raises Refused (404): unknown, another key's, or older than seven days."""
        prediction = self._predictions.get(id)
        if prediction is None or prediction.account is not account or self._gone(prediction):
            raise Refused(404, "Prediction not found")
        return prediction

    def history(self, account: Account) -> list[Prediction]:
        """Newest first."""
        own = [p for p in self._predictions.values() if p.account is account and not self._gone(p)]
        return own[::-1]

    def _gone(self, prediction: Prediction) -> bool:
        return self.clock() - prediction.created > KEPT

    async def finish(self, prediction: Prediction, base: str) -> None:
        """Makes the pictures, or refunds the failure; once, however many ask at a time."""
        async with prediction.finishing:
            if not prediction.finished:
                ending = asyncio.get_running_loop().run_in_executor(self._threads, _ending, prediction)
                self._settle(prediction, base, *await ending)

    def _settle(self, prediction: Prediction, base: str, contents: list[bytes], failure: Failure | None) -> None:
        prediction.failure = failure
        prediction.outputs = [self._output(prediction, base, n, c) for n, c in enumerate(contents, 1)]
        # Failed tasks are refunded within three hours (D), here at once. Whether moderated
        # ones are is not said: they are assumed to stay charged (A).
        if failure and failure.code != MODERATED.code:
            prediction.account.add(prediction.charge)
            prediction.charge = Decimal(0)
        prediction.references = []
        prediction.finished = True

    def _output(self, prediction: Prediction, base: str, number: int, content: bytes) -> str:
        """What stands in `outputs` for one picture: bare base64 where that was asked for, or a URL."""
        if prediction.inputs.get("enable_base64_output"):
            return base64.b64encode(content).decode("ascii")
        token = self.token()
        url = f"{base}/storage/{token}/{number}.{prediction.inputs.get('output_format', 'jpeg')}"
        self.outputs.put(token, File(url, _content_type(prediction), self.clock() + KEPT, content))
        return url


def _ending(prediction: Prediction) -> tuple[list[bytes], Failure | None]:
    if prediction.failure:
        return [], prediction.failure
    try:
        return render(prediction), None
    except pictures.Unreadable as wrong:
        return [], unfetchable(wrong.number)


def render(prediction: Prediction) -> list[bytes]:
    """The encoded pictures of a prediction. Raises pictures.Unreadable."""
    inputs = prediction.inputs
    return pictures.compose(
        prediction.references,
        prediction.prompt,
        seed=prediction.seed,
        count=inputs.get("num_images", 1),
        size=size_of(inputs["size"]) if "size" in inputs else None,
        ratio=inputs.get("aspect_ratio"),
        format=inputs.get("output_format", "jpeg"),
    )


def _content_type(prediction: Prediction) -> str:
    # max has been seen to serve its pictures like this (O).
    if prediction.model.id.endswith("max/multi"):
        return "binary/octet-stream"
    return f"image/{prediction.inputs.get('output_format', 'jpeg')}"


def _failure(prompt: str, references: list[bytes | None]) -> Failure | None:
    if "[sandbox:moderated]" in prompt:
        return MODERATED
    if "[sandbox:failed]" in prompt:
        return EXECUTION_FAILED
    missing = [number for number, content in enumerate(references, 1) if content is None]
    return unfetchable(missing[0]) if missing else None


def safe_name(filename: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", filename).strip(".-")[-80:]
    return name or "upload"


def iso(seconds: float) -> str:
    """UTC, milliseconds, with the Z that the service writes."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
