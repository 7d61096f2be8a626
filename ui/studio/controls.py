"""Controls of Gradio's that hand on what a person set as it is, for `core.inputs` to check and to say what is wrong."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.catalog.variants import ASPECT_RATIOS
from ui.studio.form import AUTO, OWN

_SHAPES = {AUTO, OWN, *ASPECT_RATIOS}


class SeedBox(gr.Textbox):
    """A box that can be empty; Gradio's own for numbers shows 0 where there is none, and that is a seed as well."""

    def get_block_name(self) -> str:
        return "textbox"  # as which the page draws it

    def preprocess(self, payload: str | None) -> Any:
        """The number; None where the box is empty; what is no number as it stands, for the checks to name."""
        text = (payload or "").strip()
        try:
            return int(text) if text else None
        except ValueError:
            return text

    def postprocess(self, value: int | str | None) -> str:
        return "" if value is None else str(value)


class ShapePicker(gr.Dropdown):
    """Takes every shape that any variant has; Gradio's own fails where a choice comes that was there a moment ago."""

    def get_block_name(self) -> str:
        return "dropdown"  # as which the page draws it

    def preprocess(self, payload: Any) -> str:
        """The shape, or AUTO for what is none."""
        return payload if isinstance(payload, str) and payload in _SHAPES else AUTO
