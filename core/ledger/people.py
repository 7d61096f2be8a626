"""People who sign in, as the ledger keeps them: which visitor each is, and in which browsers they are signed in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from core.errors import KontextError
from core.ledger.news import ASKED, notify
from core.ledger.pseudonyms import pseudonym
from core.ledger.schema import leaving, people, runs, sign_ins, trials

PREFIX = "person-"  # of a visitor who has signed in; no page can name one, as it names a visitor of its own


@dataclass(frozen=True)
class SignIn:
    """One browser in which somebody is signed in. `name` is for their eyes, `joined` the visitor that it was before."""

    handle_hash: str
    login_hash: str
    visitor: str
    name: str
    joined: str | None
    expires_at: datetime


def is_person(visitor: str) -> bool:
    """Whether that visitor has signed in."""
    return visitor.startswith(PREFIX)


def visitor_of(connection: sa.Connection, subject_hash: str, new: str, now: datetime) -> str:
    """The visitor that somebody is; the first time it is `new`."""
    known = connection.execute(sa.select(people.c.visitor).where(people.c.subject_hash == subject_hash)).scalar()
    if known is None:
        connection.execute(people.insert().values(subject_hash=subject_hash, visitor=new, created_at=now))
    return known or new


def add(connection: sa.Connection, sign_in: SignIn) -> bool:
    """Write a new one, unless its login has opened one already; says whether it did."""
    known = sa.select(sign_ins.c.visitor).where(sign_ins.c.login_hash == sign_in.login_hash)
    if connection.execute(known).first() is not None:
        return False
    connection.execute(sign_ins.insert().values(asdict(sign_in)))
    return True


def find(connection: sa.Connection, handle_hash: str, now: datetime) -> SignIn | None:
    """The one of that handle, as long as it holds."""
    holds = sign_ins.c.ended_at.is_(None) & (sign_ins.c.expires_at > now)
    row = connection.execute(sa.select(sign_ins).where(holds, sign_ins.c.handle_hash == handle_hash)).mappings().first()
    return None if row is None else SignIn(**{name: value for name, value in row.items() if name != "ended_at"})


def end(connection: sa.Connection, handle_hash: str, now: datetime) -> None:
    """Sign out in one browser. What is left of it tells that its login opens no other."""
    ended = sign_ins.update().where(sign_ins.c.handle_hash == handle_hash)
    connection.execute(ended.values(ended_at=now, name=""))


def leave(connection: sa.Connection, visitor: str, now: datetime) -> None:
    """Sign out everywhere, and leave nothing there that leads to whoever it was."""
    mine = sign_ins.update().where(sign_ins.c.visitor == visitor)
    connection.execute(mine.values(visitor=pseudonym(visitor), name="", joined=None, ended_at=now))


def drop_idle(connection: sa.Connection, since: datetime) -> None:
    """Forget people who have nothing here and are signed in nowhere, once none of their spending since then counts."""
    here = (table.c.visitor == people.c.visitor for table in (runs, trials, sign_ins))
    idle = sa.select(people.c.visitor).where(*(~sa.exists().where(is_here) for is_here in here))
    for visitor in connection.execute(idle).scalars().all():
        spent = sa.select(runs.c.id).where(runs.c.visitor == pseudonym(visitor), runs.c.created_at >= since)
        if connection.execute(spent.limit(1)).first() is None:
            connection.execute(people.delete().where(people.c.visitor == visitor))


def drop_expired(connection: sa.Connection, now: datetime) -> None:
    connection.execute(sign_ins.delete().where(sign_ins.c.expires_at <= now))


def is_joined(connection: sa.Connection, visitor: str) -> bool:
    """Whether somebody who signed in was that visitor before."""
    return connection.execute(sa.select(sign_ins.c.visitor).where(sign_ins.c.joined == visitor)).first() is not None


def insist_on(connection: sa.Connection, visitor: str) -> None:
    """Raise KontextError for a press of a visitor who has signed in meanwhile: what came of it would be nobody's."""
    if is_joined(connection, visitor):
        raise KontextError("You signed in meanwhile, so this was not sent.", "Press again.")


def join(connection: sa.Connection, before: str, visitor: str) -> None:
    """All that the one has made, and spent, is the other's; what was to be forgotten still is."""
    paid = runs.update().where(runs.c.visitor == pseudonym(before))
    connection.execute(paid.values(visitor=pseudonym(visitor)))
    if connection.execute(sa.select(leaving.c.visitor).where(leaving.c.visitor == before)).first() is None:
        for table in (runs, trials):
            connection.execute(table.update().where(table.c.visitor == before).values(visitor=visitor))
    going = (runs.c.visitor == visitor) & runs.c.owner.is_not(None)
    connection.execute(sa.select(notify(ASKED, runs.c.id)).where(going))
