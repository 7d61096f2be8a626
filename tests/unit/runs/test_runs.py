"""Runs against the sandbox over a wire that misbehaves, in a time that never passes by itself."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from running import (
    KEY,
    Fault,
    Forward,
    Held,
    House,
    another_reference,
    answer,
    calm,
    half_a_body,
    half_a_json,
    html_502_after,
    html_502_before,
    lost_after,
    lost_before,
    rewritten,
    tasks_of_ours,
)

from core.access.budget import Budget
from core.catalog.estimate import estimate
from core.catalog.inputs import check
from core.catalog.variants import REGISTRY
from core.errors import BudgetError, KontextError, LedgerError
from core.ledger.run import Label, Run
from core.runs import files
from core.runs.concurrency import ConcurrencyLimit
from core.runs.quotes import PAUSE, REMEMBERED
from core.runs.runs import Asked
from core.runs.runtime import Timeouts
from core.service.account import Account

pytestmark = [pytest.mark.anyio, pytest.mark.both(soak=True)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data")
    yield house
    await house.aclose()


def unfetchable(data: dict[str, Any]) -> None:
    """A result: the task failed, since the service could not fetch a reference."""
    data.update(status="failed", code=1402, error="Failed to fetch media URL", outputs=[])


def nameless(data: dict[str, Any]) -> None:
    """A history that does not tell what was asked for."""
    for item in data["items"]:
        item.pop("inputs")


def submitted(run: Run) -> bool:
    return all(p.id for p in run.predictions)


# the plain way


@pytest.mark.parametrize(("variant", "predictions"), [("pro", 3), ("max", 3), ("dev", 1), ("ultra-fast", 1)])
async def test_every_variant_brings_its_pictures(house: House, variant: str, predictions: int) -> None:
    """A run ends with as many whole pictures as were asked for, each in a file that is named as promised; estimate,
    charge and session total are what the server billed, to the tenth of a cent.
    """
    run = await house.run(variant, 3)
    assert run.estimate == run.charge == house.spent() == await house.billed() == estimate(REGISTRY[variant], 3)
    assert run.charge_source == "billing"
    assert (run.state, run.troubles, run.notice) == ("completed", (), "")
    assert len(run.predictions) == len(await house.created()) == predictions
    assert [output.number for output in run.outputs] == [1, 2, 3]
    for output in run.outputs:
        seed = "" if output.seed is None else f"-seed{output.seed}"
        assert output.path.name == f"kontext-{variant}-20261121{seed}-{output.number}.jpg"
        with Image.open(output.path) as image:
            assert image.size == (output.width, output.height)
    assert not list(house.folder.rglob("*.part"))


async def test_seeds_follow_each_other(house: House) -> None:
    """Four predictions of pro get the seeds seed, seed+1, …; each output carries its own."""
    run = await house.run("pro", 4)
    assert [p.seed for p in run.predictions] == [o.seed for o in run.outputs] == [4711, 4712, 4713, 4714]
    assert sorted(p.inputs["seed"] for p in await house.created()) == [4711, 4712, 4713, 4714]


async def test_without_a_bill_the_quote_counts(house: House) -> None:
    """Where no billing record can be had, the charge is the quote, and without one the estimate; and says so."""
    house.wire.always["billing"] = answer(404, "no such thing")
    house.wire.always["quote"] = answer(404, "no such thing")
    assert (await house.run()).charge_source == "estimate"
    del house.wire.always["quote"]
    assert (await house.run()).charge_source == "quote"


async def test_runs_belong_to_their_visitor(house: House) -> None:
    """Another visitor sees nothing of a run: not in the list, not by its id, not by watching."""
    run = await house.press()
    assert await house.runs.get("eve", run.id) is None
    assert await house.runs.list_for("eve") == []
    assert [seen async for seen in house.runs.watch("eve", run.id)] == []
    await house.runs.stop_waiting("eve", run.id)
    assert (await house.end_of(run)).state == "completed"
    assert [seen async for seen in house.runs.watch("eve", run.id)] == []
    with pytest.raises(KontextError):
        await house.runs.resume("eve", house.account, run.id)


async def test_finished_runs_are_read_back(house: House) -> None:
    """What the history shows of a finished run is what its watcher saw at the end, also after a restart."""
    run = await house.run("dev", 2, prompt="an owl")
    await house.kill()
    assert await house.runs.get("ann", run.id) == replace(run, expected_seconds=None)
    newer = await house.run()
    assert [r.id for r in await house.runs.list_for("ann")] == [newer.id, run.id]
    assert await house.runs.newest("ann") == await house.runs.get("ann", newer.id)
    await house.runs.delete("ann", newer.id)
    assert await house.runs.newest("ann") == await house.runs.get("ann", run.id)
    assert await house.runs.newest("bob") is None


async def turns() -> None:
    """Whatever can go on without waiting has gone on."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_a_name_that_is_given_as_a_run_ends_stays(house: House) -> None:
    """Written just before the end, it is in the ledger and in the last thing that is shown."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # so that what is written has one order
    told, name = Held(), Label("Blue owl", favourite=True)
    house.wire.always["billing"] = told
    run = await house.until(await house.press(), lambda run: bool(run.outputs) and not run.predictions[0].open)
    with closing(sqlite3.connect(house.folder / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the name waits to be written, and the end behind it
        naming = asyncio.create_task(house.runs.label("ann", {run.id: {"name": name.name, "favourite": True}}))
        await turns()
        told.go.set()
        await turns()
    ended = await house.end_of(run)
    await naming
    (kept,) = await house.runs.list_for("ann")
    assert kept.label == ended.label == name


async def test_a_run_outlives_whoever_started_it(house: House) -> None:
    """The caller's task is cancelled in the middle of start: the run goes on, and is found in the history."""
    caller = asyncio.create_task(house.press())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    while not (runs := await house.runs.list_for("ann")):
        pass
    assert (await house.end_of(runs[0])).state == "completed"


async def test_a_run_is_watched_from_its_first_moment(house: House) -> None:
    """Found in the history when it was just written there and does not go yet: its watcher sees it to its end."""
    pressing = asyncio.create_task(house.press())
    run = await just_written(house)
    seen = [now async for now in house.runs.watch("ann", run.id)]
    assert seen[-1].state == "completed"
    await pressing


async def just_written(house: House) -> Run:
    """A run as it stands in the history before it goes: nothing moves meanwhile but the threads that write it."""
    while True:
        await asyncio.sleep(0)
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            if found := await house.runs.list_for("ann"):
                return found[0]


async def test_the_reservation_stands_before_the_submit(house: House) -> None:
    """When start returns, nothing was sent yet, and what the run may cost is counted already."""
    house.time.going.clear()
    run = await house.press("pro", 2)
    assert house.wire.seen["submit"] == 0
    assert house.spent() == run.estimate == Decimal("0.08")
    house.time.going.set()
    await house.end_of(run)


async def test_the_id_is_kept_first(house: House) -> None:
    """Whenever a watcher sees that the service has answered, the ledger has the id."""
    house.time.going.clear()
    run = await house.press()
    seen = await house.until(run, submitted)
    while not await asyncio.to_thread(house.ledger.taken, [str(seen.predictions[0].id)]):
        pass
    assert house.wire.seen["result"] == 0


async def test_no_key_on_the_disk(house: House) -> None:
    """The key reaches neither the ledger nor any other file."""
    await house.run()
    for path in house.folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


# uploads


async def test_a_reference_is_uploaded_once(house: House) -> None:
    """Two runs at once and one after them share one upload; another content needs its own; so does the seventh day."""
    first, second = await house.press(), await house.press()
    await house.end_of(first)
    await house.end_of(second)
    await house.run()
    assert house.wire.seen["upload"] == 1
    await house.run(references=[house.reference, another_reference(house.folder, "plum")])
    assert house.wire.seen["upload"] == 2
    house.time.now += timedelta(days=6, seconds=1)
    await house.run()
    assert house.wire.seen["upload"] == 3


