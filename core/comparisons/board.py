"""A comparison as it stands: its cells in their places, watched together; names hidden, one chosen, all deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from core.catalog.variants import REGISTRY
from core.errors import KontextError
from core.ledger.run import Axis, Label, LabelChange, Run
from core.runs.runs import DELETE_LATER, STILL_GOING, Runs, first_of

NO_COMPARISON = "There is no such comparison."

# A reference left out changes the layout too, and so does another seed: what differs by that alone is luck.
HINT = "Take what differs below as a hint: leaving a reference out changes the layout too."
LUCK = "What differs here is luck alone."

Place = tuple[str, int]  # the variant's id, the row
Shuffle = Callable[[list[Place]], None]

_COLUMNS = {id: number for number, id in enumerate(REGISTRY)}


@dataclass(frozen=True)
class Row:
    """One place along the second axis. `prompt` is its wording, where wordings are compared; `note` explains it."""

    number: int
    title: str = ""
    prompt: str = ""
    note: str = ""


@dataclass(frozen=True)
class Board:
    """One comparison at one moment. `runs` are all that belong to it, newest first; a cell made again has several."""

    id: str
    runs: tuple[Run, ...]

    @cached_property
    def cells(self) -> tuple[Run, ...]:
        """The newest run of each place: by variant and row, or in the order of the letters while names are hidden."""
        newest: dict[Place, Run] = {}
        for run in self.runs:
            newest.setdefault(place_of(run), run)
        return tuple(sorted(newest.values(), key=_by_letter if self.hidden else _by_place))

    @property
    def hidden(self) -> bool:
        """Whether nobody is to know which cell is which, for now."""
        return any(run.label.letter is not None for run in self.runs)

    @property
    def chosen(self) -> Run | None:
        """The cell that was chosen while names were hidden."""
        return next((run for run in self.cells if run.label.chosen), None)

    @property
    def first(self) -> Run:
        """The oldest run: the comparison has its place in the history, and what its cells share is the same in it."""
        return first_of(self.runs)

    @property
    def axis(self) -> Axis:
        return self.first.cell.axis if self.first.cell else "variants"

    @property
    def rows(self) -> list[Row]:
        """The places of the second axis that any cell has."""
        found: dict[int, Run] = {}
        for run in self.cells:
            found.setdefault(place_of(run)[1], run)
        return [_row(run, number, self.axis, is_last=number == max(found)) for number, run in sorted(found.items())]

    @property
    def sealed(self) -> bool:
        """Whether it is made for a trial, and nothing of it may change."""
        return self.axis == "trial"

    @property
    def label(self) -> Label:
        """The name and the star, which all of its runs have."""
        return next((run.label for run in self.runs if run.label.name or run.label.favourite), Label())

    @property
    def finished(self) -> bool:
        return all(run.finished for run in self.runs)

    @property
    def done(self) -> int:
        """Cells that have ended, whatever came of them."""
        return sum(run.finished for run in self.cells)

    @property
    def estimate(self) -> Decimal:
        """USD: what was confirmed for all of it, cells made again included."""
        return sum((run.estimate for run in self.runs), Decimal(0))

    @property
    def charged(self) -> Decimal:
        """USD so far."""
        return sum((run.charge or Decimal(0) for run in self.runs), Decimal(0))


def place_of(run: Run) -> Place:
    return run.variant_id, run.cell.row if run.cell else 0


def _row(run: Run, number: int, axis: Axis, *, is_last: bool) -> Row:
    match axis:
        case "seeds":
            return Row(number, f"Seed {run.seed}")
        case "prompts":
            return Row(number, f"Wording {number + 1}", run.prompt)
        case "leave_one_out" if run.cell and run.cell.left_out:
            return Row(number, f"Without reference {run.cell.left_out}")
        case "leave_one_out" if is_last:
            return Row(number, "All references, another seed", note=LUCK)
        case "leave_one_out":
            return Row(number, "All references", note=HINT)
        case "trial":
            return Row(number, f"Set {number + 1}")
    return Row(number)


async def find(runs: Runs, visitor: str, comparison_id: str) -> Board | None:
    """The comparison as it stands; None for another visitor's."""
    found = await runs.comparison(visitor, comparison_id)
    return Board(comparison_id, tuple(found)) if found else None


