"""Arrangements: ways of laying prints out on a stage. Each is a function of a Stage."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from sandbox.collage.colours import INK, WHITE, Colour, Look, duotone, mix
from sandbox.collage.words import Box, Type, rounded

PAPER: Colour = (250, 248, 244)
FILM: Colour = (18, 17, 19)


@dataclass(frozen=True)
class Print:
    """One picture to lay out, with its label such as "1 person"; `focus` is the point a crop keeps, 0 to 1."""

    picture: Image.Image
    label: str
    focus: tuple[float, float] = (0.5, 0.5)

    @property
    def ratio(self) -> float:
        return self.picture.width / self.picture.height

    def crop(self, width: float, height: float) -> Image.Image:
        size = (max(1, round(width)), max(1, round(height)))
        return ImageOps.fit(self.picture, size, Image.Resampling.BICUBIC, centering=self.focus)


@dataclass(frozen=True)
class Stage:
    """What an arrangement works with; the first print is the one that matters most."""

    canvas: Image.Image
    box: Box
    prints: Sequence[Print]
    look: Look
    dice: random.Random
    type: Type

    @property
    def unit(self) -> float:
        """A hundredth of the side of a square of the canvas's area, in pixels."""
        return math.sqrt(self.canvas.width * self.canvas.height) / 100

    @property
    def upright(self) -> bool:
        return self.box.h > self.box.w


Arrangement = Callable[[Stage], None]


def spread(stage: Stage) -> None:
    """Prints with white borders, laid over one another a little askew."""
    prints = _several(stage, 3)
    slots = _limits(stage, len(prints))
    for one, (x, y, side) in reversed(list(zip(prints, slots, strict=True))):
        angle = stage.dice.uniform(1.2, 5.0) * stage.dice.choice((-1, 1))
        ratio = min(max(one.ratio, 0.8), 1.25)
        width, height = side * min(1.0, ratio), side / max(1.0, ratio)
        _place(stage, _bordered(stage, one, width, height), (x, y), angle=angle)


def grid(stage: Stage) -> None:
    """A modular grid: pictures and flat colours in cells, square corners, narrow gaps."""
    gap = max(3.0, 0.9 * stage.unit)
    prints = _several(stage, 3)
    cells = _split(stage.box, [3.2, *[1.35] * (len(prints) - 1), 0.55], stage.dice, gap)
    for one, cell in zip(prints, cells, strict=False):
        _flat(stage, one.crop(cell.w, cell.h), cell)
    _swatches(stage, cells[-1], gap)


def medallion(stage: Stage) -> None:
    """One large disc with a ring, smaller discs around its rim."""
    hero, *others = stage.prints
    side = min(stage.box.w, stage.box.h) * (0.88 if others else 0.94)
    long = max(stage.box.w, stage.box.h)
    lean = min(0.0 if not others else 0.1 * side, (long - side) / 2) * stage.dice.choice((-1, 1))
    x, y = stage.box.centre
    x, y = (x, y + lean) if stage.upright else (x + lean, y)
    _disc(stage, hero, (x, y), side, ring=True)
    start = stage.dice.uniform(0, math.tau)
    for number, one in enumerate(others):
        angle = start + math.tau * number / max(len(others), 2.6)
        small = side * (0.36 if len(others) < 3 else 0.3)
        far = side / 2 + small * 0.12
        at = _within(stage.box, (x + far * math.cos(angle), y + far * math.sin(angle)), small / 2)
        _disc(stage, one, at, small, ring=False)


def slats(stage: Stage) -> None:
    """Tall or wide slices side by side, each a little out of line."""
    gap = max(3.0, 1.1 * stage.unit)
    if len(stage.prints) == 1:
        return _triptych(stage, gap)
    weights = [1.7] + [1.0] * (len(stage.prints) - 1)
    if stage.dice.random() < 0.5:
        weights.reverse()
    order = stage.prints if weights[0] > 1 else stage.prints[::-1]
    for number, (one, cell) in enumerate(zip(order, _row(stage.box, weights, gap, stage.upright), strict=True)):
        cell = _shorter(cell, 0.06 * (number % 2), stage.upright)
        _card(stage, one.crop(cell.w, cell.h), cell)
    return None


def arches(stage: Stage) -> None:
    """Windows with round heads, on one sill."""
    gap = 1.8 * stage.unit
    prints = stage.prints
    box = stage.box
    weights = [1.35] + [1.0] * (len(prints) - 1)
    widths = [cell.w for cell in _row(box, weights, gap, False)]
    widths = [min(width, 0.78 * box.h) for width in widths]
    x = box.x + (box.w - sum(widths) - gap * (len(widths) - 1)) / 2
    for number, (one, width) in enumerate(zip(prints, widths, strict=True)):
        height = min(box.h * (1.0, 0.8, 0.88, 0.74, 0.82)[number], width * 2.3)
        cell = Box(x, box.y + (box.h + min(box.h, widths[0] * 2.3)) / 2 - height, width, height)
        _arch(stage, one, cell)
        x += width + gap


