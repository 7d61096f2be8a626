"""Presses, faults, crashes and second thoughts in any order: the books agree, and what is shown is whole."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from checks import check_books, check_ends, check_pictures
from databases import empty
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from running import (
    Fault,
    House,
    answer,
    half_a_body,
    half_a_json,
    html_502_after,
    html_502_before,
    lost_after,
    lost_before,
)
from server import Books

from core.ledger.run import Run

MOST_RUNS = 3

T = TypeVar("T")

TRANSIENT = (lost_before, lost_after, html_502_before, html_502_after, half_a_json, answer(429, "wait"))
FAULTS: dict[str, tuple[Fault, ...]] = {
    "submit": (*TRANSIENT, answer(400, "no"), answer(429, "wait", **{"retry-after": "3"}), answer(402, "pay")),
    "result": (*TRANSIENT, answer(500, "oh")),
    "history": TRANSIENT,
    "upload": TRANSIENT,
    "quote": TRANSIENT,
    "billing": (*TRANSIENT, answer(404, "none")),
    "download": (*TRANSIENT, half_a_body, answer(404, "none")),
}
# Words of the sandbox that make a task end badly.
PROMPTS = ["make it red", "make it red", "an owl", "[sandbox:failed]", "[sandbox:moderated]", "[sandbox:flagged]"]
VALUES: dict[str, dict[str, Any]] = {
    "pro": {},
    "max": {},
    "dev": {"size": "256*256"},
    "ultra-fast": {"size": "256*256"},
}


class Life(RuleBasedStateMachine):
    """One application and its service, in a time that passes only where a rule lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="kontext-life-"))
        self.runs: list[Run] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def open(self) -> None:
        self.do(self._open())

    async def _open(self) -> None:
        await asyncio.to_thread(empty)
        self.house = House(self.folder / "data", at_once=3)
        self.house.time.going.clear()

    # what happens

    @rule(variant=st.sampled_from(sorted(VALUES)), pictures=st.integers(1, 2), prompt=st.sampled_from(PROMPTS))
    def press(self, variant: str, pictures: int, prompt: str) -> None:
        if len(self.runs) < MOST_RUNS:
            run = self.do(self.house.press(variant, pictures, prompt, **VALUES[variant]))
            self.runs.append(run)

    @rule(prompt=st.sampled_from(PROMPTS), faults=st.lists(st.sampled_from(FAULTS["submit"]), min_size=1, max_size=3))
    def press_into_faults(self, prompt: str, faults: list[Fault]) -> None:
        """Equal submits without a seed, some of which are answered badly: only the ledger tells them apart."""
        self.house.wire.faults["submit"].extend(faults)
        self.press("max", 2, prompt)
        self.go_on(20)

    @rule(data=st.data(), kind=st.sampled_from(sorted(FAULTS)), times=st.sampled_from([1, 2, 7]))
    def fault(self, data: st.DataObject, kind: str, times: int) -> None:
        """The next requests of that kind go wrong; seven in a row are more than the client repeats."""
        self.house.wire.faults[kind].extend([data.draw(st.sampled_from(FAULTS[kind]))] * times)

    @rule(turns=st.integers(1, 30))
    def go_on(self, turns: int) -> None:
        """Whatever needs no pause goes on a little."""
        self.do(self._turn(turns))

    @rule(turns=st.integers(1, 60))
    def let_time_pass(self, turns: int) -> None:
        self.house.time.going.set()
        self.do(self._turn(turns))
        self.house.time.going.clear()

    async def _turn(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
            await asyncio.to_thread(int)  # so that the threads have their turn as well

    @rule(back=st.booleans())
    def crash(self, back: bool) -> None:
        """The process dies, and starts again; with the key at once, or without it for now."""
        self.do(self.house.kill())
        if back:
            self.resume_all()

    @rule()
    def resume_all(self) -> None:
        self.do(self.house.runs.resume_all(self.house.account))

    @rule(which=st.integers(0, MOST_RUNS - 1))
    def stop_waiting(self, which: int) -> None:
        if which < len(self.runs):
            self.do(self.house.runs.stop_waiting("ann", self.runs[which].id))
            self.go_on(3)

    @rule(which=st.integers(0, MOST_RUNS - 1))
    def resume(self, which: int) -> None:
        if which < len(self.runs):
            self.do(self.house.runs.resume("ann", self.house.account, self.runs[which].id))

    # what must hold

    @invariant()
    def nothing_half_is_shown(self) -> None:
        for run in self._shown():
            check_pictures(run)

    @invariant()
    def no_task_is_shared(self) -> None:
        ids = [p.id for run in self._shown() for p in run.predictions if p.id]
        assert len(ids) == len(set(ids))

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        """At any moment, no more tasks than predictions, and no less counted here than the server has taken."""
        if hasattr(self, "house"):
            created = self.do(self.house.created())
            assert len(created) <= sum(len(run.predictions) for run in self._shown())
            assert self.house.spent() >= self.do(self.house.billed())

    def _shown(self) -> list[Run]:
        return self.do(self.house.runs.list_for("ann")) if hasattr(self, "house") else []

    def teardown(self) -> None:
        try:
            if hasattr(self, "house"):
                self._settle()
        finally:
            if hasattr(self, "house"):
                self.do(self.house.aclose())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            shutil.rmtree(self.folder)

    def _settle(self) -> None:
        """All faults are over, time passes, whatever can be resumed is resumed: then everything agrees exactly."""
        self.house.wire.faults.clear()
        self.house.time.going.set()
        self.do(self.house.runs.resume_all(self.house.account))
        for _ in range(2):
            for run in self._shown():
                self.do(self.house.end_of(run))
                self.do(self.house.runs.resume("ann", self.house.account, run.id))
        runs = self._shown()
        assert {run.id for run in runs} == {run.id for run in self.runs}
        check_ends(runs)
        charges = self.do(self._charges())
        check_books(runs, self.house.spent(), Books(charges))

    async def _charges(self) -> dict[str, Decimal]:
        ids = [p.id for p in await self.house.created()]
        return await self.house._plain.billed(ids) if ids else {}


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=settings.default.max_examples // 4,  # each is worth many; 10 in the gate
    stateful_step_count=25,
    phases=[Phase.generate],  # making a failure smaller takes minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.soak
@pytest.mark.usefixtures("postgresql")
class TestLifeOnPostgreSQL(TestLife):  # type: ignore[misc, valid-type]
    """The same, its ledger in PostgreSQL."""
