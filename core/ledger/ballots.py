"""Judges and their ballots, as the ledger keeps them: a ballot is a row from the start, and a vote fills it in.

Everything here happens on a connection of `Ledger.reading` or `Ledger.writing`. Whether a trial takes votes is asked of
`trials.is_open`, on the connection that then writes one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from core.ledger.schema import ballots
from core.ledger.schema import judges as judges_table

MOST_JUDGES = 50  # of a trial
NAME_CHARACTERS = 40
REMARK_CHARACTERS = 300

_NO_VOTE: Mapping[str, Any] = dict.fromkeys(("voted_at", "best", "worst", "usable", "remark"))


@dataclass(frozen=True)
class Judge:
    """Who votes; `number` counts from 1 within the trial. `named`: the name may stand in the report."""

    id: str
    trial_id: str
    number: int
    name: str
    named: bool
    joined_at: datetime


class Progress(NamedTuple):
    """How many of a judge's ballots have a vote, and how many there are."""

    done: int
    total: int


@dataclass(frozen=True)
class Choice:
    """What a judge said of a ballot, in ids of variants; `best` and `worst` both None: no difference."""

    best: str | None = None
    worst: str | None = None
    usable: frozenset[str] = frozenset()
    remark: str = ""


@dataclass(frozen=True)
class Ballot:
    """One case as one judge is shown it: `take` is which pictures of it, `places` the variants from the first place on.

    A `repeat` only tells whether a judge agrees with themselves. `choice` is None until there is a vote, and `turn` is
    how often one was taken back.
    """

    id: str
    position: int
    case: int
    take: int
    places: tuple[str, ...]
    repeat: bool = False
    choice: Choice | None = None
    voted_at: datetime | None = None
    turn: int = 0


def judges(connection: sa.Connection, trial_id: str) -> list[Judge]:
    """Those of a trial, in the order in which they came; nobody who was removed."""
    query = sa.select(judges_table).where(_there(trial_id)).order_by(judges_table.c.number)
    return [_judge(row) for row in connection.execute(query).mappings()]


def join(
    connection: sa.Connection,
    trial_id: str,
    token_hash: str,
    name: str,
    named: bool,
    now: datetime,
    plan: Callable[[int], Sequence[Ballot]],
) -> Judge | None:
    """Write down one more judge, with the ballots that `plan` makes of the judge's number; None: there are enough."""
    there = sa.select(sa.func.count()).select_from(judges_table).where(_there(trial_id))
    if connection.execute(there).scalar_one() >= MOST_JUDGES:
        return None
    numbers = sa.select(sa.func.coalesce(sa.func.max(judges_table.c.number), 0) + 1)
    number = connection.execute(numbers.where(judges_table.c.trial_id == trial_id)).scalar_one()
    judge = Judge(uuid.uuid4().hex, trial_id, number, name, named, now)
    connection.execute(judges_table.insert().values(vars(judge) | {"token_hash": token_hash}))
    for ballot in plan(number):
        connection.execute(ballots.insert().values(_row(ballot, judge)))
    return judge


def remove(connection: sa.Connection, trial_id: str, number: int, now: datetime) -> bool:
    """Take a judge's place away: their token opens nothing any more, and their votes don't count. False: nobody's."""
    which = _there(trial_id) & (judges_table.c.number == number)
    gone = {"removed_at": now, "token_hash": judges_table.c.id}  # their browser may come in with it once more
    return connection.execute(judges_table.update().where(which).values(gone)).rowcount == 1


def votes_removed(connection: sa.Connection, trial_id: str) -> list[int]:
    """How many votes each judge had given who was removed."""
    gone = (judges_table.c.trial_id == trial_id) & judges_table.c.removed_at.is_not(None)
    query = sa.select(judges_table.c.id).where(gone).order_by(judges_table.c.number)
    given = counts(connection, trial_id)
    return [given.get(judge_id, (0, 0))[0] for judge_id in connection.execute(query).scalars()]


def by_token(connection: sa.Connection, token_hash: str) -> Judge | None:
    """Whose token that is the hash of."""
    query = sa.select(judges_table).where(judges_table.c.token_hash == token_hash, judges_table.c.removed_at.is_(None))
    row = connection.execute(query).mappings().first()
    return None if row is None else _judge(row)


def of_judge(connection: sa.Connection, judge_id: str) -> list[Ballot]:
    """The judge's ballots in their order, with the votes."""
    query = sa.select(ballots).where(ballots.c.judge_id == judge_id).order_by(ballots.c.position)
    return [_ballot(row) for row in connection.execute(query).mappings()]


