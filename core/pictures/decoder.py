"""Pictures are opened where that can be ended: in processes of their own, with a limit of seconds and of memory."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import KontextError, ReferenceRejected, ServiceBroken, ServiceError
from core.pictures.blind import Unopenable
from core.pictures.output import Picture
from core.pictures.reference import Reference

QUICK_SECONDS = 2.0  # an ordinary photograph takes an eighth of it
SECONDS = 20.0  # 80 megapixels in the slowest of formats take a fifth of it
MEMORY = 2 * 2**30  # bytes of address space; 80 megapixels take up to 1.4 GB
WORKERS = 2
MOST_SLOW = 4  # pictures that may be waiting for the one worker that has time

log = logging.getLogger(__name__)

_HOME = Path(__file__).resolve().parents[2]
# What a Python needs to start, by how its name begins. The rest, with the host's key in it, is not handed on.
_ENVIRONMENT = ("PATH", "PYTHON", "LD_", "DYLD_", "SYSTEMROOT", "LANG", "LC_")
_BUSY = "Other large pictures are being opened right now."
_NO_PROCESS = "The app's computer is too busy to open pictures just now."
_ANEW = "Save it again as a JPEG and add that one."
_SOON = "Try again in a minute."


class Decoder:
    """What opens every picture that comes from outside: one of a few processes, kept warm, begun at the first picture.

    `quick` and `seconds`: who will take longer than the first, by its header or by the clock, makes way for others and
    has its turn in a line of its own; who takes longer than the second is refused. `memory` in bytes, for each process.
    """

    def __init__(self, *, quick: float = QUICK_SECONDS, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._quick = _Lane(WORKERS, quick, memory)
        self._slow = _Lane(1, seconds, memory)

    async def prepare(self, source: Path, number: int, folder: Path) -> Reference:
        """`core.pictures.reference.prepare` of a file.

        Raises:
            ReferenceRejected: the picture can't be used, takes too long or too much memory.
            KontextError: it can't be written, or there is no room for large ones just now.
        """
        try:
            answer = await self._do(_preparing(source, number, folder), most_slow=MOST_SLOW)
        except _TooSlow:
            raise ReferenceRejected(number, "takes too long to open.", _ANEW) from None
        except _Died:
            raise ReferenceRejected(number, "can't be opened.", _ANEW) from None
        if "rejected" in answer:
            raise ReferenceRejected(number, *answer["rejected"])
        if "failed" in answer:
            raise KontextError(*answer["failed"])
        path, *rest = answer["prepared"]
        return Reference(Path(path), *rest)

    async def open(self, data: bytes) -> Picture:
        """`core.pictures.output.open_picture`.

        Raises:
            ServiceBroken: it is no whole picture.
            ServiceError: it takes too long or too much to open; fetched anew, it would again.
        """
        try:
            answer = await self._do({"do": "open"}, data)
        except (_TooSlow, _Died):
            happened = "The picture that came from the service takes too much time or memory to open."
            raise ServiceError(happened, "Try again.", charged="yes") from None
        if "failed" in answer:
            raise ServiceBroken(*answer["failed"], charged="yes")
        return Picture(data, *answer["opened"])

    async def make_alike(self, sources: Sequence[Path], targets: Sequence[Path]) -> None:
        """`core.pictures.blind.make_alike`.

        Raises:
            Unopenable: a picture is gone or damaged, or takes too long.
            KontextError: the disk can't be written to.
        """
        job = {"do": "alike", "sources": _absolute(sources), "targets": _absolute(targets)}
        try:
            answer = await self._do(job)
        except (_TooSlow, _Died):
            raise Unopenable("A picture of this trial takes too long to open.", "Make it again.") from None
        if "unopenable" in answer:
            raise Unopenable(*answer["unopenable"])
        if "failed" in answer:
            raise KontextError(*answer["failed"])

    def warm(self) -> None:
        """Start what an ordinary picture needs, so that the first one need not wait. Blocking."""
        self._quick.warm()

    def close(self) -> None:
        """End every process, whatever it is at."""
        self._quick.close()
        self._slow.close()

    async def _do(self, job: dict[str, Any], data: bytes = b"", *, most_slow: int | None = None) -> dict[str, Any]:
        job = {**job, "size": len(data)}
        try:
            answer = await self._quick.do({**job, "quick": True}, data)
            if "large" not in answer:
                return answer
        except _TooSlow:
            pass
        except OSError:
            raise KontextError(_NO_PROCESS, _SOON) from None
        if most_slow is not None and self._slow.waiting >= most_slow:
            raise KontextError(_BUSY, _SOON)
        return await self._slow.do(job, data)


def _preparing(source: Path, number: int, folder: Path) -> dict[str, Any]:
    return {"do": "prepare", "source": str(source.absolute()), "number": number, "folder": str(folder.absolute())}


def _absolute(paths: Sequence[Path]) -> list[str]:
    return [str(path.absolute()) for path in paths]


class _TooSlow(Exception):
    """The time was up."""


class _Died(Exception):
    """The process ended in the middle of a picture: by its system, or by what the picture did to a decoder."""


def _closing() -> KontextError:
    return KontextError("The app is closing.", "Open it again in a moment.")


class _Lane:
    """Processes of one limit of seconds, and a thread to wait for each."""

    def __init__(self, workers: int, seconds: float, memory: int) -> None:
        self.waiting = 0  # jobs that are here, the ones under way among them
        self._seconds = seconds
        self._memory = memory
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="decode")
        self._workers = workers
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    async def do(self, job: dict[str, Any], data: bytes) -> dict[str, Any]:
        if self._closed:
            raise _closing()
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, job, data)
        finally:
            self.waiting -= 1

    def warm(self) -> None:
        for worker in [self._take() for _ in range(self._workers)]:
            worker.get_ready()
            self._give_back(worker)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            workers, self._all = self._all, set()
        for worker in workers:
            worker.end()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, job: dict[str, Any], data: bytes) -> dict[str, Any]:
        worker = self._take()
        try:
            return worker.ask(job, data, self._seconds)
        finally:
            self._give_back(worker)

    def _take(self) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._all.discard(worker)
                worker.end()
            if self._closed:
                raise _closing()
            worker = _Worker(self._seconds, self._memory)
            self._all.add(worker)
            return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if worker.alive and not self._closed:
                self._idle.append(worker)
                return
            self._all.discard(worker)
        worker.end()


class _Worker:
    """One process, asked by one thread at a time."""

    def __init__(self, seconds: float, memory: int) -> None:
        command = [sys.executable, "-m", "core.pictures.worker", str(seconds), str(memory)]
        handed = {name: value for name, value in os.environ.items() if name.upper().startswith(_ENVIRONMENT)}
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and two numbers of ours
            command,
            cwd=_HOME,
            env=handed,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a terminal sends Ctrl+C to all of its own, and the app may still need it
        )
        self._late = False
        self._ready = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, job: dict[str, Any], data: bytes, seconds: float) -> dict[str, Any]:
        """The answer to a job, or _TooSlow or _Died; after either this worker is of no use any more."""
        self.get_ready()
        timer = threading.Timer(seconds, self._time_is_up)
        timer.daemon = True
        timer.start()
        try:
            line = self._exchange(json.dumps(job).encode() + b"\n" + data)
        finally:
            timer.cancel()
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.end()
        if self._late:
            raise _TooSlow
        log.warning("a process that opens pictures ended with %s", self._process.returncode)
        raise _Died

    def get_ready(self) -> None:
        """Wait for its start to be over; a start that fails is found out by whoever asks."""
        if not self._ready:
            assert self._process.stdout
            self._process.stdout.readline()
            self._ready = True

    def _exchange(self, sent: bytes) -> bytes:
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(sent)
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except (OSError, ValueError):  # it ended, or was ended, before it had read all
            return b""

    def _time_is_up(self) -> None:
        self._late = True
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):  # what it had not read yet can't be written any more
                    pipe.close()
