"""Two replicas behind nginx as docs/ has them, and somebody at the page of one that is killed in mid-run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import nginx
import pytest
import sqlalchemy as sa
from checks import check_books, check_ends
from databases import DATABASE, open_ledger
from lean import history, spent
from playwright.sync_api import Browser, expect
from server import Server
from studio import COFFEE, PORTRAIT, Studio, Visit
from whole import Whole

from core.ledger.schema import replicas, runs

Replicas = dict[str, Whole]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def two(server: Server, postgresql: str, tmp_path: Path) -> Iterator[Replicas]:
    """Two on one database and one folder, under the names that nginx has for them."""
    given = {DATABASE: postgresql, "KONTEXT_HOSTED": "on"}
    with ExitStack() as stack:
        both = {name: Whole(tmp_path / "data", server.url, **given) for name in ("one", "two")}
        for one in both.values():
            stack.callback(one.process.communicate, timeout=30)
            stack.callback(one.kill)
        for one in both.values():
            one.await_start()
        yield both


@pytest.fixture
def studio(two: Replicas, tmp_path: Path) -> Iterator[Studio]:
    """The two by the one address that visitors know."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    with nginx.in_front(folder, nginx.REPLICAS, *(one.url.removeprefix("http://") for one in two.values())) as url:
        yield Studio(url, None, tmp_path / "data")


@pytest.mark.parametrize("waits", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_the_page_comes_back_where_its_replica_is_killed(
    browser: Browser, studio: Studio, two: Replicas, server: Server, *, waits: bool
) -> None:
    """The other replica serves it and goes on with the run to its picture, which was sent once and charged once.

    `waits`: for the lease of the one that is dead to run out; else that time has passed at once.
    """
    gate = server.gate("result")
    with Visit(browser, studio).open() as visit:
        visit.drop(PORTRAIT, COFFEE)
        visit.expect_cards(PORTRAIT, COFFEE)
        visit.prompt.fill("Put image 1 beside image 2.")
        visit.generate()
        while not server.seen["result"]:  # it was sent, and is waited for
            visit.page.wait_for_timeout(50)
        serves = replica_of(visit)
        visit.page.evaluate("window.before = true")
        two[serves].kill()
        visit.page.wait_for_function("!window.before")
        expect(visit.result).to_contain_text("Generating")
        visit.expect_cards(PORTRAIT, COFFEE)
        assert replica_of(visit) != serves
        if not waits:
            run_out(studio.data)
        gate.open()
        visit.expect_pictures(1)
        visit.faults = [fault for fault in visit.faults if not fault.startswith(CUT)]
    visitor = visitor_of(studio.data)
    check_ends(made := history(studio.data, visitor))
    check_books(made, spent(studio.data, visitor), server.books())
    assert server.seen["submit"] == len(server.created) == 1


CUT = ("logged: Failed to load resource: net::ERR_INCOMPLETE_CHUNKED_ENCODING", "logged: TypeError: network error")


def replica_of(visit: Visit) -> str:
    """Whom the browser's next request goes to."""
    (value,) = [cookie["value"] for cookie in visit.context.cookies() if cookie["name"] == "kontext_replica"]
    return str(value)


def run_out(data: Path) -> None:
    """The lease of the replica that works on the run, as if its time had passed."""
    change = replicas.update().where(replicas.c.id.in_(sa.select(runs.c.owner))).values(until=datetime.now(UTC))
    with closing(open_ledger(data)) as ledger, ledger.writing() as connection:
        assert connection.execute(change).rowcount == 1


def visitor_of(data: Path) -> str:
    """Who made the one run that there is."""
    with closing(open_ledger(data)) as ledger, ledger.reading() as connection:
        return str(connection.execute(sa.select(runs.c.visitor)).scalar_one())
