"""Places at the service that replicas hold, and how many an account has as far as its 429s have told.

A replica's rows go with its lease, and its places with them. All of it happens on a connection of
`Ledger.writing(lock(account_id))`, so that no two replicas take the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from core.ledger.engines import upsert
from core.ledger.schema import places


@dataclass(frozen=True)
class Holding:
    """What a replica holds of an account's places. `wanted`: how many it could use; `turn`: the higher, the later it
    last got one; `most`: how many the account has, as far as is known.
    """

    account_id: str
    replica: str
    wanted: int
    held: int
    turn: int
    most: float


def lock(account_id: str) -> str:
    """The name of the lock that all of this happens under."""
    return f"places {account_id}"


def holdings(connection: sa.Connection, account_id: str) -> list[Holding]:
    """Those of all replicas."""
    rows = connection.execute(sa.select(places).where(places.c.account_id == account_id)).mappings()
    return [Holding(**row) for row in rows]


def hold(connection: sa.Connection, holding: Holding, others: Sequence[Holding]) -> None:
    """Write a replica's own, and to the others what it has learned of `most`.

    Raises:
        LedgerError: the replica is not known any more.
    """
    upsert(connection, places, asdict(holding))
    if any(other.most != holding.most for other in others):
        all_of_them = places.c.account_id == holding.account_id
        connection.execute(places.update().where(all_of_them).values(most=holding.most))


def forget(connection: sa.Connection, account_id: str, replica: str | None) -> None:
    """Nobody holds that account's key at this replica any more."""
    connection.execute(places.delete().where(places.c.account_id == account_id, places.c.replica == replica))
