"""The file system that the ledger lies on: told from the list of mounts, and what is done where it can't be trusted."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from test_ledger import NOON, passes, record

from core.errors import LedgerError
from core.ledger.file_systems import file_system, is_remote
from core.ledger.ledger import Ledger

MOUNTS = r"""
overlay / overlay rw,relatime 0 0
hf-mount /data fuse.hf-mount rw,nosuid 0 0
server:/pictures /mnt/our\040pictures nfs4 rw 0 0
/dev/sdb1 /data/local ext4 rw 0 0
//nas/share /srv cifs rw 0 0
/dev/sdc1 /srv xfs rw 0 0
not a mount
"""


@pytest.mark.parametrize(
    ("folder", "kind", "remote"),
    [
        ("/data", "fuse.hf-mount", True),
        ("/data/studio/deeper", "fuse.hf-mount", True),
        ("/data/local/studio", "ext4", False),
        ("/database", "overlay", False),
        ("/mnt/our pictures/studio", "nfs4", True),
        ("/srv/studio", "xfs", False),  # mounted over the share
        ("/home/ann", "overlay", False),
    ],
)
def test_the_nearest_mount_tells(folder: str, kind: str, remote: bool) -> None:
    """The longest point that the folder lies under, the last one mounted there, with blanks written as octals."""
    assert file_system(Path(folder), MOUNTS) == kind
    assert is_remote(kind) is remote


@pytest.mark.parametrize("kind", ["fuse", "fuse.sshfs", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs"])
def test_programs_and_networks_are_no_disks(kind: str) -> None:
    """Each of them may say that something is written before it is."""
    assert is_remote(kind)


@pytest.mark.parametrize("kind", ["", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fusectl"])
def test_disks_of_this_computer_are(kind: str) -> None:
    """Where nothing is told, as on other systems, the disk is taken for one."""
    assert not is_remote(kind)


def bucket(folder: Path) -> str:
    return f"overlay / overlay rw 0 0\nhf-mount {folder} fuse.hf-mount rw 0 0\n"


def pragmas(ledger: Ledger) -> tuple[Any, ...]:
    with ledger._database.engine.connect() as connection:
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "locking_mode"))


def test_a_bucket_gets_one_connection_and_a_journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No shared memory, no second file to fit, the lock held throughout; and the log says what may be lost."""
    with caplog.at_level(logging.WARNING), closing(Ledger(tmp_path, timeout=0.1, mounted=bucket(tmp_path))) as ledger:
        assert pragmas(ledger) == ("delete", "exclusive")
        ledger.reserve([record()], passes)
        assert not list(tmp_path.glob("ledger.db-[ws]*"))
        with (
            closing(sqlite3.connect(tmp_path / "ledger.db", timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError),
        ):
            other.execute("SELECT * FROM runs")
    assert "may be lost" in caplog.text


def test_a_bucket_keeps_no_words_either(tmp_path: Path) -> None:
    """What a deleted run was about stands in no file, the journal included."""
    with closing(Ledger(tmp_path, timeout=0.1, mounted=bucket(tmp_path))) as ledger:
        ledger.reserve([record(prompt="a private owl")], passes)
        ledger.delete("r", NOON)
        assert not [path.name for path in tmp_path.iterdir() if b"private owl" in path.read_bytes()]


def test_a_disk_is_written_ahead(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """There others read while one writes, and there is nothing to warn of."""
    with caplog.at_level(logging.WARNING), closing(Ledger(tmp_path, mounted="/dev/sda1 / ext4 rw 0 0\n")) as ledger:
        assert pragmas(ledger) == ("wal", "normal")
    assert not caplog.text


def test_a_ledger_that_moves_to_a_bucket_and_back(tmp_path: Path) -> None:
    """Its journal changes with the file system, and nothing that it holds is lost."""
    grounds = ["", bucket(tmp_path), ""]
    for number, mounted in enumerate(grounds):
        with closing(Ledger(tmp_path, timeout=0.1, mounted=mounted)) as ledger:
            ledger.add(record(str(number)))
            assert pragmas(ledger)[0] == ("delete" if mounted else "wal")
            assert len(ledger.list_for("ann")) == number + 1


def test_threads_share_the_one_connection(tmp_path: Path) -> None:
    """Forty writers and readers at once, each in its turn, and the sum is exact."""
    with closing(Ledger(tmp_path, mounted=bucket(tmp_path))) as ledger, ThreadPoolExecutor(20) as threads:
        writing = [threads.submit(ledger.reserve, [record(str(number))], passes) for number in range(40)]
        reading = [threads.submit(ledger.list_for, "ann") for _ in range(40)]
        for task in (*writing, *reading):
            task.result()
        assert ledger.spent("ann", NOON) == Decimal("1.60")


def test_a_line_that_stands_still_is_said(tmp_path: Path) -> None:
    """Somebody who keeps the one connection makes the others wait, not for ever, and they say so in our words."""
    ledger, threads = Ledger(tmp_path, timeout=0.01, mounted=bucket(tmp_path)), ThreadPoolExecutor(1)
    with closing(ledger), threads, ledger.reading(), pytest.raises(LedgerError, match="locked"):
        threads.submit(ledger.list_for, "ann").result()


def test_a_bucket_is_not_asked_for_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it answers means nothing: neither endless room nor none keeps a run from being written down."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 0))
    with closing(Ledger(tmp_path / "bucket", timeout=0.1, mounted=bucket(tmp_path))) as ledger:
        ledger.reserve([record()], passes)
    with closing(Ledger(tmp_path / "disk", timeout=0.1, mounted="")) as ledger, pytest.raises(LedgerError):
        ledger.reserve([record()], passes)
