"""The life of a trial, over a sandbox: sealed, made, judged, closed, reported, deleted."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from httpx import Request, Response
from running import Forward, Held, House, another_reference, rewritten

from core.access.budget import Budget
from core.access.codes import code_hash
from core.access.invitations import Invitations
from core.comparisons.comparison import again
from core.errors import BudgetError, InputError, KontextError
from core.ledger import ballots, pause, people, trials
from core.ledger.ballots import Ballot, Choice
from core.ledger.trials import Case, Spec, Trial
from core.pictures.decoder import Decoder
from core.trials import seal
from core.trials.blind import Blind, place
from core.trials.life import MOST_DRAFTS, Trials
from core.trials.making import RETRY_INTERVAL
from core.trials.trial import folder_of

pytestmark = [pytest.mark.anyio, pytest.mark.both(soak=True)]

VARIANTS = ("dev", "ultra-fast")
PRICE = Decimal("0.055")  # of one case
SMALL = {"size": "256*256"}


class Lab(House):
    """A house with trials in it."""

    def __init__(self, folder: Path, decoder: Decoder, **others: Any) -> None:
        self.decoder = decoder
        super().__init__(folder, **others)

    def open(self) -> None:
        super().open()
        self.trials = Trials(self.ledger, self.runs, Blind(self.decoder, self.folder), self.runtime)

    def spec(self, *prompts: str, **others: Any) -> Spec:
        cases = tuple(Case(prompt, (self.reference,), SMALL) for prompt in prompts or ("a cup", "a hat"))
        return Spec("Cups", "Which would you put on the shop page?", VARIANTS, cases, **others)

    async def sealed(self, *prompts: str, **others: Any) -> Trial:
        draft = await self.trials.save("ann", self.account, self.spec(*prompts, **others))
        total = PRICE * len(draft.spec.cases)
        trial, self.code = await self.trials.seal("ann", self.account, draft.id, total)
        return trial

    async def made(self, trial: Trial) -> Trial:
        return [progress async for progress in self.trials.watch("ann", trial.id)][-1].trial

    async def opened(self, *prompts: str, **others: Any) -> Trial:
        return await self.made(await self.sealed(*prompts, **others))


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


@pytest.fixture
async def lab(tmp_path: Path, decoder: Decoder) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path / "data", decoder)
    yield lab
    await lab.trials.aclose()
    await lab.aclose()


def judged(lab: Lab, trial: Trial, judges: int, best: str = "dev", worst: str = "ultra-fast") -> None:
    """So many judges say the same of every case that stands."""

    def plan(number: int) -> list[Ballot]:
        return [
            Ballot(f"{trial.id}-{number}-{case}", place, case, 1, VARIANTS) for place, case in enumerate(trial.standing)
        ]

    with lab.ledger.writing() as connection:
        for _ in range(judges):
            token = f"token {len(ballots.judges(connection, trial.id))}"
            judge = ballots.join(connection, trial.id, token, "Ann", False, lab.time.now, plan)
            assert judge
            for ballot in ballots.of_judge(connection, judge.id):
                choice = Choice(best, worst, frozenset({best}), "sharp")
                ballots.vote(connection, judge.id, ballot.id, choice, lab.time.now)


def lets_in(lab: Lab, code: str) -> bool:
    with lab.ledger.reading() as connection:
        return trials.by_code(connection, code_hash(code), lab.time.now, lab.folder) is not None


def failed(data: dict[str, Any]) -> None:
    data.update(status="failed", error="The model fell over.", outputs=[])


def dearer_quote(data: dict[str, Any]) -> None:
    data["discounted_price"] = data["price"] = data["price"] * 2


def dearer_bills(data: dict[str, Any]) -> None:
    for item in data["items"]:
        item["price"] *= 2


async def test_from_the_draft_to_the_report(lab: Lab) -> None:
    """It is sealed, made for exactly what was confirmed, judged, closed, and its report names the one that all prefer;
    made again it is the same to the digit.
    """
    trial = await lab.opened(*(f"cup {n}" for n in range(8)))
    assert (trial.state, trial.withdrawn, lab.spent()) == ("open", (), 8 * PRICE)
    assert len(await lab.created()) == 16
    judged(lab, trial, judges=4)
    assert [(judge.number, votes, of) for judge, votes, of in await lab.trials.progress("ann", trial.id)] == [
        (number, 8, 8) for number in (1, 2, 3, 4)
    ]
    closed = await lab.trials.close("ann", trial.id)
    assert (closed.state, closed.invites, closed.seal) == ("closed", False, trial.seal)
    report = await lab.trials.report("ann", trial.id)
    assert report["verdict"]["kind"] == "preferred"
    assert report["verdict"]["variant"] == "dev"
    assert (report["judges"], report["cases"], report["withdrawn"], report["seal"]) == (4, 8, [], trial.seal)
    assert set(report) == {
        *("verdict", "variants", "judges", "cases", "withdrawn", "agreement", "places", "seal"),
    }
    await lab.kill()
    assert await lab.trials.report("ann", trial.id) == report


async def test_a_file_is_checked_against_the_seal(lab: Lab) -> None:
    """What was sealed, the pictures and the report fit, after a way through JSON too; any change to them does not."""
    trial = await lab.opened()
    judged(lab, trial, judges=1)
    await lab.trials.close("ann", trial.id)
    file = json.loads(json.dumps(await lab.trials.document("ann", trial.id)))
    assert seal.check(file) == []
    assert [len(file["pictures"]), len(file["votes"]), file["judges"]] == [4, 2, [{"judge": 1, "name": ""}]]
    paths = {picture.sha256: picture.path for picture in await lab.trials.pictures("ann", trial.id)}
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == told for told, path in paths.items())
    assert seal.check(file | {"sealed": file["sealed"] | {"margin": 40}}) == [
        "The rules are not those that were sealed."
    ]
    other = [file["pictures"][0] | {"sha256": "0" * 64}, *file["pictures"][1:]]
    assert seal.check(file | {"pictures": other}) == ["The pictures are not those that were judged."]
    assert seal.check(file | {"report": file["report"] | {"seal": "0"}})[0] == "The report is of another trial."


async def test_any_change_of_a_file_is_found(lab: Lab) -> None:
    """Whatever one value of it becomes; and a report that votes don't bring is found even under a seal made anew."""
    trial = await lab.opened()
    await lab.trials.look("ann", trial.id)
    judged(lab, trial, judges=2)
    await lab.trials.close("ann", trial.id)
    file = json.loads(json.dumps(await lab.trials.document("ann", trial.id)))
    changed = list(_changed(file))
    assert len(changed) > 100
    assert [one for one in changed if not seal.check(json.loads(one))] == []
    file["report"]["variants"][0]["p_best"] = 0.99
    assert seal.check(file | {"votes_seal": seal.votes_seal(file)}) == ["The report does not follow from the votes."]
    assert seal.check({"seal": 7}) == ["This is not the whole file of a trial."]


