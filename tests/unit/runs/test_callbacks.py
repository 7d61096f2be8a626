"""The service calls back: what a call brings about, and all that it does not."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from running import KEY, Forward, House, answer, calm, lost_after, lost_before, rewritten

from core.ledger.run import Run
from core.runs.reconcile import AWAITED
from core.service.account import Account
from core.service.prediction import Prediction
from sandbox.server.webhooks import secret_of, signed

pytestmark = pytest.mark.anyio

PUBLIC = "https://studio.example"

Change = Callable[[dict[str, Any]], None]


class Called(House):
    """A house that the service can reach. It hears only the calls that a test makes."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.here: Account | None = None
        super().__init__(folder, public_url=PUBLIC, account_of=lambda _: self.here, **settings)
        self.here = self.account
        self.addresses: list[str] = []
        self.answered: Any = None

    async def note(self, request: httpx.Request, forward: Forward) -> httpx.Response:
        """A submit whose address is remembered, and answered as `answered` says; the sandbox is not told of it."""
        self.addresses.append(request.url.params["webhook"])
        request.url = request.url.copy_remove_param("webhook")
        return await (self.answered or _plainly)(request, forward)

    async def lost(self, **asked: Any) -> Run:
        """A run whose submit nobody answers, while all time stands still."""
        self.wire.always["submit"], self.answered = self.note, lost_after
        self.time.going.clear()
        before = len(self.addresses)
        run = await self.press(**asked)
        run = await self.until(run, lambda now: now.notice == AWAITED)
        while len(self.addresses) - before < len(run.predictions):
            await asyncio.to_thread(self.told)
        return run

    async def call(self, number: int = -1, *, change: Change = lambda _: None, **forged: Any) -> bool:
        """The service calls about the submit of that number, with whatever is changed in what it says."""
        self.time.now += timedelta(seconds=2)
        about = (await self.created())[::-1][number]
        return await self.said(self.addresses[number], about, change, **forged)

    async def said(self, address: str, about: Prediction, change: Change, key: str = KEY, age: int = 0) -> bool:
        told = {**about.answer, "input": about.answer["inputs"], "status": "completed"}
        del told["inputs"]
        change(told)
        body = json.dumps(told).encode()
        headers = signed(secret_of(key), about.id, int(self.time.now.timestamp()) - age, body)
        return await self.runs.called(urlsplit(address).path.rpartition("/")[2], headers, body)

    def told(self) -> str | None:
        """The id that the last call named for a submit that is lost."""
        with self.ledger.reading() as connection:
            return connection.exec_driver_sql("SELECT max(told) FROM predictions WHERE prediction_id IS NULL").scalar()

    async def forgets(self) -> None:
        """What the last call said has been asked about, and was wrong; time stands still."""
        async with asyncio.timeout(20):
            while await asyncio.to_thread(self.told) is not None:
                pass

    def bytes(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.folder.glob("ledger.db*"))


async def _plainly(request: httpx.Request, forward: Forward) -> httpx.Response:
    return await forward(request)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Called]:
    house = Called(tmp_path / "data")
    yield house
    await house.aclose()


async def arrived(house: Called) -> None:
    """One run that the service has called about, so that it is known to."""
    house.wire.always["submit"] = house.note
    run = await house.run()
    await house.call()
    assert run.state == "completed"


# what is asked for


async def test_each_submit_names_an_address_of_its_own(house: Called) -> None:
    """128 random bits behind the app's address; the ledger has their hash alone, before the submit goes out."""
    kept: list[Any] = []

    async def look(request: httpx.Request, forward: Forward) -> httpx.Response:
        with house.ledger.reading() as connection:
            kept.append(connection.exec_driver_sql("SELECT callback FROM predictions").scalars().all())
        return await forward(request)

    house.wire.always["submit"], house.answered = house.note, look
    await house.run("max", 2)
    assert len(set(house.addresses)) == 2 and all(len(hashes) == 2 for hashes in kept)
    for address in house.addresses:
        assert re.fullmatch(rf"{PUBLIC}/callback/[0-9a-f]{{32}}", address)
        assert address[-32:].encode() not in house.bytes()


