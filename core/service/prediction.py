"""What the service answers about one submitted request, parsed once. The terminal statuses stand here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.service.redact import Redactor

# Anything else, known or not, means keep waiting (S).
TERMINAL = frozenset({"completed", "failed", "cancelled", "timeout", "deleted"})

LONGEST_ID, LONGEST_STATUS = 128, 40  # characters

# Taken, and not begun: over the account's limit a submit waits (D). Which of these is said then is not known (A).
IN_LINE = frozenset({"created", "pending", "queued"})

_A_DAY = 86_400_000  # ms; nothing longer, infinite or not a number is a duration

MODERATION_CODE = 1200
MEDIA_NOT_FETCHED_CODE = 1402
NO_CREDIT_CODE = 1407


@dataclass(frozen=True)
class Prediction:
    """The service's record of one request.

    `outputs` are URLs or bare base64; `flagged` has one entry an output, or is empty; `seconds` is the model's own
    time where it is told; `inputs` come only from the history, and as they came, to be compared; `answer` is the record
    as far as it can be kept.
    """

    id: str
    model_id: str
    status: str
    outputs: tuple[str, ...]
    flagged: tuple[bool, ...]
    error: str
    code: int
    created_at: datetime | None
    seconds: float | None
    inputs: Mapping[str, Any] | None
    answer: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL

    @property
    def in_line(self) -> bool:
        return self.status in IN_LINE

    @property
    def completed(self) -> bool:
        return self.status == "completed"

    @property
    def moderated(self) -> bool:
        return self.code == MODERATION_CODE or "flagged as potentially sensitive" in self.error


def parse(data: Any, redactor: Redactor | None = None) -> Prediction:
    """Read a prediction out of an envelope's `data`, its words made fit to be shown and kept by the client's redactor.

    Only an id and a status are insisted on; every other field may be missing or of a strange type.

    Raises:
        ValueError: it is no prediction.
    """
    redactor = redactor or Redactor()
    if not isinstance(data, Mapping) or not _is_id(data.get("id"), redactor) or not _text(data.get("status")):
        raise ValueError("not a prediction")
    outputs = data.get("outputs")
    flags = data.get("has_nsfw_contents")
    inputs = next((given for name in ("inputs", "input") if isinstance(given := data.get(name), Mapping)), None)
    code = data.get("code")
    return Prediction(
        id=data["id"],
        model_id=redactor.line(data.get("model")),
        status=redactor.line(data["status"], LONGEST_STATUS),
        outputs=tuple(o for o in outputs if isinstance(o, str)) if isinstance(outputs, list) else (),
        flagged=tuple(f is True for f in flags) if isinstance(flags, list) else (),
        error=redactor.line(data.get("error")),
        code=code if isinstance(code, int) and not isinstance(code, bool) else 0,
        created_at=_moment(data.get("created_at")),
        seconds=_seconds(data),
        inputs=inputs,
        answer=redactor.record(data),
    )


def _is_id(value: Any, redactor: Redactor) -> bool:
    """It stands in addresses, in the ledger and on the page: short, and the same once it is cleaned."""
    return bool(_text(value)) and " " not in value and redactor.line(value, LONGEST_ID) == value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: Any) -> datetime | None:
    # Python 3.11 reads any number of decimals and the trailing Z.
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(data: Mapping[str, Any]) -> float | None:
    timings = data.get("timings")
    told = timings.get("inference") if isinstance(timings, Mapping) else data.get("executionTime")
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 < told < _A_DAY:
        return None
    return told / 1000