async def test_the_sandbox_forgets(tmp_path: Path) -> None:
    """What the embedded sandbox was given is gone with its process: uploaded again, without a failure first."""
    house = House(tmp_path / "data", kind="sandbox")
    await house.run()
    house.time.now += timedelta(seconds=1)
    await house.kill()
    await house.run()
    assert house.wire.seen["upload"] == 2
    await house.aclose()


async def test_an_upload_that_is_gone_is_uploaded_again(house: House) -> None:
    """The service can't fetch what we remember (1402): uploaded and submitted once more, and charged once."""
    gone = "http://service.invalid/storage/gone/x.png"
    house.ledger.remember_upload("host", house.reference.sha256, gone, house.time.now)
    run = await house.run("pro", 2)
    assert (run.state, len(run.outputs), run.troubles) == ("completed", 2, ())
    assert len(await house.created()) == 4
    assert run.charge == house.spent() == await house.billed() == Decimal("0.08")


async def test_it_is_uploaded_again_only_once(house: House) -> None:
    """A service that can never fetch a reference is not asked for ever."""
    house.wire.always["result"] = rewritten(unfetchable)
    run = await house.run()
    assert (run.state, run.charge, len(await house.created())) == ("failed", 0, 2)
    assert [t.charged for t in run.troubles] == ["no"]


async def test_a_failed_upload_sends_nothing(house: House) -> None:
    """Uploads that do not work end the run before anything is spent; one trouble says so."""
    house.wire.always["upload"] = answer(503, "down")
    run = await house.run("pro", 4)
    assert (run.state, run.charge, house.spent(), house.wire.seen["submit"]) == ("failed", 0, 0, 0)
    assert [t.charged for t in run.troubles] == ["no"]


# before the press

INPUTS = check("pro", "-", 1, {}, lambda: 7)


async def test_what_was_begun_ahead_is_there_at_the_press(house: House) -> None:
    """The reference is uploaded and the quote asked for once; the run that follows does neither."""
    house.runs.prefetch(house.account, INPUTS, [house.reference])
    await calm()
    before = Counter(upload=1, put=1, quote=1)
    assert house.wire.seen == before
    house.runs.prefetch(house.account, INPUTS, [house.reference])
    await calm()
    run = await house.run()
    assert (run.state, run.charge) == ("completed", Decimal("0.04"))
    assert {kind: house.wire.seen[kind] for kind in before} == before


async def test_a_press_waits_for_the_upload_that_is_under_way(house: House) -> None:
    """Pressed in the middle of it, the run takes the same upload, and ends as any other."""
    held = Held()
    house.wire.faults["put"].append(held)
    house.runs.prefetch(house.account, INPUTS, [house.reference])
    await held.reached.wait()
    run = await house.press()
    await house.until(run, lambda now: now.state == "uploading")
    held.go.set()
    assert (await house.end_of(run)).state == "completed"
    assert (house.wire.seen["upload"], house.wire.seen["put"], house.wire.seen["quote"]) == (1, 1, 1)


