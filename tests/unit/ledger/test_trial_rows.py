"""Trials, judges and ballots in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from databases import open_ledger

from core.ledger import ballots, trials
from core.ledger.ballots import MOST_JUDGES, Ballot, Choice
from core.ledger.ledger import Ledger
from core.ledger.trials import Case, Picture, Spec, Trial
from core.pictures.reference import Reference

pytestmark = pytest.mark.both

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(tmp_path, timeout=0.2, mounted="")
    yield ledger
    ledger.close()


def a_trial(home: Path, trial_id: str = "one", closes_at: datetime | None = None) -> Trial:
    reference = Reference(home / "trials" / trial_id / "a.jpg", "a" * 64, "image/jpeg", 64, 48, role="product")
    cases = (Case("a cup", (reference,), {"seeds": [7, 8]}), Case("a hat", (reference,)))
    spec = Spec("Cups", "Which one?", ("pro", "max"), cases, closes_at=closes_at)
    return Trial(trial_id, "ann", "host", "host", NOW, spec)


def opened(ledger: Ledger, trial_id: str = "one", closes_at: datetime | None = None) -> None:
    with ledger.writing() as connection:
        assert trials.put(connection, a_trial(ledger.home, trial_id, closes_at), ledger.home)
        assert trials.move(connection, trial_id, "draft", "open", code_hash=f"hash of {trial_id}")


def plan(number: int) -> list[Ballot]:
    """Two ballots and a repeat, the variants in places of the judge's own."""
    places = ("pro", "max") if number % 2 else ("max", "pro")
    return [Ballot(f"{number}-{n}", n, n % 2 + 1, 1, places, repeat=n == 2) for n in range(3)]


def join(ledger: Ledger, name: str, trial_id: str = "one") -> ballots.Judge:
    with ledger.writing() as connection:
        judge = ballots.join(connection, trial_id, f"token of {name}", name, True, NOW, plan)
    assert judge is not None
    return judge


def test_a_trial_comes_back_as_it_was_written(ledger: Ledger) -> None:
    """Cases, references, parameters and rules are the same after reading; two seeds make two pictures of a variant."""
    trial = a_trial(ledger.home, closes_at=LATER)
    with ledger.writing() as connection:
        assert trials.put(connection, trial, ledger.home)
    with ledger.reading() as connection:
        assert trials.find(connection, "ann", "one", ledger.home) == trial
        assert trials.every(connection, "ann", ledger.home) == [trial]
        assert trials.find(connection, "bob", "one", ledger.home) is None
    assert [case.takes for case in trial.spec.cases] == [2, 1]


def test_only_a_draft_of_ones_own_is_written_anew(ledger: Ledger) -> None:
    """A draft takes the place of the older one, and is sealed as it is or not at all; another visitor's, and one that
    is sealed, stays as it is.
    """
    trial = a_trial(ledger.home)
    changed = replace(trial, spec=replace(trial.spec, title="Hats"))
    with ledger.writing() as connection:
        assert trials.put(connection, trial, ledger.home)
        assert not trials.put(connection, replace(changed, visitor="bob"), ledger.home)
        assert trials.put(connection, changed, ledger.home)
        assert not trials.seal(connection, trial, trial.spec, ledger.home, seal="of what it was")
        assert trials.seal(connection, changed, changed.spec, ledger.home, seal="5ea1")
        assert not trials.seal(connection, changed, changed.spec, ledger.home, seal="other")
        assert not trials.put(connection, trial, ledger.home)
        found = trials.by_id(connection, "one", ledger.home)
        assert found is not None
        assert (found.spec.title, found.state, found.seal) == ("Hats", "sealed", "5ea1")


def test_a_code_opens_one_trial_while_that_is_open(ledger: Ledger) -> None:
    """Until its date, to the second; a code that was taken away, or never was, opens nothing."""
    opened(ledger, "one", closes_at=LATER)
    opened(ledger, "two")
    with ledger.writing() as connection:
        found = trials.by_code(connection, "hash of one", NOW, ledger.home)
        assert found is not None
        assert (found.id, found.invites) == ("one", True)
        assert trials.by_code(connection, "hash of one", LATER, ledger.home) is None
        assert [trials.is_open(connection, "one", when) for when in (NOW, LATER)] == [True, False]
        trials.change(connection, "two", code_hash=None)
        assert trials.by_code(connection, "hash of two", NOW, ledger.home) is None
        trials.close_due(connection, LATER)
        closed = trials.by_id(connection, "one", ledger.home)
        assert closed is not None
        assert (closed.state, closed.closed_at, closed.invites) == ("closed", LATER, False)
        assert trials.is_open(connection, "two", LATER)


def test_judges_are_numbered_until_there_are_enough(ledger: Ledger) -> None:
    """Each has ballots of their own, found by their token; the fifty-first is not written down."""
    opened(ledger)
    ann, bob = join(ledger, "Ann"), join(ledger, "Bob")
    with ledger.writing() as connection:
        assert ballots.by_token(connection, "token of Bob") == bob
        assert ballots.by_token(connection, "token of nobody") is None
        assert [one.places for one in ballots.of_judge(connection, ann.id)] == [("pro", "max")] * 3
        for number in range(3, MOST_JUDGES + 1):
            assert ballots.join(connection, "one", f"token {number}", "", False, NOW, lambda _: [])
        assert ballots.join(connection, "one", "one more", "", False, NOW, lambda _: []) is None
        assert [judge.number for judge in ballots.judges(connection, "one")] == list(range(1, MOST_JUDGES + 1))


