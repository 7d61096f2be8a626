"""Files of a run on disk: what they are called, and how one is whole or not there at all. Everything here blocks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from core.errors import LedgerError
from core.pictures.reference import Reference

FOLDER = "outputs"
_SUFFIXES = {"jpeg": "jpg"}


def folder_of(folder: Path, run_id: str) -> Path:
    return folder / FOLDER / run_id


def name(variant_id: str, day: datetime, seed: int | None, number: int, format: str) -> str:
    """Such as kontext-pro-20261121-seed4711-1.png; the ending says what the bytes are."""
    middle = "" if seed is None else f"-seed{seed}"
    return f"kontext-{variant_id}-{day:%Y%m%d}{middle}-{number}.{_SUFFIXES.get(format, format)}"


def write(path: Path, data: bytes) -> None:
    """Write beside, flush to the disk, rename: a file of that name is whole, whatever happens meanwhile.

    Raises:
        OSError: the disk is full, or can't be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _flush_folder(path.parent)


def keep_reference(reference: Reference, folder: Path, name: int | str) -> Path:
    """An own hold on a reference, so that it can be restored for as long as what `folder` is of is kept.

    Raises:
        OSError: the reference is gone, or the disk can't be written to.
    """
    path = folder / "references" / f"{name}{reference.path.suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(reference.path, path)  # no second copy of the bytes
    except FileExistsError:
        pass
    except OSError:
        write(path, reference.path.read_bytes())
    return path


def keep_references(references: Sequence[Reference], folder: Path) -> tuple[Reference, ...]:
    """The references of a run, each by a file of its own in `folder`.

    Raises:
        LedgerError: one is gone, or the disk can't be written to; then none is left there.
    """
    try:
        paths = [keep_reference(reference, folder, number) for number, reference in enumerate(references, 1)]
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        happened = "The references can't be kept: the app's disk is full or can't be written to, or one is gone."
        raise LedgerError(happened, "Free some space or add the references again.") from None
    return tuple(replace(reference, path=path) for reference, path in zip(references, paths, strict=True))


def runs_in(folder: Path) -> list[str]:
    """The runs that have files on the disk."""
    outputs = folder / FOLDER
    return [path.name for path in outputs.iterdir()] if outputs.is_dir() else []


def remove(folder: Path, run_id: str) -> None:
    """Take away everything of a run that is on disk."""
    shutil.rmtree(folder_of(folder, run_id), ignore_errors=True)


def _flush_folder(folder: Path) -> None:
    # Without this a power cut could take back the new name. Windows has no such call, and needs none.
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