async def test_what_fails_ahead_is_done_at_the_press(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody hears of it but the log, in our words alone; the run uploads and asks for itself."""
    caplog.set_level(logging.INFO)
    house.wire.always = dict.fromkeys(("upload", "quote"), answer(400, "odd words from outside"))
    house.runs.prefetch(house.account, INPUTS, [house.reference])
    await calm()
    assert "an upload failed: ServiceError" in caplog.text
    assert "odd words" not in caplog.text
    assert {record.levelname for record in caplog.records if record.name.startswith("core.")} == {"INFO"}
    house.wire.always.clear()
    house.wire.seen.clear()
    run = await house.run()
    assert (run.state, run.troubles) == ("completed", ())
    assert (house.wire.seen["upload"], house.wire.seen["put"], house.wire.seen["quote"]) == (1, 1, 1)


async def test_the_sandbox_is_sent_nothing_ahead(tmp_path: Path) -> None:
    """There is nothing to gain, so nothing goes out."""
    house = House(tmp_path / "data", kind="sandbox")
    house.runs.prefetch(house.account, INPUTS, [house.reference])
    await calm()
    assert not house.wire.seen
    await house.aclose()


async def test_closing_gives_up_what_was_begun_ahead(house: House) -> None:
    """An app that ends does not stay for an upload that nobody has asked for yet."""
    held = Held()
    house.wire.always = dict.fromkeys(("upload", "quote"), held)
    house.runs.prefetch(house.account, INPUTS, [house.reference])
    await held.reached.wait()
    assert len(tasks_of_ours()) == 2
    await house.runs.aclose()
    assert not tasks_of_ours()


# the unanswered submit


@pytest.mark.parametrize("fault", [lost_before, html_502_before])
async def test_not_created(house: House, fault: Any) -> None:
    """A submit that never arrived is not sent again: the run says that nothing was created, and nothing is counted."""
    house.wire.faults["submit"].append(fault)
    began = house.time.now
    run = await house.run()
    assert house.time.now - began >= timedelta(minutes=2)
    assert (run.state, run.charge, house.spent()) == ("failed", 0, 0)
    assert (house.wire.seen["submit"], await house.created()) == (1, [])
    assert [(t.charged, "nothing was created" in t.happened) for t in run.troubles] == [("no", True)]
    assert not run.resumable


@pytest.mark.parametrize(
    ("variant", "fault"),
    [*product(REGISTRY, [lost_after]), ("max", html_502_after), ("max", half_a_json)],
)
async def test_created_and_unanswered(house: House, variant: str, fault: Any) -> None:
    """A submit whose answer was lost is found in the history and taken over as if nothing had happened."""
    house.wire.faults["submit"].append(fault)
    run = await house.run(variant, prompt="a prompt of its own")
    assert (run.state, run.troubles, house.wire.seen["submit"]) == ("completed", (), 1)
    assert [p.id for p in await house.created()] == [p.id for p in run.predictions]
    assert run.charge == await house.billed()


async def _plainly(request: httpx.Request, forward: Forward) -> httpx.Response:
    return await forward(request)


@pytest.mark.parametrize("lost", [(lost_after,) * 4, (lost_after, lost_before, lost_after, lost_before)])
async def test_duplicates_are_taken_over_once_each(house: House, lost: tuple[Any, ...]) -> None:
    """Four identical submits without a seed, all unanswered: each task that exists is taken by exactly one of them."""
    house.wire.faults["submit"].extend(lost)
    run = await house.run("max", 4)
    created = {p.id for p in await house.created()}
    assert {p.id for p in run.predictions} - {None} == created
    assert len(run.outputs) == len(created) == lost.count(lost_after)
    assert run.charge == house.spent() == await house.billed()


async def test_a_duplicate_in_flight_is_not_taken(house: House) -> None:
    """While the answer to an identical submit is on its way, its task is not taken for the unanswered one's."""
    landing, looked = asyncio.Event(), asyncio.Event()

    async def slow(request: httpx.Request, forward: Forward) -> httpx.Response:
        response = await forward(request)
        await landing.wait()
        return response

    async def last_look(request: httpx.Request, forward: Forward) -> httpx.Response:
        house.time.going.clear()
        looked.set()
        return await forward(request)

    house.wire.faults["submit"].extend([lost_before, slow])
    house.wire.faults["history"].extend([_plainly] * 7 + [last_look])
    run = await house.press("max", 2)
    known = asyncio.create_task(house.until(run, lambda now: any(p.id for p in now.predictions)))
    await asyncio.wait({known, asyncio.create_task(looked.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert not known.done()
    landing.set()
    await known
    house.time.going.set()
    run = await house.end_of(run)
    assert (run.state, len(run.outputs), len(await house.created())) == ("partial", 1, 1)
    assert sorted(p.status for p in run.predictions) == ["completed", "not created"]


async def test_a_history_without_inputs_proves_nothing(house: House) -> None:
    """Where the history does not tell what was asked for, nothing is taken over, and the money stays unknown."""
    house.wire.always["history"] = rewritten(nameless)
    house.wire.faults["submit"].append(lost_after)
    run = await house.run()
    assert (run.state, run.outputs, house.spent()) == ("failed", (), Decimal("0.04"))
    assert [t.charged for t in run.troubles] == ["unknown"]


async def test_an_unreachable_history_can_be_asked_later(house: House) -> None:
    """Submit and history both fail: the reservation is kept, and taking the run up later finds the picture."""
    house.wire.faults["submit"].append(lost_after)
    house.wire.always["history"] = lost_before
    run = await house.run()
    assert (run.state, run.resumable, house.spent()) == ("failed", True, Decimal("0.04"))
    assert [t.charged for t in run.troubles] == ["unknown"]
    del house.wire.always["history"]
    run = await house.end_of(await house.runs.resume("ann", house.account, run.id))
    assert (run.state, run.troubles, len(await house.created())) == ("completed", (), 1)


# definite answers


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (answer(400, 'field "aspect_ratio" must be one of 1:1'), "did not accept"),
        (answer(401, "bad key"), "key"),
        (answer(403, "forbidden"), "key"),
        (answer(402, "pay first"), "credit"),
    ],
)
async def test_a_refused_submit_costs_nothing(house: House, fault: Any, words: str) -> None:
    """A definite no is not searched for and not charged, and its reservation is released."""
    house.wire.faults["submit"].append(fault)
    run = await house.run()
    assert (run.state, run.charge, house.spent(), house.wire.seen["history"]) == ("failed", 0, 0, 0)
    assert [t.charged for t in run.troubles] == ["no"]
    assert words in run.troubles[0].happened


@pytest.mark.parametrize("headers", [{}, {"retry-after": "7"}])
async def test_429_waits_and_sends_again(house: House, headers: dict[str, str]) -> None:
    """No room is no refusal: the run waits, says why, and sends again; one task in the end."""
    house.wire.faults["submit"].extend([answer(429, "You have reached your concurrency limit", **headers)] * 3)
    run = await house.press()
    seen = [now.notice async for now in house.runs.watch("ann", run.id)]
    assert any("no room" in notice for notice in seen)
    run = await house.end_of(run)
    assert (run.state, run.notice, len(await house.created())) == ("completed", "", 1)


async def test_429_for_ever_ends_unsent(house: House) -> None:
    """A service that never has room ends the run at its deadline: not sent, not charged."""
    house.wire.always["submit"] = answer(429, "limit")
    began = house.time.now
    run = await house.run()
    assert (run.state, run.charge, house.spent()) == ("failed", 0, 0)
    assert timedelta(minutes=29) < house.time.now - began < timedelta(minutes=33)


async def test_one_refused_of_four(house: House) -> None:
    """One prediction that is refused takes nothing from the other three."""
    house.wire.faults["submit"].append(answer(400, "no"))
    run = await house.run("pro", 4)
    assert (run.state, len(run.outputs), len(run.troubles)) == ("partial", 3, 1)
    assert run.charge_source == "billing"
    assert run.charge == house.spent() == await house.billed() == Decimal("0.12")


# how tasks end


async def test_a_failed_task_is_refunded(house: House) -> None:
    """A failed task ends with nothing charged, the id to copy, and the service's own words."""
    run = await house.run(prompt="[sandbox:failed] owl")
    (trouble,) = run.troubles
    assert (run.state, run.charge, house.spent(), await house.billed()) == ("failed", 0, 0, 0)
    assert (trouble.charged, trouble.prediction_id) == ("no", run.predictions[0].id)
    assert "refund" in trouble.happened


async def test_a_moderated_task_stays_counted(house: House) -> None:
    """Whether moderation is refunded is not known: the estimate stays, marked as one."""
    run = await house.run(prompt="[sandbox:moderated] owl")
    assert (run.state, run.charge, run.charge_source) == ("failed", Decimal("0.04"), "estimate")
    assert [t.charged for t in run.troubles] == ["unknown"]
    assert "safety filter" in run.troubles[0].happened


async def test_flagged_among_four(house: House) -> None:
    """One flagged among four: the good ones are shown, the other is named."""
    run = await house.run("dev", 4, prompt="[sandbox:flagged] owl")
    assert (run.state, [o.number for o in run.outputs]) == ("partial", [1, 2, 3])
    assert ["Picture 4" in t.happened for t in run.troubles] == [True]
    assert run.charge == await house.billed()


async def test_all_flagged(house: House) -> None:
    """Only a flagged picture: none is shown, and the run says why."""
    run = await house.run(prompt="[sandbox:flagged] owl")
    assert (run.state, run.outputs, run.charge) == ("failed", (), Decimal("0.04"))
    assert "flagged" in run.troubles[0].happened


async def test_unknown_statuses_mean_wait(house: House) -> None:
    """A status that nobody has heard of is no end."""

    def strange(data: dict[str, Any]) -> None:
        data.update(status="reticulating", outputs=[])

    house.wire.faults["result"].extend([rewritten(strange)] * 5)
    assert (await house.run()).state == "completed"


async def test_in_line_at_the_service(house: House) -> None:
    """A submit over the account's limit waits there: the person is told so, and no time is learned but the model's."""
    begins = house.time.now + timedelta(seconds=60)

    def waits(data: dict[str, Any]) -> None:
        if house.time.now < begins + timedelta(seconds=2):
            data.update(status="created" if house.time.now < begins else "processing", outputs=[], timings=None)
            data.pop("executionTime")

    house.wire.always["result"] = rewritten(waits)
    seen = [now async for now in house.runs.watch("ann", (await house.press()).id)]
    told = [now.notice for now in seen]
    assert any(notice.startswith("In line at the service") for notice in told)
    assert (seen[-1].state, seen[-1].model_seconds) == ("completed", 2.0)
    assert not any(now.notice for now in seen[-3:])
    house.wire.always.clear()
    after = [now async for now in house.runs.watch("ann", (await house.press()).id)]
    assert {now.expected_seconds for now in after} <= {None, 2.0}
    assert not any(now.notice for now in after)


async def test_a_time_that_is_not_told_is_not_learned(house: House) -> None:
    """Where the service does not say what the model took, the time on the clock is no measure: it may have waited."""

    def untold(data: dict[str, Any]) -> None:
        data.update(timings=None, executionTime=None)

    house.wire.always["result"] = rewritten(untold)
    run = await house.run()
    assert (run.state, run.model_seconds) == ("completed", None)
    seen = [now async for now in house.runs.watch("ann", (await house.press()).id)]
    assert {now.expected_seconds for now in seen} == {None}


async def test_the_waiting_counts_from_the_sending(house: House) -> None:
    """However long the disk takes to write down that a submit is about to go out, that is none of the task's time."""
    sent = []

    def ticking() -> datetime:
        house.time.now += timedelta(seconds=1)
        return house.time.now

    async def noted(request: httpx.Request, forward: Forward) -> httpx.Response:
        sent.append(house.time.now)
        return await forward(request)

    house.ledger.close()
    house.time.clock = ticking  # type: ignore[method-assign]
    house.open()
    house.wire.always["submit"] = noted
    run = await house.run()
    record = house.ledger.find("ann", run.id)
    assert record is not None
    assert [entry.submitting_at for entry in record.entries] == sent


async def test_transient_faults_of_looks(house: House) -> None:
    """A long row of failing looks of every kind only delays the picture."""
    row = [answer(429, "x"), answer(503, "x"), lost_before, half_a_json, html_502_before, lost_after]
    house.wire.faults["result"].extend(row * 4)
    run = await house.run("pro", 2)
    assert (run.state, len(await house.created())) == ("completed", 2)


async def test_not_known_yet(house: House) -> None:
    """A service that does not know its own new task for a moment is asked again."""
    house.wire.faults["result"].extend([answer(404, "Prediction not found")] * 3)
    assert (await house.run()).state == "completed"


@pytest.mark.parametrize(("kind", "charged", "charge"), [("host", "unknown", "0.04"), ("sandbox", "no", "0")])
async def test_not_known_any_more(tmp_path: Path, kind: Any, charged: str, charge: str) -> None:
    """A task that the service has lost ends the run; what it may have cost stays counted, but not in the sandbox."""
    house = House(tmp_path / "data", kind=kind)
    house.wire.always["result"] = answer(404, "Prediction not found")
    run = await house.run()
    assert (run.state, run.charge, run.resumable) == ("failed", Decimal(charge), False)
    assert [t.charged for t in run.troubles] == [charged]
    await house.aclose()


@pytest.mark.sqlite
async def test_base64_outputs(house: House) -> None:
    """Pictures inside the answer become files like any other, and stay out of the ledger."""
    run = await house.run("dev", 2, enable_base64_output=True)
    assert (run.state, len(run.outputs)) == ("completed", 2)
    with sqlite3.connect(house.folder / "ledger.db") as file:
        (kept,) = file.execute("SELECT answer FROM predictions").fetchone()
    file.close()
    assert len(kept) < 4000


@pytest.mark.parametrize("mode", ["prompt", "late"])
async def test_sync_mode(house: House, mode: str) -> None:
    """A submit that waits for its pictures itself works, also where the service gives up waiting (5004)."""

    def late(data: dict[str, Any]) -> None:
        data.update(status="processing", code=5004, outputs=[])

    if mode == "late":
        house.wire.faults["submit"].append(rewritten(late))
    assert (await house.run(enable_sync_mode=True)).state == "completed"


# downloads


async def test_cut_downloads_are_repeated(house: House) -> None:
    """Cut and failing downloads are started over; the file that counts is whole."""
    house.wire.faults["download"].extend([half_a_body, answer(503, "x"), lost_before])
    run = await house.run()
    assert run.state == "completed"
    with Image.open(run.outputs[0].path) as image:
        image.load()


async def test_a_line_that_is_down_costs_no_picture(house: House) -> None:
    """While nothing can be fetched for minutes the run says why it waits, and ends with its picture after all."""
    down = house.time.now + timedelta(minutes=5)
    told = []

    async def down_for_a_while(request: httpx.Request, forward: Forward) -> httpx.Response:
        return await (lost_before if house.time.now < down else _as_it_is)(request, forward)

    house.wire.always["download"] = down_for_a_while
    async for now in house.runs.watch("ann", (await house.press()).id):
        told.append(now.notice)
    assert (now.state, len(now.outputs)) == ("completed", 1)
    assert any("can't be fetched just now" in notice for notice in told)


async def _as_it_is(request: httpx.Request, forward: Forward) -> httpx.Response:
    return await forward(request)


async def test_stopped_while_downloading(house: House) -> None:
    """What has been fetched stays, the rest is said to be ready, paid and still to be had, and is had later."""
    held = Held()
    house.wire.faults["download"].append(_as_it_is)
    house.wire.always["download"] = held
    run = await house.press("dev", 3)
    await house.until(run, lambda now: len(now.outputs) == 1)
    await house.runs.stop_waiting("ann", run.id)
    run = await house.end_of(run)
    assert (run.state, run.resumable, run.charge, len(run.outputs)) == ("partial", True, Decimal("0.09"), 1)
    assert run.outputs[0].path.is_file()
    assert [t.charged for t in run.troubles] == ["yes", "yes"]
    assert not any("task goes on" in t.happened for t in run.troubles)
    held.go.set()
    run = await house.end_of(await house.runs.resume("ann", house.account, run.id))
    assert (run.state, run.troubles, len(run.outputs)) == ("completed", (), 3)
    assert (house.spent(), house.wire.seen["submit"]) == (Decimal("0.09"), 1)


@pytest.mark.parametrize(("variant", "pictures", "fetched"), [("pro", 1, 1), ("dev", 2, 2), ("max", 3, 3)])
async def test_no_more_is_fetched_than_was_asked_for(house: House, variant: str, pictures: int, fetched: int) -> None:
    """Three hundred outputs where a few were asked for: those few are fetched, the others are the service's affair."""

    def many(data: dict[str, Any]) -> None:
        data["outputs"] = data["outputs"][:1] * 300 if data["outputs"] else []

    house.wire.always["result"] = rewritten(many)
    run = await house.run(variant, pictures)
    assert (run.state, len(run.outputs), house.wire.seen["download"]) == ("completed", fetched, fetched)


async def test_a_key_in_a_task_s_words_reaches_nobody(house: House) -> None:
    """What a failed task says is cleaned before it comes to the page, the history or the file of the ledger."""

    def telling(data: dict[str, Any]) -> None:
        data.update(status="failed", code=1403, outputs=[], error=f"no access for {KEY} " + "x" * 100_000)

    house.wire.always["result"] = rewritten(telling)
    run = await house.run()
    assert "no access for [key]" in run.troubles[0].happened
    assert len(run.predictions[0].error) <= 500
    house.ledger.close()
    kept = b"".join(file.read_bytes() for file in house.folder.glob("ledger.db*"))
    assert KEY.encode() not in kept
    assert b"x" * 1000 not in kept


async def test_a_lost_download_can_be_fetched_later(house: House) -> None:
    """A picture that was made and can't be fetched was charged, and is fetched later without another task."""
    house.wire.always["download"] = half_a_body
    run = await house.run()
    assert (run.state, run.charge, run.resumable) == ("failed", Decimal("0.04"), True)
    assert [t.charged for t in run.troubles] == ["yes"]
    assert not list(house.folder.rglob("kontext-*"))
    house.wire.always.clear()
    run = await house.end_of(await house.runs.resume("ann", house.account, run.id))
    assert (run.state, run.troubles, len(await house.created())) == ("completed", (), 1)
    assert house.spent() == Decimal("0.04")


async def test_a_bill_once_seen_stays(house: House) -> None:
    """A run that was billed less than quoted, and is resumed for a picture that was missing, costs what was billed."""

    def less(data: dict[str, Any]) -> None:
        for item in data["items"]:
            item["price"] = "0.03"

    house.wire.always["billing"] = rewritten(less)
    house.wire.always["download"] = half_a_body
    run = await house.run()
    assert (run.charge, run.charge_source, run.resumable) == (Decimal("0.03"), "billing", True)
    house.wire.always = {"billing": answer(404, "none")}
    run = await house.end_of(await house.runs.resume("ann", house.account, run.id))
    assert (run.state, run.charge, run.charge_source) == ("completed", Decimal("0.03"), "billing")
    assert house.spent() == Decimal("0.03")


async def test_an_unwritable_output_says_so(house: House) -> None:
    """A disk that takes no picture: charged, and can be fetched again."""
    house.time.going.clear()
    run = await house.press()
    await house.until(run, submitted)
    folder = house.folder / "outputs" / run.id
    folder.rename(folder.with_name("away"))
    folder.write_text("a file where the folder should be")
    house.time.going.set()
    run = await house.end_of(run)
    assert (run.resumable, [t.charged for t in run.troubles]) == (True, ["yes"])
    assert "disk" in run.troubles[0].happened


# stopping, deadlines, crashes


async def test_stop_waiting_and_resume(house: House) -> None:
    """Stopping only stops the waiting: the task goes on, stays counted, and its picture can be had later."""
    house.time.going.clear()
    run = await house.press()
    await house.until(run, submitted)
    await house.runs.stop_waiting("ann", run.id)
    run = await house.end_of(run)
    assert (run.state, run.resumable, house.spent()) == ("failed", True, Decimal("0.04"))
    assert [t.charged for t in run.troubles] == ["unknown"]
    house.time.going.set()
    again = await asyncio.gather(*(house.runs.resume("ann", house.account, run.id) for _ in range(3)))
    run = await house.end_of(again[0])
    assert (run.state, run.troubles, len(run.outputs), len(await house.created())) == ("completed", (), 1, 1)


@pytest.mark.parametrize("held_up", ["quote", "put"])
async def test_stopped_before_it_was_sent(house: House, held_up: str) -> None:
    """Whatever it waits for before the submit: stopped there, nothing is sent and nothing is charged."""
    held = Held()
    house.wire.always[held_up] = held
    run = await house.press("pro", 2)
    await held.reached.wait()
    await house.until(run, lambda now: now.state == "uploading")
    await calm_but(held)
    await house.runs.stop_waiting("ann", run.id)
    run = await house.end_of(run)
    held.go.set()
    assert (run.state, run.charge, house.wire.seen["submit"], house.spent()) == ("failed", 0, 0, 0)
    assert [t.happened for t in run.troubles] == ["This was stopped before it was sent."]


async def calm_but(held: Held) -> None:
    """Until all that does not wait for that request has had its turn."""
    for _ in range(20):
        await asyncio.sleep(0)
        await asyncio.to_thread(int)
    assert not held.go.is_set()


async def test_stopped_while_it_is_written_down(house: House) -> None:
    """The submit is in the ledger and not on the wire yet: it does not go out."""
    held = Held()
    house.wire.faults["upload"].append(held)
    run = await house.press()
    await held.reached.wait()
    other = await locked(house)
    held.go.set()
    await house.until(run, lambda now: now.state == "submitting")
    await house.runs.stop_waiting("ann", run.id)
    other.close()
    run = await house.end_of(run)
    assert (run.state, run.charge, house.wire.seen["submit"], house.spent()) == ("failed", 0, 0, 0)


async def test_stopped_at_once(house: House) -> None:
    """Stopped when it is only just written down: it does not go, and nothing is sent."""
    pressing = asyncio.create_task(house.press())
    run = await just_written(house)
    assert not run.keyless
    await house.runs.stop_waiting("ann", run.id)
    await pressing
    run = await house.end_of(run)
    assert (run.state, run.charge, house.wire.seen["submit"]) == ("failed", 0, 0)


async def cut_off(house: House) -> Run:
    """A run whose app died while its task went on, and is here again."""
    house.time.going.clear()
    run = await house.press()
    await house.until(run, submitted)
    await house.kill()
    house.time.going.set()
    return run


async def test_what_was_left_is_not_sent_again(house: House) -> None:
    """A task that fails for want of an upload while nobody waits for it: taking it up shows that, and sends nothing."""
    run = await cut_off(house)
    house.wire.faults["result"].append(rewritten(unfetchable))
    assert await house.runs.resume_all(house.account) == 1
    run = await house.end_of(run)
    assert (run.state, run.charge, house.wire.seen["submit"]) == ("failed", 0, 1)


# two at the same run


async def left(house: House) -> Run:
    """A run whose task goes on while nobody waits for it."""
    house.time.going.clear()
    run = await house.press()
    await house.until(run, submitted)
    await house.runs.stop_waiting("ann", run.id)
    return await house.end_of(run)


async def test_whoever_takes_it_up_may_leave(house: House) -> None:
    """Cancelled at any moment of taking it up, the run goes on, or stands as it stood."""
    run = await left(house)
    for turns in range(12):
        taking = asyncio.create_task(house.runs.resume("ann", house.account, run.id))
        for _ in range(turns):
            await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        now = await house.runs.get("ann", run.id)
        assert now is not None and (now.resumable or not now.keyless)
    house.time.going.set()
    run = await house.end_of(run)
    assert (run.state, len(run.outputs), house.wire.seen["submit"]) == ("completed", 1, 1)


async def test_deleted_and_taken_up_at_once(house: House) -> None:
    """Whichever comes first: it goes on and stays, or it is gone with its files and its words."""
    for first in ("resume", "delete"):
        run = await left(house)
        resume = house.runs.resume("ann", house.account, run.id)
        delete = house.runs.delete("ann", run.id)
        both = (resume, delete) if first == "resume" else (delete, resume)
        ends = await asyncio.gather(*both, return_exceptions=True)
        assert [isinstance(end, KontextError) for end in ends] == [False, True]
        house.time.going.set()
        await calm()
        assert (await house.runs.get("ann", run.id) is None) is (first == "delete")
        assert (house.folder / "outputs" / run.id).exists() is (first == "resume")


async def test_resumed_and_taken_up_at_once(house: House) -> None:
    """A key that comes back while the person takes the run up: it is seen to its end once."""
    run = await cut_off(house)
    await asyncio.gather(
        house.runs.resume_all(house.account),
        house.runs.resume("ann", house.account, run.id),
        house.runs.resume_all(house.account),
    )
    run = await house.end_of(run)
    assert (run.state, len(run.outputs), house.wire.seen["download"]) == ("completed", 1, 1)


async def test_the_deadline(house: House) -> None:
    """After 30 minutes the waiting ends, the reservation stays, and the run can be resumed."""

    def never(data: dict[str, Any]) -> None:
        data.update(status="processing", outputs=[])

    house.wire.always["result"] = rewritten(never)
    began = house.time.now
    run = await house.run()
    assert timedelta(minutes=30) <= house.time.now - began < timedelta(minutes=31)
    assert (run.state, run.resumable, house.spent()) == ("failed", True, Decimal("0.04"))
    assert [t.prediction_id for t in run.troubles] == [run.predictions[0].id]


async def test_the_wrong_key_takes_nothing_up(house: House) -> None:
    """A run is resumed with the key that it was made with, and no other."""
    house.wire.always["download"] = half_a_body
    run = await house.run()
    other = Account("own-1234", "own", house.account.client)
    with pytest.raises(KontextError, match="another key"):
        await house.runs.resume("ann", other, run.id)
    assert await house.runs.resume_all(other) == 0


def _first(*statuses: str) -> Any:
    return lambda run: any(p.status in statuses for p in run.predictions)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda run: True, id="reserved"),
        pytest.param(lambda run: run.state == "uploading", id="uploading"),
        pytest.param(_first("submitting"), id="submitting"),
        pytest.param(_first("created", "processing"), id="submitted"),
        pytest.param(lambda run: run.state == "waiting", id="waiting"),
        pytest.param(_first("completed"), id="completed"),
        pytest.param(lambda run: bool(run.outputs), id="downloaded"),
    ],
)
@pytest.mark.parametrize("variant", ["max", *(pytest.param(late, marks=pytest.mark.soak) for late in ("pro", "dev"))])
async def test_killed(house: House, variant: str, moment: Any) -> None:
    """Killed at any moment and started again: every task has its picture, what was never sent says so, money agrees."""
    run = await house.press(variant, 2)
    await house.until(run, moment)
    await house.kill()
    sent = house.wire.seen["submit"]
    assert await house.runs.resume_all(house.account) == 1
    assert await house.runs.resume_all(house.account) == 0
    run = await house.end_of(run)
    created = await house.created()
    assert house.wire.seen["submit"] == sent
    assert {p.id for p in run.predictions} - {None} == {p.id for p in created}
    assert len(run.outputs) == sum(p.inputs.get("num_images", 1) for p in created)
    assert run.charge == house.spent() == await house.billed()
    assert all(t.charged == "no" for t in run.troubles)


