"""Pictures of every kind and every defect, made here, prepared as the app prepares them."""

from __future__ import annotations

import hashlib
import importlib.util
import random
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin
from PIL.Image import Transpose

from core.errors import KontextError, ReferenceRejected
from core.pictures.reference import LONG_EDGE, MAX_BYTES, Reference, discard, prepare

ROOT = Path(__file__).resolve().parents[3]
RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def quarters(width: int = 96, height: int = 64) -> Image.Image:
    """Red and green above, blue and yellow below: any turn or mirror shows."""
    image = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), BLUE)
    draw.rectangle((width // 2, height // 2, width, height), YELLOW)
    return image


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))


def opened(reference: Reference) -> Image.Image:
    image = Image.open(BytesIO(reference.read()))
    image.load()
    return image


def pixel(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """The colour at a place given from 0 to 1."""
    found = image.convert("RGB").getpixel((int(image.width * x), int(image.height * y)))
    assert isinstance(found, tuple)
    return found


def near(one: tuple[int, ...], other: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def is_upright(image: Image.Image) -> bool:
    places = {(0.2, 0.2): RED, (0.8, 0.2): GREEN, (0.2, 0.8): BLUE, (0.8, 0.8): YELLOW}
    return all(near(pixel(image, *place), colour, 40) for place, colour in places.items())


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def rejected(source: Path | bytes, folder: Path) -> ReferenceRejected:
    with pytest.raises(ReferenceRejected) as caught:
        prepare(source, 2, folder)
    assert list(folder.glob("*.*")) == [] or isinstance(source, Path)
    return caught.value


# What comes in


@pytest.mark.parametrize("kind", FORMATS)
def test_every_promised_format_is_taken_whatever_its_name_says(kind: str, tmp_path: Path) -> None:
    """A file of each format, under a name that lies, becomes the same picture."""
    file = tmp_path / "picture.txt"
    file.write_bytes(saved(quarters(), kind))
    made = prepare(file, 1, tmp_path / "prepared")
    assert (made.width, made.height) == (96, 64) == opened(made).size
    assert is_upright(opened(made))


TURNS = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_is_turned_upright_once(kind: str, orientation: int, tmp_path: Path) -> None:
    """A camera held in any of the eight ways gives the same upright picture, in formats that turn themselves too."""
    turn = TURNS[orientation]
    lying = quarters() if turn is None else quarters().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    # As bytes: only then does the HEIC writer see the orientation and store it as a rotation of its own too.
    made = prepare(saved(lying, kind, exif=exif.tobytes()), 1, tmp_path)
    assert (made.width, made.height) == (96, 64)
    assert is_upright(opened(made))


def test_a_large_turned_photograph_is_turned_after_it_is_made_smaller(tmp_path: Path) -> None:
    """Decoding a JPEG at part of its size does not lose its orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = quarters(2400, 3600).transpose(Transpose.ROTATE_90)
    made = prepare(saved(lying, "JPEG", exif=exif), 1, tmp_path)
    assert (made.width, made.height) == (1024, 1536)
    assert is_upright(opened(made))


@pytest.mark.parametrize("exif", [b"Exif\0\0no such thing", b"Exif\0\0MM\0*\0"], ids=["nonsense", "cut"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_unreadable_exif_does_not_cost_the_picture(kind: str, exif: bytes, tmp_path: Path) -> None:
    """A readable picture with broken EXIF is taken as it lies."""
    made = prepare(saved(quarters(), kind, exif=exif), 1, tmp_path)
    assert is_upright(opened(made))


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    """Of an animated GIF and WebP the first frame is sent."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, GREEN, BLUE)]
    for kind in ("GIF", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
        assert near(pixel(opened(prepare(data, 1, tmp_path)), 0.5, 0.5), RED)


# Colours


def grey16(rawmode: str, order: str) -> Image.Image:
    values = [0, 32768, 65535]
    return Image.frombytes(rawmode, (96, 32), struct.pack(f"{order}96H", *sorted(values * 32)) * 32)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (grey16("I;16", "<"), "PNG"),
        (grey16("I;16", "<"), "TIFF"),
        (grey16("I;16B", ">"), "TIFF"),
        (Image.frombytes("I", (96, 32), struct.pack("=96i", *sorted([0, 32768, 65535] * 32)) * 32), "TIFF"),
        (Image.frombytes("I", (96, 32), struct.pack("=96i", *sorted([-(10**9), 0, 10**9] * 32)) * 32), "TIFF"),
        (Image.frombytes("F", (96, 32), struct.pack("=96f", *sorted([0, 0.5, 1] * 32)) * 32), "TIFF"),
        (Image.frombytes("F", (96, 32), struct.pack("=96f", *sorted([0, 127.5, 255] * 32)) * 32), "TIFF"),
        (Image.frombytes("L", (96, 32), bytes(sorted([0, 128, 255] * 32)) * 32), "PNG"),
    ],
    ids=["png16", "tiff16", "tiff16-big-endian", "int", "int-signed", "float-1", "float-255", "grey"],
)
def test_deep_greys_are_scaled_not_clipped(image: Image.Image, kind: str, tmp_path: Path) -> None:
    """Black, middle grey and white stay that, however many bits they were kept in."""
    made = opened(prepare(saved(image, kind), 1, tmp_path))
    assert made.mode == "RGB"
    for x, level in ((0.15, 0), (0.5, 128), (0.85, 255)):
        assert near(pixel(made, x, 0.5), (level,) * 3, 2)


def test_a_dim_deep_grey_stays_dim(tmp_path: Path) -> None:
    """A 16-bit picture that uses half of its range is not stretched to all of it."""
    image = grey16("I;16", "<").crop((0, 0, 64, 32))  # black and middle grey
    made = opened(prepare(saved(image, "PNG"), 1, tmp_path))
    assert near(pixel(made, 0.8, 0.5), (128,) * 3, 2)


def test_a_flat_deep_grey_is_taken(tmp_path: Path) -> None:
    """A picture of one number, beyond every usual range, has no range to scale by and is still a picture."""
    flat = Image.new("I", (64, 64), 70_000)
    assert prepare(saved(flat, "TIFF"), 1, tmp_path).width == 64


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG"),
        (Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "TIFF"),
        (Image.new("RGB", (64, 64), RED).quantize(4), "PNG"),
        (Image.new("RGB", (64, 64), RED).convert("YCbCr"), "JPEG"),
        (Image.new("LAB", (64, 64), (138, 208, 198)), "TIFF"),
    ],
    ids=["cmyk-jpeg", "cmyk-tiff", "palette", "ycbcr", "lab"],
)
def test_every_kind_of_colour_comes_out_as_the_same_red(image: Image.Image, kind: str, tmp_path: Path) -> None:
    """Print colours, palettes and Lab are turned into RGB."""
    assert near(pixel(opened(prepare(saved(image, kind), 1, tmp_path)), 0.5, 0.5), RED, 20)


