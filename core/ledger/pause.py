"""Whether the host's key may spend just now: a row that is there while it may not, for every process on this ledger."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from core.ledger.schema import switches

PAUSED = "The host has paused spending for now, so this was not sent."
INVITATION_PAUSED = "The host has paused this invitation, so this was not sent."

_SPENDING = "spending is paused"


def since(connection: sa.Connection) -> datetime | None:
    """When it was paused; None while it is not."""
    return connection.execute(sa.select(switches.c.since).where(switches.c.name == _SPENDING)).scalar()


def pause(connection: sa.Connection, now: datetime) -> None:
    """From the end of this transaction on nothing new is reserved or sent."""
    if since(connection) is None:
        connection.execute(switches.insert().values(name=_SPENDING, since=now))


def resume(connection: sa.Connection) -> None:
    """It may spend again."""
    connection.execute(switches.delete().where(switches.c.name == _SPENDING))
