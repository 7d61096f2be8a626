"""Presets and roles become natural prompt text, and the linter reads prompts as a person would."""

from __future__ import annotations

import re
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.catalog.limits import PROMPT_CHARACTERS
from core.prompts.compose import compose, idle_fields, missing, numbered, sentence, suggest_roles
from core.prompts.presets import FAMILIES, ROLES, Preset, load_presets
from core.prompts.reference_numbers import lint, renumber, reword

PRESETS = load_presets(Path(__file__).parents[3] / "presets")
NOUNS = ("image", "reference")


def subsets(preset: Preset) -> list[list[str]]:
    """Every choice of a preset's roles, in its order."""
    sizes = range(len(preset.roles) + 1)
    return [list(chosen) for size in sizes for chosen in combinations(preset.roles, size)]


def blank_choices(preset: Preset) -> list[dict[str, str]]:
    """Every choice of fields left empty; the others keep their defaults."""
    ids = [field.id for field in preset.fields]
    return [dict.fromkeys(blank, "") for size in range(len(ids) + 1) for blank in combinations(ids, size)]


def kinds(prompt: str, roles: list[str | None], limit: int = 5) -> list[str]:
    return [hint.kind for hint in lint(prompt, roles, "image", limit, "Pro")]


def assert_reads_well(prompt: str) -> None:
    assert prompt[0].isupper()
    assert prompt.endswith(".")
    for slip in ("{", "}", "  ", " ,", " .", "..", ",.", ",,", '""', " s ", "None"):
        assert slip not in prompt, (slip, prompt)
    for part in re.split(r"(?<=\.) ", prompt):
        assert part[0].isupper(), prompt
    for plural, number, more in re.findall(r"\b(?:image|reference)(s?) (\d)((?:, \d)* and \d)?", prompt):
        assert bool(plural) == bool(more), (number, prompt)


# The presets ----------------------------------------------------------------------------------------


def test_presets_cover_the_families() -> None:
    """At least fourteen presets, at least three in each of the five families, in the families' order."""
    families = [preset.family for preset in PRESETS.values()]
    assert len(PRESETS) >= 14
    assert all(families.count(family) >= 3 for family in FAMILIES)
    assert families == sorted(families, key=list(FAMILIES).index)


def test_every_role_has_a_preset() -> None:
    """No role is offered that no preset knows."""
    assert {role for preset in PRESETS.values() for role in preset.roles} == set(ROLES)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.id)
@pytest.mark.parametrize("noun", NOUNS)
def test_every_combination_reads_well(preset: Preset, noun: str) -> None:
    """With any of its roles present and any field empty, a preset is clean text that mentions every reference."""
    for roles in subsets(preset):
        for fields in blank_choices(preset):
            prompt = compose(preset, roles, noun, fields)
            assert_reads_well(prompt)
            hints = lint(prompt, roles, noun, 5, "Pro")
            assert [hint.kind for hint in hints] == (["beyond"] if missing(preset, roles) else []), prompt
            assert (noun == "image") == ("image" in prompt)


@given(st.sampled_from(list(PRESETS.values())), st.sampled_from(NOUNS), st.data())
def test_any_assignment_is_mentioned(preset: Preset, noun: str, data: st.DataObject) -> None:
    """However the cards hold roles, the preset's or others, in any order and shared, each one is mentioned."""
    extra = st.sampled_from(list(ROLES))
    roles = [*preset.required, *data.draw(st.lists(extra, max_size=5 - len(preset.required)))]
    roles = data.draw(st.permutations(roles))
    prompt = compose(preset, roles, noun)
    assert_reads_well(prompt)
    assert {hint.kind for hint in lint(prompt, roles, noun, 5, "Pro")} <= {"shared_role"}


@given(st.sampled_from(list(PRESETS.values())), st.dictionaries(st.sampled_from("abc"), st.text()), st.data())
def test_any_field_text_leaves_no_hole(preset: Preset, others: dict[str, str], data: st.DataObject) -> None:
    """Whatever a person types into the fields, no blank doubles, no quotation is left open, no sentence is lost."""
    typed = {field.id: data.draw(st.text()) for field in preset.fields}
    prompt = compose(preset, preset.roles, "image", others | typed)
    assert "  " not in prompt
    assert prompt.count('"') % 2 == 0
    assert all(numbered("image", [number]) in prompt for number in range(1, len(preset.roles) + 1))