async def test_closing_hears_the_answers_out(house: House) -> None:
    """An orderly end in the middle of a submit keeps its id, so that nobody has to search for it."""
    answered = asyncio.Event()

    async def slow(request: httpx.Request, forward: Forward) -> httpx.Response:
        await answered.wait()
        return await forward(request)

    house.wire.faults["submit"].append(slow)
    run = await house.press()
    await house.until(run, _first("submitting"))
    closing = asyncio.create_task(house.runs.aclose())
    await asyncio.sleep(0)
    answered.set()
    await closing
    house.ledger.close()
    house.open()
    await house.runs.resume_all(house.account)
    run = await house.end_of(run)
    assert (run.state, house.wire.seen["history"], len(await house.created())) == ("completed", 0, 1)


async def test_an_unfinished_run_of_an_absent_key_waits(house: House) -> None:
    """After a restart, a run whose key is not here says what it waits for."""
    house.time.going.clear()
    run = await house.press()
    await house.until(run, submitted)
    await house.kill()
    (seen,) = [now async for now in house.runs.watch("ann", run.id)]
    assert (seen.finished, seen.keyless) == (False, True)
    assert [(t.happened, t.charged) for t in seen.troubles] == [
        ("This run is waiting for the key it was made with.", "unknown")
    ]


