"""The names under which the money of what was forgotten stays: they add up as before, and say nothing of anybody."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

import sqlalchemy as sa

PREFIX = "forgotten-"  # of no id that anybody is given


def pseudonym(id: str) -> str:
    """The same for the same id, which has 128 random bits and can't be had back from it."""
    return PREFIX + hashlib.sha256(id.encode()).hexdigest()[:32]


def random_name() -> str:
    """One that nothing leads to."""
    return PREFIX + secrets.token_hex(16)


def is_one_of(column: sa.ColumnElement[str], ids: Iterable[str]) -> sa.ColumnElement[bool]:
    """Whether it is one of these ids, or what stands for one that was forgotten."""
    return column.in_([name for id in ids for name in (id, pseudonym(id))])


def is_pseudonym(column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return column.startswith(PREFIX, autoescape=True)