# Composing ------------------------------------------------------------------------------------------

DRESS = PRESETS["dress-a-person"]
POSTER = PRESETS["poster"]


def test_roles_become_numbers() -> None:
    """The number is the place of the card, and cards that share a role are named together."""
    prompt = compose(DRESS, ["outfit", "identity", "outfit"], "reference")
    assert "the person from reference 2 wearing the complete outfit from references 1 and 3" in prompt


def test_shared_objects_are_plural() -> None:
    """Several cards with the role Object are several objects."""
    scene = PRESETS["one-scene"]
    assert "the object from image 2 in" in compose(scene, ["background", "object"], "image")
    assert "the objects from images 2 and 3 in" in compose(scene, ["background", "object", "object"], "image")


def test_a_missing_required_role_gets_the_next_number() -> None:
    """The prompt already shows which picture is still to be added, and the linter says so."""
    assert missing(DRESS, ["identity"]) == ("outfit",)
    prompt = compose(DRESS, ["identity"], "image")
    assert "the complete outfit from image 2" in prompt
    assert [hint.message for hint in lint(prompt, ["identity"], "image", 5, "Pro")] == [
        "Your prompt mentions image 2. Add that picture."
    ]


def test_a_role_the_preset_lacks_is_mentioned_all_the_same() -> None:
    """A card keeps its say under a preset that does not ask for it; a card without a role has none."""
    prompt = compose(DRESS, ["identity", "outfit", "pose", None, "object"], "image")
    assert "Also use the pose from image 3 and the object from image 5." in prompt
    assert "image 4" not in prompt


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("Moon", 'title "Moon" in'),
        (' “Moon” \n "rise" ', "title \"Moon' 'rise\" in"),
        ("Never stop.", 'title "Never stop." in'),
        ("{style} {tagline}", 'title "{style} {tagline}" in'),
        ("", "Make a poster of image 1. Write"),
        (' ". ', "Make a poster of image 1. Write"),
    ],
)
def test_lettering_is_quoted_as_typed(title: str, written: str) -> None:
    """A title stands in one pair of quotation marks, keeps its own full stop, and is left out when empty."""
    assert written in compose(POSTER, ["subject"], "image", {"title": title})


def test_a_clause_goes_with_what_it_needs() -> None:
    """Without words there are no letters to speak of, yet the style that was loaded is still used."""
    prompt = compose(PRESETS["sign-in-a-scene"], ["background", "style"], "image", {"words": ""})
    assert "letters" not in prompt
    assert "Also use the art style of image 2." in prompt


def test_stray_punctuation_of_a_field_goes() -> None:
    """A full stop typed at the end of a field does not break the sentence around it."""
    typed = {"setting": " a beach  at noon. "}
    assert "with a beach at noon behind the person." in compose(DRESS, ["identity", "outfit"], "image", typed)


@pytest.mark.parametrize(
    ("numbers", "text"), [([2], "image 2"), ([1, 3], "images 1 and 3"), ([1, 2, 4], "images 1, 2 and 4")]
)
def test_numbered(numbers: list[int], text: str) -> None:
    """One is singular, several are plural and listed as people write."""
    assert numbered("image", numbers) == text


@pytest.mark.parametrize(
    ("count", "current", "dealt"),
    [
        (0, [], []),
        (1, [None], ["identity"]),
        (2, [], ["identity", "outfit"]),
        (2, [None, "identity"], ["outfit", "identity"]),
        (2, ["product", "lighting"], ["identity", "lighting"]),
        (3, ["lighting", "lighting", None], ["lighting", "identity", "outfit"]),
        (3, ["outfit", "outfit", None], ["outfit", "outfit", "identity"]),
        (5, [None] * 5, ["identity", "outfit", None, None, None]),
        (5, ["product"] * 5, ["identity", "outfit", "product", "product", "product"]),
        (1, ["outfit", "identity"], ["outfit"]),
    ],
)
def test_suggest_roles(count: int, current: list[str | None], dealt: list[str | None]) -> None:
    """Required roles are dealt in order, a fitting role stays, and a second card does not keep a role for one."""
    assert suggest_roles(DRESS, count, current) == dealt


