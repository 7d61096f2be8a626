"""What the ledger promises in a database of PostgreSQL's: many processes at once, and clear about its own failures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from test_ledger import NOON, passes, record

from core.access.budget import Budget
from core.access.invitations import Invitations
from core.errors import BudgetError, KontextError, LedgerError, SettingsError
from core.ledger.ledger import Ledger
from core.ledger.schema import VERSION


@pytest.fixture
def two(postgresql: str, tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """Two processes' ledgers of one database."""
    with closing(Ledger(tmp_path, url=postgresql)) as one, closing(Ledger(tmp_path, url=postgresql)) as other:
        yield one, other


def test_a_new_database_is_made_once(postgresql: str, tmp_path: Path, two: tuple[Ledger, Ledger]) -> None:
    """Eight that start at once on an empty database find it made, in one version."""
    with two[0].writing() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    with ThreadPoolExecutor(8) as pool:
        for ledger in pool.map(lambda _: Ledger(tmp_path, url=postgresql), range(8)):
            ledger.close()
    with two[1].reading() as connection:
        assert connection.exec_driver_sql("SELECT version FROM ledger_version").scalars().all() == [VERSION]


def test_no_cap_is_passed_by_two_processes(two: tuple[Ledger, Ledger]) -> None:
    """Forty reservations at once over both, by visitors and an invitation, against a cap for five: five pass."""
    Invitations(two[0], clock=lambda: NOON).invite("Anna", Decimal(2), "never")
    with two[0].reading() as connection:
        (invitation,) = connection.exec_driver_sql("SELECT id FROM invitations").scalars()
    budget = Budget(daily=Decimal("0.20"))

    def reserve(number: int) -> bool:
        new = record(str(number), visitor=str(number), invitation=invitation if number % 3 else None)
        try:
            two[number % 2].reserve([new], partial(budget.check, Decimal("0.04"), new.facts))
        except BudgetError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(reserve, range(40))) == 5


def test_a_name_is_given_once(two: tuple[Ledger, Ledger]) -> None:
    """Whoever looks before they write is alone with that, across processes: of eight invitations of a name, one is."""

    def invite(number: int) -> bool:
        try:
            Invitations(two[number % 2]).invite("Anna", Decimal(2), "never")
        except KontextError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(invite, range(8))) == 1


def test_a_connection_that_broke_is_made_anew(two: tuple[Ledger, Ledger]) -> None:
    """The database was started anew between two runs: nobody notices."""
    two[0].add(record("before"))
    with two[1].writing() as connection:
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {others}")
    two[0].add(record("after"))
    assert len(two[0].list_for("ann")) == 2


def test_one_that_breaks_in_the_midst_leaves_nothing(two: tuple[Ledger, Ledger]) -> None:
    """It is said that this will pass, and half of it is not there."""
    with pytest.raises(LedgerError, match="can't be reached") as fault, two[0].writing() as connection:
        two[0]._insert(connection, record())
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    assert fault.value.passing
    assert two[1].list_for("ann") == []


def test_nobody_holds_the_others_up_for_long(two: tuple[Ledger, Ledger]) -> None:
    """A process that stands still in the midst of a transaction loses it, with the locks that others wait for."""
    with two[0].writing() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "10s"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "50s"


def test_a_newer_database_is_left_alone(two: tuple[Ledger, Ledger], postgresql: str, tmp_path: Path) -> None:
    """One of a version that is not known yet is refused, and not touched."""
    with two[0].writing() as connection:
        connection.exec_driver_sql("UPDATE ledger_version SET version = 99")
    try:
        with pytest.raises(LedgerError, match="newer version"):
            Ledger(tmp_path, url=postgresql)
    finally:
        with two[0].writing() as connection:
            connection.exec_driver_sql(f"UPDATE ledger_version SET version = {VERSION}")


def test_what_it_can_t_store(two: tuple[Ledger, Ledger]) -> None:
    """Its texts have no NUL; that is said as such, and nothing is spent."""
    with pytest.raises(LedgerError, match="character"):
        two[0].reserve([record(prompt="an owl \0")], passes)


@pytest.mark.parametrize("wrong", ["@127.0.0.1:1/studio", "@/studio?host=/nowhere", "@no.such.host.invalid/x"])
def test_a_database_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str) -> None:
    """A sentence says so, without a word of the URL, which holds a password."""
    with caplog.at_level(logging.DEBUG), pytest.raises(LedgerError, match="can't be reached") as fault:
        Ledger(tmp_path, url=f"postgresql+psycopg://ann:hush{wrong}")
    assert "hush" not in f"{fault.value!r} {fault.value} {caplog.text}"
    assert fault.value.__cause__ is None and fault.value.__suppress_context__


def test_a_url_that_is_none(tmp_path: Path) -> None:
    """The variable is named, and the value is not."""
    with pytest.raises(SettingsError, match="KONTEXT_DATABASE_URL") as refused:
        Ledger(tmp_path, url="postgresql+psycopg://ann:hush@host:port/studio")
    assert "hush" not in f"{refused.value!r}"
