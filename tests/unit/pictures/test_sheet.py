"""The contact sheet: of bounded size whatever is on it, and whole whatever is missing."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from core.pictures.sheet import TILE, Strip, Tile, draw

COLOURS = ("red", "lime", "blue", "yellow")


def painted(folder: Path, colour: str, size: tuple[int, int], format: str = "PNG") -> Path:
    path = folder / f"{colour}.{format.lower()}"
    Image.new("RGB", size, colour).save(path, format)
    return path


def drawn(strips: list[Strip], prompt: str = "A cup") -> Image.Image:
    with Image.open(BytesIO(draw("Cups", prompt, strips, "2026-11-24"))) as sheet:
        assert sheet.format == "PNG"
        return sheet.convert("RGB")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_every_picture_is_on_it(tmp_path: Path, format: str) -> None:
    """One over its tile, four in the quarters of theirs; of every format that the service sends."""
    paths = [painted(tmp_path, colour, (640, 640), format) for colour in COLOURS]
    sheet = drawn([Strip("Seed 7", [Tile("Pro", "$0.04", paths[:1]), Tile("Dev", "$0.12", paths)])])
    seen = {colour for _, colour in sheet.getcolors(1 << 24) or []}
    near = [any(all(abs(a - b) < 24 for a, b in zip(want, got, strict=True)) for got in seen) for want in
            ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))]  # fmt: skip
    assert all(near)


def test_its_size_is_bounded(tmp_path: Path) -> None:
    """Tall pictures with endless words make no endless sheet."""
    tall = painted(tmp_path, "red", (30, 240))
    strips = [Strip("word " * 500, [Tile("x" * 500, "y " * 500, [tall] * 4)] * 4) for _ in range(3)]
    sheet = drawn(strips, "z" * 4000)
    assert sheet.width < 5 * TILE and sheet.height < 3 * 2 * TILE


def test_what_is_missing_leaves_its_place(tmp_path: Path) -> None:
    """A picture that is gone, one that is damaged, a cell without any, letters of other scripts."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    tiles = [Tile("gone", "", [tmp_path / "gone.png"]), Tile("broken", "", [broken]), Tile("杯子", "чашка ☕", [])]
    assert drawn([Strip("", tiles)], "").width > 3 * TILE
