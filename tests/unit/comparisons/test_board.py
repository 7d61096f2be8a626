"""A comparison as it stands: watched as a whole, its names hidden and shown, one entry of the history."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from running import Held, House, another_reference, answer

from core.comparisons import board
from core.comparisons.board import Board, place_of
from core.comparisons.comparison import again, plan, start
from core.errors import KontextError
from core.ledger.run import Run

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data")
    yield house
    await house.aclose()


async def begun(house: House, *variants: str, **values: object) -> str:
    made = plan("the cup from image 1", 1, list(variants), values, lambda: 4711)
    comparison_id, _ = await start(house.runs, "ann", house.account, made, [another_reference(house.folder, "red")])
    return comparison_id


async def ended(house: House, comparison_id: str) -> Board:
    return [state async for state in board.watch(house.runs, "ann", comparison_id)][-1]


async def found(house: House, comparison_id: str) -> Board:
    state = await board.find(house.runs, "ann", comparison_id)
    assert state is not None
    return state


def letters(state: Board) -> list[str]:
    return [f"{run.variant_id} {run.seed}" for run in state.cells]


async def test_watched_as_a_whole(house: House) -> None:
    """From the press on what changes in any cell is told, in the order of the places; the last has all of them, also
    where one failed. Nothing is told to another visitor.
    """
    house.wire.faults["submit"].append(answer(400, "no"))
    comparison_id = await begun(house, "dev", "pro", seeds=[7, 8])
    states = [state async for state in board.watch(house.runs, "ann", comparison_id)]
    assert [place_of(run) for run in states[0].cells] == [("pro", 0), ("pro", 1), ("dev", 0), ("dev", 1)]
    done = [state.done for state in states]
    assert (done[0], done[-1]) == (0, 4) and done == sorted(done) and len(states) > 4
    assert sorted(run.state for run in states[-1].cells) == ["completed"] * 3 + ["failed"]
    assert states[-1].finished and 0 < states[-1].charged < states[-1].estimate
    assert [state async for state in board.watch(house.runs, "bob", comparison_id)] == []


async def test_a_cell_made_again_takes_the_place(house: House) -> None:
    """It keeps name, star and letter; what it cost comes on top, and the watch goes on for it alone."""
    house.wire.faults["submit"].append(answer(400, "no"))
    comparison_id = await begun(house, "pro", "max")
    before = await ended(house, comparison_id)
    (failed,) = (run for run in before.cells if run.state == "failed")
    await board.label(house.runs, "ann", comparison_id, {"name": "Cups", "favourite": True})
    await board.hide(house.runs, "ann", comparison_id, list.reverse)
    made = await again(house.runs, "ann", house.account, failed.id)
    after = await ended(house, comparison_id)
    assert made.id in {run.id for run in after.cells} and failed.id not in {run.id for run in after.cells}
    assert len(after.runs) == 3 and len(after.cells) == 2
    assert after.estimate == before.estimate + made.estimate
    assert {(run.label.name, run.label.favourite) for run in after.runs} == {("Cups", True)}
    assert [run.label.letter for run in after.cells] == [0, 1]


async def test_names_are_hidden_until_one_is_chosen(house: House) -> None:
    """The order that chance gives stays, in mid-run and after a restart, also where it is asked for again; the choice
    brings the places back and is kept. A second tab's choice afterwards changes nothing.
    """
    held = Held()
    house.wire.always["result"] = held
    comparison_id = await begun(house, "pro", "dev", seeds=[7, 8])
    await held.reached.wait()
    await board.hide(house.runs, "ann", comparison_id, list.reverse)
    held.go.set()
    assert letters(await ended(house, comparison_id)) == ["dev 8", "dev 7", "pro 8", "pro 7"]
    await house.kill()
    await board.hide(house.runs, "ann", comparison_id, list.sort)
    state = await found(house, comparison_id)
    assert state.hidden and letters(state) == ["dev 8", "dev 7", "pro 8", "pro 7"]
    await board.reveal(house.runs, "ann", comparison_id, state.cells[1].id)
    await board.reveal(house.runs, "ann", comparison_id, state.cells[0].id)
    state = await found(house, comparison_id)
    assert not state.hidden and letters(state) == ["pro 7", "pro 8", "dev 7", "dev 8"]
    assert state.chosen is not None and (state.chosen.variant_id, state.chosen.seed) == ("dev", 7)
    await board.hide(house.runs, "ann", comparison_id, list.reverse)
    await board.reveal(house.runs, "ann", comparison_id)
    assert (await found(house, comparison_id)).chosen is None


async def test_nobody_else_reaches_it(house: House) -> None:
    """Another visitor who knows the id can hide, name, show and delete nothing."""
    comparison_id = await begun(house, "pro", "max")
    before = await ended(house, comparison_id)
    for act in (
        board.hide(house.runs, "bob", comparison_id, list.reverse),
        board.reveal(house.runs, "bob", comparison_id),
    ):
        with pytest.raises(KontextError, match="no such comparison"):
            await act
    await board.label(house.runs, "bob", comparison_id, {"name": "Bob's", "favourite": True})
    await board.delete(house.runs, "bob", comparison_id)
    assert (await found(house, comparison_id)).runs == before.runs


async def test_it_is_deleted_as_a_whole(house: House) -> None:
    """Not while a cell goes on; then every cell, whatever came of it, and nothing else."""
    alone = await house.run()
    held = Held()
    house.wire.always["result"] = held
    comparison_id = await begun(house, "pro", "max", "dev")
    await held.reached.wait()
    with pytest.raises(KontextError, match="isn't finished"):
        await board.delete(house.runs, "ann", comparison_id)
    assert len((await found(house, comparison_id)).runs) == 3
    await board.stop_waiting(house.runs, "ann", comparison_id)
    held.go.set()
    assert (await ended(house, comparison_id)).done == 3
    await board.delete(house.runs, "ann", comparison_id)
    assert await board.find(house.runs, "ann", comparison_id) is None
    assert [run.id for run in await house.runs.list_for("ann")] == [alone.id]


async def test_it_is_one_entry_of_the_history(house: House) -> None:
    """In the place of its press, also after a cell was made again; the runs around it are entries of their own."""
    house.wire.faults["submit"].append(answer(400, "no"))
    comparison_id = await begun(house, "pro", "max")
    (failed,) = (run for run in (await ended(house, comparison_id)).cells if run.state == "failed")
    later = await house.run()
    await again(house.runs, "ann", house.account, failed.id)
    whole = await ended(house, comparison_id)
    page = await house.runs.page("ann")
    assert [entry_of(entry) for entry in page.entries] == [{later.id}, {run.id for run in whole.runs}]
    assert page.last == whole.first.id


def entry_of(entry: list[Run]) -> set[str]:
    return {run.id for run in entry}
