"""What a person has set, kept in their own browser: it is there again after a reload, a crash or a restart.

Ids and values alone, never a key. What comes back is a claim like any other: it passes the checks of the registry, and
a picture comes back only where its card still answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from core.catalog.limits import FIELD_CHARACTERS, NAME_CHARACTERS, TYPED_CHARACTERS
from core.catalog.variants import ASPECT_RATIOS, PICTURES, REFERENCE_LIMIT, REGISTRY, SEED
from core.pictures.recipe import Recipe
from core.pictures.reference import Reference
from core.prompts.presets import ROLES
from ui.files import file_data
from ui.studio import compare
from ui.studio.form import AUTO, OWN, Form, plain_parameters
from ui.studio.references import Card

KEPT = "kontext-draft"  # the browser's storage key
MOST = 100_000  # characters of a draft that are read

_Name = Annotated[str, Field(max_length=NAME_CHARACTERS)]
_Short = Annotated[str, Field(max_length=FIELD_CHARACTERS)]


class _Card(BaseModel):
    path: Annotated[str, Field(max_length=4096)]
    name: _Name
    role: _Name | None = None


class Draft(BaseModel):
    """The page as it was left."""

    cards: Annotated[list[_Card], Field(max_length=REFERENCE_LIMIT)]
    preset: _Name | None
    fields: Annotated[list[_Short | None], Field(max_length=20)]
    prompt: Annotated[str, Field(max_length=TYPED_CHARACTERS)] = ""
    variant: _Name
    pictures: int
    shape: _Name
    width: float | None
    height: float | None
    parameters: dict[str, bool | int | float | str | None]
    compare: Any = None

    def held(self, reference: Callable[[str], Reference | None]) -> list[Card]:
        """Its cards, as far as their pictures are still here. Blocking."""
        found = [(card, reference(card.path)) for card in self.cards]
        return [
            Card(image=file_data(shown.path), name=card.name, role=card.role if card.role in ROLES else None)  # type: ignore[arg-type]
            for card, shown in found
            if shown
        ]

    def form(self, cards: list[Card], boxes: int) -> Form:
        """The same as the page's form, with so many boxes for fields."""
        fields = [text or "" for text in self.fields][:boxes]
        return Form(
            cards=cards,
            preset=self.preset,
            fields=fields + [""] * (boxes - len(fields)),
            prompt=self.prompt,
            variant_id=self.variant,
            pictures=self.pictures,
            shape=self.shape if self.shape in {AUTO, OWN, *ASPECT_RATIOS} else AUTO,
            width=self.width,
            height=self.height,
            parameters={name: self.parameters.get(name) for name in plain_parameters()},
            compare=compare.read(self.compare),
        )


def read(text: object) -> Draft | None:
    """The draft that a browser brings, or None where it has none that can be read."""
    if not isinstance(text, str) or not 0 < len(text) <= MOST:
        return None
    try:
        return Draft.model_validate_json(text)
    except ValidationError:
        return None


def recipe_of(form: Form) -> Recipe:
    """What a form asks for, unchecked."""
    variant = REGISTRY.get(form.variant_id)
    values = form.values(variant) if variant else {}
    seed, pictures = values.pop(SEED.name, None), values.pop(PICTURES.name, 1)
    given = {name: value for name, value in values.items() if value is not None}
    return Recipe(
        form.variant_id,
        "",
        given,
        int(seed) if re.fullmatch(r"\d{1,10}", str(seed)) else None,
        pictures,
        form.preset,
        (),
    )


def keep(boxes: int) -> str:
    """Script: the form's values in Gradio's order -> kept in the browser, once the last draft is back."""
    names = [
        "cards",
        "preset",
        "compare",
        *["fields"] * boxes,
        "prompt",
        "variant",
        "pictures",
        "shape",
        "width",
        "height",
    ]
    names += list(plain_parameters())
    return f"(...flat) => window.kontext.keep({json.dumps(KEPT)}, {json.dumps(names)}, flat)"


BRING = f"(nothing, ...flat) => [localStorage.getItem({json.dumps(KEPT)}) || '', ...flat]"
BROUGHT = "(prompt) => window.kontext.brought(prompt)"