@pytest.mark.parametrize(
    ("roles", "words", "said"),
    [
        ([], "", ""),
        ([None, None], "", ""),
        (["identity"], "", "Use the person from image 1."),
        (
            ["identity", None, "outfit", "identity"],
            "",
            "Use the person from images 1 and 4 and the outfit from image 3.",
        ),
        (["identity", "style"], "Draw the person from image 1.", "Use the art style of image 2."),
        (["identity"], "Draw the person from image 12.", "Use the person from image 1."),
    ],
)
def test_roles_write_a_sentence_of_their_own(roles: list[str | None], words: str, said: str) -> None:
    """Without a preset, and without repeating what a person's own words say already."""
    assert sentence(roles, "image", words) == said


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.id)
def test_a_field_is_idle_exactly_where_it_changes_nothing(preset: Preset) -> None:
    """For each preset, with any of its references and fields; an optional reference that is why is named."""
    for roles, fields in product(subsets(preset), blank_choices(preset)):
        idle = idle_fields(preset, roles, fields)
        for field in preset.fields:
            one, other = (
                compose(preset, roles, "image", {**fields, field.id: words}) for words in ("a barn", "a door")
            )
            assert (one == other) == (field.id in idle)
            assert all(roles[number - 1] in preset.optional for number in idle.get(field.id, []))
            # Where no field is empty, and every reference that it needs is there, only another one takes its place.
            assert field.id not in idle or fields or idle[field.id]


def test_a_field_that_another_one_silences_is_idle() -> None:
    """There is no place for words that are not there."""
    assert idle_fields(PRESETS["packaging-text"], ["product"], {"words": " "}) == {"place": []}


# The linter -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "numbers"),
    [
        ("image 1", {1}),
        ("IMAGE 1", {1}),
        ("images 1 and 2", {1, 2}),
        ("images 1, 2 and 3", {1, 2, 3}),
        ("images 1, 2, and 3", {1, 2, 3}),
        ("images 1,2", {1, 2}),
        ("images 1-3", {1, 2, 3}),
        ("images 1 – 3", {1, 2, 3}),
        ("images 1 to 3", {1, 2, 3}),
        ("image 1, 2 and 3", {1, 2, 3}),
        ("image 1 or 2", {1, 2}),
        ("image 1 and image 3", {1, 3}),
        ("Image 2's hat", {2}),
        ("image 2.", {2}),
        ("image 2: a hat", {2}),
        ("reference #3", {3}),
        ("references 1 & 2", {1, 2}),
        ("references #1 + #2", {1, 2}),
        ("ref 2", {2}),
        ("ref. 2", {2}),
        ("picture 2", {2}),
        ("photo 2", {2}),
        ("image no. 2", {2}),
        ("image number 2", {2}),
        ("@image1 and [img_2]", {1, 2}),
        ("the first image and the third photo", {1, 3}),
        ("the first and second images", {1, 2}),
        ("both images", {1, 2, 3}),
        ("all of the pictures", {1, 2, 3}),
        ("2 images", set()),
        ("10 images", set()),
        ("chapter 2", set()),
        ("preference 2", set()),
        ("image 1:1", set()),
        ("image 3/2", set()),
        ("image 2.5", set()),
        ("image 2k", set()),
        ("image 2 years later", set()),
        ("photo 3 mm", set()),
        ("image 1, 2 people", {1}),
        ("image 1 and 2 cats", {1}),
        ("both images 1 and 2", {1, 2}),
        ("image 1 and 2 wear", {1, 2}),
        ("in the images 2 people", set()),
        ("image 100", set()),
    ],
)
def test_mentions(prompt: str, numbers: set[int]) -> None:
    """A reference is mentioned as people write it; counts, ratios, sizes and other words are not mentions."""
    hints = lint(prompt, [None, None, None], "image", 5, "Pro")
    left = sorted({1, 2, 3} - numbers)
    said = [hint.message.split(" not mentioned")[0] for hint in hints]
    verb = "is" if len(left) == 1 else "are"
    assert said == ([f"{numbered('Reference', left)} {verb}"] if left else [])


