"""A completed prediction -> its pictures on disk, and what it was charged."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from core.catalog.variants import PICTURES
from core.errors import KontextError, Unreachable
from core.ledger.record import Entry
from core.ledger.run import Facts, Output, Trouble
from core.pictures.output import Picture
from core.runs import files, outcomes
from core.runs.billing import Reserved, billed
from core.runs.journal import Journal, log_foreign
from core.runs.live import LivePrediction, Stopped
from core.runs.runtime import Runtime
from core.service.prediction import Prediction

READY = "The picture is ready at the service, but can't be fetched just now; trying again."
STOPPED = "You stopped waiting for it."
RETRY_INTERVAL = 15.0  # seconds


class Collector:
    """Brings outputs into `folder`, side by side."""

    def __init__(self, folder: Path, journal: Journal, runtime: Runtime) -> None:
        self._folder = folder
        self._journal = journal
        self._runtime = runtime

    async def collect(self, live: LivePrediction, entry: Entry, prediction: Prediction) -> None:
        """Bring what is not here yet, name what can't be had, settle the charge.

        Whoever stops it keeps what is here by then; the rest can be resumed.
        """
        live.at("downloading")
        # Completed is charged, whether its pictures can be brought here or not. Known before, if it is known at all.
        if entry.charge is None:
            entry = replace(entry, charge=entry.reserved or None)
        saving = asyncio.create_task(self._journal.after(live.run, entry, prediction.answer))
        # Nothing was reserved for a recovered one, which was paid for before: there is nothing to ask.
        asking = asyncio.create_task(
            self._billed(saving, live, {prediction.id: entry.reserved} if entry.charge else {})
        )
        try:
            entry = await self._bring(live, entry, prediction)
            live.run.put(entry)  # the pictures are to be seen while the rest is written down
            entry = await self._with_bill(entry, asking)
        finally:
            asking.cancel()
            await saving
        live.run.put(entry)
        if live.run.predictions:  # else the run ends here, and that writes it down once and for all
            await self._journal.after(live.run, entry)

    async def _bring(self, live: LivePrediction, entry: Entry, prediction: Prediction) -> Entry:
        step = len(live.run.record.current)  # four predictions of one picture each number them as one of four does
        outputs = prediction.outputs[: _most(entry)]
        numbers = [entry.number + position * step for position in range(len(outputs))]
        flagged = [number for number, flag in zip(numbers, prediction.flagged, strict=False) if flag]
        here = {output.number for output in entry.outputs}
        wanted = {n: o for n, o in zip(numbers, outputs, strict=True) if n not in here and n not in flagged}
        fetching = (self._fetch(live, entry, n, o) for n, o in wanted.items())
        brought = await asyncio.gather(*fetching)
        got = (*entry.outputs, *(thing for thing in brought if isinstance(thing, Output)))
        lost = tuple(thing for thing in brought if isinstance(thing, Trouble))
        if not got and not lost:
            return outcomes.empty(replace(entry, settled_at=self._runtime.clock()), flagged=bool(flagged))
        asked = pictures if isinstance(pictures := entry.payload.get("num_images"), int) else 1
        lacking = outcomes.lacking(entry, asked=asked, made=len(numbers), flagged=flagged)
        settled_at = None if lost else self._runtime.clock()
        return replace(entry, outputs=got, troubles=(*lacking, *lost), settled_at=settled_at)

    async def _fetch(self, live: LivePrediction, entry: Entry, number: int, output: str) -> Output | Trouble:
        facts = live.run.facts
        try:
            picture = await live.unless_stopped(self._picture(live, output))
            brought = await self._write(facts, entry, number, picture)
            # Seen while others are on the way.
            live.run.put(replace(live.entry, outputs=(*live.entry.outputs, brought)))
            return brought
        except Stopped:
            return outcomes.lost(entry, number, STOPPED, outcomes.CHECK_AGAIN)
        except KontextError as error:
            return outcomes.lost(entry, number, error.happened, outcomes.CHECK_AGAIN)
        except OSError:
            reason = "The app's disk is full or can't be written to."
            return outcomes.lost(entry, number, reason, f"Free some space. {outcomes.CHECK_AGAIN}")
        except Exception as fault:
            log_foreign(fault, f"run {facts.id}, picture {number}")
            return outcomes.lost(entry, number, "Something went wrong in the app itself.", outcomes.CHECK_AGAIN)

    async def _picture(self, live: LivePrediction, output: str) -> Picture:
        until = self._runtime.clock() + self._runtime.timeouts.fetch
        while True:
            try:
                return await live.account.client.download(output)
            except Unreachable:
                # The picture is paid for and kept for days: a line that is down for minutes must not cost it.
                if self._runtime.clock() >= until:
                    raise
            live.tell(READY)
            await self._runtime.sleep(RETRY_INTERVAL)

    async def _write(self, facts: Facts, entry: Entry, number: int, picture: Picture) -> Output:
        assert entry.id is not None
        name = files.name(facts.variant_id, facts.created_at, entry.seed, number, picture.format)
        path = files.folder_of(self._folder, facts.id) / name
        await asyncio.to_thread(files.write, path, picture.data)
        return Output(number, path, picture.width, picture.height, entry.seed, entry.id)

    async def _billed(self, saving: asyncio.Task[None], live: LivePrediction, reserved: Reserved) -> Reserved:
        # By then the download is under way: the connection that the last look has left open is for the picture.
        await asyncio.wait({saving})
        return await billed(live.account, reserved)

    async def _with_bill(self, entry: Entry, asking: asyncio.Task[Reserved]) -> Entry:
        """With what was billed, if that is told by now: a run does not wait for it."""
        await asyncio.wait({asking}, timeout=self._runtime.timeouts.bill)
        amount = asking.result().get(str(entry.id)) if asking.done() else None
        return entry if amount is None else replace(entry, charge=amount, source="billing")


def _most(entry: Entry) -> int:
    """No more pictures than were asked for are fetched; of a recovered one it may not be known how many those were."""
    asked = entry.payload.get(PICTURES.name, 1 if entry.payload else PICTURES.maximum)
    return int(asked) if isinstance(asked, int | float) else 1
