"""Makes the small picture of each preset that the page shows: `python -m scripts.samples`.

The sandbox lays a preset's own prompt out over photographs of examples/, so a new preset needs no artwork.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from core.prompts.compose import compose
from core.prompts.presets import Preset, load_presets
from sandbox.collage.pictures import compose as collage

HOME = Path(__file__).resolve().parents[1]
FOLDER = HOME / "presets"
DRAWN, KEPT = (1080, 720), (360, 240)  # px; drawn large, so that its lettering is fine when it is small
LARGEST = 16_000  # bytes

# A photograph of examples/ for each role; where a preset has two people, the second is the cat.
PHOTOS: Mapping[str, str] = MappingProxyType(
    {
        "subject": "portrait",
        "identity": "portrait",
        "companion": "cat",
        "outfit": "launch",
        "pose": "cat",
        "product": "coffee",
        "label": "galaxies",
        "object": "coffee",
        "material": "brick",
        "background": "launch",
        "lighting": "launch",
        "style": "galaxies",
        "palette": "galaxies",
    }
)
# What shows a preset better than the portrait does.
SUBJECTS: Mapping[str, str] = MappingProxyType(
    {"apply-a-style": "cat", "line-drawing": "cat", "relight": "launch", "poster": "launch", "colour-palette": "cat"}
)


def sample(preset: Preset, seed: int) -> bytes:
    """The preset's picture as WebP, from its required roles and one more where a single one says little."""
    roles = [*preset.required, *preset.optional][: max(2, len(preset.required))]
    photos = [HOME / "examples" / f"{_photo(preset, role)}.jpg" for role in roles]
    drawn = collage([p.read_bytes() for p in photos], compose(preset, roles, "image"), seed=seed, size=DRAWN)[0]
    with Image.open(io.BytesIO(drawn)) as picture:
        small = picture.resize(KEPT, Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "WEBP", quality=62, method=6)
    return written.getvalue()


def _photo(preset: Preset, role: str) -> str:
    return SUBJECTS.get(preset.id, PHOTOS[role]) if role == "subject" else PHOTOS[role]


def main() -> None:
    """Write a file beside each preset."""
    for seed, preset in enumerate(load_presets(FOLDER).values(), start=3):
        content = sample(preset, seed)
        assert len(content) <= LARGEST, preset.id
        (FOLDER / f"{preset.id}.webp").write_bytes(content)


if __name__ == "__main__":
    main()
