"""A comparison on the page: a column for each variant, a row for each place of the second axis. Only shows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict
from typing import Any

from core.catalog.estimate import dollars, sum_in_words
from core.catalog.variants import REGISTRY
from core.ledger.run import Run
from core.pictures.served import ServedFiles
from core.prompts.compose import listed
from core.runs.runs import Runs
from core.trials.board import Board, place_of, watch
from ui.files import file_data
from ui.studio.result import Seen, cost, references, variant_name, view_of

_MANY = "Pictures appear together once all are done, so that speed gives nothing away."


class BoardView:
    """What the page shows of one comparison, time after time; a cell that has not changed is not worked out again."""

    def __init__(self, served: ServedFiles) -> None:
        self._served = served
        self._known: dict[str, tuple[Run, Seen]] = {}

    def __call__(self, board: Board) -> Seen:
        """The comparison as the page takes it. Blocking: it gives the pictures their addresses."""
        cells = self._hidden(board) if board.hidden else [self._cell(run) for run in board.cells]
        return {
            "id": board.first.id,
            "name": board.label.name,
            "favourite": board.label.favourite,
            "finished": all(run.finished or run.keyless for run in board.runs),
            "hidden": board.hidden,
            "columns": [] if board.hidden else _columns(board),
            "rows": [] if board.hidden else [asdict(row) for row in board.rows],
            "cells": cells,
            "done": board.done,
            "tally": tally(board),
            "notice": _MANY if board.hidden and not board.finished else "",
            "references": references(max(board.cells, key=lambda run: len(run.references)), self._served),
            "prompt": board.first.prompt,
            "made": {} if board.hidden else _made(board),
            "choice": _choice(board),
            "thumbs": thumbs(board, self._served),
        }

    def _cell(self, run: Run) -> Seen:
        known = self._known.get(run.id)
        if known is None or known[0] != run:
            self._known[run.id] = known = (run, self._worked_out(run))
        return known[1]

    def _worked_out(self, run: Run) -> Seen:
        variant_id, row = place_of(run)
        variant = REGISTRY.get(variant_id)
        seen = view_of(run, self._served)
        again = f"Make again · {sum_in_words(variant, run.pictures)}" if variant and _fell_short(run) else ""
        shown = ("id", "finished", "stages", "seconds", "expected_seconds", "notice", "shape", "awaited", "pictures")
        return {
            **{name: seen[name] for name in (*shown, "troubles", "resume", "with")},
            "variant": variant_id,
            "row": row,
            "title": variant_name(run),
            "receipt": [*cost(run, short=True), f"{run.seconds:.1f} s"] if run.finished else [],
            "again": again,
            "chosen": run.label.chosen,
        }

    def _hidden(self, board: Board) -> list[Seen]:
        return [self._hidden_cell(run, letter, ready=board.finished) for letter, run in enumerate(board.cells)]

    def _hidden_cell(self, run: Run, letter: int, *, ready: bool) -> Seen:
        """Nothing in it tells one variant from another."""
        title = letter_of(letter)
        pictures = self._nameless(run, title) if ready else []
        return {
            "id": run.id,
            "title": title,
            "finished": ready,
            "pictures": pictures,
            "awaited": 0 if ready else 1,
            "troubles": [{"happened": "This one couldn’t be made."}] if ready and not pictures else [],
        }

    def _nameless(self, run: Run, title: str) -> list[dict[str, Any]]:
        shown = [(o, self._served.show(run.id, o.path, f"picture-{o.number}{o.path.suffix}")) for o in run.outputs]
        return [
            {
                "number": output.number,
                "image": file_data(file),
                "name": f"picture-{title}-{output.number}{file.suffix}",
                "alt": f"Picture {title}" if len(run.outputs) == 1 else f"Picture {title}, {output.number}",
                "width": output.width,
                "height": output.height,
                "seed": None,
            }
            for output, file in shown
            if file
        ]


async def board_views(runs: Runs, served: ServedFiles, visitor: str, comparison_id: str) -> AsyncGenerator[Seen, None]:
    """A comparison of the visitor's as it stands, then each change of any cell, until nothing of it goes on."""
    view = BoardView(served)
    async for state in watch(runs, visitor, comparison_id):
        yield await runs.readers(view, state)


