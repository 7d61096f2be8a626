"""What Gradio remembers of its callers: what somebody has open stays, and the rest has a size and an age.

Any post may name any session, and a caller who never comes for an answer leaves it behind. Only an open stream shows
that somebody is there.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from gradio.queueing import Queue
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache

SESSIONS = 1000  # that nobody has open; the one unused longest goes first
UNFETCHED = 300.0  # seconds that an answer waits for whoever asked
PICKED_UP = 0.005  # seconds in which Gradio's queue sees an event; by itself it looks every millisecond, event or none
NO_PROGRESS = 60.0  # seconds between Gradio's looks for progress that an event has told of; none here does


class Streams:
    """The streams that are open just now, each by the id of a session or of an event."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def open(self, id: str) -> Iterator[None]:
        """Around one stream; an id may have several."""
        self._open[id] += 1
        try:
            yield
        finally:
            self._open[id] -= 1
            if not self._open[id]:
                del self._open[id]

    def __contains__(self, id: object) -> bool:
        return id in self._open


class Presence:
    """Who is there: `pages` are the sessions with a page open, `readers` the sessions and events with a listener."""

    def __init__(self) -> None:
        self.pages = Streams()
        self.readers = Streams()


class Sessions(StateHolder):
    """Gradio's sessions; the ones in `used` are never put out to make room."""

    def __init__(self, used: Container[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._used = used

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)

    def update(self, session_id: str) -> None:
        """It is used: it becomes the newest, and where there are too many the oldest that nobody has open goes."""
        with self.lock:
            self.session_data.move_to_end(session_id)
            if len(self.session_data) > self.capacity:
                spare = (id for id in self.session_data if id != session_id and id not in self._used)
                if (oldest := next(spare, None)) is not None:
                    del self.session_data[oldest]
                    self.time_last_used.pop(oldest, None)


class Session(SessionState):
    """A session without the copy of every component and of all that was ever typed into it, which only deep links need.

    Making that copy takes longer than all else that opening a page does here.
    """

    def __init__(self, blocks: Any) -> None:
        bare: Any = SimpleNamespace(default_config=blocks.default_config, blocks=())
        super().__init__(bare)
        own: Any = self.blocks_config  # a copy for this session
        own.config_for_block = _nothing

    def _update_config(self, key: int) -> None:
        """Keep nothing."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep nothing."""


def _nothing(*_: object) -> dict[str, Any]:
    return {}


class Messages(LRUCache[str, Any]):
    """What the queue has for each session; to make room the oldest goes that nobody reads."""

    def __init__(self, max_size: int, read: Container[str]) -> None:
        super().__init__(max_size)
        self._read = read

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self and len(self) >= self.max_size:
            oldest = next((session for session in self if session not in self._read), None)
            if oldest is not None:
                del self[oldest]
        OrderedDict.__setitem__(self, key, value)

    def __missing__(self, _key: str) -> asyncio.Queue[Any]:
        """What is meant for a session that was put out goes nowhere; a KeyError would end Gradio's queue for all."""
        return asyncio.Queue()


class Unfetched:
    """Answers that nobody came for. `read` are the sessions and events that somebody listens to."""

    def __init__(self, queue: Queue, read: Container[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._read = read
        self._clock = clock
        self._since: dict[str, float] = {}

    def sweep(self) -> None:
        """Drop those that have been ready for UNFETCHED."""
        now = self._clock()
        pending = self._queue.pending_messages_per_session
        ids = self._queue.pending_event_ids_session
        ready = [session for session in {*pending, *ids} if self._is_ready(session, ids.get(session, set()))]
        self._since = {session: self._since.get(session, now) for session in ready}
        for session in [session for session, since in self._since.items() if now - since > UNFETCHED]:
            pending.pop(session, None)
            ids.pop(session, None)

    def _is_ready(self, session: str, events: set[str]) -> bool:
        going = self._queue.event_ids_to_events
        return session not in self._read and not any(event in self._read or event in going for event in events)


def keep_what_is_used(app: App, presence: Presence) -> Unfetched:
    """Put these in the place of Gradio's own, before the app takes its first request."""
    blocks = app.get_blocks()
    app.state_holder = Sessions(presence.pages)
    app.state_holder.set_blocks(blocks)
    queue = blocks._queue
    queue.sleep_when_free = PICKED_UP
    queue.progress_update_sleep_when_free = NO_PROGRESS  # else a hundred times a second, over all that may go on
    queue.pending_messages_per_session = Messages(queue.pending_messages_per_session.max_size, presence.readers)
    return Unfetched(queue, presence.readers)
