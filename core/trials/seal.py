"""The seal: SHA-256 of all that a trial fixes before its first picture, so that nobody can change the rules later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.catalog.variants import REGISTRY, SEED, Variant
from core.ledger.trials import Spec
from core.statistics.report import report
from core.trials import results
from core.trials.trial import TrialCell

FORMAT = 1


def canonical(value: Any) -> str:
    """One text for one value: keys in order, no spaces, nothing escaped that need not be (as RFC 8785 orders it).

    Half characters, which no file can hold, become question marks.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def seal(text: str) -> str:
    """The seal of a canonical text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def document(
    spec: Spec, cells: Sequence[TrialCell], prices: Mapping[str, Decimal], now: datetime, *, practice: bool
) -> dict[str, Any]:
    """What is sealed: the rules, each variant's model and price, and each case with the pictures that go into it and
    the inputs of every picture that is to come out of it. `prices` of the account where they are not the list's.
    """
    return {
        "format": FORMAT,
        "sealed_at": now.isoformat(),
        "practice": practice,
        "title": spec.title,
        "question": spec.question,
        "variants": [_variant(REGISTRY[id], prices) for id in spec.variants],
        "cases": [_case(number, spec, cells) for number in range(1, len(spec.cases) + 1)],
        "judges": spec.judges,
        "margin": spec.margin,
        "min_cases": spec.min_cases,
        "min_judges": spec.min_judges,
        "closes_at": spec.closes_at.isoformat() if spec.closes_at else None,
    }


def _variant(row: Variant, prices: Mapping[str, Decimal]) -> dict[str, str]:
    price = prices.get(row.id, row.price)
    return {"id": row.id, "name": row.name, "model": row.model_id, "price_usd": str(price)}


def _case(number: int, spec: Spec, cells: Sequence[TrialCell]) -> dict[str, Any]:
    case = spec.cases[number - 1]
    return {
        "case": number,
        "prompt": case.prompt,
        "references": [{"sha256": reference.sha256, "role": reference.role} for reference in case.references],
        "pictures": [
            {"variant": cell.inputs.variant.id, "take": cell.take, SEED.name: cell.inputs.seed, **cell.inputs.values}
            for cell in cells
            if cell.case == number
        ],
    }


def pictures_seal(seal_of_rules: str, pictures: Sequence[Mapping[str, Any]], withdrawn: Sequence[Any]) -> str:
    """What ties the pictures that were made, and the cases that could not be, to the seal, before the first vote."""
    return seal(canonical({"seal": seal_of_rules, "pictures": list(pictures), "withdrawn": list(withdrawn)}))


def votes_seal(file: Mapping[str, Any]) -> str:
    """What ties all that judges said, and what follows from it, to the pictures and the rules."""
    names = ("pictures_seal", "making", "late", "looked", "removed", "judges", "votes", "report")
    return seal(canonical({name: file[name] for name in names}))


def check(file: Mapping[str, Any]) -> list[str]:
    """What of a trial's file does not fit its seals, or does not follow from the votes, in sentences.

    It finds what was changed in a file, not who wrote it: whoever has an earlier copy of a seal compares that too.
    """
    try:
        return _unfitting(file)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return ["This is not the whole file of a trial."]


def _unfitting(file: Mapping[str, Any]) -> list[str]:
    told = file["seal"]
    checks = (
        ("The rules are not those that were sealed.", seal(canonical(file["sealed"]))),
        ("The report is of another trial.", file["report"]["seal"]),
    )
    wrong = [sentence for sentence, found in checks if found != told]
    if pictures_seal(told, file["pictures"], file["withdrawn"]) != file["pictures_seal"]:
        wrong.append("The pictures are not those that were judged.")
    if votes_seal(file) != file["votes_seal"]:
        wrong.append("The votes or the report are not those of the closing.")
    if canonical(report(results.facts(file), results.votes(file["votes"]))) != canonical(file["report"]):
        wrong.append("The report does not follow from the votes.")
    return wrong