def _changed(file: Any, path: tuple[Any, ...] = ()) -> Iterator[str]:
    """The file as text, each time with another one of its values changed."""
    here = file
    for step in path:
        here = here[step]
    if isinstance(here, dict | list) and here:
        for step in list(here) if isinstance(here, dict) else range(len(here)):
            yield from _changed(file, (*path, step))
        return
    copy = json.loads(json.dumps(file))
    inside = copy
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = "changed" if here != "changed" else 0
    yield json.dumps(copy)


async def test_half_characters_do_not_stand_in_the_way(lab: Lab) -> None:
    """Text that no file can hold is sealed, shown and reported as question marks."""
    spec = replace(lab.spec("a cup"), title="Cups \ud800", question="Which \udfff?")
    draft = await lab.trials.save("ann", lab.account, spec)
    trial, _ = await lab.trials.seal("ann", lab.account, draft.id, PRICE)
    assert (await lab.made(trial)).state == "open"
    await lab.trials.close("ann", trial.id)
    assert seal.check(await lab.trials.document("ann", trial.id)) == []


async def test_another_total_makes_nothing(lab: Lab) -> None:
    """The estimate is told, nothing is sealed, sent or spent; the same draft can be sealed with the right one."""
    draft = await lab.trials.save("ann", lab.account, lab.spec())
    for wrong in ("0.109", "0", "0.111"):
        with pytest.raises(InputError, match=r"4 pictures are expected to cost \$0.11"):
            await lab.trials.seal("ann", lab.account, draft.id, Decimal(wrong))
    assert (await lab.trials.get("ann", draft.id)).state == "draft"
    assert (lab.spent(), await lab.created()) == (0, [])
    trial, _ = await lab.trials.seal("ann", lab.account, draft.id, Decimal("0.1100"))
    assert (await lab.made(trial)).state == "open"


async def test_an_account_with_a_price_of_its_own(lab: Lab) -> None:
    """Where the service asks for more than the list, nothing is made until that is confirmed; the seal then has it."""
    lab.wire.always |= {"quote": rewritten(dearer_quote), "billing": rewritten(dearer_bills)}
    draft = await lab.trials.save("ann", lab.account, lab.spec())
    with pytest.raises(KontextError, match=r"The price is now \$0.22"):
        await lab.trials.seal("ann", lab.account, draft.id, 2 * PRICE)
    assert ((await lab.trials.get("ann", draft.id)).state, await lab.created()) == ("draft", [])
    trial, _ = await lab.trials.seal("ann", lab.account, draft.id, 4 * PRICE)
    assert (await lab.made(trial)).state == "open"
    assert lab.spent() == 4 * PRICE
    told = {row["id"]: Decimal(row["price_usd"]) for row in json.loads(str(trial.sealed))["variants"]}
    assert told == {"dev": Decimal("0.06"), "ultra-fast": Decimal("0.05")}


