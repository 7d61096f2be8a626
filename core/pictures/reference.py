"""A picture as it came -> what is sent: upright, right-sized, in sRGB on white, without metadata; and its hash.

Whatever Pillow or a decoder under it does with a bad file, a person reads one of the sentences of this module.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import cast

import pillow_heif
from PIL import Image, ImageCms
from PIL.ExifTags import Base
from PIL.Image import Resampling, Transpose

from core.errors import KontextError, ReferenceRejected
from core.pictures import disk

FOLDER = "references"  # of the data folder
LONG_EDGE = 1536  # px: the largest size any variant renders
SHORT_EDGE = 16  # px: anything thinner shows nothing
MAX_BYTES = 64_000_000
MAX_PIXELS = 80_000_000  # stays under the size at which Pillow itself begins to warn
# What is opened in a second or so. A JPEG is opened smaller than it is, but each of its scans goes over all of it.
LARGE, LARGE_JPEG = 30_000_000, 600_000_000  # px; px and scans
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
# Measured by benchmarks/prepare.py: SSIM at 1 MP above 0.98 even for grain, under a seventh of the bytes of a camera.
JPEG_QUALITY = 88
FEW_COLOURS = 4096  # drawings and screenshots have fewer; a photograph passes it within a few rows

# Pillow keeps one list of openers for the whole process, so this is global: nothing is taken away from others, and
# doing it twice is harmless. Embedded thumbnails, depth maps and the like are never what a person dropped.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)

_CHOOSE = "Choose a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC picture instead."
_DAMAGED = ("is damaged and can't be opened.", "Save or download it again, or choose another picture.")
_SMALLER = "Make a smaller copy of it and add that one."
# How a file begins -> what it is. Looked at only where Pillow could not open the file; the first match counts.
_KINDS: tuple[tuple[bytes, tuple[str, str]], ...] = (
    (rb"\Z", ("is an empty file.", "Save or download it again, or choose another picture.")),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype html|html)", (
        "is a web page, not a picture.", "Save the picture itself and add that one.",
    )),
    (rb"(\xef\xbb\xbf)?\s*<(svg|.{0,4096}?<svg)", (
        "is a drawing (SVG), not a picture made of pixels.", "Export it as PNG and add that one.",
    )),
    (rb"%PDF-", ("is a PDF document, not a picture.", "Export the page as PNG or JPEG and add that one.")),
    (rb".{4}ftyp(avi[fs]|he[iv][cmsx]|mi[af][1f]|msf1)", _DAMAGED),
    (rb".{4}ftyp(?!crx)|\x1aE\xdf\xa3|RIFF.{4}AVI |FLV\x01|\0\0\x01\xba", (
        "is a video, not a picture.", "Save one frame of it as JPEG or PNG and add that one.",
    )),
    (rb"\xff\xd8\xff|\x89PNG|GIF8|BM.{4}\0{4}|II\*\0|MM\0\*|RIFF.{4}WEBP", _DAMAGED),
    (rb"", ("is not a picture that can be opened here.", _CHOOSE)),
)  # fmt: skip
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Reference:
    """A prepared picture on disk, ready to be sent. `sha256` is of its bytes; width and height in px.

    The same thing from the card to the upload: a run holds it by a file of its own. `role` is what it is for, where a
    person has said so; `card` is the file that the page showed it by, and goes when the run is deleted.
    """

    path: Path
    sha256: str
    media_type: str
    width: int
    height: int
    role: str | None = None
    card: Path | None = None

    def read(self) -> bytes:
        """The prepared bytes. Raises KontextError where the file is gone."""
        try:
            return self.path.read_bytes()
        except OSError:
            raise KontextError("A prepared picture is no longer on the app's disk.", "Add it again.") from None


def prepare(source: Path | bytes, number: int, folder: Path) -> Reference:
    """Make a picture ready to be sent and keep it as folder/<sha256>.jpg or .png; the same picture, the same file.

    Takes a file of at most 64 MB and 80 megapixels, whatever its name says; the first frame of an animation.
    Gives sRGB, at most LONG_EDGE px on the long edge, never enlarged. Blocking: call it in a thread.
    Raises ReferenceRejected(number, …) for the picture, KontextError where it can't be written.
    """
    picture = _decode(_bytes(source, number), number)
    data, suffix, media_type = _encode(picture)
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / (sha256 + suffix)
    try:
        _keep(data, path)
    except OSError:
        raise KontextError(
            f"Reference {number} couldn't be kept: the app's disk is full or can't be written to.",
            "Nothing is wrong with the picture. Free some space or check the app's data folder, then add it again.",
        ) from None
    return Reference(path, sha256, media_type, *picture.size)


def is_large(source: Path) -> bool:
    """Whether it takes long to open, by what its header says; nothing is decoded. Blocking."""
    try:
        data = _bytes(source, 1)
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            pixels = image.width * image.height
            jpeg = image.format in ("JPEG", "MPO")
    except Exception:  # `prepare` says what is wrong with it
        return False
    return pixels * data.count(b"\xff\xda") > LARGE_JPEG if jpeg else pixels > LARGE


def discard(sha256: str, folder: Path) -> None:
    """Take away what `prepare` left in the folder under that hash."""
    for suffix in (".jpg", ".png"):
        (folder / (sha256 + suffix)).unlink(missing_ok=True)


def _bytes(source: Path | bytes, number: int) -> bytes:
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > MAX_BYTES:
            raise ReferenceRejected(number, f"is a file of more than {MAX_BYTES // 10**6} MB.", _SMALLER)
        return source if isinstance(source, bytes) else source.read_bytes()
    except OSError:
        raise ReferenceRejected(number, "can't be read from the disk.", "Add the picture again.") from None


def _decode(data: bytes, number: int) -> Image.Image:
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            size = _size(image.size, number)
            return _upright(_srgb(_on_white(_sized(image, size)), image), image)
    except ReferenceRejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(number) from None
    except MemoryError:
        raise ReferenceRejected(number, "takes too much memory to open.", _SMALLER) from None
    except Exception:  # on hostile bytes decoders raise anything: SyntaxError, struct.error, ZeroDivisionError …
        raise ReferenceRejected(number, *_kind(data)) from None


def _kind(data: bytes) -> tuple[str, str]:
    return next(said for start, said in _KINDS if re.match(start, data[:8192], re.DOTALL | re.IGNORECASE))


def _too_many_pixels(number: int) -> ReferenceRejected:
    return ReferenceRejected(number, f"has more than {MAX_PIXELS // 10**6} megapixels.", _SMALLER)


def _size(size: tuple[int, int], number: int) -> tuple[int, int]:
    """The size to send, from the size in the header: nothing is decoded before this has agreed."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(number)
    scale = min(1.0, LONG_EDGE / max(size))
    if min(size) * scale >= SHORT_EDGE:
        return round(width * scale), round(height * scale)
    shape = "long and thin" if min(size) >= SHORT_EDGE else "small"
    advice = f"Choose one of at least {SHORT_EDGE} px on every side, and not stretched to a strip."
    raise ReferenceRejected(number, f"is too {shape} to show anything ({width} × {height} px).", advice)


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    # A JPEG can be decoded at 1/2, 1/4 or 1/8 for a fraction of the time and memory; other formats ignore this.
    image.draft(None, size)
    image.load()
    plain = _plain(image)
    return plain if plain.size == size else plain.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