@pytest.mark.parametrize("settings", [{"kind": "sandbox", "public_url": PUBLIC}, {"kind": "host"}])
async def test_none_is_named_where_nobody_could_call(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Practice needs none, and neither does a copy that has no address."""
    house = House(tmp_path / "data", **settings)

    async def look(request: httpx.Request, forward: Forward) -> httpx.Response:
        assert not request.url.params
        return await forward(request)

    house.wire.always["submit"] = look
    assert (await house.run()).state == "completed" and house.wire.seen["secret"] == 0
    await house.aclose()


async def test_an_address_that_the_service_repeats_is_kept_nowhere(house: Called) -> None:
    """Whether it stands in the record of the task or in an error."""
    address = ""

    async def repeated(request: httpx.Request, forward: Forward) -> httpx.Response:
        nonlocal address
        address = request.url.params["webhook"]
        return await rewritten(lambda data: data.update(webhook=address, error=f"can't call {address}!"))(
            request, forward
        )

    house.wire.always["submit"] = repeated
    house.wire.always["result"] = rewritten(lambda data: data.update(status="failed", error=f"no call {address}"))
    run = await house.run()
    assert address[-32:].encode() not in house.bytes()
    assert address[-32:] not in repr(run) and "no call" in repr(run)


async def test_where_webhooks_are_not_taken_they_are_not_asked_for_again(house: Called) -> None:
    """That run fails and costs nothing; the next one goes through as if there were no webhooks."""
    house.wire.faults["submit"].append(answer(400, "unknown query parameter: webhook"))
    refused = await house.run()
    assert (refused.state, refused.charge) == ("failed", 0)

    async def look(request: httpx.Request, forward: Forward) -> httpx.Response:
        assert not request.url.params
        return await forward(request)

    house.wire.always["submit"] = look
    assert (await house.run()).state == "completed"


# the submit that was never answered


@pytest.mark.parametrize("secret", [True, False])
async def test_a_call_tells_what_nobody_answered(house: Called, secret: bool) -> None:
    """With the secret or without: the service is asked for what was named, and no history is searched."""
    if not secret:
        house.wire.always["secret"] = answer(404, "no such thing")
    run = await house.lost()
    assert await house.call()
    house.time.going.set()
    ended = await house.end_of(run)
    assert (ended.state, len(ended.outputs), house.wire.seen["history"]) == ("completed", 1, 0)
    assert house.wire.seen["submit"] == 1 and await house.billed() == house.spent()


async def test_equal_ones_each_get_their_own(house: Called) -> None:
    """Four submits without a seed, called about in another order: four tasks, none taken twice."""
    run = await house.lost(variant="max", pictures=4)
    for number in (2, 0, 3, 1):
        await house.call(number)
    house.time.going.set()
    ended = await house.end_of(run)
    assert len({p.id for p in ended.predictions}) == len(ended.outputs) == 4
    assert house.wire.seen["history"] == 0


@pytest.mark.parametrize(("lost", "looks"), [(False, 1), (True, 2)])
async def test_a_call_before_the_answer(house: Called, lost: bool, looks: int) -> None:
    """The submit is still under way: its answer counts, and where none comes, what the call has said."""

    async def early(request: httpx.Request, forward: Forward) -> httpx.Response:
        whole = await forward(request)
        await house.call()
        if lost:
            raise httpx.ReadTimeout("no answer")
        return whole

    house.wire.always["submit"], house.answered = house.note, early
    run = await house.run()
    assert (run.state, house.wire.seen["result"], house.wire.seen["history"]) == ("completed", looks, 0)


async def test_without_a_call_the_history_is_searched(house: Called) -> None:
    """A service that does not call is asked once the task should have ended, as it is without webhooks."""
    run = await house.lost()
    house.time.going.set()
    ended = await house.end_of(run)
    assert (ended.state, len(ended.outputs)) == ("completed", 1)
    assert house.wire.seen["history"] == 2  # one look: a page, and an empty one


async def test_a_restart_between_the_submit_and_the_call(house: Called) -> None:
    """The next process knows by the hash what a call is about."""
    run = await house.lost()
    await house.kill()
    await house.runs.resume_all(house.account)
    await house.until(run, lambda now: now.notice == AWAITED)
    assert await house.call()
    house.time.going.set()
    assert (await house.end_of(run)).state == "completed" and house.wire.seen["history"] == 0


async def test_a_restart_between_the_call_and_the_look(house: Called) -> None:
    """What was said is in the ledger before it is answered."""
    house.wire.always["result"] = lost_before
    await house.lost()
    assert await house.call()
    await house.kill()
    house.wire.always.pop("result")
    house.time.going.set()
    await house.runs.resume_all(house.account)
    await calm()
    (run,) = await house.runs.list_for("ann")
    assert (run.state, house.wire.seen["history"]) == ("completed", 0)


async def test_a_late_call_brings_back_what_was_given_up(house: Called) -> None:
    """The history has shown nothing, so it was said that nothing was created; the service tells better."""
    house.wire.always["history"] = rewritten(lambda data: data.update(items=[]))
    run = await house.lost()
    house.time.going.set()
    given_up = await house.end_of(run)
    assert (given_up.state, given_up.charge, house.spent()) == ("failed", 0, 0)
    house.wire.always.pop("history")
    assert await house.call()
    await calm()
    ended = await house.runs.get("ann", run.id)
    assert ended is not None and (ended.state, len(ended.outputs)) == ("completed", 1)
    assert ended.charge == house.spent() == await house.billed()


async def test_a_late_call_while_the_service_is_away(house: Called) -> None:
    """It is taken up at the next start, or once the key is back."""
    house.wire.always["history"] = rewritten(lambda data: data.update(items=[]))
    run = await house.lost()
    house.time.going.set()
    await house.end_of(run)
    house.wire.always.pop("history")
    house.here = None
    assert await house.call()
    await calm()
    assert house.spent() == 0
    await house.runs.resume_all(house.account)
    await calm()
    ended = await house.runs.get("ann", run.id)
    assert ended is not None and ended.state == "completed"


async def test_a_call_about_one_that_was_given_up_while_others_go_on(house: Called) -> None:
    """Its run takes it up once the others have ended."""
    house.wire.always["history"] = rewritten(lambda data: data.update(items=[]))
    house.wire.faults["submit"].append(house.note)
    house.answered = lost_after
    never = house.wire.always["result"] = rewritten(lambda data: data.update(status="processing"))
    run = await house.press("max", 2)
    await house.until(run, lambda now: any(p.status == "not created" for p in now.predictions))
    lost = next(p for p in await house.created() if p.model_id.endswith("max/multi") and p.id not in _ids(run, house))
    assert await house.said(house.addresses[0], lost, lambda _: None)
    assert house.wire.always.pop("result") is never
    await calm()
    ended = await house.runs.get("ann", run.id)
    assert ended is not None and (ended.state, len(ended.outputs)) == ("completed", 2)
    assert house.spent() == await house.billed()


def _ids(run: Run, house: Called) -> set[str]:
    live = house.runs._live[run.id]
    return {str(entry.id) for entry in live.record.entries}


# what changes nothing


def _other_id(told: dict[str, Any]) -> None:
    told["id"] = "0" * 32


def _other_model(told: dict[str, Any]) -> None:
    told["model"] = "wavespeed-ai/flux-kontext-max/multi"


def _other_prompt(told: dict[str, Any]) -> None:
    told["input"]["prompt"] = "make it blue"


def _no_inputs(told: dict[str, Any]) -> None:
    del told["input"]


def _older(told: dict[str, Any]) -> None:
    told["created_at"] = "2026-11-21T11:00:00Z"


def _dateless(told: dict[str, Any]) -> None:
    del told["created_at"]


def _nothing(told: dict[str, Any]) -> None:
    told.clear()


FORGED: dict[str, dict[str, Any]] = {
    "signed by another key": {"key": "wsk_another"},
    "too old": {"age": 400},
    "another model": {"change": _other_model},
    "other inputs": {"change": _other_prompt},
    "no inputs": {"change": _no_inputs},
    "made before the submit": {"change": _older},
    "at no time": {"change": _dateless},
    "no prediction": {"change": _nothing},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_a_forged_call_is_not_even_asked_about(house: Called, forged: dict[str, Any]) -> None:
    """Even with the right word: it leaves nothing behind, costs no request, and the true one still counts."""
    run = await house.lost()
    assert await house.call(**forged)
    assert house.told() is None
    assert await house.call()
    house.time.going.set()
    assert (await house.end_of(run)).state == "completed"
    assert house.wire.seen["result"] == 2 and house.wire.seen["history"] == 0


async def test_an_id_that_is_not_ours_is_forgotten(house: Called) -> None:
    """Well said and still wrong: the service does not know it for this account, so it counts for nothing."""
    house.wire.always["secret"] = answer(404, "no such thing")
    run = await house.lost()
    assert await house.call(change=_other_id)
    await house.forgets()
    assert await house.call()
    house.time.going.set()
    ended = await house.end_of(run)
    assert (ended.state, house.wire.seen["result"], house.wire.seen["history"]) == ("completed", 3, 0)


async def test_another_row_s_prediction_is_not_taken(house: Called) -> None:
    """A call names the task of an equal run, which the service would confirm: it stays with whom it belongs to."""
    house.wire.always["secret"] = answer(404, "no such thing")
    first = await house.run("max")
    run = await house.lost(variant="max")
    ours, theirs = await house.created()
    house.time.now += timedelta(seconds=2)
    await house.said(house.addresses[-1], theirs, lambda _: None)
    await house.forgets()
    await house.said(house.addresses[-1], ours, lambda _: None)
    house.time.going.set()
    ended = await house.end_of(run)
    assert [p.id for p in ended.predictions] == [ours.id] != [p.id for p in first.predictions]


async def test_no_more_than_a_few_ids_are_tried(house: Called) -> None:
    """Whoever has the word, and no secret is known, can have a handful of questions asked, and no more."""
    house.wire.always["secret"] = answer(404, "no such thing")
    run = await house.lost()
    for number in range(12):
        await house.call(change=lambda told, n=number: told.update(id=f"{n:032x}"))  # type: ignore[misc]
        await house.forgets()
    assert house.wire.seen["result"] <= 5
    house.time.going.set()
    assert (await house.end_of(run)).state == "completed"  # by the history, as without any call


async def test_a_call_counts_once(house: Called) -> None:
    """Doubled, replayed and late ones ask nothing, change nothing and cost nothing."""
    run = await house.lost()
    assert [await house.call() for _ in range(3)] == [True] * 3
    house.time.going.set()
    ended = await house.end_of(run)
    asked = dict(house.wire.seen)
    before = house.ledger.list_for("ann")
    assert [await house.call() for _ in range(3)] == [True] * 3
    await calm()
    assert house.ledger.list_for("ann") == before and ended.state == "completed"
    assert house.wire.seen == asked


async def test_nobody_is_called_about_a_deleted_run(house: Called) -> None:
    """Its word is unknown from then on, whether its task was ever told of or not."""
    house.wire.always["history"] = rewritten(lambda data: data.update(items=[]))
    run = await house.lost()
    house.time.going.set()
    await house.end_of(run)
    await house.runs.delete("ann", run.id)
    house.wire.always.pop("history")
    assert not await house.call()
    await calm()
    assert await house.runs.get("ann", run.id) is None


async def test_an_own_key_that_is_gone(tmp_path: Path) -> None:
    """The call is written down; once the key is back, the run goes on with it."""
    house = Called(tmp_path / "data", kind="own")
    run = await house.lost()
    await house.kill()
    house.here = None
    assert await house.call() and house.told() is not None
    seen = house.wire.seen["result"]
    waits = await house.runs.get("ann", run.id)
    assert waits is not None and waits.keyless and house.wire.seen["result"] == seen
    house.here = house.account
    house.time.going.set()
    await house.runs.resume_all(house.account)
    assert (await house.end_of(run)).state == "completed" and house.wire.seen["history"] == 0
    await house.aclose()


# how often results are asked for


async def test_where_no_call_has_come_it_is_asked_as_ever(house: Called, tmp_path: Path) -> None:
    """An address that nobody reaches costs nobody time: the same looks at the same moments."""
    house.wire.always["submit"] = house.note
    await house.run()
    plain = House(tmp_path / "plain")
    await plain.run()
    assert house.wire.seen["result"] == plain.wire.seen["result"]
    await plain.aclose()


async def test_a_call_is_looked_into_at_once(house: Called) -> None:
    """While all time stands still, so that nothing but the call can bring it about."""
    await arrived(house)
    house.time.going.clear()
    run = await house.press()
    await house.until(run, lambda now: now.state == "waiting")
    await house.call()
    assert (await house.end_of(run)).state == "completed"


async def test_while_calls_come_it_is_asked_seldom(house: Called) -> None:
    """Once in 15 s beneath them; how soon it is asked more often where they stop, the ledger's own test shows."""
    await arrived(house)
    begun, asked = house.time.now, house.wire.seen["result"]
    assert (await house.run()).state == "completed"
    assert house.wire.seen["result"] - asked == 1
    assert house.time.now - begun >= timedelta(seconds=15)
