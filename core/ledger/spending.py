"""What was spent or reserved, as sums over rows: no counter that could leak, and nothing that must be reset."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from core.ledger import invitations, pause
from core.ledger.invitations import Invitation
from core.ledger.pseudonyms import is_one_of
from core.ledger.schema import predictions, runs

COST = sa.func.coalesce(predictions.c.charge, predictions.c.reserved)
WITH_RUN = predictions.join(runs, predictions.c.run_id == runs.c.id)
UNBILLED = (
    predictions.c.prediction_id.is_not(None)
    & (predictions.c.source != "billing")
    & (predictions.c.charge > Decimal(0))
    & (predictions.c.reserved > Decimal(0))
)
_HOST = runs.c.account_kind == "host"


class Spending:
    """USD of the host's key, as it stands inside one transaction; of deleted and forgotten runs too."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def total(self, since: datetime) -> Decimal:
        """By everybody since then."""
        return self._sum(_HOST & (runs.c.created_at >= since))

    def by_visitor(self, visitor: str, since: datetime) -> Decimal:
        """By one visitor who had no invitation."""
        own = is_one_of(runs.c.visitor, [visitor]) & runs.c.invitation.is_(None)
        return self._sum(_HOST & own & (runs.c.created_at >= since))

    def by_invitation(self, id: str, since: datetime) -> Decimal:
        """Under one invitation, in whatever browsers and programs."""
        return self._sum(_HOST & (runs.c.invitation == id) & (runs.c.created_at >= since))

    def invitation(self, id: str) -> Invitation | None:
        """It as it stands just now: the host may have ended it a moment ago."""
        return invitations.by_id(self._connection, id)

    def paused(self) -> bool:
        """Whether the host has paused it."""
        return pause.since(self._connection) is not None

    def _sum(self, which: sa.ColumnElement[bool]) -> Decimal:
        return spent(self._connection, which)


def spent(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Decimal:
    """USD that these runs cost: each prediction's charge, or its reservation until that is known."""
    total = sa.type_coerce(sa.func.sum(COST), predictions.c.charge.type)
    return connection.execute(sa.select(total).select_from(WITH_RUN).where(which)).scalar() or Decimal(0)
