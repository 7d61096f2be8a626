"""What runs take from the world around them: the time, a way to sleep, randomness, and how long they wait for what."""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Timeouts:
    """`run`: from the press, or from being resumed, to giving up. `search`: how long a submit that was never answered
    may take to show up in the history. `answer`: how long after a submit its answer may still come, to whichever
    replica. `unknown`: how long after the submit "not found" may mean "not yet". `fetch`:
    how long a line that is down may keep a finished picture from here.

    `quote`: seconds that a run which must not go without a quote waits for it, all of its tries together.
    `optional_wait`: seconds that a quote may hold a run up where it is useful but not needed, `bill`: that a billing
    record may do so, which is asked for beside the downloads and again later.
    `shutdown_grace`: seconds that submits under way get to hear their answer when the app closes. `places`: seconds
    between two looks for places at the service that other replicas have given back. All five in real time.
    """

    run: timedelta = timedelta(minutes=30)
    search: timedelta = timedelta(minutes=2)
    answer: timedelta = timedelta(minutes=3)
    unknown: timedelta = timedelta(minutes=1)
    fetch: timedelta = timedelta(minutes=30)
    quote: float = 20.0
    optional_wait: float = 1.0
    bill: float = 0.0
    shutdown_grace: float = 30.0
    places: float = 1.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Runtime:
    """One value in everybody's hand, so that a test need not wait at all. `clock` tells UTC, `sleep` takes seconds."""

    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: randomness.Random = field(default_factory=randomness.Random)  # spreads retries, guards nothing
    timeouts: Timeouts = Timeouts()
