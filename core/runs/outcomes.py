"""How an entry ends that brought no whole set of pictures: its money, and the three facts for the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from core.catalog.estimate import dollars
from core.errors import Charged, KontextError, PriceRose
from core.ledger.record import NOT_CREATED, NOT_SENT, REFUSED, RESERVED, SUBMITTING, Entry, Record, ending
from core.ledger.run import Trouble
from core.service.prediction import MEDIA_NOT_FETCHED_CODE, NO_CREDIT_CODE, Prediction

AGAIN = "Press Generate to try again."
CHECK_AGAIN = "Check again from the history: the service keeps it for 7 days."
KEY_BACK = "It continues once you add that key again. You can also delete it; its cost still counts."
BROKEN = "Something went wrong in the app itself."
BLOCKED = "Blocked by the safety filter."
FLAGGED = "The service made a picture, but flagged it as unsafe, so it is not shown."
MODERATED = (BLOCKED, FLAGGED)
_NOTHING = Decimal(0)

# Task codes (D): 1xxx ask for a change, 5xxx for timeouts.
_SAFE_TO_REPEAT = "The service refunds it within three hours."


def broken_off(entry: Entry, happened: str, advice: str, now: datetime) -> Entry:
    """An entry that goes no further for now. What it may cost follows from how far it came, and from nothing else."""
    if entry.settled:
        return entry
    if entry.status == RESERVED:
        return not_sent(entry, now, Trouble(happened, "no", advice))
    charged: Charged = "yes" if entry.charge else "unknown"
    return replace(entry, troubles=(Trouble(happened, charged, advice, entry.id),))


def not_sent(entry: Entry, now: datetime, trouble: Trouble | None = None) -> Entry:
    """It never went out, so its reservation is released."""
    troubles = () if trouble is None else (trouble,)
    return replace(entry, status=NOT_SENT, charge=_NOTHING, settled_at=now, troubles=troubles)


def refused(entry: Entry, error: KontextError, now: datetime) -> Entry:
    """The service said no to the submit: nothing was created, nothing is charged."""
    trouble = Trouble(error.happened, "no", error.advice)
    return replace(
        entry, status=REFUSED, error=clean(error.happened), charge=_NOTHING, settled_at=now, troubles=(trouble,)
    )


def not_created(entry: Entry, now: datetime) -> Entry:
    """The service's history has nothing of a submit that was never answered."""
    happened = "The request was sent but never answered, and the service's history shows that nothing was created."
    advice = f"As far as the service knows, no picture is being made. {AGAIN}"
    trouble = Trouble(happened, "no", advice)
    return replace(entry, status=NOT_CREATED, charge=_NOTHING, settled_at=now, troubles=(trouble,))


def unanswered(entry: Entry) -> Entry:
    """An entry that was given up as never created, and is looked for once more; its reservation counts again."""
    return replace(entry, status=SUBMITTING, charge=None, settled_at=None, troubles=())


def unclear(entry: Entry, candidates: int) -> Entry:
    """The history does not say whose its predictions are, so none is taken over."""
    several = "a request" if candidates == 1 else f"{candidates} requests"
    happened = (
        f"The request was sent but never answered. The service's history shows {several} from that time, but not "
        "what was asked for, so it can't be told whether this one is among them."
    )
    advice = "If you find its id in your account at the service, recover it by that id; or try again later."
    return replace(entry, troubles=(Trouble(happened, "unknown", advice),))


def gone(entry: Entry, error: KontextError, now: datetime, *, charged: Charged) -> Entry:
    """The service does not know the prediction any more: whatever it cost stays counted."""
    charge = _NOTHING if charged == "no" else entry.reserved
    trouble = Trouble(error.happened, charged, error.advice, entry.id)
    return replace(entry, charge=charge, source="estimate", settled_at=now, troubles=(trouble,))


def failed(entry: Entry, prediction: Prediction, now: datetime) -> Entry:
    """The task ended without pictures. Failures and time-outs are refunded (D); of the rest nobody says so."""
    entry = replace(entry, status=prediction.status, error=clean(prediction.error), settled_at=now)
    if prediction.moderated:
        return _moderated(entry, BLOCKED)
    if prediction.status in ("cancelled", "deleted"):
        trouble = Trouble(f"The task was {prediction.status} at the service.", "unknown", AGAIN, entry.id)
        return replace(entry, charge=entry.reserved, source="estimate", troubles=(trouble,))
    happened, advice = _failure(prediction)
    trouble = Trouble(f"{happened} {_SAFE_TO_REPEAT}", "no", advice, entry.id)
    return replace(entry, charge=_NOTHING, troubles=(trouble,))


