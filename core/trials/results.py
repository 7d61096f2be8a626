"""A trial in the ledger -> what statistics are told of it, and the lines about how its pictures were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from core.catalog.variants import REGISTRY
from core.ledger.ballots import Ballot, Judge
from core.ledger.run import Run
from core.ledger.trials import Picture, Trial
from core.runs.outcomes import MODERATED
from core.statistics.planner import count
from core.statistics.votes import Facts, Variant, Vote, Withdrawn

Tries = Mapping[tuple[int, str], Sequence[Run]]  # the runs of each cell, oldest first, by its row and its variant


def tries_of(runs: Iterable[Run]) -> dict[tuple[int, str], list[Run]]:
    """The runs of a trial, given newest first, by the cells that they were made for."""
    found: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        if run.cell is not None:
            found.setdefault((run.cell.row, run.variant_id), []).insert(0, run)
    return found


def places(trial: Trial) -> list[tuple[int, int]]:
    """The case and the take of each row."""
    return [(number, take) for number, case in enumerate(trial.spec.cases, 1) for take in range(1, case.takes + 1)]


def withdrawn(trial: Trial, tries: Tries) -> tuple[dict[str, Any], ...]:
    """The cases in which a variant has no picture, each with its reason and those that failed."""
    reasons: dict[int, dict[str, str]] = {}
    for (row, variant), runs in sorted(tries.items()):
        if not runs[-1].outputs:
            why = next((trouble.happened for trouble in runs[-1].troubles), "It made no picture.")
            reasons.setdefault(places(trial)[row][0], {})[variant] = f"{REGISTRY[variant].name}: {why}"
    return tuple(
        {"case": case, "reason": " ".join(failed.values()), "failed": list(failed)} for case, failed in reasons.items()
    )


def making(trial: Trial, tries: Tries) -> list[dict[str, int | str]]:
    """For each variant: how many pictures were asked for, how many of these failed, and how many were blocked."""
    asked: dict[str, list[Run]] = {id: [] for id in trial.spec.variants}
    for (_, variant), runs in tries.items():
        asked[variant] += [run for run in runs if any(prediction.id for prediction in run.predictions)]
    return [
        {
            "variant": variant,
            "asked": len(runs),
            "failed": sum(not run.outputs for run in runs),
            "blocked": sum(any(trouble.happened in MODERATED for trouble in run.troubles) for run in runs),
        }
        for variant, runs in asked.items()
    ]


def lines(file: Mapping[str, Any]) -> tuple[str, ...]:
    """In words: of which variant not all pictures came, whose votes are left out, and whether its date had passed."""
    removed, late = file["removed"], "Its closing date passed before its pictures were made, so it was closed by hand."
    made = (
        f"{REGISTRY[row['variant']].name} failed in {row['failed']} of {count(row['asked'], 'picture')}"
        + (f", {row['blocked']} of these blocked by the safety filter." if row["blocked"] else ".")
        for row in file["making"]
        if row["failed"]
    )
    gone = f"The host removed {count(len(removed), 'judge')}, and {count(sum(removed), 'vote')} with them."
    return (*made, *[gone] * bool(removed), *[late] * file["late"])


def facts(file: Mapping[str, Any]) -> Facts:
    """What statistics need of a trial, from its file alone, so that whoever has that can work out the report anew."""
    sealed, withdrawn = file["sealed"], file["withdrawn"]
    return Facts(
        seal=file["seal"],
        variants=tuple(Variant(row["id"], row["name"], Decimal(row["price_usd"])) for row in sealed["variants"]),
        cases=tuple(str(case["case"]) for case in sealed["cases"]),
        withdrawn=tuple(Withdrawn(str(row["case"]), row["reason"], tuple(row["failed"])) for row in withdrawn),
        margin=sealed["margin"],
        min_cases=sealed["min_cases"],
        min_judges=sealed["min_judges"],
        looked=file["looked"],
        practice=sealed["practice"],
        notes=lines(file),
    )


def votes(rows: Iterable[Mapping[str, Any]]) -> list[Vote]:
    """What was said, from the rows of a file; a judge is a number."""
    return [
        Vote(
            judge=f"{row['judge']:02}",
            case=str(row["case"]),
            best=row["best"],
            worst=row["worst"],
            usable=frozenset(row["usable"]),
            places=tuple(row["places"]),
            repeat=row["repeat"],
        )
        for row in rows
    ]


def unordered(told: Iterable[tuple[Judge, Ballot]]) -> list[tuple[Judge, Ballot]]:
    """The same with judges numbered anew, so that no number tells who came when: the host has seen the names come."""
    known = list(told)
    ids = sorted({judge.id for judge, _ in known})  # random
    return sorted(
        ((replace(judge, number=ids.index(judge.id) + 1), ballot) for judge, ballot in known),
        key=lambda one: (one[0].number, one[1].position),
    )


def vote_rows(told: Iterable[tuple[Judge, Ballot]]) -> list[dict[str, Any]]:
    """What was said on the ballots that have a vote, for a file."""
    return [
        {
            "judge": judge.number,
            "case": ballot.case,
            "take": ballot.take,
            "places": list(ballot.places),
            "repeat": ballot.repeat,
            "best": ballot.choice.best,
            "worst": ballot.choice.worst,
            "usable": sorted(ballot.choice.usable),
            "remark": ballot.choice.remark,
        }
        for judge, ballot in told
        if ballot.choice
    ]


def picture_rows(pictures: Iterable[Picture]) -> list[dict[str, Any]]:
    """The pictures that were judged, for a file."""
    made = (one for one in pictures if one.variant is not None)
    return [{"case": one.case, "variant": one.variant, "take": one.number, "sha256": one.sha256} for one in made]