def test_a_vote_counts_once(ledger: Ledger) -> None:
    """The first one stands when it is sent again; a judge votes on their own ballots alone; undo opens the latest."""
    opened(ledger)
    ann, bob = join(ledger, "Ann"), join(ledger, "Bob")
    said = Choice("pro", "max", frozenset({"pro"}), "sharp")
    with ledger.writing() as connection:
        assert ballots.vote(connection, ann.id, "1-0", said, NOW)
        assert ballots.vote(connection, ann.id, "1-0", Choice("max", "pro"), LATER)
        assert ballots.vote(connection, ann.id, "1-1", Choice(), NOW)
        assert not ballots.vote(connection, bob.id, "1-2", said, NOW)
        told = ballots.voted(connection, "one")
        assert [(judge.number, ballot.case, ballot.choice) for judge, ballot in told] == [
            (1, 1, said),
            (1, 2, Choice()),
        ]
        assert ballots.counts(connection, "one") == {ann.id: (2, 3), bob.id: (0, 3)}
        assert ballots.undo(connection, ann.id)
        assert [ballot.choice for ballot in ballots.of_judge(connection, ann.id)] == [said, None, None]
        assert not ballots.undo(connection, bob.id)


def test_what_comes_late_changes_nothing(ledger: Ledger) -> None:
    """A vote or an undo that is sent again after a later one belongs to an earlier turn of its ballot."""
    opened(ledger)
    ann = join(ledger, "Ann")
    first, second = Choice("pro", "max"), Choice("max", "pro")

    def said() -> Choice | None:
        return ballots.of_judge(connection, ann.id)[0].choice

    with ledger.writing() as connection:
        ballots.vote(connection, ann.id, "1-0", first, NOW, turn=0)
        assert ballots.undo(connection, ann.id, "1-0", turn=0)
        assert ballots.vote(connection, ann.id, "1-0", first, NOW, turn=0)
        assert said() is None
        ballots.vote(connection, ann.id, "1-0", second, LATER, turn=1)
        assert not ballots.undo(connection, ann.id, "1-0", turn=0)
        assert said() == second
        assert ballots.undo(connection, ann.id, "1-1", turn=0)  # its vote has not come yet, and comes too late
        ballots.vote(connection, ann.id, "1-1", first, LATER, turn=0)
        assert ballots.counts(connection, "one") == {ann.id: (1, 3)}


def test_a_judge_who_is_removed_leaves_a_place(ledger: Ledger) -> None:
    """Their token and their ballots open nothing, their votes are left out and counted; the next one is let in."""
    opened(ledger)
    ann, bob = join(ledger, "Ann"), join(ledger, "Bob")
    with ledger.writing() as connection:
        for number in range(3, MOST_JUDGES + 1):
            assert ballots.join(connection, "one", f"token {number}", "", False, NOW, lambda _: [])
        for judge in (ann, bob):
            assert ballots.vote(connection, judge.id, f"{judge.number}-0", Choice("pro", "max"), NOW)
        assert [ballots.remove(connection, "one", number, LATER) for number in (1, 1, 99)] == [True, False, False]
        assert not ballots.remove(connection, "two", 2, LATER)
        assert ballots.by_token(connection, "token of Ann") is None
        assert [ballots.find(connection, id) is None for id in ("1-0", "2-0")] == [True, False]
        assert [judge.number for judge, _ in ballots.voted(connection, "one")] == [2]
        assert ballots.votes_removed(connection, "one") == [1]
        carol = ballots.join(connection, "one", "token of Carol", "", False, LATER, lambda _: [])
        assert carol and carol.number == MOST_JUDGES + 1
        assert ballots.join(connection, "one", "one more", "", False, LATER, lambda _: []) is None


def test_nothing_of_a_deleted_trial_is_left(ledger: Ledger) -> None:
    """Its pictures, votes and names go; those of another trial stay."""
    opened(ledger, "one")
    opened(ledger, "two")
    shown = Picture("p", 1, None, 1, ledger.home / "trials" / "one" / "a.jpg", "a" * 64)
    made = Picture("q", 1, "pro", 1, ledger.home / "outputs" / "r" / "a.png", "b" * 64, "r")
    ann = join(ledger, "Ann", "one")
    with ledger.writing() as connection:
        trials.add_pictures(connection, "one", [made, shown], ledger.home)
        assert trials.pictures(connection, "one", ledger.home) == [shown, made]
        assert ballots.vote(connection, ann.id, "1-0", Choice("pro", "max"), NOW)
        assert not trials.delete(connection, "one", "draft")
        assert trials.delete(connection, "one", "open")
        assert trials.pictures(connection, "one", ledger.home) == []
        assert ballots.voted(connection, "one") == []
        assert ballots.by_token(connection, "token of Ann") is None
        assert trials.by_id(connection, "two", ledger.home)
