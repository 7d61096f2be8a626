"""What the host is told of all runs: sums and rows, of deleted runs and of nobody's too; no word of what was asked for.

Everything here happens on a connection of `Ledger.reading`. Practice runs cost nothing and are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import NamedTuple

import sqlalchemy as sa

from core.ledger import forgetting, people
from core.ledger.pseudonyms import is_pseudonym
from core.ledger.record import RESERVED, STRANGER
from core.ledger.run import FINISHED
from core.ledger.schema import Money, invitations, predictions, runs, trials
from core.ledger.spending import COST, WITH_RUN

MOST_TROUBLES = 1000  # that are counted by their words
_QUOTED = re.compile(" It says: “.*”", re.DOTALL)  # the service's own words, which may quote a prompt

OWN, INVITED, PROGRAMS, SIGNED_IN, FORGOTTEN, UNKNOWN, VISITORS = (
    *("own key", "invitations", "programs", "signed in", "forgotten", "unknown", "visitors"),
)
# In the order in which they are asked; the service's history alone knows what is unknown.
_KIND = sa.case(
    (runs.c.account_kind == "own", OWN),
    (runs.c.visitor == STRANGER, UNKNOWN),
    (runs.c.invitation.is_not(None), INVITED),
    (runs.c.visitor == forgetting.PROGRAMS, PROGRAMS),
    (runs.c.visitor.startswith(people.PREFIX, autoescape=True), SIGNED_IN),
    (is_pseudonym(runs.c.visitor), FORGOTTEN),
    else_=VISITORS,
)
_PAID = runs.c.account_kind != "sandbox"
_OPEN = sa.case((predictions.c.charge.is_(None), predictions.c.reserved), else_=sa.literal(Decimal(0), Money()))


class Line(NamedTuple):
    """What the runs of one day (UTC, ISO) cost that are alike in all of these. `cost` in USD counts what is `reserved`
    as long as its charge is not known; `invitation` is an id.
    """

    day: str
    variant_id: str
    invitation: str | None
    kind: str
    state: str
    runs: int
    cost: Decimal
    reserved: Decimal


def lines(connection: sa.Connection, since: datetime) -> list[Line]:
    """All that was pressed since then."""
    day = sa.func.substr(sa.type_coerce(runs.c.created_at, sa.Text), 1, 10)
    alike = (day.label("day"), runs.c.variant_id, runs.c.invitation, _KIND.label("kind"), runs.c.state)
    each = sa.select(*alike, runs.c.id, COST.label("cost"), _OPEN.label("open")).select_from(WITH_RUN)
    found = each.where(_PAID, runs.c.created_at >= since).subquery()
    groups = list(found.c)[: len(alike)]  # of a subquery: PostgreSQL takes no expression with values in it for the same
    sums = (sa.func.count(found.c.id.distinct()), _total(found.c.cost), _total(found.c.open))
    return [Line._make(row) for row in connection.execute(sa.select(*groups, *sums).group_by(*groups))]


class UnderWay(NamedTuple):
    """Predictions of runs that go on: at the service, and those that were not sent yet."""

    at_service: int
    in_line: int


def under_way(connection: sa.Connection) -> UnderWay:
    """As it stands just now, in whatever process."""
    going = _PAID & runs.c.deleted_at.is_(None) & runs.c.state.not_in(FINISHED) & predictions.c.settled_at.is_(None)
    query = sa.select(predictions.c.status, sa.func.count()).select_from(WITH_RUN).where(going)
    counts = {row[0]: int(row[1]) for row in connection.execute(query.group_by(predictions.c.status))}
    in_line = counts.pop(RESERVED, 0)
    return UnderWay(sum(counts.values()), in_line)


class Reason(NamedTuple):
    """A trouble that runs had, in our words for it; how many, and when the newest was pressed."""

    happened: str
    runs: int
    last: datetime


def reasons(connection: sa.Connection, since: datetime) -> list[Reason]:
    """Why runs since then ended without all of their pictures, what happened most first."""
    ended = _PAID & runs.c.state.in_(("failed", "partial")) & (runs.c.created_at >= since)
    columns = (runs.c.id, runs.c.created_at, runs.c.troubles, predictions.c.troubles)
    query = sa.select(*columns).select_from(WITH_RUN).where(ended).order_by(runs.c.created_at.desc())
    counts: Counter[str] = Counter()
    last: dict[str, datetime] = {}
    seen: set[tuple[str, str]] = set()
    for run_id, created_at, *told in connection.execute(query.limit(MOST_TROUBLES)):
        for happened in {_QUOTED.sub("", trouble["happened"]) for trouble in chain(*told)}:
            counts[happened] += (run_id, happened) not in seen
            seen.add((run_id, happened))
            last.setdefault(happened, created_at)
    return [Reason(happened, count, last[happened]) for happened, count in counts.most_common()]


class Told(NamedTuple):
    """A trial, as its copy's host sees it. `kind` is that of the account that pays, `spent` in USD."""

    title: str
    state: str
    kind: str
    created_at: datetime
    spent: Decimal


def trials_told(connection: sa.Connection) -> list[Told]:
    """All, the newest first."""
    spent = sa.select(runs.c.comparison_id, _total(COST).label("spent")).select_from(WITH_RUN)
    by_trial = spent.where(_PAID).group_by(runs.c.comparison_id).subquery()
    columns = (trials.c.spec, trials.c.state, trials.c.account_kind, trials.c.created_at, by_trial.c.spent)
    joined = trials.outerjoin(by_trial, by_trial.c.comparison_id == trials.c.id)
    found = connection.execute(sa.select(*columns).select_from(joined).order_by(trials.c.created_at.desc()))
    return [Told(spec.get("title", ""), state, kind, at, spent or Decimal(0)) for spec, state, kind, at, spent in found]


PREDICTION_COLUMNS = (
    *("created_at", "run_id", "paid_by", "kind", "invitation", "variant", "state", "pictures", "number", "attempt"),
    *("status", "reserved_usd", "charge_usd", "source", "prediction_id", "model_seconds", "deleted_at"),
)


def prediction_rows(connection: sa.Connection) -> Iterator[tuple[object, ...]]:
    """One of `PREDICTION_COLUMNS` for each prediction, oldest first. Who a visitor is stays out: the id lets one in."""
    columns = (
        *(runs.c.created_at, runs.c.id, runs.c.account_kind, _KIND, invitations.c.name, runs.c.variant_id),
        *(runs.c.state, runs.c.pictures, predictions.c.number, predictions.c.attempt, predictions.c.status),
        *(predictions.c.reserved, predictions.c.charge, predictions.c.source, predictions.c.prediction_id),
        *(predictions.c.model_seconds, runs.c.deleted_at),
    )
    named = WITH_RUN.outerjoin(invitations, invitations.c.id == runs.c.invitation)
    order = (runs.c.created_at, runs.c.id, predictions.c.number, predictions.c.attempt)
    query = sa.select(*columns).select_from(named).where(_PAID).order_by(*order)
    for row in connection.execution_options(yield_per=1000).execute(query):
        yield tuple(row)


def _total(amount: sa.ColumnElement[Decimal]) -> sa.ColumnElement[Decimal]:
    return sa.type_coerce(sa.func.sum(amount), Money())
