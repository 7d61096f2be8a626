"""One run as it stands at one moment: frozen, so that a page can hold one while the run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypedDict

from core.errors import CHARGED_SENTENCES, Charged
from core.pictures.recipe import Recipe
from core.pictures.reference import Reference
from core.service.account import AccountKind

# "keyless" is never written down: unfinished, and the key that it was made with is not here.
State = Literal[
    "preparing", "uploading", "submitting", "waiting", "downloading", "keyless", "completed", "partial", "failed"
]
ChargeSource = Literal["estimate", "quote", "billing"]

FINISHED: frozenset[State] = frozenset({"completed", "partial", "failed"})


@dataclass(frozen=True)
class RunPrediction:
    """One prediction of a run. `status` is the service's word, or ours where the service was never reached.

    `charge` in USD is None until something is known. `open` means that it can still be resumed: the task may be
    running, or its pictures are not all here.
    """

    number: int
    id: str | None
    status: str
    seed: int | None
    error: str
    charge: Decimal | None
    open: bool = False


@dataclass(frozen=True)
class Output:
    """One picture of a run, whole and on disk. `number` counts from 1 within the run; edges in px."""

    number: int
    path: Path
    width: int
    height: int
    seed: int | None
    prediction_id: str


@dataclass(frozen=True)
class Trouble:
    """The three facts of a failure: what happened, whether it was charged, what to do now; and the id to copy."""

    happened: str
    charged: Charged
    advice: str
    prediction_id: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.happened, CHARGED_SENTENCES[self.charged], self.advice)))


Axis = Literal["variants", "seeds", "prompts", "leave_one_out", "trial"]


@dataclass(frozen=True)
class Cell:
    """A run's place in a comparison, or in the trial of that id, in the column of its variant.

    `row` counts from 0 along the axis; of "variants" there is one alone. `left_out` is the reference, from 1, that the
    run goes without.
    """

    comparison_id: str
    axis: Axis
    row: int
    left_out: int | None = None


class LabelChange(TypedDict, total=False):
    """What of a label is to be another; of two that come at once neither undoes the other."""

    name: str
    favourite: bool
    letter: int | None
    chosen: bool


@dataclass(frozen=True)
class Label:
    """What a person put on a run of theirs. `name` is "" where it has none.

    In a comparison whose names are hidden, `letter` counts its place among the cells from 0; `chosen`: the one that was
    chosen without knowing its name.
    """

    name: str = ""
    favourite: bool = False
    letter: int | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Facts:
    """What stands from the press on and never changes.

    `cell` is None where the run is no part of a comparison; `invitation` is the id of the one that it was made under.
    """

    id: str
    visitor: str
    account_id: str
    account_kind: AccountKind
    created_at: datetime
    variant_id: str
    preset: str | None
    prompt: str
    values: Mapping[str, Any]
    seed: int | None
    pictures: int
    references: tuple[Reference, ...]
    estimate: Decimal
    cell: Cell | None = field(default=None, kw_only=True)
    invitation: str | None = field(default=None, kw_only=True)

    @property
    def group(self) -> str:
        """With whom it takes turns as one: alone, or with the other cells of its comparison."""
        return self.cell.comparison_id if self.cell else self.id


@dataclass(frozen=True)
class Run(Facts):
    """One press of Generate and what has come of it. Money in USD, times UTC, `seconds` since the press and final once
    finished.

    `charge` is None until the run has finished; `charge_source` says how sure it is, and is None where nothing was
    charged. `notice` is "" or one sentence for the person: why the run waits just now.
    """

    charge: Decimal | None
    charge_source: ChargeSource | None
    state: State
    predictions: tuple[RunPrediction, ...]
    outputs: tuple[Output, ...]
    troubles: tuple[Trouble, ...]
    notice: str
    seconds: float
    model_seconds: float | None
    expected_seconds: float | None
    label: Label = field(default=Label())

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def keyless(self) -> bool:
        """Whether it goes on only once the key that it was made with is here again."""
        return self.state == "keyless"

    @property
    def resumable(self) -> bool:
        """Whether something of a finished run may still be had: a task that goes on, a picture not fetched yet."""
        return self.finished and any(prediction.open for prediction in self.predictions)

    @property
    def recipe(self) -> Recipe:
        """All it takes to make this run again."""
        return Recipe(
            variant_id=self.variant_id,
            prompt=self.prompt,
            values=dict(self.values),
            seed=self.seed,
            pictures=self.pictures,
            preset=self.preset,
            references=tuple((reference.sha256, reference.role) for reference in self.references),
        )
