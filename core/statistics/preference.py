"""How strongly each variant is preferred, and how surely.

Bradley–Terry on the pairs that each vote tells. Votes are not independent: one picture is judged many times, and one
judge votes many times. The bootstrap therefore draws cases and judges at the same time (the pigeonhole bootstrap of
Owen, 2007), and pairs of one ballot are never drawn apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from core.statistics.votes import Tally

Array = npt.NDArray[np.float64]

DRAWS = 2000
RIDGE = 0.1  # keeps a strength finite where a variant won all of its pairs
LOW, HIGH = 0.025, 0.975  # the ends of every interval
FLOOR = 0.05  # the end that matters where a variant only must not be much worse
_EQUAL = 1e-9  # strengths nearer than this differ by rounding alone


def pairs(tally: Tally, tie: float = 0.5) -> Array:
    """How often one variant was preferred to another: by case, judge, winner, loser. No difference gives both `tie`."""
    ids, cases, judges = tally.facts.ids, tally.cases, tally.judges
    counts = np.zeros((len(cases) or 1, len(judges) or 1, len(ids), len(ids)))  # no votes: a case that tells nothing
    for vote in tally.votes:
        ranks = np.array([vote.rank(variant) for variant in ids])
        told = tie * (1 - np.eye(len(ids))) if vote.no_difference else ranks[:, None] > ranks
        counts[cases.index(vote.case), judges.index(vote.judge)] += told
    return counts


def strengths(wins: Array, ridge: float = RIDGE) -> Array:
    """Bradley–Terry log-strengths, summing to zero, of one win matrix or of many at once (`..., winner, loser`).

    Newton's method on the log-likelihood less ridge/2 × the sum of squares.
    """
    played = wins + np.swapaxes(wins, -1, -2)
    found = np.zeros(wins.shape[:-1])
    own = np.eye(wins.shape[-1])
    for _ in range(50):
        chance = _beats(found)
        slope = wins.sum(-1) - (played * chance).sum(-1) - ridge * found
        bend = played * chance * (1 - chance)
        step = np.linalg.solve((bend.sum(-1) + ridge)[..., None] * own - bend, slope[..., None])[..., 0]
        found = found + step
        if np.abs(step).max() < 1e-8:
            break
    return found


def shares(strength: Array) -> Array:
    """How often each variant is preferred to another one of the trial, from 0 to 1."""
    count = strength.shape[-1]
    return np.asarray((_beats(strength) * (1 - np.eye(count))).sum(-1) / (count - 1))


def _beats(strength: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(strength[..., None, :] - strength[..., :, None])))


@dataclass(frozen=True)
class Evidence:
    """What pairs say: the strengths in each draw (`draw, variant`), and how often it drew each case and each judge."""

    pairs: Array
    drawn: Array
    weights: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

    @cached_property
    def strength(self) -> Array:
        return strengths(self.pairs.sum((0, 1)))

    @property
    def best(self) -> int:
        return int(self.strength.argmax())

    @cached_property
    def p_best(self) -> Array:
        """In what share of the draws each variant came first; a draw with several firsts is divided among them."""
        first = self.drawn > self.drawn.max(-1, keepdims=True) - _EQUAL
        return np.asarray((first / first.sum(-1, keepdims=True)).mean(0))

    @property
    def interval(self) -> Array:
        """The lower and the upper end of each variant's share (`end, variant`)."""
        return np.asarray(np.quantile(shares(self.drawn), (LOW, HIGH), axis=0))

    def picked(self, one: int, other: int, quantile: float) -> float:
        """How often `one` is preferred to `other`, in that quantile of the draws."""
        return float(np.quantile(1 / (1 + np.exp(self.drawn[:, other] - self.drawn[:, one])), quantile))

    def without(self, axis: int, number: int) -> Evidence:
        """Leave out one case (axis 0) or judge (1): the draws that happen to lack it (jackknife after bootstrap)."""
        lacking = self.weights[axis][:, number] == 0
        return Evidence(np.delete(self.pairs, number, axis), self.drawn[lacking], self.weights)


def bootstrap(counts: Array, rng: np.random.Generator, draws: int = DRAWS) -> Evidence:
    """Draw cases and judges with replacement, both at once, and find the strengths of every draw.

    The same counts and the same state of `rng` bring the same digits, on one version of numpy.
    """
    cases, judges, variants, _ = counts.shape
    by_case, by_judge = (rng.multinomial(size, np.full(size, 1 / size), draws) for size in (cases, judges))
    wins = np.einsum("dj,djp->dp", by_judge, (by_case @ counts.reshape(cases, -1)).reshape(draws, judges, variants**2))
    return Evidence(counts, strengths(wins.reshape(draws, variants, variants)), (by_case, by_judge))


def seeded(seal: str) -> np.random.Generator:
    """The random numbers of a trial: its own, and the same whenever its report is made again."""
    return np.random.default_rng(int(seal, 16))