def test_black_and_white_stays_that(tmp_path: Path) -> None:
    """A picture of one bit a pixel keeps both its colours."""
    image = Image.new("1", (64, 64), 0)
    image.paste(1, (32, 0, 64, 64))
    made = opened(prepare(saved(image, "PNG"), 1, tmp_path))
    assert (pixel(made, 0.2, 0.5), pixel(made, 0.8, 0.5)) == ((0, 0, 0), WHITE)


def swapped_profile() -> bytes:
    """sRGB with its red and blue exchanged: what is stored as blue is meant red."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return icc.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_colour_profile_is_followed_and_left_behind(kind: str, tmp_path: Path) -> None:
    """What looked red to the person is red in what is sent, which needs no profile to say so."""
    data = saved(Image.new("RGB", (64, 64), BLUE), kind, icc_profile=swapped_profile())
    made = opened(prepare(data, 1, tmp_path))
    assert near(pixel(made, 0.5, 0.5), RED, 20)
    assert "icc_profile" not in made.info


@pytest.mark.parametrize("icc", [b"nonsense", swapped_profile()[:200], swapped_profile()], ids=["no", "cut", "misfit"])
def test_a_profile_that_does_not_fit_is_ignored(icc: bytes, tmp_path: Path) -> None:
    """A broken profile, or an RGB one on print colours, does not cost the picture."""
    data = saved(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG", icc_profile=icc)
    assert near(pixel(opened(prepare(data, 1, tmp_path)), 0.5, 0.5), RED)


def half_clear(mode: str) -> Image.Image:
    """Left clear over black, right solid red (or black in greys)."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255) if mode == "RGBA" else (0, 0, 0, 255), (32, 0, 64, 64))
    return image.convert(mode)


