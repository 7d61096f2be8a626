"""Where the ledger's tables lie: a file of SQLite's, or a database of PostgreSQL's. All that differs is in here.

SQLite, on a disk of this computer, writes ahead, and is read while it is written. On a network's file system, where
shared memory and locks can't be trusted, one connection alone holds the file, with a journal beside it.

PostgreSQL lets many write at once, so whoever checks before they write takes a lock that all others who do so take too.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert  # SQLite says it in the same words
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from core.errors import LedgerError, SettingsError
from core.ledger import faults
from core.ledger.faults import NewerLedger
from core.ledger.news import News, listen
from core.ledger.schema import MIGRATIONS, OVERWRITING, VERSION

log = logging.getLogger(__name__)

FILE = "ledger.db"
LINE = 10  # how many times longer than for the database itself a writer waits for the writers before it
EVERYBODY = "everybody"  # the lock of whoever names none

_SAFE = ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")
_SHARED = ("journal_mode = WAL", *_SAFE)
# In this order: what is locked exclusively before its first use needs no shared memory, even if it is a WAL as yet.
# A journal under such a lock stays, with what stood in the file before, unless it is cut.
_EXCLUSIVE = ("locking_mode = EXCLUSIVE", "journal_mode = DELETE", "journal_size_limit = 0", *_SAFE)

# What a migration says -> how it is said there. Texts sort as SQLite sorts them, by their bytes.
_IN_SQLITE = {"BOOLEAN": "INTEGER", "FALSE": "0", "BIGINT": "INTEGER", "JSON": "TEXT", "DOUBLE PRECISION": "REAL"}
_IN_POSTGRES = {"TEXT": 'TEXT COLLATE "C"'}

# Seconds after which a silent line counts as broken, and a transaction as left: its process may stand still, and holds
# locks that others wait for. A statement that takes longer is given up; a line that has served for so long is replaced.
_SILENCE, _LEFT, _STATEMENT, _OLD = 10, 10, 60, 600
# Of a server that went away without a word, each line is to know after `_SILENCE`, be it asking or waiting.
_LINE = {
    "connect_timeout": _SILENCE // 2,
    "keepalives_idle": _SILENCE // 2,
    "keepalives_interval": _SILENCE // 4,
    "keepalives_count": 2,
    "tcp_user_timeout": 1000 * _SILENCE,
}
_VERSIONS = "ledger_version"


class Database(Protocol):
    """What the ledger asks of either. `forgetful`: whether it may lose what it said was written.

    Raises:
        LedgerError: from every method, where it can't be read or written.
    """

    forgetful: bool

    def migrate(self) -> None:
        """Bring the tables up to VERSION: wholly or not at all."""

    def writing(self, lock: str | None) -> AbstractContextManager[sa.Connection]:
        """A transaction, durable when it is left, or undone if an error leaves it; alone under that lock."""

    def hold(self, connection: sa.Connection, lock: str) -> None:
        """Be alone under that lock too until the transaction ends. One who holds `EVERYBODY` or an account's may take a
        visitor's after it, and nobody the other way round.
        """

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """What stands there at one moment."""

    def now(self, connection: sa.Connection, ours: datetime) -> datetime:
        """What all who use it go by: `ours` where nobody else does."""

    def words(self) -> AbstractContextManager[None]:
        """Its faults become ours in here."""

    def wipe(self) -> bool:
        """Bring what was deleted out of whatever was written ahead; False where somebody reads it just now."""

    def listen(self) -> AsyncGenerator[News | None, None]:
        """`core.ledger.news.listen`."""

    def close(self) -> None: ...


def database(folder: Path, url: str | None, *, timeout: float, forgetful: bool) -> Database:
    """PostgreSQL at that URL, or a file in the folder. `forgetful`: what the folder's disk is."""
    return PostgreSQL(url, timeout) if url else SQLite(folder, timeout, forgetful=forgetful)


