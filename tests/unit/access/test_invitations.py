"""Invitations: what is kept of a code, who may spend how much when, and that nothing slips past it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from databases import empty, open_ledger, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from core.access.__main__ import main
from core.access.attempts import FREE, Attempts
from core.access.budget import Budget
from core.access.invitations import NOT_VALID, Invitations, Standing, is_code
from core.errors import BudgetError, KontextError
from core.ledger.invitations import Renewal
from core.ledger.people import PREFIX
from core.ledger.record import Entry, Record
from core.ledger.run import Facts
from core.ledger.spending import Spending

pytestmark = pytest.mark.both

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday


class House:
    """A ledger with invitations, at a time that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.attempts = Attempts(lambda: self.now.timestamp())
        self.ledger = open_ledger(folder)
        self.invitations = Invitations(self.ledger, clock=lambda: self.now, attempt=self.attempts.attempt)
        self.numbers = count()

    def press(self, amount: str, code: str = "", visitor: str = "ann", budget: Budget = Budget()) -> None:  # noqa: B008 - frozen
        """Reserve that; raises what refuses it."""
        invitation = self.invitations.find(code).invitation.id if code else None
        usd = Decimal(amount)
        facts = Facts(
            *(str(next(self.numbers)), visitor, "host", "host", self.now, "pro", None, "an owl", {}, 7, 1, (), usd),
            invitation=invitation,
        )
        record = Record(facts, (Entry(1, "m", {}, usd),))
        self.ledger.reserve([record], partial(budget.check, usd, facts))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.ledger.close()


def found(house: House, code: str) -> Standing:
    return house.invitations.find(code)


def refused(attempt: Callable[[], object]) -> BudgetError:
    with pytest.raises(BudgetError) as caught:
        attempt()
    return caught.value


def test_a_code_is_nowhere(house: House) -> None:
    """160 random bits in base32, and not in the ledger."""
    codes = {house.invitations.invite(f"Guest {n}", Decimal(2), "never") for n in range(20)}
    assert len(codes) == 20 and all(map(is_code, codes))
    stored = text_of(house.ledger)
    assert "Guest 7" in stored and not any(code[3:] in stored for code in codes)


def test_it_is_spent_by_all_its_holder_s_browsers_and_programs(house: House) -> None:
    """The sum is the invitation's, whoever the visitor is; a stranger's cap is another one."""
    code = house.invitations.invite("Anna", Decimal("0.10"), "never")
    budget = Budget(visitor=Decimal("0.04"))
    house.press("0.04", code, "phone", budget)
    house.press("0.04", code.upper() + " ", "laptop", budget)
    error = refused(lambda: house.press("0.04", code, "program", budget))
    assert (error.cap, error.left, error.limit, error.renews) == ("invitation", Decimal("0.02"), Decimal("0.10"), None)
    for words in ("$0.04", "$0.02 is left of the $0.10", "doesn't renew", "Nothing was charged."):
        assert words in str(error)
    assert found(house, code).words == "$0.02 of $0.10 left"
    house.press("0.04", "", "phone", budget)  # without it, the same browser is a stranger with its own cap
    assert found(house, code).left == Decimal("0.02")


