"""What the ledger promises: exact, durable, all or nothing, one at a time, and clear about its own failures."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from databases import open_ledger, text_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.types import TypeDecorator

from core.access.budget import Budget
from core.errors import BudgetError, LedgerError
from core.ledger.ledger import Ledger
from core.ledger.moments import midnight
from core.ledger.record import Entry, Record
from core.ledger.run import Cell, Facts, Output, Trouble
from core.ledger.schema import predictions, runs, tables
from core.ledger.spending import Spending
from core.pictures.reference import Reference

pytestmark = pytest.mark.both

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(tmp_path, timeout=0.1)
    yield ledger
    ledger.close()


def record(id: str = "r", *, visitor: str = "ann", cost: str = "0.04", at: datetime = NOON, **facts: Any) -> Record:
    known: dict[str, Any] = {
        "account_id": "host",
        "account_kind": "host",
        "variant_id": "pro",
        "preset": None,
        "prompt": "an owl",
        "values": {},
        "seed": 7,
        "pictures": 1,
        "references": (),
    }
    entry = Entry(1, "m", {"seed": 7}, Decimal(cost))
    return Record(Facts(id, visitor=visitor, created_at=at, estimate=Decimal(cost), **(known | facts)), (entry,))


def passes(_spending: Spending) -> None:
    """No cap."""


# what is written is what is read


def test_a_record_comes_back_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    """Every field of a run, its entries, outputs, references and troubles survives, exactly; a folder can be moved."""
    held = tmp_path / "outputs/r/references/1.jpg"
    reference = Reference(held, "ab" * 32, "image/jpeg", 64, 48, "identity", tmp_path / "served/cards/x.jpg")
    output = Output(1, tmp_path / "outputs/r/kontext-pro-1.png", 64, 48, 7, "aa")
    trouble = Trouble("It rained.", "unknown", "Wait.", "aa")
    full = record("r", references=(reference,), values={"guidance_scale": 3.5, "size": "1024*768"}, preset="dress")
    entry = replace(
        full.entries[0],
        status="completed",
        id="aa",
        error="é🦉",
        submitting_at=NOON,
        submitted_at=NOON,
        settled_at=NOON,
    )
    entry = replace(entry, charge=Decimal("0.0355"), source="quote", model_seconds=4.25, outputs=(output,))
    again = replace(entry, attempt=2, id="bb", troubles=(trouble,))
    facts = replace(full.facts, cell=Cell("c", "leave_one_out", 2, left_out=2))
    full = replace(full, facts=facts, entries=(entry, again), state="partial", finished_at=NOON, troubles=(trouble,))
    ledger.add(full)
    assert ledger.find("ann", "r") == full
    ledger.close()
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    with closing(open_ledger(moved)) as again:
        found = again.find("ann", "r")
    assert found is not None
    assert found.entries[0].outputs[0].path == moved / "outputs/r/kontext-pro-1.png"
    moved.rename(tmp_path)


def test_references_of_an_older_ledger_are_read(ledger: Ledger, tmp_path: Path) -> None:
    """Rows of 0.1.0 number them, and know nothing of a card."""
    ledger.add(record("r"))
    row = {"number": 1, "role": "identity", "sha256": "ab" * 32, "path": "outputs/r/references/1.jpg"}
    row |= {"media_type": "image/jpeg", "width": 64, "height": 48}
    with ledger.writing() as connection:
        connection.execute(runs.update().values(refs=[row]))
    found = ledger.find("ann", "r")
    held = tmp_path / "outputs/r/references/1.jpg"
    assert found is not None
    assert found.facts.references == (Reference(held, "ab" * 32, "image/jpeg", 64, 48, "identity"),)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings.default.max_examples // 4)
@given(st.lists(st.decimals(0, 10**6, places=6), min_size=1, max_size=5))
def test_money_adds_up_exactly(ledger: Ledger, amounts: list[Decimal]) -> None:
    """Sums of any amounts are exact to the millionth of a dollar."""
    visitor = str(id(amounts))
    with ledger.writing() as connection:
        connection.execute(predictions.delete())
        connection.execute(runs.delete())
    for number, amount in enumerate(amounts):
        ledger.add(record(f"{number}", visitor=visitor, cost=str(amount)))
    assert ledger.spent(visitor, NOON) == sum(amounts)


def test_times_sort_wherever_they_were_taken(ledger: Ledger) -> None:
    """Runs are listed newest first, whatever zone their times were given in."""
    tokyo = timezone(timedelta(hours=9))
    ledger.add(record("old", at=NOON))
    ledger.add(record("new", at=(NOON + timedelta(microseconds=1)).astimezone(tokyo)))
    assert [r.facts.id for r in ledger.list_for("ann")] == ["new", "old"]


# one at a time


def test_reservations_can_t_pass_the_cap_together(ledger: Ledger) -> None:
    """Forty threads reserve at once against a cap for five: five pass."""
    budget = Budget(daily=Decimal("0.20"))

    def reserve(number: int) -> bool:
        new = record(str(number), visitor=str(number))
        try:
            ledger.reserve([new], partial(budget.check, Decimal("0.04"), new.facts))
        except BudgetError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(reserve, range(40))) == 5
    assert len(ledger.unfinished("host")) == 5


def test_a_refused_reservation_leaves_nothing(ledger: Ledger) -> None:
    """What the check refuses is not written, not even in part."""

    def refuse(_spending: Spending) -> None:
        raise BudgetError("no", "", cap="daily")

    with pytest.raises(BudgetError):
        ledger.reserve([record()], refuse)
    assert ledger.list_for("ann") == []


def test_what_counts_today(ledger: Ledger) -> None:
    """Counted is what the host's key was charged or reserved since midnight UTC; what was released is not."""
    seen: list[tuple[Decimal, ...]] = []
    ledger.add(record("yesterday", at=NOON - timedelta(hours=12, microseconds=1)))
    ledger.add(record("own", account_id="own-1", account_kind="own"))
    ledger.add(record("sandbox", account_id="sandbox", account_kind="sandbox"))
    ledger.add(record("bob's", visitor="bob", cost="0.08"))
    ledger.add(record("reserved", cost="0.03"))
    settled = record("settled", cost="0.04")
    ledger.add(replace(settled, entries=(replace(settled.entries[0], charge=Decimal("0.025")),)))
    released = record("released", cost="0.04")
    ledger.add(replace(released, entries=(replace(released.entries[0], charge=Decimal(0)),)))
    ledger.add(record("invited", cost="0.01", invitation="i"))
    today = midnight(NOON)

    def look(spending: Spending) -> None:
        seen.append((spending.total(today), spending.by_visitor("ann", today), spending.by_invitation("i", today)))

    ledger.reserve([record("new")], look)
    assert seen == [(Decimal("0.145"), Decimal("0.055"), Decimal("0.01"))]


