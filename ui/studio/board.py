"""A comparison on the page: a column for each variant, a row for each place of the second axis. Only shows it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from core.catalog.estimate import dollars
from core.catalog.variants import REGISTRY
from core.comparisons.board import Board, place_of, watch
from core.ledger.run import Output, Run
from core.pictures.served import ServedFiles
from core.prompts.compose import listed
from core.runs.runs import Runs
from ui.files import address
from ui.studio.result import Seen, cost, references, unbilled, variant_name, view_of

_MANY = "Pictures appear together once all are done, so that speed gives nothing away."


class BoardView:
    """What the page shows of one comparison, time after time; what has not changed is not worked out again.

    A cell is JSON and a file its address alone: whatever else an event gives back Gradio walks through on the event
    loop, and looks for each file on the disk.
    """

    def __init__(self, served: ServedFiles) -> None:
        self._served = served
        self._known: dict[str, tuple[object, Any]] = {}

    def __call__(self, board: Board) -> Seen:
        """The comparison as the page takes it. Blocking: it gives the pictures their addresses."""
        most = max(board.cells, key=lambda run: len(run.references))
        return {
            "id": board.first.id,
            "name": board.label.name,
            "favourite": board.label.favourite,
            "finished": all(run.finished or run.keyless for run in board.runs),
            "hidden": board.hidden,
            "sealed": board.sealed,
            "columns": [] if board.hidden else _columns(board),
            "rows": [] if board.hidden else [asdict(row) for row in board.rows],
            "cells": self._hidden(board) if board.hidden else self._shown(board),
            "done": board.done,
            "tally": tally(board),
            "unbilled": _unbilled(board),
            "notice": _MANY if board.hidden and not board.finished else "",
            "references": self._once("references", most.id, lambda: _addressed(references(most, self._served))),
            "prompt": board.first.prompt,
            "made": {} if board.hidden else _made(board),
            "choice": _choice(board),
            "thumbs": self._once("thumbs", _pictured(board), lambda: thumbs(board, self._served)),
        }

    def _once(self, name: str, state: object, make: Callable[[], Any]) -> Any:
        """What that makes, until the state is another."""
        if name not in self._known or self._known[name][0] != state:
            self._known[name] = (state, make())
        return self._known[name][1]

    def _shown(self, board: Board) -> list[str]:
        return [self._once(run.id, run, partial(self._cell, run)) for run in board.cells]

    def _cell(self, run: Run) -> str:
        variant_id, row = place_of(run)
        variant = REGISTRY.get(variant_id)
        seen = view_of(run, self._served)
        again = [variant.id, run.pictures] if variant and _can_be_made_again(run) else None
        shown = ("id", "finished", "stages", "seconds", "expected_seconds", "notice", "shape", "awaited")
        cell = {
            **{name: seen[name] for name in (*shown, "troubles", "resume", "with")},
            "pictures": _addressed(seen["pictures"]),
            "variant": variant_id,
            "row": row,
            "title": variant_name(run),
            "receipt": [*cost(run, short=True), f"{run.seconds:.1f} s"] if run.finished else [],
            "again": again,
            "chosen": run.label.chosen,
        }
        return json.dumps(cell)

    def _hidden(self, board: Board) -> list[str]:
        ready = board.finished
        return [
            self._once(run.id, (letter, ready), partial(self._hidden_cell, run, letter_of(letter), ready=ready))
            for letter, run in enumerate(board.cells)
        ]

    def _hidden_cell(self, run: Run, title: str, *, ready: bool) -> str:
        """Nothing in it tells one variant from another."""
        pictures = self._nameless(run, title) if ready else []
        cell = {
            "id": run.id,
            "title": title,
            "finished": ready,
            "pictures": pictures,
            "awaited": 0 if ready else 1,
            "troubles": [{"happened": "This one couldn’t be made."}] if ready and not pictures else [],
        }
        return json.dumps(cell)

    def _nameless(self, run: Run, title: str) -> list[dict[str, Any]]:
        shown = [(o, self._served.show(run.id, o.path, _nameless(o))) for o in run.outputs]
        return [
            {
                "number": output.number,
                "image": {"url": address(file)},
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
    firsts = [(run, output) for run in board.cells for output in run.outputs[:1]][:4]
    shown = [served.show(run.id, output.path, _nameless(output) if board.hidden else "") for run, output in firsts]
    return [{"url": address(file)} for file in shown if file]


def _pictured(board: Board) -> object:
    """Another whenever its thumbnails may be."""
    return board.hidden, board.finished, [(run.id, len(run.outputs)) for run in board.cells]


def _nameless(output: Output) -> str:
    return f"picture-{output.number}{output.path.suffix}"


def _addressed(entries: Sequence[Seen]) -> list[Seen]:
    """The same with each file's address in the place of the file."""
    files = ("image", "with_recipe")
    return [
        {name: value and {"url": value["url"]} if name in files else value for name, value in entry.items()}
        for entry in entries
    ]


def strip_of_board(board: Board, served: ServedFiles) -> Seen:
    """A comparison as the strip of recent runs shows it. Blocking, like `BoardView`."""
    made = thumbs(board, served)
    return {
        "id": board.first.id,
        "thumb": made[0]["url"] if made else None,
        "going": not board.finished,
        "said": f"Comparison, {tally(board)[0]}: {board.label.name or board.first.prompt[:60]}",
        "receipt": [],
        "unbilled": _unbilled(board),
    }


def tally(board: Board) -> list[str]:
    """How far it has come, and what it costs; not that while names are hidden."""
    done = f"{board.done} of {len(board.cells)} done"
    return [done, "Names hidden"] if board.hidden else [done, _money(board)]


def _unbilled(board: Board) -> int:
    """How many receipts may still change; none of them is shown while names are hidden."""
    return 0 if board.hidden else sum(map(unbilled, board.runs))


def still(seen: Seen) -> Seen:
    """What is shown without the seconds that pass: two of these are equal where nothing would look different."""
    return {**seen, "seconds": None}


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


def _can_be_made_again(run: Run) -> bool:
    sealed = run.cell is not None and run.cell.axis == "trial"
    return not sealed and run.finished and not run.resumable and len(run.outputs) < run.pictures
