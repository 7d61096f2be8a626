"""Draws the rooms of the house and who imports whom into docs/rooms.svg: `python -m scripts.rooms`.

An arrow that longer ways imply is left out of the drawing; the description inside the file names every one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from scripts.imports import HOME, MODULES, arrows, room

PICTURE = HOME / "docs" / "rooms.svg"

# The row and the column of each room: left, middle, right.
PLACES = {
    "app": (0, 1),
    "ui": (1, 1),
    "core.backend": (2, 1),
    "sandbox": (2, 0),
    "core.storage": (2, 2),
    "core.trials": (3, 0),
    "core.comparisons": (3, 1),
    "core.statistics": (4, 0),
    "core.access": (4, 2),
    "core.runs": (4, 1),
    "core.ledger": (5, 1),
    "core.service": (6, 1),
    "core.pictures": (7, 1),
    "core.prompts": (8, 0),
    "core.catalog": (8, 1),
    "core.settings": (8, 2),
    "core.errors": (9, 1),
}
COLUMNS = ((24, 236), (300, 440), (780, 236))  # left edge and width
WIDTH, MARGIN, GAP = 1040, 24, 36
LINE, LETTER = 17, 6.4  # the height of a line and the width of a letter of the small text
COLOURS = {"app": "#e7e9f3", "ui": "#e7e9f3", "sandbox": "#fbeed5", "core": "#e2f1e7"}  # by the first word
STYLE = """text { font: 12.5px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #33403a }
.name { font-size: 15px; font-weight: 650; fill: #14251c } .what { fill: #5b6b62 }
.arrow { fill: none; stroke: #6f8579; stroke-width: 1.4 }"""


@dataclass(frozen=True)
class Box:
    """A room in the drawing."""

    room: str
    x: float
    y: float
    width: float
    what: list[str]
    modules: list[str]
    floor: float = 0  # of its row, below the lowest of its rooms

    @property
    def height(self) -> float:
        return 36 + LINE * (len(self.what) + len(self.modules)) + (4 if self.modules else 0)

    def covers(self, x: float, top: float, bottom: float) -> bool:
        """Whether a line straight down would run through it."""
        return self.x < x < self.x + self.width and self.y < bottom and top < self.y + self.height


def described() -> str:
    """Every room and every arrow, as text."""
    return "\n".join(f"{name} -> {', '.join(sorted(to)) or 'nothing'}" for name, to in drawn().items())


def drawn() -> dict[str, set[str]]:
    """The rooms that hold anything, and their arrows."""
    return {name: to for name, to in arrows().items() if modules_of(name) or name in MODULES}


def modules_of(name: str) -> list[str]:
    """The modules of a room, each by its name inside it."""
    inside = [module for module in MODULES if module not in (name, "core") and room(module) == name]
    packages = {module for module in inside if any(other.startswith(f"{module}.") for other in inside)}
    return sorted(module.removeprefix(f"{name}.") for module in set(inside) - packages if "__" not in module)


def purpose(name: str) -> str:
    """The first sentence of a room's docstring."""
    said = ast.get_docstring(ast.parse(MODULES[name].read_text("utf-8"))) or ""
    return said.split("\n")[0].replace("->", "→")


def boxes() -> dict[str, Box]:
    """Every room in its place, and no space for an empty row."""
    placed: dict[str, Box] = {}
    y: float = MARGIN
    for row in range(10):
        line = [_box(name, y) for name in drawn() if PLACES[name][0] == row]
        floor = max((box.y + box.height for box in line), default=y - GAP)
        placed |= {box.room: replace(box, floor=floor) for box in line}
        y = floor + GAP
    return placed


def _box(name: str, y: float) -> Box:
    x, width = COLUMNS[PLACES[name][1]]
    letters = int((width - 28) / LETTER)
    modules = [line for group in _groups(name) for line in wrap(group, letters, subsequent_indent="    ")]
    return Box(name, x, y, width, wrap(purpose(name), letters), modules)


def _groups(name: str) -> Iterator[str]:
    """The modules of a room, a line for each package inside it."""
    for package, modules in groupby(sorted(modules_of(name), key=_package), _package):
        names = "  ".join(module.split(".")[-1] for module in modules)
        yield f"{package}/  {names}" if package else names


def _package(module: str) -> str:
    return module.rpartition(".")[0]


def needed(to: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """The arrows that no longer way implies."""
    for source, targets in to.items():
        for target in sorted(targets):
            if not any(target in _beyond(other, to) for other in targets - {target}):
                yield source, target


def _beyond(name: str, to: dict[str, set[str]]) -> set[str]:
    return to[name].union(*(_beyond(other, to) for other in to[name]))


def path(source: Box, target: Box, port: int, others: list[Box]) -> str:
    """Down, across between two rows, and down: past every other room."""
    if source.y == target.y:
        right = target.x > source.x
        edges = (source.x + source.width, target.x) if right else (source.x, target.x + target.width)
        return f"M{edges[0]} {source.y + 26}H{edges[1]}"
    start = source.x + source.width / 2 + 26 * port
    end = target.x + target.width / 2 - 13 * port
    blocked = any(box.covers(end, source.floor, target.y) for box in others)
    across = (target.y - GAP / 2 if blocked else source.floor + GAP / 2) - 5 * port
    return f"M{start:g} {source.y + source.height:g}V{across:g}H{end:g}V{target.y:g}"


def svg() -> str:
    """The whole drawing."""
    placed, to = boxes(), drawn()
    height = max(box.y + box.height for box in placed.values()) + MARGIN
    lines = [_arrow(placed, source, target) for source, target in needed(to)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">',
            f"<title>The rooms of the house</title>\n<desc>\n{escape(described())}\n</desc>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0L8 4L0 8z" fill="#6f8579"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{height:g}" rx="16" fill="#fcfdfc"/>',
            *lines,
            *(_drawn_box(box) for box in placed.values()),
            "</svg>\n",
        ]
    )


def _arrow(placed: dict[str, Box], source: str, target: str) -> str:
    one, other = placed[source], placed[target]
    port = PLACES[target][1] - PLACES[source][1]
    others = [box for name, box in placed.items() if name not in (source, target)]
    return f'<path class="arrow" marker-end="url(#head)" d="{path(one, other, port, others)}"/>'


def _drawn_box(box: Box) -> str:
    colour = COLOURS[box.room.split(".")[0]]
    lines = [f'<rect x="{box.x}" y="{box.y:g}" width="{box.width}" height="{box.height:g}" rx="10" fill="{colour}"/>']
    lines.append(_text(box, 24, "name", box.room.replace(".", "/")))
    down = 24.0 + LINE + 1
    for line in box.what:
        lines.append(_text(box, down, "what", line))
        down += LINE
    for line in box.modules:
        lines.append(_text(box, down + 4, "modules", line))
        down += LINE
    return "\n".join(lines)


def _text(box: Box, down: float, kind: str, words: str) -> str:
    return f'<text class="{kind}" xml:space="preserve" x="{box.x + 14}" y="{box.y + down:g}">{escape(words)}</text>'


def main() -> None:
    """Write the drawing."""
    Path(PICTURE).write_text(svg(), "utf-8")


if __name__ == "__main__":
    main()
