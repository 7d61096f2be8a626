"""What the disk under a folder can be trusted with, as far as the system tells."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/mounts")

# A flush may return before anything is safe there, locks may hold for one mount alone, and shared memory may not work.
_REMOTE = re.compile(
    r"fuse|fuseblk|fuse\..+|nfs\d*|cifs|smb\d*|smbfs|9p|virtiofs|afs|ceph|glusterfs|lustre|beegfs|gpfs|ocfs2|gfs2|vboxsf"
)


def mounts() -> str:
    """What is mounted where, as Linux tells it; "" where nothing does."""
    try:
        return MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def file_system(folder: Path, mounted: str) -> str:
    """The kind of file system that the folder lies on, such as "ext4"; "" where that is not told."""
    path, best, kind = folder.resolve(), Path(), ""
    for line in mounted.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescaped(fields[1]))
        # The last of those mounted on one point is the one that is seen.
        if path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, fields[2]
    return kind


def is_remote(kind: str) -> bool:
    """Whether it is a network's, or a program's in place of a disk."""
    return _REMOTE.fullmatch(kind) is not None


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
