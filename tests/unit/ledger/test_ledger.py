"""What the ledger promises: exact, durable, all or nothing, one at a time, and clear about its own failures."""

from __future__ import annotations

import json
import sqlite3
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.access.budget import Budget
from core.errors import BudgetError, LedgerError
from core.ledger.ledger import Ledger
from core.ledger.moments import midnight
from core.ledger.record import Entry, Record
from core.ledger.run import Cell, Facts, Label, Output, Trouble
from core.ledger.schema import VERSION, invitations, predictions, runs, uploads
from core.ledger.spending import Spending
from core.pictures.reference import Reference

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

# The tables as the first version made them, with a run that was finished and one that was not.
VERSION_1 = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, visitor TEXT NOT NULL, account_id TEXT NOT NULL, account_kind TEXT NOT NULL,
    created_at TEXT NOT NULL, variant_id TEXT NOT NULL, preset TEXT, prompt TEXT NOT NULL,
    parameters TEXT NOT NULL, seed INTEGER, pictures INTEGER NOT NULL, refs TEXT NOT NULL,
    estimate INTEGER NOT NULL, state TEXT NOT NULL, finished_at TEXT, troubles TEXT NOT NULL
);
CREATE TABLE predictions (
    run_id TEXT NOT NULL REFERENCES runs (id), number INTEGER NOT NULL, model_id TEXT NOT NULL,
    payload TEXT NOT NULL, status TEXT NOT NULL, prediction_id TEXT, error TEXT NOT NULL, submitting_at TEXT,
    submitted_at TEXT, settled_at TEXT, reserved INTEGER NOT NULL, charge INTEGER, source TEXT NOT NULL,
    model_seconds REAL, outputs TEXT NOT NULL, troubles TEXT NOT NULL, answer TEXT,
    PRIMARY KEY (run_id, number)
);
CREATE INDEX runs_of_visitor ON runs (visitor, created_at);
CREATE INDEX runs_by_time ON runs (created_at);
CREATE INDEX predictions_by_id ON predictions (prediction_id);
INSERT INTO runs VALUES ('done', 'ann', 'host', 'host', '2026-11-21T10:00:00.000000+00:00', 'pro', 'dress', 'an owl',
    '{"guidance_scale": 3.5}', 7, 2, '[]', 80000, 'completed', '2026-11-21T10:00:20.000000+00:00', '[]');
INSERT INTO runs VALUES ('open', 'ann', 'host', 'host', '2026-11-21T11:00:00.000000+00:00', 'max', NULL, 'a cat',
    '{}', NULL, 1, '[]', 80000, 'preparing', NULL, '[]');
INSERT INTO predictions VALUES ('done', 1, 'm', '{"seed": 7}', 'completed', 'aa', '', NULL, NULL,
    '2026-11-21T10:00:20.000000+00:00', 40000, 35500, 'billing', 4.5, '[]', '[]', '{}');
INSERT INTO predictions VALUES ('done', 2, 'm', '{"seed": 8}', 'completed', 'bb', '', NULL, NULL,
    '2026-11-21T10:00:20.000000+00:00', 40000, 40000, 'quote', 5.5, '[]', '[]', '{}');
INSERT INTO predictions VALUES ('open', 1, 'm', '{}', 'submitting', NULL, '', '2026-11-21T11:00:01.000000+00:00', NULL,
    NULL, 80000, NULL, 'estimate', NULL, '[]', '[]', NULL);
PRAGMA user_version = 1;
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path, timeout=0.1)
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
    found = Ledger(moved).find("ann", "r")
    assert found is not None
    assert found.entries[0].outputs[0].path == moved / "outputs/r/kontext-pro-1.png"
    moved.rename(tmp_path)


def test_references_of_an_older_ledger_are_read(ledger: Ledger, tmp_path: Path) -> None:
    """Rows of 0.1.0 number them, and know nothing of a card."""
    ledger.add(record("r"))
    row = {"number": 1, "role": "identity", "sha256": "ab" * 32, "path": "outputs/r/references/1.jpg"}
    row |= {"media_type": "image/jpeg", "width": 64, "height": 48}
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        file.execute("UPDATE runs SET refs = ?", [json.dumps([row])])
        file.commit()
    found = ledger.find("ann", "r")
    held = tmp_path / "outputs/r/references/1.jpg"
    assert found is not None
    assert found.facts.references == (Reference(held, "ab" * 32, "image/jpeg", 64, 48, "identity"),)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(0, 10**6, places=6), min_size=1, max_size=5))
