"""A picture as it comes from the service, known to be whole."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field

from PIL import Image

from core.errors import ServiceBroken

LARGEST_PICTURE = 50_000_000  # px; the models make about one million
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


@dataclass(frozen=True)
class Picture:
    """A whole picture: the bytes as they came, and what they are, such as "jpeg"; sizes in px."""

    data: bytes = field(repr=False)
    format: str
    width: int
    height: int


def open_picture(data: bytes) -> Picture:
    """Decode a picture to its last pixel; what it is, is told by the bytes alone. Blocking.

    Raises:
        ServiceBroken: it is no whole picture. Charged: only a completed prediction has outputs.
    """
    try:
        # Formats are named, since some that Pillow knows would start programs or fetch things.
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as image:
            width, height = image.size
            if width * height > LARGEST_PICTURE:
                raise ValueError("more pixels than any output has")
            image.load()
            return Picture(data, _format(image), width, height)
    except Exception:  # decoders raise nearly anything over bytes that are no picture
        broken = ServiceBroken(
            "The picture that came from the service is damaged or cut off.", "Try again.", charged="yes"
        )
    raise broken


async def open_in_thread(data: bytes) -> Picture:
    """The same from async code. Nothing can end it: for pictures of a service that is trusted that far."""
    return await asyncio.to_thread(open_picture, data)


def _format(image: Image.Image) -> str:
    # MPO is a JPEG with a second picture behind the first.
    return "jpeg" if image.format == "MPO" else (image.format or "").lower()
