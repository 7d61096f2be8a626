"""How much of the disk the app takes, and what goes first when it is more. Each limit stands here, once.

What was paid for is never touched, nor is what runs, nor what a draft may rest on: a run keeps files of its own.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from core.errors import KontextError
from core.ledger.ledger import Ledger
from core.pictures import reference, served
from core.runs import files
from core.runs.background import Background, repeat
from core.runs.runs import Runs
from core.settings import Settings
from core.trials.life import Trials
from core.trials.trial import folder_of

MB = 10**6
UPLOAD_MB = 330  # one request: five pictures of the largest size, and what is around them
MADE_OF_UPLOAD = 1 * MB  # what is kept of an upload once it is prepared

MADE_OF_RUN = 4 * MB  # what is counted for a run until the folder is looked at again

KEPT = 24 * 3600  # seconds since its last use that a file stays; a copy to show is made anew when it is asked for
DRAFT = 3600  # seconds that what somebody may be working with is safe, however full it is
ARRIVING = 120  # the same for an upload until it is prepared: what somebody fills the folder with is soon gone
INTERVAL = 3600  # seconds between sweeps
RUNS_BETWEEN = 25  # runs between sweeps
RETRY_INTERVAL = 10.0  # seconds from finding no room to looking for it again

TEMPORARY = "temporary"
_FOLDERS = (served.FOLDER, TEMPORARY, reference.FOLDER)
# All else is an upload, or was left over.
_WORKED_WITH = (
    (reference.FOLDER,),
    (served.FOLDER, "cards"),
    (served.FOLDER, "runs"),
)

FULL = "There's no room for more pictures right now, so this one wasn't added."
LATER = "Try again in a few minutes."
NO_ROOM = "There's no room for new pictures here right now, so this was not sent."
ASK = "Delete runs that you no longer need, or try again later."

Arrived = Callable[[int], None]


@dataclass(frozen=True)
class Limits:
    """Bytes for files that are not part of a run, and for practice runs; and how long those are kept.

    `total`: bytes of the whole data folder, None: as many as there are. `favourites`: whether a practice run that is
    one is kept whatever its age and the room that it takes. Where anybody may mark any number of them, they are only
    kept longest.
    """

    files: int
    practice: int
    practice_age: timedelta
    favourites: bool = True
    total: int | None = None


AT_HOME = Limits(files=4000 * MB, practice=500 * MB, practice_age=timedelta(days=30))
HOSTED = Limits(files=1000 * MB, practice=200 * MB, practice_age=timedelta(days=7), favourites=False)


def limits(settings: Settings) -> Limits:
    """Those of a copy with these settings."""
    usual, total = HOSTED if settings.hosted else AT_HOME, settings.max_storage
    files = usual.files if total is None else min(usual.files, total)
    return replace(usual, files=files, total=total, practice_age=settings.keep or usual.practice_age)


class Storage:
    """Sweeps a data folder: each hour, after so many runs, and where a limit is reached. `clock`: epoch seconds."""

    def __init__(
        self, ledger: Ledger, runs: Runs, trials: Trials, limits: Limits, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._home = ledger.home
        self._ledger = ledger
        self._runs = runs
        self._trials = trials
        self.limits = limits
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._size = limits.files  # bytes of `Limits.files` as far as known: before the first look, all of them
        self._arriving = 0
        self._full_at = -math.inf
        self._full_for = 0  # bytes that there was no room for then
        self._since = 0  # runs since the last sweep
        self._total = math.inf  # bytes of the whole folder as far as known
        self._one_looks = asyncio.Lock()
        self._over_at = -math.inf
        self._sweeping = Background("a sweep")

    async def sweep(self, *, everything: bool = False) -> None:
        """Remove what is too old, then the oldest of what is too much; `everything` that nobody may be working with."""
        self._since = 0
        await self._sweep_files(0 if everything else self.limits.files)
        async with self._one_at_a_time:
            await self._sweep_practice(0 if everything else self.limits.practice)

    async def hourly(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Sweep for as long as the app serves."""
        await repeat("a sweep", self.sweep, INTERVAL, sleep)

    @asynccontextmanager
    async def room_for(self, size: int) -> AsyncIterator[Arrived]:
        """Room for an upload of so many bytes; tell what is given of each part that comes in.

        Only what has come takes room: an upload that is announced and never sent keeps nobody else out.

        Raises:
            KontextError: there is none, even without what nobody uses; from either.
        """
        await self._find_room(size + MADE_OF_UPLOAD)
        come = 0

        def arrived(size: int) -> None:
            nonlocal come
            come += size
            self._arriving += size
            if self._size + self._arriving > self.limits.files:
                raise KontextError(FULL, LATER)

        try:
            yield arrived
        finally:
            self._arriving -= come
            self._size += come + MADE_OF_UPLOAD

    async def _find_room(self, size: int) -> None:
        # A look at the whole folder is not to be had for each request; one that asks for less may find room.
        if size >= self._full_for and self._clock() - self._full_at < RETRY_INTERVAL:
            raise KontextError(FULL, LATER)
        if self._size + self._arriving + size > self.limits.files:
            await self._sweep_files(self.limits.files - self._arriving - size)
        await self.make_room()
        too_much = self._size + self._arriving + size > self.limits.files
        if too_much or not await asyncio.to_thread(self._ledger.has_room, self._arriving + size):
            self._full_at, self._full_for = self._clock(), size
            raise KontextError(FULL, LATER)

    async def make_room(self) -> None:
        """Where the disk is nearly full, give up everything that nobody may be working with."""
        if not await asyncio.to_thread(self._ledger.has_room):
            await self.sweep(everything=True)

    async def before_run(self) -> None:
        """Make room for a run; now and then the sweep comes in between, and the run does not wait for it.

        Raises:
            KontextError: the folder has its limit, even without all that may go.
        """
        self._since += 1
        await self.make_room()
        await self._keep_within()
        if self._since >= RUNS_BETWEEN and not self._sweeping:
            self._sweeping.begin(self.sweep())

    async def _keep_within(self) -> None:
        """Where the folder would pass its limit, the oldest practice runs go, then uploads that nobody works with."""
        most = self.limits.total
        if most is None:
            return
        self._total += MADE_OF_RUN
        async with self._one_looks:
            if self._total <= most:
                return
            if self._clock() - self._over_at < RETRY_INTERVAL:
                raise KontextError(NO_ROOM, ASK)
            for make_room in (None, self._sweep_oldest_practice, partial(self._sweep_files, 0)):
                if make_room is not None:
                    await make_room()
                self._total = await asyncio.to_thread(total_of, self._home) + MADE_OF_RUN
                if self._total <= most:
                    return
            self._over_at = self._clock()
            raise KontextError(NO_ROOM, ASK)

    async def _sweep_oldest_practice(self) -> None:
        async with self._one_at_a_time:
            await self._sweep_practice(self.limits.practice, less=self._total - (self.limits.total or 0))

    async def aclose(self) -> None:
        """Give up a sweep that is under way."""
        await self._sweeping.aclose()

    async def _sweep_files(self, most: int) -> None:
        async with self._one_at_a_time:
            self._size = await asyncio.to_thread(clear, self._home, most, self._clock())

    async def _sweep_practice(self, most: float, less: float = 0) -> None:
        """Remove the oldest until `most` bytes are left, and so many less than there were."""
        free = sorted([*await self._free_runs(), *await self._free_trials()], key=lambda one: (one.favourite, one.used))
        sizes = await asyncio.to_thread(lambda: [sum(map(_size_of, one.folders)) for one in free])
        total = sum(sizes)
        most = min(most, total - less)
        oldest = datetime.fromtimestamp(self._clock(), UTC) - self.limits.practice_age
        for one, size in zip(free, sizes, strict=True):
            if total <= most and (one.favourite or one.used >= oldest):
                return
            with suppress(KontextError):  # it goes on meanwhile, or the app closes
                await one.delete()
                total -= size

    async def _free_runs(self) -> list[_Free]:
        ended = await asyncio.to_thread(self._ledger.ended_practice)
        return [
            _Free(
                [files.folder_of(self._home, run.id)],
                run.created_at,
                run.favourite,
                partial(self._runs.delete, run.visitor, run.id),
            )
            for run in ended
            if not (run.favourite and self.limits.favourites)
        ]

    async def _free_trials(self) -> list[_Free]:
        safe = datetime.fromtimestamp(self._clock() - DRAFT, UTC)
        found = [
            _Free(
                [folder_of(self._home, one.trial.id), *(files.folder_of(self._home, id) for id in one.run_ids)],
                one.used,
                False,
                partial(self._trials.delete, one.trial.visitor, one.trial.id),
            )
            for one in await self._trials.unpaid()
        ]
        return [one for one in found if one.used < safe]