def clear_palette() -> Image.Image:
    image = Image.new("P", (64, 64), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (32, 0, 64, 64))
    return image


@pytest.mark.parametrize(
    "data",
    [
        saved(half_clear("RGBA"), "PNG"),
        saved(half_clear("RGBA"), "WEBP", lossless=True),
        saved(half_clear("RGBA"), "TIFF"),
        saved(half_clear("RGBA"), "AVIF", quality=100),
        saved(half_clear("RGBA"), "HEIF", quality=-1),
        saved(half_clear("RGBA"), "GIF"),
        saved(half_clear("LA"), "PNG"),
        saved(clear_palette(), "PNG", transparency=0),
        saved(clear_palette(), "PNG", transparency=b"\0\xff"),
        saved(clear_palette(), "GIF", transparency=0),
        saved(clear_palette().convert("RGB"), "PNG", transparency=(0, 0, 0)),
        saved(half_clear("LA").getchannel("A"), "PNG", transparency=0),
    ],
    ids=["png", "webp", "tiff", "avif", "heic", "gif", "la", "p", "p-bytes", "p-gif", "rgb-key", "grey-key"],
)
def test_transparency_is_laid_on_white(data: bytes, tmp_path: Path) -> None:
    """Clear parts become white, never the black that hides under them."""
    assert near(pixel(opened(prepare(data, 1, tmp_path)), 0.2, 0.5), WHITE)


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    """A half clear red becomes pink."""
    data = saved(Image.new("RGBA", (64, 64), (255, 0, 0, 128)), "PNG")
    assert near(pixel(opened(prepare(data, 1, tmp_path)), 0.5, 0.5), (255, 127, 127), 2)


def test_edges_of_transparent_pictures_get_no_dark_rim(tmp_path: Path) -> None:
    """White beside clear black stays white when the picture is made smaller."""
    image = Image.new("RGBA", (2999, 200), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 1501, 200))
    made = opened(prepare(saved(image, "PNG"), 1, tmp_path))
    assert min(low for low, _ in made.getextrema()) >= 254  # type: ignore[misc]


# What goes out


def gps_exif() -> Image.Exif:
    exif = Image.Exif()
    exif.update({0x010E: "SECRET description", 0x013B: "SECRET author", 0x010F: "SECRET camera"})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return exif


def secret_text() -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET prompt")
    text.add_itxt("XML:com.adobe.xmp", "<x>SECRET</x>")
    return text


