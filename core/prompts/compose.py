"""A preset and the roles of the references -> prompt text.

A role becomes a number in the prompt: "image 1", "images 1 and 2". The noun belongs to the variant and is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from core.prompts.presets import BLANK, ROLES, Clause, Preset, Role, names_in

NO_FIELDS: Mapping[str, str] = MappingProxyType({})


def compose(preset: Preset, roles: Sequence[str | None], noun: str, fields: Mapping[str, str] = NO_FIELDS) -> str:
    """Write the prompt of a preset; `roles[i]` is the role of reference i + 1, None for no role.

    A field that is not given has its default; one that the preset lacks is ignored. A required role that no
    reference has yet is given the next free number, so that the prompt shows which picture to add, and the
    linter asks for it. A role that no clause speaks of gets a plain sentence, so that every reference with a
    role is mentioned.
    """
    numbers = _numbers_of_roles(preset, roles)
    blanks = _Blanks(numbers, noun, _filled_in(preset, fields))
    clauses = [clause for clause in preset.clauses if blanks.fits(clause)]
    spoken = {name for clause in clauses for name in names_in(clause.text)}
    silent = [blanks.fill(ROLES[role].phrase) for role in numbers if role not in spoken]
    sentences = _sentences(clauses, blanks)
    if silent:
        sentences.append(f"Also use {listed(silent)}")
    sentences += [f"Keep {blanks.fill(kept)} unchanged" for kept in preset.keep if blanks.fits(Clause(text=kept))]
    return " ".join(_finished(sentence) for sentence in sentences)


def missing(preset: Preset, roles: Sequence[str | None]) -> tuple[str, ...]:
    """The required roles that no reference has yet, in order."""
    return tuple(role for role in preset.required if role not in roles)


def suggest_roles(preset: Preset, count: int, current: Sequence[str | None]) -> list[str | None]:
    """Deal a preset's required roles to `count` cards; what an optional one is for, only a person can say.

    A card that already has a role of the preset keeps it, and so does a card that is left when all are dealt.
    """
    held = [current[i] if i < len(current) else None for i in range(count)]
    fitting = [_holds(preset, held, i) for i in range(count)]
    free = iter([role for role in preset.required if not any(held[i] == role for i in range(count) if fitting[i])])
    return [role if fits else next(free, role) for role, fits in zip(held, fitting, strict=True)]


def sentence(roles: Sequence[str | None], noun: str, words: str = "") -> str:
    """What the roles ask for where no preset speaks of them: "Use the person from image 1."; "" for nothing.

    A role that `words`, a person's own, speak of already in the same way is not repeated.
    """
    numbers: dict[str, list[int]] = {}
    for number, role in enumerate(roles, start=1):
        if role is not None and role in ROLES:
            numbers.setdefault(role, []).append(number)
    phrases = [phrase(ROLES[role], held, noun) for role, held in numbers.items()]
    unsaid = [text for text in phrases if not re.search(rf"{re.escape(text)}(?!\w)", words)]
    return f"Use {listed(unsaid)}." if unsaid else ""


def idle_fields(
    preset: Preset, roles: Sequence[str | None], fields: Mapping[str, str] = NO_FIELDS
) -> dict[str, list[int]]:
    """The fields that change nothing just now, whatever is typed into them.

    Each with the numbers of the references that take its place; none where another field being empty is the cause.
    """
    blanks = _Blanks(_numbers_of_roles(preset, roles), "", _filled_in(preset, fields))
    idle = {}
    for field in preset.fields:
        typed = replace(blanks, fields={**blanks.fields, field.id: "x"})
        clauses = [clause for clause in preset.clauses if field.id in names_in(clause.text)]
        if not any(map(typed.fits, clauses)):
            instead = {
                number for clause in clauses for name in clause.unless for number in blanks.numbers.get(name, ())
            }
            idle[field.id] = sorted(instead)
    return idle


def numbered(noun: str, numbers: Sequence[int]) -> str:
    """Name references by number: "image 1", "images 1 and 2", "images 1, 2 and 3"."""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {listed([str(n) for n in numbers])}"


def phrase(role: Role, numbers: Sequence[int], noun: str) -> str:
    """What a role takes from its references, such as "the scene from image 3"."""
    return _Blanks({role.id: numbers}, noun, {}).fill(role.phrase)


def _holds(preset: Preset, held: Sequence[str | None], index: int) -> bool:
    role = held[index]
    return role in preset.roles and not (ROLES[role].single and role in held[:index])


def _numbers_of_roles(preset: Preset, roles: Sequence[str | None]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for number, role in enumerate([*roles, *missing(preset, roles)], start=1):
        if role is not None and role in ROLES:
            numbers.setdefault(role, []).append(number)
    return numbers


def _filled_in(preset: Preset, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields that hold something. Quotation marks go, since the preset sets its own around lettering."""
    values: dict[str, str] = {}
    for field in preset.fields:
        value = " ".join(fields.get(field.id, field.default).split()).strip(' "“”')
        if value.strip(" .,;:…"):
            values[field.id] = re.sub('["“”]', "'", value)
    return values


@dataclass(frozen=True)
class _Blanks:
    """What can be put in place of `{…}`: the numbers of each role present, the fields that hold something."""

    numbers: Mapping[str, Sequence[int]]
    noun: str
    fields: Mapping[str, str]

    def has(self, name: str) -> bool:
        return name in self.numbers or name in self.fields

    def fits(self, clause: Clause) -> bool:
        needs = (*names_in(clause.text), *clause.needs)
        return all(map(self.has, needs)) and not any(map(self.has, clause.unless))

    def fill(self, text: str) -> str:
        return BLANK.sub(self._filled, text)

    def _filled(self, blank: re.Match[str]) -> str:
        quote, name, plural = blank.groups()
        if plural:
            return quote + ("s" if len(self.numbers[name]) > 1 else "")
        if name in self.numbers:
            return quote + numbered(self.noun, self.numbers[name])
        # Lettering in quotation marks is drawn as it stands; elsewhere stray punctuation would break the sentence.
        return quote + (self.fields[name] if quote else self.fields[name].strip(" .,;:"))


def _sentences(clauses: Iterable[Clause], blanks: _Blanks) -> list[str]:
    sentences: list[str] = []
    for clause in clauses:
        text = blanks.fill(clause.text)
        if sentences and clause.continues:
            sentences[-1] += text if text[0] == "," else f" {text}"
        else:
            sentences.append(text.lstrip(", "))
    return sentences


def _finished(sentence: str) -> str:
    text = " ".join(sentence.split())
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
