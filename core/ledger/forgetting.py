"""What is to be forgotten, and what is left of it: amounts under names that say nothing.

Everything here happens on a connection of `Ledger.reading` or `Ledger.writing`, a run at a time, so that nobody else
waits for long. What a run was about is taken out by `Ledger.delete` alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from core.ledger.pseudonyms import is_pseudonym, pseudonym, random_name
from core.ledger.record import STRANGER
from core.ledger.run import FINISHED
from core.ledger.schema import judges, leaving, predictions, runs, trials, uploads
from core.ledger.spending import UNBILLED, WITH_RUN

PROGRAMS = "api"  # the visitor that all programs without an invitation are
_NOBODY = (STRANGER, PROGRAMS)
_OWN_KEY = "own"  # in the place of a visitor's key's fingerprint

_KEPT = runs.c.deleted_at.is_(None)
_OF_TRIAL = sa.exists().where(trials.c.id == runs.c.comparison_id)
_OTHERS = runs.alias()
_BESIDE = (_OTHERS.c.comparison_id == runs.c.comparison_id) & (_OTHERS.c.visitor == runs.c.visitor)


class Owned(NamedTuple):
    """A run or a trial, and whose it is."""

    visitor: str
    id: str


# what is to go


def old_runs(connection: sa.Connection, before: datetime, given_up: datetime) -> list[Owned]:
    """Runs from before then, oldest first: what has settled, and whatever is older than `given_up`.

    A comparison goes as a whole, once its newest run is as old; a trial's runs go with it.
    """
    younger = sa.exists().where(_BESIDE & (_OTHERS.c.created_at >= before))
    open = sa.exists().where((predictions.c.run_id == runs.c.id) & predictions.c.settled_at.is_(None))
    settled = runs.c.state.in_(FINISHED) & ~open
    old = (runs.c.created_at < before) & ~younger & (settled | (runs.c.created_at < given_up))
    which = _KEPT & ~_OF_TRIAL & (runs.c.visitor != STRANGER) & old
    query = sa.select(runs.c.visitor, runs.c.id).where(which).order_by(runs.c.created_at)
    return [Owned(*row) for row in connection.execute(query)]


def runs_of(connection: sa.Connection, visitor: str, until: datetime) -> list[Owned]:
    """What a visitor pressed until then, but for the runs of trials."""
    which = _KEPT & ~_OF_TRIAL & (runs.c.visitor == visitor) & (runs.c.created_at <= until)
    return [Owned(*row) for row in connection.execute(sa.select(runs.c.visitor, runs.c.id).where(which))]


def under_way(connection: sa.Connection, visitor: str) -> int:
    """How many of the visitor's runs have not ended."""
    which = _KEPT & (runs.c.visitor == visitor) & runs.c.state.not_in(FINISHED)
    return connection.execute(sa.select(sa.func.count()).select_from(runs).where(which)).scalar_one()


def judges_of(connection: sa.Connection, visitor: str) -> int:
    """How many people judge the visitor's trials."""
    joined = judges.join(trials, trials.c.id == judges.c.trial_id)
    query = sa.select(sa.func.count()).select_from(joined).where(trials.c.visitor == visitor)
    return connection.execute(query).scalar_one()


def forget_uploads(connection: sa.Connection, before: datetime) -> None:
    """Drop addresses of uploads that the service no longer keeps."""
    connection.execute(uploads.delete().where(uploads.c.uploaded_at < before))


# what is left


def named(connection: sa.Connection, until: datetime, visitor: str | None = None) -> list[str]:
    """Deleted runs that still have a name of their own: all from until then, or a visitor's."""
    which = ~_KEPT & ~is_pseudonym(runs.c.id) & (runs.c.visitor != STRANGER) & (runs.c.created_at <= until)
    whose = sa.true() if visitor is None else runs.c.visitor == visitor
    return list(connection.execute(sa.select(runs.c.id).where(which, whose)).scalars())


def rename(connection: sa.Connection, run_id: str) -> None:
    """Let the money of a deleted run stay under a pseudonym, with its variant, its time, and who paid."""
    row = connection.execute(sa.select(runs).where(runs.c.id == run_id, ~_KEPT)).mappings().first()
    if row is None:  # another sweep was quicker
        return
    name = random_name()
    visitor = row["visitor"] if row["visitor"] in _NOBODY else pseudonym(row["visitor"])
    account = _OWN_KEY if row["account_kind"] == "own" else row["account_id"]
    connection.execute(runs.insert().values({**row, "id": name, "visitor": visitor, "account_id": account}))
    connection.execute(predictions.update().where(predictions.c.run_id == run_id).values(run_id=name))
    connection.execute(runs.delete().where(runs.c.id == run_id))


def rename_predictions(connection: sa.Connection, since: datetime) -> None:
    """The same for the service's ids of what was renamed; of those since then that a bill is awaited for, later."""
    awaited = UNBILLED & (runs.c.account_kind == "host") & (runs.c.created_at >= since)
    ids = predictions.c.prediction_id
    which = is_pseudonym(runs.c.id) & ids.is_not(None) & ~is_pseudonym(ids) & ~awaited
    query = sa.select(predictions.c.run_id, ids).select_from(WITH_RUN).where(which)
    for run_id, id in connection.execute(query).all():
        one = (predictions.c.run_id == run_id) & (ids == id)
        connection.execute(predictions.update().where(one).values(prediction_id=pseudonym(id)))


# who wants to be forgotten


def leave(connection: sa.Connection, visitor: str, now: datetime) -> None:
    """Write down that everything until now is to go: it is gone on with after a crash, and when a run has ended."""
    arrive(connection, visitor)
    connection.execute(leaving.insert().values(visitor=visitor, asked_at=now))


def who_leave(connection: sa.Connection) -> list[tuple[str, datetime]]:
    """Visitors of whom not everything is gone yet, and since when all of it shall be."""
    return [(row.visitor, row.asked_at) for row in connection.execute(sa.select(leaving))]


def arrive(connection: sa.Connection, visitor: str) -> None:
    """Nothing is to go any more."""
    connection.execute(leaving.delete().where(leaving.c.visitor == visitor))