def test_money_adds_up_exactly(ledger: Ledger, amounts: list[Decimal]) -> None:
    """Sums of any amounts are exact to the millionth of a dollar."""
    visitor = str(id(amounts))
    with sqlite3.connect(ledger.home / "ledger.db") as file:
        file.execute("DELETE FROM predictions")
        file.execute("DELETE FROM runs")
    file.close()
    for number, amount in enumerate(amounts):
        ledger.add(record(f"{number}", visitor=visitor, cost=str(amount)))
    assert ledger.spent(visitor, NOON) == sum(amounts)


def test_times_sort_wherever_they_were_taken(ledger: Ledger) -> None:
    """Runs are listed newest first, whatever zone their times were given in."""
    tokyo = timezone(timedelta(hours=9))
    ledger.add(record("old", at=NOON))
    ledger.add(record("new", at=(NOON + timedelta(microseconds=1)).astimezone(tokyo)))
    assert [r.facts.id for r in ledger.list_for("ann")] == ["new", "old"]


def test_committed_means_on_the_disk(ledger: Ledger) -> None:
    """When a method returns, another program sees the row, and the file is set to be flushed at each commit."""
    ledger.reserve([record()], passes)
    with closing(sqlite3.connect(ledger.home / "ledger.db")) as other:
        assert other.execute("SELECT status, reserved FROM predictions").fetchall() == [("reserved", 40000)]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with ledger._engine.connect() as own:
        assert own.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


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
    """Of many that claim a prediction at once, one gets it."""
    for number in range(8):
        ledger.add(record(str(number)))

    def claim(number: int) -> bool:
        entry = replace(record().entries[0], id="aa")
        return ledger.claim(str(number), entry)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


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
    ledger.label("ann", {"r": Label("my private owl")})
    ledger.delete("r", NOON)
    assert (ledger.holder("aa"), ledger.holder("bb")) == (("ann", None), None)
    assert (ledger.find("ann", "r"), ledger.list_for("ann"), ledger.unfinished("host")) == (None, [], [])
    assert (ledger.spent("ann", NOON), ledger.taken(["aa", "bb"])) == (Decimal("0.04"), {"aa"})
    with closing(sqlite3.connect(ledger.home / "ledger.db")) as file:
        assert not [line for line in file.iterdump() if "private owl" in line]


def test_a_deletion_leaves_no_word_in_the_file(ledger: Ledger) -> None:
    """Neither in the raw bytes of the file nor of what is written ahead of it, long texts included, from then on."""
    told = "a private owl " * 1000
    for id in ("before", "r", "after"):
        run = record(id, prompt=told if id == "r" else "plain")
        payload = {"prompt": run.facts.prompt}
        ledger.add(replace(run, entries=(replace(run.entries[0], payload=payload, error=run.facts.prompt),)))
    ledger.end(replace(record("r", prompt=told), troubles=(Trouble(told, "no", ""),)))

    def raw() -> bytes:
        return b"".join(file.read_bytes() for file in ledger.home.glob("ledger.db*"))

    assert b"private owl" in raw()
    ledger.delete("r", NOON)
    assert b"private owl" not in raw() and b"plain" in raw()


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


# versions


def test_version_1_is_brought_up(tmp_path: Path) -> None:
    """A ledger of the first version keeps its runs and its money, goes on being written, and looks like a new one."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        file.executescript(VERSION_1)
    ledger = Ledger(tmp_path)
    (unfinished,) = ledger.unfinished("host")
    done = ledger.find("ann", "done")
    assert done is not None
    assert [(e.number, e.attempt, e.id, e.charge) for e in done.entries] == [
        (1, 1, "aa", Decimal("0.0355")),
        (2, 1, "bb", Decimal("0.04")),
    ]
    assert ledger.spent("ann", datetime(2026, 11, 21, tzinfo=UTC)) == Decimal("0.1555")
    ledger.save("open", replace(unfinished.entries[0], attempt=2))
    ledger.remember_upload("host", "aa", "u", NOON)
    ledger.close()
    Ledger(tmp_path / "new").close()
    assert shape(tmp_path) == shape(tmp_path / "new")


def test_what_an_older_version_deleted_is_gone(tmp_path: Path) -> None:
    """It left deleted text in the free parts of the file; the first start after it writes the file anew."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        file.executescript(f"PRAGMA secure_delete = OFF; {VERSION_1}")
        file.execute("UPDATE runs SET prompt = ? WHERE id = 'done'", ["a private owl " * 1000])
        file.commit()
        file.execute("UPDATE runs SET prompt = '' WHERE id = 'done'")
        file.commit()
    assert b"private owl" in (tmp_path / "ledger.db").read_bytes()
    with closing(Ledger(tmp_path)) as ledger:
        assert not any(b"private owl" in file.read_bytes() for file in tmp_path.iterdir())
        assert ledger.find("ann", "done")


