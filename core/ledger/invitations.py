"""Invitations, as the ledger keeps them: what a host lets somebody spend of the host's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa

from core.ledger.moments import midnight
from core.ledger.schema import invitations

Renewal = Literal["never", "daily", "weekly", "monthly"]


@dataclass(frozen=True)
class Invitation:
    """Who may spend `allowance` USD in each of its periods, which begin at midnight UTC.

    `name` is for the host's own use. `ended_at` is None while the host has not ended it; what has ended stays, for the
    sake of what was spent under it.
    """

    id: str
    name: str
    allowance: Decimal
    renews: Renewal
    created_at: datetime
    expires_at: datetime | None = None
    paused: bool = False
    ended_at: datetime | None = None

    def opens(self, now: datetime) -> bool:
        """Whether its code still means anything. A paused one's does: its holder is told that it is paused."""
        return self.ended_at is None and (self.expires_at is None or now < self.expires_at)

    def since(self, now: datetime) -> datetime:
        """When the period began that `now` is in; what was spent since then counts."""
        today = midnight(now)
        match self.renews:
            case "never":
                return self.created_at
            case "daily":
                return today
            case "weekly":
                return today - timedelta(days=today.weekday())
            case "monthly":
                return today.replace(day=1)

    def renews_at(self, now: datetime) -> datetime | None:
        """When the next period begins; None where there is none, or it ends before."""
        since = self.since(now)
        match self.renews:
            case "never":
                return None
            case "daily":
                next = since + timedelta(days=1)
            case "weekly":
                next = since + timedelta(days=7)
            case "monthly":
                next = (since + timedelta(days=31)).replace(day=1)
        return next if self.opens(next) else None


def add(connection: sa.Connection, invitation: Invitation, code_hash: str) -> bool:
    """Write a new one, unless an open one has its name; says whether it did."""
    if by_name(connection, invitation.name) is not None:
        return False
    connection.execute(invitations.insert().values(asdict(invitation) | {"code_hash": code_hash}))
    return True


def change(connection: sa.Connection, id: str, **columns: Any) -> None:
    """Write these columns of it anew."""
    connection.execute(invitations.update().where(invitations.c.id == id).values(columns))


def by_id(connection: sa.Connection, id: str) -> Invitation | None:
    return _one(connection, invitations.c.id == id)


def by_code(connection: sa.Connection, code_hash: str) -> Invitation | None:
    return _one(connection, invitations.c.code_hash == code_hash)


def by_name(connection: sa.Connection, name: str) -> Invitation | None:
    """The one of that name that was not ended."""
    return _one(connection, (invitations.c.name == name) & invitations.c.ended_at.is_(None))


def every(connection: sa.Connection) -> list[Invitation]:
    """All, the newest first."""
    found = connection.execute(sa.select(invitations).order_by(invitations.c.created_at.desc())).mappings()
    return [_invitation(row) for row in found]


def _one(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Invitation | None:
    row = connection.execute(sa.select(invitations).where(which)).mappings().first()
    return None if row is None else _invitation(row)


def _invitation(row: Mapping[Any, Any]) -> Invitation:
    return Invitation(**{name: value for name, value in row.items() if name != "code_hash"})