@dataclass(frozen=True)
class _Free:
    """What nothing was paid for: a practice run, or a trial that is a draft or for practice. `used`: last touched."""

    folders: list[Path]
    used: datetime
    favourite: bool
    delete: Callable[[], Awaitable[None]]


@dataclass
class _Held:
    """One content on the disk under all of its names here. `used`: epoch seconds of its last use."""

    paths: list[Path]
    size: int
    used: float
    names: int  # wherever they are
    worked_with: bool

    @property
    def safe(self) -> float:
        return DRAFT if self.worked_with else ARRIVING

    @property
    def weight(self) -> int:
        """Bytes that are free without it; a run that has a name of its own for it keeps them."""
        return self.size if len(self.paths) >= self.names else 0


def clear(home: Path, most: int, now: float) -> int:
    """Remove files that are too old, then the oldest until `most` bytes are left; gives how many are. Blocking.

    Uploads go before what was made of them. What is younger than `DRAFT`, an upload than `ARRIVING`, stays.
    """
    held = _held(home)
    total = sum(each.weight for each in held)
    for each in sorted(held, key=lambda each: (each.worked_with, each.used)):
        age = now - each.used
        if age > KEPT or (total > most and age > each.safe):
            _remove(each.paths)
            total -= each.weight
    return total


