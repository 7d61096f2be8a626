"""People who sign in: what they may spend, whose it is that goes on meanwhile, and how long a sign-in holds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from databases import open_ledger, text_of
from running import Held, House

from core.access.budget import Budget, terms
from core.access.people import LIFE, Login, People
from core.errors import BudgetError, KontextError
from core.ledger import forgetting
from core.ledger.record import Entry, Record
from core.ledger.run import Facts
from core.settings import SIGN_IN_NEEDS, Access, read

pytestmark = pytest.mark.both

X, Y = "0123456789abcdef" * 2, "fedcba9876543210" * 2
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
BUDGET = Budget(visitor=Decimal("0.20"), signed_in=Decimal("0.40"))
ANNA = "anna's subject"


class Books:
    """A ledger with people in it, at a time that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.ledger = open_ledger(folder)
        self.people = People(self.ledger, clock=lambda: self.now)
        self._numbers = count()

    def sign_in(self, subject: str, before: str | None = None) -> str:
        """The visitor that somebody is; each time by a login of its own."""
        signed_in = self.people.sign_in(Login(subject, "a name", str(next(self._numbers))), before)
        assert signed_in and self.people.who(signed_in.handle) == signed_in.visitor
        self.handle = signed_in.handle
        return signed_in.visitor

    def press(self, visitor: str, amount: str, budget: Budget = BUDGET, invitation: str | None = None) -> None:
        """Reserve that; raises what refuses it."""
        usd = Decimal(amount)
        given = (str(next(self._numbers)), visitor, "host", "host", self.now, "pro", None, "", {}, 7, 1, (), usd)
        facts = Facts(*given, invitation=invitation)  # type: ignore[arg-type]
        self.ledger.reserve([Record(facts, (Entry(1, "m", {}, usd, id=facts.id),))], partial(budget.check, usd, facts))

    def fill(self, visitor: str) -> Decimal:
        """What goes through until nothing more does."""
        pressed = Decimal(0)
        with suppress(BudgetError):
            while True:
                self.press(visitor, "0.04")
                pressed += Decimal("0.04")
        return pressed


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    books = Books(tmp_path)
    yield books
    books.ledger.close()


def test_what_is_pressed_while_somebody_signs_in_is_not_sent(books: Books) -> None:
    """It would be paid for and be nobody's, as the id that it was pressed under is by then."""
    books.press(X, "0.04")
    anna = books.sign_in(ANNA, X)
    with pytest.raises(KontextError, match="You signed in meanwhile"):
        books.press(X, "0.04")
    assert [len(books.ledger.list_for(visitor)) for visitor in (X, anna)] == [0, 1]


def test_a_press_that_is_being_written_goes_with_whoever_signs_in(books: Books) -> None:
    """Else it would be nobody's, and count in no cap: the sign-in waits until it is written."""
    with ThreadPoolExecutor(1) as browser:

        def check(*_: object) -> None:
            signing.append(browser.submit(books.sign_in, ANNA, X))
            with pytest.raises(TimeoutError):
                signing[0].result(0.2)

        signing: list[Future[str]] = []
        facts = Facts("1", X, "host", "host", NOON, "pro", None, "", {}, 7, 1, (), Decimal("0.04"))
        books.ledger.reserve([Record(facts, (Entry(1, "m", {}, facts.estimate, id="1"),))], check)
        anna = signing[0].result(10)
    assert [len(books.ledger.list_for(visitor)) for visitor in (X, anna)] == [0, 1]


def test_a_person_has_one_cap_in_all_browsers(books: Books) -> None:
    """Of their own, for each day; what they had spent before they signed in is in it, once, however often they do."""
    assert (books.fill(X), books.fill(Y)) == (Decimal("0.20"), Decimal("0.20"))
    anna = books.sign_in(ANNA, X)
    assert books.people.spent_today(anna) == Decimal("0.20")
    books.press(anna, "0.08")
    assert books.sign_in(ANNA, X) == books.sign_in(ANNA) == anna
    assert books.fill(anna) == Decimal("0.12")
    assert books.sign_in(ANNA, Y) == anna and books.people.spent_today(anna) == Decimal("0.60")
    with pytest.raises(BudgetError, match=r"\$0.00 is left of the \$0.40 a day that one who is signed in") as refused:
        books.press(anna, "0.04")
    assert (refused.value.cap, refused.value.left) == ("signed_in", 0)
    assert books.fill(books.sign_in("ben's subject")) == Decimal("0.40")
    books.now += timedelta(days=1)
    assert books.fill(anna) == Decimal("0.40")