def empty(entry: Entry, *, flagged: bool) -> Entry:
    """The task completed, and there is no picture to show."""
    if flagged:
        return _moderated(entry, FLAGGED)
    happened = "The service says that it is done, but sent no picture."
    advice = "If it was charged, ask the service about this id."
    return replace(entry, source="estimate", troubles=(Trouble(happened, "unknown", advice, entry.id),))


def lacking(entry: Entry, *, asked: int, made: int, flagged: Sequence[int]) -> tuple[Trouble, ...]:
    """What is to be said of pictures that are missing beside good ones; `flagged` by their numbers in the run."""
    troubles = []
    if flagged:
        happened = f"{_named(flagged)} flagged by the service as unsafe, and not shown; the others are here."
        advice = "Change the prompt or the references before you try again."
        troubles.append(Trouble(happened, "unknown", advice, entry.id))
    if made < asked:
        happened = f"The service made {made} of {asked} pictures."
        troubles.append(Trouble(happened, "unknown", "If all were charged, ask the service about this id.", entry.id))
    return tuple(troubles)


def lost(entry: Entry, number: int, reason: str, advice: str) -> Trouble:
    """A picture that was made, and could not be brought here."""
    return Trouble(f"Picture {number} is ready at the service but not here. {reason}", "yes", advice, entry.id)


def keyless(record: Record) -> Trouble:
    """The run goes no further without the key that it was made with."""
    sent = any(entry.status != RESERVED and not entry.settled for entry in record.current)
    free = record.facts.account_kind == "sandbox" or not sent
    return Trouble("This run is waiting for the key it was made with.", "no" if free else "unknown", KEY_BACK)


def price_rose(price: Decimal, confirmed: Decimal) -> PriceRose:
    """It costs more than the person agreed to; both in USD."""
    happened = f"The price is now {dollars(price)}, not {dollars(confirmed)}. It was not sent."
    return PriceRose(happened, "Check the new price, then press again.", price)


def unconfirmed() -> KontextError:
    """The service has to tell the price first, and does not."""
    return KontextError("The price can't be confirmed just now.", "It was not sent. Try again in a minute.")


def broken(record: Record, now: datetime) -> Record:
    """A run that the app itself could not see to its end."""
    entries = tuple(broken_off(entry, BROKEN, CHECK_AGAIN, now) for entry in record.entries)
    record = replace(record, entries=entries, finished_at=now)
    return replace(record, state=ending(record))


def clean(text: str) -> str:
    """Without lone surrogates, which no database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _moderated(entry: Entry, happened: str) -> Entry:
    # Whether these are refunded is not said (D), so the estimate stays counted, and is marked as one.
    advice = "Try a different prompt or picture."
    trouble = Trouble(happened, "unknown", advice, entry.id)
    return replace(entry, charge=entry.reserved, source="estimate", troubles=(trouble,))


def _failure(prediction: Prediction) -> tuple[str, str]:
    said = f" It says: “{clean(prediction.error)}”" if prediction.error else ""
    if prediction.code == MEDIA_NOT_FETCHED_CODE:
        return "The service could not fetch a reference.", f"Add the reference again. {AGAIN}"
    if prediction.code == NO_CREDIT_CODE:
        return "The account has no credit left.", f"Top up at wavespeed.ai. {AGAIN}"
    if 1400 <= prediction.code < 1403:
        return f"The service did not accept the inputs.{said}", "Change them, then press Generate again."
    if prediction.status == "timeout":
        return "The task took too long, and the service gave up on it.", AGAIN
    if prediction.code >= 5000:
        return "The service has a problem right now, and the task failed.", "Try again in a few minutes."
    return f"The task failed at the service.{said}", AGAIN


def _named(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Picture {numbers[0]} was"
    return f"Pictures {', '.join(map(str, numbers[:-1]))} and {numbers[-1]} were"