def test_a_prediction_is_claimed_once(ledger: Ledger) -> None:
    """Of many that claim a prediction at once, one gets it, and is told so again, should it not have heard."""
    for number in range(8):
        ledger.add(record(str(number)))

    def claim(number: int) -> bool:
        entry = replace(record().entries[0], id="aa")
        return ledger.claim(str(number), entry)

    with ThreadPoolExecutor(8) as pool:
        assert sum(claimed := list(pool.map(claim, range(8)))) == 1
    assert [claim(number) for number in range(8)] == claimed


# uploads, durations, holders


def test_uploads_are_remembered_by_account_and_age(ledger: Ledger) -> None:
    """A URL is found for its account and content, not before a moment, and not after it was forgotten."""
    ledger.remember_upload("host", "aa", "u1", NOON)
    ledger.remember_upload("host", "aa", "u2", NOON + timedelta(hours=1))
    ledger.remember_upload("own-1", "aa", "u3", NOON)
    assert [ledger.uploaded("host", sha256, NOON) for sha256 in ("aa", "bb")] == ["u2", None]
    assert ledger.uploaded("host", "aa", NOON + timedelta(hours=2)) is None
    ledger.forget_uploads("host", ["u1", "u3"])
    assert ledger.uploaded("host", "aa", NOON) == "u2"
    ledger.forget_uploads("host", ["u2"])
    assert ledger.uploaded("host", "aa", NOON) is None


def test_durations_are_of_the_variant_and_of_the_world(ledger: Ledger) -> None:
    """The last seconds of a variant, newest last; the sandbox's apart from the service's."""
    for number in range(25):
        run = record(str(number), at=NOON + timedelta(minutes=number))
        ledger.add(replace(run, entries=(replace(run.entries[0], model_seconds=float(number)),)))
    run = record("s", account_kind="sandbox", account_id="sandbox")
    ledger.add(replace(run, entries=(replace(run.entries[0], model_seconds=99.0),)))
    assert ledger.durations("pro", sandbox=False) == [float(number) for number in range(5, 25)]
    assert ledger.durations("pro", sandbox=True) == [99.0]
    assert ledger.durations("max", sandbox=False) == []


