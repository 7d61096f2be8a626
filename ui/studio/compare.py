"""The part of the form that asks for several runs at once: which variants, and what else is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.catalog.limits import TYPED_CHARACTERS
from core.catalog.variants import PROMPT, REGISTRY, SEED
from core.comparisons.board import Board, place_of
from core.comparisons.comparison import AXES, FEWEST, MOST
from core.errors import Problem
from core.ledger.run import Axis

_HERE = Path(__file__).parent
# Read once: Gradio makes the component anew for each step of a press that leaves it as it is.
_HTML, _CSS, _SCRIPT = ((_HERE / f"compare.{kind}").read_text() for kind in ("html", "css", "js"))

SEED_CHARACTERS = 12


class Compare(BaseModel):
    """What is compared while it is `on`; the rest stays for when it is switched on again.

    `seeds` are as typed, an empty one being new for every run; `wordings` are those after the prompt, which is the
    first.
    """

    model_config = ConfigDict(frozen=True)

    on: bool = False
    variants: Annotated[tuple[str, ...], Field(max_length=len(REGISTRY))] = ()
    axis: Axis = "variants"
    seeds: Annotated[
        tuple[Annotated[str, Field(max_length=SEED_CHARACTERS)], ...], Field(min_length=FEWEST, max_length=MOST)
    ] = ("",) * FEWEST
    wordings: Annotated[
        tuple[Annotated[str, Field(max_length=TYPED_CHARACTERS)], ...],
        Field(min_length=FEWEST - 1, max_length=MOST - 1),
    ] = ("",) * (FEWEST - 1)

    def values(self, prompt: str) -> dict[str, Any]:
        """The second axis as `comparison.plan` takes it; nothing where the variants alone are compared."""
        match self.axis:
            case "seeds":
                return {"seeds": [_seed(text) for text in self.seeds]}
            case "prompts":
                return {"prompts": [prompt, *self.wordings]}
            case "leave_one_out":
                return {"leave_one_out": True}
            case _:
                return {}

    def own(self, problems: Sequence[Problem]) -> dict[str, str]:
        """Those of the problems that are said here: a sentence by the parameter."""
        boxes = {"seeds": {SEED.name}, "prompts": {PROMPT.name}}.get(self.axis, set())
        mine = {"variant_ids", "axis", *AXES, *boxes} if self.on else set()
        return {problem.parameter: problem.message for problem in problems if problem.parameter in mine}


def _seed(text: str) -> Any:
    """The number; what is none as it stands, for the checks to name."""
    text = text.strip()
    return int(text) if text.isdecimal() else text or SEED.default


class CompareView(gr.HTML):
    """A switch and, once it is on, the variants to choose from and the second axis; its value is a Compare.

    `cards` are the variants' cards as (text, id). `problems` are sentences by the field that they are about.
    """

    def __init__(self, cards: Sequence[tuple[str, str]], *, problems: Mapping[str, str] | None = None, **rest: Any):
        super().__init__(
            value=Compare(),
            html_template=_HTML,
            css_template=_CSS,
            js_on_load=_SCRIPT,
            apply_default_css=False,
            cards=list(cards),
            problems=dict(problems or {}),
            fewest=FEWEST,
            most=MOST,
            longest={"seeds": SEED_CHARACTERS, "wordings": TYPED_CHARACTERS},
            unseeded=[row.name for row in REGISTRY.values() if row.parameter(SEED.name) is None],
            **rest,
        )
        # Else Gradio takes the names for events, since the script mentions them.
        self.cards, self.problems = list(cards), dict(problems or {})

    def preprocess(self, payload: Any) -> Any:
        """What the page holds; switched off where that is nothing that a page of ours makes."""
        return read(payload)

    def postprocess(self, value: Any) -> Any:
        return (value or Compare()).model_dump()


def compare_of(board: Board) -> Compare:
    """What was compared, to be asked for again; switched off where what is left of it is no comparison."""
    rows = {place_of(run)[1]: run for run in reversed(board.cells)}
    runs = [rows[number] for number in sorted(rows)]
    asked = {"on": True, "variants": {run.variant_id for run in board.cells}, "axis": board.axis}
    if board.axis == "seeds":
        asked["seeds"] = [str(run.seed) for run in runs]
    if board.axis == "prompts":
        asked["wordings"] = [run.prompt for run in runs[1:]]
    return read(asked)


def read(value: Any) -> Compare:
    """A claim of the browser's, as far as the registry has it; switched off where it can't be read."""
    try:
        told = Compare.model_validate(value)
    except ValidationError:
        return Compare()
    if told.axis not in ("variants", *AXES):
        return Compare()
    return told.model_copy(update={"variants": tuple(id for id in REGISTRY if id in told.variants)})
