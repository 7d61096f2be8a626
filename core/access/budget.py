"""Who may still spend what of the host's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

from core.access.invitations import NOT_VALID
from core.catalog.estimate import dollars
from core.errors import BudgetError
from core.ledger.invitations import Invitation
from core.ledger.moments import midnight
from core.ledger.pause import INVITATION_PAUSED, PAUSED
from core.ledger.people import is_person
from core.ledger.run import Facts
from core.ledger.spending import Spending
from core.settings import Access, Settings

Cap = Literal["daily", "visitor", "signed_in"]

_OWN_KEY = "bring your own WaveSpeedAI key."
_WHOSE: Mapping[Cap, str] = MappingProxyType(
    {"daily": "all visitors together", "visitor": "one visitor", "signed_in": "one who is signed in"}
)


@dataclass(frozen=True)
class Budget:
    """Caps in USD for a UTC day, None: no cap. `daily` holds for everybody together, `visitor` for each who has no
    invitation, `signed_in` in its place for each who has signed in; an invitation has its own. `access`: whom the
    host's key is for; `paused`: for nobody, whatever the ledger says.
    """

    daily: Decimal | None = None
    visitor: Decimal | None = None
    signed_in: Decimal | None = None
    access: Access = "open"
    paused: bool = False

    def check(self, amount: Decimal, facts: Facts, spending: Spending) -> None:
        """Let a press of these `facts` pass that costs `amount`, over what was spent or reserved before.

        Raises:
            BudgetError: which cap refuses it, what is left of it, when it renews.
        """
        self.check_open(facts, spending)
        if not amount.is_finite() or amount <= 0:
            raise BudgetError(
                "The price of this isn't known, so it was not sent.", "Choose another variant.", cap="unpriced"
            )
        if facts.invitation is not None:
            _check_invitation(facts.invitation, amount, facts.created_at, spending)
        elif self.access == "closed" or (self.access == "invited" and not is_person(facts.visitor)):
            raise BudgetError(
                "Real pictures need an invitation here.", f"Ask the host for one, or {_OWN_KEY}", cap="invitation"
            )
        else:
            self._check_visitor(amount, facts, spending)
        self._check_everybody(amount, facts.created_at, spending)

    def check_open(self, facts: Facts, spending: Spending) -> None:
        """Let what was reserved be sent.

        Raises:
            BudgetError: the host has paused spending since, or what pays for this has paused or ended.
        """
        if self.paused or spending.paused():
            raise BudgetError(PAUSED, f"Try again later, or {_OWN_KEY}", cap="paused")
        if facts.invitation is not None:
            _check_open(spending.invitation(facts.invitation), facts.created_at)

    def _check_visitor(self, amount: Decimal, facts: Facts, spending: Spending) -> None:
        now, person = facts.created_at, is_person(facts.visitor)
        limit = self.signed_in if person else self.visitor
        if limit is not None:
            spent = spending.by_visitor(facts.visitor, midnight(now))
            if spent + amount > limit:
                raise _refusal("signed_in" if person else "visitor", limit, spent, amount, now)

    def _check_everybody(self, amount: Decimal, now: datetime, spending: Spending) -> None:
        if self.daily is not None and (spent := spending.total(midnight(now))) + amount > self.daily:
            raise _refusal("daily", self.daily, spent, amount, now)


@dataclass(frozen=True)
class Allowance:
    """What one person who has signed in can spend in a UTC day, and what they have, in USD."""

    limit: Decimal
    spent: Decimal

    @property
    def words(self) -> str:
        """What they read."""
        return f"{dollars(max(self.limit - self.spent, Decimal(0)))} of {dollars(self.limit)} left today"


def caps(settings: Settings) -> dict[Cap, Decimal | None]:
    """Each cap of a day that can be met here."""
    found: dict[Cap, Decimal | None] = {"daily": settings.daily_budget, "visitor": settings.visitor_budget}
    return found | ({"signed_in": settings.signed_in_budget} if settings.sign_in else {})


def terms(settings: Settings) -> str:
    """For whoever starts the app: whom it trusts, and what that can cost them in a day."""
    whom = "Hosted: visitors are not trusted." if settings.hosted else "Not hosted: visitors are trusted."
    if settings.api_key is None:
        return f"{whom} Without a key nothing is charged."
    most = ", ".join(f"{dollars(cap)} for {_WHOSE[name]}" for name, cap in caps(settings).items() if cap is not None)
    return f"{whom} Your key pays " + (f"at most, per day (UTC): {most}." if most else "for every run, without a cap.")


def _check_open(invitation: Invitation | None, pressed_at: datetime) -> Invitation:
    """It, as long as it pays: what was pressed in its time is sent after its last day too, but not once it is ended."""
    if invitation is None or not invitation.opens(pressed_at):
        raise BudgetError(NOT_VALID, "Ask the host for a new one.", cap="invitation")
    if invitation.paused:
        raise BudgetError(INVITATION_PAUSED, "Ask the host, or try again later.", cap="paused")
    return invitation


def _check_invitation(id: str, amount: Decimal, now: datetime, spending: Spending) -> None:
    invitation = _check_open(spending.invitation(id), now)
    spent = spending.by_invitation(invitation.id, invitation.since(now))
    if spent + amount > invitation.allowance:
        raise _over(invitation, spent, amount, now)


def _over(invitation: Invitation, spent: Decimal, amount: Decimal, now: datetime) -> BudgetError:
    left, renews = max(invitation.allowance - spent, Decimal(0)), invitation.renews_at(now)
    happened = (
        f"This would cost {dollars(amount)}, and {dollars(left)} is left of the {dollars(invitation.allowance)} of "
        "this invitation."
    )
    when = f"It renews {_on(renews)}." if renews else "It doesn't renew: ask the host for more."
    advice = f"{when}{_cheaper(left)} You can also {_OWN_KEY}"
    return BudgetError(happened, advice, cap="invitation", limit=invitation.allowance, left=left, renews=renews)


def _refusal(cap: Cap, limit: Decimal, spent: Decimal, amount: Decimal, now: datetime) -> BudgetError:
    left, renews = max(limit - spent, Decimal(0)), midnight(now) + timedelta(days=1)
    happened = (
        f"This would cost {dollars(amount)}, and {dollars(left)} is left of the {dollars(limit)} a day that "
        f"{_WHOSE[cap]} can spend here."
    )
    advice = f"It renews {_on(renews)}.{_cheaper(left)} Come back then, or {_OWN_KEY}"
    return BudgetError(happened, advice, cap=cap, limit=limit, left=left, renews=renews)


def _cheaper(left: Decimal) -> str:
    return " Choose a cheaper variant or fewer pictures, or wait." if left else ""


def _on(renews: datetime) -> str:
    return f"at midnight UTC, on {renews.day} {renews:%B}"
