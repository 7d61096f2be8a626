"""Trials, as the ledger keeps them: what is to be found out, how far it has come, and which pictures it is about.

Everything here happens on a connection of `Ledger.reading` or `Ledger.writing`; what belongs together is done on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from core.ledger import rows
from core.ledger.schema import ballots, judges, runs, trial_pictures, trials
from core.pictures.reference import Reference
from core.service.account import AccountKind

State = Literal["draft", "sealed", "making", "open", "closed"]


@dataclass(frozen=True)
class Case:
    """The same for every variant. `parameters` are those that any of the variants has, and `seeds` for a second picture
    of each; from the seal on `seeds` is always there, each drawn.
    """

    prompt: str
    references: tuple[Reference, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def takes(self) -> int:
        """How many pictures each variant makes of it."""
        return len(self.parameters.get("seeds", (-1,)))


@dataclass(frozen=True)
class Spec:
    """What a trial is to find out, and by which rules; cases are numbered from 1.

    `judges`: how many are expected. `margin`: how many pictures in 100 a cheaper variant may be worse and still be
    taken. `closes_at` is None where its host closes it by hand.
    """

    title: str = ""
    question: str = ""
    variants: tuple[str, ...] = ()
    cases: tuple[Case, ...] = ()
    judges: int = 5
    margin: int = 10
    min_cases: int = 8
    min_judges: int = 3
    closes_at: datetime | None = None


@dataclass(frozen=True)
class Trial:
    """A trial as it stands. `sealed` is the text that `seal` is the SHA-256 of; both are None of a draft.

    `withdrawn` are the cases that count for no variant: {case, reason, failed}, `failed` being ids of variants.
    `invites`: whether any code lets judges in. `looked_at`: when somebody first saw results before the closing.
    `invitation` is the host's under which it is paid for.
    """

    id: str
    visitor: str
    account_id: str
    account_kind: AccountKind
    created_at: datetime
    spec: Spec
    state: State = "draft"
    sealed: str | None = None
    seal: str | None = None
    sealed_at: datetime | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    looked_at: datetime | None = None
    withdrawn: tuple[Mapping[str, Any], ...] = ()
    invites: bool = False
    invitation: str | None = None

    @property
    def late(self) -> bool:
        """Whether its date had passed before anybody could vote, so that its host closes it by hand."""
        return bool(self.opened_at and self.spec.closes_at and self.spec.closes_at <= self.opened_at)

    @property
    def practice(self) -> bool:
        """Whether no model makes its pictures."""
        return self.account_kind == "sandbox"

    @property
    def standing(self) -> tuple[int, ...]:
        """The numbers of the cases that were not withdrawn."""
        gone = {row["case"] for row in self.withdrawn}
        return tuple(number for number in range(1, len(self.spec.cases) + 1) if number not in gone)


@dataclass(frozen=True)
class Picture:
    """A file of an open trial. `id` is random and says nothing; `variant` is None of a reference.

    `number` is which picture of that variant in the case it is, or the place of the reference; both from 1.
    """

    id: str
    case: int
    variant: str | None
    number: int
    path: Path
    sha256: str
    run_id: str | None = None


@dataclass(frozen=True)
class Unpaid:
    """A trial that nothing was paid for, with the ids of its runs. `used`: when it was last touched, by judges too."""

    trial: Trial
    run_ids: list[str]
    used: datetime


# reading


def find(connection: sa.Connection, visitor: str, trial_id: str, home: Path) -> Trial | None:
    """The visitor's trial of that id."""
    return _one(connection, (trials.c.id == trial_id) & (trials.c.visitor == visitor), home)


def by_id(connection: sa.Connection, trial_id: str, home: Path) -> Trial | None:
    """The trial of that id, whoever asks: never with an id that came from outside."""
    return _one(connection, trials.c.id == trial_id, home)


def by_code(connection: sa.Connection, code_hash: str, now: datetime, home: Path) -> Trial | None:
    """The open trial that the code of that hash lets judges in to."""
    return _one(connection, (trials.c.code_hash == code_hash) & _open(now), home)


def every(connection: sa.Connection, visitor: str, home: Path) -> list[Trial]:
    """The visitor's trials, newest first."""
    return _all(connection, trials.c.visitor == visitor, home)


def unmade(connection: sa.Connection, account_id: str, home: Path) -> list[Trial]:
    """Those of an account that are sealed, and not all made."""
    return _all(connection, (trials.c.account_id == account_id) & trials.c.state.in_(("sealed", "making")), home)


def owner(connection: sa.Connection, trial_id: str) -> str | None:
    """The replica that makes it."""
    return connection.execute(sa.select(trials.c.owner).where(trials.c.id == trial_id)).scalar()


