"""The box for the seed: empty, or a whole number."""

from __future__ import annotations

from typing import Any

import gradio as gr


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
