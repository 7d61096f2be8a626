"""A composition of the references in place of the picture that a model would have made, and says so on itself.

The same references, prompt, seed, index and size give the same bytes.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image, ImageFilter, ImageOps

from sandbox.collage import reading
from sandbox.collage.colours import PAPER, lend, look
from sandbox.collage.layouts import ARRANGEMENTS, Print, Stage, at_least_three
from sandbox.collage.words import Type, draw_page, printable, set_page

AREA, STEP, WIDEST = 1024 * 1024, 16, 21 / 9
TAKEN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # what the service takes (D)
READ, SHOWN = 4000, 400  # characters of a prompt that are read, and that are set
MOST_PIXELS = 80_000_000
SMALLEST_SIDE, LARGEST_SIDE = 16, 1024  # of a reference as it is worked on
COLOUR_ROLES = ("style", "colours", "light")
WEIGHT = ("person", "subject", "product", "companion", None, "outfit", "object", "label", "pose", "material", "scene")
SAVED = {"jpeg": {"quality": 92}, "png": {"compress_level": 3}, "webp": {"quality": 90, "method": 2}}


class Unreadable(Exception):
    """Reference `number`, from 1, is not a picture that can be opened."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"reference {number} can't be opened as a picture")


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

    `format` is jpeg, png or webp. Raises Unreadable. Takes about a tenth of a second each; call it in a thread.
    """
    prompt = prompt[:READ]
    roles = reading.roles(prompt)
    opened = [Print(n, open_picture(content, n), roles.get(n)) for n, content in enumerate(references, 1)]
    size = size or canvas_size(opened[0].picture.size if opened else (1, 1), ratio)
    buffers = [io.BytesIO() for _ in range(count)]
    for index, buffer in enumerate(buffers):
        draw(opened, reading.plain(prompt)[:SHOWN], size, seed, index).save(buffer, format, **SAVED[format])
    return [buffer.getvalue() for buffer in buffers]


def canvas_size(first: tuple[int, int], ratio: str | None) -> tuple[int, int]:
    """About a megapixel, sides in steps of 16, no longer than 21:9; `first` is the first reference's size."""
    width, height = (int(part) for part in ratio.split(":")) if ratio else first
    share = min(max(width / height, 1 / WIDEST), WIDEST)
    return STEP * round((AREA * share) ** 0.5 / STEP), STEP * round((AREA / share) ** 0.5 / STEP)


def open_picture(content: bytes, number: int) -> Image.Image:
    """Upright, RGB, transparent parts on a light grey, no larger than what is needed here."""
    try:
        picture: Image.Image = Image.open(io.BytesIO(content), formats=TAKEN)
        if picture.width * picture.height > MOST_PIXELS:
            raise Unreadable(number)
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BICUBIC, reducing_gap=1.1)
        picture = ImageOps.exif_transpose(picture)
        if picture.has_transparency_data:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, PAPER), picture.convert("RGBA"))
        return picture.convert("RGB").resize([max(edge, SMALLEST_SIDE) for edge in picture.size])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as wrong:
        raise Unreadable(number) from wrong


def draw(references: Sequence[Print], prompt: str, size: tuple[int, int], seed: int, index: int) -> Image.Image:
    """The composition; arrangements and grounds go round with seed and index, so that neighbours differ most."""
    dice = random.Random(f"{seed}/{index}")  # noqa: S311 - taste, not secrets
    turn, arrangement = divmod(seed + index, len(ARRANGEMENTS))
    on_picture = turn % 2 == 0
    graded = _graded(references) or [Print(0, Image.radial_gradient("L").convert("RGB"))]
    prints = _laid_out(graded, on_picture)
    colours = look(prints[0].picture, dice, dark=on_picture)
    type = Type()
    entries = [(one.crop(64, 64), one.label) for one in references]
    text = printable(prompt, otherwise=" + ".join(label for _, label in entries) or "Untitled")
    page = set_page(size, text, entries, type, dice)
    canvas = Image.new("RGB", size, colours.ground)
    if on_picture:
        # The scene, or the first reference much softer; the less of it, the nearer to the words.
        scene = next((one for one in graded if one.role == "scene"), None)
        scale = 2 if scene else 8
        small = (scene or graded[0]).crop(size[0] / scale, size[1] / scale).filter(ImageFilter.GaussianBlur(3))
        shade = Image.linear_gradient("L").rotate(page.side).resize(size).point(lambda value: 205 - value * 165 // 255)
        canvas.paste(small.resize(size, Image.Resampling.BICUBIC), (0, 0), shade)
    ARRANGEMENTS[arrangement](Stage(canvas, page.stage, at_least_three(prints, colours), colours, dice, page.unit))
    draw_page(canvas, page, colours, type)
    return canvas


def _graded(references: Sequence[Print]) -> list[Print]:
    """The references in the colours of the one that gives style, colours or light, if there is one."""
    source = next((one for role in COLOUR_ROLES for one in references if one.role == role), None)
    if source is None:
        return list(references)
    strength = 0.5 if source.role == "light" else 0.7
    lent = (replace(one, picture=lend(one.picture, source.picture, strength)) for one in references)
    return [one if one.role in COLOUR_ROLES else graded for one, graded in zip(references, lent, strict=True)]


def _laid_out(references: Sequence[Print], on_picture: bool) -> list[Print]:
    """What is laid out, the weightiest first; a scene that lies behind and what only lends colours stay out."""
    away = (*COLOUR_ROLES, "scene") if on_picture else COLOUR_ROLES
    shown = [one for one in references if one.role not in away] or list(references)
    return sorted(shown, key=lambda one: WEIGHT.index(one.role) if one.role in WEIGHT else len(WEIGHT))[:5]
