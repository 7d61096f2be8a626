"""Everything that can go wrong, as one tree. Facts are attributes; the message is made from them.

KontextError
 ├ SettingsError            names the variable
 ├ InputError               all problems, each with its parameter
 ├ PresetError              file and key
 ├ ReferenceRejected        which reference, and why it can't be used
 ├ BudgetError              which cap, what is left, when it renews
 ├ PriceRose                what it costs now
 ├ LedgerError              the record can't be kept, so nothing is spent
 ├ ServiceError             what the service said: status, code, request
 │   ├ KeyRejected · NoCredit · RateLimited · Unreachable · ServiceBroken
 │   └ SubmitUnknown        sent, unanswered: may have been created
 └ WaitTimeout              carries the id; still running, can be resumed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Charged = Literal["no", "yes", "unknown"]

CHARGED_SENTENCES: dict[Charged, str] = {
    "no": "Nothing was charged.",
    "yes": "It was charged.",
    "unknown": "It is not known yet whether it was charged.",
}


class KontextError(Exception):
    """Three facts for a person: what happened, whether it was charged, what to do now."""

    charged: Charged = "no"

    def __init__(self, happened: str, advice: str = "", *, charged: Charged | None = None) -> None:
        self.happened = happened
        self.advice = advice
        if charged is not None:
            self.charged = charged
        super().__init__(happened)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.happened, CHARGED_SENTENCES[self.charged], self.advice)))


class SettingsError(KontextError):
    """An environment variable holds something that can't be used. The value stays out: it may be a secret."""

    def __init__(self, variable: str, happened: str, advice: str = "") -> None:
        self.variable = variable
        super().__init__(f"{variable} {happened}", advice)

    def __str__(self) -> str:
        return f"{self.happened} {self.advice}".strip()


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a set of inputs: the parameter's name and a whole sentence."""

    parameter: str
    message: str


class InputError(KontextError):
    """Every problem of a set of inputs at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(p.message for p in self.problems))


class PresetError(KontextError):
    """A preset file is wrong; names the file and the key."""

    def __init__(self, file: str, key: str, happened: str) -> None:
        self.file = file
        self.key = key
        super().__init__(f"{file}: {key}: {happened}")

    def __str__(self) -> str:
        return self.happened


class ReferenceRejected(KontextError):
    """A picture can't be used as a reference. `number` counts from 1, as on the card."""

    def __init__(self, number: int, reason: str, advice: str) -> None:
        self.number = number
        self.reason = reason
        super().__init__(f"Reference {number} {reason}", advice)


class PriceRose(KontextError):
    """It costs more than a person agreed to. `price`: USD, what it costs now."""

    def __init__(self, happened: str, advice: str, price: Decimal) -> None:
        self.price = price
        super().__init__(happened, advice)


class BudgetError(KontextError):
    """A cap refuses the run. Money in USD; `left` is None where no amount would be let pass."""

    def __init__(
        self,
        happened: str,
        advice: str,
        *,
        cap: Literal["daily", "visitor", "signed_in", "invitation", "unpriced", "paused"],
        limit: Decimal | None = None,
        left: Decimal | None = None,
        renews: datetime | None = None,
    ) -> None:
        self.cap = cap
        self.limit = limit
        self.left = left
        self.renews = renews
        super().__init__(happened, advice)


class LedgerError(KontextError):
    """The ledger can't be written: full disk, read-only folder, locked file, a database that is away.

    `passing`: it goes away by itself, so that it is worth trying again.
    """

    def __init__(self, happened: str, advice: str = "", *, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(happened, advice)


class ServiceError(KontextError):
    """The service answered with a refusal, or did not answer.

    `status` is the HTTP status (None: no answer), `code` the envelope's or task's code,
    `request` such as "POST /api/v3/balance"; the service's own words are in `said`,
    with anything that looks like a key taken out.
    """

    def __init__(
        self,
        happened: str,
        advice: str = "",
        *,
        status: int | None = None,
        code: int | None = None,
        request: str = "",
        said: str = "",
        charged: Charged | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.request = request
        self.said = said
        super().__init__(happened, advice, charged=charged)


class KeyRejected(ServiceError):
    """401 or 403: the key is missing, wrong, not activated, or lacks the role."""


class NoCredit(ServiceError):
    """The account has no credit left."""


class RateLimited(ServiceError):
    """429. `retry_after` in seconds, None where the service does not say."""

    retry_after: float | None = None


class Unreachable(ServiceError):
    """No connection, or no answer in time, to a request that is safe to repeat."""


class ServiceBroken(ServiceError):
    """5xx, or an answer that can't be read, to a request that is safe to repeat."""


class SubmitUnknown(ServiceError):
    """The paid submit went out and no readable answer came: the task may exist and be billed."""

    charged: Charged = "unknown"


class WaitTimeout(KontextError):
    """We stopped waiting; the task goes on and can be resumed by its id."""

    charged: Charged = "unknown"

    def __init__(self, prediction_id: str, happened: str, advice: str) -> None:
        self.prediction_id = prediction_id
        super().__init__(happened, advice)
