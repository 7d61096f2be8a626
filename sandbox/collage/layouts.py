"""Arrangements: ways of laying prints out on a stage. Each is a function of a Stage."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageFilter, ImageOps

from sandbox.collage.colours import INK, PAPER, Look
from sandbox.collage.words import Box, rounded

# How far down a crop is centred: heads are on top.
FOCUS = {"person": 0.12, "outfit": 0.4, "product": 0.5, "scene": 0.5}
# Where the smaller prints of a pile lie around the first one, as angles; by how many there are.
ANGLES = {2: (-2.4, -0.7), 3: (-2.4, -0.7, 0.8), 4: (-2.4, -0.7, 0.8, 2.4)}


@dataclass(frozen=True)
class Print:
    """One reference to lay out: its number, its picture, and what the prompt says it is for."""

    number: int
    picture: Image.Image
    role: str | None = None

    @property
    def label(self) -> str:
        return f"{self.number} {self.role}" if self.role else f"image {self.number}"

    def crop(self, width: float, height: float) -> Image.Image:
        """The picture at this size, with what matters kept in it."""
        size, down = (max(1, round(width)), max(1, round(height))), FOCUS.get(self.role or "", 0.35)
        return ImageOps.fit(self.picture, size, Image.Resampling.BICUBIC, centering=(0.5, down))


@dataclass(frozen=True)
class Stage:
    """What an arrangement works with; the first of at least three prints is the one that matters most."""

    canvas: Image.Image
    box: Box
    prints: Sequence[Print]
    look: Look
    dice: random.Random
    unit: float


def mosaic(stage: Stage) -> None:
    """Pictures and the colours of the first one in cells, square corners, narrow gaps."""
    gap = max(3.0, 0.9 * stage.unit)
    cells = _turned(stage, _split(stage.box, [3.2, *[1.35] * (len(stage.prints) - 1), 0.55], gap))
    for one, cell in zip(stage.prints, cells, strict=False):
        stage.canvas.paste(one.crop(cell.w, cell.h), (round(cell.x), round(cell.y)))
    for colour, part in zip(stage.look.swatches, _row(cells[-1], [1.0] * 4, gap / 2), strict=False):
        stage.canvas.paste(colour, (round(part.x), round(part.y), round(part.x + part.w), round(part.y + part.h)))


def cards(stage: Stage) -> None:
    """Cards with round corners and soft shadows, side by side; many on a square stage in two rows."""
    gap, box, count = max(4.0, 1.3 * stage.unit), stage.box, len(stage.prints)
    if count > 3 and 0.6 < box.w / box.h < 1.6:
        high, low = _row(box, [1.35, 1.0], gap, upright=True)
        cells = [*_row(high, [1.5, 1.0], gap, upright=False), *_row(low, [1.0] * (count - 2), gap, upright=False)]
    else:
        cells = _row(box, [1.7] + [1.0] * (count - 1), gap)
    for one, cell in zip(stage.prints, _turned(stage, cells), strict=True):
        picture = one.crop(cell.w, cell.h)
        _lay(stage, picture, cell.centre, rounded(picture.size, 1.3 * stage.unit))


def pile(stage: Stage) -> None:
    """Prints with white borders, laid over one another a little askew, the first one on top."""
    box, (hero, *others) = stage.box, stage.prints
    short, long = sorted((box.w, box.h))
    stretch, wide, mirrored = min(1.0, long / short - 1), box.w >= box.h, stage.dice.choice((-1, 1))
    large, small = (0.6 + 0.3 * stretch) * short, (0.46 + 0.2 * stretch) * short
    for one, angle in reversed(list(zip(others, ANGLES[len(others)], strict=True))):
        along, aside = (
            min(max(1.4 * way(angle), -1), 1) * min(0.8 * large, (edge - small) / 2)
            for way, edge in ((math.cos, long), (math.sin, short))
        )
        across, down = (along * mirrored, aside) if wide else (aside * mirrored, along)
        _bordered(stage, one, small, (box.centre[0] + across, box.centre[1] + down))
    # Two lie on one side of it: it gives way to the other.
    aside = 0.4 * (short - large) if len(others) == 2 else 0.0
    at = (box.centre[0], box.centre[1] + aside) if wide else (box.centre[0] + aside * mirrored, box.centre[1])
    _bordered(stage, hero, large, at)


ARRANGEMENTS = (mosaic, cards, pile)


def at_least_three(prints: Sequence[Print], look: Look) -> list[Print]:
    """The prints; where there are too few, a detail and a two-colour version of the first join them."""
    hero, (width, height) = prints[0], prints[0].picture.size
    top = FOCUS.get(hero.role or "", 0.35) / 1.7
    part = (0.28 * width, top * height, 0.72 * width, (top + 0.42) * height)
    detail = hero.picture.crop([round(edge) for edge in part])  # type: ignore[arg-type]
    tinted = ImageOps.colorize(hero.picture.convert("L"), INK, PAPER, look.swatches[0])
    return [*prints, *(replace(hero, picture=extra) for extra in (detail, tinted)[: max(0, 3 - len(prints))])]


def _bordered(stage: Stage, one: Print, side: float, centre: tuple[float, float]) -> None:
    """A print on white paper, a little askew; `side` is the longer one of the paper."""
    ratio = min(max(one.picture.width / one.picture.height, 0.8), 1.25)
    width, height = 0.94 * side * min(1.0, ratio), 0.94 * side / max(1.0, ratio)
    rim = max(3.0, 0.045 * min(width, height))
    paper = Image.new("RGB", (round(width), round(height)), PAPER)
    paper.paste(one.crop(width - 2 * rim, height - 3 * rim), (round(rim), round(rim)))
    angle = stage.dice.uniform(1.2, 4.5) * stage.dice.choice((-1, 1))
    # A rim that is not part of it is turned with it, or its edges would be steps.
    mask = ImageOps.expand(Image.new("L", paper.size, 255), 2, 0).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    paper = ImageOps.expand(paper, 2, PAPER).rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=PAPER)
    _lay(stage, paper, centre, mask)


def _lay(stage: Stage, picture: Image.Image, centre: tuple[float, float], mask: Image.Image) -> None:
    """Lays a picture down with a soft shadow."""
    left, top = round(centre[0] - picture.width / 2), round(centre[1] - picture.height / 2)
    edge = max(1, round(0.8 * stage.unit))  # the shadow is made at a sixth of its size, reaching this far
    small = ImageOps.expand(mask.reduce(6).point(lambda value: value // 2), edge)
    small = small.filter(ImageFilter.GaussianBlur(edge / 3))
    soft = small.resize((6 * small.width, 6 * small.height), Image.Resampling.BICUBIC)
    stage.canvas.paste((8, 7, 10), (left - 6 * edge, top - 5 * edge), soft)
    stage.canvas.paste(picture, (left, top), mask)


def _row(box: Box, weights: Sequence[float], gap: float, upright: bool | None = None) -> list[Box]:
    """The box in cells by weight, one below another where it is `upright`, else side by side; else as it lies."""
    upright = box.h > box.w if upright is None else upright
    length, cells, at = (box.h if upright else box.w) - gap * (len(weights) - 1), [], 0.0
    for part in (length * weight / sum(weights) for weight in weights):
        cells.append(Box(box.x, box.y + at, box.w, part) if upright else Box(box.x + at, box.y, part, box.h))
        at += part + gap
    return cells


def _split(box: Box, weights: Sequence[float], gap: float) -> list[Box]:
    """The box cut again and again across its longer side, a cell for each weight, in their order."""
    if len(weights) == 1:
        return [box]
    half = 1 if len(weights) <= 3 else (len(weights) + 1) // 2
    one, two = _row(box, [sum(weights[:half]), sum(weights[half:])], gap)
    return _split(one, weights[:half], gap) + _split(two, weights[half:], gap)


def _turned(stage: Stage, cells: Sequence[Box]) -> list[Box]:
    """The cells as they are, or in a mirror."""
    if stage.dice.random() < 0.5:
        return list(cells)
    return [replace(cell, x=2 * stage.box.centre[0] - cell.x - cell.w) for cell in cells]
