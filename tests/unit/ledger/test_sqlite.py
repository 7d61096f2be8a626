"""What the ledger promises as a file of SQLite's: flushed, brought up to date, clear about its own failures."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from test_ledger import NOON, passes, record

from core.errors import LedgerError
from core.ledger.ledger import Ledger
from core.ledger.run import Trouble
from core.ledger.schema import VERSION, tables
from core.pictures.reference import Reference

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
    with closing(Ledger(tmp_path, timeout=0.1)) as ledger:
        yield ledger


def test_committed_means_on_the_disk(ledger: Ledger) -> None:
    """When a method returns, another program sees the row, and the file is set to be flushed at each commit."""
    ledger.reserve([record()], passes)
    with closing(sqlite3.connect(ledger.home / "ledger.db")) as other:
        assert other.execute("SELECT status, reserved FROM predictions").fetchall() == [("reserved", 40000)]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with ledger._database.engine.connect() as own:
        assert own.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


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


def test_version_1_is_brought_up(tmp_path: Path) -> None:
    """A ledger of the first version keeps its runs and its money, goes on being written, and looks like a new one."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        file.executescript(VERSION_1)
    ledger = Ledger(tmp_path)
    (found,) = ledger.unfinished("host")
    unfinished = ledger.find(*found)
    assert unfinished is not None
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
    ledger.add(record("r", references=(Reference(ledger.home / "a.jpg", "a" * 64, "image/jpeg", 4, 3),)))
    ledger._database._timeout = 0.01  # else a writer in line would wait for fifty seconds

    @sa.event.listens_for(ledger._database.engine, "before_cursor_execute")
    def searching(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "refs AS TEXT" in statement:
            ledger.add(record("meanwhile"))

    ledger.delete("r", NOON)
    assert ledger.find("ann", "meanwhile")


def shape(folder: Path) -> tuple[int, dict[str, list[Any]]]:
    """The version, and every column of every table."""
    with closing(sqlite3.connect(folder / "ledger.db")) as file:
        (version,) = file.execute("PRAGMA user_version").fetchone()
        assert version == VERSION
        return version, {t.name: file.execute(f"PRAGMA table_info({t.name})").fetchall() for t in tables.sorted_tables}


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
