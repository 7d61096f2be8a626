"""How long a run waits for what, in one place, so that a test need not wait at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Timeouts:
    """`run`: from the press, or from being taken up, to giving up. `search`: how long a submit that was never answered
    may take to show up in the history. `unknown`: how long after the submit "not found" may mean "not yet". `fetch`:
    how long a line that is down may keep a finished picture from here.

    `optional_wait`: seconds that something useful but not needed may hold a run up (quote, billing record).
    `shutdown_grace`: seconds that submits under way get to hear their answer when the app closes. Both in real time.
    """

    run: timedelta = timedelta(minutes=30)
    search: timedelta = timedelta(minutes=2)
    unknown: timedelta = timedelta(minutes=1)
    fetch: timedelta = timedelta(minutes=30)
    optional_wait: float = 1.0
    shutdown_grace: float = 10.0
