"""Presets and their roles: what the files of presets/ may hold, read strictly.

A role says what a reference is for. Nothing here knows a variant, a page or a picture.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

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
        "outfit",
        "Outfit",
        "The clothes to wear. Several pictures can show several pieces.",
        "the outfit from {outfit}",
    ),
    Role(
        "pose",
        "Pose",
        "How the body is held. Only the position is taken from it.",
        "the pose from {pose}",
        single=True,
    ),
    Role("product", "Product", "The thing that is shown or sold.", "the product from {product}"),
    Role("label", "Logo or label", "The logo, label or lettering to use.", "the logo or label from {label}"),
    Role(
        "object",
        "Object",
        "A thing or an animal to add.",
        "the object{object:s} from {object}",
    ),
    Role(
        "material",
        "Material",
        "A surface or fabric, such as brick, wool or steel.",
        "the material from {material}",
        single=True,
    ),
    Role(
        "background",
        "Scene",
        "The place where everything happens.",
        "the scene from {background}",
        single=True,
    ),
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


@dataclass(frozen=True)
class Clause:
    """A piece of the prompt, left out when something it names or needs is absent, or an `unless` is present.

    It starts a new sentence, unless it begins with a small letter or a comma: then it continues the last one.
    `{role}` stands for the numbered references, `{role:s}` for an s where several share the role,
    `{field}` for what the person filled in.
    """

    text: str
    needs: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    @property
    def continues(self) -> bool:
        """Whether it goes on with the sentence before it."""
        return self.text[0] == "," or self.text[0].islower()


@dataclass(frozen=True)
class Field:
    """A blank of a preset that a person fills in. Left empty, the clauses that name it are left out."""

    id: str
    label: str
    default: str
    help: str = ""


@dataclass(frozen=True)
class Preset:
    """A prompt template; `id` is the stem of its file. `roles` is in the order of the cards."""

    id: str
    name: str
    family: str
    order: int
    summary: str
    roles: tuple[str, ...]
    optional: tuple[str, ...]
    clauses: tuple[Clause, ...]
    fields: tuple[Field, ...]
    keep: tuple[str, ...]

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(role for role in self.roles if role not in self.optional)


BLANK = re.compile(r'("?)\{([a-z_]+)(:s)?\}')


def names_in(text: str) -> list[str]:
    return [match[2] for match in BLANK.finditer(text)]


def load_presets(folder: Path) -> Mapping[str, Preset]:
    """Read every TOML file of a folder, by id, sorted by family, order and name.

    A file has `name`, `family`, `order`, `summary`, `roles` and which of them are `optional`, `keep` (what must
    stay as it is; an entry goes when a role it names is absent), [[clauses]] with `text` and perhaps `needs` and
    `unless`, and [[fields]] with `id`, `label`, `default` and perhaps `help`.
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
    table = _Table(path.name, content)
    preset = Preset(
        id=path.stem,
        name=table.text("name"),
        family=table.one_of("family", FAMILIES),
        order=table.whole("order"),
        summary=table.text("summary"),
        roles=table.texts("roles"),
        optional=table.texts("optional", needed=False),
        clauses=tuple(table.tables("clauses", _clause)),
        fields=tuple(table.tables("fields", _field, needed=False)),
        keep=table.texts("keep"),
    )
    table.finish()
    _check(preset, table)
    return preset


def _clause(table: _Table) -> Clause:
    return Clause(table.text("text"), table.texts("needs", needed=False), table.texts("unless", needed=False))


def _field(table: _Table) -> Field:
    return Field(
        id=table.text("id"),
        label=table.text("label"),
        default=table.text("default", empty=True),
        help=table.text("help", needed=False),
    )


_Built = TypeVar("_Built")


