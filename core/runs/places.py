"""Places at the service for all replicas together: an account has as many as it had with one.

Each replica has a row of what it holds for an account. It takes places as it needs them, many at once where many are
needed, and gives back within a second what it no longer needs; whoever waits looks again each second. Where there are
too few, all get the same, and the last one whoever has waited longest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from core.ledger import places as rows
from core.ledger.faults import Conflict, Fenced
from core.ledger.ledger import Ledger
from core.ledger.places import Holding
from core.runs.background import Background
from core.runs.concurrency import ConcurrencyLimit
from core.runs.leases import Leases
from core.service.account import Account

log = logging.getLogger(__name__)


class Places:
    """The limit of each account. `most`: how many places an account has; `interval`: seconds between two looks for
    places that others gave back, which one that is free is kept for as long, for whoever comes next.
    """

    def __init__(self, most: int, ledger: Ledger, leases: Leases, interval: float) -> None:
        self._most = most
        self._ledger = ledger
        self._leases = leases
        self._interval = interval
        self._limits: dict[str, ConcurrencyLimit] = {}
        self._sharing = Background("sharing places with other copies")

    def of(self, account: Account) -> ConcurrencyLimit:
        if account.id not in self._limits:
            self._limits[account.id] = self._made(account)
        return self._limits[account.id]

    def forget(self, account_id: str) -> None:
        """Nobody holds that account any more: what was learned of it goes."""
        limit = self._limits.pop(account_id, None)
        if isinstance(limit, SharedLimit):
            self._sharing.begin(limit.forget())

    async def aclose(self) -> None:
        """Take and give back nothing more; what is held goes with the lease."""
        for limit in self._limits.values():
            if isinstance(limit, SharedLimit):
                limit.closed = True
        await self._sharing.aclose()

    def _made(self, account: Account) -> ConcurrencyLimit:
        # Each copy has a sandbox of its own.
        if self._leases.alone or account.kind == "sandbox":
            return ConcurrencyLimit(self._most)
        return SharedLimit(account.id, self._most, self._ledger, self._leases, self._interval, self._sharing)


class SharedLimit(ConcurrencyLimit):
    """Of one account, shared with other replicas: here at most as many are in as this one holds places."""

    def __init__(
        self,
        account_id: str,
        most: int,
        ledger: Ledger,
        leases: Leases,
        interval: float,
        sharing: Background,
    ) -> None:
        super().__init__(most)
        self.closed = False
        self._account_id = account_id
        self._ledger = ledger
        self._leases = leases
        self._interval = interval
        self._sharing = sharing
        self._held = 0  # as the row says
        self._room = 0
        self._asked = 0  # how many were wanted when last asked for
        self._contested = False  # whether another replica lacked places then
        self._refused = False  # since then
        self._finished = 0  # since then, as far as there is something to learn from it
        self._hurry = asyncio.Event()
        self._settling: asyncio.Task[None] | None = None

    @property
    def room(self) -> int:
        return self._room

    @property
    def _wanted(self) -> int:
        return self._busy + sum(map(len, self._line.values()))

    def leave(self) -> None:
        if self._contested:  # the next one in may be another replica's
            self._room = min(self._room, self._busy - 1)
        super().leave()

    def refused(self) -> None:
        self._refused = True

    def finished(self) -> None:
        self._finished += self._limit < self._most
        self._let_in()

    async def forget(self) -> None:
        """Give up the row, and what was learned."""
        self.closed = True
        await asyncio.to_thread(self._forget)

    def _let_in(self) -> None:
        super()._let_in()
        if self._wanted > self._room == self._asked or (self._contested and self._busy < self._held):
            self._hurry.set()
        if not self.closed and self._unsettled and (self._settling is None or self._settling.done()):
            self._settling = self._sharing.begin(self._settle())

    @property
    def _unsettled(self) -> bool:
        return bool(self._line) or self._busy != self._held or self._refused or self._finished > 0

    async def _settle(self) -> None:
        """Until what is held is what is wanted, and all that was learned is told."""
        while self._unsettled and not self.closed:
            await self._pause()
            if self._unsettled:
                await self._share()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._interval)
        self._hurry.clear()

    async def _share(self) -> None:
        """Ask for what is wanted, and let in as many as there are places for. Meanwhile nobody comes in."""
        self._room, self._asked = 0, self._wanted
        learn = partial(_learned, refused=self._refused, finished=self._finished, most=self._most, busy=self._busy)
        self._refused, self._finished = False, 0
        try:
            ours, share, self._contested = await asyncio.to_thread(self._hold, self._busy, self._wanted, learn)
        except (Conflict, Fenced):  # this replica is thought dead: what it held went with its lease
            self._held = 0
            return
        except Exception as fault:  # in a second it may go better; its text may quote anything
            log.info("places could not be shared: %s", type(fault).__name__)
            self._tell_places()  # why they wait may be another reason by now
            return
        self._limit, self._held = ours.most, ours.held
        self._room = min(ours.held, share)  # what is over ends here, and no other comes in its place
        self._let_in()

    # blocking

    def _hold(
        self, busy: int, wanted: int, learn: Callable[[float, Sequence[Holding]], float]
    ) -> tuple[Holding, int, bool]:
        """What is ours from now on, how much of it is our share, and whether another replica lacks places."""
        replica = str(self._leases.owner)
        with self._ledger.writing(rows.lock(self._account_id)) as connection:
            found = rows.holdings(connection, self._account_id)
            others = [holding for holding in found if holding.replica != replica]
            known = found[0].most if found else float(self._most)
            new = Holding(self._account_id, replica, wanted=0, held=0, turn=0, most=known)
            before = next((holding for holding in found if holding.replica == replica), new)
            now = replace(before, wanted=wanted, most=learn(before.most, others))
            share, theirs = _share(now, others), sum(other.held for other in others)
            held = max(busy, min(share, int(now.most) - theirs))
            last = max((holding.turn for holding in found), default=0)
            now = replace(now, held=held, turn=last + 1 if held > before.held else before.turn)
            rows.hold(connection, now, others)
        return now, share, any(other.wanted > other.held for other in others)

    def _forget(self) -> None:
        with self._ledger.writing(rows.lock(self._account_id)) as connection:
            rows.forget(connection, self._account_id, self._leases.owner)


def _learned(known: float, others: Sequence[Holding], *, refused: bool, finished: int, most: int, busy: int) -> float:
    """How many places there are: after a 429 as many as are taken, and after a round of successes one more."""
    for _ in range(finished):
        known = min(float(most), known + 1 / int(known))
    taken = busy + sum(other.held for other in others)
    return max(1.0, min(known, taken)) if refused else known


def _share(ours: Holding, others: Sequence[Holding]) -> int:
    """How many of all places are ours, where each gets as many as every other, or as it wants."""
    all_of_them, places = [ours, *others], int(ours.most)

    def given(level: int) -> int:
        return sum(min(holding.wanted, level) for holding in all_of_them)

    level = max(level for level in range(places + 1) if given(level) <= places)
    waiting = sorted((holding for holding in all_of_them if holding.wanted > level), key=lambda holding: holding.turn)
    return min(ours.wanted, level) + (ours in waiting[: places - given(level)])
