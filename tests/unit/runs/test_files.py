"""Files of a run: their names, and that a half-written one is never there under its name."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.pictures.reference import Reference
from core.runs import files

DAY = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("variant", "seed", "number", "format", "name"),
    [
        ("pro", 4711, 1, "png", "kontext-pro-20261121-seed4711-1.png"),
        ("max", None, 1, "jpeg", "kontext-max-20261121-1.jpg"),
        ("ultra-fast", 0, 4, "webp", "kontext-ultra-fast-20261121-seed0-4.webp"),
    ],
)
def test_names(variant: str, seed: int | None, number: int, format: str, name: str) -> None:
    """A name says variant, day, seed where there is one, and number; its ending says what the bytes are."""
    assert files.name(variant, DAY, seed, number, format) == name


def test_what_stands_there_is_whole(tmp_path: Path) -> None:
    """Written, and written anew: the bytes are all there, and nothing is left beside."""
    path = tmp_path / "deep" / "a.png"
    files.write(path, b"one")
    with path.open("rb") as reader:
        files.write(path, b"two")
        assert reader.read() == b"one"  # put in its place at once, not written over
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full in the middle of a file: what stood there before still stands, and no half is left over."""
    path = tmp_path / "a.png"
    files.write(path, b"old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reference_is_held(tmp_path: Path) -> None:
    """The run's own hold on a reference stays when the prepared picture is cleared away."""
    prepared = tmp_path / "aa.jpg"
    prepared.write_bytes(b"picture")
    held = files.keep_reference(Reference(prepared, "aa", "image/jpeg", 4, 3), tmp_path / "run", 2)
    prepared.unlink()
    assert (held.name, held.read_bytes()) == ("2.jpg", b"picture")
