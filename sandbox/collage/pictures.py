"""A composition of the references in place of the picture that a model would have made, and says so on itself.

The references lie on a stage by what the prompt says they are for; the prompt stands beside them as a caption.
The same references, prompt, seed, index and size give the same bytes.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from PIL import Image, ImageFilter, ImageOps

from sandbox.collage import reading
from sandbox.collage.colours import Look, blur, grain, lend, look, veil
from sandbox.collage.layouts import ARRANGEMENTS, Print, Stage, suitable
from sandbox.collage.words import Entry, Page, Type, draw_page, printable, set_page

AREA = 1024 * 1024
STEP = 16
WIDEST = 21 / 9
TAKEN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # what the service takes (D)
READ, SHOWN = 4000, 500  # characters of a prompt that are read, and that are set
MOST_PIXELS = 80_000_000
SMALLEST_SIDE, LARGEST_SIDE = 16, 1400  # of a reference as it is worked on
COLOUR_ROLES = ("style", "colours", "light")
WEIGHT = ("person", "subject", "product", "companion", None, "outfit", "object", "label", "pose", "material", "scene")
# How far down a crop is centred, 0 to 1: heads are near the top.
FOCUS: Mapping[str, float] = MappingProxyType({"person": 0.12, "outfit": 0.4, "product": 0.5, "scene": 0.5})
SAVED = {
    "jpeg": {"format": "JPEG", "quality": 92},
    "png": {"format": "PNG", "compress_level": 3},
    "webp": {"format": "WEBP", "quality": 90, "method": 2},
}


class Unreadable(Exception):
    """Reference `number`, from 1, is not a picture that can be opened."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"reference {number} can't be opened as a picture")


@dataclass(frozen=True)
class Reference:
    """One opened reference with what the prompt says it is for."""

    number: int
    picture: Image.Image
    role: str | None

    @property
    def label(self) -> str:
        return f"{self.number} {self.role}" if self.role else f"image {self.number}"


def compose(
    references: Sequence[bytes],
    prompt: str,
    *,
    seed: int,
    count: int = 1,
    size: tuple[int, int] | None = None,
    ratio: str | None = None,
    format: str = "jpeg",
) -> list[bytes]:
    """`count` encoded pictures: exactly `size`, else about a megapixel in `ratio`, else in the first reference's ratio.

    `format` is jpeg, png or webp. Raises Unreadable. Takes about a fifth of a second each; call it in a thread.
    """
    prompt = prompt[:READ]
    roles = reading.roles(prompt)
    opened = [Reference(n, open_picture(content, n), roles.get(n)) for n, content in enumerate(references, 1)]
    size = size or canvas_size(opened[0].picture.size if opened else (1, 1), ratio)
    caption = reading.plain(prompt)[:SHOWN]
    return [encode(draw(opened, caption, size, seed, index), format) for index in range(count)]


def canvas_size(first: tuple[int, int], ratio: str | None) -> tuple[int, int]:
    """About a megapixel, sides in steps of 16, no longer than 21:9; `first` is the first reference's size."""
    width, height = (int(part) for part in ratio.split(":")) if ratio else first
    share = min(max(width / height, 1 / WIDEST), WIDEST)
    return STEP * round((AREA * share) ** 0.5 / STEP), STEP * round((AREA / share) ** 0.5 / STEP)


def open_picture(content: bytes, number: int) -> Image.Image:
    """Upright, RGB, transparent parts on a light grey, no larger than what is needed here."""
    try:
        picture = Image.open(io.BytesIO(content), formats=TAKEN)
        if picture.width * picture.height > MOST_PIXELS:
            raise Unreadable(number)
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BICUBIC, reducing_gap=1.1)
        upright = _opaque(ImageOps.exif_transpose(picture))
        return upright.resize((max(upright.width, SMALLEST_SIDE), max(upright.height, SMALLEST_SIDE)))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as wrong:
        raise Unreadable(number) from wrong


