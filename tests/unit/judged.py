"""A trial that is open, put straight into a ledger: what tests of judging begin with."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image

from core.access.codes import code_hash, new_code
from core.ledger import trials
from core.ledger.ledger import Ledger
from core.ledger.trials import Case, Picture, Spec, Trial
from core.pictures.blind import make_alike
from core.trials.blind import place
from core.trials.life import CODE

VARIANTS = ("pro", "max", "dev", "ultra-fast")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TITLE, QUESTION = "Shop pictures", "Which picture would you put on the shop page?"

Draw = Callable[[int, str | None], bytes]  # (case, variant; None: the reference) -> a picture's bytes


def small(case: int, variant: str | None) -> bytes:
    """A plain picture of a colour of its own."""
    file = BytesIO()
    Image.new("RGB", (32, 32), (case * 6, len(variant or "") * 25, 90)).save(file, "PNG")
    return file.getvalue()


def open_trial(
    ledger: Ledger,
    cases: int = 12,
    variants: Sequence[str] = VARIANTS[:3],
    *,
    takes: int = 1,
    draw: Draw = small,
    **rules: Any,
) -> tuple[Trial, str]:
    """An open trial, with a reference in each case, and the code to it."""
    case = [Case(f"Put thing {n} on a table", parameters={"seeds": [*range(takes)]}) for n in range(1, cases + 1)]
    spec = Spec(TITLE, QUESTION, tuple(variants), tuple(case), **rules)
    trial, code = Trial(uuid.uuid4().hex, "host", "sandbox", "sandbox", NOW, spec), new_code(CODE)
    pictures = list(_pictures(ledger.home / "made" / trial.id, spec, draw))
    for _, group in groupby(pictures, lambda one: (one.case, one.variant is None)):
        alike = list(group)
        make_alike([one.path for one in alike], [place(ledger.home, trial.id, one.id) for one in alike])
    with ledger.writing() as connection:
        trials.put(connection, trial, ledger.home)
        trials.add_pictures(connection, trial.id, pictures, ledger.home)
        trials.move(connection, trial.id, "draft", "open", opened_at=NOW, code_hash=code_hash(code))
    return trial, code


def close(ledger: Ledger, trial: Trial) -> None:
    """As its host does."""
    with ledger.writing() as connection:
        trials.move(connection, trial.id, "open", "closed", closed_at=NOW, code_hash=None)


def _pictures(folder: Path, spec: Spec, draw: Draw) -> Iterator[Picture]:
    folder.mkdir(parents=True)
    for number, case in enumerate(spec.cases, 1):
        for variant in (None, *spec.variants):
            for take in range(1, (1 if variant is None else case.takes) + 1):
                data, id = draw(number, variant), uuid.uuid4().hex
                path = folder / f"{number}-{variant}-{take}.png"
                path.write_bytes(data)
                yield Picture(id, number, variant, take, path, hashlib.sha256(data).hexdigest(), variant and "r" * 32)
