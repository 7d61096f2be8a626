"""Records to rows of the ledger and back. Paths of ours are kept relative to its folder, so that it can be moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from core.ledger.record import Entry, Record
from core.ledger.run import Cell, Facts, Label, Output, Trouble
from core.ledger.schema import predictions
from core.pictures.reference import Reference

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Columns that are fields of the same name.
_FACTS = (
    *("id", "visitor", "account_id", "account_kind", "created_at", "variant_id", "preset", "prompt", "seed"),
    *("pictures", "estimate", "invitation"),
)
_ENTRY = (
    *("number", "attempt", "model_id", "payload", "status", "error", "submitting_at", "submitted_at", "settled_at"),
    *("reserved", "charge", "source", "model_seconds", "callback"),
)


def run_row(record: Record, home: Path) -> dict[str, Any]:
    facts = record.facts
    return {
        **{name: getattr(facts, name) for name in _FACTS},
        "parameters": dict(facts.values),
        "refs": [with_relative_path(reference, home) for reference in facts.references],
        **label_row(record.label),
        **_cell_row(facts.cell),
        "fence": record.fence,
        **ending_row(record),
    }


def label_row(label: Label) -> dict[str, Any]:
    return asdict(label)


def is_entry(run_id: str, entry: Entry) -> sa.ColumnElement[bool]:
    """Whether a row is that entry of the run's."""
    key = (predictions.c.run_id, predictions.c.number, predictions.c.attempt)
    return sa.tuple_(*key) == (run_id, entry.number, entry.attempt)


def ending_row(record: Record) -> dict[str, Any]:
    return {
        "state": record.state,
        "owner": None if record.finished else record.owner,
        "finished_at": record.finished_at,
        "troubles": [asdict(trouble) for trouble in record.troubles],
        "stopping": False,
    }


def entry_row(run_id: str, entry: Entry, home: Path) -> dict[str, Any]:
    return {
        "run_id": run_id,
        **{name: getattr(entry, name) for name in _ENTRY},
        "payload": dict(entry.payload),
        "prediction_id": entry.id,
        "outputs": [with_relative_path(output, home) for output in entry.outputs],
        "troubles": [asdict(trouble) for trouble in entry.troubles],
    }


def record(run: Mapping[Any, Any], entries: Sequence[Mapping[Any, Any]], home: Path) -> Record:
    return Record(
        facts=_facts(run, home),
        entries=tuple(entry(row, home) for row in entries),
        state=run["state"],
        finished_at=run["finished_at"],
        troubles=_troubles(run),
        label=Label(run["name"], run["favourite"], run["letter"], run["chosen"]),
        owner=run["owner"],
        fence=run["fence"],
        stopping=run["stopping"],
    )


def _facts(row: Mapping[Any, Any], home: Path) -> Facts:
    references = tuple(reference(given, home) for given in row["refs"])
    cell = Cell(row["comparison_id"], **row["cell"]) if row["cell"] else None
    return Facts(**{name: row[name] for name in _FACTS}, values=row["parameters"], references=references, cell=cell)


def _cell_row(cell: Cell | None) -> dict[str, Any]:
    place = asdict(cell) if cell else {}
    return {"comparison_id": place.pop("comparison_id", None), "cell": place or None}


def entry(row: Mapping[Any, Any], home: Path) -> Entry:
    return Entry(
        **{name: row[name] for name in _ENTRY},
        id=row["prediction_id"],
        outputs=tuple(Output(**_with_path(given, home)) for given in row["outputs"]),
        troubles=_troubles(row),
    )


def _troubles(row: Mapping[Any, Any]) -> tuple[Trouble, ...]:
    return tuple(Trouble(**given) for given in row["troubles"])


def reference(given: Mapping[str, Any], home: Path) -> Reference:
    # Older rows number them; the order says it.
    fields = {name: value for name, value in given.items() if name != "number"}
    card = fields.get("card")
    return Reference(**{**_with_path(fields, home), "card": home / card if card else None})


def with_relative_path(thing: DataclassInstance, home: Path) -> dict[str, Any]:
    """Its fields, with every path as it is below `home`."""
    row = asdict(thing)
    paths = {name: _relative(value, home) for name, value in row.items() if isinstance(value, Path)}
    return {**row, **paths}


def _relative(path: Path, home: Path) -> str:
    return str(path.relative_to(home) if path.is_relative_to(home) else path)


def _with_path(given: Mapping[Any, Any], home: Path) -> dict[str, Any]:
    return {**given, "path": home / given["path"]}