async def test_a_budget_refuses_all_or_nothing(lab: Lab) -> None:
    """Where there is no room for the whole total, the trial stays a draft, and no picture of it is made."""
    lab.budget = Budget(daily=Decimal("0.109"))
    await lab.kill()
    draft = await lab.trials.save("ann", lab.account, lab.spec())
    with pytest.raises(BudgetError):
        await lab.trials.seal("ann", lab.account, draft.id, 2 * PRICE)
    left = await lab.trials.get("ann", draft.id)
    assert (left.state, left.seal, left.invites, lab.spent()) == ("draft", None, False, 0)
    assert not list((lab.folder / "outputs").glob("*"))


async def test_from_the_seal_on_nothing_changes(lab: Lab) -> None:
    """It is not saved, sealed or made again, and none of its runs is deleted or repeated by itself."""
    trial = await lab.opened()
    with pytest.raises(KontextError, match="sealed, so nothing"):
        await lab.trials.save("ann", lab.account, lab.spec("another"), trial.id)
    with pytest.raises(KontextError, match="sealed, so nothing"):
        await lab.trials.seal("ann", lab.account, trial.id, 2 * PRICE)
    runs = await lab.runs.comparison("ann", trial.id)
    assert len(runs) == 4
    with pytest.raises(KontextError, match="belongs to a trial"):
        await lab.runs.delete("ann", runs[0].id)
    with pytest.raises(KontextError, match="not part of a comparison"):
        await again(lab.runs, "ann", lab.account, runs[0].id)
    assert (await lab.trials.get("ann", trial.id)).spec == trial.spec


async def test_the_history_does_not_tell_who_made_what(lab: Lab) -> None:
    """A host who judges finds the trial's pictures in no list; their cost counts like any other."""
    run = await lab.run()
    trial = await lab.opened()
    assert [one.id for one in await lab.runs.list_for("ann")] == [run.id]
    newest = await lab.runs.newest("ann")
    assert newest is not None
    assert newest.id == run.id
    assert lab.spent() == 2 * PRICE + Decimal("0.04")
    assert [one.id for one in await lab.trials.list_for("ann")] == [trial.id]


async def test_a_failure_is_tried_once_more(lab: Lab) -> None:
    """It costs nothing, and the second try takes its place."""
    lab.wire.faults["result"].append(rewritten(failed))
    trial = await lab.opened()
    assert (trial.state, trial.withdrawn) == ("open", ())
    assert (lab.spent(), len(await lab.runs.comparison("ann", trial.id))) == (2 * PRICE, 5)
    await lab.trials.close("ann", trial.id)
    file = await lab.trials.document("ann", trial.id)
    assert sorted((row["asked"], row["failed"]) for row in file["making"]) == [(2, 0), (3, 1)]
    assert "failed in 1 of 3 pictures." in file["report"]["verdict"]["words"]


async def test_a_host_who_signs_in_meanwhile_has_the_trial(lab: Lab) -> None:
    """Pictures that fail after that are made once more, and it opens as theirs."""
    held = Held()

    async def failing(request: Request, forward: Forward) -> Response:
        await held(request, forward)
        return await rewritten(failed)(request, forward)

    lab.wire.faults["result"].extend([failing] * 2)
    trial = await lab.sealed("a cup")
    await held.reached.wait()
    with lab.ledger.writing() as connection:
        people.join(connection, "ann", "person-1")
    lab.runs.hand_over("ann", "person-1")
    held.go.set()
    made = [progress async for progress in lab.trials.watch("person-1", trial.id)][-1].trial
    assert (made.state, made.visitor, made.withdrawn) == ("open", "person-1", ())
    assert len(await lab.created()) == 4 and lab.spent("person-1") == PRICE


async def test_a_case_that_fails_twice_is_withdrawn(lab: Lab) -> None:
    """For all variants, with its reason; judges are shown the others alone, and the report says so."""
    trial = await lab.opened("a cup", "a hat [sandbox:failed]")
    assert trial.state == "open"
    assert trial.standing == (1,)
    (gone,) = trial.withdrawn
    assert (gone["case"], sorted(gone["failed"])) == (2, ["dev", "ultra-fast"])
    assert "Dev: The task failed at the service." in gone["reason"]
    assert (lab.spent(), len(await lab.created())) == (PRICE, 6)
    with lab.ledger.reading() as connection:
        assert {one.case for one in trials.pictures(connection, trial.id, lab.folder)} == {1}
    await lab.trials.close("ann", trial.id)
    report = await lab.trials.report("ann", trial.id)
    assert report["withdrawn"] == [{"case": "2", "reason": gone["reason"]}]
    assert report["cases"] == 1
    assert "Of 2 cases, 1 had to be withdrawn" in report["verdict"]["words"]