def strip(stage: Stage) -> None:
    """A strip of film, as long as the stage, its frames in order."""
    box, across = stage.box, stage.upright
    depth = min(box.w if across else box.h, 0.62 * (box.h if across else box.w))
    prints = _several(stage, 2 if _ratio(box) < 2.2 else 3)
    margin = 0.13 * depth
    x, y = box.centre
    film = Box(x - depth / 2, box.y, depth, box.h) if across else Box(box.x, y - depth / 2, box.w, depth)
    picture = Image.new("RGB", (round(film.w), round(film.h)), FILM)
    inner = Box(margin, 0.35 * margin, film.w - 2 * margin, film.h - 0.7 * margin)
    inner = inner if across else Box(0.35 * margin, margin, film.w - 0.7 * margin, film.h - 2 * margin)
    for one, cell in zip(prints, _row(inner, [1.0] * len(prints), 0.3 * margin, across), strict=True):
        corners = rounded((round(cell.w), round(cell.h)), 0.1 * margin)
        picture.paste(one.crop(cell.w, cell.h), (round(cell.x), round(cell.y)), corners)
    _perforate(picture, margin, across)
    _place(stage, picture, film.centre, mask=rounded(picture.size, 0.2 * margin), angle=stage.dice.uniform(-1.6, 1.6))


def cover(stage: Stage) -> None:
    """One large framed picture, the others as small prints along its edge."""
    hero, *others = stage.prints
    box = stage.box.inset(0.4 * stage.unit)
    _card(stage, hero.crop(box.w, box.h), box)
    line = max(1, round(0.16 * stage.unit))
    inner = box.inset(1.6 * stage.unit)
    edge = (round(inner.x), round(inner.y), round(inner.x + inner.w), round(inner.y + inner.h))
    ImageDraw.Draw(stage.canvas).rectangle(edge, outline=PAPER, width=line)
    # Along the foot, or up one edge from the foot: faces are mostly above.
    side = min(0.32 * min(box.w, box.h), 0.8 * max(box.w, box.h) / max(1, len(others)))
    right = stage.dice.random() < 0.5
    for number, one in enumerate(others):
        across, along = 0.5 * side, (number + 0.5) * 0.95 * side
        x, y = (across, along) if stage.upright else (along, across)
        at = (inner.x + inner.w - x if right else inner.x + x, inner.y + inner.h - y)
        _place(stage, _bordered(stage, one, 0.84 * side, 0.84 * side), at, angle=stage.dice.uniform(-4, 4))


ARRANGEMENTS: Mapping[str, Arrangement] = MappingProxyType(
    {
        "spread": spread,
        "grid": grid,
        "medallion": medallion,
        "slats": slats,
        "arches": arches,
        "cover": cover,
        "strip": strip,
    }
)


def suitable(box: Box, prints: Sequence[Print]) -> list[str]:
    """The arrangements that look well with these prints in a stage of this shape."""
    count, ratio, shape = len(prints), box.w / box.h, _ratio(box)
    mismatch = max(ratio / prints[0].ratio, prints[0].ratio / ratio)
    unfit = {
        "arches": ratio / count < 0.3 or ratio > 3,
        "cover": mismatch > 1.7,
        "medallion": shape > 2 and count > 2,
        "strip": shape < 1.25 and count > 2,
    }
    return [name for name in ARRANGEMENTS if not unfit.get(name)]


# pieces


def _ratio(box: Box) -> float:
    return max(box.w / box.h, box.h / box.w)


def _several(stage: Stage, least: int) -> list[Print]:
    """The prints; where there are too few, details and a two-colour version of the first join them."""
    hero = stage.prints[0]
    width, height = hero.picture.size
    top = hero.focus[1] * 0.6
    detail = hero.picture.crop(
        (round(0.28 * width), round(top * height), round(0.72 * width), round((top + 0.42) * height))
    )
    tinted = duotone(hero.picture, mix(INK, stage.look.accent, 0.25), mix(WHITE, stage.look.accent, 0.12))
    extras = [Print(detail, "detail", hero.focus), Print(tinted, "two colours", hero.focus)]
    return [*stage.prints, *extras[: max(0, least - len(stage.prints))]]