@pytest.mark.parametrize(
    ("renews", "just_before", "at"),
    [
        ("daily", datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)),
        ("weekly", datetime(2026, 11, 29, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        ("monthly", datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        ("never", datetime(2031, 11, 25, tzinfo=UTC), None),
    ],
)
def test_it_renews_at_midnight_utc(house: House, renews: Renewal, just_before: datetime, at: datetime | None) -> None:
    """What was spent before that moment no longer counts, and the refusal named the moment."""
    code = house.invitations.invite("Anna", Decimal("0.05"), renews)
    house.press("0.04", code)
    house.now = just_before
    assert refused(lambda: house.press("0.04", code)).renews == at
    if at:
        house.now = at
        assert found(house, code).left == Decimal("0.05")
        house.press("0.04", code)


def test_the_whole_copy_s_cap_stands_above(house: House) -> None:
    """An invitation with plenty left is refused where everybody together has spent the day's cap."""
    code = house.invitations.invite("Anna", Decimal(5), "never")
    house.press("0.08", "", "stranger")
    assert refused(lambda: house.press("0.04", code, budget=Budget(daily=Decimal("0.10")))).cap == "daily"


def test_invited_means_no_strangers(house: House) -> None:
    """Where the key is for invitations alone, a stranger is refused and a holder is not."""
    code, budget = house.invitations.invite("Anna", Decimal(5), "never"), Budget(access="invited")
    assert "need an invitation" in str(refused(lambda: house.press("0.04", budget=budget)))
    house.press("0.04", code, budget=budget)


def test_what_the_host_does_holds_at_once(house: House) -> None:
    """Paused says so; ended, expired and unknown are told in the same words; a new code ends the old one alone."""
    code = house.invitations.invite("Anna", Decimal(5), "never")
    house.invitations.pause("Anna", paused=True)
    assert "paused" in str(refused(lambda: house.press("0.04", code)))
    house.invitations.pause("Anna", paused=False)
    house.press("0.04", code)
    new = house.invitations.renew_code("Anna")
    assert found(house, new).spent == Decimal("0.04")
    short = house.invitations.invite("Ben", Decimal(5), "daily", NOON + timedelta(hours=1))
    standing = found(house, short)
    assert standing.invitation.renews_at(NOON) is None  # it ends before
    house.invitations.end("Anna")
    house.now += timedelta(hours=1)
    told = set()
    for wrong in (code, new, short, "kx_" + "a" * 32, "", "nonsense", None, 7):
        with pytest.raises(KontextError) as caught:
            house.invitations.find(wrong)
        told.add(str(caught.value))
    assert len(told) == 1 and NOT_VALID in told.pop()


def test_what_ended_between_the_look_and_the_press_spends_nothing(house: House) -> None:
    """The reservation looks again, inside its own transaction."""
    code = house.invitations.invite("Anna", Decimal(5), "never")
    looked = house.invitations.find(code)
    house.invitations.end("Anna")
    usd = Decimal("0.04")
    facts = Facts("1", "ann", "host", "host", NOON, "pro", None, "", {}, 7, 1, (), usd, invitation=looked.invitation.id)
    with pytest.raises(BudgetError, match="isn't valid"):
        house.ledger.reserve([Record(facts, (Entry(1, "m", {}, usd),))], partial(Budget().check, usd, facts))
    assert house.ledger.list_for("ann") == []


@pytest.mark.both(soak=True)
def test_guesses_are_slowed_and_holders_are_not(house: House) -> None:
    """After a few wrong codes from anywhere each must wait; whoever has a right one notices nothing."""
    code = house.invitations.invite("Anna", Decimal(5), "never")
    told = []
    for n in range(40):
        with pytest.raises(KontextError) as caught:
            house.invitations.find(f"kx_{n:032}")
        told.append(caught.value.happened)
        assert found(house, code).left == Decimal(5)
    assert told[:FREE] == [NOT_VALID] * FREE and "Too many failed attempts." in told


def test_the_same_wrong_code_again_is_no_new_guess(house: House) -> None:
    """A page that keeps one which has ended may ask for it all day long, and slows nobody down."""
    for _ in range(10 * FREE):
        with pytest.raises(KontextError, match="isn't valid"):
            house.invitations.find("kx_" + "b" * 32)
    with pytest.raises(KontextError, match="isn't valid"):
        house.invitations.find("kx_" + "c" * 32)


@pytest.mark.parametrize(
    ("name", "usd", "expires"),
    [
        ("", "2", None),
        ("x" * 81, "2", None),
        ("a\nb", "2", None),
        ("Anna", "0", None),
        ("Anna", "-1", None),
        ("Anna", "NaN", None),
        ("Anna", "10001", None),
        ("Anna", "2", NOON),
        ("Taken", "2", None),
    ],
)
def test_what_can_t_be_an_invitation_is_refused(house: House, name: str, usd: str, expires: datetime | None) -> None:
    """Names, amounts and ends have ranges, and an open one's name is taken."""
    house.invitations.invite("Taken", Decimal(1), "never")
    with pytest.raises(KontextError):
        house.invitations.invite(name, Decimal(usd), "never", expires)
    assert [standing.invitation.name for standing in house.invitations.every()] == ["Taken"]


CAPS = {"Anna": 20, "Ben": 20, "ann": 10, "bob": 10, f"{PREFIX}cleo": 15}  # cents a day
EVERYBODY = 50


def passing(presses: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """What goes through of presses that come one after the other."""
    passed: list[tuple[str, int]] = []
    for who, cents in presses:
        own = sum(amount for whose, amount in passed if whose == who)
        if own + cents <= CAPS[who] and sum(amount for _, amount in passed) + cents <= EVERYBODY:
            passed.append((who, cents))
    return passed


@pytest.mark.both(soak=True)  # over two processes of PostgreSQL's it is shown in its own tests
@settings(max_examples=25, deadline=None)
@given(
    presses=st.lists(st.tuples(st.sampled_from(list(CAPS)), st.integers(1, 9)), max_size=40), workers=st.integers(1, 4)
)
def test_no_interleaving_passes_a_cap(
    tmp_path_factory: pytest.TempPathFactory, presses: list[tuple[str, int]], workers: int
) -> None:
    """Two invitations, strangers, a person who is signed in and the cap of all, pressed in any order and at once: each
    sum stays within its cap, and one after the other only what does not fit is refused.
    """
    empty()
    house = House(tmp_path_factory.mktemp("house"))
    codes = {name: house.invitations.invite(name, Decimal("0.20"), "daily") for name in ("Anna", "Ben")}
    budget = Budget(Decimal("0.50"), Decimal("0.10"), Decimal("0.15"))

    def press(asked: tuple[str, int]) -> list[tuple[str, int]]:
        who, cents = asked
        with suppress(BudgetError):
            house.press(f"0.{cents:02}", codes.get(who, ""), "ann" if who in codes else who, budget)
            return [asked]
        return []

    with closing(house.ledger), ThreadPoolExecutor(workers) as pool:
        passed = [one for found in pool.map(press, presses) for one in found]
        with house.ledger.reading() as connection:
            written = Spending(connection).total(NOON)
    sums = {who: sum(cents for whose, cents in passed if whose == who) for who in CAPS}
    assert all(sums[who] <= cap for who, cap in CAPS.items()) and sum(sums.values()) <= EVERYBODY
    assert written == Decimal(sum(sums.values())) / 100
    assert workers > 1 or passed == passing(presses)


def test_guesses_are_answered_alike(house: House) -> None:
    """Unknown, ended, expired, one letter off, malformed: in whatever order, nothing tells which it was."""
    right = house.invitations.invite("Anna", Decimal(1), "never")
    dead = [house.invitations.invite(name, Decimal(1), "never", NOON + timedelta(1)) for name in ("Ben", "Cleo")]
    house.invitations.end("Ben")
    house.now += timedelta(days=2)
    kinds = [*dead, right[:-1] + ("a" if right[-1] != "a" else "b"), right + "a", "kx_", None]
    told: list[Counter[str]] = []
    for kind in kinds:
        house.now += timedelta(days=1)  # every guesser has the same allowance
        told.append(Counter(_told(house, kind, n) for n in range(60)))
    assert all(one == told[0] for one in told) and len(told[0]) > 1
    assert found(house, right).left == Decimal(1)


def _told(house: House, kind: str | None, number: int) -> str:
    """The answer to a guess; every second one is of a code that nobody has had, so that each is a new one."""
    guess = kind if number % 2 else f"kx_{kind}{number:032}"
    with pytest.raises(KontextError) as caught:
        house.invitations.find(guess)
    return str(caught.value)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Invite, list, pause, a new code, end: in the ledger that the app would open."""
    environment = {**os.environ, "KONTEXT_DATA_DIR": str(tmp_path)}

    def said(*arguments: str) -> str:
        main(arguments, environment)
        return capsys.readouterr().out

    invited = said("invite", "--name", "Anna", "--usd", "2", "--renew", "weekly", "--expires", "14d")
    code, once = invited.splitlines()
    assert is_code(code) and f"/#invite={code}" in once
    assert "Anna: open, $2.00 of $2.00 left ($0.00 used, renews weekly, until 20" in said("list")
    assert "Anna: paused" in said("pause", "Anna")
    assert "Anna: open" in said("resume", "Anna")
    assert is_code(said("new-code", "Anna").splitlines()[0])
    assert "Anna: ended" in said("end", "Anna")
    with pytest.raises(KontextError, match="no invitation named 'Anna'"):
        said("end", "Anna")