async def test_a_run_of_an_absent_key_can_be_deleted(house: House) -> None:
    """What was sent stays counted, what had only waited in line is free, and the key that comes back takes nothing up.

    With room for one, the second of two pictures was never sent.
    """
    await house.aclose()
    house = House(house.folder, at_once=1)
    house.time.going.clear()
    run = await house.press("pro", 2)
    await house.until(run, lambda now: any(p.id for p in now.predictions))
    await house.kill()
    assert house.spent() == Decimal("0.08")
    await house.runs.delete("ann", run.id)
    assert (await house.runs.get("ann", run.id), house.spent()) == (None, Decimal("0.04"))
    assert await house.runs.resume_all(house.account) == 0
    await house.aclose()


# money


async def test_a_dearer_quote_is_refused(house: House) -> None:
    """More than the estimate is not spent in silence: nothing is sent, and both amounts are named."""
    house.wire.always["quote"] = rewritten(lambda data: data.update(price=0.05, discounted_price=0.05))
    run = await house.run("pro", 2)
    assert (run.state, run.charge, house.wire.seen["submit"]) == ("failed", 0, 0)
    assert "$0.10" in run.troubles[0].happened
    assert "$0.08" in run.troubles[0].happened


async def test_a_discount_is_what_counts(house: House) -> None:
    """A lower quote is what is reserved and charged."""
    house.wire.always["billing"] = answer(404, "none")
    house.wire.always["quote"] = rewritten(lambda data: data.update(discounted_price=0.0355))
    run = await house.run("pro", 2)
    assert (run.charge, run.charge_source, house.spent()) == (Decimal("0.071"), "quote", Decimal("0.071"))


