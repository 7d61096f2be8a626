"""The sandbox's pictures: right in size and format, the same for the same inputs, honest about what they are."""

from __future__ import annotations

import io
import itertools
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from scipy.fft import next_fast_len
from worlds import picture

from sandbox.collage import pictures, reading
from sandbox.collage.colours import look
from sandbox.collage.layouts import ARRANGEMENTS, Print, Stage, at_least_three
from sandbox.collage.pictures import Unreadable
from sandbox.collage.words import Box

NOTICE = "Practice mode · no model made this"


def compose(references: list[bytes], prompt: str, *, index: int = 0, **more: Any) -> bytes:
    """The picture at `index` of one prediction."""
    return pictures.compose(references, prompt, count=index + 1, **more)[index]


def scene(size: tuple[int, int] = (480, 320)) -> bytes:
    """A reference with some structure: a bright disc on a gradient."""
    canvas = Image.linear_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(canvas).ellipse((size[0] // 3, size[1] // 4, size[0] // 2, size[1] // 2), fill="orange")
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def noise() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((300, 300), 120).save(buffer, "PNG")
    return buffer.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def similarity(canvas: np.ndarray, text: np.ndarray) -> np.ndarray:
    """How alike (-1 to 1) the canvas is to the text at each place: a normalised cross-correlation."""
    shape = tuple(next_fast_len(a + b, real=True) for a, b in zip(canvas.shape, text.shape, strict=True))
    transformed = np.fft.rfft2(canvas, shape)

    def slide(template: np.ndarray, source: np.ndarray) -> np.ndarray:
        product = np.fft.irfft2(source * np.conj(np.fft.rfft2(template, shape)), shape)
        return product[: canvas.shape[0] - text.shape[0] + 1, : canvas.shape[1] - text.shape[1] + 1]

    ones = np.ones_like(text)
    mean = slide(ones, transformed) / text.size
    power = slide(ones, np.fft.rfft2(canvas**2, shape)) / text.size
    spread = np.sqrt(np.maximum(power - mean**2, 1.0))
    centred = text - text.mean()
    return slide(centred, transformed) / (text.size * spread * text.std())


def legibility(canvas: Image.Image, words: str) -> tuple[float, float]:
    """How well the words are found at the foot of the picture, and the contrast ratio where they are."""
    lower = canvas.convert("L").crop((0, canvas.height * 3 // 4, canvas.width, canvas.height))
    grey = np.asarray(lower, dtype=float)
    best, ratio = 0.0, 1.0
    for size in range(11, 34):
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(words)
        if right - left >= lower.width:
            break
        mask = Image.new("L", (round(right - left), round(bottom - top)))
        ImageDraw.Draw(mask).text((-left, -top), words, fill=255, font=font)
        found = np.abs(similarity(grey, np.asarray(mask, dtype=float)))
        if found.max() > best:
            best = float(found.max())
            y, x = np.unravel_index(found.argmax(), found.shape)
            patch = (grey[y : y + mask.height, x : x + mask.width] / 255) ** 2.2
            ratio = float((patch.max() + 0.05) / (patch.min() + 0.05))
    return best, ratio


@pytest.mark.parametrize(
    ("ground", "size"),
    [
        *itertools.product([scene(), noise(), picture("white"), picture("black")], [(256, 256)]),
        *itertools.product([noise()], [(640, 640), (256, 700), (900, 300)]),
    ],
)
def test_the_notice_can_be_read(ground: bytes, size: tuple[int, int]) -> None:
    """Whatever the references are, the words stand on the picture, whole and in strong contrast."""
    seed = size[0] + len(ground)
    canvas = opened(compose([ground, scene()], "a cat", seed=seed, size=size, format="png"))
    alike, contrast = legibility(canvas, NOTICE)
    assert alike > 0.8
    assert contrast > 7
    assert legibility(canvas, "Picture created by the model itself")[0] < 0.6


@pytest.mark.parametrize("ratio", ["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"])
def test_a_ratio_is_kept_at_about_a_megapixel(ratio: str) -> None:
    """Sides in steps of 16, within 3 % of the ratio and of a megapixel."""
    width, height = opened(compose([scene()], "x", seed=1, ratio=ratio)).size
    wanted = int(ratio.split(":")[0]) / int(ratio.split(":")[1])
    assert width % 16 == height % 16 == 0
    assert width / height == pytest.approx(wanted, rel=0.03)
    assert width * height == pytest.approx(1024 * 1024, rel=0.03)


@pytest.mark.parametrize(
    ("first", "wanted"), [((300, 300), 1.0), ((480, 320), 1.5), ((2000, 100), 21 / 9), ((60, 900), 9 / 21)]
)
def test_without_a_ratio_the_first_reference_decides(first: tuple[int, int], wanted: float) -> None:
    """Its shape is followed, up to 21:9 either way."""
    width, height = opened(compose([scene(first), scene((320, 900))], "x", seed=1)).size
    assert width / height == pytest.approx(wanted, rel=0.03)


@given(
    width=st.integers(256, 700), height=st.integers(256, 700), seed=st.integers(0, 2**31 - 1), count=st.integers(0, 5)
)
def test_a_size_is_exact(width: int, height: int, seed: int, count: int) -> None:
    """Any size, any seed and any number of references give a picture of exactly that size."""
    references = [scene((90 + 40 * n, 150 - 20 * n)) for n in range(count)]
    prompt = "The person from image 1 with the bottle of image 2 in the style of image 3"
    canvas = opened(compose(references, prompt, seed=seed, size=(width, height)))
    assert (canvas.size, canvas.format) == ((width, height), "JPEG")


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_the_same_inputs_give_the_same_bytes(format: str) -> None:
    """Byte for byte, in every format."""
    one, two = (compose([scene()], "x", seed=3, size=(300, 256), format=format) for _ in range(2))
    assert one == two
    assert opened(one).format == format.upper()


def test_seeds_and_indexes_differ() -> None:
    """Neighbouring seeds, and the pictures of one prediction, are different compositions, not just different bytes."""

    def thumbnail(seed: int, index: int) -> np.ndarray:
        canvas = opened(compose([scene(), noise()], "x", seed=seed, index=index, size=(320, 320)))
        return np.asarray(canvas.convert("L").resize((32, 32)), dtype=float)

    first = thumbnail(1, 0)
    others = [thumbnail(seed, index) for seed, index in ((1, 1), (1, 2), (1, 3), (2, 0), (3, 0), (4, 0))]
    assert min(np.abs(first - other).mean() for other in others) > 8


def stage(size: tuple[int, int], count: int) -> Stage:
    """An empty stage that fills a small canvas, with prints to lay out of `count` references."""
    prints = [Print(n, opened(scene((300 + 20 * n, 240))).convert("RGB"), "person") for n in range(1, count + 1)]
    dice = random.Random(1)
    colours = look(prints[0].picture, dice, dark=False)
    box = Box(20, 20, size[0] - 40, size[1] - 40)
    return Stage(Image.new("RGB", size, colours.ground), box, at_least_three(prints, colours), colours, dice, 4.0)


@pytest.mark.parametrize("count", [1, 2, 5, *(pytest.param(count, marks=pytest.mark.soak) for count in (3, 4))])
@pytest.mark.parametrize("size", [(300, 300), (480, 240), (240, 480), (900, 200), (200, 900)], ids=str)
def test_arrangements_differ_on_every_stage(size: tuple[int, int], count: int) -> None:
    """Each suits any shape and number of prints, fills a part of the stage, and looks like no other."""
    made = []
    for arrange in ARRANGEMENTS:
        given_stage = stage(size, count)
        arrange(given_stage)
        made.append(np.asarray(given_stage.canvas.convert("L").resize((32, 32)), dtype=float))
    empty = np.asarray(stage(size, count).canvas.convert("L").resize((32, 32)), dtype=float)
    assert min(np.abs(a - b).mean() for n, a in enumerate(made) for b in made[:n]) > 4
    assert min((np.abs(one - empty) > 8).mean() for one in made) > 0.12


def test_the_prompt_stands_on_it_without_the_sandbox_words() -> None:
    """Another caption is another picture; the words that steer the sandbox are not set."""
    plain, marked, other = (
        compose([scene()], prompt, seed=1, size=(400, 300))
        for prompt in ("a red fox", "a red fox [sandbox:slow]", "a grey owl")
    )
    assert plain == marked
    assert plain != other


@pytest.mark.parametrize("prompt", ["", "图片中的人", "🙂", "é à ü ß", "x" * 3000, "word " * 900, "a\x00\nb\t c"])
def test_any_prompt_can_be_set(prompt: str) -> None:
    """Letters that the typeface lacks, very long words and very long texts do no harm."""
    assert opened(compose([scene()], prompt, seed=1, size=(300, 256))).size == (300, 256)


def test_no_more_of_a_prompt_is_set_than_is_shown() -> None:
    """A prompt of 30 kB takes as many steps as its beginning does."""

    def steps(prompt: str) -> int:
        taken = itertools.count()
        sys.setprofile(lambda *_: next(taken) and None)
        try:
            compose([picture()], prompt, seed=1, size=(256, 256))
        finally:
            sys.setprofile(None)
        return next(taken)

    assert steps("word " * 6000) <= 1.1 * steps("word " * 130)


def test_any_prompt_is_soon_read() -> None:
    """Nothing in a prompt makes its reading take more than the processor's seconds that the process is given."""
    prompts = ["image 1" + " , " * 1300 + "x", "image" + " " * 4000 + "x", " " * 4000 + "[sandbox:", "image 1 " * 500]
    script = (
        "import resource, sys; from sandbox.collage import reading;"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_utime;"
        "resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 5,) * 2);"
        "[read(prompt) for prompt in sys.argv[1:] for read in (reading.roles, reading.plain) for _ in range(5)]"
    )
    home = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script, *prompts], cwd=home, check=False).returncode == 0


def test_a_style_lends_its_colours() -> None:
    """A blue style reference turns a grey picture bluer."""

    def blueness(role: str) -> float:
        content = compose([noise(), picture("navy")], f"image 2 is the {role}", seed=4, size=(400, 400))
        red, _, blue = np.asarray(opened(content).resize((1, 1))).reshape(3).astype(float)
        return float(blue - red)

    assert blueness("style") > blueness("pose") + 3


def test_a_picture_is_taken_upright() -> None:
    """A photograph that lies on its side by its EXIF is turned before its shape counts."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (400, 200), "teal").save(buffer, "JPEG", exif=exif)
    width, height = opened(compose([buffer.getvalue()], "x", seed=1)).size
    assert height > width


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
def test_any_kind_of_picture_is_taken(mode: str) -> None:
    """Grey, transparent, indexed, CMYK and 16-bit references all work."""
    buffer = io.BytesIO()
    Image.new(mode, (80, 60)).save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    assert opened(compose([buffer.getvalue()], "x", seed=1, size=(256, 256))).size == (256, 256)


@pytest.mark.parametrize("content", [b"", b"text", scene()[:200], b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_is_no_picture_is_named_by_its_number(content: bytes) -> None:
    """The second reference is the one that can't be opened."""
    with pytest.raises(Unreadable) as caught:
        compose([scene(), content], "x", seed=1)
    assert caught.value.number == 2


@pytest.mark.parametrize(
    ("prompt", "roles"),
    [
        ("The person from image 1 wearing the outfit from image 2", {1: "person", 2: "outfit"}),
        (
            "the people from images 1, 2 and 3 in the place of image 4",
            dict.fromkeys((1, 2, 3), "person") | {4: "scene"},
        ),
        ("Use image 1 as the background, put the bottle from image 2 there", {1: "scene", 2: "product"}),
        ("in the art style of image 3, with the lighting of image 2", {3: "style", 2: "light"}),
        ("Reference 1 is the person. Picture #2: the logo", {1: "person", 2: "label"}),
        ("the first photo's person, second image as background", {1: "person", 2: "scene"}),
        ("The main subject of image 1, in the colour palette of image 2", {1: "subject", 2: "colours"}),
        ("Put image 1 on the background of image 2", {2: "scene"}),
        ("image 2 is the style, image 2 is the person", {2: "style"}),
        ("image 12 of the year 2021", {}),
        ("a quiet street in the evening light", {}),
    ],
)
def test_roles_are_read_out_of_the_prompt(prompt: str, roles: dict[int, str]) -> None:
    """What each reference is for, however it is said."""
    assert reading.roles(prompt) == roles


@given(st.text(max_size=200))
def test_reading_never_stumbles(prompt: str) -> None:
    """Any text can be read; numbers are those of references."""
    assert all(1 <= number <= 9 for number in reading.roles(prompt))
    assert "[sandbox:failed]" not in reading.plain(prompt + " [sandbox:failed]")