def total_of(home: Path) -> int:
    """Bytes on the disk, each content once under however many names. Blocking."""
    found = {(stat.st_dev, stat.st_ino or hash(path)): _on_disk(stat) for path, stat in _walk(home)}
    return sum(found.values())


def _on_disk(stat: os.stat_result) -> int:
    # Blocks of the disk are what is full in the end: a million files of one byte take 4 GB.
    return -(-stat.st_size // 4096) * 4096


def _held(home: Path) -> list[_Held]:
    found: dict[tuple[int, int], _Held] = {}
    for folder in _FOLDERS:
        for path, stat in _walk(home / folder):
            place = path.relative_to(home).parts
            worked_with = any(place[: len(known)] == known for known in _WORKED_WITH)
            each = found.setdefault(
                (stat.st_dev, stat.st_ino or hash(path)),
                _Held([], _on_disk(stat), stat.st_mtime, stat.st_nlink, False),
            )
            each.paths.append(path)
            each.worked_with |= worked_with
    return list(found.values())


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path, _, names in os.walk(folder):
        for name in names:
            file = Path(path, name)
            with suppress(OSError):  # somebody else took it away: gone is gone
                yield file, file.lstat()


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
        with suppress(OSError):  # anything else in there keeps it
            if path.parent.name not in _FOLDERS:
                path.parent.rmdir()


def sizes(home: Path) -> dict[str, int]:
    """Bytes of a data folder by what they are for: records, runs, trials, and files that go by themselves. Blocking."""
    found = {
        "records": sum(stat.st_size for path, stat in _walk(home) if path.parent == home),
        "runs": _size_of(files.folder_of(home, "_").parent),
        "trials": _size_of(folder_of(home, "_").parent),
    }
    return found | {"files": sum(_size_of(home / folder) for folder in _FOLDERS)}


def _size_of(folder: Path) -> int:
    return sum(stat.st_size for _, stat in _walk(folder))
