"""A prediction that the service still has -> a run for the history, though nobody here remembers it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.catalog.estimate import estimate
from core.catalog.inputs import find_problems
from core.catalog.limits import ID_CHARACTERS
from core.catalog.variants import BY_MODEL, PICTURES, PROMPT, SEED, Parameter, Variant
from core.errors import InputError, KontextError, Problem, ServiceError
from core.ledger.record import Entry, Record
from core.ledger.run import Facts
from core.runs import outcomes
from core.service.account import Account
from core.service.prediction import Prediction

PAGES = 5  # of the history, searched for what was asked for; a picture without its inputs is still a picture
_APART = (PROMPT.name, "images", SEED.name, PICTURES.name)


def checked(prediction_id: str) -> str:
    """An id as the service writes it.

    Raises:
        InputError: it is none.
    """
    plain = prediction_id.strip()
    if not re.fullmatch(rf"[0-9A-Za-z_-]{{8,{ID_CHARACTERS}}}", plain, re.ASCII):
        raise InputError([Problem("prediction_id", "That isn't a prediction id. One has 32 letters and digits.")])
    return plain


def unknown() -> KontextError:
    """Said alike of what does not exist and of what is another visitor's, so that nobody can tell them apart."""
    advice = (
        "Check the id and the key: it keeps predictions for 7 days, and shows each only to the account that made it."
    )
    return KontextError("The service has no prediction with this id for you.", advice)


async def find(account: Account, visitor: str, prediction_id: str, now: datetime, run_id: str) -> Record:
    """A record of that prediction, to be resumed. It reserves nothing: it was paid for when it was made.

    Raises:
        KontextError: the service does not know it, or another model made it.
    """
    try:
        prediction = await account.client.result(prediction_id)
    except ServiceError as error:
        raise (unknown() if error.status == 404 else KontextError(error.happened, error.advice)) from None
    variant = BY_MODEL.get(prediction.model_id)
    if variant is None:
        happened = "This prediction was made by a model that this app doesn't have."
        raise KontextError(happened, "Download it from your account at the service.")
    inputs = await _inputs(account, prediction)
    return _record(found_facts(account, visitor, variant, prediction, inputs, now, run_id), prediction, inputs)


async def _inputs(account: Account, prediction: Prediction) -> Mapping[str, Any]:
    """What was asked for, where the history tells it."""
    try:
        async for items in account.client.pages(PAGES, model_id=prediction.model_id):
            for item in items:
                if item.id == prediction.id:
                    return item.inputs or {}
    except ServiceError:
        pass
    return {}


def _record(facts: Facts, prediction: Prediction, inputs: Mapping[str, Any]) -> Record:
    told = {PROMPT.name: facts.prompt, SEED.name: facts.seed, PICTURES.name: _whole(PICTURES, inputs), **facts.values}
    entry = Entry(
        number=1,
        model_id=prediction.model_id,
        payload={name: value for name, value in told.items() if value is not None} if inputs else {},
        reserved=Decimal(0),
        status=prediction.status,
        id=prediction.id,
        submitting_at=prediction.created_at,
        submitted_at=prediction.created_at or facts.created_at,
    )
    return Record(facts, (entry,), state="waiting")


def found_facts(
    account: Account,
    visitor: str,
    variant: Variant,
    prediction: Prediction,
    inputs: Mapping[str, Any],
    now: datetime,
    run_id: str,
) -> Facts:
    """What can be said of a prediction's run from the inputs that the service's history tells."""
    prompt = inputs.get(PROMPT.name)
    count = _whole(PICTURES, inputs) or max(1, min(len(prediction.outputs), int(PICTURES.maximum or 1)))
    count = count if variant.parameter(PICTURES.name) else 1
    return Facts(
        id=run_id,
        visitor=visitor,
        account_id=account.id,
        account_kind=account.kind,
        created_at=now,
        variant_id=variant.id,
        preset=None,
        prompt=outcomes.clean(prompt) if isinstance(prompt, str) else "",
        values={n: v for n, v in inputs.items() if n not in _APART and not find_problems(variant, {n: v})},
        seed=_whole(SEED, inputs),
        pictures=count,
        references=(),
        estimate=estimate(variant, count),
    )


def _whole(row: Parameter, inputs: Mapping[str, Any]) -> int | None:
    """A whole number of the service's history, where it is one that the parameter can have."""
    value = inputs.get(row.name)
    return value if isinstance(value, int) and (row.minimum or 0) <= value <= (row.maximum or 0) else None
