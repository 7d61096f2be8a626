"""What a person takes away of their runs: one as a ZIP, all of them as a table of receipts."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from core.catalog.estimate import dollars
from core.catalog.variants import REGISTRY
from core.ledger.run import ChargeSource, Output, Run, RunPrediction
from core.pictures.recipe import APP, to_json

COLUMNS = (
    "time_utc",
    "run_id",
    "variant",
    "preset",
    "pictures",
    "seed",
    "estimate_usd",
    "charge_usd",
    "charge_known_by",
    "seconds",
    "state",
    "sandbox",
    "prediction_ids",
)
_SANDBOX = "sandbox"
_CERTAINTY: dict[ChargeSource | None, str] = {
    "billing": "billed by the service",
    "quote": "quoted price",
    "estimate": "estimated; the service hasn't sent the bill",
    None: "nothing was charged",
}
# What spreadsheets take for the beginning of a formula, or step over to find one.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def archive(run: Run) -> bytes:
    """A run as a ZIP: its pictures as the service sent them, recipe.json, receipt.txt. Blocking; same run, same bytes.

    A picture that is no longer on the disk is left out, and receipt.txt says so.
    """
    gone = [output for output in run.outputs if not output.path.is_file()]
    texts = {
        "recipe.json": (to_json(run.recipe, indent=2) + "\n").encode(),
        "receipt.txt": receipt(run, gone).encode("utf-8", "replace"),
    }
    return packed({output.path.name: output for output in run.outputs}, texts, run.created_at)


def packed(pictures: Mapping[str, Output], texts: Mapping[str, bytes], when: datetime) -> bytes:
    """A ZIP of pictures, those that are still on the disk, and of texts, by their names. Blocking; always the same."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:  # pictures are compressed as they are, so all is only stored
        for name, output in pictures.items():
            if (data := _read(output)) is not None:
                file.writestr(_member(_safe(name), when), data)
        for name, data in texts.items():
            file.writestr(_member(name, when), data)
    return made.getvalue()


def receipt(run: Run, gone: Iterable[Output] = ()) -> str:
    """A run in plain words; `gone` are pictures that can't be found any more."""
    variant = REGISTRY.get(run.variant_id)
    rows = {
        "Time": f"{run.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "Run": run.id,
        "Variant": variant.name if variant else run.variant_id,
        "Preset": run.preset or "none",
        "Pictures": f"{len(run.outputs)} of {run.pictures}",
        "Seed": "none" if run.seed is None else str(run.seed),
        "Parameters": ", ".join(f"{name} {value}" for name, value in run.values.items()) or "none",
        "Estimate": dollars(run.estimate),
        "Charge": charge_in_words(run),
        "Took": f"{run.seconds:.1f} s",
        "State": run.state,
    }
    table = "\n".join(f"{name + ':':<12}{value}" for name, value in rows.items())
    parts = [f"{APP}: receipt", table, f"Prompt:\n{run.prompt}", *_listed("References", _references(run))]
    parts += _listed("Predictions", map(_prediction_in_words, run.predictions))
    lost = map(missing, gone)
    parts += _listed("What happened", [*map(str, run.troubles), *lost])
    return "\n\n".join(parts) + "\n"


def missing(output: Output) -> str:
    """Said of a picture whose file is gone."""
    return f"Picture {output.number} is no longer on the app's disk."


def receipts_csv(runs: Iterable[Run], *, head: bool = True) -> str:
    """One line a run, in the order given; `head`: under the names of the columns.

    Money in USD, exact; times in UTC; empty where something is not known.

    A run of the sandbox is marked, and its charge is 0 whatever the sandbox made believe, so that the column adds up.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    if head:
        writer.writerow(COLUMNS)
    writer.writerows([as_cell(value) for value in _row(run)] for run in runs)
    return table.getvalue()


def _row(run: Run) -> tuple[object, ...]:
    charge, known_by = _charge(run)
    return (
        run.created_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        run.id,
        run.variant_id,
        run.preset,
        run.pictures,
        run.seed,
        run.estimate,
        charge,
        known_by,
        f"{run.seconds:.1f}",
        run.state,
        "yes" if _in_sandbox(run) else "no",
        " ".join(prediction.id for prediction in run.predictions if prediction.id),
    )


def as_cell(value: object) -> str:
    """A value as a spreadsheet may have it: no text begins as a formula, whoever wrote it."""
    match value:
        case None:
            return ""
        case Decimal():
            return f"{value:f}"
        case str() if value.lstrip(" ").startswith(_FORMULA):
            return f"'{value}"  # a spreadsheet shows the rest as text
    return str(value)


def _charge(run: Run) -> tuple[Decimal | None, str]:
    """What was charged, and how that is known: billing, quote, estimate, sandbox, none; empty while the run goes on."""
    if _in_sandbox(run):
        return Decimal(0), _SANDBOX
    if not run.finished:
        return None, ""
    return run.charge or Decimal(0), run.charge_source or "none"


def charge_in_words(run: Run) -> str:
    """What was charged, and how that is known."""
    if _in_sandbox(run):
        return "free (practice mode; no model made this)"
    if not run.finished:
        return "not known yet; still running"
    return f"{dollars(run.charge or Decimal(0))}, {_CERTAINTY[run.charge_source]}"


def _in_sandbox(run: Run) -> bool:
    return run.account_kind == "sandbox"


def _references(run: Run) -> list[str]:
    return [f"{n}. {held.role or 'no role'}, sha256 {held.sha256}" for n, held in enumerate(run.references, start=1)]


def _prediction_in_words(prediction: RunPrediction) -> str:
    parts = [prediction.id or "no id", prediction.status]
    if prediction.seed is not None:
        parts.append(f"seed {prediction.seed}")
    return f"{prediction.number}. {', '.join(parts)}"


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    text = "\n".join(lines)
    return [f"{title}:\n{text}"] if text else []


def _read(output: Output) -> bytes | None:
    try:
        return output.path.read_bytes()
    except OSError:
        return None


def _safe(name: str) -> str:
    """A name that stays a name wherever the ZIP is opened."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")


def _member(name: str, when: datetime) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, when.astimezone(UTC).timetuple()[:6])
    member.create_system = 3  # the same bytes from every system, and files that their owner may read
    member.external_attr = 0o100644 << 16
    return member