def _plain(image: Image.Image) -> Image.Image:
    """One of L, RGB, RGBA, CMYK, LAB: eight bits a channel and no palette, so that it can be resized."""
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        return _eight_bits(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "CMYK", "LAB") else image.convert("RGB")


def _eight_bits(grey: Image.Image) -> Image.Image:
    """Scale by the range the numbers are kept in, so that bright parts are not clipped to white."""
    if grey.mode.startswith("I;16"):
        grey = grey.convert("I")  # whose range can be asked for in either order of bytes
    low, high = cast(tuple[float, float], grey.getextrema())
    ranges = (1.0, 255.0, 65535.0) if grey.mode == "F" else (65535.0,)
    bottom, top = next(((0.0, top) for top in ranges if low >= 0 and high <= top), (low, high))
    scale = 255 / ((top - bottom) or 1)
    # Pillow reads the function as a line, so it must be a product and a sum; + 0.5 rounds.
    return grey.convert("F").point(lambda value: value * scale + (0.5 - bottom * scale)).convert("L")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _srgb(picture: Image.Image, source: Image.Image) -> Image.Image:
    """RGB in sRGB, by the profile of `source`; one that does not fit the picture is as good as none."""
    icc: bytes = source.info.get("icc_profile") or b""
    if not icc and picture.mode != "LAB":
        return picture.convert("RGB")
    try:
        profile = ImageCms.createProfile("LAB") if picture.mode == "LAB" else ImageCms.getOpenProfile(BytesIO(icc))
        converted = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return cast(Image.Image, converted)
    except ImageCms.PyCMSError:
        return picture.convert("RGB")


def _upright(picture: Image.Image, source: Image.Image) -> Image.Image:
    """Turned as `source` asks, with every trace of metadata left behind.

    HEIC and TIFF are turned by their decoders, which then report no orientation of their own.
    """
    try:
        turn = _TURNS.get(source.getexif().get(Base.Orientation, 1))
    except Exception:  # unreadable EXIF in a readable picture: viewers show it as it lies, and so do we
        turn = None
    turned = picture.copy() if turn is None else picture.transpose(turn)
    turned.info = {}  # Pillow would write the comment, the profile and the transparency it finds here
    return turned


def _encode(picture: Image.Image) -> tuple[bytes, str, str]:
    """JPEG; or PNG, which loses nothing, where few colours make it the smaller of the two."""
    jpeg = BytesIO()
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", optimize=True, progressive=True)
    if picture.getcolors(FEW_COLOURS):
        png = BytesIO()
        picture.save(png, "PNG")
        if png.tell() < jpeg.tell():
            return png.getvalue(), ".png", "image/png"
    return jpeg.getvalue(), ".jpg", "image/jpeg"


def _keep(data: bytes, path: Path) -> None:
    if path.exists() and path.stat().st_size == len(data):
        disk.touch(path)
    else:
        disk.write(data, path)