async def test_what_was_blocked_is_not_ordered_again(lab: Lab) -> None:
    """It may have been charged, and the total that was confirmed is never exceeded; the report counts it apart."""
    trial = await lab.opened("a cup", "a hat [sandbox:moderated]")
    assert [gone["case"] for gone in trial.withdrawn] == [2]
    assert (lab.spent(), len(await lab.created())) == (2 * PRICE, 4)
    await lab.trials.close("ann", trial.id)
    words = (await lab.trials.report("ann", trial.id))["verdict"]["words"]
    assert "Dev failed in 1 of 2 pictures, 1 of these blocked by the safety filter." in words


async def test_without_any_case_there_is_nothing_to_judge(lab: Lab) -> None:
    """A trial of which every case failed is closed at once, and its report says why."""
    trial = await lab.opened("[sandbox:failed] cup", "[sandbox:failed] hat")
    assert (trial.state, trial.standing, lab.spent()) == ("closed", (), 0)
    assert not lets_in(lab, lab.code)
    report = await lab.trials.report("ann", trial.id)
    assert report["verdict"]["kind"] == "too_early"
    assert (report["cases"], len(report["withdrawn"])) == (0, 2)


async def test_two_takes_are_one_case(lab: Lab) -> None:
    """Each variant makes two pictures of it under the one total, and both can be shown."""
    case = Case("a cup", (lab.reference,), {"seeds": [7, 8], **SMALL})
    draft = await lab.trials.save("ann", lab.account, replace(lab.spec(), cases=(case,)))
    trial, _ = await lab.trials.seal("ann", lab.account, draft.id, 2 * PRICE)
    assert (await lab.made(trial)).state == "open"
    with lab.ledger.reading() as connection:
        shown = trials.pictures(connection, trial.id, lab.folder)
    assert [(one.variant, one.number) for one in shown] == [
        *((None, 1), ("dev", 1), ("dev", 2), ("ultra-fast", 1), ("ultra-fast", 2))
    ]
    assert len({one.id for one in shown}) == 5
    assert all(place(lab.folder, trial.id, one.id).exists() for one in shown)
    assert shown[1].sha256 != shown[2].sha256


# crashes


@pytest.mark.parametrize("moment", ["upload", "submit", "download"])
async def test_a_crash_loses_and_repeats_nothing(lab: Lab, moment: str) -> None:
    """Killed while it is made, it goes on at the next start until every cell has one picture that is paid for once."""
    held = Held()
    lab.wire.always[moment] = held
    trial = await lab.sealed(*(f"cup {n}" for n in range(4)))
    await held.reached.wait()
    held.go.set()
    await lab.kill()
    lab.wire.always.clear()
    assert (await lab.trials.get("ann", trial.id)).state == "making"
    await lab.runs.resume_all(lab.account)
    await lab.trials.resume(lab.account)
    after = await lab.made(trial)
    assert (after.state, after.withdrawn, after.seal) == ("open", (), trial.seal)
    assert lab.spent() == 4 * PRICE == await lab.billed()
    with lab.ledger.reading() as connection:
        made = [one.run_id for one in trials.pictures(connection, trial.id, lab.folder) if one.run_id]
    assert len(set(made)) == 8


async def test_crashes_use_up_no_try(lab: Lab) -> None:
    """However often the app ends before anything was sent, each picture is owed its two tries."""
    lab.wire.always["upload"] = held = Held()
    trial = await lab.sealed()
    async with asyncio.timeout(30):  # else it would wait for a try that never comes
        for life in range(1, 4):
            await held.reached.wait()
            while len(runs := await lab.runs.comparison("ann", trial.id)) < 4 * life:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)
            for run in runs[:4]:
                await lab.until(run, lambda now: now.state == "uploading")
            await lab.kill()
            lab.wire.always["upload"] = held = Held()
            await lab.runs.resume_all(lab.account)
            await lab.trials.resume(lab.account)
    held.go.set()
    after = await lab.made(trial)
    assert (after.state, after.withdrawn, lab.spent()) == ("open", (), 2 * PRICE)


async def test_a_disk_that_fails_delays_the_opening(tmp_path: Path, decoder: Decoder) -> None:
    """Pictures that can't be written for judges are tried again until they can; nothing is made anew."""

    async def sleep(seconds: float) -> None:
        if seconds == RETRY_INTERVAL:
            obstacle.unlink()
        await lab.time.sleep(seconds)

    lab = Lab(tmp_path, decoder, sleep=sleep)
    draft = await lab.trials.save("ann", lab.account, lab.spec("a cup"))
    obstacle = folder_of(lab.folder, draft.id) / "blind"
    obstacle.write_bytes(b"")
    trial, _ = await lab.trials.seal("ann", lab.account, draft.id, PRICE)
    assert (await lab.made(trial)).state == "open"
    assert (obstacle.is_dir(), lab.spent()) == (True, PRICE)
    await lab.trials.aclose()
    await lab.aclose()


