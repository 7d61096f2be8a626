"""Reads out of a prompt what each reference is for: "the person from image 1, the outfit in images 2 and 3"."""

from __future__ import annotations

import re

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
MEANINGS = {word: role for role, words in WORDS.items() for word in words.split()}
NOUN = r"(?:image|picture|photo|photograph|reference|ref|figure|img)s?"
ORDINALS = ("first", "second", "third", "fourth", "fifth")
# No blank in it can be taken in two ways: such a pattern takes ages over a row of commas.
MENTION = re.compile(
    rf"\b{NOUN} ?\#? ?(?P<numbers>[1-9](?!\d)(?: ?(?:(?:,|and|&|\+) ?){{1,2}}(?:{NOUN} ?)?[1-9](?!\d))*)"
    rf"|\b(?P<ordinal>{'|'.join(ORDINALS)}) {NOUN}\b",
    re.IGNORECASE,
)
LEADS_ON = re.compile(r" ?(?:['’]s\b|is\b|are\b|as\b|for\b|shows?\b|gives?\b|provides?\b|has\b|[:=(–-])", re.I)
MARKER = re.compile(r"\[sandbox:[a-z-]*\]")


def roles(prompt: str) -> dict[int, str]:
    """The role of each reference that the prompt gives one, by its number from 1; the first one counts."""
    text = ". ".join(" ".join(line.split()) for line in prompt.splitlines())
    mentions, used, found = list(MENTION.finditer(text)), 0, dict[int, str]()
    for mention, end in zip(mentions, [*(m.start() for m in mentions[1:]), len(text)], strict=False):
        before = re.split(r"[.;:!?,]", text[used : mention.start()])[-1]
        behind = re.split(r"[.;!?]", text[mention.end() : end])[0]
        role, length = _role(before, behind)
        used = mention.end() + length
        numbers = re.findall("[1-9]", mention["numbers"] or "") or [1 + ORDINALS.index(mention["ordinal"].lower())]
        for number in numbers if role else ():
            found.setdefault(int(number), str(role))
    return found


def plain(prompt: str) -> str:
    """The prompt without the words that steer the sandbox, on one line."""
    return " ".join(MARKER.sub(" ", prompt).split())


def _role(before: str, behind: str) -> tuple[str | None, int]:
    """The role for what stands between the two texts, and how much of the second one it used up.

    "the outfit in image 2" has its word before, "image 2 is the outfit" has it behind.
    """
    ahead, following = _hits(before), _hits(behind)
    adjoining = following and re.fullmatch(r" ?\w+", behind[: following[0][1]])
    if following and (LEADS_ON.match(behind) or (adjoining and not ahead)):
        return following[0]
    return (ahead[-1][0], 0) if ahead else (None, 0)


def _hits(text: str) -> list[tuple[str, int]]:
    """Role and end of each word that means a role, in order."""
    words = re.finditer("[a-z]+", text.lower())
    return [(MEANINGS[word[0]], word.end()) for word in words if word[0] in MEANINGS]
