"""Reads out of a prompt what each reference is for: "the person from image 1, the outfit in images 2 and 3"."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The role as it stands on a picture, and the words that mean it.
WORDS = {
    "person": "person people identity character face woman man girl boy child portrait model",
    "companion": "companion animal pet cat dog",
    "subject": "subject",
    "outfit": "outfit outfits clothes clothing dress garment garments costume jacket suit shirt coat",
    "material": "material fabric texture surface",
    "product": "product products bottle packaging package",
    "object": "object objects cup thing item items prop",
    "label": "label logo lettering wordmark emblem brand",
    "style": "style",
    "light": "lighting light mood atmosphere",
    "colours": "palette colours colors colour color",
    "scene": "background scene place setting location environment backdrop room landscape",
    "pose": "pose posture",
}
NOUN = r"(?:image|picture|photo|photograph|reference|ref|figure|img)s?"
ORDINALS = ("first", "second", "third", "fourth", "fifth")
MENTION = re.compile(
    rf"\b{NOUN}\s*\#?\s*(?P<numbers>[1-9](?!\d)(?:\s*(?:(?:,|and|&|\+)\s*){{1,2}}(?:{NOUN}\s*)?[1-9](?!\d))*)"
    rf"|\b(?P<ordinal>{'|'.join(ORDINALS)})\s+{NOUN}\b",
    re.IGNORECASE,
)
LEADS_ON = re.compile(r"\s*(?:['’]s\b|is\b|are\b|as\b|for\b|shows?\b|gives?\b|provides?\b|has\b|[:=(–-])", re.I)
MARKER = re.compile(r"\s*\[sandbox:[a-z-]*\]\s*")


@dataclass(frozen=True)
class Mention:
    """One place in the prompt that names references by their numbers."""

    numbers: tuple[int, ...]
    start: int
    end: int


def roles(prompt: str) -> dict[int, str]:
    """The role of each reference that the prompt gives one, by its number from 1; the first one counts."""
    found: dict[int, str] = {}
    mentions = _mentions(prompt)
    used = 0
    ends = [*(mention.start for mention in mentions[1:]), len(prompt)]
    for mention, end in zip(mentions, ends, strict=False):
        before = re.split(r"[.;:!?,\n]", prompt[used : mention.start])[-1]
        behind = re.split(r"[.;!?\n]", prompt[mention.end : end])[0]
        role, length = _role(before, behind)
        used = mention.end + length
        if role:
            for number in mention.numbers:
                found.setdefault(number, role)
    return found


def plain(prompt: str) -> str:
    """The prompt without the sandbox's own words, on one line."""
    return " ".join(MARKER.sub(" ", prompt).split())


def _mentions(prompt: str) -> list[Mention]:
    return [Mention(_numbers(match), *match.span()) for match in MENTION.finditer(prompt)]


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    if match["ordinal"]:
        return (ORDINALS.index(match["ordinal"].lower()) + 1,)
    return tuple(int(digit) for digit in re.findall(r"[1-9]", match["numbers"]))


def _role(before: str, behind: str) -> tuple[str | None, int]:
    """The role for what stands between the two texts, and how much of the second one it used up.

    "the outfit in image 2" has its word before, "image 2 is the outfit" has it behind.
    """
    ahead, following = _hits(before), _hits(behind)
    adjoining = following and re.fullmatch(r"\s*\w+", behind[: following[0][1]])
    if following and (LEADS_ON.match(behind) or (adjoining and not ahead)):
        return following[0]
    return (ahead[-1][0], 0) if ahead else (None, 0)


def _hits(text: str) -> list[tuple[str, int]]:
    """Role and end of each word that means a role, in order."""
    meanings = {word: role for role, words in WORDS.items() for word in words.split()}
    words = re.finditer(r"[a-z]+", text.lower())
    return [(meanings[word[0]], word.end()) for word in words if word[0] in meanings]
