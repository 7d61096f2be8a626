"""What the votes allow to say, by rules that are fixed before the first of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.statistics.preference import FLOOR, HIGH, Evidence
from core.statistics.votes import Facts, Tally

# P(best) that makes a winner, by the number of variants: equal variants bring one in at most 5 % of the trials, as
# benchmarks/power.py simulates. Who may look after every judge has more chances to see one, so that takes more; of
# three and four more than 5 % would ask for, for the sake of trials in which two lead and are equal.
WINNER_AT = {2: 0.975, 3: 0.94, 4: 0.94}
WINNER_AT_ANY_LOOK = {2: 0.994, 3: 0.99, 4: 0.99}


@dataclass(frozen=True)
class Decision:
    """A kind, and the number of the variant to take, None where it is too early.

    `contenders` are those that the votes can't tell from the strongest; `rival` is the dearer one that a variant is
    good enough beside.
    """

    kind: Literal["preferred", "good_enough", "no_clear_winner", "too_early"]
    take: int | None = None
    contenders: tuple[int, ...] = field(default=(), compare=False)
    rival: int | None = field(default=None, compare=False)


def rule(tally: Tally, evidence: Evidence) -> Decision:
    """The verdict of a trial; never one from fewer cases or judges than were fixed."""
    enough = well_judged(tally) >= tally.facts.min_cases
    return decide(evidence, tally.facts) if enough else Decision("too_early")


def decide(evidence: Evidence, facts: Facts) -> Decision:
    """The verdict on enough votes. A cheaper variant that is good enough goes before a dearer one that is preferred."""
    best, numbers = evidence.best, range(len(facts.variants))
    winner = is_winner(evidence, looked=facts.looked)
    rivals = {number: _rival(number, evidence, facts) for number in numbers if not (winner and number == best)}
    surely = {number: evidence.picked(number, rival, FLOOR) for number, rival in rivals.items() if rival is not None}
    enough = [number for number, share in surely.items() if share > 0.5 - facts.margin / 100]
    if enough:
        take = _cheapest(enough, evidence, facts)
        return Decision("good_enough", take, rival=rivals[take])
    if winner:
        return Decision("preferred", best)
    contenders = tuple(number for number in numbers if evidence.picked(number, best, HIGH) >= 0.5)
    return Decision("no_clear_winner", _cheapest(contenders, evidence, facts), contenders)


def is_winner(evidence: Evidence, *, looked: bool = False) -> bool:
    """Whether the strongest variant is the best more surely than chance would make one."""
    needed = (WINNER_AT_ANY_LOOK if looked else WINNER_AT)[len(evidence.strength)]
    return bool(evidence.p_best[evidence.best] >= needed)


def well_judged(tally: Tally) -> int:
    """How many cases were judged by as many people as a verdict takes."""
    judges = Counter(case for case, _ in {(vote.case, vote.judge) for vote in tally.votes})
    return sum(number >= tally.facts.min_judges for number in judges.values())


def _rival(number: int, evidence: Evidence, facts: Facts) -> int | None:
    """Which dearer variant to hold a cheaper one against: the best, or beside the best the strongest of the dearer."""
    price = facts.variants[number].price
    dearer = [other for other, variant in enumerate(facts.variants) if variant.price > price]
    if number == evidence.best:
        return max(dearer, key=lambda other: float(evidence.strength[other]), default=None)
    return evidence.best if evidence.best in dearer else None


def _cheapest(numbers: Sequence[int], evidence: Evidence, facts: Facts) -> int:
    """Of several that cost the same, the strongest."""
    return min(numbers, key=lambda number: (facts.variants[number].price, -evidence.strength[number]))