def test_holder_and_deletion(ledger: Ledger) -> None:
    """Who has a prediction is known even after its run was deleted, and a deleted run keeps its money and no words."""
    run = record(prompt="a private owl")
    ledger.add(replace(run, entries=(replace(run.entries[0], id="aa", charge=Decimal("0.04")),)))
    assert ledger.holder("aa") == ("ann", "r")
    ledger.label("ann", {"r": {"name": "my private owl"}})
    ledger.delete("r", NOON)
    assert (ledger.holder("aa"), ledger.holder("bb")) == (("ann", None), None)
    assert (ledger.find("ann", "r"), ledger.list_for("ann"), ledger.unfinished("host")) == (None, [], [])
    assert (ledger.spent("ann", NOON), ledger.taken(["aa", "bb"])) == (Decimal("0.04"), {"aa"})
    assert "private owl" not in text_of(ledger)


def test_a_deletion_knows_what_others_keep(ledger: Ledger, tmp_path: Path) -> None:
    """Where another kept run has the same bytes it is named; an upload that nobody needs any more is forgotten."""
    shared, alone = (Reference(tmp_path / f"{n}.jpg", n * 64, "image/jpeg", 4, 3, card=tmp_path / n) for n in "ab")
    ledger.add(record("r", references=(shared, alone)))
    ledger.add(record("other", visitor="bob", references=(shared,)))
    ledger.add(record("gone", visitor="eve", references=(shared, alone)))
    for reference in (shared, alone):
        ledger.remember_upload("host", reference.sha256, "https://x.invalid", NOON)
    assert len(ledger.delete("gone", NOON)) == 3
    assert ledger.delete("r", NOON) == [shared]
    assert ledger.uploaded("host", shared.sha256, NOON) and not ledger.uploaded("host", alone.sha256, NOON)
    assert ledger.delete("other", NOON) == []


def test_a_comparison_is_reserved_whole_or_not_at_all(ledger: Ledger) -> None:
    """A run that can't be written takes back those before it; what was written is found together, by its owner alone,
    until it is deleted.
    """
    cells = [record(str(n), cell=Cell("c", "seeds", n), at=NOON + timedelta(seconds=n)) for n in range(3)]
    with pytest.raises(LedgerError):
        ledger.reserve([*cells, cells[0]], passes)
    assert ledger.list_for("ann") == []
    ledger.reserve(cells, passes)
    ledger.add(record("alone"))
    assert ledger.comparison("ann", "c") == cells[::-1]
    assert ledger.comparison("bob", "c") == []
    ledger.delete("1", NOON)
    assert ledger.comparison("ann", "c") == [cells[2], cells[0]]


def test_tables_agree_with_the_database(ledger: Ledger, database: str) -> None:
    """The columns that the code speaks of are the columns that the migrations make, of the same types."""
    with ledger.reading() as connection:
        found = {table: sa.inspect(connection).get_columns(table.name) for table in tables.sorted_tables}
    for table, columns in found.items():
        assert {column["name"] for column in columns} == set(table.columns.keys())
        for column in columns if database == "postgresql" else ():
            known = table.columns[column["name"]].type
            known = known.impl if isinstance(known, TypeDecorator) else known
            assert isinstance(column["type"], type(known)), f"{table.name}.{column['name']}"


# failures


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """A data folder that can't be made is said as such."""
    (tmp_path / "data").write_text("")
    with pytest.raises(LedgerError, match="KONTEXT_DATA_DIR"):
        open_ledger(tmp_path / "data")


def test_a_lone_surrogate(ledger: Ledger) -> None:
    """A lone surrogate, which a browser can send, is refused before anything is spent."""
    with pytest.raises(LedgerError, match="character"):
        ledger.reserve([record(prompt="an owl \ud83e")], passes)


def test_what_costs_something_is_never_written_down_as_free(ledger: Ledger) -> None:
    """An amount finer than the ledger keeps is rounded up, so that no cap can be passed in steps of nothing."""
    ledger.add(record("tiny", cost="0.0000001"))
    assert ledger.spent("ann", NOON) == Decimal("0.000001")