def ids(connection: sa.Connection) -> set[str]:
    """Those of all trials."""
    return set(connection.execute(sa.select(trials.c.id)).scalars())


def orphans(connection: sa.Connection) -> list[tuple[str, str]]:
    """Visitor and id of each run that was left behind by a trial."""
    of_trial = runs.c.deleted_at.is_(None) & (runs.c.cell["axis"].as_string() == "trial")
    query = sa.select(runs.c.visitor, runs.c.id).where(of_trial, runs.c.comparison_id.not_in(sa.select(trials.c.id)))
    return [(row.visitor, row.id) for row in connection.execute(query)]


def unpaid(connection: sa.Connection, home: Path) -> list[Unpaid]:
    """Drafts, and practice trials that are not being made."""
    practice = (trials.c.account_kind == "sandbox") & trials.c.state.in_(("open", "closed"))
    found = _all(connection, practice | (trials.c.state == "draft"), home)
    of_trial = sa.select(runs.c.id, runs.c.comparison_id).where(runs.c.comparison_id.in_([trial.id for trial in found]))
    told = connection.execute(of_trial).all()
    return [
        Unpaid(trial, [row.id for row in told if row.comparison_id == trial.id], _used(connection, trial))
        for trial in found
    ]


def idle(connection: sa.Connection, before: datetime, given_up: datetime, home: Path) -> list[Trial]:
    """Those that nobody has touched since then, and those that are not made though they should be since `given_up`."""
    unmade = trials.c.state.in_(("sealed", "making"))
    which = (trials.c.created_at < before) & (~unmade | (trials.c.sealed_at < given_up))
    return [trial for trial in _all(connection, which, home) if _used(connection, trial) < before]


def is_open(connection: sa.Connection, trial_id: str, now: datetime) -> bool:
    """Whether it takes votes. Asked in the transaction that writes one, it holds to the last moment."""
    return connection.execute(sa.select(trials.c.id).where(trials.c.id == trial_id, _open(now))).first() is not None


def pictures(connection: sa.Connection, trial_id: str, home: Path, case: int | None = None) -> list[Picture]:
    """All of an open trial, or of one case of it, references too, case by case."""
    columns = trial_pictures.c
    query = sa.select(trial_pictures).where(columns.trial_id == trial_id)
    if case is not None:
        query = query.where(columns.case_number == case)
    order = (columns.case_number, columns.variant_id.nulls_first(), columns.number)
    return [_picture(row, home) for row in connection.execute(query.order_by(*order)).mappings()]


def drafts(connection: sa.Connection, visitor: str) -> int:
    """How many of the visitor's are drafts."""
    mine = (trials.c.visitor == visitor) & (trials.c.state == "draft")
    return int(connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one())


# writing


def put(connection: sa.Connection, trial: Trial, home: Path) -> bool:
    """Write a draft, new or in the place of an older one; False where there is no such draft any more."""
    row = {name: getattr(trial, name) for name in _COLUMNS} | _spec_row(trial.spec, home) | {"withdrawn": []}
    known = connection.execute(sa.select(trials.c.state, trials.c.visitor).where(trials.c.id == trial.id)).first()
    if known is None:
        connection.execute(trials.insert().values(row))
    elif tuple(known) == ("draft", trial.visitor):
        connection.execute(trials.update().where(trials.c.id == trial.id).values(row))
    else:
        return False
    return True


def move(connection: sa.Connection, trial_id: str, before: State, after: State, **columns: Any) -> bool:
    """Bring it from one state to the next, with what that brings; False where it was not in that state."""
    which = (trials.c.id == trial_id) & (trials.c.state == before)
    return connection.execute(trials.update().where(which).values(state=after, **columns)).rowcount == 1


def change(connection: sa.Connection, trial_id: str, **columns: Any) -> None:
    """Write these columns of it anew."""
    connection.execute(trials.update().where(trials.c.id == trial_id).values(columns))


def seal(connection: sa.Connection, draft: Trial, spec: Spec, home: Path, **columns: Any) -> bool:
    """Seal a draft with what was drawn for it; False where it is not, or no longer, this very draft."""
    as_it_is = find(connection, draft.visitor, draft.id, home) == draft
    return as_it_is and move(connection, draft.id, "draft", "sealed", **_spec_row(spec, home), **columns)


def unseal(connection: sa.Connection, trial_id: str) -> None:
    """Make a draft of it again, where nothing was reserved."""
    reserved = sa.select(runs.c.id).where(runs.c.comparison_id == trial_id)
    if connection.execute(reserved).first() is None:
        move(connection, trial_id, "sealed", "draft", **dict.fromkeys(("sealed", "seal", "sealed_at", "code_hash")))


