"""Where pages are read: in a few threads of their own, so that whoever writes never waits behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

T = TypeVar("T")

THREADS = 4  # fewer than the ledger has connections: some are always left to write with


class Readers:
    """Reads of the disk and of the ledger that a person waits for and no run does."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="read")

    async def __call__(self, work: Callable[..., T], *arguments: object) -> T:
        """What that gives back, worked out off the event loop."""
        inside = partial(copy_context().run, work, *arguments)  # as asyncio.to_thread does
        return await asyncio.get_running_loop().run_in_executor(self._threads, inside)

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
