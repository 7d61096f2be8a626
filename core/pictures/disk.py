"""Files of pictures on the disk: whole or not there, and marked as in use for whoever clears up by age. Blocking."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(data: bytes, path: Path) -> None:
    """Write under another name first, so that whoever finds `path` finds all of it.

    Raises:
        OSError: the disk is full, or can't be written to.
    """
    with _aside(data, path) as written:
        written.replace(path)


def create(data: bytes, path: Path) -> None:
    """The same where it is not there yet: of several processes that do so at once, all find what the first one wrote.

    On a disk without hard links it is the last one's.

    Raises:
        OSError: as for `write`.
    """
    with _aside(data, path) as written:
        try:
            path.hardlink_to(written)
        except FileExistsError:
            pass
        except OSError:
            written.replace(path)


@contextmanager
def _aside(data: bytes, path: Path) -> Iterator[Path]:
    """The bytes in a file beside it, which is gone in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def touch(path: Path) -> bool:
    """Mark it as in use; False where it is gone, or can't be marked."""
    try:
        os.utime(path)
    except OSError:
        return False
    return True