def close_due(connection: sa.Connection, now: datetime) -> None:
    """Close what has come to its date."""
    due = (trials.c.state == "open") & ~_open(now)
    connection.execute(trials.update().where(due).values(state="closed", closed_at=trials.c.closes_at, code_hash=None))


def add_pictures(connection: sa.Connection, trial_id: str, added: Iterable[Picture], home: Path) -> None:
    """Write which files the trial is about."""
    for one in added:
        row = rows.with_relative_path(one, home)
        named = {"trial_id": trial_id, "case_number": row.pop("case"), "variant_id": row.pop("variant")}
        connection.execute(trial_pictures.insert().values(row | named))


def delete(connection: sa.Connection, trial_id: str, state: State) -> bool:
    """Take it out of the ledger, with its votes and its judges' names; its runs are left for `Ledger.delete`.

    False where it is not, or no longer, in that state.
    """
    if not move(connection, trial_id, state, state):
        return False
    for table in (ballots, judges, trial_pictures):
        connection.execute(table.delete().where(table.c.trial_id == trial_id))
    connection.execute(trials.delete().where(trials.c.id == trial_id))
    return True


# inside

_COLUMNS = ("id", "visitor", "account_id", "account_kind", "invitation", "created_at", "state")
_READ = (*_COLUMNS, "sealed", "seal", "sealed_at", "opened_at", "closed_at", "looked_at")
_RULES = ("title", "question", "judges", "margin", "min_cases", "min_judges")


def _open(now: datetime) -> sa.ColumnElement[bool]:
    """A date that passed before the pictures were made closes nothing: what was paid for can be judged."""
    closes, opened = trials.c.closes_at, trials.c.opened_at
    late = opened.is_not(None) & (closes <= opened)
    return (trials.c.state == "open") & (closes.is_(None) | (closes > now) | late)


def _used(connection: sa.Connection, trial: Trial) -> datetime:
    """When somebody last did something with it: its host, or a judge."""
    joined = sa.select(sa.func.max(judges.c.joined_at, type_=judges.c.joined_at.type))
    voted = sa.select(sa.func.max(ballots.c.voted_at, type_=ballots.c.voted_at.type))
    judged = (
        connection.execute(joined.where(judges.c.trial_id == trial.id)).scalar(),
        connection.execute(voted.where(ballots.c.trial_id == trial.id)).scalar(),
    )
    used: datetime = max(filter(None, (trial.created_at, trial.sealed_at, trial.opened_at, trial.closed_at, *judged)))
    return used


def _one(connection: sa.Connection, which: sa.ColumnElement[bool], home: Path) -> Trial | None:
    return next(iter(_all(connection, which, home)), None)


def _all(connection: sa.Connection, which: sa.ColumnElement[bool], home: Path) -> list[Trial]:
    query = sa.select(trials).where(which).order_by(trials.c.created_at.desc(), trials.c.id)
    return [_trial(row, home) for row in connection.execute(query).mappings()]


def _trial(row: Mapping[Any, Any], home: Path) -> Trial:
    return Trial(
        **{name: row[name] for name in _READ},
        spec=_spec(row, home),
        withdrawn=tuple(row["withdrawn"]),
        invites=row["code_hash"] is not None,
    )


def _spec_row(spec: Spec, home: Path) -> dict[str, Any]:
    cases = [
        {
            "prompt": case.prompt,
            "references": [rows.with_relative_path(reference, home) for reference in case.references],
            "parameters": dict(case.parameters),
        }
        for case in spec.cases
    ]
    rules = {name: getattr(spec, name) for name in _RULES}
    return {"spec": {**rules, "variants": list(spec.variants), "cases": cases}, "closes_at": spec.closes_at}


def _spec(row: Mapping[Any, Any], home: Path) -> Spec:
    spec = row["spec"]
    cases = tuple(
        Case(
            case["prompt"],
            tuple(rows.reference(given, home) for given in case["references"]),
            case["parameters"],
        )
        for case in spec["cases"]
    )
    rules = {name: spec[name] for name in _RULES}
    return Spec(**rules, variants=tuple(spec["variants"]), cases=cases, closes_at=row["closes_at"])


def _picture(row: Mapping[Any, Any], home: Path) -> Picture:
    return Picture(
        id=row["id"],
        case=row["case_number"],
        variant=row["variant_id"],
        number=row["number"],
        path=home / row["path"],
        sha256=row["sha256"],
        run_id=row["run_id"],
    )
