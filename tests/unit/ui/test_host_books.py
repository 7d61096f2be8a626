"""The amounts of the host's page against a service that keeps its own books."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from running import House, answer, calm, html_502_after, lost_after, lost_before

from core.access.budget import Budget
from core.access.invitations import Invitations
from core.catalog.estimate import dollars
from core.catalog.inputs import check
from core.catalog.variants import REGISTRY
from core.errors import BudgetError
from core.ledger import books
from core.ledger.run import Run
from core.service.account import Account
from ui.host.overview import spending

pytestmark = pytest.mark.anyio

EACH = Decimal("0.03")  # USD of the day's cap for each run, which the last ones find spent
PROMPTS = ("a cup", "a cup", "a cup", "[sandbox:failed] a cup", "[sandbox:moderated] a cup")
FAULTS = (None, None, None, lost_before, lost_after, html_502_after, answer(429, "busy"), answer(400, "no"))


class Press(NamedTuple):
    """As whom somebody presses, and where it shall count. `kind` is "" where it is not the host's money."""

    visitor: str
    account: Account
    kind: str
    invitation: str


def payers(house: House) -> list[Press]:
    """Everybody who can come, each with the words of the page for them."""
    invitations = Invitations(house.ledger, clock=house.time.clock)
    invited = []
    for name in ("Anna", "Bert"):
        id = invitations.find(invitations.invite(name, Decimal(1), "never")).invitation.id
        invited.append(Press("ann", replace(house.account, invitation=id), "Invitations", name))
    return [
        *invited,
        Press("ann", house.account, "Visitors", ""),
        Press("api", house.account, "Programs", ""),
        Press("person-1", house.account, "Signed-in people", ""),
        Press("ann", Account("own-1", "own", house.account.client), "", ""),
    ]


async def pressed(house: House, who: Press, dice: random.Random) -> Run | None:
    """One press at its end, of what the dice say, over a wire that may fail; None: a cap refused it."""
    variant, pictures = dice.choice(list(REGISTRY)), dice.choice((1, 1, 2))
    if fault := dice.choice(FAULTS):
        house.wire.faults["submit"].append(fault)
    inputs = check(variant, dice.choice(PROMPTS), 1, {"num_images": pictures}, lambda: dice.randrange(10**6))
    try:
        run = await house.runs.start(who.visitor, who.account, inputs, [house.reference])
    except BudgetError:
        return None
    return await house.end_of(run)


def told(house: House) -> dict[str, dict[str, str]]:
    """What the page shows for today, by its tables."""
    now = house.time.now
    names = {one.invitation.id: one.invitation.name for one in Invitations(house.ledger).every()}
    with house.ledger.reading() as connection:
        shown = spending(books.lines(connection, now - timedelta(days=29)), now, names, None)
    assert {row[0] for row in shown["days"]} >= {now.date().isoformat()}
    tables = {table["title"]: {row["name"]: row["spent"][0] for row in table["rows"]} for table in shown["by"]}
    return {**tables, "all": {"": shown["periods"][0]["spent"], "own": shown["own"][0]["spent"]}}


async def billed(house: House, ids: list[str]) -> dict[str, Decimal]:
    """What the server charged for each."""
    pages = [await house._plain.billed(ids[start : start + 50]) for start in range(0, len(ids), 50)]
    return {id: amount for page in pages for id, amount in page.items()}


@pytest.mark.both
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.soak)])
async def test_every_amount_is_right_to_the_cent(tmp_path: Path, count: int) -> None:
    """After mixed runs of everybody, with refusals, failures, refunds, lost answers and deletions."""
    house, dice = House(tmp_path / "data", budget=Budget(daily=EACH * count)), random.Random(13)
    everybody = payers(house)
    whose: dict[str, tuple[Press, str]] = {}
    refused = 0
    runs: list[Run] = []
    for _ in range(count):
        who = dice.choice(everybody)
        run = await pressed(house, who, dice)
        refused += run is None
        if run:
            whose |= {str(one.id): (who, REGISTRY[run.variant_id].name) for one in run.predictions if one.id}
            runs.append(run)
    for run in runs[::9]:
        await house.runs.delete(run.visitor, run.id)
    await calm()
    created = [one.id async for items in house._plain.pages(10) for one in items]
    assert refused and set(created) == set(whose)
    sums: dict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for id, amount in (await billed(house, created)).items():
        who, variant = whose[id]
        places = {"By variant": variant, "By visitor": who.kind, "By invitation": who.invitation}
        for table, row in {**places, "all": ""}.items() if who.kind else [("all", "own")]:
            if row or table == "all":
                sums[table][row] += amount
    assert told(house) == {
        table: {name: dollars(sum) for name, sum in rows.items() if sum} for table, rows in sums.items()
    }
    await house.aclose()
