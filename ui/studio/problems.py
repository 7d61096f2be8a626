"""What stops a press: a sentence at each field that it is about until that is mended, and a line over the button."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gradio as gr

from core.catalog.inputs import describe
from core.catalog.variants import ASPECT_RATIO, PICTURES, PROMPT, SIZE
from core.errors import Problem
from ui.studio.form import OWN, Form, plain_parameters

# Read once: Gradio makes the component anew for each step of a press that leaves it as it is.
_SCRIPT = (Path(__file__).parent / "problems.js").read_text()

# A parameter -> the id of the page's element for it.
_PLACES: Mapping[str, str] = MappingProxyType(
    {
        PROMPT.name: "prompt",
        "images": "references",
        PICTURES.name: "pictures",
        ASPECT_RATIO.name: "shape",
        SIZE.name: "shape",
        **{name: name for name in plain_parameters()},
    }
)


class ProblemsView(gr.HTML):
    """The line over Generate, and what is said at the fields: `{"found": {element's id: sentence}, "press": mark}`.

    `press` is another one for each press that was stopped, and "" where the fields are only looked at again.
    """

    def __init__(self, **rest: Any) -> None:
        super().__init__(
            value=None,
            html_template='<p role="status"></p>',
            js_on_load=_SCRIPT,
            apply_default_css=False,
            **rest,
        )

    def postprocess(self, value: dict[str, Any] | None) -> Any:
        return value

    def preprocess(self, payload: Any) -> None:
        """Nothing comes back from here: the page only shows it."""


def placed(problems: Sequence[Problem], form: Form) -> dict[str, str]:
    """Each problem's sentence, by the element that it stands at; what is said inside a comparison apart."""
    found: dict[str, str] = {}
    apart = form.compare.own(problems)
    for problem in problems:
        if problem.parameter in apart:
            continue
        place = _PLACES.get(problem.parameter, "variant")
        found |= _edges(form) if problem.parameter == SIZE.name and form.shape == OWN else {place: problem.message}
    return found


def _edges(form: Form) -> dict[str, str]:
    """Width and height each for itself, which a request has as one."""
    takes = describe(replace(SIZE, kind="integer"))
    edges = {"width": form.width, "height": form.height}
    return {name: f"{name.capitalize()} must be {takes}." for name, edge in edges.items() if not _is_edge(edge)}


def _is_edge(edge: float | None) -> bool:
    assert SIZE.minimum is not None and SIZE.maximum is not None
    return edge is not None and float(edge).is_integer() and SIZE.minimum <= edge <= SIZE.maximum
