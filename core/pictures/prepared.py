"""Prepared pictures, remembered by the hash of the file that each was made from."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from weakref import WeakValueDictionary

from core.pictures import disk
from core.pictures.decoder import Decoder
from core.pictures.reference import MAX_BYTES, Reference

REMEMBERED = 2000  # pictures; a few hundred bytes each


class PreparedPictures:
    """The same bytes once more cost one hash, and nothing is opened for them; nor twice for two who ask at once."""

    def __init__(self, decoder: Decoder, folder: Path) -> None:
        self._decoder = decoder
        self._folder = folder
        self._known: OrderedDict[str, Reference] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._hash = lru_cache(REMEMBERED)(_hash)  # an upload is asked for by its card, or by the run, a moment later

    async def knows(self, source: Path) -> bool:
        """Whether nothing need be opened for that file."""
        return await asyncio.to_thread(self._original, source) in self._known

    async def prepare(self, source: Path, number: int) -> Reference:
        """The prepared picture of a file, in the folder. Raises as `Decoder.prepare` does."""
        original = await asyncio.to_thread(self._original, source)
        if original is None:
            return await self._decoder.prepare(source, number, self._folder)
        turn = self._turns.setdefault(original, asyncio.Lock())
        async with turn:
            return await self._once(original, source, number)

    async def _once(self, original: str, source: Path, number: int) -> Reference:
        known = self._known.get(original)
        if known is not None and await asyncio.to_thread(disk.touch, known.path):
            return known
        made = await self._decoder.prepare(source, number, self._folder)
        self._remember(original, made)
        return made

    def _remember(self, original: str, made: Reference) -> None:
        self._known[original] = made
        self._known.move_to_end(original)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _original(self, source: Path) -> str | None:
        """None for what `prepare` refuses before it reads it."""
        try:
            found = source.stat()
            return None if found.st_size > MAX_BYTES else self._hash(source, found.st_ino, found.st_mtime_ns)
        except OSError:
            return None


def _hash(source: Path, _inode: int, _written_ns: int) -> str:
    """Of the file that was written there at that time."""
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
