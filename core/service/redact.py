"""The service's own words, fit to be shown and kept: one line, not long, nothing in it that looks like a key."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

LONGEST = 500
_LOOKED_AT = 100_000  # characters of a text that are read at all
_LONGEST_VALUE = 2_000  # of one text in a record; a URL with its signature is shorter
_MOST_VALUES, _DEEPEST = 64, 8

# A key that was cut is one still: whatever begins as this client's own does is taken out, to its end.
_TELLING, _SHORTEST = 8, 8
_REST = r"[^\s\"'<>,;]"


class Redactor:
    """Knows one client's key, and what addresses to call back look like. What is shorter than any key is taken for a
    word, such as the sandbox's "sandbox".
    """

    def __init__(self, key: str = "") -> None:
        own = [re.escape(key[:_TELLING]) + _REST + "*"] if len(key) >= _SHORTEST else []
        self._keys = re.compile(
            "|".join([*own, r"\bbearer\s+\S+", rf"(?:wsk_|whsec_|/callback/){_REST}+"]), re.IGNORECASE
        )

    def line(self, said: Any, longest: int = LONGEST) -> str:
        """A text on one line, cut; empty for what is no text."""
        if not isinstance(said, str):
            return ""
        spaced = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in said[:_LOOKED_AT])
        printable = "".join(c for c in spaced if unicodedata.category(c)[0] != "C")
        line = " ".join(self._keys.sub("[key]", printable).split())
        return line if len(line) <= longest else line[: longest - 1] + "…"

    def record(self, value: Any, depth: int = _DEEPEST) -> Any:
        """An answer as it came, as far as it can be kept: of a text that is too long, such as a picture, its length."""
        match value:
            case str() if len(value) > _LONGEST_VALUE:
                return f"({len(value)} characters)"
            case str():
                return self.line(value, _LONGEST_VALUE)
            case list() if depth:
                return [self.record(item, depth - 1) for item in value[:_MOST_VALUES]]
            case Mapping() if depth:
                items = list(value.items())[:_MOST_VALUES]
                return {self.line(name): self.record(item, depth - 1) for name, item in items}
            case list() | Mapping():
                return None
        return value
