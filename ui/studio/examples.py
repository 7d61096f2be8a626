"""The ready examples of examples/examples.toml: references, roles, preset and variant, to fill the page with."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.catalog.variants import REGISTRY

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
