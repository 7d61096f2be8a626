"""Everything of the host's page as tables, to be added up elsewhere."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from core.access.invitations import Invitations, Standing
from core.ledger import books
from core.ledger.ledger import Ledger
from core.runs.exports import as_cell

INVITATIONS = (
    *("name", "created_at", "allowance_usd", "renews", "expires_at", "paused", "ended_at", "spent_in_period_usd"),
)


def tables(ledger: Ledger, invitations: Invitations, drift: Iterable[str]) -> bytes:
    """A ZIP of CSV files: each prediction with its money, invitations, trials, drift of the catalogue. Blocking.

    Money in USD, exact; times in UTC.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        with ledger.reading() as connection:
            _write(archive, "predictions.csv", books.PREDICTION_COLUMNS, books.prediction_rows(connection))
            _write(archive, "trials.csv", books.Told._fields, books.trials_told(connection))
        _write(archive, "invitations.csv", INVITATIONS, map(_invitation, invitations.every()))
        _write(archive, "drift.csv", ("difference",), ([line] for line in drift))
    return packed.getvalue()


def _write(archive: zipfile.ZipFile, name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with archive.open(name, "w") as file, io.TextIOWrapper(file, "utf-8", "replace", newline="") as text:
        table = csv.writer(text)
        table.writerow(head)
        table.writerows([as_cell(_in_utc(value)) for value in row] for row in rows)


def _in_utc(value: object) -> object:
    return value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _invitation(standing: Standing) -> tuple[object, ...]:
    one = standing.invitation
    ends = (one.created_at, one.allowance, one.renews, one.expires_at, one.paused, one.ended_at)
    return (one.name, *ends, standing.spent)
