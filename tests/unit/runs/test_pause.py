"""The host's pause: what was sent goes on to its end, and nothing new is sent on the host's key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from operator import methodcaller
from pathlib import Path

import httpx
import pytest
from databases import open_ledger
from running import Forward, Held, House, answer

from core.access.budget import Budget
from core.access.invitations import NOT_VALID, Invitations
from core.errors import BudgetError
from core.ledger import pause
from core.ledger.pause import INVITATION_PAUSED, PAUSED
from core.service.account import AccountKind

pytestmark = [pytest.mark.anyio, pytest.mark.both]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data", at_once=1)
    yield house
    await house.aclose()


def switch(house: House, *, paused: bool) -> None:
    """As another process on the same ledger would."""
    with closing(open_ledger(house.folder)) as ledger, ledger.writing() as connection:
        if paused:
            pause.pause(connection, house.time.now)
        else:
            pause.resume(connection)


async def test_nothing_new_is_reserved_or_sent(house: House) -> None:
    """A press is refused in a sentence that says that nothing was charged, until the pause is over."""
    switch(house, paused=True)
    with pytest.raises(BudgetError) as refused:
        await house.press()
    assert (refused.value.cap, refused.value.happened) == ("paused", PAUSED)
    assert "Nothing was charged." in str(refused.value)
    assert (house.wire.seen["submit"], house.spent(), await house.runs.list_for("ann")) == (0, 0, [])
    switch(house, paused=False)
    assert (await house.run()).state == "completed"


async def test_what_was_sent_ends_well_and_what_stood_in_line_is_not_sent(house: House) -> None:
    """Of four pictures with one place at the service, the one under way comes; the others cost nothing and say why."""
    held = Held()
    house.wire.always["submit"] = held
    run = await house.press(pictures=4)
    await held.reached.wait()
    switch(house, paused=True)
    held.go.set()
    run = await house.end_of(run)
    assert (run.state, len(run.outputs), run.charge) == ("partial", 1, Decimal("0.04"))
    assert [(trouble.happened, trouble.charged) for trouble in run.troubles] == [(PAUSED, "no")]
    assert (house.wire.seen["submit"], await house.billed()) == (1, house.spent())


@pytest.mark.parametrize(
    ("stopped", "said"),
    [(methodcaller("pause", "Anna", paused=True), INVITATION_PAUSED), (methodcaller("end", "Anna"), NOT_VALID)],
    ids=["paused", "ended"],
)
async def test_an_invitation_that_is_stopped_pays_for_nothing_more(
    house: House, stopped: Callable[[Invitations], None], said: str
) -> None:
    """Of four pictures that stand in line the one under way comes; the host who stops a guest need not wait."""
    invitations, held = Invitations(house.ledger, clock=house.time.clock), Held()
    code = invitations.invite("Anna", Decimal(5), "never")
    house.account = replace(house.account, invitation=invitations.find(code).invitation.id)
    house.wire.always["submit"] = held
    run = await house.press(pictures=4)
    await held.reached.wait()
    stopped(invitations)
    held.go.set()
    run = await house.end_of(run)
    assert (run.state, len(run.outputs), run.charge) == ("partial", 1, Decimal("0.04"))
    assert [(trouble.happened, trouble.charged) for trouble in run.troubles] == [(said, "no")]
    assert house.wire.seen["submit"] == 1


async def test_what_the_service_refused_for_want_of_room_is_not_sent_again(house: House) -> None:
    """A submit that waits out a 429 is a new one, and asks once more."""

    async def paused_meanwhile(request: httpx.Request, forward: Forward) -> httpx.Response:
        switch(house, paused=True)
        return await answer(429, "You have reached your concurrency limit")(request, forward)

    house.wire.faults["submit"].append(paused_meanwhile)
    run = await house.run()
    assert (run.state, run.charge, [trouble.happened for trouble in run.troubles]) == ("failed", 0, [PAUSED])
    assert house.wire.seen["submit"] == 1


async def test_pictures_that_were_paid_for_are_fetched(house: House) -> None:
    """A run of before the pause is taken up again by the next start, and one that was lost is found by its id."""
    house.time.going.clear()
    run = await house.press()
    await house.until(run, lambda now: now.state == "waiting")
    switch(house, paused=True)
    await house.kill()
    house.time.going.set()
    await house.runs.resume_all(house.account)
    run = await house.end_of(run)
    assert (run.state, house.wire.seen["submit"]) == ("completed", 1)
    again = await house.runs.recover("ann", house.account, str(run.predictions[0].id))
    assert (again.id, house.wire.seen["submit"]) == (run.id, 1)


@pytest.mark.parametrize("kind", ["own", "sandbox"])
async def test_the_host_s_money_alone_is_paused(tmp_path: Path, kind: AccountKind) -> None:
    """Practice runs, and those on a visitor's own key, go on."""
    house = House(tmp_path / "data", kind=kind, budget=Budget(paused=True))
    assert (await house.run()).state == "completed"
    await house.aclose()


async def test_the_environment_pauses_too(tmp_path: Path) -> None:
    """With KONTEXT_PAUSED nothing passes, whatever the ledger says."""
    house = House(tmp_path / "data", budget=Budget(paused=True))
    with pytest.raises(BudgetError, match="paused"):
        await house.press()
    await house.aclose()