async def test_a_case_that_cannot_be_shown_is_withdrawn(tmp_path: Path, decoder: Decoder) -> None:
    """A picture that was damaged or lost before the opening costs its case, and nobody else waits for it."""

    async def sleep(seconds: float) -> None:
        if seconds == RETRY_INTERVAL:
            made = await lab.runs.comparison("ann", draft.id)
            damaged, lost = (next(run for run in made if run.prompt == prompt) for prompt in ("a cup", "a hat"))
            damaged.outputs[0].path.write_bytes(b"no picture")
            lost.outputs[0].path.unlink()
            obstacle.unlink()
        await lab.time.sleep(seconds)

    lab = Lab(tmp_path, decoder, sleep=sleep)
    draft = await lab.trials.save("ann", lab.account, lab.spec("a cup", "a hat", "a bag"))
    obstacle = folder_of(lab.folder, draft.id) / "blind"
    obstacle.write_bytes(b"")
    trial = await lab.made((await lab.trials.seal("ann", lab.account, draft.id, 3 * PRICE))[0])
    assert (trial.state, trial.standing) == ("open", (3,))
    assert [(gone["reason"], gone["failed"]) for gone in trial.withdrawn] == [
        ("A picture of this trial can't be opened.", [])
    ] * 2
    with lab.ledger.reading() as connection:
        shown = trials.pictures(connection, trial.id, lab.folder)
    assert all(place(lab.folder, trial.id, one.id).exists() for one in shown)
    await lab.trials.close("ann", trial.id)
    assert (await lab.trials.report("ann", trial.id))["cases"] == 1
    await lab.trials.aclose()
    await lab.aclose()


async def test_what_was_reserved_is_never_a_draft_again(lab: Lab) -> None:
    """A ledger that can't be read for a moment, at the start, leaves a sealed trial sealed: the next start makes it."""
    trial = await lab.sealed()
    await lab.kill()
    with lab.ledger.writing() as connection:
        trials.move(connection, trial.id, "making", "sealed")
        trials.unseal(connection, trial.id)
    assert (await lab.trials.get("ann", trial.id)).state == "sealed"
    await lab.runs.resume_all(lab.account)
    await lab.trials.resume(lab.account)
    assert (await lab.made(trial)).state == "open"
    assert lab.spent() == 2 * PRICE


async def test_a_trial_waits_for_its_key(lab: Lab) -> None:
    """Without the key that it was sealed with it stays unmade, and can be deleted; with it, it goes on."""
    lab.wire.always["result"] = held = Held()
    kept, dropped = await lab.sealed("a cup"), await lab.sealed("a hat")
    await held.reached.wait()
    await lab.kill()
    lab.wire.always.clear()
    (waiting,) = [progress async for progress in lab.trials.watch("ann", kept.id)]
    assert (waiting.trial.state, waiting.waits) == ("making", True)
    await lab.trials.delete("ann", dropped.id)
    await lab.runs.resume_all(lab.account)
    await lab.trials.resume(lab.account)
    assert (await lab.made(kept)).state == "open"


async def test_a_pause_of_spending_costs_a_trial_nothing(tmp_path: Path, decoder: Decoder) -> None:
    """What the host's pause keeps from being sent waits for its end, and no case is withdrawn for it."""
    lab, held = Lab(tmp_path / "data", decoder, at_once=1), Held()
    lab.wire.always["submit"] = held
    trial = await lab.sealed()
    await held.reached.wait()
    with lab.ledger.writing() as connection:
        pause.pause(connection, lab.time.now)
    held.go.set()
    assert (await lab.made(trial)).state == "making"
    await lab.trials.resume(lab.account)  # too early
    assert (await lab.made(trial)).state == "making"
    with lab.ledger.writing() as connection:
        pause.resume(connection)
    await lab.trials.resume(lab.account)
    after = await lab.made(trial)
    assert (after.state, after.withdrawn) == ("open", ())
    assert lab.spent() == 2 * PRICE == await lab.billed()
    await lab.trials.aclose()
    await lab.aclose()


async def test_a_second_try_is_paid_by_the_same_invitation(lab: Lab) -> None:
    """After a restart too, when nobody is there who could show it."""
    invitations = Invitations(lab.ledger, clock=lab.time.clock)
    invitation = invitations.find(invitations.invite("Anna", Decimal(1), "never")).invitation.id
    draft = await lab.trials.save("ann", lab.account, lab.spec())
    lab.wire.always["upload"] = held = Held()
    account = replace(lab.account, invitation=invitation)
    trial, _ = await lab.trials.seal("ann", account, draft.id, 2 * PRICE)
    await held.reached.wait()
    await lab.kill()
    lab.wire.always.clear()
    await lab.runs.resume_all(lab.account)
    await lab.trials.resume(lab.account)
    await lab.made(trial)
    runs = await lab.runs.comparison("ann", trial.id)
    assert (len(runs), {run.invitation for run in runs}) == (8, {invitation})