def upsert(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Write a row, new or in the place of the one with its key."""
    connection.execute(_upserting(table, tuple(row)), row)


@cache  # making it takes longer than running it
def _upserting(table: sa.Table, columns: tuple[str, ...]) -> sa.Insert:
    new = insert(table)
    change = {name: new.excluded[name] for name in columns}
    return new.on_conflict_do_update(index_elements=table.primary_key, set_=change)


class lowered(FunctionElement[str]):
    """A text in small letters, those of all languages."""

    type = sa.Text()
    inherit_cache = True


@compiles(lowered)
def _lowered(element: lowered, compiler: sa.sql.compiler.SQLCompiler, **how: Any) -> str:
    return f"lower({compiler.process(element.clauses, **how)})"


@compiles(lowered, "postgresql")
def _lowered_by_icu(element: lowered, compiler: sa.sql.compiler.SQLCompiler, **how: Any) -> str:
    # By its bytes a text has the letters of English alone.
    return f'lower(({compiler.process(element.clauses, **how)}) COLLATE "und-x-icu")'


class SQLite:
    """The file in a folder. `timeout`: seconds to wait for a lock."""

    def __init__(self, folder: Path, timeout: float, *, forgetful: bool) -> None:
        self.forgetful = forgetful
        self._timeout = timeout
        # One writer at a time is all that SQLite allows; here they queue instead of retrying.
        self._writing = threading.Lock()
        # Every thread in its turn with the same connection: a second one would find the file locked for ever.
        alone: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": LINE * timeout} if forgetful else {}
        self.engine = sa.create_engine(f"sqlite:///{folder / FILE}", connect_args={"timeout": timeout}, **alone)
        sa.event.listen(self.engine, "connect", partial(_on_connect, _EXCLUSIVE if forgetful else _SHARED))
        sa.event.listen(self.engine, "begin", _on_begin)

    def migrate(self) -> None:
        with self.writing(None) as connection:
            found = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
            _take_steps(connection, found, _IN_SQLITE)
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
        if 0 < found < OVERWRITING:
            self._rewrite()

    @contextmanager
    def writing(self, lock: str | None) -> Iterator[sa.Connection]:  # noqa: ARG002 - every writer is alone here
        with self.words(), self._turn(), self.engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection

    def hold(self, connection: sa.Connection, lock: str) -> None:
        """Every writer is alone already."""

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self.words(), self.engine.connect() as connection:
            yield connection

    def now(self, connection: sa.Connection, ours: datetime) -> datetime:  # noqa: ARG002
        return ours

    def words(self) -> AbstractContextManager[None]:
        return faults.in_our_words(faults.SQLITE)

    def wipe(self) -> bool:
        """Bring what was written ahead into the file and cut the log off: what was deleted is in neither any more."""
        with self.words(), self._turn():
            plain = self.engine.raw_connection()
            try:
                (busy, *_) = plain.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                plain.close()
        if busy:
            log.warning("ledger.db-wal could not be emptied: it is being read. The next deletion or the end does it.")
        return not busy

    async def listen(self) -> AsyncGenerator[News | None, None]:
        yield None

    def close(self) -> None:
        self.engine.dispose()

    def _rewrite(self) -> None:
        """Write the file anew, without what was deleted when deleted text was not overwritten yet."""
        try:
            with self.words(), self._turn(), closing(self.engine.raw_connection()) as plain:
                plain.cursor().execute("VACUUM")
            self.wipe()
        except LedgerError as fault:
            log.warning("text that an older version deleted may still stand in ledger.db: %s", fault.happened)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One writer after another. A line that stands still for that long has a locked database at its head."""
        if not self._writing.acquire(timeout=LINE * self._timeout):
            raise faults.error(faults.SQLITE["busy"])
        try:
            yield
        finally:
            self._writing.release()


class PostgreSQL:
    """The database at a URL, which is a secret. `timeout`: seconds to wait for a lock, times `LINE`.

    Raises:
        SettingsError: the URL, or what it takes to follow it, is not right.
    """

    forgetful = False

    def __init__(self, url: str, timeout: float) -> None:
        self.engine = _connected(url, LINE * timeout)
        # Where the first of several selects has looked, the others look as well.
        self._snapshots = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def migrate(self) -> None:
        with self.writing("migrations") as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a large table takes its time
            connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {_VERSIONS} (version INTEGER NOT NULL)")
            found = connection.execute(sa.select(sa.func.max(_version.c.version))).scalar() or 0
            _take_steps(connection, found, _IN_POSTGRES)
            if found < VERSION:
                connection.execute(_version.insert().values(version=VERSION))

    @contextmanager
    def writing(self, lock: str | None) -> Iterator[sa.Connection]:
        with self.words(), self.engine.begin() as connection:
            if lock is not None:
                self.hold(connection, lock)
            yield connection

    def hold(self, connection: sa.Connection, lock: str) -> None:
        # Each statement sees what was committed before it, so what is read after this is what stands.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(lock, 0))))

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self.words(), self._snapshots.connect() as connection:
            yield connection

    def now(self, connection: sa.Connection, ours: datetime) -> datetime:  # noqa: ARG002
        now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now

    def words(self) -> AbstractContextManager[None]:
        return faults.in_our_words(faults.POSTGRES)

    def wipe(self) -> bool:
        """Its own vacuum overwrites what was deleted, in its time."""
        return True

    def listen(self) -> AsyncGenerator[News | None, None]:
        dialect = self.engine.dialect
        _, address = dialect.create_connect_args(self.engine.url)
        return listen(dialect.loaded_dbapi, {**address, **_LINE})

    def close(self) -> None:
        self.engine.dispose()


_version = sa.table(_VERSIONS, sa.column("version", sa.Integer))


def _connected(url: str, patience: float) -> sa.Engine:
    asked = {
        "lock_timeout": f"{patience:.3f}s",
        "idle_in_transaction_session_timeout": f"{_LEFT}s",
        "statement_timeout": f"{_STATEMENT}s",
    }
    options = " ".join(f"-c {name}={value}" for name, value in asked.items())
    try:
        line = {**_LINE, "options": options}
        return sa.create_engine(url, connect_args=line, pool_pre_ping=True, pool_recycle=_OLD, hide_parameters=True)
    except (ArgumentError, ValueError):
        raise SettingsError("KONTEXT_DATABASE_URL", "is not the URL of a database.") from None
    except ImportError:
        advice = "Install what requirements-postgres.txt lists."
        raise SettingsError("KONTEXT_DATABASE_URL", "needs a driver that isn't installed.", advice) from None


def _take_steps(connection: sa.Connection, found: int, types: Mapping[str, str]) -> None:
    """From the version that was found to VERSION.

    Raises:
        NewerLedger: it is ahead of us.
    """
    if found > VERSION:
        raise NewerLedger
    for step in MIGRATIONS[found:]:
        for statement in step:
            connection.exec_driver_sql(_translated(statement, types))


def _translated(statement: str, types: Mapping[str, str]) -> str:
    return re.sub(rf"\b({'|'.join(types)})\b", lambda name: types[name[0]], statement)


def _on_connect(pragmas: Sequence[str], connection: Any, _record: Any) -> None:
    # The driver would begin transactions at moments of its own choosing; BEGIN is ours to say.
    connection.isolation_level = None
    # SQLite's own knows the letters of English alone.
    connection.create_function("lower", 1, str.lower, deterministic=True)
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: sa.Connection) -> None:
    # IMMEDIATE takes the write lock before the first read, so nothing comes between a check and what rests on it.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
