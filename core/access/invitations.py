"""Invitations of the host: made, found by their code, paused, ended. A code is shown once, and kept as a hash alone."""

from __future__ import annotations

import re
import secrets
import threading
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from core.access.codes import code_hash, new_code
from core.catalog.estimate import dollars
from core.errors import KontextError
from core.ledger import invitations as rows
from core.ledger.invitations import Invitation, Renewal
from core.ledger.ledger import Ledger
from core.ledger.spending import Spending

PREFIX = "kx_"
NOT_VALID = "This invitation isn't valid, or no longer."
MOST_USD = Decimal(10_000)  # of one allowance
LONGEST_NAME = 80  # characters
REMEMBERED = 1000  # wrong codes

_CODE = re.compile(PREFIX + "[a-z2-7]{32}")


@dataclass(frozen=True)
class Standing:
    """An invitation, and USD that its present period has used."""

    invitation: Invitation
    spent: Decimal

    @property
    def left(self) -> Decimal:
        return max(self.invitation.allowance - self.spent, Decimal(0))

    @property
    def words(self) -> str:
        """What its holder reads."""
        return f"{dollars(self.left)} of {dollars(self.invitation.allowance)} left"


class Invitations:
    """All invitations of one ledger. `clock` tells UTC; `random` gives so many bytes that nobody can guess; `attempt`
    is around what may be a guess. Blocking: from async code, call it in a thread.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[int], bytes] = secrets.token_bytes,
        attempt: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._attempt = attempt
        self._wrong: dict[str, None] = {}  # hashes of codes that were tried: the same one again is no new guess
        self._remembering = threading.Lock()

    # for the host

    def invite(self, name: str, allowance: Decimal, renews: Renewal, expires_at: datetime | None = None) -> str:
        """Make one; gives back its code, which can't be had again.

        Raises:
            KontextError: the name is taken, or something is out of its range.
        """
        now = self._clock()
        name = _checked(name.strip(), allowance, expires_at, now)
        invitation = Invitation(uuid.uuid4().hex, name, allowance, renews, now, expires_at)
        code = new_code(PREFIX, self._random)
        with self._ledger.writing() as connection:
            if not rows.add(connection, invitation, code_hash(code)):
                raise KontextError(f"There is an invitation named {name!r} already.", "Choose another name, or end it.")
        return code

    def renew_code(self, name: str) -> str:
        """A new code in the old one's place: what was spent stays spent. Raises KontextError where there is none."""
        code = new_code(PREFIX, self._random)
        self._change(name, code_hash=code_hash(code))
        return code

    def pause(self, name: str, paused: bool) -> None:
        """Whether it can spend, until this is said otherwise. Raises KontextError where there is none."""
        self._change(name, paused=paused)

    def end(self, name: str) -> None:
        """It spends nothing more, ever; what it has paid goes on. Raises KontextError where there is none."""
        self._change(name, ended_at=self._clock())

    def every(self) -> list[Standing]:
        """All, the newest first."""
        with self._ledger.reading() as connection:
            spending, now = Spending(connection), self._clock()
            return [_standing(invitation, spending, now) for invitation in rows.every(connection)]

    # for its holder

    def find(self, code: object) -> Standing:
        """The invitation of a code.

        Raises:
            KontextError: there is none, or it has ended or expired, all in the same words; or too many were guessed.
        """
        asked = code.strip().lower() if isinstance(code, str) else ""
        # What is not even shaped like a code is looked for too: all wrong ones take the same way.
        digest = code_hash(asked)
        with self._ledger.reading() as connection:
            found, now = rows.by_code(connection, digest), self._clock()
            if found is not None and found.opens(now):
                return _standing(found, Spending(connection), now)
        with nullcontext() if digest in self._wrong else self._attempt():
            self._remember(digest)
            raise KontextError(NOT_VALID, "Check that the link is complete, or ask the host for a new one.")

    def _remember(self, digest: str) -> None:
        with self._remembering:
            self._wrong[digest] = None
            if len(self._wrong) > REMEMBERED:
                del self._wrong[next(iter(self._wrong))]

    def _change(self, name: str, **columns: object) -> None:
        with self._ledger.writing() as connection:
            invitation = rows.by_name(connection, name.strip())
            if invitation is None:
                raise KontextError(
                    f"There is no invitation named {name[:LONGEST_NAME]!r}.", "See the list for the names."
                )
            rows.change(connection, invitation.id, **columns)


def is_code(text: object) -> bool:
    """Whether it is shaped like an invitation's code."""
    return isinstance(text, str) and _CODE.fullmatch(text.strip().lower()) is not None


def _standing(invitation: Invitation, spending: Spending, now: datetime) -> Standing:
    return Standing(invitation, spending.by_invitation(invitation.id, invitation.since(now)))


def _checked(name: str, allowance: Decimal, expires_at: datetime | None, now: datetime) -> str:
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise KontextError(f"A name has 1 to {LONGEST_NAME} characters.", "Choose another one.")
    if not allowance.is_finite() or not 0 < allowance <= MOST_USD:
        raise KontextError(f"An allowance is more than $0 and at most {dollars(MOST_USD)}.", "Choose another amount.")
    if expires_at is not None and expires_at <= now:
        raise KontextError("That end is in the past.", "Choose a later one.")
    return name
