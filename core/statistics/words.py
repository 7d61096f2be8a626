"""The verdict and its honesty in plain English."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from core.catalog.estimate import dollars
from core.statistics import honesty
from core.statistics.planner import chance, count, how_often
from core.statistics.preference import FLOOR, Evidence, shares
from core.statistics.usable import usable
from core.statistics.verdict import Decision, well_judged
from core.statistics.votes import MOST_BALLOTS, Facts, Tally

_FRACTIONS = (
    ("a quarter", 1 / 4),
    ("a third", 1 / 3),
    ("half", 1 / 2),
    ("two thirds", 2 / 3),
    ("three quarters", 3 / 4),
)
_AGREEMENT = ((0.6, "closely"), (0.3, "fairly well"), (0.1, "a little"), (-2.0, "hardly more than by chance"))


def verdict(tally: Tally, evidence: Evidence, decision: Decision) -> str:
    """The verdict first, then whatever a reader has to know of the votes."""
    if decision.take is None:
        said = _too_early(tally)
    elif decision.kind == "preferred":
        said = _preferred(tally, evidence, decision.take)
    elif decision.rival is not None:
        said = _good_enough(tally.facts, evidence, decision.take, decision.rival)
    else:
        said = _no_clear_winner(tally.facts, decision.take, decision.contenders)
    return " ".join([said, *_unused(tally, decision), *_remarks(tally)])


def _too_early(tally: Tally) -> str:
    """What the votes lack, what that would cost, and what it would bring."""
    facts, judges, cases = tally.facts, len(tally.judges), len(tally.facts.standing)
    more_cases, more_judges = max(facts.min_cases - cases, 0), max(facts.min_judges - judges, 0)
    price = dollars(more_cases * sum((variant.price for variant in facts.variants), Decimal()))
    steps = [f"{count(more_cases, 'more case')} would cost {price}"] * (more_cases > 0)
    steps += [f"{count(more_judges, 'more judge')} would cost nothing"] * (more_judges > 0)
    found = how_often(chance(cases + more_cases, judges + more_judges, len(facts.ids)))
    return (
        f"Too early: {count(judges, 'judge') if judges else 'nobody'} voted on {count(cases, 'case')}. A verdict takes "
        f"{facts.min_cases} cases with votes from {facts.min_judges} judges each; {well_judged(tally)} have them now. "
        f"{_list(steps) or 'The missing votes would cost nothing'}. "
        f"A favourite that is preferred 3 times in 4 would then be noticed {found}."
    )


def _preferred(tally: Tally, evidence: Evidence, take: int) -> str:
    best = tally.facts.variants[take]
    numbers = (shares(evidence.strength), *evidence.interval, evidence.p_best)
    share, low, high, first = (round(float(100 * each[take])) for each in numbers)
    named = f"named best in {sum(vote.best == best.id for vote in tally.votes)} of {len(tally.votes)} votes"
    if len(tally.facts.ids) > 2:
        named += f" and worst in {sum(vote.worst == best.id for vote in tally.votes)}"
    surely = f"about {first}" if first < 100 else "nearly 100"
    return (
        f"{best.name} is preferred: it was picked over another picture {share} times in 100 ({low} to {high}), "
        f"{named}. With other judges and cases like these it would come first {surely} times in 100."
    )


def _good_enough(facts: Facts, evidence: Evidence, take: int, rival: int) -> str:
    taken, dearer = facts.variants[take], facts.variants[rival]
    share = float(taken.price / dearer.price)
    near = (words for words, value in _FRACTIONS if abs(value - share) < 0.025)
    part = next(near, f"{share * 100:.0f} %")
    least = evidence.picked(take, rival, FLOOR) * 100
    return (
        f"{taken.name} is good enough and costs {part} as much as {dearer.name}: "
        f"{dollars(taken.price)} a picture instead of {dollars(dearer.price)}. It is picked over {dearer.name} at "
        f"least {least:.0f} times in 100; you asked for more than {50 - facts.margin}."
    )


def _no_clear_winner(facts: Facts, take: int, contenders: Sequence[int]) -> str:
    taken, among = facts.variants[take], [facts.variants[number] for number in contenders]
    behind = [variant.name for variant in facts.variants if variant not in among]
    cheapest = "the cheapest, " * any(variant.price > taken.price for variant in among)
    between = f" between {_list([variant.name for variant in among])}" if behind and len(among) > 1 else ""
    rest = f" {_list(behind)} {'is' if len(behind) == 1 else 'are'} behind." if behind else ""
    return f"No clear winner{between}: take {cheapest}{taken.name} at {dollars(taken.price)} a picture.{rest}"


def _unused(tally: Tally, decision: Decision) -> list[str]:
    """What is good beside the others may still not be good enough for the job."""
    if decision.take is None:
        return []
    variant = tally.facts.variants[decision.take]
    share = usable(tally, variant).share
    said = f"But most judges would use {variant.name}’s pictures as they are in only {share * 100:.0f} cases in 100."
    return [said] * (share < 0.5)


def _remarks(tally: Tally) -> list[str]:
    """What else to know: votes that are all alike, missing votes, withdrawn cases, looks, practice pictures."""
    facts, votes, gone = tally.facts, tally.votes, len(tally.facts.withdrawn)
    expected = len(tally.judges) * min(len(facts.standing), MOST_BALLOTS)
    missing = expected - len({(vote.judge, vote.case) for vote in votes})
    alike = len(votes) > 1 and len({tuple(map(vote.rank, facts.ids)) for vote in votes}) == 1
    said = "“no difference”" if alike and votes[0].no_difference else "the same"
    remarks = (
        (alike, f"All {len(votes)} votes say {said}."),
        (missing > 0, f"Of {count(expected, 'vote')}, {missing} didn’t come in; the others count."),
        (gone, f"Of {count(len(facts.cases), 'case')}, {gone} had to be withdrawn for want of a picture."),
        (facts.looked, "Somebody saw results before the closing, so a winner had to be surer."),
        (facts.practice, "These are practice pictures, which no model made: a rehearsal, not a result."),
    )
    return [sentence for holds, sentence in remarks if holds] + list(facts.notes)


def honesty_lines(tally: Tally, evidence: Evidence, decision: Decision) -> list[str]:
    """How far judges agree, with each other and with themselves, and what the verdict hangs on."""
    alpha, (same, repeats) = honesty.between_judges(evidence.pairs), honesty.with_themselves(tally)
    how = next(words for least, words in _AGREEMENT if (alpha or 0) >= least)
    unknown = "Whether judges agree can’t be told from these votes."
    lines = [unknown if alpha is None else f"Judges agree {how} (alpha {alpha:.2f})."]
    lines += [f"Shown a set again, they named the same best {same} of {count(repeats, 'time')}."] * (repeats > 0)
    if decision.take is None:
        return lines
    cases, judges = honesty.hangs_on(tally, evidence, decision)
    parts = [f"{cases} of the {len(tally.cases)} cases"] * (cases > 0)
    parts += [f"{judges} of the {len(tally.judges)} judges"] * (judges > 0)
    single = f"Leaving out a single one of {' or of '.join(parts)} would change the verdict."
    lines += [single if parts else "Leaving out any one judge or any one case would not change the verdict."]
    ties = "Leaving out the votes for “no difference” would change the verdict."
    return lines + [ties] * honesty.ties_matter(tally, decision)


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
