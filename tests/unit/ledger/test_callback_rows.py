"""What calls of the service have said, in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from databases import open_ledger
from test_ledger import NOON, record

from core.ledger import callbacks
from core.ledger.callbacks import MOST, RECENT
from core.ledger.ledger import Ledger
from core.ledger.record import NOT_CREATED, Entry

pytestmark = pytest.mark.both


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(tmp_path, timeout=0.2, mounted="")
    yield ledger
    ledger.close()


def sent(ledger: Ledger, number: int, id: str | None = None) -> Entry:
    """A run that has ended, whose submit named an address; without an id nobody answered it."""
    run = record(f"r{number}")
    settled = NOON + timedelta(minutes=number)
    entry = replace(run.entries[0], id=id, status="completed" if id else NOT_CREATED, settled_at=settled)
    entry = replace(entry, callback=f"hash {number}")
    ledger.add(replace(run, entries=(entry,), state="failed"))
    return entry


def tell(ledger: Ledger, number: int, id: str) -> bool:
    with ledger.writing() as connection:
        return callbacks.tell(connection, f"hash {number}", id)


def test_what_is_said_again_is_no_news(ledger: Ledger) -> None:
    """A repeated call changes nothing and uses nothing up; other ids are taken a few times, and kept as they come."""
    entry = sent(ledger, 1)
    assert [tell(ledger, 1, "aa") for _ in range(10)] == [True] + [False] * 9
    assert [tell(ledger, 1, f"b{n}") for n in range(10)] == [True] * (MOST - 1) + [False] * (11 - MOST)
    assert not tell(ledger, 2, "aa")
    with ledger.reading() as connection:
        assert callbacks.told(connection, "r1", entry) == f"b{MOST - 2}"


def test_what_waits_for_somebody_who_can_ask(ledger: Ledger) -> None:
    """Lost submits that were called about, of runs that are kept, until the call turns out wrong; an entry that is
    written again leaves what was said.
    """
    for number, id in ((1, None), (2, None), (3, "cc"), (4, None)):
        sent(ledger, number, id)
    for number in (1, 3, 4):
        tell(ledger, number, "cc")
    ledger.delete("r4", NOON)
    with ledger.reading() as connection:
        (call,) = callbacks.unresolved(connection, "host", ledger.home)
        assert callbacks.unresolved(connection, "own-1", ledger.home) == []
        assert callbacks.find(connection, "hash 4", ledger.home) is None
    assert (call.visitor, call.run_id, call.told, call.entry.lost) == ("ann", "r1", "cc", True)
    ledger.save("r1", call.entry)
    with ledger.writing() as connection:
        callbacks.refute(connection, "r1", call.entry, "another")
        assert callbacks.told(connection, "r1", call.entry) == "cc"
        callbacks.refute(connection, "r1", call.entry, "cc")
        assert callbacks.unresolved(connection, "host", ledger.home) == []


def test_calls_arrive_as_long_as_some_of_the_last_did(ledger: Ledger) -> None:
    """And were right: what somebody makes up does not count."""

    def arrive() -> bool:
        with ledger.reading() as connection:
            return callbacks.arrive(connection)

    assert not arrive()
    sent(ledger, 1, "aa")
    tell(ledger, 1, "bb")
    assert not arrive()
    tell(ledger, 1, "aa")
    assert arrive()
    for number in range(2, 2 + RECENT):
        assert arrive()
        sent(ledger, number, f"c{number}")
    assert not arrive()