def test_nobody_who_writes_waits_for_the_search_of_a_deletion(ledger: Ledger) -> None:
    """Who else keeps the same bytes is looked for among all runs: others reserve and save meanwhile."""
    ledger.add(record("r"))
    ledger._timeout = 0.01  # else a writer in line would wait for fifty seconds

    @sa.event.listens_for(ledger._engine, "before_cursor_execute")
    def searching(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "json_each" in statement:
            ledger.add(record("meanwhile"))

    ledger.delete("r", NOON)
    assert ledger.find("ann", "meanwhile")


def shape(folder: Path) -> tuple[int, dict[str, list[Any]]]:
    """The version, and every column of every table."""
    with closing(sqlite3.connect(folder / "ledger.db")) as file:
        version = file.execute("PRAGMA user_version").fetchone()[0]
        return version, {t.name: file.execute(f"PRAGMA table_info({t.name})").fetchall() for t in TABLES}


TABLES = (runs, predictions, uploads, invitations)


def test_tables_and_file_agree(ledger: Ledger) -> None:
    """The columns that the code speaks of are the columns that the migrations make."""
    version, columns = shape(ledger.home)
    assert version == VERSION
    for table in TABLES:
        assert {row[1] for row in columns[table.name]} == set(table.columns.keys())


def test_a_migration_is_all_or_nothing(tmp_path: Path) -> None:
    """A migration that fails half way leaves the old ledger as it was."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        file.executescript(VERSION_1 + "CREATE TABLE uploads (in_the_way TEXT);")
    with pytest.raises(LedgerError):
        Ledger(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (1,)
        assert file.execute("SELECT count(*) FROM predictions").fetchone() == (3,)


def test_a_newer_ledger_is_left_alone(ledger: Ledger) -> None:
    """A ledger of a version that is not known yet is refused, and not touched."""
    with closing(sqlite3.connect(ledger.home / "ledger.db")) as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="newer version"):
        Ledger(ledger.home)


# failures


@pytest.fixture
def new_connections_say() -> Iterator[list[str]]:
    """Pragmas that every new connection to any database gets: how a full or read-only disk is had without one."""
    pragmas: list[str] = []

    def say(connection: Any, _record: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    sa.event.listen(sa.Engine, "connect", say)
    yield pragmas
    sa.event.remove(sa.Engine, "connect", say)


@pytest.mark.parametrize(
    ("pragma", "words"), [("max_page_count = 1", "disk is full"), ("query_only = 1", "can't be written to")]
)
def test_a_disk_that_takes_nothing(tmp_path: Path, new_connections_say: list[str], pragma: str, words: str) -> None:
    """A full disk and a read-only one are each said in a sentence, with what to do, and that nothing was charged."""
    Ledger(tmp_path).close()
    new_connections_say.append(pragma)
    with pytest.raises(LedgerError) as refused:
        ledger = Ledger(tmp_path)
        for number in range(200):
            ledger.reserve([record(str(number), prompt="x" * 4000)], passes)
    assert words in str(refused.value)
    assert "Nothing was charged." in str(refused.value)
    assert refused.value.advice


def test_a_locked_file(ledger: Ledger) -> None:
    """Another program that holds the file: waited for a while, then said."""
    with closing(sqlite3.connect(ledger.home / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked"):
            ledger.reserve([record()], passes)
        other.execute("ROLLBACK")
        ledger.reserve([record()], passes)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"not a database" * 100)])
def test_a_file_that_is_no_ledger(tmp_path: Path, make: Any) -> None:
    """Whatever stands in the ledger's place, a sentence comes, and no exception of the database."""
    make(tmp_path / "ledger.db")
    with pytest.raises(LedgerError):
        Ledger(tmp_path)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """A data folder that can't be made is said as such."""
    (tmp_path / "data").write_text("")
    with pytest.raises(LedgerError, match="KONTEXT_DATA_DIR"):
        Ledger(tmp_path / "data")


def test_a_lone_surrogate(ledger: Ledger) -> None:
    """A lone surrogate, which a browser can send, is refused before anything is spent."""
    with pytest.raises(LedgerError, match="character"):
        ledger.reserve([record(prompt="an owl \ud83e")], passes)


def test_what_costs_something_is_never_written_down_as_free(ledger: Ledger) -> None:
    """An amount finer than the ledger keeps is rounded up, so that no cap can be passed in steps of nothing."""
    ledger.add(record("tiny", cost="0.0000001"))
    assert ledger.spent("ann", NOON) == Decimal("0.000001")
