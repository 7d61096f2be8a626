"""Who pays for runs, and what: each place of the page that speaks of it takes its words from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, get_args

from core.catalog.estimate import dollars
from core.catalog.variants import Variant
from core.errors import CHARGED_SENTENCES, Charged
from core.service.account import Account, AccountKind
from core.settings import Settings

KEYS = "https://wavespeed.ai/accesskey"  # where a person gets a key (S)

PAUSED = "<b>Paused</b> · no new pictures for now"  # in the mode's place

_FREE: Mapping[Charged, str] = MappingProxyType(
    {
        "no": "Free (practice). A real run wouldn't be charged either.",
        "yes": "Free (practice). A real run would be charged.",
        "unknown": "Free (practice). A real run might be charged.",
    }
)
_ANSWERS: Mapping[Charged, str] = MappingProxyType(
    {"no": "No, nothing was charged.", "yes": "Yes, it was charged.", "unknown": "Not known yet."}
)


@dataclass(frozen=True)
class Payer:
    """What the page says while runs are paid this way: `mode` beside the title, `glance` under it, `panel` beside the
    key, `note` under the price. HTML of our own, nothing in it that a person typed.
    """

    mode: str
    glance: str
    panel: str
    note: str


PayerKind = AccountKind | Literal["invited"]


def payers(settings: Settings) -> dict[PayerKind, Payer]:
    """For each kind of account that may pay, and for invitations."""
    kinds: tuple[PayerKind, ...] = (*get_args(AccountKind), "invited")
    return {kind: _payer(kind, settings) for kind in kinds}


def payer_of(account: Account) -> PayerKind:
    """The host's key under an invitation is another payer than the host's key for everybody."""
    return "invited" if account.invitation and account.kind == "host" else account.kind


def charged(said: Charged, kind: AccountKind | None, *, answer: bool = False) -> str:
    """Whether something was charged, as a sentence; an `answer` where it stands beside the question."""
    if kind == "sandbox":
        return _FREE[said]
    return (_ANSWERS if answer else CHARGED_SENTENCES)[said]


def left(balance: Decimal, variant: Variant) -> str:
    """A balance in USD, and what it is good for."""
    more = int(balance / variant.price)
    pictures = "picture" if more == 1 else "pictures"
    return f"{dollars(balance)} left · about {more:,} more {pictures}"


def _payer(kind: PayerKind, settings: Settings) -> Payer:
    match kind:
        case "sandbox":
            return Payer(
                "<b>Practice mode</b> · free", _glance(settings), f"<p>{_PRACTICE}</p><p>{_TRY}</p>", "with a key"
            )
        case "own":
            return Payer(
                "<b>Live</b> · billed to your key", "", "<p>Runs are paid from your own key.</p>", "from your own key"
            )
        case "invited":
            panel = "<p>Runs are paid from your invitation, in every browser that you open it in.</p>"
            return Payer("<b>Live</b> · by invitation", "", panel, "from your invitation")
        case "host":
            mode = "<b>Live</b> · billed to this app's account"
            return Payer(mode, "", f"<p>Runs are paid by this app's account{_caps(settings)}.</p>", "paid by this app")


def _caps(settings: Settings) -> str:
    caps = ((settings.daily_budget, "for everyone together"), (settings.visitor_budget, "for you"))
    most = " and ".join(f"{dollars(cap)} {whom}" for cap, whom in caps if cap is not None)
    signed_in = settings.signed_in_budget if settings.sign_in else None
    more = "" if signed_in is None else f". Signed in, you can use {dollars(signed_in)}"
    return (f", up to {most} a day" if most else "") + more


def _glance(settings: Settings) -> str:
    sign_in = settings.sign_in and settings.api_key is not None and settings.access == "invited"
    ways = [_opens("sign-in", "Sign in")] if sign_in else []
    ways.append(_opens("open-settings", "use your key" if ways else "Use your key"))
    return (
        "<p><b>Practice is free.</b> Try everything: you get a collage of your pictures, not a picture by the model. "
        f"{' or '.join(ways)} to make real ones.</p>"
    )


def _opens(id: str, words: str) -> str:
    return f"<button type='button' data-opens='{id}'>{words}</button>"


_PRACTICE = "This is <b>practice mode</b>: everything works, no model runs, and it's free."
_TRY = (
    "In practice mode, write [sandbox:failed], [sandbox:moderated], [sandbox:no-credit] or [sandbox:slow] into a "
    "prompt to see what each looks like."
)
