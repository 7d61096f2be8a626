"""What the service said when it called back, beside the prediction that it was asked to call about.

Everything here happens on a connection of `Ledger.reading` or `Ledger.writing`. Nothing of it is proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.ledger import rows
from core.ledger.news import ASKED, notify
from core.ledger.record import NOT_CREATED, SUBMITTING, Entry
from core.ledger.run import FINISHED
from core.ledger.schema import predictions, runs
from core.ledger.spending import WITH_RUN

MOST = 5  # times that what is said under one word may change; the service repeats itself up to three times (D)
RECENT = 5  # submits that tell whether calls arrive

_OTHERS = predictions.alias()
_KEPT = runs.c.deleted_at.is_(None)
_LOST = predictions.c.prediction_id.is_(None) & predictions.c.status.in_((SUBMITTING, NOT_CREATED))


@dataclass(frozen=True)
class Call:
    """The entry that a call is about, and the prediction's id that the last one `told`."""

    visitor: str
    account_id: str
    run_id: str
    entry: Entry
    told: str | None


def find(connection: sa.Connection, callback: str, home: Path) -> Call | None:
    """The entry that has this hash; None for one that no run has that is kept."""
    found = _calls(connection, predictions.c.callback == callback, home)
    return found[0] if found else None


def unresolved(connection: sa.Connection, account_id: str, home: Path) -> list[Call]:
    """Of runs that have ended: submits that were never answered, and of which a call told since."""
    ended = (runs.c.account_id == account_id) & runs.c.state.in_(FINISHED)
    return _calls(connection, ended & _LOST & predictions.c.told.is_not(None), home)


def tell(connection: sa.Connection, callback: str, prediction_id: str) -> bool:
    """Write down which prediction a call named; False where that was said before, or too much was."""
    news = (sa.func.coalesce(predictions.c.told, "") != prediction_id) & (predictions.c.calls < MOST)
    change = predictions.update().where((predictions.c.callback == callback) & news)
    change = change.values(told=prediction_id, calls=predictions.c.calls + 1)
    return connection.execute(change.returning(notify(ASKED, predictions.c.run_id))).first() is not None


def told(connection: sa.Connection, run_id: str, entry: Entry) -> str | None:
    """The id that was named last."""
    return connection.execute(sa.select(predictions.c.told).where(rows.is_entry(run_id, entry))).scalar()


def tell_late(connection: sa.Connection, run_id: str, entry: Entry, prediction_id: str) -> None:
    """The same of a submit that was answered once its run was another replica's, unless that is known already."""
    known = sa.exists().where(_OTHERS.c.prediction_id == prediction_id)
    change = predictions.update().where(rows.is_entry(run_id, entry) & _LOST & ~known)
    connection.execute(change.values(told=prediction_id))


def refute(connection: sa.Connection, run_id: str, entry: Entry, prediction_id: str) -> None:
    """That id turned out to be none of ours."""
    which = rows.is_entry(run_id, entry) & (predictions.c.told == prediction_id)
    connection.execute(predictions.update().where(which).values(told=None))


def arrive(connection: sa.Connection) -> bool:
    """Whether the service has called about any of the last predictions that it was asked to call about, and was right
    about its id: each is known from an answer of the service to us.
    """
    ended = predictions.c.callback.is_not(None) & predictions.c.settled_at.is_not(None)
    right = sa.func.coalesce(predictions.c.told == predictions.c.prediction_id, sa.false()).label("right")
    last = sa.select(right).where(ended).order_by(predictions.c.settled_at.desc()).limit(RECENT)
    return any(connection.execute(last).scalars())


def _calls(connection: sa.Connection, which: sa.ColumnElement[bool], home: Path) -> list[Call]:
    columns = (predictions, runs.c.visitor, runs.c.account_id)
    found = connection.execute(sa.select(*columns).select_from(WITH_RUN).where(_KEPT & which)).mappings()
    return [_call(row, home) for row in found]


def _call(row: Mapping[Any, Any], home: Path) -> Call:
    return Call(row["visitor"], row["account_id"], row["run_id"], rows.entry(row, home), row["told"])