def letter_of(place: int) -> str:
    """A, B, C … as the page calls a cell whose name is hidden; a comparison has fewer cells than there are letters."""
    return chr(ord("A") + place)


def thumbs(board: Board, served: ServedFiles) -> list[dict[str, Any]]:
    """Some of its pictures, small; none while names are hidden and some are still being made."""
    if board.hidden and not board.finished:
        return []
    shown = [
        served.show(run.id, output.path, f"picture-{output.number}{output.path.suffix}" if board.hidden else "")
        for run in board.cells
        for output in run.outputs[:1]
    ]
    return [file_data(file) for file in shown[:4] if file]


def strip_of_board(board: Board, served: ServedFiles) -> Seen:
    """A comparison as the strip of recent runs shows it. Blocking, like `BoardView`."""
    made = thumbs(board, served)
    return {
        "id": board.first.id,
        "thumb": made[0]["url"] if made else None,
        "going": not board.finished,
        "said": f"Comparison, {tally(board)[0]}: {board.label.name or board.first.prompt[:60]}",
        "receipt": [],
        "unbilled": False,
    }


def tally(board: Board) -> list[str]:
    """How far it has come, and what it costs; not that while names are hidden."""
    done = f"{board.done} of {len(board.cells)} done"
    return [done, "Names hidden"] if board.hidden else [done, _money(board)]


def still(seen: Seen) -> Seen:
    """What is shown without the seconds that pass: two of these are equal where nothing would look different."""
    cells = [{**cell, "seconds": None} for cell in seen.get("cells", ())]
    return {**seen, "seconds": None, "cells": cells}


def _columns(board: Board) -> list[dict[str, str]]:
    names = dict.fromkeys(place_of(run)[0] for run in board.cells)
    return [{"variant": id, "name": REGISTRY[id].name if id in REGISTRY else id} for id in names]


def _money(board: Board) -> str:
    """What was charged so far, of what was confirmed; in practice mode what it would be."""
    total = dollars(board.estimate)
    if board.first.account_kind == "sandbox":
        return f"Free · {total} with a key"
    charged = dollars(board.charged)
    return f"Charged {charged}" if charged == total else f"Charged {charged} of {total}"


def _made(board: Board) -> dict[str, str]:
    seeds = list(dict.fromkeys(str(run.seed) for run in board.cells if run.seed is not None))
    rows = {} if board.axis == "prompts" else {"Prompt": board.first.prompt}
    rows |= {"Variants": listed([column["name"] for column in _columns(board)])}
    rows |= {"Seed" if len(seeds) == 1 else "Seeds": ", ".join(seeds)} if seeds else {}
    return rows | _parameters(board.cells)


def _parameters(cells: Sequence[Run]) -> dict[str, str]:
    """Each parameter that was sent, and to whom where it was not sent alike."""
    told: dict[str, dict[str, list[str]]] = {}
    for run in cells:
        variant = REGISTRY.get(run.variant_id)
        for name, value in run.values.items():
            row = variant.parameter(name) if variant else None
            names = told.setdefault(row.label if row else name, {}).setdefault(str(value), [])
            names += [] if variant_name(run) in names else [variant_name(run)]
    return {
        label: "; ".join(f"{value} ({', '.join(names)})" for value, names in values.items())
        for label, values in told.items()
    }


def _choice(board: Board) -> str:
    """What the blind choice turned out to be."""
    run = board.chosen
    if run is None or board.hidden:
        return ""
    return " · ".join([f"You chose {variant_name(run)}", *cost(run, short=True)])


def _fell_short(run: Run) -> bool:
    return run.finished and not run.resumable and len(run.outputs) < run.pictures
