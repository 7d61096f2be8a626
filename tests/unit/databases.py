"""Where a test's ledger lies: in a file, or in a PostgreSQL of the tests' own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.ledger.ledger import Ledger
from core.ledger.schema import tables

DATABASE = "KONTEXT_DATABASE_URL"
USER = "postgres"  # whom Debian's package brings; the server does not run as root
_PLAIN = ("listen_addresses=", "max_connections=200")
_QUICK = ("fsync=off", "full_page_writes=off")  # what it has written outlives it, if not the computer

_EMPTY = """
DO $$ DECLARE name text; BEGIN
    SET LOCAL session_replication_role = replica;  -- in whatever order
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'ledger_version' LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
END $$
"""


def programs() -> Path | None:
    """The folder of the newest PostgreSQL here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    beside = shutil.which("postgres")
    return found[-1].parent if found else Path(beside).parent if beside else None


class Server:
    """A PostgreSQL with one database, at `url`: it can go away, and come back with what it has."""

    def __init__(self, bin: Path, folder: Path, settings: Sequence[str]) -> None:
        self._data, self._log = folder / "data", folder / "log"
        self.url = f"postgresql+psycopg://{USER}@/{USER}?host={folder}"
        initdb = [bin / "initdb", "-D", self._data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **_who())
        told = [part for setting in (*settings, f"unix_socket_directories={folder}") for part in ("-c", setting)]
        self._command = [bin / "postgres", "-D", self._data, *told]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Unless it runs: a test that failed may have left it away."""
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, **_who())
        started = self._data / "postmaster.pid"
        while not started.is_file() or "ready" not in started.read_text():
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """At once, in the midst of whatever it does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()


@contextmanager
def serving(*, quick: bool = True) -> Iterator[Server]:
    """A new server, which ends when this is left. `quick`: it flushes nothing to the disk."""
    folder = Path(tempfile.mkdtemp(prefix="kontext-postgres-", dir="/tmp"))
    bin = programs()
    assert bin is not None, "install postgresql"
    if _who():
        shutil.chown(folder, USER, USER)
    try:
        server = Server(bin, folder, (*_PLAIN, *(_QUICK if quick else ())))
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _who() -> dict[str, Any]:
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


def empty() -> None:
    """Take every row out of the database that the environment asks for, if it asks for one."""
    if url := os.environ.get(DATABASE):
        with closing(
            sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect()
        ) as connection:
            connection.exec_driver_sql(_EMPTY)


def open_ledger(folder: Path, **options: Any) -> Ledger:
    """The ledger that the environment asks for."""
    return Ledger(folder, url=os.environ.get(DATABASE), **options)


def text_of(ledger: Ledger) -> str:
    """All that stands in it."""
    with ledger.reading() as connection:
        return str([connection.execute(sa.select(table)).all() for table in tables.sorted_tables])
