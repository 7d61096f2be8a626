"""Typesetting: the caption, the legend of references and the notice, in the typeface that Pillow carries."""

from __future__ import annotations

import math
import random
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from sandbox.collage.colours import INK, WHITE, Colour, Look, contrast

NOTICE = "Sandbox preview: no model made this"
SMALLEST = 11
# The typeface has ASCII and little more; these stand in for what people often type.
STAND_INS = str.maketrans({"–": "-", "—": "-", "×": "x", "ß": "ss", "ø": "o", "ł": "l", "æ": "ae", "•": "-"})
CARRIED = frozenset("…·‘’“”")


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

    def inset(self, by: float) -> Box:
        return Box(self.x + by, self.y + by, max(1.0, self.w - 2 * by), max(1.0, self.h - 2 * by))


@dataclass(frozen=True)
class Entry:
    """One line of the legend: a thumbnail and what it is, such as "1 person"."""

    thumbnail: Image.Image
    text: str


@dataclass(frozen=True)
class Caption:
    """Text broken into lines at a size in pixels."""

    lines: tuple[str, ...]
    size: int

    @property
    def leading(self) -> float:
        return self.size * 1.2

    @property
    def height(self) -> float:
        return self.leading * len(self.lines)


class Type:
    """The typeface at any size; one for each picture, because a font object is not for several threads."""

    def __init__(self) -> None:
        self._sizes: dict[int, ImageFont.FreeTypeFont] = {}

    def font(self, size: int) -> ImageFont.FreeTypeFont:
        if size not in self._sizes:
            font = ImageFont.load_default(size)
            assert isinstance(font, ImageFont.FreeTypeFont)
            self._sizes[size] = font
        return self._sizes[size]

    def width(self, text: str, size: int) -> float:
        return float(self.font(size).getlength(text))

    def fit(self, text: str, *, width: float, height: float, most: int, least: int, lines: int) -> Caption:
        """The largest setting between `least` and `most` pixels that fits; past that it ends in an ellipsis."""
        size = most
        while size > least:
            caption = Caption(self._wrap(text, size, width), size)
            if len(caption.lines) <= lines and caption.height <= height:
                return caption
            size = min(size - 1, int(size * 0.94))
        wrapped = self._wrap(text, least, width)
        room = max(1, min(lines, int(height / (least * 1.2))))
        if len(wrapped) > room:
            wrapped = (*wrapped[: room - 1], self._ellipsis(wrapped[room - 1], least, width))
        return Caption(wrapped, least)

    def _wrap(self, text: str, size: int, width: float) -> tuple[str, ...]:
        lines, line = [], ""
        for word in text.split():
            joined = f"{line} {word}".strip()
            if self.width(joined, size) <= width:
                line = joined
                continue
            if line:
                lines.append(line)
            *full, line = self._break(word, size, width)
            lines.extend(full)
        return (*lines, line) if line else tuple(lines)

    def _break(self, word: str, size: int, width: float) -> list[str]:
        """A word too long for a line, in pieces that fit."""
        pieces = [""]
        for letter in word:
            if pieces[-1] and self.width(pieces[-1] + letter, size) > width:
                pieces.append("")
            pieces[-1] += letter
        return pieces

    def _ellipsis(self, line: str, size: int, width: float) -> str:
        while line and self.width(line + "…", size) > width:
            line = line[:-1]
        return line.rstrip(" ,.;:-") + "…"


@dataclass(frozen=True)
class Page:
    """Where everything of one composition goes: the stage for the prints, and the words with their places."""

    stage: Box
    panels: tuple[Box, ...]
    caption: Caption
    caption_at: tuple[float, float]
    rows: Sequence[Sequence[Entry]]
    rows_at: tuple[float, float]
    small: int
    notice: int
    notice_at: tuple[float, float]


def set_page(size: tuple[int, int], text: str, entries: Sequence[Entry], type: Type, dice: random.Random) -> Page:
    """Divides a canvas: words beside the stage on a wide one, above or below it on any other."""
    return (
        _beside(size, text, entries, type, dice)
        if size[0] >= 1.45 * size[1]
        else _stacked(size, text, entries, type, dice)
    )


