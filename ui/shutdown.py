"""How the process ends: the first signal closes it in order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradio import Blocks

    from core.backend import Backend

STREAMS = 3  # seconds that open streams get to end by themselves; then they are cut
LOOK = 0.5  # seconds; on Windows a wait without an end hears no Ctrl+C

CLOSING = (
    "Closing once the requests already sent are answered. Press Ctrl+C, or send the signal, once more to quit now."
)


class Signals:
    """Listens for the two signals that end a process, also as PID 1, where the kernel ignores what nobody handles."""

    def __init__(self) -> None:
        self._heard = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)

    def wait(self) -> None:
        """Until the first of them."""
        while not self._heard.wait(LOOK):
            pass

    def _hear(self, number: int, _frame: object) -> None:
        if self._heard.is_set():
            os._exit(128 + number)
        self._heard.set()


def close(page: Blocks, backend: Backend, loop: asyncio.AbstractEventLoop) -> None:
    """Close a page that serves on that loop; its lifespan closes the rest."""
    # While it still serves, so that whoever asks for a run is told why there is none.
    asyncio.run_coroutine_threadsafe(backend.drain(), loop).result()
    page.app.stop_event.set()
    page.server.close()  # type: ignore[no-untyped-call]  # Gradio says nothing of its types here
    page.server.thread.join()  # it was given five seconds, and the ledger may need longer
