"""Which replica of the app works on what: a run that has not ended, and a trial in the making, is one's alone.

A replica is known while its row is here, and renews it; of one that has not for too long the row goes, and all of its
own is free, whoever sees to it. Each time a run changes hands its fence is raised: what is written with a lower one
comes from somebody who was thought dead, and is refused (fencing).

Everything here happens on a connection of `Ledger.writing(LOCK)`, at the moment that the database's clock shows.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from core.ledger.engines import upsert
from core.ledger.faults import GONE, OUT_OF_TOUCH, Fenced, error
from core.ledger.news import CHANGED, notify
from core.ledger.schema import replicas, runs, trials

LOCK = "leases"


def begin(connection: sa.Connection, replica: str, until: datetime) -> None:
    """Make a replica known until then."""
    upsert(connection, replicas, {"id": replica, "until": until})


def renew(connection: sa.Connection, replica: str, until: datetime) -> bool:
    """Keep it known until then. False: it is not any more, and all that was its own may be another's by now."""
    change = replicas.update().where(replicas.c.id == replica).values(until=until)
    return connection.execute(change).rowcount == 1


def free(connection: sa.Connection, now: datetime) -> None:
    """Forget the replicas that were to be known until a moment that has passed, and free what was theirs."""
    connection.execute(replicas.delete().where(replicas.c.until <= now))
    _free(connection, runs.c.owner.not_in(sa.select(replicas.c.id)), trials.c.owner.not_in(sa.select(replicas.c.id)))


def count(connection: sa.Connection) -> int:
    """How many replicas are known."""
    return connection.execute(sa.select(sa.func.count()).select_from(replicas)).scalar_one()


def leave(connection: sa.Connection, replica: str) -> None:
    """The same of one replica, now."""
    connection.execute(replicas.delete().where(replicas.c.id == replica))
    _free(connection, runs.c.owner == replica, trials.c.owner == replica)


def take_run(connection: sa.Connection, run_id: str, fence: int, replica: str | None) -> int | None:
    """Make a run this replica's own; its new fence, or None where it is another's, or was since that fence.

    Whoever has no name is alone.
    """
    which = (runs.c.id == run_id) & (runs.c.fence == fence) & _open_to(runs.c.owner, replica)
    change = runs.update().where(which).values(owner=replica, fence=runs.c.fence + 1).returning(runs.c.fence)
    return connection.execute(change).scalar()


def take_trial(connection: sa.Connection, trial_id: str, replica: str | None) -> bool:
    """Make a trial this replica's own to make; False where it is another's."""
    which = (trials.c.id == trial_id) & _open_to(trials.c.owner, replica)
    return connection.execute(trials.update().where(which).values(owner=replica)).rowcount == 1


def release_trial(connection: sa.Connection, trial_id: str, replica: str) -> None:
    """Let others make a trial of this replica's."""
    mine = (trials.c.id == trial_id) & (trials.c.owner == replica)
    connection.execute(trials.update().where(mine).values(owner=None))


def insist(connection: sa.Connection, replica: str) -> None:
    """Whoever reserves must be known; nobody ends that before this transaction has ended.

    Raises:
        Fenced: it is not.
    """
    known = sa.select(replicas.c.id).where(replicas.c.id == replica).with_for_update(read=True, key_share=True)
    if connection.execute(known).first() is None:
        raise error(OUT_OF_TOUCH, Fenced)


def hold(connection: sa.Connection, run_id: str, fence: int) -> None:
    """Nobody takes a run over before this transaction has ended, of which whoever shows the run is told.

    Raises:
        Fenced: somebody has done so already.
    """
    mine = sa.select(runs.c.fence, notify(CHANGED, runs.c.id)).where(runs.c.id == run_id)
    found = connection.execute(mine.with_for_update()).scalar()
    if found is not None and found != fence:
        raise error(GONE, Fenced)


def _open_to(owner: sa.ColumnElement[str | None], replica: str | None) -> sa.ColumnElement[bool]:
    return sa.true() if replica is None else owner.is_(None) | (owner == replica)


def _free(connection: sa.Connection, of_runs: sa.ColumnElement[bool], of_trials: sa.ColumnElement[bool]) -> None:
    # What has no owner is not touched: `NULL NOT IN (…)` is not true.
    connection.execute(runs.update().where(of_runs).values(owner=None, fence=runs.c.fence + 1))
    connection.execute(trials.update().where(of_trials).values(owner=None))