@pytest.mark.parametrize("image", [quarters(), noise(64, 64)], ids=["sent-as-png", "sent-as-jpeg"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"exif": gps_exif(), "comment": b"SECRET", "xmp": b"<x>SECRET</x>", "quality": 95}),
        ("PNG", {"exif": gps_exif(), "pnginfo": secret_text()}),
        ("WEBP", {"exif": gps_exif(), "xmp": b"<x>SECRET</x>", "lossless": True}),
        ("TIFF", {"exif": gps_exif()}),
        ("AVIF", {"exif": gps_exif(), "xmp": b"<x>SECRET</x>"}),
        ("HEIF", {"exif": gps_exif(), "xmp": b"<x>SECRET</x>"}),
        ("GIF", {"comment": b"SECRET"}),
    ],
)
def test_nothing_is_sent_but_the_picture(
    kind: str, options: dict[str, Any], image: Image.Image, tmp_path: Path
) -> None:
    """The place, the author, the comments and the profile stay behind."""
    data = saved(image, kind, **options)
    assert b"SECRET" in data
    made = prepare(data, 1, tmp_path)
    assert b"SECRET" not in made.read()
    assert dict(opened(made).getexif()) == {}
    assert set(opened(made).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression"}


@given(width=st.integers(16, 4000), height=st.integers(16, 4000), kind=st.sampled_from(["PNG", "JPEG"]))
def test_any_size_is_fitted_and_never_enlarged(
    width: int, height: int, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The long edge is at most LONG_EDGE, small pictures keep their size, and the shape is kept within rounding."""
    data = saved(Image.new("L", (width, height), 90), kind)
    scale = min(1, LONG_EDGE / max(width, height))
    if min(width, height) * scale < 16:
        assert "long and thin" in rejected(data, tmp_path_factory.mktemp("none")).reason
        return
    made = prepare(data, 1, tmp_path_factory.getbasetemp())
    assert opened(made).size == (made.width, made.height)
    assert max(made.width, made.height) <= LONG_EDGE
    assert abs(made.width - width * scale) <= 0.5
    assert abs(made.height - height * scale) <= 0.5


def test_no_eye_sees_the_loss(tmp_path: Path) -> None:
    """A 12-megapixel photograph with grain keeps an SSIM of 0.98 at 1 MP in at most a sixth of its bytes."""
    spec = importlib.util.spec_from_file_location("prepare_benchmark", ROOT / "benchmarks" / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    original = benchmark.photograph(ROOT / "examples" / "coffee.jpg", seed=7)
    sent = prepare(original, 1, tmp_path).read()
    assert benchmark.ssim(benchmark.one_megapixel(original), benchmark.one_megapixel(sent)) >= 0.98
    assert len(sent) <= len(original) / 6


def test_flat_drawings_stay_lossless(tmp_path: Path) -> None:
    """A logo is sent as PNG, pixel for pixel; a photograph is sent as JPEG."""
    flat = prepare(saved(quarters(), "PNG"), 1, tmp_path)
    assert (flat.media_type, flat.path.suffix) == ("image/png", ".png")
    assert opened(flat).tobytes() == quarters().tobytes()
    photo = prepare(saved(noise(300, 200), "PNG"), 1, tmp_path)
    assert (photo.media_type, photo.path.suffix, opened(photo).format) == ("image/jpeg", ".jpg", "JPEG")


def test_grain_of_few_colours_is_sent_as_the_smaller_jpeg(tmp_path: Path) -> None:
    """A grey photograph has few colours and is still no drawing: PNG would make it larger."""
    grey = Image.frombytes("L", (200, 200), random.Random(1).randbytes(40_000))
    assert prepare(saved(grey, "PNG"), 1, tmp_path).media_type == "image/jpeg"


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    """Prepared twice, in two ways, the name and the bytes agree, and the name is the hash of the bytes."""
    data = saved(noise(100, 100), "PNG")
    (tmp_path / "source").write_bytes(data)
    one = prepare(data, 1, tmp_path / "prepared")
    two = prepare(tmp_path / "source", 5, tmp_path / "prepared")
    assert one == two
    assert one.path == tmp_path / "prepared" / f"{one.sha256}.jpg"
    assert hashlib.sha256(one.path.read_bytes()).hexdigest() == one.sha256


def test_many_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    """Threads that prepare the same picture do not disturb each other or leave anything behind."""
    data = saved(noise(200, 200), "PNG")
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda number: prepare(data, number, tmp_path), range(16)))
    assert len(made) == 1
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [made.pop().read()]


def test_a_half_written_file_is_written_again(tmp_path: Path) -> None:
    """What a crash of the machine left under the right name is not taken for the picture."""
    data = saved(noise(100, 100), "PNG")
    made = prepare(data, 1, tmp_path)
    whole = made.read()
    made.path.write_bytes(whole[:10])
    assert prepare(data, 1, tmp_path).read() == whole


# What is refused

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>"
MP4 = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + bytes(100)


@pytest.mark.parametrize(
    ("data", "reason", "advice"),
    [
        (b"", "empty", "another"),
        (b"Dear Sir or Madam,", "not a picture", "JPEG"),
        (SVG, "drawing (SVG)", "PNG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by hand -->\n" + SVG, "drawing (SVG)", "PNG"),
        (b"<!DOCTYPE html><html><body>" + SVG, "web page", "picture itself"),
        (b"<?xml version='1.0'?><note/>", "not a picture", "JPEG"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF", "PNG"),
        (MP4, "video", "frame"),
        (b"\x1aE\xdf\xa3" + bytes(100), "video", "frame"),
        (b"RIFF\x10\0\0\0AVI LIST" + bytes(100), "video", "frame"),
        (b"\0\0\0\x20ftypheic" + bytes(100), "damaged", "another"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "damaged", "another"),
        (b"GIF89a", "damaged", "another"),
        (random.Random(3).randbytes(5000), "not a picture", "JPEG"),
        (saved(Image.new("RGB", (1, 1)), "PNG"), "too small", "16 px"),
        (saved(Image.new("RGB", (400, 15)), "PNG"), "too small", "16 px"),
        (saved(Image.new("RGB", (6000, 40)), "PNG"), "long and thin to show anything (6000 × 40 px)", "strip"),
        (png_header(60_000, 60_000), "80 megapixels", "smaller copy"),
        (png_header(10_000, 9_500), "80 megapixels", "smaller copy"),
        (png_header(8_100, 10_000), "80 megapixels", "smaller copy"),
        (png_header(2**31 - 1, 2**31 - 1), "80 megapixels", "smaller copy"),
        (png_header(4_000, 3_000), "damaged", "another"),
    ],
)
def test_a_file_that_is_no_use_is_refused_in_a_sentence(data: bytes, reason: str, advice: str, tmp_path: Path) -> None:
    """What is wrong and what to do are said, about the right reference, and nothing was charged."""
    error = rejected(data, tmp_path)
    assert error.number == 2
    assert reason in error.reason
    assert advice in error.advice
    assert str(error).startswith("Reference 2 is ") or str(error).startswith("Reference 2 has ")
    assert "Nothing was charged." in str(error)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """A file over the limit is refused by its size alone, on disk and in memory."""
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "64 MB" in rejected(huge, tmp_path).reason
    assert "64 MB" in rejected(bytes(MAX_BYTES + 1), tmp_path / "none").reason


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    """A source that can't be read is not called damaged."""
    assert "can't be read" in rejected(tmp_path / "gone.png", tmp_path).reason


def test_a_full_or_closed_disk_is_not_blamed_on_the_picture(tmp_path: Path) -> None:
    """Where the prepared picture can't be written, the error is about the disk, shows no path, and is not a refusal."""
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(KontextError) as caught:
        prepare(saved(quarters(), "PNG"), 2, tmp_path / "taken")
    assert not isinstance(caught.value, ReferenceRejected)
    assert "disk" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_prepared_picture_that_vanished_is_said_to_be_gone(tmp_path: Path) -> None:
    """Reading a reference whose file was removed is an error of ours."""
    made = prepare(saved(quarters(), "PNG"), 1, tmp_path)
    made.path.unlink()
    with pytest.raises(KontextError, match="Add it again"):
        made.read()


WHOLE = {kind: saved(noise(64, 48), kind) for kind in FORMATS}
WHOLE["progressive JPEG"] = saved(noise(64, 48), "JPEG", progressive=True)
WHOLE["compressed TIFF"] = saved(noise(64, 48), "TIFF", compression="tiff_lzw")
WHOLE["lossless WEBP"] = saved(noise(64, 48), "WEBP", lossless=True)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_in_the_middle_is_refused(kind: str, tmp_path: Path) -> None:
    """Half a picture is not sent as if it were one."""
    for part in (0.2, 0.5, 0.9):
        data = WHOLE[kind]
        assert "damaged" in rejected(data[: int(len(data) * part)], tmp_path).reason


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_broken_files_raise_nothing_but_a_refusal(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut anywhere, with any bytes changed, a file is either a picture or refused; no decoder's error gets out."""
    broken = bytearray(WHOLE[kind])
    # Most of what can go wrong is in the headers, so half of the places are there.
    places = st.one_of(st.integers(0, min(400, len(broken) - 1)), st.integers(0, len(broken) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        broken[place] = value
    cut = data.draw(st.one_of(st.just(len(broken)), st.integers(0, len(broken))))
    try:
        made = prepare(bytes(broken[:cut]), 3, tmp_path_factory.getbasetemp())
    except ReferenceRejected as error:
        assert error.number == 3
    else:
        assert max(made.width, made.height) <= LONG_EDGE


def test_what_was_prepared_can_be_discarded(tmp_path: Path) -> None:
    """By its hash, and nothing else with it; a second time does no harm."""
    one, other = (prepare(saved(noise(64, size), "PNG"), 1, tmp_path) for size in (48, 49))
    for _ in range(2):
        discard(one.sha256, tmp_path)
    assert list(tmp_path.iterdir()) == [other.path]
