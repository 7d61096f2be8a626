"""What preparing references costs and gains, on five photographs of 12 megapixels.

Run `python benchmarks/prepare.py`. The photographs are made from examples/: enlarged to 12 megapixels, given the fine
detail and the grain that enlarging lacks, and saved the way a camera does, with EXIF.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.pictures.decoder import Decoder  # noqa: E402
from core.pictures.prepared import PreparedPictures  # noqa: E402
from core.pictures.reference import Reference, prepare  # noqa: E402  (needs the line above when run as a script)

NAMES = ("portrait", "cat", "coffee", "launch", "galaxies")
SIZE = (4000, 3000)
ROUNDS = 5
PEOPLE = 8
THREADS = 2


def photograph(file: Path, seed: int) -> bytes:
    """A picture enlarged to 12 megapixels, with detail in three octaves, grain that grows in the dark, and EXIF."""
    rng = np.random.default_rng(seed)
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
    detail = np.zeros(SIZE[::-1], dtype=np.float32)
    for step, strength in ((8, 5.0), (4, 4.0), (2, 3.0)):
        octave = rng.normal(0, strength, (SIZE[1] // step, SIZE[0] // step)).astype(np.float32)
        detail += np.asarray(Image.fromarray(octave).resize(SIZE, Image.Resampling.BICUBIC))
    grain = rng.normal(0, 1, (*SIZE[::-1], 3)).astype(np.float32) * (4.5 - pixels / 128)
    camera = Image.fromarray((pixels + detail[..., None] + grain).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif.update({0x010F: "Camera", 0x0112: 1, 0x0132: "2024:05:01 12:00:00"})
    out = BytesIO()
    camera.save(out, "JPEG", quality=92, subsampling="4:2:0", exif=exif)
    return out.getvalue()


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Structural similarity of two greys, 0-255, after Wang et al. (2004): a Gaussian window of 11 px, sigma 1.5."""
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(grey: np.ndarray) -> np.ndarray:
        tall = sum(w * grey[i : grey.shape[0] - 10 + i] for i, w in enumerate(window))
        return sum(w * tall[:, i : tall.shape[1] - 10 + i] for i, w in enumerate(window))

    mean1, mean2 = blur(one), blur(other)
    var1, var2 = blur(one * one) - mean1**2, blur(other * other) - mean2**2
    shared = blur(one * other) - mean1 * mean2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean1 * mean2 + c1) * (2 * shared + c2) / ((mean1**2 + mean2**2 + c1) * (var1 + var2 + c2))
    return float(likeness.mean())


def one_megapixel(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("L").resize((1155, 866), Image.Resampling.LANCZOS), dtype=np.float64)


def in_threads(photos: list[Path], threads: int) -> float:
    """Seconds to prepare all the photographs inside this process, into a fresh folder."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(lambda numbered: prepare(numbered[1], numbered[0], Path(folder)), enumerate(photos, 1)))
        return time.perf_counter() - began


async def as_the_app(photos: list[Path], decoder: Decoder) -> tuple[float, float]:
    """Seconds to prepare them as the app does, hashed and in processes of their own; and to be asked for them again."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = PreparedPictures(decoder, Path(folder))
        taken = []
        for _ in range(2):
            began = time.perf_counter()
            await asyncio.gather(*(prepared.prepare(photo, number) for number, photo in enumerate(photos, 1)))
            taken.append(time.perf_counter() - began)
    return taken[0], taken[1]


def side_by_side(photos: list[Path]) -> None:
    """The ways to prepare all the photographs by turns, so that what else the computer does is shared out fairly."""
    decoder = Decoder()
    began = time.perf_counter()
    decoder.warm()
    print(f"the app's processes are there after {time.perf_counter() - began:.2f} s")
    rounds = [
        (in_threads(photos, 1), in_threads(photos, THREADS), *asyncio.run(as_the_app(photos, decoder)))
        for _ in range(ROUNDS)
    ]
    decoder.close()
    ways = ("1 thread", f"{THREADS} threads", "the app's processes", "the app, the same once more")
    for way, taken in zip(ways, zip(*rounds, strict=True), strict=True):
        low, high = min(taken), max(taken)
        print(f"all five, {way}: {statistics.median(taken):.3f} s ({low:.3f}-{high:.3f}), {ROUNDS} rounds by turns")


def crowd(photos: Path) -> None:
    """In a process of its own: eight people drop five photographs each, at once. Prints MB before and at the peak."""
    peak = 1024 if sys.platform != "darwin" else 1024**2  # ru_maxrss counts KB, on macOS bytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / peak
    drops = [file for _ in range(PEOPLE) for file in sorted(photos.iterdir())]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda file: prepare(file, 1, Path(folder)), drops))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / peak
    print(f"{before:.0f} MB before, {after:.0f} MB at the peak")


def table(photos: dict[str, bytes], folder: Path) -> None:
    print(f"\n{'':12}{'before':>10}{'after':>10}{'ratio':>8}{'SSIM':>8}   prepared")
    before = after = 0
    for name, data in photos.items():
        made: Reference = prepare(data, 1, folder)
        sent = made.read()
        likeness = ssim(one_megapixel(data), one_megapixel(sent))
        print(f"{name:12}{len(data) / 1e6:7.2f} MB{len(sent) / 1e6:7.2f} MB{len(data) / len(sent):8.1f}{likeness:8.4f}"
              f"   {made.width} × {made.height} {made.media_type}")  # fmt: skip
        before, after = before + len(data), after + len(sent)
    print(f"{'all five':12}{before / 1e6:7.2f} MB{after / 1e6:7.2f} MB{before / after:8.1f}")


def make(folder: Path) -> None:
    missing = [name for name in NAMES if not (ROOT / "examples" / f"{name}.jpg").exists()]
    if missing:
        sys.exit(f"examples/ has no {', '.join(name + '.jpg' for name in missing)}; this benchmark is made from them.")
    for seed, name in enumerate(NAMES):
        (folder / f"{name}.jpg").write_bytes(photograph(ROOT / "examples" / f"{name}.jpg", seed))


def main(folder: Path) -> None:
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    # Each in its own process, before this one grows: a child's peak memory starts at what its parent has reached.
    subprocess.run([sys.executable, __file__, "make", folder], check=True)
    print(f"{PEOPLE} people drop {len(NAMES)} photographs each at once, {THREADS} threads: ", end="", flush=True)
    subprocess.run([sys.executable, __file__, "crowd", folder], check=True)
    side_by_side(sorted(folder.iterdir()))
    photos = {file.stem: file.read_bytes() for file in sorted(folder.iterdir())}
    with tempfile.TemporaryDirectory() as prepared:
        table(photos, Path(prepared))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        {"make": make, "crowd": crowd}[sys.argv[1]](Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
