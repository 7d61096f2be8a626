"""Presets and their roles: what the files of presets/ may hold, read strictly.

A role says what a reference is for. Nothing here knows a variant, a page or a picture.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import pydantic

from core.errors import PresetError

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "people": "People",
        "product": "Product and brand",
        "style": "Style",
        "scenes": "Scenes",
        "text": "Text and typography",
    }
)


@dataclass(frozen=True)
class Role:
    """What a reference is for: a label and a line for people, a phrase for the prompt.

    `single` marks a role that only one reference can have: a picture has one scene and one light.
    """

    id: str
    label: str
    meaning: str
    phrase: str
    single: bool = False


_ROLES = (
    Role(
        "subject",
        "Picture to edit",
        "The picture to change. What it shows and how it is arranged are kept.",
        "the main subject of {subject}",
        single=True,
    ),
    Role(
        "identity",
        "Person",
        "Who appears. Several pictures of the same person help to keep the face.",
        "the person from {identity}",
    ),
    Role(
        "companion",
        "Second person or pet",
        "Somebody, or an animal, beside the first person.",
        "the companion from {companion}",
    ),
    Role(
        "outfit", "Outfit", "The clothes to wear. Several pictures can show several pieces.", "the outfit from {outfit}"
    ),
    Role(
        "pose", "Pose", "How the body is held. Only the position is taken from it.", "the pose from {pose}", single=True
    ),
    Role("product", "Product", "The thing that is shown or sold.", "the product from {product}"),
    Role("label", "Logo or label", "The logo, label or lettering to use.", "the logo or label from {label}"),
    Role("object", "Object", "A thing or an animal to add.", "the object{object:s} from {object}"),
    Role(
        "material",
        "Material",
        "A surface or fabric, such as brick, wool or steel.",
        "the material from {material}",
        single=True,
    ),
    Role("background", "Scene", "The place where everything happens.", "the scene from {background}", single=True),
    Role(
        "lighting",
        "Lighting",
        "Where the light comes from, its colour and its softness.",
        "the lighting from {lighting}",
        single=True,
    ),
    Role(
        "style",
        "Style",
        "How the picture is drawn or painted, not what it shows.",
        "the art style of {style}",
        single=True,
    ),
    Role(
        "palette",
        "Colours",
        "The colours to use, not what the picture shows.",
        "the colour palette of {palette}",
        single=True,
    ),
)

ROLES: Mapping[str, Role] = MappingProxyType({role.id: role for role in _ROLES})


Text = Annotated[str, pydantic.StringConstraints(pattern=r"\S")]
Texts = Annotated[tuple[Text, ...], pydantic.Field(min_length=1)]


class _Table(pydantic.BaseModel):
    """A table of a preset file: a key that is not named here is refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Clause(_Table):
    """A piece of the prompt, left out when something it names or needs is absent, or an `unless` is present.

    It starts a new sentence, unless it begins with a small letter or a comma: then it continues the last one.
    `{role}` stands for the numbered references, `{role:s}` for an s where several share the role,
    `{field}` for what the person filled in.
    """

    text: Text
    needs: tuple[Text, ...] = ()
    unless: tuple[Text, ...] = ()

    @property
    def continues(self) -> bool:
        """Whether it goes on with the sentence before it."""
        return self.text[0] == "," or self.text[0].islower()


class Field(_Table):
    """A blank of a preset that a person fills in. Left empty, the clauses that name it are left out."""

    id: Text
    label: Text
    default: str
    help: str = ""


class Preset(_Table):
    """A prompt template; `id` is the stem of its file.

    `roles` is in the order of the cards, and `optional` says which of them may be missing. `keep` is what must stay
    as it is; an entry goes when a role that it names is absent.
    """

    id: Text
    name: Text
    family: Text
    order: pydantic.StrictInt
    summary: Text
    roles: Texts
    optional: tuple[Text, ...] = ()
    keep: Texts
    clauses: Annotated[tuple[Clause, ...], pydantic.Field(min_length=1)]
    fields: tuple[Field, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(role for role in self.roles if role not in self.optional)

    @property
    def blanks(self) -> tuple[str, ...]:
        """What a text of it may name."""
        return (*self.roles, *(field.id for field in self.fields))


BLANK = re.compile(r'("?)\{([a-z_]+)(:s)?\}')


def names_in(text: str) -> list[str]:
    return [match[2] for match in BLANK.finditer(text)]


def load_presets(folder: Path) -> Mapping[str, Preset]:
    """Read every TOML file of a folder, by id, sorted by family, order and name.

    Raises PresetError, which names file and key, on anything that is not exactly a preset. Entries of a list
    are counted from 1.
    """
    presets = [_load(path) for path in sorted(folder.glob("*.toml"))]
    if not presets:
        raise PresetError(folder.name, "*.toml", "the folder has no presets.")
    names: dict[str, str] = {}
    for preset in presets:
        if preset.name in names:
            raise PresetError(f"{preset.id}.toml", "name", f"{names[preset.name]}.toml has the same name.")
        names[preset.name] = preset.id
    families = list(FAMILIES)
    presets.sort(key=lambda preset: (families.index(preset.family), preset.order, preset.name))
    return MappingProxyType({preset.id: preset for preset in presets})


def _load(path: Path) -> Preset:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        raise PresetError(path.name, "file", "it can't be read as UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise PresetError(path.name, "file", f"it is not valid TOML: {error}.") from None
    if "id" in content:
        raise PresetError(path.name, "id", "this key is unknown: the file's name is the id.")
    try:
        preset = Preset.model_validate({**content, "id": path.stem})
    except pydantic.ValidationError as error:
        key, happened = _in_words(error)
        raise PresetError(path.name, key, happened) from None
    for key, happened in _problems(preset):
        raise PresetError(path.name, key, happened)
    return preset


_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "missing": "it is missing.",
        "string_type": "it must be text.",
        "string_pattern_mismatch": "it is empty.",
        "too_short": "it is empty.",
        "int_type": "it must be a whole number.",
        "tuple_type": "it must be a list.",
        "model_type": "it must be a table.",
    }
)


