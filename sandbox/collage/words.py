"""Typesetting: the caption, the legend of references and the notice, in the typeface that Pillow carries."""

from __future__ import annotations

import math
import random
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from sandbox.collage.colours import Look

NOTICE = "Practice mode · no model made this"
SMALLEST, PHONE = 11, 360  # on a phone, so many pixels wide, the notice is still SMALLEST high
# The typeface has ASCII and little more; these stand in for what people often type.
STAND_INS = str.maketrans({"–": "-", "—": "-", "×": "x", "ß": "ss", "ø": "o", "ł": "l", "æ": "ae", "•": "-"})
CARRIED = frozenset("…·‘’“”")

Entry = tuple[Image.Image, str]  # of the legend: a thumbnail, and what it is, such as "1 person"


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    w: float
    h: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2


class Type(dict[int, ImageFont.FreeTypeFont]):
    """The typeface by its size; one for each picture, because a font object is not for several threads."""

    def __missing__(self, size: int) -> ImageFont.FreeTypeFont:
        self[size] = ImageFont.load_default(size)  # type: ignore[assignment]
        return self[size]

    def width(self, text: str, size: int) -> float:
        return float(self[size].getlength(text))

    def fit(self, text: str, box: tuple[float, float], most: int, least: int) -> tuple[list[str], int]:
        """Lines and size of the largest setting that fits `box`; at `least` pixels it ends in an ellipsis."""
        for size in (*range(most, least, -max(1, most // 16)), least):
            letters, lines = int(1.2 * len(text) * box[0] / self.width(text, size)) + 2, [text]
            while letters > 2 and max(self.width(line, size) for line in lines) > box[0]:
                letters -= 1
                lines = textwrap.wrap(text, letters, max_lines=max(1, int(box[1] / size / 1.2)), placeholder="…")
            if lines[-1][-1] != "…" and len(lines) <= 6:
                break
        return lines, size


@dataclass(frozen=True)
class Page:
    """Where everything of one composition goes: prints on the stage, words in their box, the notice along the foot."""

    stage: Box
    words: Box
    side: int  # where the words are: the angle by which the foot is turned to get there
    lines: Sequence[str]
    text: int
    rows: Sequence[Sequence[Entry]]
    small: int
    notice: int
    unit: float  # a hundredth of the side of a square of the same area, in pixels


def set_page(size: tuple[int, int], text: str, entries: Sequence[Entry], type: Type, dice: random.Random) -> Page:
    """Divides a canvas: words beside the stage on a wide one, above or below it on any other."""
    width, height = size
    unit = math.sqrt(width * height) / 100
    pad = max(8.0, min(4.2 * unit, 0.05 * min(size)))
    notice = max(SMALLEST, min(round(SMALLEST * width / PHONE), round(0.1 * height)))
    body = Box(pad, pad, width - 2 * pad, height - 2 * pad - 2 * notice)
    wide, first = width >= 1.45 * height, dice.random() < 0.4
    column = max(0.3 * body.w, min(0.4 * body.w, 230)) if wide else body.w
    small = max(10, round(2.1 * unit))
    rows = _rows(entries, type, small, column)
    if 2.7 * small * len(rows) > (0.32 if wide else 0.16) * height:  # the numbers alone
        short = [(thumbnail, "".join(filter(str.isdigit, label))) for thumbnail, label in entries]
        rows = _rows(short, type, small, column)
    legend = 2.7 * small * len(rows) if entries else 0
    room = (column, body.h - legend - 2 * unit if wide else 0.17 * height)
    lines, large = type.fit(text, room, round(5.3 * unit), max(SMALLEST, round(2.6 * unit)))
    high = body.h if wide else min(0.5 * body.h, 1.2 * large * len(lines) + legend + unit)
    if wide:
        stage = Box(pad + (column + pad if first else 0), pad, body.w - column - pad, body.h)
        words, side = Box(pad if first else width - pad - column, pad, column, high), 270 if first else 90
    else:
        stage = Box(pad, pad + (high + pad if first else 0), body.w, body.h - high - pad)
        words, side = Box(pad, pad if first else pad + body.h - high, column, high), 180 if first else 0
    return Page(stage, words, side, lines, large, rows, small, notice, unit)


def _rows(entries: Sequence[Entry], type: Type, size: int, width: float) -> list[list[Entry]]:
    """The legend broken into rows."""
    rows: list[list[Entry]] = [[]]
    for entry in entries:
        if rows[-1] and sum(_width(one, type, size) for one in (*rows[-1], entry)) - size > width:
            rows.append([])
        rows[-1].append(entry)
    return rows


def _width(entry: Entry, type: Type, size: int) -> float:
    return type.width(entry[1], size) + 3.7 * size


def draw_page(canvas: Image.Image, page: Page, look: Look, type: Type) -> None:
    """The caption, the legend at the foot of the words, and the notice on a strip of its own, whatever is above it."""
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(page.lines):
        # A hair of stroke: the one weight that there is looks thin when it is large and reversed.
        place = (page.words.x, page.words.y + 1.2 * page.text * number)
        draw.text(place, line, look.ink, type[page.text], stroke_width=0.012 * page.text if page.text > 17 else 0)
    side, step = round(2.1 * page.small), 2.7 * page.small
    for number, row in enumerate(page.rows):
        x, y = page.words.x, round(page.words.y + page.words.h - step * (len(page.rows) - number) + 0.3 * side)
        for entry in row:
            canvas.paste(entry[0].resize((side, side)), (round(x), y), rounded((side, side), side / 2))
            draw.ellipse((round(x), y, round(x) + side - 1, y + side - 1), outline=look.ink)
            draw.text((x + 2.6 * page.small, y + side / 2), entry[1], look.ink, type[page.small], anchor="lm")
            x += _width(entry, type, page.small)
    top = canvas.height - 2 * page.notice
    draw.rectangle((0, top, canvas.width, canvas.height), look.ink)
    draw.text((canvas.width / 2, top + page.notice), NOTICE, look.ground, type[page.notice], anchor="mm")


def printable(text: str, otherwise: str) -> str:
    """The text in letters that the typeface has, or `otherwise` where too little of it would be left."""
    folded = unicodedata.normalize("NFKD", text.translate(STAND_INS))
    kept = "".join(c for c in folded if " " <= c <= "~" or c in CARRIED)
    letters = sum(c.isalnum() for c in text)
    enough = sum(c.isalnum() for c in kept) >= 0.7 * letters
    return " ".join(kept.split()) if enough and letters else otherwise


def rounded(size: tuple[int, int], radius: float) -> Image.Image:
    """A mask with smooth round corners."""
    width, height = size
    mask = Image.new("L", (3 * width, 3 * height), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 3 * width - 1, 3 * height - 1), 3 * radius, fill=255)
    return mask.resize(size, Image.Resampling.BOX)