def _limits(stage: Stage, count: int) -> list[tuple[float, float, float]]:
    """Centre and side for each of `count` prints, the first one largest and last to be laid down."""
    box = stage.box
    long, short = max(box.w, box.h), min(box.w, box.h)
    if long / short > 1.35 and count > 1:
        side = min(0.9 * short, 1.75 * long / (count + 0.3))
        order = _centre_out(count)
        run = long - side
        along = [run * order[n] / (count - 1) + side / 2 for n in range(count)]
        across = [short / 2 + (short - side) * 0.36 * (-1) ** order[n] for n in range(count)]
        sides = [side * (1.0 if n == 0 else 0.8) for n in range(count)]
        pairs = zip(along, across, sides, strict=True)
        return [(box.x + c, box.y + a, s) if stage.upright else (box.x + a, box.y + c, s) for a, c, s in pairs]
    table = {
        1: [(0.5, 0.5, 0.9)],
        2: [(0.36, 0.45, 0.68), (0.71, 0.62, 0.54)],
        3: [(0.48, 0.57, 0.7), (0.25, 0.29, 0.47), (0.76, 0.32, 0.48)],
        4: [(0.47, 0.56, 0.58), (0.22, 0.26, 0.42), (0.77, 0.26, 0.42), (0.79, 0.74, 0.42)],
        5: [(0.5, 0.52, 0.54), (0.22, 0.24, 0.4), (0.78, 0.23, 0.4), (0.21, 0.77, 0.4), (0.79, 0.77, 0.4)],
    }
    flip = stage.dice.random() < 0.5
    mirrored = [(1 - x if flip else x, y, s) for x, y, s in table[count]]
    return [(box.x + x * box.w, box.y + y * box.h, s * short) for x, y, s in mirrored]


def _centre_out(count: int) -> list[int]:
    """Places 0 to count-1, the middle one first."""
    return sorted(range(count), key=lambda place: (abs(place - (count - 1) / 2), place))


def _bordered(stage: Stage, one: Print, width: float, height: float) -> Image.Image:
    """A print on white paper with its label beneath; `width` and `height` are the paper's."""
    rim = max(3.0, 0.045 * min(width, height))
    foot = 2.6 * rim
    paper = Image.new("RGB", (round(width), round(height)), PAPER)
    paper.paste(one.crop(width - 2 * rim, height - rim - foot), (round(rim), round(rim)))
    size = round(1.15 * rim)
    if size >= 9:
        place = (rim * 1.1, height - foot / 2 - 0.08 * rim)
        ImageDraw.Draw(paper).text(place, one.label, fill=(74, 70, 66), font=stage.type.font(size), anchor="lm")
    return paper


def _place(
    stage: Stage,
    picture: Image.Image,
    centre: tuple[float, float],
    *,
    mask: Image.Image | None = None,
    angle: float = 0.0,
    shadow: float = 0.5,
) -> None:
    """Lays a picture down with a soft shadow."""
    mask = mask or Image.new("L", picture.size, 255)
    if angle:
        # The picture's own rim is carried outwards first, so that turning it blends no black into its edge.
        picture = ImageOps.expand(picture, 2, fill=picture.getpixel((1, 1)))  # type: ignore[arg-type]
        mask = ImageOps.expand(mask, 2, fill=0)
        picture = picture.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=picture.getpixel((1, 1)))
        mask = mask.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    left, top = round(centre[0] - picture.width / 2), round(centre[1] - picture.height / 2)
    _shadow(stage, mask, (left, top), shadow)
    stage.canvas.paste(picture, (left, top), mask)


