"""What the page can fetch by an address, and what takes it away again: a folder for each run, a folder for each card.

An address holds a word that can be neither guessed nor made up, and nothing but this module writes below the two
folders: a card that lies there is a picture that was prepared here and shown to whoever knows it. No name and no hash
opens anything. Everything here blocks.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import shutil
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Lock

from PIL import Image

from core.catalog.limits import PATH_CHARACTERS
from core.pictures import disk
from core.pictures.reference import Reference

FOLDER = "served"
REMEMBERED = 4000  # cards whose hash need not be computed again; a few hundred bytes each

_KEY_BYTES = 32
_WORD = "[0-9a-f]{32}"
_CARD = re.compile(rf"(?:cards|runs/{_WORD})/{_WORD}/reference\.(?:jpg|png)", re.ASCII)


def receipts_of(visitor: str) -> str:
    """Whose the visitor's table of receipts is; it has a line for each run, so it goes with any of them."""
    return f"receipts of {visitor}"


class ServedFiles:
    """The files of one data folder that have an address."""

    def __init__(self, home: Path) -> None:
        self._root = (home / FOLDER).resolve()
        self._key = _key(home)
        self._known: OrderedDict[Path, Reference] = OrderedDict()
        self._knowing = Lock()

    # of a run, or of whatever else goes as a whole

    def show(self, owner: str, file: Path, name: str = "") -> Path | None:
        """Where the page finds the file; the same for as long as the owner is there. None where it is gone.

        `name`: what it is called there, where its own would tell too much.
        """
        place = self._folder(owner) / (name or file.name)
        return place if _linked(file, place) else None

    def put(self, owner: str, name: str, data: bytes, rests_on: Path) -> Path | None:
        """The same for bytes that are made to be downloaded.

        None where what they rest on is gone meanwhile, or the disk can't be written to.
        """
        place = self._folder(owner) / name
        try:
            disk.write(data, place)
        except OSError:
            return None
        return place if _stays(place, rests_on) else None

    def find(self, owner: str, name: str) -> Path | None:
        """What was put there before, if it is still there."""
        place = self._folder(owner) / name
        return place if disk.touch(place) else None

    def forget(self, owner: str) -> None:
        """From now on no address of the owner's answers."""
        shutil.rmtree(self._folder(owner), ignore_errors=True)

    # cards

    def card(self, reference: Reference, owner: str | None = None) -> Reference | None:
        """The reference by an address of its own, which goes with its owner if it has one. None where it is gone."""
        folder = self._folder(owner) if owner else self._root / "cards"
        place = folder / secrets.token_hex(16) / f"reference{reference.path.suffix}"
        if not _linked(reference.path, place):
            return None
        shown = replace(reference, path=place, card=place)
        self._remember(place, shown)
        return shown

    def reference(self, path: object) -> Reference | None:
        """What the card of that path stands for: the bytes that lie there. None for any path but a card's."""
        real = self._real(path)
        if real is None or not disk.touch(real):
            return None
        with suppress(OSError, ValueError):
            return self._recall(real) or self._remember(real, _read(real))
        return None

    def remove_card(self, card: Path) -> None:
        """From now on its address does not answer."""
        if self._real(str(card)):
            shutil.rmtree(card.parent, ignore_errors=True)

    # inside

    def _folder(self, owner: str) -> Path:
        word = hmac.new(self._key, owner.encode(), hashlib.sha256).hexdigest()
        return self._root / "runs" / word[:32]

    def _real(self, path: object) -> Path | None:
        if not isinstance(path, str) or "\0" in path or len(path) > PATH_CHARACTERS:
            return None
        with suppress(OSError, RuntimeError):
            real = Path(path).resolve()
            if real.is_relative_to(self._root) and _CARD.fullmatch(real.relative_to(self._root).as_posix()):
                return real
        return None

    def _recall(self, path: Path) -> Reference | None:
        with self._knowing:
            return self._known.get(path)

    def _remember(self, path: Path, reference: Reference) -> Reference:
        # The path is enough: what lies there never changes.
        with self._knowing:
            self._known[path] = reference
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return reference


def _key(home: Path) -> bytes:
    """Kept on the disk, so that an address is the same at each replica and after a restart, and can be taken away."""
    path, new = home / "addresses.key", secrets.token_bytes(_KEY_BYTES)
    if not path.exists():
        disk.create(new, path)
    if len(path.read_bytes()) != _KEY_BYTES:
        disk.write(new, path)
    return path.read_bytes()


def _read(path: Path) -> Reference:
    data = path.read_bytes()
    with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as picture:
        media_type = "image/png" if path.suffix == ".png" else "image/jpeg"
        return Reference(path, hashlib.sha256(data).hexdigest(), media_type, *picture.size, card=path)


def _linked(source: Path, place: Path) -> bool:
    """Whether the file has this name too; without a second copy of its bytes, where the disk can do that."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, place)
        except FileExistsError:
            pass
        except FileNotFoundError:
            return False
        except OSError:
            disk.write(source.read_bytes(), place)
        return disk.touch(place) and _stays(place, source)
    except OSError:
        return False


def _stays(place: Path, source: Path) -> bool:
    """Whether the source is still there: it may have been deleted, and its addresses with it, a moment ago."""
    if source.exists():
        return True
    place.unlink(missing_ok=True)
    return False
