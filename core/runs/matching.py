"""Whether a prediction that the service speaks of is the one that a submit of ours asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from core.errors import ServiceError
from core.ledger.record import Entry
from core.service.client import Client
from core.service.prediction import Prediction

# The service's clock and ours may differ. What is too old is no danger: the inputs must be ours as well.
CLOCK_SKEW = timedelta(minutes=15)


def same(payload: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether these are the inputs that we sent: the URLs of our uploads, the prompt and the seed tell it.

    Where the variant has no seed, nothing that both name may differ. The service may have added defaults, left some
    out, or written a value in another way (A), so more is not asked where the seed tells.
    """
    telling = [name for name in ("prompt", "images", "seed") if name in payload]
    told = all(name in inputs and inputs[name] == payload[name] for name in telling)
    return told and ("seed" in payload or agrees(payload, inputs))


def agrees(payload: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether nothing that both name differs."""
    return all(inputs[name] == value for name, value in payload.items() if name in inputs)


def may_be(entry: Entry, prediction: Prediction) -> bool:
    """Whether nothing that is told of a prediction speaks against its being the entry's."""
    created, sent = prediction.created_at, entry.submitting_at
    in_time = created is not None and sent is not None and created >= sent - CLOCK_SKEW
    told = prediction.inputs is None or same(entry.payload, prediction.inputs)
    return in_time and told and prediction.model_id == entry.model_id


async def proven(client: Client, entry: Entry, prediction_id: str) -> Prediction | None:
    """The prediction of that id, where the service itself says that this account has it and that it may be the entry's.

    Raises:
        ServiceError: it can't be asked just now.
    """
    try:
        found = await client.result(prediction_id)
    except ServiceError as error:
        if error.status == 404:
            return None
        raise
    return found if found.id == prediction_id and may_be(entry, found) else None