_TABLES = {"clauses": Clause.model_fields.keys(), "fields": Field.model_fields.keys()}


def _in_words(error: pydantic.ValidationError) -> tuple[str, str]:
    """The first key that is wrong, such as clauses[2].text, and what is wrong with it."""
    first = error.errors()[0]
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] != "extra_forbidden":
        return key, _SENTENCES.get(first["type"], f"{first['msg']}.")
    known = _TABLES.get(str(first["loc"][0])) or Preset.model_fields.keys() - {"id"}
    return key, f"this key is unknown; known here: {', '.join(sorted(known))}."


# A key and what is wrong with it.
_Problems = Iterator[tuple[str, str]]


def _problems(preset: Preset) -> _Problems:
    """What the types let through: names that stand for nothing, and names never used."""
    if preset.family not in FAMILIES:
        yield "family", f"“{preset.family}” is not one of {', '.join(FAMILIES)}."
    yield from _twice("roles", preset.roles)
    yield from _twice("optional", preset.optional)
    yield from _twice("keep", preset.keep)
    yield from _strangers("roles", preset.roles, ROLES, f"is not a role. The roles are {', '.join(ROLES)}.")
    yield from _strangers("optional", preset.optional, preset.roles, "is not among the preset's roles.")
    yield from _field_problems(preset)
    for place, clause in enumerate(preset.clauses, start=1):
        yield from _clause_problems(preset, clause, f"clauses[{place}]")
    for place, kept in enumerate(preset.keep, start=1):
        yield from _text_problems(preset, kept, f"keep[{place}]")
    if preset.clauses[0].continues:
        yield "clauses[1].text", "the first clause must begin with a capital letter."
    yield from _unused(preset)


def _twice(key: str, names: Sequence[str]) -> _Problems:
    for place, name in enumerate(names, start=1):
        if name in names[: place - 1]:
            yield f"{key}[{place}]", f"“{name}” is listed twice."


def _strangers(key: str, names: Sequence[str], known: Any, happened: str) -> _Problems:
    for place, name in enumerate(names, start=1):
        if name not in known:
            yield f"{key}[{place}]", f"“{name}” {happened}"


def _field_problems(preset: Preset) -> _Problems:
    ids = [field.id for field in preset.fields]
    for place, name in enumerate(ids, start=1):
        key = f"fields[{place}].id"
        if not re.fullmatch("[a-z_]+", name):
            yield key, f"“{name}” must have only lowercase letters and underscores."
        if name in ROLES:
            yield key, f"“{name}” is the name of a role."
        if name in ids[: place - 1]:
            yield key, f"“{name}” is listed twice."


def _clause_problems(preset: Preset, clause: Clause, key: str) -> _Problems:
    yield from _text_problems(preset, clause.text, f"{key}.text")
    for kind, names in (("needs", clause.needs), ("unless", clause.unless)):
        yield from _twice(f"{key}.{kind}", names)
        yield from _strangers(f"{key}.{kind}", names, preset.blanks, "is neither a role nor a field of the preset.")
    for place, name in enumerate(clause.unless, start=1):
        if name in (*names_in(clause.text), *clause.needs, *preset.required):
            yield f"{key}.unless[{place}]", f"with “{name}” the clause would never be used."


def _text_problems(preset: Preset, text: str, key: str) -> _Problems:
    for blank in BLANK.finditer(text):
        if blank[2] not in preset.blanks:
            yield key, f"{{{blank[2]}}} is neither a role nor a field of the preset."
        if blank[3] and blank[2] not in preset.roles:
            yield key, f"{{{blank[2]}:s}} must name a role."
    if set(BLANK.sub("", text)) & set("{}"):
        yield key, "it has a brace that is not part of a {role}, {role:s} or {field}."
    if text.strip() != text or text[-1] in ".,;:":
        yield key, "it must not begin or end with a space, or end with a full stop: that is added."


def _unused(preset: Preset) -> _Problems:
    spoken = {name for clause in preset.clauses for name in names_in(clause.text)}
    for key, names in (("roles", preset.roles), ("fields", tuple(field.id for field in preset.fields))):
        for place, name in enumerate(names, start=1):
            if name not in spoken:
                yield f"{key}[{place}]", f"no clause has {{{name}}}."
