"""Outputs that come cut, empty, mislabelled or damaged: what is shown is whole, and what is not here is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checks import check_books, check_ends
from lean import Lean, Press, history, spent
from server import (
    Exchange,
    Fault,
    Server,
    corrupt,
    empty,
    half_a_body,
    half_a_json,
    html,
    junk,
    mislabelled,
    page_as_picture,
    reset,
)

pytestmark = pytest.mark.anyio

FOUR = replace(Press(), pictures=4)
BAD = {
    "cut": half_a_body,
    "cut and mismeasured": half_a_json,  # half the bytes, announced as if they were all
    "empty": empty,
    "corrupt": corrupt,
    "junk": junk,
    "a page in a picture's place": page_as_picture,
    "502": html(502),
    "reset": reset,
}


async def test_bad_for_a_while(lean: Lean, server: Server) -> None:
    """Bad bytes of every kind, one after the other: each picture is fetched again until it is whole."""
    server.next["download"].extend(BAD.values())
    run = await lean.run(FOUR)
    assert (run.state, len(run.outputs)) == ("completed", 4)
    assert server.seen["download"] == len(BAD) + 4
    check_ends([run])
    check_books([run], spent(lean.folder), server.books())


@pytest.mark.parametrize("fault", BAD.values(), ids=BAD)
async def test_bad_for_ever(brief: Lean, server: Server, fault: Fault) -> None:
    """Nothing half-written is ever shown or left under a picture's name; it was charged, and can be had later."""
    server.always["download"] = fault
    run = await brief.run(Press())
    assert (run.state, run.outputs, run.resumable) == ("failed", (), True)
    assert [t.charged for t in run.troubles] == ["yes"]
    assert not list(brief.folder.rglob("kontext-*"))
    check_ends([run])
    check_books([run], spent(brief.folder), server.books())
    server.clear()
    run = await brief.end_of(await brief.runs.resume(run.visitor, brief.account, run.id))
    assert (run.state, len(server.created)) == ("completed", 1)
    check_ends([run])


async def test_one_bad_among_four(lean: Lean, server: Server) -> None:
    """One picture that can't be fetched takes nothing from the other three, and is named."""
    lost: list[str] = []

    def first_address(exchange: Exchange) -> Fault | None:
        if exchange.kind != "download":
            return None
        lost.append(exchange.path)
        return corrupt if exchange.path == lost[0] else None

    server.plan = first_address
    run = await lean.run(FOUR)
    assert (run.state, len(run.outputs), len(run.troubles), run.resumable) == ("partial", 3, 1, True)
    missing = {1, 2, 3, 4} - {output.number for output in run.outputs}
    assert run.troubles[0].happened.startswith(f"Picture {missing.pop()} is ready at the service but not here.")
    check_ends([run])
    check_books([run], spent(lean.folder), server.books())


async def test_mislabelled(lean: Lean, server: Server) -> None:
    """The bytes tell what a picture is, whatever its label says."""
    labels = (b"text/html", b"binary/octet-stream", b"image/png", b"")
    server.next["download"].extend(map(mislabelled, labels))
    run = await lean.run(FOUR)
    assert (run.state, [output.path.suffix for output in run.outputs]) == ("completed", [".jpg"] * 4)
    assert server.seen["download"] == len(labels)
    check_ends([run])


async def test_one_flagged_among_four(lean: Lean, server: Server) -> None:
    """The three good ones are shown, the flagged one is named and not fetched, and the charge is the server's."""
    run = await lean.run(replace(FOUR, prompt="[sandbox:flagged] an owl"))
    assert (run.state, [output.number for output in run.outputs]) == ("partial", [1, 2, 3])
    assert ["Picture 4 was flagged" in t.happened for t in run.troubles] == [True]
    assert server.seen["download"] == 3
    check_ends([run])
    check_books(history(lean.folder), spent(lean.folder), server.books())