async def watch(runs: Runs, visitor: str, comparison_id: str) -> AsyncGenerator[Board, None]:
    """The comparison as it stands at once, then each change of any cell; ends when nothing of it goes on here."""
    board = await find(runs, visitor, comparison_id)
    if board is None:
        return
    standing = {run.id: run for run in board.runs}
    changed = asyncio.Event()
    going = [
        asyncio.create_task(_follow(runs, visitor, run.id, standing, changed)) for run in board.runs if not run.finished
    ]
    try:
        while True:
            changed.clear()
            ended = all(task.done() for task in going)
            yield Board(comparison_id, tuple(standing.values()))
            if ended:
                return
            await changed.wait()
    finally:
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)


async def _follow(runs: Runs, visitor: str, run_id: str, standing: dict[str, Run], changed: asyncio.Event) -> None:
    try:
        async for run in runs.watch(visitor, run_id):
            standing[run_id] = run
            changed.set()
    finally:
        changed.set()


async def hide(runs: Runs, visitor: str, comparison_id: str, shuffle: Shuffle) -> None:
    """Give the cells letters in an order of chance; they keep these until one is chosen. Nothing where they have some.

    Raises:
        KontextError: there is no such comparison of this visitor.
    """
    board = await _insist(runs, visitor, comparison_id)
    if board.hidden or board.sealed:
        return
    order = [place_of(run) for run in board.cells]
    shuffle(order)
    letters = {place: letter for letter, place in enumerate(order)}
    await _label(runs, visitor, board.runs, lambda run: {"letter": letters[place_of(run)], "chosen": False})


async def reveal(runs: Runs, visitor: str, comparison_id: str, chosen: str = "") -> None:
    """Show the names again; `chosen` is the id of the cell that was taken without knowing them.

    Raises:
        KontextError: there is no such comparison of this visitor.
    """
    board = await _insist(runs, visitor, comparison_id)
    if not board.hidden:  # chosen in another tab already: the first choice was the blind one
        return
    place = next((place_of(run) for run in board.cells if run.id == chosen and run.outputs), None)
    await _label(runs, visitor, board.runs, lambda run: {"letter": None, "chosen": place_of(run) == place})


async def label(runs: Runs, visitor: str, comparison_id: str, change: LabelChange) -> None:
    """Name a comparison, and make it a favourite or not."""
    if board := await find(runs, visitor, comparison_id):
        await _label(runs, visitor, board.runs, lambda _: change)


async def delete(runs: Runs, visitor: str, comparison_id: str) -> None:
    """Take all of its cells out of the history, with their files.

    Raises:
        KontextError: one of them still goes on, and all are kept.
    """
    board = await find(runs, visitor, comparison_id)
    if board is None:
        return
    if any(not (run.finished or run.keyless) for run in board.runs):
        raise KontextError(STILL_GOING, DELETE_LATER)
    for run in board.runs:
        await runs.delete(visitor, run.id)


async def stop_waiting(runs: Runs, visitor: str, comparison_id: str) -> None:
    """Stop waiting for every cell that goes on."""
    if board := await find(runs, visitor, comparison_id):
        for run in board.runs:
            await runs.stop_waiting(visitor, run.id)


async def _insist(runs: Runs, visitor: str, comparison_id: str) -> Board:
    board = await find(runs, visitor, comparison_id)
    if board is None:
        raise KontextError(NO_COMPARISON, "Look for it in the history.")
    return board


async def _label(runs: Runs, visitor: str, of: Iterable[Run], change: Callable[[Run], LabelChange]) -> None:
    await runs.label(visitor, {run.id: change(run) for run in of})


def _by_place(run: Run) -> tuple[int, int]:
    variant_id, row = place_of(run)
    return _COLUMNS.get(variant_id, len(_COLUMNS)), row


def _by_letter(run: Run) -> tuple[int, int]:
    return (len(_COLUMNS) * 100 if run.label.letter is None else run.label.letter), 0
