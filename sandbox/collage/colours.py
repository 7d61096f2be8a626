"""Colours taken from pictures: grounds and inks to go with them, one picture's colours lent to another."""

from __future__ import annotations

import colorsys
import random
from dataclasses import dataclass

from PIL import Image, ImageStat

Colour = tuple[int, int, int]
INK: Colour = (24, 23, 26)
PAPER: Colour = (250, 248, 244)


@dataclass(frozen=True)
class Look:
    """The colours of one composition: what lies behind, what is written with, and its main ones."""

    ground: Colour
    ink: Colour
    swatches: tuple[Colour, ...]


def look(picture: Image.Image, dice: random.Random, *, dark: bool) -> Look:
    """A ground tinted by the picture, so dark or so light that its ink can be read on it, and its main colours."""
    reduced = picture.resize((48, 48), Image.Resampling.BOX).quantize(8, Image.Quantize.MEDIANCUT)
    table = reduced.getpalette() or []
    shares = sorted(reduced.getcolors() or [], key=lambda share: (-share[0], share[1]))
    found = [(table[3 * i], table[3 * i + 1], table[3 * i + 2]) for _, i in shares if isinstance(i, int)]
    accent = max(found, key=lambda colour: max(colour) - min(colour))
    hue = colorsys.rgb_to_hls(*(channel / 255 for channel in accent))[0]
    lightness, depth = (0.1, 0.25) if dark else (dice.choice((0.87, 0.94)), 0.36)
    red, green, blue = (round(255 * channel) for channel in colorsys.hls_to_rgb(hue, lightness, depth))
    return Look((red, green, blue), PAPER if dark else INK, (accent, *found[:3]))


def lend(picture: Image.Image, source: Image.Image, strength: float) -> Image.Image:
    """The picture with the means and spreads of the source's luma and chroma, `strength` of the way there."""
    own, other = (ImageStat.Stat(p.resize((64, 64)).convert("YCbCr")) for p in (picture, source))
    table: list[int] = []
    for channel in range(3):
        spread = min(max(other.stddev[channel] / max(own.stddev[channel], 2.0), 0.35 if channel else 0.7), 1.7)
        # Luma keeps closer to home: a night sky must not turn a portrait into a silhouette.
        reach = 60 if channel else 28
        shift = min(max(other.mean[channel] - own.mean[channel], -reach), reach)
        for value in range(256):
            moved = (value - own.mean[channel]) * spread + own.mean[channel] + shift
            table.append(min(max(round(value + (moved - value) * strength), 0), 255))
    return picture.convert("YCbCr").point(table).convert("RGB")
