"""What happens to runs on other replicas: whoever waits for it is woken."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager

from core.errors import LedgerError
from core.ledger.ledger import Ledger
from core.ledger.news import ASKED

LOOK_INTERVAL = 5.0  # seconds between two looks at what nothing is heard of
PAUSES = (0.5, 1.0, 2.0, 5.0)  # seconds before listening again, where the line broke; the last one is repeated

log = logging.getLogger(__name__)


class News:
    """Holds who waits for which run. All of it happens on one event loop."""

    def __init__(self, ledger: Ledger, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._ledger = ledger
        self._sleep = sleep
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def of(self, run_id: str) -> Iterator[asyncio.Event]:
        """Set at each change of the run from now on; whoever waits for the next one clears it first."""
        changed = asyncio.Event()
        self._waiting[run_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[run_id].discard(changed)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    async def wait(self, changed: asyncio.Event) -> None:
        """Until that is set, or it is time to look without having heard anything."""
        waiting = {asyncio.ensure_future(changed.wait()), asyncio.ensure_future(self._sleep(LOOK_INTERVAL))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def touch(self, run_id: str) -> None:
        """The run has changed."""
        for changed in self._waiting.get(run_id, ()):
            changed.set()

    async def keep(self, asked: Callable[[str | None], None]) -> None:
        """Listen for as long as the app serves. `asked` hears of each run of which something is asked elsewhere, and
        None where that may be any.
        """
        tries = 0
        while True:
            try:
                async with aclosing(self._ledger.listen()) as heard:
                    async for news in heard:
                        tries = 0
                        if news is None:
                            self._touch_all()
                            asked(None)
                        elif news.channel == ASKED:
                            asked(news.run_id)
                        else:
                            self.touch(news.run_id)
            except LedgerError as fault:
                log.info("what other copies do is not heard just now: %s", fault.happened)
            await self._sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1

    def _touch_all(self) -> None:
        """Something may have been missed."""
        for run_id in self._waiting:
            self.touch(run_id)
