"""The History tab: the visitor's runs, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from core.catalog.variants import REGISTRY
from core.comparisons.board import Board
from core.ledger.run import Run, State, Trouble
from core.pictures.served import ServedFiles
from ui.files import file_data
from ui.studio.board import tally, thumbs
from ui.studio.payer import charged
from ui.studio.result import on_the_disk, receipt, variant_name

_HERE = Path(__file__).parent

_STATES: dict[State, str] = {
    "completed": "Done",
    "partial": "Partly done",
    "failed": "Failed",
    "keyless": "Waiting for its key",
}


class HistoryView(gr.HTML):
    """A list of runs with thumbnails; `{"runs": […]}` as `history_of` makes it. `offer` is a file to download,
    `leaving` what there is to delete of the visitor's, and then how that went.
    """

    def __init__(
        self, *, offer: dict[str, Any] | None = None, leaving: dict[str, Any] | None = None, **rest: Any
    ) -> None:
        super().__init__(
            value=None,
            html_template='<section class="history" aria-label="History"></section>',
            css_template=(_HERE / "history.css").read_text(),
            js_on_load=(_HERE / "history.js").read_text(),
            apply_default_css=False,
            offer=offer,
            leaving=leaving,
            variants={row.id: row.name for row in REGISTRY.values()},
            **rest,
        )
        # Else Gradio takes the names for events, since the script mentions them.
        self.offer, self.leaving = offer, leaving

    def postprocess(self, value: dict[str, Any] | None) -> Any:
        return value

    def preprocess(self, payload: Any) -> None:
        """Nothing comes back from here: the page only shows it."""


def history_of(entries: Sequence[Sequence[Run]], preset_names: dict[str, str], served: ServedFiles) -> dict[str, Any]:
    """What the page shows of a visitor's runs and comparisons. Blocking: it gives their pictures their addresses."""
    return {"runs": [_one(entry, preset_names, served) for entry in entries]}


def _one(runs: Sequence[Run], preset_names: dict[str, str], served: ServedFiles) -> dict[str, Any]:
    cell = runs[0].cell
    if cell is None:
        return _entry(runs[0], preset_names, served)
    return {**_comparison(Board(cell.comparison_id, tuple(runs)), served), "preset": _preset(runs[0], preset_names)}


def _comparison(board: Board, served: ServedFiles) -> dict[str, Any]:
    """All cells in one entry; by the id of any of them the page asks for the whole."""
    first = board.first
    names = [] if board.hidden else [", ".join(dict.fromkeys(map(variant_name, board.cells)))]
    return {
        "id": first.id,
        "name": board.label.name,
        "favourite": board.label.favourite,
        "when": first.created_at.isoformat(),
        "prompt": first.prompt,
        "state": "Trial" if board.sealed else "Comparison",
        "deletable": all(run.finished or run.keyless for run in board.runs),
        "open": False,
        "restorable": not board.hidden,
        "receipt": [*names, *tally(board)],
        "pictures": thumbs(board, served),
        "troubles": [],
    }


def _entry(run: Run, preset_names: dict[str, str], served: ServedFiles) -> dict[str, Any]:
    here, gone = on_the_disk(run, served)
    return {
        "id": run.id,
        "name": run.label.name,
        "favourite": run.label.favourite,
        "when": run.created_at.isoformat(),
        "preset": _preset(run, preset_names),
        "prompt": run.prompt,
        "state": _state(run),
        "deletable": run.finished or run.keyless,
        "open": run.resumable,
        "restorable": True,
        "receipt": receipt(run),
        "pictures": [file_data(file) for file in here.values()],
        "troubles": list(dict.fromkeys([*(_trouble(run, trouble) for trouble in run.troubles), *gone])),
    }


def _preset(run: Run, names: dict[str, str]) -> str:
    return names.get(run.preset or "", "")


def _trouble(run: Run, trouble: Trouble) -> str:
    return " ".join(filter(None, (trouble.happened, charged(trouble.charged, run.account_kind), trouble.advice)))


def _state(run: Run) -> str:
    if run.resumable:
        made = all(prediction.status == "completed" for prediction in run.predictions if prediction.open)
        return "Pictures to fetch" if made else "Still running at the service"
    return _STATES.get(run.state, "Running")
