"""Files of pictures on the disk: whole or not there, and marked as in use for whoever clears up by age. Blocking."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(data: bytes, path: Path) -> None:
    """Write under another name first, so that whoever finds `path` finds all of it.

    Raises:
        OSError: the disk is full, or can't be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def touch(path: Path) -> bool:
    """Mark it as in use; False where it is gone, or can't be marked."""
    try:
        os.utime(path)
    except OSError:
        return False
    return True
