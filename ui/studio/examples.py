"""The ready examples of examples/examples.toml: references, roles, preset and variant, to fill the page with."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from core.catalog.variants import REGISTRY

_HERE = Path(__file__).parent

ROUTE = "examples"  # where the app serves the photographs, relative to the page


@dataclass(frozen=True)
class Example:
    """One example; `references` are (file, role) in order, `preset` and `variant_id` are ids."""

    id: str
    name: str
    preset: str
    variant_id: str
    references: tuple[tuple[Path, str], ...]

    def card(self) -> dict[str, Any]:
        """What the welcome shows of it."""
        return {
            "id": self.id,
            "name": self.name,
            "variant": REGISTRY[self.variant_id].name,
            "pictures": [f"{ROUTE}/{path.name}" for path, _ in self.references],
        }


class ExamplesView(gr.HTML):
    """The examples to press; `row` lays them side by side, for the narrow column of a phone."""

    def __init__(self, examples: Mapping[str, Example], *, row: bool = False, **rest: Any) -> None:
        cards, kind = [example.card() for example in examples.values()], "ready row" if row else "ready"
        super().__init__(
            value=None,
            html_template=f'<section class="{kind}" aria-label="Examples"></section>',
            css_template=(_HERE / "examples.css").read_text(),
            js_on_load=(_HERE / "examples.js").read_text(),
            apply_default_css=False,
            examples=cards,
            **rest,
        )
        self.examples = cards  # else Gradio takes the name for an event, since the script mentions it


def load_examples(folder: Path) -> Mapping[str, Example]:
    """The examples by id, in the order of the file."""
    rows = tomllib.loads((folder / "examples.toml").read_text("utf-8"))["example"]
    examples = [
        Example(
            row["id"],
            row["name"],
            row["preset"],
            row["variant"],
            tuple((folder / file, role) for file, role in row["references"]),
        )
        for row in rows
    ]
    return {example.id: example for example in examples}
