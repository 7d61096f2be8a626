"""The preset picker: tiles in their families, each with a picture, what it does, and which references it wants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from core.prompts.presets import FAMILIES, ROLES, Preset

_HERE = Path(__file__).parent

SAMPLES = "presets"  # where the app serves the tiles' pictures, relative to the page


class PresetPicker(gr.HTML):
    """Holds the id of the chosen preset, None for none."""

    def __init__(self, presets: Mapping[str, Preset], **rest: Any) -> None:
        tiles, families = [_tile(preset) for preset in presets.values()], dict(FAMILIES)
        super().__init__(
            value=None,
            html_template=(_HERE / "presets.html").read_text(),
            css_template=(_HERE / "presets.css").read_text(),
            js_on_load=(_HERE / "presets.js").read_text(),
            apply_default_css=False,
            tiles=tiles,
            families=families,
            **rest,
        )
        # Else Gradio takes the names for events, since the script mentions them.
        self.tiles, self.families, self._known = tiles, families, frozenset(presets)

    def preprocess(self, payload: Any) -> str | None:
        return payload if isinstance(payload, str) and payload in self._known else None

    def postprocess(self, value: str | None) -> str | None:
        return value


def _tile(preset: Preset) -> dict[str, Any]:
    return {
        "id": preset.id,
        "name": preset.name,
        "family": preset.family,
        "summary": preset.summary,
        "sample": f"{SAMPLES}/{preset.id}.webp",
        "roles": [{"label": ROLES[role].label, "optional": role in preset.optional} for role in preset.roles],
    }
