"""The numbers in a prompt: kept true while cards move and variants change, and checked by the linter.

A prompt past its limit is not read at all. The work on any other grows with its length and no faster: each part of
the patterns is bounded, or begins where no other part could have begun.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.catalog.inputs import too_long
from core.catalog.limits import PROMPT_CHARACTERS
from core.prompts.compose import listed, numbered, phrase
from core.prompts.presets import ROLES

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
# What is to be written in the picture. A quotation that is never closed is none.
_QUOTED = re.compile(r'"[^"]*"|“[^“”]*”')
_RANGE = re.compile(r"(\d+)((?:\s*[-–—]\s*|\s+(?:to|through)\s+)\#?)(\d+)|(\d+)", re.IGNORECASE)
_LOOK_BACK = 16  # characters before a mention in which a noun may stand that belongs to it
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
    not have, words such as "the first image", and whatever stands in quotation marks, stay.
    """
    after = max((new for new in order.values() if new is not None), default=0)
    removed = sorted(old for old, new in order.items() if new is None)
    moves = {old: new for old, new in order.items() if new is not None}
    moves |= {old: after + place for place, old in enumerate(removed, start=1)}
    if len(prompt) > PROMPT_CHARACTERS:
        return prompt
    return _replaced(prompt, lambda mention: _RANGE.sub(lambda part: _moved(part, moves), mention[0]))


def reword(prompt: str, noun: str) -> str:
    """Speak of image 2 or reference 2 as the variant does; a person's photo 2, and all in quotation marks, stay."""

    def worded(mention: re.Match[str]) -> str:
        written = mention["noun"]
        before = prompt[max(0, mention.start() - _LOOK_BACK) : mention.start()].rstrip().lower()
        if before.endswith(noun) or written.lower() not in ("image", "reference"):  # "reference image 2" stays
            return mention[0]
        return _cased_like(written, noun) + mention[0][len(written) :]

    return prompt if len(prompt) > PROMPT_CHARACTERS else _replaced(prompt, worded)


def _replaced(prompt: str, replacement: Callable[[re.Match[str]], str]) -> str:
    """The prompt with each mention outside quotation marks replaced."""
    quoted = iter([*(match.span() for match in _QUOTED.finditer(prompt)), (len(prompt), len(prompt))])
    start, end = next(quoted)

    def kept_or_replaced(mention: re.Match[str]) -> str:
        nonlocal start, end
        while end <= mention.start() < len(prompt) and start < len(prompt):
            start, end = next(quoted)
        return mention[0] if start < mention.start() < end else replacement(mention)

    return _MENTION.sub(kept_or_replaced, prompt)


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
    return listed([str(number) for number in sorted(moved)])


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


HintKind = Literal["limit", "long", "beyond", "unmentioned", "shared_role"]


@dataclass(frozen=True)
class Hint:
    """A quiet remark on a prompt and its references: a whole sentence or two. It never stops a run."""

    message: str
    kind: HintKind


def lint(prompt: str, roles: Sequence[str | None], noun: str, limit: int, variant_name: str) -> list[Hint]:
    """Look for what is likely a slip; `roles[i]` is the role of reference i + 1, `limit` the variant's.

    An empty prompt is told only of the variant's limit, and one past its own limit of that as well. A single
    reference need not be mentioned. Never raises.
    """
    count = len(roles)
    hints = list(_over_limit(count, limit, variant_name))
    if sentence := too_long("The prompt", prompt, PROMPT_CHARACTERS):
        hints.append(Hint(sentence, "long"))
    elif prompt.strip():
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
        yield Hint(f"Your prompt mentions {noun} 0. Pictures are numbered from 1.", "beyond")
    beyond = sorted(number for number in mentioned if number > count)
    if beyond:
        more = " and more" if len(beyond) > 3 else ""
        spoken = f"{noun}s {', '.join(map(str, beyond[:3]))}{more}" if more else numbered(noun, beyond)
        add = "Add that picture" if len(beyond) == 1 else "Add those pictures"
        yield Hint(f"Your prompt mentions {spoken}. {add}.", "beyond")


def _unmentioned(mentioned: set[int], roles: Sequence[str | None], noun: str) -> Iterator[Hint]:
    unmentioned = [number for number in range(1, len(roles) + 1) if number not in mentioned]
    if not unmentioned or len(roles) == 1:
        return
    role = roles[unmentioned[0] - 1]
    known = ROLES.get(role or "", ROLES["background"])
    example = phrase(known, unmentioned[:1], noun)
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
