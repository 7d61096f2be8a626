"""Writes the README's tables from the registry and the settings: `python -m scripts.readme`.

With `--check` it writes nothing, and fails where a table is not what it should be.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.catalog.estimate import dollars
from core.catalog.variants import PICTURES, REGISTRY, Variant
from core.settings import VARIABLES

README = Path(__file__).resolve().parents[1] / "README.md"

_SAID_APART = {"prompt", "images", PICTURES.name}  # every variant has them, by whatever way


def variants() -> str:
    """The table of variants."""
    heads = ("Variant", "Good for", "A picture", "References", "Usual time", "Parameters of its own")
    return _table(heads, (_row(variant) for variant in REGISTRY.values()))


def environment() -> str:
    """The table of environment variables."""
    rows = ((f"`{row.name}`", row.default, row.meaning) for row in VARIABLES)
    return _table(("Variable", "Default", "What it is"), rows)


def written(text: str) -> str:
    """The README with its tables as they should be.

    Raises:
        ValueError: the place of a table is missing.
    """
    for name, table in (("variants", variants()), ("environment", environment())):
        pattern = rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)"
        text, found = re.subn(pattern, lambda match, table=table: match[1] + table + match[2], text, flags=re.DOTALL)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"README.md must have the table's place once: <!-- {name}: … --> and <!-- /{name} -->")
    return text


def _row(variant: Variant) -> Sequence[str]:
    own = [f"`{row.name}`" for row in variant.parameters if row.on_page and row.name not in _SAID_APART]
    time = f"about {variant.published_seconds:.0f} s" if variant.published_seconds else "not published"
    limit = f"1 to {variant.reference_limit}"
    name = f"**{variant.name}** `{variant.id}`"
    return name, variant.tagline[0].lower() + variant.tagline[1:], dollars(variant.price), limit, time, ", ".join(own)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (heads, ["---"] * len(heads), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    text = README.read_text("utf-8")
    if "--check" not in sys.argv[1:]:
        README.write_text(written(text), "utf-8")
    elif written(text) != text:
        sys.exit("README.md differs from the registry or the settings: run `make readme`.")


if __name__ == "__main__":
    main()
