"""Faults of a database or its disk in our words; their own text stays behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import LedgerError


class NewerLedger(Exception):
    """It was written by a newer version of the app."""


class Conflict(LedgerError):
    """What was to be written stands there once already."""


class Fenced(LedgerError):
    """What it is about is another replica's by now: whoever gets this writes and sends nothing more of it."""


class Fault(NamedTuple):
    """What happened and what to do. `passing`: it goes away by itself, so that it is worth trying again."""

    happened: str
    advice: str
    passing: bool = False


# What SQLite calls it -> what that means.
SQLITE = {
    "SQLITE_FULL": Fault("The disk is full, so the run can't be recorded.", "Free some space, then try again."),
    "SQLITE_READONLY": Fault(
        "The app's data folder can't be written to, so the run can't be recorded.",
        "Give the app permission to write there, or choose another folder with KONTEXT_DATA_DIR.",
    ),
    "SQLITE_BUSY": Fault(
        "Another program holds the app's records locked, so the run can't be recorded.",
        "Close whatever has the file ledger.db open, then try again.",
    ),
    "SQLITE_NOTADB": Fault("The file ledger.db is damaged.", "Move it away; the app then starts a new one."),
    "newer": Fault(
        "The file ledger.db was written by a newer version of this app.",
        "Update the app, or choose another folder with KONTEXT_DATA_DIR.",
    ),
    "": Fault("The app's records can't be written or read.", "Check the disk that holds ledger.db, then try again."),
}
SQLITE["SQLITE_CANTOPEN"] = SQLITE["unwritable"] = SQLITE["SQLITE_READONLY"]
SQLITE["SQLITE_LOCKED"] = SQLITE["busy"] = SQLITE["SQLITE_BUSY"]
SQLITE["SQLITE_CORRUPT"] = SQLITE["SQLITE_NOTADB"]

# The same for PostgreSQL, by the class or the whole of its SQLSTATE; "away": there is no connection, or it broke.
POSTGRES = {
    "53100": Fault("The database's disk is full, so the run can't be recorded.", "Free some space there."),
    "25006": Fault(
        "The database can't be written to, so the run can't be recorded.",
        "Give the app permission to write there, or choose another one with KONTEXT_DATABASE_URL.",
    ),
    "busy": Fault("The app's records are busy, so the run can't be recorded.", "Try again in a minute.", passing=True),
    "newer": Fault(
        "The database was written by a newer version of this app.",
        "Update the app, or choose another one with KONTEXT_DATABASE_URL.",
    ),
    "away": Fault(
        "The database can't be reached, so the run can't be recorded.", "Try again in a minute.", passing=True
    ),
    "unwritable": SQLITE["unwritable"],  # the folder of the pictures
    "": Fault("The app's records can't be written or read.", "Check the database, then try again."),
}
POSTGRES["42501"] = POSTGRES["25006"]
POSTGRES |= dict.fromkeys(("55P03", "57014", "40P01", "40001"), POSTGRES["busy"])  # timed out, deadlock, serialization
POSTGRES |= dict.fromkeys(("08", "57P", "53300", "25P03"), POSTGRES["away"])

UNSTORABLE = Fault("The text has a character that can't be stored.", "Remove it.")
GONE = Fault("Another copy of this app has taken this over.", "Reload the page to see how it goes on.")
OUT_OF_TOUCH = Fault("This copy of the app lost touch with the others, so this was not sent.", "Try again in a moment.")
_NO_SUCH_CHARACTER = ("", "22021", "22P05")  # of PostgreSQL, or of its driver, which refuses NUL by itself


def error(fault: Fault, kind: type[LedgerError] = LedgerError) -> LedgerError:
    return kind(fault.happened, fault.advice, passing=fault.passing)


@contextmanager
def in_our_words(known: Mapping[str, Fault]) -> Iterator[None]:
    """The one place where a fault of the database or its disk becomes ours."""
    try:
        yield
    except NewerLedger:
        raise error(known["newer"]) from None
    except PoolTimeout:
        raise error(known["busy"]) from None
    except (SQLAlchemyError, sqlite3.Error) as fault:
        kind = Conflict if isinstance(fault, IntegrityError) else LedgerError
        raise error(_found(fault, known), kind) from None
    except OSError:
        raise error(known["unwritable"]) from None
    except UnicodeEncodeError:  # a lone surrogate, which a browser can send
        raise error(UNSTORABLE) from None


def _found(fault: SQLAlchemyError | sqlite3.Error, known: Mapping[str, Fault]) -> Fault:
    name = _name(fault)
    if isinstance(fault, DataError) and name in _NO_SUCH_CHARACTER:
        return UNSTORABLE
    if "away" in known and isinstance(fault, DBAPIError) and _broke(fault, name):
        return known["away"]
    found = [known[part] for part in (name, name[:3], name[:2]) if part in known]
    return found[0] if found else known[""]


def _broke(fault: DBAPIError, name: str) -> bool:
    """Whether the line to the database can't be had, or broke; the server itself has no name for that."""
    return fault.connection_invalidated or (isinstance(fault, OperationalError) and not name)


def _name(fault: BaseException) -> str:
    """PostgreSQL's SQLSTATE, or SQLite's name, as SQLITE_READONLY, without what it was doing, as _DIRECTORY."""
    own: Any = getattr(fault, "orig", fault)
    name: str = getattr(own, "sqlite_errorname", None) or getattr(own, "sqlstate", None) or ""
    return "_".join(name.split("_")[:2])
