"""Presets and roles become prompt text; the linter reads prompt text back.

A role says what a reference is for, and becomes a number in the prompt: "image 1", "images 1 and 2".
The noun belongs to the variant and is handed in. Nothing here knows a variant, a page or a picture.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from core.errors import PresetError

NO_FIELDS: Mapping[str, str] = MappingProxyType({})

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
        "Main picture",
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
        "Companion",
        "A second person, or an animal, beside the first.",
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


# Composing ------------------------------------------------------------------------------------------


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
    spoken = {name for clause in clauses for name in _names(clause.text)}
    silent = [blanks.fill(ROLES[role].phrase) for role in numbers if role not in spoken]
    sentences = _sentences(clauses, blanks)
    if silent:
        sentences.append(f"Also use {_listed(silent)}")
    sentences += [f"Keep {blanks.fill(kept)} unchanged" for kept in preset.keep if blanks.fits(Clause(kept))]
    return " ".join(_finished(sentence) for sentence in sentences)


def missing(preset: Preset, roles: Sequence[str | None]) -> tuple[str, ...]:
    """The required roles that no reference has yet, in order."""
    return tuple(role for role in preset.required if role not in roles)


def suggest_roles(preset: Preset, count: int, current: Sequence[str | None]) -> list[str | None]:
    """Deal a preset's roles to `count` cards, the required ones first.

    A card that already has a role of the preset keeps it, and so does a card that is left when all are dealt.
    """
    held = [current[i] if i < len(current) else None for i in range(count)]
    fitting = [_holds(preset, held, i) for i in range(count)]
    order = [*preset.required, *preset.optional]
    free = iter([role for role in order if not any(held[i] == role for i in range(count) if fitting[i])])
    return [role if fits else next(free, role) for role, fits in zip(held, fitting, strict=True)]


def numbered(noun: str, numbers: Sequence[int]) -> str:
    """Name references by number: "image 1", "images 1 and 2", "images 1, 2 and 3"."""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {_listed([str(n) for n in numbers])}"


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


_BLANK = re.compile(r'("?)\{([a-z_]+)(:s)?\}')


def _names(text: str) -> list[str]:
    return [match[2] for match in _BLANK.finditer(text)]


@dataclass(frozen=True)
class _Blanks:
    """What can be put in place of `{…}`: the numbers of each role present, the fields that hold something."""

    numbers: Mapping[str, Sequence[int]]
    noun: str
    fields: Mapping[str, str]

    def has(self, name: str) -> bool:
        return name in self.numbers or name in self.fields

    def fits(self, clause: Clause) -> bool:
        needs = (*_names(clause.text), *clause.needs)
        return all(map(self.has, needs)) and not any(map(self.has, clause.unless))

    def fill(self, text: str) -> str:
        return _BLANK.sub(self._filled, text)

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
        if sentences and _continues(clause.text):
            sentences[-1] += text if text[0] == "," else f" {text}"
        else:
            sentences.append(text.lstrip(", "))
    return sentences


def _continues(text: str) -> bool:
    return text[0] == "," or text[0].islower()


def _finished(sentence: str) -> str:
    text = " ".join(sentence.split())
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


# Mentions -------------------------------------------------------------------------------------------

_NOUN = r"(?:image|reference|ref|picture|photograph|photo|pic|img)"
# Not a reference: ratios, fractions and decimals (1:1, 1/2, 2.5), sizes (4k, 50 mm), years.
_NUMBER = r"\#?\d{1,2}(?![\w%°]|[.:/×]\d|\s?(?:mm|cm|px|pixels|percent|degrees|years?|times)\b)"
_GAP = r"\s{0,3}"
_AND = rf"{_GAP}(?:,{_GAP})?(?:and\b|or\b|&|\+){_GAP}"
_DASH = rf"{_GAP}[-–—]{_GAP}"
# "image 1 and 2 cats" counts cats. After the singular, a number before a plural word is not a reference.
_NOT_A_COUNT = r"(?!\s+(?:people|persons|men|women|children|more|\w{2,}[^\Wsui]s)\b)"
_MENTION = re.compile(
    rf"""(?<!\w) (?P<noun>{_NOUN})
    (?:
        s\.?                                                                      # images 1, 2-3
        {_GAP}(?:numbers\s|nos?\.?\s?)? {_NUMBER}{_NOT_A_COUNT}
        (?: (?:{_AND}|{_GAP},{_GAP}|{_DASH}|\sto\s|\sthrough\s) {_NUMBER} )*
    |
        (?:\.?\s|[_-])?{_GAP}(?:number\s|no\.?\s?)? {_NUMBER}                    # image 1, 2 and 3
        (?: {_DASH}{_NUMBER} | (?:{_GAP},{_GAP}{_NUMBER})* {_AND}{_NUMBER}{_NOT_A_COUNT} )?
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_RANGE = re.compile(r"(\d+)((?:\s*[-–—]\s*|\s+(?:to|through)\s+)\#?)(\d+)|(\d+)", re.IGNORECASE)
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_ORDINAL = rf"(?:{'|'.join(_ORDINALS)})"
_ORDINAL_MENTION = re.compile(
    rf"\b{_ORDINAL}(?:(?:,|,?\sand)\s(?:the\s)?{_ORDINAL}){{0,4}}\s(?:reference\s|input\s)?{_NOUN}s?\b",
    re.IGNORECASE,
)
_ALL = re.compile(
    rf"\b(?:all|both|each|every)\s(?:of\s)?(?:the\s|these\s|my\s)?(?:two\s|three\s|four\s|five\s|[2-5]\s)?"
    rf"(?:reference\s|input\s)?{_NOUN}s?\b(?!\s*\#?\d)",
    re.IGNORECASE,
)


def renumber(prompt: str, order: Mapping[int, int | None]) -> str:
    """Let the numbers of a prompt follow their pictures; `order` is old number to new, None for removed.

    A removed picture gets the first number after the last one: the text never comes to mean another picture,
    the linter points at it, and a picture added in its place takes the number over. Numbers that `order` does
    not have, and words such as "the first image", stay.
    """
    after = max((new for new in order.values() if new is not None), default=0)
    removed = sorted(old for old, new in order.items() if new is None)
    moves = {old: new for old, new in order.items() if new is not None}
    moves |= {old: after + place for place, old in enumerate(removed, start=1)}
    return _MENTION.sub(lambda mention: _RANGE.sub(lambda part: _moved(part, moves), mention[0]), prompt)


def reword(prompt: str, noun: str) -> str:
    """Speak of "image 2" or "reference 2" as the variant does; a person's "photo 2" stays."""

    def worded(mention: re.Match[str]) -> str:
        written = mention["noun"]
        before = prompt[: mention.start()].rstrip().lower()
        if before.endswith(noun) or written.lower() not in ("image", "reference"):  # "reference image 2" stays
            return mention[0]
        return _cased_like(written, noun) + mention[0][len(written) :]

    return _MENTION.sub(worded, prompt)


def _cased_like(written: str, noun: str) -> str:
    if written.isupper():
        return noun.upper()
    return noun.capitalize() if written[0].isupper() else noun


def _moved(part: re.Match[str], moves: Mapping[int, int]) -> str:
    numbers = _numbers_in(part)
    moved = [moves.get(number, number) for number in numbers]
    if moved == numbers:
        return part[0]
    if part[4]:
        return str(moved[0])
    if max(moved) - min(moved) == len(moved) - 1:
        return f"{min(moved)}{part[2]}{max(moved)}"
    return _listed([str(number) for number in sorted(moved)])


def _numbers_in(part: re.Match[str]) -> list[int]:
    if part[4]:
        return [int(part[4])]
    low, high = sorted((int(part[1]), int(part[3])))
    return list(range(low, high + 1))


def _mentioned(prompt: str) -> set[int]:
    mentions = (part for mention in _MENTION.finditer(prompt) for part in _RANGE.finditer(mention[0]))
    return {number for part in mentions for number in _numbers_in(part)}


def _mentioned_in_words(prompt: str, count: int) -> set[int]:
    if _ALL.search(prompt):
        return set(range(1, count + 1))
    text = " ".join(match[0].lower() for match in _ORDINAL_MENTION.finditer(prompt))
    return {number for number, word in enumerate(_ORDINALS, start=1) if word in text}


# The linter -----------------------------------------------------------------------------------------

HintKind = Literal["limit", "beyond", "unmentioned", "shared_role"]


@dataclass(frozen=True)
class Hint:
    """A quiet remark on a prompt and its references: a whole sentence or two. It never stops a run."""

    message: str
    kind: HintKind


def lint(prompt: str, roles: Sequence[str | None], noun: str, limit: int, variant_name: str) -> list[Hint]:
    """Look for what is likely a slip; `roles[i]` is the role of reference i + 1, `limit` the variant's.

    An empty prompt is told only of the limit. A single reference need not be mentioned. Never raises.
    """
    count = len(roles)
    hints = list(_over_limit(count, limit, variant_name))
    if prompt.strip():
        mentioned = _mentioned(prompt)
        hints += _beyond(mentioned, count, noun)
        hints += _unmentioned(mentioned | _mentioned_in_words(prompt, count), roles, noun)
        hints += _shared_roles(roles)
    return hints


def _over_limit(count: int, limit: int, variant_name: str) -> Iterator[Hint]:
    if count > limit:
        message = f"{variant_name} takes at most {limit} references, and {count} are loaded."
        yield Hint(f"{message} Remove {count - limit}, or choose another variant.", "limit")


def _beyond(mentioned: set[int], count: int, noun: str) -> Iterator[Hint]:
    if 0 in mentioned:
        yield Hint(f"The prompt speaks of {noun} 0, but references are numbered from 1.", "beyond")
    beyond = sorted(number for number in mentioned if number > count)
    if beyond:
        loaded = {0: "no reference is loaded", 1: "only 1 reference is loaded"}
        tally = loaded.get(count, f"only {count} references are loaded")
        more = " and more" if len(beyond) > 3 else ""
        spoken = f"{noun}s {', '.join(map(str, beyond[:3]))}{more}" if more else numbered(noun, beyond)
        yield Hint(f"The prompt speaks of {spoken}, but {tally}.", "beyond")


def _unmentioned(mentioned: set[int], roles: Sequence[str | None], noun: str) -> Iterator[Hint]:
    unmentioned = [number for number in range(1, len(roles) + 1) if number not in mentioned]
    if not unmentioned or len(roles) == 1:
        return
    role = roles[unmentioned[0] - 1]
    known = ROLES.get(role or "", ROLES["background"])
    example = _Blanks({known.id: unmentioned[:1]}, noun, {}).fill(known.phrase)
    verb, each = ("is", "it is") if len(unmentioned) == 1 else ("are", "each is")
    yield Hint(
        f"{numbered('Reference', unmentioned)} {verb} not mentioned in the prompt. "
        f"Say what {each} for, for example “{example}”.",
        "unmentioned",
    )


def _shared_roles(roles: Sequence[str | None]) -> Iterator[Hint]:
    for role in ROLES.values():
        numbers = [number for number, held in enumerate(roles, start=1) if held == role.id]
        if role.single and len(numbers) > 1:
            amount = "both" if len(numbers) == 2 else "all"
            yield Hint(
                f"{numbered('Reference', numbers)} are {amount} marked “{role.label}”, "
                "which works with one reference only. Give the others another role.",
                "shared_role",
            )


# Loading --------------------------------------------------------------------------------------------


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
    if _continues(preset.clauses[0].text):
        raise table.wrong("clauses[1].text", "the first clause must begin with a capital letter.")
    spoken = {name for clause in preset.clauses for name in _names(clause.text)}
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
        if name in (*_names(clause.text), *clause.needs, *preset.required):
            raise table.wrong(f"{key}.unless[{place}]", f"with “{name}” the clause would never be used.")


def _check_text(preset: Preset, text: str, table: _Table, key: str) -> None:
    for blank in _BLANK.finditer(text):
        if blank[2] not in _known(preset):
            raise table.wrong(key, f"{{{blank[2]}}} is neither a role nor a field of the preset.")
        if blank[3] and blank[2] not in preset.roles:
            raise table.wrong(key, f"{{{blank[2]}:s}} must name a role.")
    if set(_BLANK.sub("", text)) & set("{}"):
        raise table.wrong(key, "it has a brace that is not part of a {role}, {role:s} or {field}.")
    if text.strip() != text or text[-1] in ".,;:":
        raise table.wrong(key, "it must begin and end without blanks, and without the full stop, which is added.")


def _known(preset: Preset) -> tuple[str, ...]:
    return (*preset.roles, *(field.id for field in preset.fields))
