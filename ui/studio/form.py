"""The inputs side of the page as one value: components when the page is laid out, their values in the handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from core.catalog.inputs import find_page_problems, size_for
from core.catalog.variants import ASPECT_RATIO, PICTURES, PROMPT, REGISTRY, SEED, SIZE, Parameter, Variant
from core.errors import InputError
from core.prompts.presets import ROLES
from ui.studio.compare import Compare
from ui.studio.references import Card

AUTO, OWN = "auto", "own"  # the shape picker beside the ratios: left to the model; width and height by hand
_SINGLE = 6  # controls between the preset's boxes and the plain parameters

# These have controls of their own, the others are laid out from their rows.
_APART = {PROMPT.name, "images", PICTURES.name, ASPECT_RATIO.name, SIZE.name}


def plain_parameters() -> dict[str, Parameter]:
    """Every parameter that the page lays out from its row, by name; where rows differ, the first variant's."""
    rows: dict[str, Parameter] = {}
    for variant in REGISTRY.values():
        for row in variant.parameters:
            if row.on_page and row.name not in _APART:
                rows.setdefault(row.name, row)
    return rows


@dataclass(frozen=True)
class Form:
    """What a person has set. `fields` are the preset's boxes in order; `parameters` the plain ones by name."""

    cards: list[Card]
    preset: str | None
    fields: Sequence[str]
    prompt: str
    variant_id: str
    pictures: int
    shape: str
    width: float | None
    height: float | None
    parameters: Mapping[str, Any]
    compare: Compare = field(default=Compare(), kw_only=True)

    @classmethod
    def read(cls, flat: Sequence[Any]) -> Form:
        """From the flat list in which Gradio hands values over; see `flat`.

        Every event of the page comes through here, so that none of them works on more than a page can hold.

        Raises:
            gr.Error: no page of ours sends this.
        """
        names = list(plain_parameters())
        cards, preset, compare, *rest = flat
        plain = len(rest) - len(names)
        fields = rest[: plain - _SINGLE]
        prompt, variant_id, pictures, shape, width, height = rest[plain - _SINGLE : plain]
        named = dict(zip(names, rest[plain:], strict=True))
        single = prompt or "", variant_id, pictures, shape, width, height
        form = cls(cards, preset, fields, *single, named, compare=compare)
        if problems := find_page_problems(form.prompt, fields, [card.name for card in cards], form.roles, ROLES):
            raise gr.Error(str(InputError(problems)), title="Too much", print_exception=False)
        return form

    def flat(self) -> list[Any]:
        """The same in Gradio's order; the page calls it on a form of components."""
        single = [self.prompt, self.variant_id, self.pictures, self.shape, self.width, self.height]
        return [self.cards, self.preset, self.compare, *self.fields, *single, *self.parameters.values()]

    @property
    def roles(self) -> list[str | None]:
        return [card.role or None for card in self.cards]

    def values(self, variant: Variant) -> dict[str, Any]:
        """The parameters of this variant as the checks take them; a control that is not shown has no say."""
        shown = {name: value for name, value in self.parameters.items() if variant.parameter(name)}
        return {**shown, **self._shape(variant), PICTURES.name: self.pictures}

    @property
    def variants(self) -> list[Variant]:
        """Those that are chosen: one, or as many as are compared."""
        return [REGISTRY[id] for id in self.compare.variants] if self.compare.on else [REGISTRY[self.variant_id]]

    def compared(self) -> dict[str, Any]:
        """The values of a comparison: what was changed, of any variant in it, and the second axis.

        What nobody touched is not among them: each variant has a default of its own.
        """
        values = {name: value for variant in self.variants for name, value in self.values(variant).items()}
        values = {name: value for name, value in values.items() if not self._untouched(name, value)}
        axis = self.compare.values(self.prompt)
        if "seeds" in axis:
            values.pop(SEED.name, None)
        return values | axis

    def _untouched(self, name: str, value: Any) -> bool:
        row = REGISTRY[self.variant_id].parameter(name) or plain_parameters().get(name)
        return value is None or (row is not None and value == row.default)

    def _shape(self, variant: Variant) -> dict[str, Any]:
        if self.shape == AUTO:
            return {}
        if variant.parameter(ASPECT_RATIO.name):
            return {ASPECT_RATIO.name: self.shape} if self.shape != OWN else {}
        if self.shape != OWN:
            return {SIZE.name: size_for(self.shape)}
        # An empty box is named by the check, not guessed here.
        return {SIZE.name: "*".join(str(_whole(edge)) for edge in (self.width, self.height))}


def _whole(edge: float | None) -> float | str:
    if edge is None:
        return ""
    return int(edge) if float(edge).is_integer() else edge
