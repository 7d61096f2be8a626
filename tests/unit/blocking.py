"""Finds what blocks the event loop: a coroutine of ours that touches the disk or the database without a thread.

A test that only awaits sees nothing of it; on a page, everybody waits while one visitor's file is read.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import sqlalchemy as sa

HOME = Path(__file__).resolve().parents[2]
OURS = tuple(str(HOME / top) for top in ("app.py", "core/", "sandbox/", "ui/"))
ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
TOUCHES = frozenset(
    [
        "open",
        "os.listdir",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.utime",
        "sqlite3.connect",
    ]
)


class Watch:
    """`found` holds a line for each coroutine that blocked, and for what it did."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def begin(self) -> None:
        """From now on in this process, which has no way back from it."""
        sys.addaudithook(self._on_audit)
        sa.event.listen(sa.Engine, "before_cursor_execute", self._on_query)
        os.stat = self._noting(os.stat)  # the one of these that tells no auditor

    def _on_audit(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if event in TOUCHES:
            self._note(event)

    def _on_query(self, *_arguments: Any) -> None:
        self._note("the database")

    def _noting(self, plain: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def stat(*arguments: Any, **named: Any) -> os.stat_result:
            self._note("os.stat")
            return plain(*arguments, **named)

        return stat

    def _note(self, what: str) -> None:
        if asyncio._get_running_loop() is not None and (name := _on_the_loop(sys._getframe(2))):
            self.found.add(f"{name}: {what}")


def _on_the_loop(frame: FrameType | None) -> str | None:
    """The coroutine that the frame runs in, if it is one of ours; what a test does on its loop is its own affair."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib"):
            return None  # a late import, once in a process
        if code.co_flags & ASYNC:
            ours = code.co_filename.startswith(OURS)
            return f"{Path(code.co_filename).relative_to(HOME)} {code.co_qualname}" if ours else None
        frame = frame.f_back
    return None