async def test_a_crash_between_the_seal_and_the_reservation(lab: Lab) -> None:
    """Nothing was reserved, so at the next start it is a draft again, and lets nobody in."""
    draft = await lab.trials.save("ann", lab.account, lab.spec())
    with lab.ledger.writing() as connection:
        assert trials.move(connection, draft.id, "draft", "sealed", seal="5ea1", code_hash=code_hash("kj_a"))
    await lab.kill()
    await lab.trials.resume(lab.account)
    left = await lab.trials.get("ann", draft.id)
    assert (left.state, left.seal, left.invites) == ("draft", None, False)


async def test_a_crash_between_the_reservation_and_the_making(lab: Lab) -> None:
    """What was reserved is made at the next start, though nothing else was written down yet."""
    trial = await lab.sealed()
    with lab.ledger.writing() as connection:
        assert trials.move(connection, trial.id, "making", "sealed")
    await lab.kill()
    await lab.runs.resume_all(lab.account)
    await lab.trials.resume(lab.account)
    assert (await lab.made(trial)).state == "open"
    assert lab.spent() == 2 * PRICE


async def test_whoever_watches_is_told_that_the_app_closes(lab: Lab) -> None:
    """The watching ends with a trial that is still being made, and the next start finds it so."""
    lab.wire.always["result"] = Held()
    trial = await lab.sealed()
    watching = asyncio.create_task(lab.made(trial))
    await asyncio.sleep(0)
    await lab.trials.aclose()
    assert (await watching).state == "making"


@pytest.mark.soak
@pytest.mark.sqlite
@pytest.mark.usefixtures("postgresql")
async def test_two_replicas(tmp_path: Path, decoder: Decoder) -> None:
    """One shows how far the other's trial has come, and leaves it alone; once it is made, it is anybody's again."""
    one = Lab(tmp_path / "data", decoder, shared=True)
    other = Lab(one.folder, decoder, beside=one)
    for lab in (one, other):
        await lab.leases.begin()
    held = one.wire.always["result"] = Held()
    trial = await one.sealed("a cup")
    watching = other.trials.watch("ann", trial.id)
    seen = await anext(watching)
    assert (seen.trial.state, seen.done, seen.cells, seen.waits) == ("making", 0, 2, False)
    with pytest.raises(KontextError, match="still being made"):
        await other.trials.delete("ann", trial.id)
    young = folder_of(one.folder, "0" * 32)
    young.mkdir()
    await other.trials.clear_deleted()
    assert young.exists()
    os.utime(young, (0, 0))
    await other.trials.clear_deleted()
    assert not young.exists()
    held.go.set()
    assert [progress async for progress in watching][-1].done == 2
    await other.trials.delete("ann", trial.id)
    for lab in (other, one):
        await lab.trials.aclose()
        await lab.aclose()


async def test_what_a_crash_left_of_a_deletion_goes_at_the_next_start(lab: Lab) -> None:
    """Runs and files without a trial are found and taken away; those of other trials stay."""
    gone, kept = await lab.opened("a cup"), await lab.opened("a hat")
    with lab.ledger.writing() as connection:
        assert trials.delete(connection, gone.id, "open")
    await lab.kill()
    await lab.trials.clear_deleted()
    assert [folder_of(lab.folder, one.id).exists() for one in (gone, kept)] == [False, True]
    assert [len(await lab.runs.comparison("ann", one.id)) for one in (gone, kept)] == [0, 2]
    assert len(list((lab.folder / "outputs").glob("*"))) == 2


# who is let in, and who sees what


@pytest.mark.sqlite
async def test_codes(lab: Lab) -> None:
    """One lets in from the opening to the closing; a new one puts the old one out; it can be taken back."""
    trial = await lab.sealed("a cup")
    assert not lets_in(lab, lab.code)
    await lab.made(trial)
    assert lets_in(lab, lab.code)
    new = await lab.trials.invite("ann", trial.id)
    assert [lets_in(lab, code) for code in (lab.code, new)] == [False, True]
    await lab.trials.uninvite("ann", trial.id)
    assert not lets_in(lab, new)
    new = await lab.trials.invite("ann", trial.id)
    await lab.trials.close("ann", trial.id)
    assert not lets_in(lab, new)
    with pytest.raises(KontextError, match="can't vote"):
        await lab.trials.invite("ann", trial.id)
    with closing(sqlite3.connect(lab.folder / "ledger.db")) as file:
        assert lab.code not in str(file.execute("SELECT * FROM trials").fetchall())


async def test_closing_by_date(lab: Lab) -> None:
    """From that moment on it is closed, whether anybody looks or not, and the report is there."""
    trial = await lab.opened("a cup", closes_at=lab.time.now + timedelta(hours=1))
    assert lets_in(lab, lab.code)
    lab.time.now += timedelta(hours=1)
    assert not lets_in(lab, lab.code)
    closed = await lab.trials.get("ann", trial.id)
    assert (closed.state, closed.closed_at) == ("closed", trial.spec.closes_at)
    assert (await lab.trials.report("ann", trial.id))["seal"] == trial.seal


