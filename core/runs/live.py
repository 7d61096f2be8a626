"""A run that goes on just now: where it stands, who watches, and whether it shall stop."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar

from core.ledger.record import Entry, Record, snapshot
from core.ledger.run import Facts, Run, State
from core.runs.polling import Expectation
from core.runs.runtime import Runtime
from core.service.account import Account

T = TypeVar("T")

_ORDER: tuple[State, ...] = ("preparing", "uploading", "submitting", "waiting", "downloading")


class Stopped(Exception):
    """The person stopped waiting. The run's own affair: nobody outside of it sees this."""


class LiveRun:
    """One run between press and end. All of it happens on one event loop; nobody waits for it beyond `deadline`."""

    def __init__(self, record: Record, account: Account, runtime: Runtime) -> None:
        self.record = record
        self.account = account
        self.deadline = runtime.clock() + runtime.timeouts.run
        self.expectation: Expectation | None = None
        self.unwritten = False  # its end could not be recorded
        self.task: asyncio.Task[None] | None = None
        self._clock = runtime.clock
        self._stages: dict[int, State] = {}
        self._notices: dict[int, str] = {}
        self._stage: State = "preparing"
        self._changed = asyncio.Event()
        self._calls: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._stopping = asyncio.Event()
        self._left = False
        self.lost = False  # to another replica

    # where it stands

    @property
    def facts(self) -> Facts:
        return self.record.facts

    @property
    def predictions(self) -> tuple[LivePrediction, ...]:
        """Those that have not settled yet, in order."""
        return tuple(LivePrediction(self, entry.number) for entry in self.record.current if not entry.settled)

    def entry(self, number: int) -> Entry:
        """The latest attempt of that number."""
        return next(entry for entry in self.record.current if entry.number == number)

    def put(self, *entries: Entry) -> None:
        for entry in entries:
            self.record = self.record.with_entry(entry)
        self._touch()

    def rewrite(self, record: Record) -> None:
        self.record = record
        self._touch()

    def at(self, state: State, number: int | None = None) -> None:
        """The run, or one prediction of it, has come to this step."""
        if number is None:
            self._stage = state
        else:
            self._stages[number] = state
        self._touch()

    def over(self, number: int) -> None:
        """That prediction is done: it no longer says where the run stands."""
        self._stages.pop(number, None)
        self.tell(number, "")

    def tell(self, number: int, notice: str) -> None:
        """Say in a sentence why a prediction waits just now; "" once it goes on."""
        if self._notices.get(number, "") != notice:
            self._notices[number] = notice
            self._touch()

    def snapshot(self) -> Run:
        done = self.record.finished
        stage = min(self._stages.values(), key=_ORDER.index, default=self._stage)
        return snapshot(
            self.record,
            self._clock(),
            state=None if done else stage,
            notice="" if done else self._notice(),
            expected_seconds=None if self.expectation is None else self.expectation.median,
        )

    def _notice(self) -> str:
        return next((self._notices[number] for number in sorted(self._notices) if self._notices[number]), "")

    # who watches

    async def watch(self) -> AsyncIterator[Run]:
        """The run as it stands, then each change; ends after the finished one, or when the app leaves it."""
        shown: Run | None = None
        while True:
            run, changed = self.snapshot(), self._changed
            if shown is None or replace(run, seconds=shown.seconds) != shown:
                shown = run
                yield run
            if run.finished or self._left:
                return
            await changed.wait()

    def leave(self) -> None:
        """The app closes: whoever watches is let go."""
        self._left = True
        self._touch()

    def lose(self) -> None:
        """It is another replica's: nothing more is done for it here, and whoever watches looks there."""
        self.lost = True
        if self.task is not None:
            self.task.cancel()
        self.leave()

    def _touch(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # whether the service calls

    def call(self, number: int) -> None:
        """The service has something to say of that prediction: whoever waits for it need not wait any longer."""
        self._calls[number].set()

    def call_all(self) -> None:
        """It may have something to say of any."""
        for call in self._calls.values():
            call.set()

    async def rest(self, number: int, sleeping: Awaitable[None]) -> bool:
        """Wait for that, or no longer than until the service calls about this prediction; says whether it has.

        Raises:
            Stopped: the person stopped waiting.
        """
        call = self._calls[number]
        waiting = {asyncio.ensure_future(sleeping), asyncio.ensure_future(call.wait())}
        try:
            await self.unless_stopped(asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))
            return call.is_set()
        finally:
            call.clear()
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    # whether it shall stop

    def stop(self) -> None:
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def unless_stopped(self, going: Awaitable[T]) -> T:
        """Wait for it, or no longer than the person wants to.

        Raises:
            Stopped: and what was waited for is cancelled. Never to be used around a submit.
        """
        work = asyncio.ensure_future(going)
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise Stopped
        finally:
            stop.cancel()
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)


@dataclass(frozen=True)
class LivePrediction:
    """One prediction of a live run: what every step on its way works with."""

    run: LiveRun
    number: int

    @property
    def entry(self) -> Entry:
        """Its latest attempt."""
        return self.run.entry(self.number)

    @property
    def account(self) -> Account:
        return self.run.account

    def at(self, state: State) -> None:
        """It has come to this step."""
        self.run.at(state, self.number)

    def tell(self, notice: str) -> None:
        """Say in a sentence why it waits just now; "" once it goes on."""
        self.run.tell(self.number, notice)

    async def rest(self, sleeping: Awaitable[None]) -> bool:
        """As `LiveRun.rest`."""
        if self.entry.callback is None:
            await self.unless_stopped(sleeping)
            return False
        return await self.run.rest(self.number, sleeping)

    async def unless_stopped(self, going: Awaitable[T]) -> T:
        """As `LiveRun.unless_stopped`."""
        return await self.run.unless_stopped(going)
