"""Colours taken from pictures: palettes, grounds and inks to go with them, one picture's colours lent to another."""

from __future__ import annotations

import colorsys
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageStat

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (24, 23, 26)
GREY_ACCENTS: tuple[Colour, ...] = ((214, 78, 48), (196, 142, 44), (38, 122, 128), (70, 92, 178))


@dataclass(frozen=True)
class Look:
    """The colours of one composition: what lies behind, what is written with, and one accent."""

    ground: Colour
    ink: Colour
    accent: Colour
    swatches: tuple[Colour, ...]


def palette(picture: Image.Image, count: int = 5) -> tuple[Colour, ...]:
    """Its main colours, the commonest first."""
    small = picture.resize((48, 48), Image.Resampling.BOX)
    reduced = small.quantize(count + 3, Image.Quantize.MEDIANCUT)
    table = reduced.getpalette() or []
    shares = sorted(reduced.getcolors() or [], key=lambda share: (-share[0], share[1]))
    found = [(table[3 * i], table[3 * i + 1], table[3 * i + 2]) for _, i in shares if isinstance(i, int)]
    return tuple(found[:count])


def look(picture: Image.Image, dice: random.Random, *, dark: bool) -> Look:
    """A ground tinted by the picture, light or dark, with an ink and an accent that can be read on it."""
    swatches = palette(picture)
    accent = max(swatches, key=_vividness)
    if _vividness(accent) < 0.12:
        accent = dice.choice(GREY_ACCENTS)
    hue, _, depth = colorsys.rgb_to_hls(*(channel / 255 for channel in accent))
    depth = max(depth, 0.45)
    rich = dice.random() < 0.4
    if dark:
        ground = _hls(hue, 0.2, 0.38) if rich else _hls(hue, 0.095, 0.2)
    else:
        ground = _hls(hue, 0.86, 0.36) if rich else _hls(hue, 0.94, 0.36)
    return Look(
        ground=ground,
        ink=(246, 244, 240) if dark else INK,
        accent=_readable(hue, depth, ground, dark=dark),
        swatches=swatches,
    )


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with `share` (0 to 1) of `other` in it."""
    a, b, c = (round(x + (y - x) * share) for x, y in zip(one, other, strict=True))
    return a, b, c


def lend(picture: Image.Image, source: Image.Image, strength: float, *, light_only: bool = False) -> Image.Image:
    """The picture with the means and spreads of the source's luma and chroma, `strength` of the way there.

    `light_only` moves the brightness and half of the tint, and keeps the contrast.
    """
    own, other = (ImageStat.Stat(p.resize((64, 64)).convert("YCbCr")) for p in (picture, source))
    table: list[int] = []
    for channel in range(3):
        spread = 1.0 if light_only else other.stddev[channel] / max(own.stddev[channel], 2.0)
        spread = min(max(spread, 0.7 if channel == 0 else 0.35), 1.7)
        share = strength * (0.5 if light_only else 1.0)
        # Luma keeps closer to home: a night sky must not turn a portrait into a silhouette.
        reach = 28 if channel == 0 and not light_only else 60
        shift = min(max(other.mean[channel] - own.mean[channel], -reach), reach)
        for value in range(256):
            moved = (value - own.mean[channel]) * spread + own.mean[channel] + shift
            table.append(min(max(round(value + (moved - value) * share), 0), 255))
    return picture.convert("YCbCr").point(table).convert("RGB")


def duotone(picture: Image.Image, dark: Colour, light: Colour) -> Image.Image:
    """The picture between two colours."""
    grey = picture.convert("L")
    bands = [grey.point([round(d + (b - d) * v / 255) for v in range(256)]) for d, b in zip(dark, light, strict=True)]
    return Image.merge("RGB", bands)


def veil(picture: Image.Image, most: float) -> Image.Image:
    """Darkened until its mean luma is at most `most` (0 to 1), highlights more than shadows."""
    mean = ImageStat.Stat(picture.resize((32, 32)).convert("L")).mean[0] / 255
    factor = min(1.0, most / max(mean, 0.01))
    curve = [round(255 * (v / 255) ** (1 + 0.25 * (1 - factor)) * (factor + 0.12 * (1 - factor))) for v in range(256)]
    return picture.point(curve * 3)


def blur(picture: Image.Image, size: tuple[int, int], share: float) -> Image.Image:
    """The picture at `size`, blurred by `share` of its shorter side; worked on small, so it costs little."""
    scale = max(1.0, min(8.0, share * min(size) / 2))
    small = picture.resize((max(2, round(size[0] / scale)), max(2, round(size[1] / scale))), Image.Resampling.BOX)
    radius = share * min(size) / scale
    return small.filter(ImageFilter.GaussianBlur(radius)).resize(size, Image.Resampling.BICUBIC)


def grain(picture: Image.Image, seed: int, amount: float) -> Image.Image:
    """A fine grain, which also keeps soft gradients from banding."""
    rng = np.random.default_rng(seed)
    width, height = picture.size
    tile = rng.normal(0.0, amount, (192, 192)).round().astype(np.int16)
    noise = np.tile(tile, (height // 192 + 1, width // 192 + 1))[:height, :width, None]
    return Image.fromarray(np.clip(np.asarray(picture, np.int16) + noise, 0, 255).astype(np.uint8))


def _hls(hue: float, lightness: float, depth: float) -> Colour:
    red, green, blue = (round(255 * channel) for channel in colorsys.hls_to_rgb(hue, lightness, depth))
    return red, green, blue


def _readable(hue: float, depth: float, ground: Colour, *, dark: bool) -> Colour:
    steps = range(50, 96, 3) if dark else range(50, 4, -3)
    shades = (_hls(hue, step / 100, depth) for step in steps)
    return next((shade for shade in shades if contrast(shade, ground) >= 3.2), INK)


def _vividness(colour: Colour) -> float:
    high, low = max(colour) / 255, min(colour) / 255
    return (high - low) * (0.4 + 0.6 * high)


def _luminance(colour: Colour) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