def _shadow(stage: Stage, mask: Image.Image, at: tuple[int, int], strength: float) -> None:
    reach, shrink = 1.6 * stage.unit, 6
    room = round(3 * reach)
    size = (mask.width + 2 * room, mask.height + 2 * room)
    small = Image.new("L", (size[0] // shrink + 1, size[1] // shrink + 1), 0)
    inner = mask.resize((max(1, mask.width // shrink), max(1, mask.height // shrink)), Image.Resampling.BOX)
    small.paste(inner.point([round(v * strength) for v in range(256)]), (room // shrink, room // shrink))
    soft = small.filter(ImageFilter.GaussianBlur(reach / shrink)).resize(size, Image.Resampling.BICUBIC)
    stage.canvas.paste((8, 7, 10), (at[0] - room, at[1] - room + round(0.7 * reach)), soft)


def _card(stage: Stage, picture: Image.Image, cell: Box) -> None:
    _place(stage, picture, cell.centre, mask=rounded(picture.size, 1.3 * stage.unit))


def _flat(stage: Stage, picture: Image.Image, cell: Box) -> None:
    stage.canvas.paste(picture, (round(cell.x), round(cell.y)))


def _disc(stage: Stage, one: Print, centre: tuple[float, float], side: float, *, ring: bool) -> None:
    rim = max(2.0, 0.5 * stage.unit)
    outer = round(side)
    disc = Image.new("RGB", (outer, outer), PAPER)
    inner = round(side - 2 * rim)
    disc.paste(one.crop(inner, inner), (round(rim), round(rim)), rounded((inner, inner), inner / 2))
    _place(stage, disc, centre, mask=rounded((outer, outer), outer / 2))
    if ring:
        _ring(stage, centre, side / 2 + 1.3 * stage.unit)


def _ring(stage: Stage, centre: tuple[float, float], radius: float) -> None:
    side = round(2 * radius)
    outer = rounded((side, side), side / 2)
    line = max(1, round(0.14 * stage.unit))
    hole = ImageOps.expand(rounded((side - 2 * line, side - 2 * line), side / 2), line, 0)
    at = (round(centre[0] - side / 2), round(centre[1] - side / 2))
    stage.canvas.paste(stage.look.accent, at, ImageChops.subtract(outer, hole))


def _arch(stage: Stage, one: Print, cell: Box) -> None:
    width, height = round(cell.w), round(cell.h)
    mask = Image.new("L", (width, height), 255)
    head = rounded((width, 2 * min(width, height)), width / 2).crop((0, 0, width, min(width, height)))
    mask.paste(head, (0, 0))
    _place(stage, one.crop(width, height), cell.centre, mask=mask)


def _triptych(stage: Stage, gap: float) -> None:
    """One picture seen through three slats, the outer ones in two colours."""
    hero, box = stage.prints[0], stage.box
    whole = hero.crop(box.w, box.h)
    tinted = duotone(whole, mix(INK, stage.look.accent, 0.3), mix(WHITE, stage.look.accent, 0.15))
    for number, cell in enumerate(_row(box, [1.0, 1.6, 1.0], gap, stage.upright)):
        source = whole if number == 1 else tinted
        cell = cell if number == 1 else _shorter(cell, 0.1, stage.upright)
        left, top = round(cell.x - box.x), round(cell.y - box.y)
        _card(stage, source.crop((left, top, left + round(cell.w), top + round(cell.h))), cell)


def _row(box: Box, weights: Sequence[float], gap: float, upright: bool) -> list[Box]:
    """The box in cells by weight, along its longer side."""
    length = (box.h if upright else box.w) - gap * (len(weights) - 1)
    cells, at = [], 0.0
    for weight in weights:
        part = length * weight / sum(weights)
        cells.append(Box(box.x, box.y + at, box.w, part) if upright else Box(box.x + at, box.y, part, box.h))
        at += part + gap
    return cells


def _shorter(cell: Box, share: float, upright: bool) -> Box:
    if upright:
        return Box(cell.x + share * cell.w, cell.y, cell.w * (1 - 2 * share), cell.h)
    return Box(cell.x, cell.y + share * cell.h, cell.w, cell.h * (1 - 2 * share))


def _split(box: Box, weights: Sequence[float], dice: random.Random, gap: float) -> list[Box]:
    """The box cut again and again across its longer side, a cell for each weight, in their order."""
    if len(weights) == 1:
        return [box]
    half = 1 if len(weights) <= 3 else (len(weights) + 1) // 2
    share = sum(weights[:half]) / sum(weights)
    upright = box.h * dice.uniform(0.9, 1.1) > box.w
    swap = dice.random() < 0.5
    one, two = _row(box, [1 - share, share] if swap else [share, 1 - share], gap, upright)
    first, second = (two, one) if swap else (one, two)
    return _split(first, weights[:half], dice, gap) + _split(second, weights[half:], dice, gap)


def _swatches(stage: Stage, cell: Box, gap: float) -> None:
    colours = [stage.look.accent, *stage.look.swatches[:3]]
    for colour, part in zip(colours, _row(cell, [1.0] * len(colours), gap / 2, cell.h > cell.w), strict=True):
        stage.canvas.paste(colour, (round(part.x), round(part.y), round(part.x + part.w), round(part.y + part.h)))


def _perforate(picture: Image.Image, margin: float, upright: bool) -> None:
    """The holes along both edges of a film."""
    width, height = round(0.34 * margin), round(0.44 * margin)
    size = (height, width) if upright else (width, height)
    hole = rounded(size, 0.1 * margin)
    length = picture.height if upright else picture.width
    count = max(2, round(length / (0.8 * margin)))
    for number in range(count):
        along = (number + 0.5) * length / count
        for across in (0.5 * margin, (picture.width if upright else picture.height) - 0.5 * margin):
            x, y = (across, along) if upright else (along, across)
            picture.paste((226, 222, 214), (round(x - size[0] / 2), round(y - size[1] / 2)), hole)


def _within(box: Box, at: tuple[float, float], radius: float) -> tuple[float, float]:
    """The point, moved so that what reaches `radius` around it stays in the box."""
    x = min(max(at[0], box.x + radius), max(box.x + box.w - radius, box.x + radius))
    y = min(max(at[1], box.y + radius), max(box.y + box.h - radius, box.y + radius))
    return x, y