def find(connection: sa.Connection, ballot_id: str) -> tuple[str, Ballot] | None:
    """The ballot of that id, of whoever has a place, and the trial that it belongs to."""
    whose = (judges_table.c.id == ballots.c.judge_id) & judges_table.c.removed_at.is_(None)
    query = sa.select(ballots).join(judges_table, whose).where(ballots.c.id == ballot_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else (row["trial_id"], _ballot(row))


def progress(connection: sa.Connection, judge_id: str) -> Progress:
    """How far a judge is."""
    query = sa.select(sa.func.count(ballots.c.voted_at), sa.func.count()).where(ballots.c.judge_id == judge_id)
    return Progress(*connection.execute(query).one())


def vote(
    connection: sa.Connection, judge_id: str, ballot_id: str, choice: Choice, now: datetime, turn: int | None = None
) -> bool:
    """Write a vote; where there is one already it stands, and nothing happens. False: the judge has no such ballot.

    One that was given in an earlier `turn` of the ballot was taken back meanwhile, and stays so.
    """
    mine = (ballots.c.id == ballot_id) & (ballots.c.judge_id == judge_id)
    said = {"best": choice.best, "worst": choice.worst, "usable": sorted(choice.usable), "remark": choice.remark}
    empty = mine & ballots.c.voted_at.is_(None) & _in(turn)
    change = ballots.update().where(empty).values(said | {"voted_at": now})
    if connection.execute(change).rowcount:
        return True
    return connection.execute(sa.select(ballots.c.id).where(mine)).first() is not None


def undo(connection: sa.Connection, judge_id: str, ballot_id: str | None = None, turn: int | None = None) -> bool:
    """Take back the vote on that ballot of the judge's, or the latest; False where there is none, or another `turn`.

    A ballot whose turn is named goes to its next one even where no vote had come, so that none comes late.
    """
    if ballot_id is None:
        voted = [ballot for ballot in of_judge(connection, judge_id) if ballot.choice]
        latest = max(voted, key=lambda ballot: (ballot.voted_at, ballot.position), default=None)
        ballot_id = latest.id if latest else None
    which = (ballots.c.id == ballot_id) & (ballots.c.judge_id == judge_id)
    which &= ballots.c.voted_at.is_not(None) if turn is None else _in(turn)
    change = ballots.update().where(which).values({**_NO_VOTE, "turn": ballots.c.turn + 1})
    return connection.execute(change).rowcount == 1


def voted(connection: sa.Connection, trial_id: str) -> list[tuple[Judge, Ballot]]:
    """Every ballot of a trial that has a vote, judge by judge; none of whom was removed."""
    query = sa.select(ballots).where(ballots.c.trial_id == trial_id, ballots.c.voted_at.is_not(None))
    known = {judge.id: judge for judge in judges(connection, trial_id)}
    found = connection.execute(query).mappings()
    told = [(known[row["judge_id"]], _ballot(row)) for row in found if row["judge_id"] in known]
    return sorted(told, key=lambda one: (one[0].number, one[1].position))


def counts(connection: sa.Connection, trial_id: str) -> dict[str, Progress]:
    """How far each judge is, by the judge's id."""
    query = sa.select(ballots.c.judge_id, sa.func.count(ballots.c.voted_at), sa.func.count())
    told = connection.execute(query.where(ballots.c.trial_id == trial_id).group_by(ballots.c.judge_id))
    return {judge_id: Progress(votes, total) for judge_id, votes, total in told}


def _there(trial_id: str) -> sa.ColumnElement[bool]:
    return (judges_table.c.trial_id == trial_id) & judges_table.c.removed_at.is_(None)


def _in(turn: int | None) -> sa.ColumnElement[bool]:
    return sa.true() if turn is None else ballots.c.turn == turn


def _judge(row: Mapping[Any, Any]) -> Judge:
    return Judge(**{name: value for name, value in row.items() if name not in ("token_hash", "removed_at")})


def _row(ballot: Ballot, judge: Judge) -> dict[str, Any]:
    return {
        "id": ballot.id,
        "trial_id": judge.trial_id,
        "judge_id": judge.id,
        "position": ballot.position,
        "case_number": ballot.case,
        "take": ballot.take,
        "places": list(ballot.places),
        "again": ballot.repeat,
        "turn": ballot.turn,
        **_NO_VOTE,
    }


def _ballot(row: Mapping[Any, Any]) -> Ballot:
    choice = Choice(row["best"], row["worst"], frozenset(row["usable"] or ()), row["remark"] or "")
    return Ballot(
        id=row["id"],
        position=row["position"],
        case=row["case_number"],
        take=row["take"],
        places=tuple(row["places"]),
        repeat=row["again"],
        choice=choice if row["voted_at"] else None,
        voted_at=row["voted_at"],
        turn=row["turn"],
    )
