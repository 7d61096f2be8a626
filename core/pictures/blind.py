"""Pictures for judges, alike in all but what they show: one size, one format, one quality, as many bytes. Blocking."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from core.errors import KontextError
from core.pictures import disk
from core.pictures.output import PICTURE_FORMATS

SIDE = 1024  # px, the longer one at most: what a phone can show at full width
QUALITIES = (80, 74, 68, 60)  # the first that fits, or the last, for all of a case: much detail hides the loss
BYTES = 150_000  # four of these take 3 s over 1.6 Mbit/s
GROUND = (128, 128, 128)  # neutral, where shapes differ and where a picture is transparent
SUFFIX = ".jpg"


class Unopenable(KontextError):
    """A picture that is gone or damaged, so that no later try opens it either."""


def make_alike(sources: Sequence[Path], targets: Sequence[Path]) -> None:
    """Write the pictures of one case anew, so that no file tells which variant made it.

    Raises:
        Unopenable: one is gone or damaged.
        KontextError: the disk can't be written to.
    """
    try:
        pictures = [_opened(source) for source in sources]
    except Exception:  # decoders raise nearly anything over bytes that are no picture
        raise Unopenable("A picture of this trial can't be opened.", "Make it again.") from None
    try:
        for data, target in zip(alike(pictures), targets, strict=True):
            disk.write(data, target)
    except OSError:
        raise KontextError("The pictures for judges can't be written.", "Free some space, then try again.") from None


def alike(pictures: Sequence[Image.Image]) -> list[bytes]:
    """JPEGs on one canvas, the shorter ones filled up behind their end, where no viewer looks."""
    side = min(SIDE, max(max(picture.size) for picture in pictures))
    fitted = [ImageOps.contain(picture, (side, side), Image.Resampling.LANCZOS) for picture in pictures]
    canvas = max(picture.width for picture in fitted), max(picture.height for picture in fitted)
    for quality in QUALITIES:
        encoded = [_encoded(picture, canvas, quality) for picture in fitted]
        if max(map(len, encoded)) <= BYTES:
            break
    return [data.ljust(max(map(len, encoded)), b"\0") for data in encoded]


def _opened(source: Path) -> Image.Image:
    with Image.open(source, formats=PICTURE_FORMATS) as image:
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    ground = Image.new("RGB", upright.size, GROUND)
    ground.paste(upright, mask=upright.getchannel("A"))
    return ground


def _encoded(picture: Image.Image, canvas: tuple[int, int], quality: int) -> bytes:
    whole = Image.new("RGB", canvas, GROUND)
    whole.paste(picture, ((canvas[0] - picture.width) // 2, (canvas[1] - picture.height) // 2))
    file = BytesIO()
    whole.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
