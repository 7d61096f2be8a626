"""What a reader should know before trusting a verdict: how far judges agree, and what the verdict hangs on."""

from __future__ import annotations

import numpy as np

from core.statistics.preference import Array, Evidence, bootstrap, pairs, seeded
from core.statistics.verdict import Decision, decide
from core.statistics.votes import Tally


def between_judges(told: Array) -> float | None:
    """Krippendorff's alpha over the pictures, each best, worst or neither: 1 is full agreement, 0 is chance.

    Of pairs as `preference.pairs` gives them. None where it can't be told: no picture was seen by two judges, or they
    said the same of all.
    """
    import krippendorff  # here, since only reports need it

    ranks = (told - np.swapaxes(told, -1, -2)).sum(-1)
    ranks[~told.any((-1, -2))] = np.nan
    by_judge = np.swapaxes(ranks, 0, 1).reshape(told.shape[1], -1)
    shared = by_judge[:, (~np.isnan(by_judge)).sum(0) > 1]
    if len(np.unique(shared[~np.isnan(shared)])) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=shared, level_of_measurement="ordinal"))


def with_themselves(tally: Tally) -> tuple[int, int]:
    """In how many repeats the judge named the same best as the first time, of how many."""
    first = {(vote.judge, vote.case): vote.best for vote in tally.votes}
    again = [vote for vote in tally.repeats if (vote.judge, vote.case) in first]
    return sum(first[vote.judge, vote.case] == vote.best for vote in again), len(again)


def best_by_place(tally: Tally) -> list[int]:
    """How often the picture in each place was named best, from the first place on."""
    shown = [vote.places.index(vote.best) for vote in tally.votes if vote.best in vote.places]
    return [shown.count(place) for place in range(len(tally.facts.ids))]


def hangs_on(tally: Tally, evidence: Evidence, decision: Decision) -> tuple[int, int]:
    """Without how many cases, and how many judges, each left out alone, the verdict would be another."""

    def changed(axis: int, size: int) -> int:
        return sum(decide(evidence.without(axis, one), tally.facts) != decision for one in range(size))

    return changed(0, len(tally.cases)), changed(1, len(tally.judges))


def ties_matter(tally: Tally, decision: Decision) -> bool:
    """Whether the verdict would be another if votes of no difference were left out, not counted as half wins."""
    ties = any(vote.no_difference for vote in tally.votes)
    return ties and decision != decide(bootstrap(pairs(tally, tie=0), seeded(tally.facts.seal)), tally.facts)
