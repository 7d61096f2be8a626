"""Who a page is: a visitor by the random id in its browser, or a person who has signed in.

A person is known by what the provider calls them for good, never by a name that can be given up and taken by another.
Their visitor's id is random and leaves the app in no direction; a browser in which they are signed in has a handle,
which ends with the sign-in. Whoever holds a visitor's id or a handle is taken for them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.access.codes import code_hash, new_code
from core.ledger import people as rows
from core.ledger.ledger import Ledger
from core.ledger.moments import midnight
from core.ledger.people import PREFIX, SignIn
from core.ledger.spending import Spending

HANDLE = "ks_"
LIFE = timedelta(days=30)  # of a sign-in; longer than its cookie's, so that no login opens a second one
LONGEST_NAME = 40  # characters that are shown


@dataclass(frozen=True)
class Login:
    """What the provider vouches for. `id` is of this one login alone."""

    subject: str
    name: str
    id: str


@dataclass(frozen=True)
class SignedIn:
    """Somebody in one browser: what it holds to be taken for them, and the visitor that they are."""

    handle: str
    visitor: str


class People:
    """All of one ledger. `clock` tells UTC; `random` gives so many bytes that nobody can guess. Blocking."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._random = random

    def sign_in(self, login: Login, before: object = None) -> SignedIn | None:
        """Sign somebody in; None where this login was used before.

        `before`: the id of the visitor that the browser was until now, as that browser showed it. What they have made
        and spent becomes this person's, and the id is nobody's from then on.
        """
        handle, now = new_code(HANDLE, self._random), self._clock()
        with self._ledger.writing() as connection:
            rows.drop_expired(connection, now)
            joined = str(before) if is_anonymous(before) and not rows.is_joined(connection, str(before)) else None
            new = f"{PREFIX}{self._random(16).hex()}"
            visitor = rows.visitor_of(connection, code_hash(login.subject), new, now)
            hashes = code_hash(handle), code_hash(login.id)
            name = login.name[:LONGEST_NAME]
            if not rows.add(connection, SignIn(*hashes, visitor, name, joined, now + LIFE)):
                return None
            if joined:
                self._ledger.hold_visitor(connection, joined)
                rows.join(connection, joined, visitor)
        return SignedIn(handle, visitor)

    def find(self, handle: object) -> SignIn | None:
        """The sign-in of a handle, as long as it holds."""
        if not is_handle(handle):
            return None
        with self._ledger.reading() as connection:
            return rows.find(connection, code_hash(str(handle)), self._clock())

    def who(self, claim: object) -> str | None:
        """The visitor that a page is which shows this id or handle; None: nobody."""
        if is_anonymous(claim):
            with self._ledger.reading() as connection:
                return None if rows.is_joined(connection, str(claim)) else str(claim)
        found = self.find(claim)
        return found.visitor if found else None

    def spent_today(self, visitor: str) -> Decimal:
        """USD of the host's key, what an invitation paid for not counted."""
        with self._ledger.reading() as connection:
            return Spending(connection).by_visitor(visitor, midnight(self._clock()))

    def sign_out(self, handle: object) -> None:
        """That browser is nobody's any more; what was made stays theirs who signed in."""
        if self.find(handle):  # else anybody could keep those busy who write
            with self._ledger.writing() as connection:
                rows.end(connection, code_hash(str(handle)), self._clock())


# Any caller may send anything as its visitor: only an id as we make them is one, so that nobody becomes "api".
def is_anonymous(claim: object) -> bool:
    """Whether that is the id of a visitor who has not signed in."""
    return isinstance(claim, str) and re.fullmatch(r"[0-9a-f]{32}", claim) is not None


def is_handle(claim: object) -> bool:
    """Whether it is shaped like the handle of a sign-in."""
    return isinstance(claim, str) and re.fullmatch(HANDLE + "[a-z2-7]{32}", claim) is not None