async def test_a_date_that_passes_too_soon(lab: Lab) -> None:
    """Where the pictures took longer than the closing date, judges vote all the same until it is closed by hand, which
    the report says.
    """
    lab.wire.always["result"] = held = Held()
    trial = await lab.sealed("a cup", closes_at=lab.time.now + timedelta(hours=1))
    await held.reached.wait()
    lab.time.now += timedelta(hours=1)
    held.go.set()
    trial = await lab.made(trial)
    assert (trial.state, trial.late, lets_in(lab, lab.code)) == ("open", True, True)
    await lab.trials.close("ann", trial.id)
    words = (await lab.trials.report("ann", trial.id))["verdict"]["words"]
    assert "Its closing date passed before its pictures were made" in words


async def test_a_judge_can_be_removed_until_the_closing(lab: Lab) -> None:
    """Their votes are left out, and the report and its file say how many; afterwards nobody can be removed."""
    trial = await lab.opened()
    judged(lab, trial, judges=3)
    await lab.trials.remove("ann", trial.id, 2)
    with pytest.raises(KontextError, match="can't be removed"):
        await lab.trials.remove("ann", trial.id, 2)
    assert [judge.number for judge, *_ in await lab.trials.progress("ann", trial.id)] == [1, 3]
    await lab.trials.close("ann", trial.id)
    file = json.loads(json.dumps(await lab.trials.document("ann", trial.id)))
    assert (file["removed"], file["report"]["judges"], len(file["votes"])) == ([2], 2, 4)
    assert "The host removed 1 judge, and 2 votes with them." in file["report"]["verdict"]["words"]
    assert seal.check(file) == []
    assert seal.check(file | {"removed": []}) != []
    with pytest.raises(KontextError, match="until the trial is closed"):
        await lab.trials.remove("ann", trial.id, 1)


async def test_no_number_tells_who_came_when(lab: Lab) -> None:
    """Judges are numbered anew in the file, by what nobody outside knows, the same each time."""
    trial = await lab.opened("a cup")
    judged(lab, trial, judges=9)
    with lab.ledger.writing() as connection:
        for judge in ballots.judges(connection, trial.id):
            ballots.undo(connection, judge.id)
            said = Choice("dev", "ultra-fast", remark=f"{judge.number}")
            ballots.vote(connection, judge.id, f"{trial.id}-{judge.number}-1", said, lab.time.now)
    await lab.trials.close("ann", trial.id)
    votes = (await lab.trials.document("ann", trial.id))["votes"]
    assert [vote["judge"] for vote in votes] == [*range(1, 10)]
    assert sorted(came := [int(vote["remark"]) for vote in votes]) == [*range(1, 10)]
    assert came != sorted(came)
    assert (await lab.trials.document("ann", trial.id))["votes"] == votes


async def test_no_result_before_the_closing(lab: Lab) -> None:
    """Neither a report nor votes nor pictures; whoever looks all the same leaves a line that no later one lacks."""
    trial = await lab.opened("a cup")
    for told in (lab.trials.report, lab.trials.document, lab.trials.pictures):
        with pytest.raises(KontextError, match="isn't closed yet"):
            await told("ann", trial.id)
    judged(lab, trial, judges=2)
    line = "Somebody saw results before the closing"
    assert line in (await lab.trials.look("ann", trial.id))["verdict"]["words"]
    await lab.trials.close("ann", trial.id)
    assert line in (await lab.trials.report("ann", trial.id))["verdict"]["words"]


async def test_before_it_is_open_it_is_neither_closed_nor_looked_at(lab: Lab) -> None:
    """A draft has no votes to close or to see."""
    draft = await lab.trials.save("ann", lab.account, lab.spec())
    for asked in (lab.trials.close, lab.trials.look, lab.trials.report, lab.trials.invite):
        with pytest.raises(KontextError):
            await asked("ann", draft.id)
    assert (await lab.trials.get("ann", draft.id)).looked_at is None


async def test_nobody_else_has_it(lab: Lab) -> None:
    """Another visitor is told the same of it as of a trial that never was, whatever they ask for."""
    trial = await lab.opened("a cup")
    await lab.trials.close("ann", trial.id)
    asked = ("get", "report", "document", "pictures", "close", "look", "invite", "uninvite", "progress", "delete")
    for name in asked:
        said = set()
        for trial_id in (trial.id, "0" * 32, ""):
            with pytest.raises(KontextError) as refusal:
                await getattr(lab.trials, name)("bob", trial_id)
            said.add(str(refusal.value))
        assert said == {"There is no such trial. Nothing was charged. Check its id."}
    assert await lab.trials.list_for("bob") == []