def _beside(size: tuple[int, int], text: str, entries: Sequence[Entry], type: Type, dice: random.Random) -> Page:
    unit, pad = _measures(size)
    width = max(0.29 * size[0], min(0.4 * size[0], 21 * SMALLEST))
    x = pad if dice.random() < 0.5 else size[0] - pad - width
    stage_x = pad if x > pad else 2 * pad + width
    notice = notice_size(type, width, 2.3 * unit)
    bottom = size[1] - pad - pill_height(notice)
    rows, small = _legend_that_fits(entries, type, unit, width, 0.34 * size[1])
    rows_y = bottom - len(rows) * legend_leading(small) - 0.6 * unit
    room = rows_y - pad - 4 * unit
    most, least = round(6.4 * unit), max(SMALLEST, round(2.7 * unit))
    caption = type.fit(text, width=width, height=room, most=most, least=least, lines=5)
    stage = Box(stage_x, pad, size[0] - 3 * pad - width, size[1] - 2 * pad)
    panel = Box(0 if x == pad else x - pad, 0, width + 2 * pad, size[1])
    return Page(stage, (panel,), caption, (x, pad + 1.8 * unit), rows, (x, rows_y), small, notice, (x, bottom))


def _stacked(size: tuple[int, int], text: str, entries: Sequence[Entry], type: Type, dice: random.Random) -> Page:
    unit, pad = _measures(size)
    width = size[0] - 2 * pad
    notice = notice_size(type, width, 2.3 * unit)
    bottom = size[1] - pad - pill_height(notice)
    beside = width - pill_width(type, notice) - 2 * unit
    rows, small = _legend_that_fits(entries, type, unit, width, 0.14 * size[1])
    one_line = len(rows) == 1 and sum(entry_width(e, type, small) + small for e in rows[0]) <= beside
    rows_y = bottom if one_line else bottom - len(rows) * legend_leading(small)
    # On one line with the notice the legend stands on the right.
    rows_x = size[0] - pad - sum(entry_width(e, type, small) + small for e in rows[0]) + small if one_line else pad
    most, least = round(5.4 * unit), max(SMALLEST, round(2.5 * unit))
    lines = 4 if size[1] > 1.6 * size[0] else 3
    caption = type.fit(text, width=width, height=0.2 * size[1], most=most, least=least, lines=lines)
    gap = 1.7 * unit + 4
    on_top = dice.random() < 0.4
    head = pad + 1.8 * unit + caption.height + gap if on_top else pad
    caption_y = pad + 1.8 * unit if on_top else rows_y - gap - caption.height
    foot = rows_y - gap if on_top else caption_y - 1.8 * unit - gap
    panels = (Box(0, foot + gap, size[0], size[1] - foot - gap), *([Box(0, 0, size[0], head)] if on_top else []))
    stage = Box(pad, head, width, foot - head)
    return Page(stage, panels, caption, (pad, caption_y), rows, (rows_x, rows_y), small, notice, (pad, bottom))


def _measures(size: tuple[int, int]) -> tuple[float, float]:
    """A hundredth of the side of the square of the same area, and the margin, in pixels."""
    unit = math.sqrt(size[0] * size[1]) / 100
    return unit, max(8.0, min(4.4 * unit, 0.055 * min(size)))


def _legend_that_fits(
    entries: Sequence[Entry], type: Type, unit: float, width: float, height: float
) -> tuple[list[list[Entry]], int]:
    """The legend in rows; shortened to the numbers where it would take more than `height`."""
    small = max(10, round(1.75 * unit))
    rows = legend_rows(entries, type, small, width)
    if len(rows) * legend_leading(small) > height:
        rows = legend_rows(
            [Entry(e.thumbnail, "".join(c for c in e.text if c.isdigit())) for e in entries], type, small, width
        )
    return rows, small


def draw_page(canvas: Image.Image, page: Page, look: Look, type: Type) -> None:
    """The caption under its short rule, the legend, and the notice."""
    bar = max(2, round(0.22 * page.caption.size / 2))
    x, y = (round(value) for value in page.caption_at)
    length = round(1.5 * page.caption.size)
    canvas.paste(look.accent, (x, y - 3 * bar - 2, x + length, y - 2 * bar - 2))
    draw_caption(canvas, page.caption, page.caption_at, look.ink, type)
    draw_legend(canvas, page.rows, page.rows_at, page.small, look, type)
    draw_notice(canvas, page.notice_at, page.notice, look, type)