@pytest.mark.parametrize(
    ("prompt", "roles", "limit", "message"),
    [
        ("", [None] * 5, 4, "Dev takes at most 4 references, and 5 are loaded. Remove 1, or choose another variant."),
        ("Mix image 1 and image 4", [None], 4, "Your prompt mentions image 4. Add that picture."),
        ("Paint image 1", [], 4, "Your prompt mentions image 1. Add that picture."),
        ("Images 1-9", [None], 4, "Your prompt mentions images 2, 3, 4 and more. Add those pictures."),
        ("Image 0", [None], 4, "Your prompt mentions image 0. Pictures are numbered from 1."),
        (
            "Paint image 1",
            [None, None],
            4,
            "Reference 2 is not mentioned in the prompt. Say what it is for, for example “the scene from image 2”.",
        ),
        (
            "Paint",
            ["style", "identity"],
            4,
            "References 1 and 2 are not mentioned in the prompt. "
            "Say what each is for, for example “the art style of image 1”.",
        ),
        (
            "Images 1 and 2",
            ["lighting", "lighting"],
            4,
            "References 1 and 2 are both marked “Lighting”, which works with one reference only. "
            "Give the others another role.",
        ),
    ],
)
def test_hints(prompt: str, roles: list[str | None], limit: int, message: str) -> None:
    """Each slip is told in a sentence of its own."""
    assert [hint.message for hint in lint(prompt, roles, "image", limit, "Dev")] == [message]


@pytest.mark.parametrize(
    ("prompt", "roles"),
    [
        ("", ["style", "style"]),
        ("  \n", [None, None]),
        ("Make it blue", ["subject"]),
        ("Images 1 and 2", ["identity", "identity"]),
        ("Make it blue", []),
    ],
)
def test_no_hint(prompt: str, roles: list[str | None]) -> None:
    """An empty prompt, a single reference and a role that several may have are left in peace."""
    assert kinds(prompt, roles) == []


PIECES = st.sampled_from(["image", "Images", "ref", " ", "1", "2", "-", "and", ", ", "#", "no.", "first", "to", "99"])


@given(st.text() | st.lists(PIECES).map("".join), st.lists(st.none() | st.sampled_from([*ROLES, "", "?"])))
def test_any_text_is_read(prompt: str, roles: list[str | None]) -> None:
    """No text and no roles make the linter, the renumbering or the rewording fail."""
    lint(prompt, roles, "image", 4, "Dev")
    reword(prompt, "reference")
    assert renumber(prompt, {}) == prompt


class Counted(str):
    """A text that counts how many of its characters are looked at in pieces."""

    read = 0

    def __getitem__(self, key: Any) -> str:
        piece = super().__getitem__(key)
        self.read += len(piece)
        return piece


def test_the_work_on_a_prompt_grows_with_its_length() -> None:
    """Four times as many mentions are four times the work: nothing before a mention is read again for it."""

    def read(mentions: int) -> int:
        prompt = Counted("image 1 " * mentions)
        assert reword(prompt, "reference") == "reference 1 " * mentions
        return prompt.read

    assert 0 < read(500) <= 4.2 * read(125)


@pytest.mark.parametrize("long", ["image 1" + ",1" * 10**6, "image 1 " * 10**5, "image 9" + " " * 4000], ids=len)
def test_a_prompt_past_its_limit_is_not_read(long: str) -> None:
    """The linter says the limit and nothing else; the numbers and words in it stay as they are."""
    assert kinds(long, [None, None]) == ["long"]
    assert reword(long, "reference") is long
    assert renumber(long, {1: 2, 2: 1}) is long


def test_a_prompt_at_its_limit_is_read() -> None:
    """One character makes the difference."""
    prompt = "image 9" + " " * (PROMPT_CHARACTERS - 7)
    assert kinds(prompt, [None]) == ["beyond"]
    assert reword(prompt, "reference").startswith("reference 9 ")
    assert renumber(prompt, {9: 1}).startswith("image 1 ")


