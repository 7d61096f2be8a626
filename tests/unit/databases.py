"""Where a test's ledger lies: in a file, or in a PostgreSQL of the tests' own."""

from __future__ import annotations

import os
import shutil
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
_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")

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


@contextmanager
def serving(*, quick: bool = True) -> Iterator[tuple[str, int]]:
    """The URL of a database in a new server, and the server's process, which ends when this is left.

    `quick`: it flushes nothing to the disk.
    """
    folder = Path(tempfile.mkdtemp(prefix="kontext-postgres-", dir="/tmp"))
    bin, who = programs(), _who()
    assert bin is not None, "install postgresql"
    if who:
        shutil.chown(folder, USER, USER)
    data = folder / "data"
    try:
        initdb = [bin / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **who)
        with _serving(bin, data, folder, who, _QUICK if quick else ()) as process:
            yield f"postgresql+psycopg://{USER}@/{USER}?host={folder}", process
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _serving(bin: Path, data: Path, folder: Path, who: dict[str, Any], more: Sequence[str]) -> Iterator[int]:
    settings = [part for setting in (*_PLAIN, *more, f"unix_socket_directories={folder}") for part in ("-c", setting)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([bin / "postgres", "-D", data, *settings], stdout=log, stderr=log, **who)
    try:
        while not (data / "postmaster.pid").is_file() or "ready" not in (data / "postmaster.pid").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        yield process.pid
    finally:
        process.send_signal(3)  # SIGQUIT: at once
        process.wait()


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