def printable(text: str, otherwise: str) -> str:
    """The text in letters that the typeface has, or `otherwise` where too little of it would be left."""
    folded = unicodedata.normalize("NFKD", text.translate(STAND_INS))
    kept = "".join(c for c in folded if " " <= c <= "~" or c in CARRIED)
    letters = sum(c.isalnum() for c in text)
    enough = sum(c.isalnum() for c in kept) >= 0.7 * letters
    return " ".join(kept.split()) if enough and letters else otherwise


def draw_caption(canvas: Image.Image, caption: Caption, at: tuple[float, float], colour: Colour, type: Type) -> None:
    draw = ImageDraw.Draw(canvas)
    font = type.font(caption.size)
    for number, line in enumerate(caption.lines):
        # A hair of stroke: the one weight that there is looks thin when it is large and reversed.
        weight = 0.012 * caption.size if caption.size >= 18 else 0
        place = (at[0], at[1] + number * caption.leading)
        draw.text(place, line, fill=colour, font=font, stroke_width=weight, stroke_fill=colour)


def notice_size(type: Type, width: float, wanted: float) -> int:
    """The largest size up to `wanted` at which the notice with its pill fits `width`."""
    size = max(SMALLEST, round(wanted))
    while size > SMALLEST and pill_width(type, size) > width:
        size -= 1
    return size


def pill_width(type: Type, size: int) -> float:
    return type.width(NOTICE, size) + 1.5 * size


def pill_height(size: int) -> float:
    return 1.9 * size


def draw_notice(canvas: Image.Image, at: tuple[float, float], size: int, look: Look, type: Type) -> None:
    """The notice on an opaque pill, whatever lies beneath; `at` is the pill's upper left corner."""
    light = contrast(look.ground, WHITE) > contrast(look.ground, INK)
    fill, ink = (WHITE, INK) if light else (INK, WHITE)
    width, height = round(pill_width(type, size)), round(pill_height(size))
    pill = rounded((width, height), height / 2)
    canvas.paste(fill, (round(at[0]), round(at[1])), pill)
    middle = (round(at[0]) + width / 2, round(at[1]) + height / 2 + 0.03 * size)
    ImageDraw.Draw(canvas).text(middle, NOTICE, fill=ink, font=type.font(size), anchor="mm")


def legend_rows(entries: Sequence[Entry], type: Type, size: int, width: float) -> list[list[Entry]]:
    """The legend broken into rows."""
    rows: list[list[Entry]] = [[]]
    used = 0.0
    for entry in entries:
        needed = entry_width(entry, type, size)
        if rows[-1] and used + needed > width:
            rows.append([])
            used = 0.0
        rows[-1].append(entry)
        used += needed + size
    return rows


def entry_width(entry: Entry, type: Type, size: int) -> float:
    return 2.5 * size + type.width(entry.text, size)


def draw_legend(
    canvas: Image.Image, rows: Sequence[Sequence[Entry]], at: tuple[float, float], size: int, look: Look, type: Type
) -> None:
    draw = ImageDraw.Draw(canvas)
    disc = round(2 * size)
    mask = rounded((disc, disc), disc / 2)
    for number, row in enumerate(rows):
        x, y = at[0], at[1] + number * legend_leading(size)
        for entry in row:
            canvas.paste(entry.thumbnail.resize((disc, disc)), (round(x), round(y)), mask)
            draw.ellipse((round(x), round(y), round(x) + disc - 1, round(y) + disc - 1), outline=look.ink, width=1)
            draw.text((x + 2.5 * size, y + disc / 2), entry.text, fill=look.ink, font=type.font(size), anchor="lm")
            x += entry_width(entry, type, size) + size


def legend_leading(size: int) -> float:
    return 2.6 * size


def rounded(size: tuple[int, int], radius: float) -> Image.Image:
    """A mask with smooth round corners."""
    width, height = size
    mask = Image.new("L", (3 * width, 3 * height), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 3 * width - 1, 3 * height - 1), 3 * radius, fill=255)
    return mask.resize(size, Image.Resampling.BOX)
