"""The registry: one frozen row for each variant, and the parameters it has.

Everything that speaks of a range, a default, a price or a limit derives from here: the page's controls, the
checks and their messages, the estimate in Python and in the browser, the code examples, the README's table.
Adding a variant is adding a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

Kind = Literal["text", "references", "integer", "number", "choice", "size", "boolean"]

# Where a fact was read, when, and how sure it is: documented (D) or seen in a real answer (O).
CATALOGUE = "WaveSpeedAI catalogue and model pages, 2026-06-23 (O, D)"
SAFETY_PAGE = "the variant's own page (D); the catalogue of 2026-06-23 leaves it out"
DEV_PAGE = "the variant's own page, average time (D)"

ASPECT_RATIOS = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")


@dataclass(frozen=True)
class Parameter:
    """One input of a variant.

    `minimum` and `maximum` bound a number, each edge of a size in px, the count of references or a text's characters.
    `on_page` is False for what only programs need. `source` says where the row was read.
    """

    name: str
    kind: Kind
    label: str
    help: str
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None
    choices: tuple[str, ...] = ()
    default: str | int | float | bool | None = None
    required: bool = False
    on_page: bool = True
    source: str = CATALOGUE


@dataclass(frozen=True)
class Variant:
    """One of the paid models. `price` is USD for one picture; `published_seconds` the vendor's average, if any."""

    id: str
    model_id: str
    name: str
    tagline: str
    noun: str  # what its prompting guide calls a reference
    price: Decimal
    published_seconds: float | None
    parameters: tuple[Parameter, ...]
    source: str = CATALOGUE

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)

    @property
    def reference_limit(self) -> int:
        row = self.parameter("images")
        assert row is not None and row.maximum is not None
        return int(row.maximum)

    @property
    def pictures_in_one_prediction(self) -> bool:
        """Whether one prediction makes several pictures, or each picture needs a prediction of its own."""
        return self.parameter("num_images") is not None


# The service names no most for a prompt; 4,000 characters are many times what any of its guides shows.
PROMPT = Parameter("prompt", "text", "Prompt", "The picture you want, in your own words.", maximum=4000, required=True)

PICTURES = Parameter(
    "num_images", "integer", "Pictures", "How many pictures to make.", minimum=1, maximum=4, step=1, default=1
)

SEED = Parameter(
    "seed",
    "integer",
    "Seed",
    "The same seed with the same inputs makes the same picture again. Empty or -1: a new one for each run.",
    minimum=-1,
    maximum=2147483647,
    step=1,
    default=-1,
)

ASPECT_RATIO = Parameter(
    "aspect_ratio", "choice", "Shape", "Width to height. Left open, the model decides.", choices=ASPECT_RATIOS
)

SIZE = Parameter(
    "size",
    "size",
    "Size",
    "Width and height in pixels. Left open, the model decides.",
    minimum=256,
    maximum=1536,
    step=16,
)

STEPS = Parameter(
    "num_inference_steps",
    "integer",
    "Steps (quality)",
    "More steps can bring out detail and take longer; the price stays the same.",
    minimum=1,
    maximum=50,
    step=1,
    default=28,
)

OUTPUT_FORMAT = Parameter(
    "output_format",
    "choice",
    "File format",
    "JPEG is small, PNG keeps every pixel, WebP lies between.",
    choices=("jpeg", "png", "webp"),
    default="jpeg",
)

SAFETY_CHECKER = Parameter(
    "enable_safety_checker",
    "boolean",
    "Safety checker",
    "Looks for unsafe content in the pictures.",
    default=True,
    source=SAFETY_PAGE,
)

BASE64_OUTPUT = Parameter(
    "enable_base64_output",
    "boolean",
    "Base64 output",
    "Pictures come inside the answer instead of by URL.",
    default=False,
    on_page=False,
)

SYNC_MODE = Parameter(
    "enable_sync_mode",
    "boolean",
    "Sync mode",
    "The submit itself waits for the pictures.",
    default=False,
    on_page=False,
)


def references(limit: int) -> Parameter:
    # The service would fill an empty list with sample photographs on one variant, and bill for them:
    # at least one reference is ours to insist on, for all.
    return Parameter(
        "images",
        "references",
        "References",
        "The pictures to work from.",
        minimum=1,
        maximum=limit,
        required=True,
    )


def guidance(default: float) -> Parameter:
    return Parameter(
        "guidance_scale",
        "number",
        "How closely to follow the prompt",
        "Low leaves the model free, high holds it to your words.",
        minimum=1,
        maximum=20,
        step=0.1,
        default=default,
    )


_DEV = (PROMPT, references(4), PICTURES, SIZE, SEED, guidance(2.5), STEPS, OUTPUT_FORMAT, BASE64_OUTPUT)

_ROWS = (
    Variant(
        id="pro",
        model_id="wavespeed-ai/flux-kontext-pro/multi",
        name="Pro",
        tagline="The all-rounder",
        noun="image",
        price=Decimal("0.04"),
        published_seconds=None,
        parameters=(PROMPT, references(5), ASPECT_RATIO, SEED, guidance(3.5), SYNC_MODE),
    ),
    Variant(
        id="max",
        model_id="wavespeed-ai/flux-kontext-max/multi",
        name="Max",
        tagline="The best pictures and lettering",
        noun="image",
        price=Decimal("0.08"),
        published_seconds=None,
        # No seed: one sent would be dropped without a word, and paid for.
        parameters=(PROMPT, references(5), ASPECT_RATIO, guidance(3.5), SYNC_MODE),
    ),
    Variant(
        id="dev",
        model_id="wavespeed-ai/flux-kontext-dev/multi",
        name="Dev",
        tagline="The most to adjust",
        noun="reference",
        price=Decimal("0.03"),
        published_seconds=17,
        parameters=(*_DEV, SYNC_MODE),
        source=f"{CATALOGUE}; {DEV_PAGE}",
    ),
    Variant(
        id="ultra-fast",
        model_id="wavespeed-ai/flux-kontext-dev/multi-ultra-fast",
        name="Ultra-fast",
        tagline="The quickest and cheapest",
        noun="reference",
        price=Decimal("0.025"),
        published_seconds=None,
        parameters=(*_DEV, SAFETY_CHECKER, SYNC_MODE),
    ),
)

REGISTRY: Mapping[str, Variant] = MappingProxyType({row.id: row for row in _ROWS})
BY_MODEL: Mapping[str, Variant] = MappingProxyType({row.model_id: row for row in _ROWS})

REFERENCE_LIMIT = max(row.reference_limit for row in _ROWS)
