"""A submit that is answered by nothing that can be read: never two tasks, never money unaccounted for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checks import check_books, check_ends
from lean import MAX, PRO, VISITOR, Lean, Press, history, spent
from server import Fault, Server, after, empty, half_a_body, half_a_json, html, junk, reset, silence

pytestmark = pytest.mark.anyio

BEFORE = {"reset": reset, "502": html(502), "504": html(504)}
AFTER = {
    **{name: after(fault) for name, fault in BEFORE.items()},
    "half a JSON": half_a_json,
    "half a body": half_a_body,
    "empty": empty,
    "junk": junk,
}


@pytest.mark.parametrize(
    "press", [MAX, pytest.param(replace(Press(), pictures=2), marks=pytest.mark.soak)], ids=["max", "ultra-fast"]
)
@pytest.mark.parametrize("fault", AFTER.values(), ids=AFTER)
async def test_created(lean: Lean, server: Server, press: Press, fault: Fault) -> None:
    """The task was created: it is found and taken over, sent once, and charged once."""
    server.next["submit"].append(fault)
    run = await lean.run(press)
    assert (run.state, len(run.outputs), server.seen["submit"]) == ("completed", press.pictures, 1)
    check_ends([run])
    check_books([run], spent(lean.folder), server.books())


@pytest.mark.parametrize("fault", BEFORE.values(), ids=BEFORE)
async def test_not_created(brief: Lean, server: Server, fault: Fault) -> None:
    """No task was created: that is said, nothing is counted, and nothing is sent again."""
    server.next["submit"].append(fault)
    run = await brief.run(PRO)
    assert (run.state, run.outputs, server.seen["submit"]) == ("failed", (), 1)
    assert [t.charged for t in run.troubles] == ["no"]
    check_ends([run])
    check_books([run], spent(brief.folder), server.books())
    assert spent(brief.folder) == 0


@pytest.mark.parametrize(("fault", "state"), [(silence, "failed"), (after(silence), "completed")])
async def test_no_answer_at_all(hasty: Lean, server: Server, fault: Fault, state: str) -> None:
    """A submit that nobody answers runs into a time-out: taken over if there is a task, else honestly ended."""
    server.next["submit"].append(fault)
    run = await hasty.run(PRO)
    assert (run.state, server.seen["submit"]) == (state, 1)
    assert all(t.charged == "no" for t in run.troubles)
    check_ends([run])
    check_books([run], spent(hasty.folder), server.books())


async def test_duplicates_in_trouble(lean: Lean, server: Server) -> None:
    """Four equal submits without a seed, each answered in another bad way: two tasks, each taken once."""
    server.next["submit"].extend([after(reset), html(502), half_a_json, reset])
    run = await lean.run(replace(MAX, pictures=4))
    assert (run.state, len(run.outputs), server.seen["submit"], len(server.created)) == ("partial", 2, 4, 2)
    check_ends([run])
    check_books(history(lean.folder, VISITOR), spent(lean.folder), server.books())
