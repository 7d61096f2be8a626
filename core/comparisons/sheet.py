"""What a person takes away of a comparison: one contact sheet, or everything in a ZIP. Blocking."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from core.catalog.estimate import dollars
from core.catalog.variants import REGISTRY
from core.comparisons.board import Board, Row, place_of
from core.ledger.run import Run
from core.pictures import sheet
from core.pictures.recipe import APP
from core.runs import exports

SHEET = "contact-sheet.png"


def contact_sheet(board: Board) -> bytes:
    """All cells of a comparison on one picture, with names, seeds, prices and the prompt."""
    first = board.first
    prompt = "" if board.axis == "prompts" else first.prompt
    below = f"{first.created_at.astimezone(UTC):%Y-%m-%d} · {APP} · {_total(board)}"
    return sheet.draw(board.label.name or "Comparison", prompt, [_strip(board, row) for row in board.rows], below)


def archive(board: Board) -> bytes:
    """Every picture of a comparison as the service sent it, the contact sheet, and the receipts."""
    receipts = "\n\n".join(exports.receipt(run) for run in board.cells)
    pictures = {
        f"{place_of(run)[1] + 1}-{output.path.name}" if len(board.rows) > 1 else output.path.name: output
        for run in board.cells
        for output in run.outputs
    }
    texts = {SHEET: contact_sheet(board), "receipts.txt": receipts.encode("utf-8", "replace")}
    return exports.packed(pictures, texts, board.first.created_at)


def _strip(board: Board, row: Row) -> sheet.Strip:
    cells = [run for run in board.cells if place_of(run)[1] == row.number]
    title = f"{row.title}: {row.prompt}" if row.prompt else row.title
    return sheet.Strip(title, [_tile(run) for run in cells])


def _tile(run: Run) -> sheet.Tile:
    name = REGISTRY[run.variant_id].name if run.variant_id in REGISTRY else run.variant_id
    title = name if run.seed is None else f"{name} · seed {run.seed}"
    chosen = ["chosen without its name"] if run.label.chosen else []
    return sheet.Tile(title, " · ".join([*chosen, *_note(run)]), [output.path for output in run.outputs])


def _note(run: Run) -> Sequence[str]:
    missing = [] if run.outputs else [run.troubles[0].happened if run.troubles else "Not made."]
    return [_charge(run), f"{run.seconds:.1f} s", *missing]


def _charge(run: Run) -> str:
    if run.account_kind == "sandbox" and run.charge:
        return f"{dollars(run.charge)} with a key"
    return exports.charge_in_words(run)


def _total(board: Board) -> str:
    if board.first.account_kind == "sandbox":
        return f"{dollars(board.charged)} with a key, free in practice mode: no model made these"
    return f"charged {dollars(board.charged)}"