def test_what_was_forgotten_counts_for_whoever_signs_in(books: Books) -> None:
    """Deleting everything and signing in brings nothing back."""
    books.fill(X)
    books.ledger.delete("0", NOON)
    with books.ledger.writing() as connection:
        forgetting.rename(connection, "0")
    assert books.people.spent_today(books.sign_in(ANNA, X)) == Decimal("0.20")


def test_what_is_to_be_forgotten_is_not_joined(books: Books) -> None:
    """Whoever asked for everything to be deleted finds none of it in their account, nor the account's gone with it."""
    books.press(X, "0.04")
    with books.ledger.writing() as connection:
        forgetting.leave(connection, X, NOON)
    anna = books.sign_in(ANNA, X)
    with books.ledger.reading() as connection:
        assert forgetting.who_leave(connection) == [(X, NOON)]
    assert books.ledger.owner("0") == X and books.people.who(X) is None
    assert books.ledger.list_for(anna) == []


@pytest.mark.parametrize(
    ("access", "refused"), [("open", set()), ("invited", {"visitor"}), ("closed", {"visitor", "person"})]
)
def test_whom_the_host_s_key_is_for(books: Books, access: Access, refused: set[str]) -> None:
    """People who are signed in count as invited, and as nobody where the copy is closed."""
    pressing = {"visitor": X, "person": books.sign_in(ANNA)}
    met = set()
    for who, visitor in pressing.items():
        try:
            books.press(visitor, "0.04", Budget(access=access))
        except BudgetError as error:
            assert error.cap == "invitation"
            met.add(who)
    assert met == refused


def test_a_sign_in_holds_for_a_month(books: Books) -> None:
    """Its row is gone then; the person is the same at the next one."""
    anna = books.sign_in(ANNA, X)
    books.now += LIFE
    assert books.people.who(books.handle) is None
    assert books.sign_in(ANNA) == anna
    with books.ledger.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sign_ins").scalar() == 1


def test_nothing_that_names_a_person_is_kept(books: Books, tmp_path: Path) -> None:
    """Neither the handle nor what the provider calls them is in any file, and after signing out not their name."""
    books.sign_in(ANNA, X)
    books.people.sign_out(books.handle)
    written = text_of(books.ledger).encode()
    books.ledger.empty_log()
    written += b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for word in (books.handle, ANNA, "a name"):
        assert word.encode() not in written


def test_what_it_can_cost_is_said_at_the_start(tmp_path: Path) -> None:
    """The cap of those who sign in, where anybody can."""
    space = dict.fromkeys(SIGN_IN_NEEDS, "x") | {"SYSTEM": "spaces", "WAVESPEED_API_KEY": "wsk_1"}
    said = [terms(read({**space, "KONTEXT_SIGN_IN": asked}, tmp_path)) for asked in ("on", "off")]
    assert ["$0.40 for one who is signed in" in words for words in said] == [True, False]


@pytest.mark.anyio
async def test_what_goes_on_is_the_person_s(tmp_path: Path) -> None:
    """A run that is under way while its visitor signs in ends as theirs, and is shown to nobody else."""
    house = House(tmp_path / "data")
    held = house.wire.always["result"] = Held()
    run = await house.press(visitor=X)
    await held.reached.wait()
    signed_in = People(house.ledger, clock=house.time.clock).sign_in(Login(ANNA, "anna", "1"), X)
    assert signed_in
    house.runs.hand_over(X, signed_in.visitor)
    assert await house.runs.get(X, run.id) is None
    held.go.set()
    ended = [seen async for seen in house.runs.watch(signed_in.visitor, run.id)]
    assert (ended[-1].state, await house.runs.owner(run)) == ("completed", signed_in.visitor)
    assert len(ended) > 1 and (await house.runs.newest(X)) is None
    await house.aclose()