async def test_what_was_shown_is_what_is_confirmed(house: House) -> None:
    """A press at the account's own price is estimated, reserved and charged at it; a dearer one once it was shown."""
    house.wire.always = {"quote": quoted(0.032), "billing": answer(404, "none")}
    run = await house.end_of(await house.press("pro", 2, confirmed=Decimal("0.064")))
    assert run.estimate == run.charge == house.spent() == Decimal("0.064")
    house.wire.always["quote"] = quoted(0.05)
    house.time.now += REMEMBERED
    with pytest.raises(KontextError, match=r"\$0.10, not \$0.064"):
        await house.press("pro", 2, confirmed=Decimal("0.064"))
    assert (house.wire.seen["submit"], house.spent()) == (2, Decimal("0.064"))
    assert house.runs.prices(house.account, 2)["pro"] == Decimal("0.05")
    run = await house.end_of(await house.press("pro", 2, confirmed=Decimal("0.10")))
    assert run.estimate == run.charge == Decimal("0.10")


async def test_without_an_answer_a_discount_is_over(house: House) -> None:
    """Where the service no longer tells the lower price that was shown, nothing goes at the list's in silence."""
    house.wire.always["quote"] = answer(404, "none")
    with pytest.raises(KontextError, match=r"\$0.04, not \$0.032"):
        await house.press(confirmed=Decimal("0.032"))
    assert (await house.run(confirmed=Decimal("0.04"))).charge == Decimal("0.04")


async def test_however_often_prices_are_looked_at_few_are_asked_for(house: House) -> None:
    """A thousand looks ask for each variant and number of pictures once in five minutes, and seldom after a failure."""
    house.wire.always["quote"] = answer(404, "none")
    for _ in range(100):
        await house.runs.ask_prices(house.account, 1)
    assert house.wire.seen["quote"] == 2 * len(REGISTRY)  # by the newer call and by the older one
    house.time.now += PAUSE
    house.wire.always.clear()
    for number in range(1000):
        await house.runs.ask_prices(house.account, number % 4 + 1)
    assert house.wire.seen["quote"] - 2 * len(REGISTRY) == 10


def quoted(price: float) -> Fault:
    """A quote of that much for each submit."""
    return rewritten(lambda data: data.update(price=price, discounted_price=price))


@pytest.mark.parametrize(
    "fault", [html_502_before, lost_before, answer(404, "none"), quoted(0), rewritten(lambda data: data.clear())]
)
async def test_hosted_no_answer_about_the_price_is_no_run(tmp_path: Path, fault: Fault) -> None:
    """Where strangers spend the host's money, nothing goes at a price that the service has not confirmed."""
    house = House(tmp_path / "data", hosted=True, budget=Budget(visitor=Decimal("0.20")))
    house.wire.always["quote"] = fault
    run = await house.run()
    assert (run.state, run.charge, house.spent(), house.wire.seen["submit"]) == ("failed", 0, 0, 0)
    assert str(run.troubles[0]).startswith("The price can't be confirmed just now. Nothing was charged.")
    await house.aclose()


async def test_hosted_an_endless_answer_about_the_price_is_no_run(tmp_path: Path) -> None:
    """A service that keeps everybody waiting for the price has an end, too."""
    house, held = House(tmp_path / "data", hosted=True, timeouts=Timeouts(quote=0)), Held()
    house.wire.faults["quote"].append(held)
    run = await house.run()
    assert (run.state, house.wire.seen["submit"]) == ("failed", 0)
    held.go.set()
    await house.aclose()


async def test_hosted_the_price_is_asked_for_more_than_once(tmp_path: Path) -> None:
    """A passing fault of the free question costs nobody their run."""
    house = House(tmp_path / "data", hosted=True)
    house.wire.faults["quote"].extend([html_502_before, lost_before])
    run = await house.run()
    assert (run.state, house.wire.seen["quote"], house.wire.seen["submit"]) == ("completed", 3, 1)
    await house.aclose()


@pytest.mark.parametrize(("hosted", "kind"), [(False, "host"), (True, "own")])
async def test_without_a_cap_the_list_price_will_do(tmp_path: Path, hosted: bool, kind: Any) -> None:
    """On one's own computer, or with one's own key, a run goes at the published price where no other is told."""
    house = House(tmp_path / "data", hosted=hosted, kind=kind)
    house.wire.always["quote"] = answer(404, "none")
    assert (await house.run()).state == "completed"
    await house.aclose()


@pytest.mark.parametrize(("price", "hosted"), [(0.0039, True), (0.0000001, False)])
async def test_a_quote_far_too_low_reserves_the_list_price(tmp_path: Path, price: float, hosted: bool) -> None:
    """Less than a tenth of the list price is a fault of the service: it lets nobody past the cap."""
    house = House(tmp_path / "data", hosted=hosted, budget=Budget(visitor=Decimal("0.08")))
    house.wire.always = {"quote": quoted(price), "billing": answer(404, "none")}
    for _ in range(2):
        assert (await house.run()).charge_source == "estimate"
    assert house.spent() == Decimal("0.08")
    with pytest.raises(BudgetError):
        await house.press()
    await house.aclose()


async def test_a_tenth_of_the_list_price_is_a_discount(house: House) -> None:
    """Down to a tenth the service is believed."""
    house.wire.always = {"quote": quoted(0.004), "billing": answer(404, "none")}
    run = await house.run()
    assert (run.charge, run.charge_source) == (Decimal("0.004"), "quote")