# Renumbering and rewording --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "order", "after"),
    [
        ("image 1 on Image 2's hill", {1: 2, 2: 1}, "image 2 on Image 1's hill"),
        ("images 1 and 3", {1: 1, 2: 3, 3: 2}, "images 1 and 2"),
        ("image 1, 2 and 3", {1: 3, 2: 1, 3: 2}, "image 3, 1 and 2"),
        ("reference #2, photo 3", {1: 1, 2: 3, 3: 2}, "reference #3, photo 2"),
        ("images 2-3", {1: 3, 2: 1, 3: 2}, "images 1-2"),
        ("images 1 to 2", {1: 1, 2: 3, 3: 2}, "images 1 and 3"),
        ("2 images, ratio 1:2, the first image", {1: 2, 2: 1}, "2 images, ratio 1:2, the first image"),
        ("image 1 and 2 cats", {1: 2, 2: 1}, "image 2 and 2 cats"),
        ("image 7", {1: 2, 2: 1}, "image 7"),
        ("images 3-2 and image 01", {1: 1, 2: 2, 3: 3}, "images 3-2 and image 01"),
    ],
)
def test_numbers_follow_their_pictures(prompt: str, order: dict[int, int | None], after: str) -> None:
    """A number goes where its picture goes; what is no number of a reference stays."""
    assert renumber(prompt, order) == after


def test_a_removed_picture_becomes_the_next_to_add() -> None:
    """Without picture 2, its words mean no other picture, the linter points at them, and a new card takes them."""
    prompt = renumber("The person from image 1 in image 2, lit by image 3", {1: 1, 2: None, 3: 2})
    assert prompt == "The person from image 1 in image 3, lit by image 2"
    assert kinds(prompt, [None, None]) == ["beyond"]
    assert kinds(prompt, [None, None, None]) == []


@given(st.permutations([1, 2, 3, 4, 5]), st.lists(st.sampled_from([1, 2, 3, 4, 5]), min_size=1, max_size=4))
def test_moving_back_restores_the_prompt(places: list[int], numbers: list[int]) -> None:
    """A move and its inverse leave the text as it was."""
    order: dict[int, int | None] = dict(enumerate(places, start=1))
    back: dict[int, int | None] = {new: old for old, new in enumerate(places, start=1)}
    prompt = f"Put {numbered('image', numbers)} beside Reference #{numbers[0]}'s tree, 2 images in all."
    assert renumber(renumber(prompt, order), back) == prompt


@given(st.sampled_from(list(PRESETS.values())), st.data())
def test_renumbering_agrees_with_composing(preset: Preset, data: st.DataObject) -> None:
    """Moving the cards under a finished prompt names the same pictures as composing it after the move."""
    places = data.draw(st.permutations(range(len(preset.roles))))
    moved = [preset.roles[place] for place in places]
    order: dict[int, int | None] = {old + 1: new + 1 for new, old in enumerate(places)}
    assert renumber(compose(preset, preset.roles, "image"), order) == compose(preset, moved, "image")


@pytest.mark.parametrize(
    ("prompt", "after"),
    [
        ("Image 1 and images 2 and 3", "Reference 1 and references 2 and 3"),
        ("IMAGE 1", "REFERENCE 1"),
        ("an image of a photo 2", "an image of a photo 2"),
        ("reference image 2", "reference image 2"),
        ("3 images at 1:1", "3 images at 1:1"),
    ],
)
def test_reword(prompt: str, after: str) -> None:
    """Only a numbered image or reference is called otherwise, in the case it was written in."""
    assert reword(prompt, "reference") == after


@given(st.sampled_from(list(PRESETS.values())))
def test_rewording_agrees_with_composing(preset: Preset) -> None:
    """A prompt reworded for another variant is the one composed for it, there and back."""
    image, reference = (compose(preset, preset.roles, noun) for noun in NOUNS)
    assert reword(image, "reference") == reference
    assert reword(reference, "image") == image


@pytest.mark.parametrize(
    ("prompt", "worded", "moved"),
    [
        ('Write "image 1" on image 1', 'Write "image 1" on reference 1', 'Write "image 1" on image 2'),
        ("“Image 1”, then image 1", "“Image 1”, then reference 1", "“Image 1”, then image 2"),
        ('image 1 "a" image 1 "image 1"', 'reference 1 "a" reference 1 "image 1"', 'image 2 "a" image 2 "image 1"'),
        ('12" wide, like image 1', '12" wide, like reference 1', '12" wide, like image 2'),
        ("““image 1", "““reference 1", "““image 2"),
    ],
)
def test_what_stands_in_quotation_marks_stays(prompt: str, worded: str, moved: str) -> None:
    """It is to be written in the picture; a quotation that is never closed is none."""
    assert reword(prompt, "reference") == worded
    assert renumber(prompt, {1: 2, 2: 1}) == moved
