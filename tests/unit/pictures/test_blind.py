"""Pictures for judges: no file tells how it was made."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from random import Random

import pytest
from PIL import Image, ImageFilter

from core.errors import KontextError
from core.pictures.blind import BYTES, GROUND, SIDE, make_alike
from core.pictures.decoder import Decoder


def photograph(width: int, height: int, seed: int = 1) -> Image.Image:
    """Something with detail, another one for each seed."""
    noise = Image.frombytes("RGB", (width // 8, height // 8), Random(seed).randbytes(3 * (width // 8) * (height // 8)))
    return noise.resize((width, height), Image.Resampling.BICUBIC)


def saved(folder: Path, name: str, picture: Image.Image, **how: object) -> Path:
    path = folder / name
    picture.save(path, **how)
    return path


def made(folder: Path, *sources: Path) -> list[bytes]:
    targets = [folder / "blind" / f"{number}.jpg" for number in range(len(sources))]
    make_alike(sources, targets)
    return [target.read_bytes() for target in targets]


def test_all_of_a_case_are_alike(tmp_path: Path) -> None:
    """Whatever came, in whatever shape: one format, one size, as many bytes, the same tables of the encoder."""
    exif = Image.Exif()
    exif[0x0131] = "FLUX.1 Kontext max"
    sources = [
        saved(tmp_path, "a.png", photograph(1024, 1024), pnginfo=None),
        saved(tmp_path, "b.jpg", photograph(832, 1216, 2), quality=95, exif=exif, comment=b"seed 4711"),
        saved(tmp_path, "c.webp", photograph(640, 640, 3), lossless=True, exif=exif),
        saved(tmp_path, "d.png", Image.new("L", (1500, 900), 40)),
    ]
    files = made(tmp_path, *sources)
    opened = [Image.open(BytesIO(data)) for data in files]
    assert {(picture.format, picture.mode, picture.size) for picture in opened} == {("JPEG", "RGB", (SIDE, SIDE))}
    assert len({len(data) for data in files}) == 1
    assert len({str(picture.quantization) for picture in opened}) == 1
    assert all(set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"} for picture in opened)
    assert not any(picture.getexif() for picture in opened)
    assert not any(word in data for data in files for word in (b"FLUX", b"4711", b"Exif"))
    assert opened[1].getpixel((2, SIDE // 2)) == pytest.approx(GROUND, abs=3)


def test_much_detail_is_no_reason_to_wait(tmp_path: Path) -> None:
    """Where one picture of a case would be too long for a slow line, all of them get the same lower quality."""
    detailed = saved(tmp_path, "a.png", photograph(864, 864).resize((1024, 1024)))
    plain = saved(tmp_path, "b.png", Image.new("RGB", (1024, 1024), "teal"))
    files = made(tmp_path, detailed, plain)
    assert len({len(data) for data in files}) == 1
    assert len(files[0]) <= BYTES
    one, other, alone = (Image.open(BytesIO(data)).quantization for data in (*files, *made(tmp_path, plain)))
    assert (one == other, one == alone) == (True, False)


def test_the_same_shape_keeps_its_pixels(tmp_path: Path) -> None:
    """Nothing is cut, stretched or framed where all have one shape that is small enough."""
    files = made(tmp_path, *(saved(tmp_path, f"{n}.png", photograph(832, 608, n)) for n in (1, 2)))
    for number, data in enumerate(files, 1):
        picture, before = Image.open(BytesIO(data)), photograph(832, 608, number)
        assert picture.size == (832, 608)
        small = [one.resize((26, 19), Image.Resampling.BOX).tobytes() for one in (picture, before)]
        assert max(abs(a - b) for a, b in zip(*small, strict=True)) < 6


def test_what_is_transparent_or_turned_is_shown_as_meant(tmp_path: Path) -> None:
    """A clear picture lies on the neutral ground, and a turned one is upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    turned = saved(tmp_path, "turned.jpg", photograph(640, 320), exif=exif)
    clear = saved(tmp_path, "clear.png", Image.new("RGBA", (320, 640), (255, 0, 0, 0)))
    one, other = (Image.open(BytesIO(data)) for data in made(tmp_path, turned, clear))
    assert one.size == other.size == (320, 640)
    assert other.getpixel((100, 100)) == pytest.approx(GROUND, abs=3)


def test_no_size_tells_the_format_that_a_variant_sends(tmp_path: Path) -> None:
    """Twenty cases of a PNG, a JPEG and a blurred picture: from the sizes of a case nothing can be guessed."""
    for case in range(20):
        picture = photograph(96, 96, case)
        sources = [
            saved(tmp_path, f"{case}.png", picture),
            saved(tmp_path, f"{case}.jpg", picture, quality=40),
            saved(tmp_path, f"{case}-soft.png", picture.filter(ImageFilter.GaussianBlur(6))),
        ]
        assert len({len(data) for data in made(tmp_path, *sources)}) == 1


def test_a_picture_that_is_gone_or_damaged_is_said(tmp_path: Path) -> None:
    """In a sentence, and nothing is left half made."""
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(saved(tmp_path, "whole.png", photograph(96, 96)).read_bytes()[:300])
    for source in (damaged, tmp_path / "gone.png"):
        with pytest.raises(KontextError, match="can't be opened"):
            made(tmp_path, source)
    assert not (tmp_path / "blind").exists()


@pytest.mark.anyio
async def test_they_are_made_where_that_can_be_ended(tmp_path: Path) -> None:
    """The same in the processes that open what comes from outside, with the same words where it fails."""
    decoder = Decoder()
    source, target = saved(tmp_path, "a.png", photograph(96, 96)), tmp_path / "made.jpg"
    try:
        await decoder.make_alike([source], [target])
        assert [target.read_bytes()] == made(tmp_path, source)
        with pytest.raises(KontextError, match="can't be opened"):
            await decoder.make_alike([tmp_path / "gone.png"], [target])
    finally:
        decoder.close()
