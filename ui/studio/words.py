"""The words in the prompt box: whose they are, and what becomes of them when a preset, a role or a card changes.

What was composed last is kept beside the box. With a preset it is the whole prompt, as long as nobody edits it; without
one it is the sentence of the roles at the prompt's end, behind a person's own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.catalog.variants import REGISTRY
from core.prompts.compose import compose, sentence
from core.prompts.presets import Preset
from core.prompts.reference_numbers import renumber, reword
from ui.studio.form import Form

Order = Sequence[tuple[str, str | None]]  # each card's file and role


@dataclass(frozen=True)
class Kept:
    """A person's own words, and what else a preset took the place of."""

    prompt: str
    composed: str
    preset: str | None
    fields: Sequence[str]
    roles: Mapping[str, str | None]  # by the card's file

    @classmethod
    def of(cls, form: Form, composed: str) -> Kept:
        return cls(form.prompt, composed, form.preset, form.fields, dict(order_of(form)))


def order_of(form: Form) -> list[tuple[str, str | None]]:
    """The cards by file and role, in order."""
    return [(card.image.path, card.role or None) for card in form.cards]


def composed_for(form: Form, preset: Preset | None) -> str:
    """The whole prompt where no word is a person's own."""
    noun = REGISTRY[form.variant_id].noun
    if preset is None:
        return sentence(form.roles, noun)
    return compose(preset, form.roles, noun, fields_of(form, preset))


def fields_of(form: Form, preset: Preset) -> dict[str, str]:
    """What stands in the preset's boxes, by field; a box that is not there yet says nothing, and has its default."""
    return {field.id: text for field, text in zip(preset.fields, form.fields, strict=False) if text is not None}


def has_own_words(form: Form, composed: str) -> bool:
    return bool(form.prompt.strip()) and form.prompt != composed


def followed(form: Form, preset: Preset | None, composed: str, before: Order) -> tuple[str, str]:
    """The prompt and what of it is composed, after cards or fields changed."""
    order = order_of(form)
    moves = _moves([path for path, _ in before], [path for path, _ in order])
    if preset is None:
        return _with_roles(form, composed, moves, any(role and (path, role) not in before for path, role in order))
    if composed and form.prompt == composed:
        return (composed_for(form, preset),) * 2
    return renumber(form.prompt, moves), composed


def followed_wordings(form: Form, before: Order) -> tuple[str, ...]:
    """The wordings behind the prompt, after cards changed: their numbers follow."""
    moves = _moves([path for path, _ in before], [path for path, _ in order_of(form)])
    return tuple(renumber(text, moves) for text in form.compare.wordings)


def reworded(form: Form, preset: Preset | None, composed: str) -> tuple[str, str]:
    """The prompt and what of it is composed, as the form's variant speaks of references."""
    if preset and composed and form.prompt == composed:
        return (composed_for(form, preset),) * 2
    noun = REGISTRY[form.variant_id].noun
    return reword(form.prompt, noun), reword(composed, noun)


def composed_in(prompt: str, form: Form) -> str:
    """The sentence of the roles that a prompt without a preset ends with; "" where it does not."""
    tail = composed_for(form, None)
    return tail if tail and prompt.endswith(tail) else ""


def _with_roles(form: Form, composed: str, moves: Mapping[int, int | None], named: bool) -> tuple[str, str]:
    kept = bool(composed) and form.prompt.endswith(composed)
    own = renumber(form.prompt.removesuffix(composed) if kept else form.prompt, moves)
    if not kept and not named:
        return own, ""
    tail = sentence(form.roles, REGISTRY[form.variant_id].noun, own)
    own = own.rstrip() if kept or tail else own
    return "\n".join(filter(None, [own, tail])), tail


def _moves(before: Sequence[str], after: Sequence[str]) -> dict[int, int | None]:
    """Old number -> new number of each card; None for one that was removed. Equal pictures keep their order."""
    moves: dict[int, int | None] = {}
    free = list(enumerate(after, start=1))
    for number, path in enumerate(before, start=1):
        match = next((place for place in free if place[1] == path), None)
        if match:
            free.remove(match)
        moves[number] = match[0] if match else None
    return moves
