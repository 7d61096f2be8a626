"""A run as the ledger keeps it, and how a snapshot for a person is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.catalog.estimate import estimate
from core.catalog.inputs import Inputs
from core.ledger.run import FINISHED, Cell, ChargeSource, Facts, Label, Output, Run, RunPrediction, State, Trouble
from core.pictures.reference import Reference
from core.service.account import Account

# Our own words for a prediction that the service has not told us an id for; with an id, `status` is the service's.
RESERVED = "reserved"
SUBMITTING = "submitting"
NOT_SENT = "not sent"
REFUSED = "refused"
NOT_CREATED = "not created"

STRANGER = ""  # in a visitor's place: a prediction of our account that nobody here is known to have asked for

_CERTAINTY: tuple[ChargeSource, ...] = ("estimate", "quote", "billing")


@dataclass(frozen=True)
class Entry:
    """One submit of a run: what is asked, how far it came, what it costs. Never changed, only replaced.

    `attempt` is 2 where the first task failed because an upload was gone, and the reference was uploaded again.
    `payload` is what is submitted, whole from SUBMITTING on. `reserved` counts against budgets until `charge` is known.
    `callback` is the SHA-256 of the word in the address that the service was asked to call; None: it was not asked.
    `settled_at` is None while anything is still to be had: the task may run, or its pictures are not all here.
    """

    number: int
    model_id: str
    payload: Mapping[str, Any]
    reserved: Decimal
    attempt: int = 1
    source: ChargeSource = "estimate"
    status: str = RESERVED
    id: str | None = None
    error: str = ""
    submitting_at: datetime | None = None
    submitted_at: datetime | None = None
    callback: str | None = None
    settled_at: datetime | None = None
    charge: Decimal | None = None
    model_seconds: float | None = None
    outputs: tuple[Output, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    @property
    def seed(self) -> int | None:
        seed = self.payload.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def settled(self) -> bool:
        return self.settled_at is not None

    @property
    def lost(self) -> bool:
        """Whether it was sent, and nobody has told its id."""
        return self.id is None and self.status in (SUBMITTING, NOT_CREATED)

    @property
    def cost(self) -> Decimal:
        """What counts: the charge where it is known, the reservation until then."""
        return self.reserved if self.charge is None else self.charge


@dataclass(frozen=True)
class Record:
    """A run: its facts, one entry for each submit, and how it ended. `troubles` are those of the run as a whole.

    `owner` is the replica that works on it, and `fence` how often that has changed. `stopping`: it was asked to stop
    waiting.
    """

    facts: Facts
    entries: tuple[Entry, ...]
    state: State = "preparing"
    finished_at: datetime | None = None
    troubles: tuple[Trouble, ...] = field(default=())
    label: Label = field(default=Label())
    owner: str | None = None
    fence: int = 0
    stopping: bool = False

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def current(self) -> tuple[Entry, ...]:
        """The latest attempt of each number."""
        latest = {entry.number: entry for entry in sorted(self.entries, key=lambda entry: entry.attempt)}
        return tuple(latest[number] for number in sorted(latest))

    @property
    def reserved(self) -> Decimal:
        """What counts against budgets before anything is known of the charge."""
        return sum((entry.reserved for entry in self.entries), Decimal(0))

    def with_entry(self, entry: Entry) -> Record:
        """This record with the entry put in the place of its older self, or added."""
        others = tuple(e for e in self.entries if (e.number, e.attempt) != (entry.number, entry.attempt))
        return replace(self, entries=tuple(sorted((*others, entry), key=lambda e: (e.number, e.attempt))))


def ending(record: Record) -> State:
    """How a run ends whose entries have gone as far as they go."""
    entries = record.current
    if not any(entry.outputs for entry in entries):
        return "failed"
    return "completed" if all(entry.outputs and not entry.troubles for entry in entries) else "partial"


def stage(record: Record) -> State:
    """How far an unfinished run has come, as far as what was written down tells."""
    entries = record.current
    if any(entry.id for entry in entries):
        return "waiting"
    return "submitting" if any(entry.status == SUBMITTING for entry in entries) else "preparing"


def snapshot(
    record: Record,
    now: datetime,
    *,
    state: State | None = None,
    notice: str = "",
    expected_seconds: float | None = None,
) -> Run:
    """The run as a person sees it; `state` is where a live one stands just now."""
    entries = record.current
    troubles = (*record.troubles, *(trouble for entry in entries for trouble in entry.troubles))
    told = [entry.model_seconds for entry in entries if entry.model_seconds is not None]
    return Run(
        **vars(record.facts),
        charge=_charge(record),
        charge_source=_charge_source(record),
        state=state or record.state,
        predictions=tuple(_prediction(entry) for entry in entries),
        outputs=tuple(sorted((o for entry in entries for o in entry.outputs), key=lambda output: output.number)),
        troubles=tuple(dict.fromkeys(troubles)),
        notice=notice,
        seconds=max(0.0, ((record.finished_at or now) - record.facts.created_at).total_seconds()),
        model_seconds=max(told, default=None),
        expected_seconds=expected_seconds,
        label=record.label,
    )


def _prediction(entry: Entry) -> RunPrediction:
    return RunPrediction(
        number=entry.number,
        id=entry.id,
        status=entry.status,
        seed=entry.seed,
        error=entry.error,
        charge=entry.charge,
        open=not entry.settled,
    )


def _charge(record: Record) -> Decimal | None:
    known = [entry.cost for entry in record.entries if entry.charge is not None or entry.reserved]
    return sum(known, Decimal(0)) if record.finished and known else None


def _charge_source(record: Record) -> ChargeSource | None:
    # A sum is as sure as its least sure part; what was certainly not charged has no part in it.
    sources = [entry.source for entry in record.entries if entry.cost]
    return min(sources, key=_CERTAINTY.index) if record.finished and sources else None


def new_record(
    run_id: str,
    visitor: str,
    account: Account,
    inputs: Inputs,
    references: tuple[Reference, ...],
    preset: str | None,
    now: datetime,
    cell: Cell | None = None,
) -> Record:
    """A run that was just pressed: one entry for each prediction, its share of the estimate reserved for it."""
    seeds = inputs.seeds
    total = estimate(inputs.variant, inputs.pictures)
    facts = Facts(
        id=run_id,
        visitor=visitor,
        account_id=account.id,
        account_kind=account.kind,
        created_at=now,
        variant_id=inputs.variant.id,
        preset=preset,
        prompt=inputs.prompt,
        values=inputs.values,
        seed=inputs.seed,
        pictures=inputs.pictures,
        references=references,
        estimate=total,
        cell=cell,
        invitation=account.invitation,
    )
    # Where the references lie is not known yet.
    entries = tuple(
        Entry(number, inputs.variant.model_id, inputs.payload([], seed), total / len(seeds))
        for number, seed in enumerate(seeds, 1)
    )
    return Record(facts, entries)
