"""What statistics need to know of a trial and its votes: plain values, without a ledger and without pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

MIN_CASES, MIN_JUDGES = 8, 3  # a winner is never named from fewer
MOST_BALLOTS = 30  # that one judge is asked for, repeats aside


@dataclass(frozen=True)
class Variant:
    """One of the two to four that are compared; `price` in USD a picture."""

    id: str
    name: str
    price: Decimal


@dataclass(frozen=True)
class Vote:
    """What a judge said of one ballot; `best` and `worst` both None: no difference. Of two, `worst` may be left out.

    `places` are the variants as they were shown. A `repeat` only tells whether a judge agrees with themselves.
    """

    judge: str
    case: str
    best: str | None = None
    worst: str | None = None
    usable: frozenset[str] = frozenset()
    places: tuple[str, ...] = ()
    repeat: bool = False

    @property
    def no_difference(self) -> bool:
        return self.best is None and self.worst is None

    def rank(self, variant: str) -> int:
        """2 for the best, 0 for the worst, 1 for all others."""
        return 1 + (variant == self.best) - (variant == self.worst)


@dataclass(frozen=True)
class Withdrawn:
    """A case that counts for no variant, since the pictures of those in `failed` could not be made."""

    case: str
    reason: str
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What the seal fixed, and what became of the cases.

    `seal` is a hex digest and seeds every random draw. `cases` are all that were sealed, those withdrawn included. A
    cheaper variant is good enough if it is surely picked over a dearer one more than 50 - `margin` times in 100.
    `looked`: the host saw results before the closing. `practice`: no model made the pictures. `notes` are sentences
    that the reader shall know beside the verdict.
    """

    seal: str
    variants: tuple[Variant, ...]
    cases: tuple[str, ...]
    withdrawn: tuple[Withdrawn, ...] = ()
    margin: int = 10
    min_cases: int = MIN_CASES
    min_judges: int = MIN_JUDGES
    looked: bool = False
    practice: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.min_cases < MIN_CASES or self.min_judges < MIN_JUDGES:
            raise ValueError(
                f"a trial may ask for more than {MIN_CASES} cases and {MIN_JUDGES} judges, never for fewer"
            )

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(variant.id for variant in self.variants)

    @property
    def standing(self) -> frozenset[str]:
        """The cases that were not withdrawn."""
        return frozenset(self.cases) - {withdrawn.case for withdrawn in self.withdrawn}


class Tally:
    """The votes that count, on cases that stand, in an order that does not depend on how they came."""

    def __init__(self, facts: Facts, votes: Iterable[Vote]) -> None:
        standing = [vote for vote in votes if vote.case in facts.standing]
        self.facts = facts
        self.votes = sorted((vote for vote in standing if not vote.repeat), key=lambda vote: (vote.judge, vote.case))
        self.repeats = [vote for vote in standing if vote.repeat]
        self.judges = sorted({vote.judge for vote in self.votes})
        self.cases = sorted({vote.case for vote in self.votes})
