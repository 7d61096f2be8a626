"""A contact sheet: many pictures on one, small, each with what it is. Blocking, and of bounded size."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from core.pictures.output import PICTURE_FORMATS

TILE = 420  # px: the width of one, and the most that its pictures are high
GAP, EDGE = 20, 40
PROMPT_LINES, NOTE_LINES = 6, 3
PAPER, INK, FAINT, EMPTY = "#ffffff", "#16211f", "#546462", "#eff3f3"
# What has more letters than the typeface that Pillow carries; the first that the system has.
_TYPEFACES = ("DejaVuSans.ttf", "Arial Unicode.ttf", "Arial.ttf", "NotoSans-Regular.ttf")

_LETTERS = 250

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """One cell: what it is, what is said of it, and its pictures; none where there are none."""

    title: str
    note: str
    pictures: Sequence[Path]


@dataclass(frozen=True)
class Strip:
    """A row of the sheet under its title, which may be ""."""

    title: str
    tiles: Sequence[Tile]


def draw(title: str, prompt: str, strips: Sequence[Strip], below: str) -> bytes:
    """The sheet as a PNG. A picture that is gone or damaged leaves its place empty."""
    across = max(len(strip.tiles) for strip in strips)
    width = 2 * EDGE + across * TILE + (across - 1) * GAP
    parts = [_words(title, 30, INK, width, 1), _words(prompt, 19, FAINT, width, PROMPT_LINES)]
    parts += [part for strip in strips for part in _strip(strip, width)]
    parts.append(_words(below, 17, FAINT, width, 2))
    sheet = Image.new("RGB", (width, 2 * EDGE + sum(part.height + GAP for part in parts) - GAP), PAPER)
    top = EDGE
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height + GAP
    file = BytesIO()
    sheet.save(file, "PNG", compress_level=3)  # photographs hardly get smaller by more of it
    return file.getvalue()


def _strip(strip: Strip, width: int) -> list[Image.Image]:
    head = [_words(strip.title, 21, INK, width, 2)] if strip.title else []
    tiles = [_tile(tile) for tile in strip.tiles]
    band = Image.new("RGB", (width, max(tile.height for tile in tiles)), PAPER)
    for place, tile in enumerate(tiles):
        band.paste(tile, (EDGE + place * (TILE + GAP), 0))
    return [*head, band]


def _tile(tile: Tile) -> Image.Image:
    shots, caption = _shots(tile.pictures), _caption(tile)
    made = Image.new("RGB", (TILE, shots.height + 10 + caption.height), PAPER)
    made.paste(shots, (0, 0))
    made.paste(caption, (0, shots.height + 10))
    return made


def _shots(paths: Sequence[Path]) -> Image.Image:
    """One picture over the whole tile, or up to four in its quarters."""
    edge = TILE if len(paths) < 2 else (TILE - 6) // 2
    small = [_small(path, edge) for path in paths] or [Image.new("RGB", (TILE, TILE // 2), EMPTY)]
    down = max(picture.height for picture in small)
    lines = -(-len(small) // 2) if len(small) > 1 else 1
    made = Image.new("RGB", (TILE, lines * down + (lines - 1) * 6), PAPER)
    for place, picture in enumerate(small):
        line, column = divmod(place, 2)
        left = column * (edge + 6) + (edge - picture.width) // 2 if len(small) > 1 else (TILE - picture.width) // 2
        made.paste(picture, (left, line * (down + 6)))
    return made


def _small(path: Path, edge: int) -> Image.Image:
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            picture.draft("RGB", (edge, edge))  # a JPEG need not be decoded at its full size
            return ImageOps.contain(picture.convert("RGB"), (edge, edge), Image.Resampling.LANCZOS)
    except (OSError, ValueError, Image.DecompressionBombError):
        return Image.new("RGB", (edge, edge // 2), EMPTY)


def _caption(tile: Tile) -> Image.Image:
    lines = [(tile.title, 19, INK), *((line, 16, FAINT) for line in _wrapped(tile.note, 16, TILE, NOTE_LINES))]
    made = Image.new("RGB", (TILE, sum(size + 8 for _, size, _ in lines)), PAPER)
    drawing, top = ImageDraw.Draw(made), 0
    for text, size, colour in lines:
        drawing.text((0, top), text, font=_font(size), fill=colour)
        top += size + 8
    return made


def _words(text: str, size: int, colour: str, width: int, most: int) -> Image.Image:
    lines = _wrapped(text, size, width - 2 * EDGE, most)
    made = Image.new("RGB", (width, max(1, len(lines) * (size + 10))), PAPER)
    drawing = ImageDraw.Draw(made)
    for number, line in enumerate(lines):
        drawing.text((EDGE, number * (size + 10)), line, font=_font(size), fill=colour)
    return made


def _wrapped(text: str, size: int, width: int, most: int) -> list[str]:
    """As many lines as are allowed, none wider than that; what does not fit ends in an ellipsis."""
    text = " ".join(text[: most * _LETTERS].split())  # more than any line holds is never measured
    if not text:
        return []
    letters = max(8, int(len(text) * width / max(1, _font(size).getlength(text))))
    while True:
        lines = textwrap.wrap(text, letters, max_lines=most, placeholder=" …")
        if letters <= 8 or max(_font(size).getlength(line) for line in lines) <= width:
            return lines
        letters -= max(1, letters // 20)


@lru_cache
def _font(size: int) -> Font:
    for name in _TYPEFACES:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