@pytest.mark.parametrize(("price", "passes"), [(0.04, 2), (0.02, 4)])
async def test_a_quote_known_before_the_press_is_what_the_cap_counts(tmp_path: Path, price: float, passes: int) -> None:
    """A price that the service has told is reserved at the press, so the caps hold for it and not for the list's."""
    house = House(tmp_path / "data", hosted=True, budget=Budget(visitor=Decimal("0.08")))
    house.wire.always = {"quote": quoted(price), "billing": answer(404, "none")}
    house.runs.prefetch(house.account, check("pro", "x", 1, {}, lambda: 1), [house.reference])
    await calm()
    house.time.going.clear()  # none of them gets to its end, so what is counted is what was reserved
    for _ in range(passes):
        await house.press()
    with pytest.raises(BudgetError):
        await house.press()
    house.time.going.set()
    await calm()
    assert house.spent() == Decimal("0.08")
    await house.aclose()


async def test_a_dearer_price_known_before_the_press_meets_the_cap(tmp_path: Path) -> None:
    """Five times the list price, told by the service, is what the cap is asked about."""
    house = House(tmp_path / "data", hosted=True, budget=Budget(visitor=Decimal("0.10")))
    house.wire.always["quote"] = quoted(0.20)
    house.runs.prefetch(house.account, check("pro", "x", 1, {}, lambda: 1), [house.reference])
    await calm()
    with pytest.raises(BudgetError, match=r"\$0.20"):
        await house.press(confirmed=Decimal("0.20"))
    assert house.wire.seen["submit"] == 0
    await house.aclose()


async def test_a_hundred_presses_against_a_budget_for_seven(tmp_path: Path) -> None:
    """However many press at once, exactly seven pass, and the server creates seven tasks."""
    house = House(tmp_path / "data", budget=Budget(daily=Decimal("0.28")))
    presses = [house.press(visitor=f"visitor {n}") for n in range(100)]
    outcomes = await asyncio.gather(*presses, return_exceptions=True)
    passed = [run for run in outcomes if isinstance(run, Run)]
    assert len(passed) == 7
    assert sum(isinstance(refusal, BudgetError) for refusal in outcomes) == 93
    for run in passed:
        assert (await house.end_of(run)).state == "completed"
    assert len(await house.created()) == 7
    assert len(list((house.folder / "outputs").iterdir())) == 7
    await house.aclose()


@pytest.mark.parametrize("kind", ["sandbox", "own"])
async def test_only_the_host_s_key_is_capped(tmp_path: Path, kind: Any) -> None:
    """The sandbox and a visitor's own key know no cap; the sandbox's runs are no spending."""
    house = House(tmp_path / "data", kind=kind, budget=Budget(Decimal("0.01"), Decimal("0.01")))
    assert (await house.run()).state == "completed"
    assert house.spent() == (0 if kind == "sandbox" else Decimal("0.04"))
    await house.aclose()


async def test_released_money_can_be_spent_again(tmp_path: Path) -> None:
    """A definite no gives its reservation back to the budget; an unknown one keeps it."""
    house = House(tmp_path / "data", budget=Budget(visitor=Decimal("0.04")))
    await house.run(prompt="[sandbox:failed]")
    await house.run(prompt="[sandbox:moderated]")
    with pytest.raises(BudgetError):
        await house.press()
    await house.aclose()


# the ledger fails