async def test_votes_are_missing(lab: Lab) -> None:
    """No vote, one judge, one case: the report says what is missing, and what it would take."""
    trial = await lab.opened("a cup")
    await lab.trials.close("ann", trial.id)
    assert "nobody voted on 1 case" in (await lab.trials.report("ann", trial.id))["verdict"]["words"]
    trial = await lab.opened("a cup")
    judged(lab, trial, judges=1)
    await lab.trials.close("ann", trial.id)
    assert "Too early: 1 judge voted on 1 case." in (await lab.trials.report("ann", trial.id))["verdict"]["words"]


# drafts, and what is left


async def test_a_draft_keeps_its_references(lab: Lab) -> None:
    """Each content once, though the one that it came from goes; what a later version lacks is taken away."""
    red = another_reference(lab.folder, "red")
    spec = replace(lab.spec(), cases=(Case("a cup", (lab.reference, red)), Case("", (red,))), title="")
    draft = await lab.trials.save("ann", lab.account, spec)
    folder = folder_of(lab.folder, draft.id) / "references"
    assert len(list(folder.iterdir())) == 2
    red.path.unlink()
    kept = (await lab.trials.get("ann", draft.id)).spec.cases[0].references
    assert [reference.sha256 for reference in kept] == [lab.reference.sha256, red.sha256]
    assert all(reference.read() for reference in kept)
    await lab.trials.save("ann", lab.account, replace(draft.spec, cases=draft.spec.cases[1:]), draft.id)
    assert [path.stem for path in folder.iterdir()] == [red.sha256]


async def test_there_is_an_end_to_drafts(lab: Lab) -> None:
    """One visitor has so many at once, and may still change those that there are."""
    for _ in range(MOST_DRAFTS - 1):
        draft = await lab.trials.save("ann", lab.account, Spec())
    saving = [lab.trials.save("ann", lab.account, lab.spec()) for _ in range(3)]
    refused = [str(one) for one in await asyncio.gather(*saving, return_exceptions=True) if isinstance(one, Exception)]
    assert [one[:28] for one in refused] == ["There are 100 drafts already"] * 2
    assert len(list((lab.folder / "trials").iterdir())) == 1
    await lab.trials.save("ann", lab.account, Spec("Cups"), draft.id)
    await lab.trials.save("bob", lab.account, Spec())


@pytest.mark.sqlite
async def test_nothing_of_a_deleted_trial_is_left_but_its_cost(lab: Lab) -> None:
    """Pictures, references, votes, names and words go from the disk and out of the ledger's bytes."""
    trial = await lab.opened("a very secret cup", "a hat")
    judged(lab, trial, judges=2)
    await lab.trials.delete("ann", trial.id)
    with pytest.raises(KontextError, match="no such trial"):
        await lab.trials.get("ann", trial.id)
    assert not folder_of(lab.folder, trial.id).exists()
    assert not list((lab.folder / "outputs").iterdir())
    assert lab.spent() == 2 * PRICE
    draft = await lab.trials.save("ann", lab.account, Spec("A secret draft"))
    await lab.trials.delete("ann", draft.id)
    assert b"secret" not in b"".join(path.read_bytes() for path in lab.folder.glob("ledger.db*"))
    lab.ledger.close()
    assert b"secret" not in (lab.folder / "ledger.db").read_bytes()
    assert b"sharp" not in (lab.folder / "ledger.db").read_bytes()


async def test_what_is_being_made_is_not_deleted(lab: Lab) -> None:
    """It is refused with a sentence until the pictures are there."""
    lab.wire.always["result"] = held = Held()
    trial = await lab.sealed("a cup")
    with pytest.raises(KontextError, match="still being made"):
        await lab.trials.delete("ann", trial.id)
    held.go.set()
    await lab.made(trial)
    await lab.trials.delete("ann", trial.id)


async def test_practice(tmp_path: Path, decoder: Decoder) -> None:
    """Without a key it all works, nothing is charged for real, and the report says that it is a rehearsal."""
    lab = Lab(tmp_path, decoder, kind="sandbox")
    trial = await lab.opened("a cup")
    assert (trial.state, trial.practice) == ("open", True)
    await lab.trials.close("ann", trial.id)
    assert "These are practice pictures" in (await lab.trials.report("ann", trial.id))["verdict"]["words"]
    await lab.trials.aclose()
    await lab.aclose()


async def test_two_presses_seal_once(lab: Lab) -> None:
    """Whoever comes second is refused, and nothing is made or paid twice."""
    draft = await lab.trials.save("ann", lab.account, lab.spec())
    presses = [lab.trials.seal("ann", lab.account, draft.id, 2 * PRICE) for _ in range(3)]
    ended = await asyncio.gather(*presses, return_exceptions=True)
    ((trial, code),) = [one for one in ended if isinstance(one, tuple)]
    assert sum(isinstance(one, KontextError) for one in ended) == 2
    after = await lab.made(trial)
    assert (after.state, after.seal, lab.spent()) == ("open", trial.seal, 2 * PRICE)
    assert seal.seal(str(after.sealed)) == after.seal
    assert lets_in(lab, code)