def _opaque(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    paper = Image.new("RGBA", picture.size, (238, 236, 232, 255))
    return Image.alpha_composite(paper, picture).convert("RGB")


def encode(picture: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, **SAVED[format])  # type: ignore[arg-type]
    return buffer.getvalue()


# composition


def draw(references: Sequence[Reference], prompt: str, size: tuple[int, int], seed: int, index: int) -> Image.Image:
    """The composition as a picture of exactly `size`."""
    dice = random.Random(f"{seed}/{index}")  # noqa: S311 - taste, not secrets
    graded = _graded(references)
    on_scene = _on_scene(graded, dice)
    prints = _prints(graded, on_scene) or [Print(_nothing(dice), "no reference")]
    colours = look(prints[0].picture, dice, dark=on_scene or dice.random() < 0.3)
    type = Type()
    page = set_page(size, _caption(prompt, references), _legend(references), type, dice)
    canvas = _backdrop(graded, size, colours, page) if on_scene else Image.new("RGB", size, colours.ground)
    arrange = ARRANGEMENTS[choose(suitable(page.stage, prints), seed, index)]
    arrange(Stage(canvas, page.stage, prints, colours, dice, type))
    canvas = grain(canvas, seed, 1.5)
    draw_page(canvas, page, colours, type)
    return canvas


def choose(names: Sequence[str], seed: int, index: int) -> str:
    """The arrangement goes round with seed and index, so that pictures made side by side differ most."""
    return names[(seed + index) % len(names)]


def _graded(references: Sequence[Reference]) -> list[Reference]:
    """The references in the colours of the one that gives style, colours or light, if there is one."""
    source = next((one for role in COLOUR_ROLES for one in references if one.role == role), None)
    if source is None:
        return list(references)
    light = source.role == "light"
    return [one if one.role in COLOUR_ROLES else replace(one, picture=_lent(one, source, light)) for one in references]


def _lent(one: Reference, source: Reference, light: bool) -> Image.Image:
    return lend(one.picture, source.picture, 0.85 if light else 0.7, light_only=light)


def _on_scene(references: Sequence[Reference], dice: random.Random) -> bool:
    """Whether a picture lies behind everything: mostly where there is a scene and something to put in it."""
    roles = [one.role for one in references]
    chance = 0.75 if "scene" in roles and len(roles) > 1 else 0.4
    return bool(references) and dice.random() < chance


def _prints(references: Sequence[Reference], on_scene: bool) -> list[Print]:
    """What is laid out, the weightiest first; a scene that lies behind and what only lends colours stay out."""
    away = (*COLOUR_ROLES, "scene") if on_scene else COLOUR_ROLES
    shown = [one for one in references if one.role not in away] or list(references)
    shown = sorted(shown, key=lambda one: WEIGHT.index(one.role) if one.role in WEIGHT else len(WEIGHT))
    return [Print(one.picture, one.label, (0.5, FOCUS.get(one.role or "", 0.35))) for one in shown]


def _nothing(dice: random.Random) -> Image.Image:
    """Soft colours, where there is no reference at all."""
    field = Image.new("RGB", (3, 3))
    field.putdata([(dice.randrange(40, 235), dice.randrange(60, 200), dice.randrange(80, 235)) for _ in range(9)])
    return field.resize((600, 600), Image.Resampling.BICUBIC)


def _caption(prompt: str, references: Sequence[Reference]) -> str:
    return printable(prompt, otherwise=" + ".join(one.label for one in references) or "Untitled")


def _legend(references: Sequence[Reference]) -> list[Entry]:
    return [Entry(ImageOps.fit(one.picture, (64, 64)), one.label) for one in references]


def _backdrop(references: Sequence[Reference], size: tuple[int, int], colours: Look, page: Page) -> Image.Image:
    """The scene, or the first reference much softer, darkened, and darkest beneath the words."""
    scene = next((one for one in references if one.role == "scene"), None)
    picture = (scene or references[0]).picture
    small = ImageOps.fit(picture, (max(2, size[0] // 2), max(2, size[1] // 2)), Image.Resampling.BILINEAR)
    canvas = veil(blur(small, size, 0.007 if scene else 0.035), 0.34)
    canvas.paste(colours.ground, (0, 0), _shade(size, page))
    return canvas


def _shade(size: tuple[int, int], page: Page) -> Image.Image:
    """How much of the ground's colour covers each point: most at the panel, fading towards the stage."""
    small = Image.new("L", (max(2, size[0] // 16), max(2, size[1] // 16)), 20)
    for box in page.panels:
        edges = (box.x, box.y, box.x + box.w, box.y + box.h)
        left, top, right, bottom = (round(edge / 16) for edge in edges)
        small.paste(190, (left, top, right, bottom))
    radius = 0.06 * max(small.size)
    return small.filter(ImageFilter.GaussianBlur(radius)).resize(size, Image.Resampling.BICUBIC)