class _Table:
    """A TOML table read key by key: `finish` refuses what nobody asked for. `where` is the way to it."""

    def __init__(self, file: str, content: Mapping[str, Any], where: str = "") -> None:
        self.file = file
        self.content = content
        self.where = where
        self.asked: set[str] = set()

    def wrong(self, key: str, happened: str) -> PresetError:
        return PresetError(self.file, self.where + key, happened)

    def text(self, key: str, *, needed: bool = True, empty: bool = False) -> str:
        value = self._get(key, str, "text", "" if not needed else None)
        if needed and not empty and not value.strip():
            raise self.wrong(key, "it is empty.")
        return str(value)

    def whole(self, key: str) -> int:
        return int(self._get(key, int, "a whole number", None))

    def one_of(self, key: str, choices: Iterable[str]) -> str:
        value = self.text(key)
        if value not in choices:
            raise self.wrong(key, f"“{value}” is none of {', '.join(choices)}.")
        return value

    def texts(self, key: str, *, needed: bool = True) -> tuple[str, ...]:
        values = self._get(key, list, "a list of texts", None if needed else [])
        for place, value in enumerate(values, start=1):
            if not isinstance(value, str) or not value.strip():
                raise self.wrong(f"{key}[{place}]", "it must be text, and not empty.")
            if value in values[: place - 1]:
                raise self.wrong(f"{key}[{place}]", f"“{value}” stands there twice.")
        return tuple(values)

    def tables(self, key: str, build: Callable[[_Table], _Built], *, needed: bool = True) -> Iterator[_Built]:
        values = self._get(key, list, f"[[{key}]] tables", None if needed else [])
        for place, value in enumerate(values, start=1):
            if not isinstance(value, dict):
                raise self.wrong(f"{key}[{place}]", "it must be a table.")
            table = _Table(self.file, value, f"{self.where}{key}[{place}].")
            yield build(table)
            table.finish()

    def finish(self) -> None:
        for key in self.content:
            if key not in self.asked:
                raise self.wrong(key, f"this key is unknown; known here: {', '.join(sorted(self.asked))}.")

    def _get(self, key: str, kind: type, described: str, default: Any) -> Any:
        self.asked.add(key)
        value = self.content.get(key, default)
        if value is None:
            raise self.wrong(key, "it is missing.")
        if type(value) is not kind:  # a bool is an int to isinstance
            raise self.wrong(key, f"it must be {described}.")
        if default is None and value == []:
            raise self.wrong(key, "it is empty.")
        return value


def _check(preset: Preset, table: _Table) -> None:
    """Refuse what the types let through: names that stand for nothing, and names never used."""
    _check_roles(preset, table)
    _check_fields(preset, table)
    for place, clause in enumerate(preset.clauses, start=1):
        _check_clause(preset, clause, table, f"clauses[{place}]")
    for place, kept in enumerate(preset.keep, start=1):
        _check_text(preset, kept, table, f"keep[{place}]")
    if preset.clauses[0].continues:
        raise table.wrong("clauses[1].text", "the first clause must begin with a capital letter.")
    spoken = {name for clause in preset.clauses for name in names_in(clause.text)}
    for key, names in (("roles", preset.roles), ("fields", tuple(field.id for field in preset.fields))):
        for place, name in enumerate(names, start=1):
            if name not in spoken:
                raise table.wrong(f"{key}[{place}]", f"no clause has {{{name}}}.")


def _check_roles(preset: Preset, table: _Table) -> None:
    for place, role in enumerate(preset.roles, start=1):
        if role not in ROLES:
            raise table.wrong(f"roles[{place}]", f"“{role}” is no role; the roles are {', '.join(ROLES)}.")
    for place, role in enumerate(preset.optional, start=1):
        if role not in preset.roles:
            raise table.wrong(f"optional[{place}]", f"“{role}” is not among the preset's roles.")


def _check_fields(preset: Preset, table: _Table) -> None:
    ids = [field.id for field in preset.fields]
    for place, name in enumerate(ids, start=1):
        key = f"fields[{place}].id"
        if not re.fullmatch("[a-z_]+", name):
            raise table.wrong(key, f"“{name}” must consist of small letters and underscores.")
        if name in ROLES:
            raise table.wrong(key, f"“{name}” is the name of a role.")
        if name in ids[: place - 1]:
            raise table.wrong(key, f"“{name}” stands there twice.")


def _check_clause(preset: Preset, clause: Clause, table: _Table, key: str) -> None:
    _check_text(preset, clause.text, table, f"{key}.text")
    for kind, names in (("needs", clause.needs), ("unless", clause.unless)):
        for place, name in enumerate(names, start=1):
            if name not in _known(preset):
                raise table.wrong(f"{key}.{kind}[{place}]", f"“{name}” is neither a role nor a field of the preset.")
    for place, name in enumerate(clause.unless, start=1):
        if name in (*names_in(clause.text), *clause.needs, *preset.required):
            raise table.wrong(f"{key}.unless[{place}]", f"with “{name}” the clause would never be used.")


def _check_text(preset: Preset, text: str, table: _Table, key: str) -> None:
    for blank in BLANK.finditer(text):
        if blank[2] not in _known(preset):
            raise table.wrong(key, f"{{{blank[2]}}} is neither a role nor a field of the preset.")
        if blank[3] and blank[2] not in preset.roles:
            raise table.wrong(key, f"{{{blank[2]}:s}} must name a role.")
    if set(BLANK.sub("", text)) & set("{}"):
        raise table.wrong(key, "it has a brace that is not part of a {role}, {role:s} or {field}.")
    if text.strip() != text or text[-1] in ".,;:":
        raise table.wrong(key, "it must begin and end without blanks, and without the full stop, which is added.")


def _known(preset: Preset) -> tuple[str, ...]:
    return (*preset.roles, *(field.id for field in preset.fields))
