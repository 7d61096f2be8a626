"""What replicas tell each other of runs, by PostgreSQL's LISTEN and NOTIFY; over a file there is nobody to tell.

Each is told once its transaction has ended well, and is a hint alone: what is true stands in the tables, and whoever
hears nothing looks there now and then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from core.ledger import faults

CHANGED = "kontext_changed"  # for whoever shows the run
ASKED = "kontext_asked"  # for the replica that works on it: something was asked of it elsewhere


class News(NamedTuple):
    """`run_id` was told on that channel."""

    channel: str
    run_id: str


class notify(FunctionElement[str]):
    """A column of a query that tells a run's id on a channel, where there are other replicas to hear it."""

    type = sa.Text()
    inherit_cache = True


@compiles(notify)
def _nobody(element: notify, compiler: sa.sql.compiler.SQLCompiler, **how: Any) -> str:  # noqa: ARG001
    return "NULL"


@compiles(notify, "postgresql")
def _notified(element: notify, compiler: sa.sql.compiler.SQLCompiler, **how: Any) -> str:
    # Commits that notify wait for each other: one replica alone has no need for that.
    notified = f"CAST(pg_notify({compiler.process(element.clauses, **how)}) AS TEXT)"
    return f"CASE WHEN (SELECT count(*) FROM replicas) > 1 THEN {notified} END"  # noqa: S608 - no value is in it


async def listen(psycopg: Any, line: Mapping[str, Any]) -> AsyncGenerator[News | None, None]:
    """What is told from now on, on a connection of its own. None comes first, and means: from here on all is heard.

    `psycopg` is the driver that the ledger's engine has imported, and `line` what it connects by.

    Raises:
        LedgerError: there is no connection, or it broke.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(**line, autocommit=True)
        try:
            for channel in (CHANGED, ASKED):
                await connection.execute(f"LISTEN {channel}")
            yield None
            async for one in connection.notifies():
                yield News(one.channel, one.payload)
        finally:
            await connection.close()
    except (psycopg.Error, OSError):
        raise faults.error(faults.POSTGRES["away"]) from None
