"""The Code tab: the current inputs as code in several languages, with a button to copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

_HERE = Path(__file__).parent


class CodeView(gr.HTML):
    """Shows `{"code": {language: text}, "note": sentence}`; the note stands in for code that can't be shown yet."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(
            value=None,
            html_template='<section class="code" aria-label="Code"></section>',
            css_template=(_HERE / "code.css").read_text(),
            js_on_load=(_HERE / "code.js").read_text(),
            apply_default_css=False,
            **rest,
        )

    def postprocess(self, value: dict[str, Any] | None) -> Any:
        return value

    def preprocess(self, payload: Any) -> None:
        """Nothing comes back from here: the page only shows it."""
