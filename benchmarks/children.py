"""Processes that a benchmark starts beside itself, so that what is measured has its Python to itself.

A child prints one line of JSON once it is ready, answers each line it reads with another, and ends when its input
does: whatever becomes of the parent, nothing is left running.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
TIMEOUT = 20  # seconds for a child to end by itself

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100  # a second of processor, as /proc counts it


class Child:
    """`script` with its arguments, running; `about` is what it said of itself."""

    def __init__(self, script: str, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, str(HERE / script), *map(str, arguments)]
        environment = {**os.environ, **(environment or {})}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.about: dict[str, Any] = self._line()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.about['port']}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self) -> dict[str, Any]:
        """What it has counted since it was last asked."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._line()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            with contextlib.suppress(ValueError):  # a library may have something to say first
                if isinstance(said := json.loads(line), dict):
                    return said
        sys.exit(f"{self._process.args[1]} ended before its time.")  # type: ignore[index]


def attend(about: Mapping[str, Any], answer: Callable[[], Mapping[str, Any]], end: Callable[[], None]) -> None:
    """In a child: say that it is ready, answer from a thread of its own, and `end` when the parent has gone."""

    def listen() -> None:
        for _ in sys.stdin:
            print(json.dumps(answer()), flush=True)
        end()

    print(json.dumps(about), flush=True)
    threading.Thread(target=listen, daemon=True).start()


def processor(pid: int) -> tuple[float, float]:
    """Seconds of processor, user and system, that a process has taken, and all that it has started; nan where the
    system does not tell.
    """
    if not Path("/proc/self/stat").exists():
        return float("nan"), float("nan")
    told = dict(filter(None, map(_told, Path("/proc").glob("[0-9]*/stat"))))
    family = {pid}
    while more := {child for child, (parent, *_) in told.items() if parent in family} - family:
        family |= more
    own, gone = told[pid][1:]
    return own / TICKS, (gone + sum(sum(told[child][1:]) for child in family - {pid})) / TICKS


def _told(stat: Path) -> tuple[int, tuple[int, int, int]] | None:
    """Of one process: its parent, the ticks that it has taken, and those that its ended children had."""
    with contextlib.suppress(OSError):  # it has ended meanwhile
        fields = stat.read_text().rpartition(")")[2].split()
        user, system, *gone = map(int, fields[11:15])
        return int(stat.parent.name), (int(fields[1]), user + system, sum(gone))
    return None