async def locked(house: House) -> sqlite3.Connection:
    """Somebody else holds the ledger's file."""
    other = sqlite3.connect(house.folder / "ledger.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other


@pytest.mark.sqlite
async def test_a_locked_ledger_before_the_press(house: House) -> None:
    """What can't be recorded is not spent: said at once, and nothing is left behind."""
    other = await locked(house)
    with pytest.raises(LedgerError, match=r"locked.*Nothing was charged"):
        await house.press()
    other.close()
    assert house.wire.seen["submit"] == 0
    assert not list((house.folder / "outputs").iterdir())


@pytest.mark.sqlite
async def test_a_locked_ledger_before_the_submit(house: House) -> None:
    """The ledger fails between reservation and submit: not sent, not charged, and said so."""
    held = Held()
    house.wire.faults["upload"].append(held)
    run = await house.press()
    await held.reached.wait()
    other = await locked(house)
    held.go.set()
    run = await house.end_of(run)
    other.close()
    assert (run.state, run.charge, house.wire.seen["submit"]) == ("failed", 0, 0)
    assert [t.charged for t in run.troubles] == ["no"]


@pytest.mark.sqlite
async def test_a_locked_ledger_after_the_submit(house: House) -> None:
    """The ledger fails once the money is spent: the picture is saved and shown all the same."""
    house.time.going.clear()
    run = await house.press()
    await house.until(run, lambda now: now.state == "waiting")
    other = await locked(house)
    house.time.going.set()
    run = await house.end_of(run)
    assert (run.state, len(run.outputs), [t.charged for t in run.troubles]) == ("completed", 1, ["yes"])
    assert run.outputs[0].path.exists()
    assert await house.runs.get("ann", run.id) == run
    other.close()
    await house.kill()
    await house.runs.resume_all(house.account)
    assert ((await house.end_of(run)).state, len(await house.created())) == ("completed", 1)


# what nobody foresaw


async def test_a_foreign_exception_ends_honestly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of the app itself becomes a trouble; the log names its kind and place, and none of its values."""

    async def broken_sleep(seconds: float) -> None:
        raise ZeroDivisionError("secret value")

    house = House(tmp_path / "data", sleep=broken_sleep)
    with caplog.at_level(logging.ERROR):
        run = await house.run()
    assert (run.state, run.resumable) == ("failed", True)
    assert [t.charged for t in run.troubles] == ["unknown"]
    assert "ZeroDivisionError" in caplog.text
    assert "secret value" not in caplog.text
    await house.aclose()


# recovery and deletion


@pytest.mark.sqlite
async def test_recover_by_id(house: House) -> None:
    """A prediction that nobody here remembers comes into the history, with what was asked for; it costs nothing new."""
    await house.run("dev", 2, prompt="a lost owl", seed=7)
    (made,) = await house.created()
    house.folder = house.folder.with_name("another")
    await house.kill()
    run = await house.end_of(await house.runs.recover("bob", house.account, f" {made.id} "))
    assert (run.state, run.variant_id, run.prompt, run.seed) == ("completed", "dev", "a lost owl", 7)
    assert (len(run.outputs), run.charge, house.spent("bob")) == (2, None, 0)
    again = await house.runs.recover("bob", house.account, made.id)
    assert again.id == run.id
    with pytest.raises(KontextError, match="no prediction"):
        await house.runs.recover("eve", house.account, made.id)


async def test_a_hosted_copy_recovers_what_it_knows_alone(tmp_path: Path) -> None:
    """Ids travel in receipts: with the host's key a stranger's id brings nothing, the visitor's own still does."""
    house = House(tmp_path, hosted=True)
    run = await house.run(prompt="a private owl")
    await house.runs.delete("ann", run.id)
    assert run.predictions[0].id
    again = await house.runs.recover("ann", house.account, run.predictions[0].id)
    assert (await house.end_of(again)).state == "completed"
    house.folder = house.folder.with_name("another")
    await house.kill()
    with pytest.raises(KontextError, match="no prediction"):
        await house.runs.recover("bob", house.account, run.predictions[0].id)
    assert await house.runs.list_for("bob") == []
    await house.aclose()


async def test_what_is_being_deleted_is_recovered(house: House) -> None:
    """Asked for while its run is on its way out of the history, a prediction comes back as it would afterwards."""
    run = await house.run(prompt="an owl on its way out")
    _, again = await asyncio.gather(
        house.runs.delete("ann", run.id), house.runs.recover("ann", house.account, str(run.predictions[0].id))
    )
    assert (await house.end_of(again)).state == "completed"
    assert [kept.id for kept in await house.runs.list_for("ann")] == [again.id] != [run.id]


async def test_a_deletion_that_was_cut_off_is_seen_through(house: House) -> None:
    """What it left on the disk goes at the next start, and nothing of a run that is kept."""
    gone, kept = await house.run(), await house.run()
    house.ledger.delete(gone.id, house.time.now)
    await house.kill()
    house.runs.clear_deleted()
    assert not gone.outputs[0].path.exists() and kept.outputs[0].path.exists()


@pytest.mark.sqlite
async def test_recovered_twice_at_once(house: House) -> None:
    """Two presses make one run of one prediction."""
    await house.run()
    (made,) = await house.created()
    house.folder = house.folder.with_name("another")
    await house.kill()
    both = await asyncio.gather(*(house.runs.recover("bob", house.account, made.id) for _ in range(2)))
    assert both[0].id == both[1].id
    assert len(await house.runs.list_for("bob")) == 1


async def test_what_was_recovered_is_counted_once(house: House) -> None:
    """A submit that may or may not be the recovered prediction stays counted, however often it is resumed."""
    house.wire.always["history"] = rewritten(nameless)
    house.wire.faults["submit"].append(lost_after)
    run = await house.run()
    (made,) = await house.created()
    recovered = await house.end_of(await house.runs.recover("ann", house.account, made.id))
    assert len(recovered.outputs) == 1
    for _ in range(2):
        run = await house.end_of(await house.runs.resume("ann", house.account, run.id))
        assert [t.charged for t in run.troubles] == ["unknown"]
        assert house.spent() == await house.billed() == Decimal("0.04")
        house.wire.always.clear()  # from now on the history tells the inputs, and that they are ours


@pytest.mark.sqlite
async def test_odd_numbers_of_the_history_do_no_harm(house: House) -> None:
    """A seed and a count that no variant can have come from elsewhere, and are left out."""
    await house.run("dev")
    (made,) = await house.created()
    house.folder = house.folder.with_name("another")
    await house.kill()

    def odd(data: dict[str, Any]) -> None:
        for item in data["items"]:
            item["inputs"].update(seed=2**70, num_images=10**30)

    house.wire.always["history"] = rewritten(odd)
    run = await house.end_of(await house.runs.recover("bob", house.account, made.id))
    assert (run.state, run.seed, run.pictures) == ("completed", None, 1)


@pytest.mark.parametrize("id", ["f" * 32, "nonsense!", "", "../balance"])
async def test_recover_nothing(house: House, id: str) -> None:
    """An id that is none, or of nothing, is refused in a sentence, and leaves no run behind."""
    with pytest.raises(KontextError):
        await house.runs.recover("ann", house.account, id)
    assert await house.runs.list_for("ann") == []


async def test_delete(house: House) -> None:
    """A deleted run takes its files and its words with it; its money still counts, for caps and for the session."""
    run = await house.run(prompt="a very private owl")
    await house.runs.delete("eve", run.id)
    assert await house.runs.get("ann", run.id) is not None
    await house.runs.delete("ann", run.id)
    assert (await house.runs.get("ann", run.id), await house.runs.list_for("ann")) == (None, [])
    assert not (house.folder / "outputs" / run.id).exists()
    assert house.spent() == Decimal("0.04")
    with sqlite3.connect(house.folder / "ledger.db") as file:
        assert not [row for row in file.iterdump() if "private owl" in row]
    file.close()


async def test_a_running_run_is_not_deleted(house: House) -> None:
    """Deleting is refused while the run goes on."""
    house.time.going.clear()
    run = await house.press()
    with pytest.raises(KontextError, match="isn't finished"):
        await house.runs.delete("ann", run.id)


async def test_claims_are_of_what_is_under_way(house: House) -> None:
    """A run that has ended holds no claim, and its prediction is still not taken for a later duplicate's lost one."""
    ended = await house.run("max", 2)
    assert len(house.runs._flow._claims) == 0
    house.wire.faults["submit"].append(lost_before)
    duplicate = await house.run("max")
    assert (duplicate.state, duplicate.charge) == ("failed", 0)
    assert [p.id for p in duplicate.predictions] == [None]
    assert len({p.id for p in ended.predictions}) == len(await house.created()) == 2
    assert len(house.runs._flow._claims) == 0


# places in line


async def test_places_in_line(tmp_path: Path) -> None:
    """With room for two, four pictures are never more than two at once; who waits hears the place."""
    house = House(tmp_path / "data", at_once=2)
    run = await house.press("pro", 4)
    open_at_once, notices = [], set()
    async for now in house.runs.watch("ann", run.id):
        open_at_once.append(sum(p.status in ("submitting", "created", "processing") for p in now.predictions))
        notices.add(now.notice)
    assert max(open_at_once) == 2
    assert any("Number 1 in line" in notice for notice in notices)
    assert len(await house.created()) == 4
    await house.aclose()


async def test_the_concurrency_limit_learns(house: House) -> None:
    """A 429 lowers the limit below what was in flight; successes raise it again, one a round."""
    concurrency = ConcurrencyLimit(8)
    for _ in range(4):
        await concurrency.enter("one", lambda place: None)
    concurrency.refused()
    assert concurrency.limit == 3
    for _ in range(3):
        concurrency.finished()
    assert concurrency.limit == 4


async def test_a_limit_that_rises_lets_the_next_one_in() -> None:
    """Whoever waits goes in at the moment at which there is room for one more, not when somebody leaves."""
    concurrency = ConcurrencyLimit(2)
    for _ in range(2):
        await concurrency.enter("one", lambda place: None)
    concurrency.refused()
    concurrency.leave()
    waiting = asyncio.create_task(concurrency.enter("one", lambda place: None))
    await asyncio.sleep(0)
    assert not waiting.done()
    concurrency.finished()
    await asyncio.wait_for(waiting, 1)


async def test_places_go_to_the_groups_in_turn() -> None:
    """One who comes alone waits for one place of a crowd that came before; nobody is told a place but their own."""
    concurrency, let_in, told = ConcurrencyLimit(1), [], dict[str, int]()

    async def wait(group: str, name: str) -> None:
        def tell(place: int) -> None:
            told[name] = place

        await concurrency.enter(group, tell)
        let_in.append(name)

    await concurrency.enter("first", lambda place: None)
    names = {"crowd": ("c1", "c2", "c3", "c4"), "pair": ("p1", "p2"), "alone": ("a1",)}
    tasks = [asyncio.create_task(wait(group, name)) for group, members in names.items() for name in members]
    await asyncio.sleep(0)
    order = ["c1", "p1", "a1", "c2", "p2", "c3", "c4"]
    assert told == {name: place for place, name in enumerate(order, 1)}
    tasks[5].cancel()  # p2
    await asyncio.sleep(0)
    order.remove("p2")
    for count in range(len(order)):
        assert let_in == order[:count]
        concurrency.leave()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert let_in == order


async def test_several_runs_of_one_press(tmp_path: Path) -> None:
    """They are reserved together, or none is and nothing of them is left; each is seen to its end by itself."""
    house = House(tmp_path / "data", budget=Budget(daily=Decimal("0.1")))
    asked = [
        Asked(check(id, "make it red", 1, {}, lambda: 7), [house.reference]) for id in ("pro", "dev", "ultra-fast")
    ]
    with pytest.raises(BudgetError, match=r"\$0\.125, .* \$0\.10 a day"):
        await house.runs.start_all("ann", house.account, [*asked, asked[1]])
    assert (set(house.wire.seen), await house.runs.list_for("ann"), files.runs_in(house.folder)) == ({"quote"}, [], [])
    runs = await house.runs.start_all("ann", house.account, asked)
    assert [(await house.end_of(run)).state for run in runs] == ["completed"] * 3
    assert house.spent() == Decimal("0.095")
    await house.aclose()


async def test_a_place_given_up_goes_to_the_next(house: House) -> None:
    """Whoever leaves the line, before or just after being let in, takes nobody's place away."""
    concurrency, heard = ConcurrencyLimit(1), []
    await concurrency.enter("one", heard.append)
    first, second = (asyncio.create_task(concurrency.enter("one", heard.append)) for _ in range(2))
    await asyncio.sleep(0)
    concurrency.leave()
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert heard[-1] == 0
