"""What has to be true of every run that has ended, whatever happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from PIL import Image
from server import Books

from core.ledger.run import Run


def check_books(runs: Sequence[Run], total: Decimal, books: Books) -> None:
    """Every task on the server belongs to exactly one prediction here, and the money agrees to the tenth of a cent."""
    ids = [p.id for run in runs for p in run.predictions if p.id]
    assert len(ids) == len(set(ids)), "two predictions share a task"
    assert set(ids) == books.tasks
    assert total == books.total


def check_ends(runs: Sequence[Run]) -> None:
    """Ended, with whole pictures, and with three facts for all that is missing."""
    for run in runs:
        assert run.finished, run
        check_pictures(run)
        check_facts(run)


def check_pictures(run: Run) -> None:
    """What is shown is a whole picture of the size that is told."""
    for output in run.outputs:
        with Image.open(output.path) as image:
            image.load()
            assert image.size == (output.width, output.height)


def check_facts(run: Run) -> None:
    """A run that lacks pictures says what happened, whether it was charged, and what to do."""
    assert bool(run.troubles) == (run.state != "completed"), run
    assert (len(run.outputs) == run.pictures) == (run.state == "completed"), run
    for trouble in run.troubles:
        assert trouble.happened
        assert trouble.charged in ("no", "yes", "unknown")
        assert trouble.advice
