"""Preset files are read strictly: whatever is not exactly a preset is named with its file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from core.errors import PresetError
from core.prompts.compose import compose
from core.prompts.presets import Preset, load_presets
from scripts.samples import HOME, KEPT, LARGEST

GOOD = """\
name = "A name"
family = "style"
order = 10
summary = "A line."
roles = ["subject", "style"]
optional = ["style"]
keep = ["the shape of {subject}"]

[[clauses]]
text = "Draw {subject} in {colour}"

[[clauses]]
text = ", like {style}"
unless = []

[[fields]]
id = "colour"
label = "Colour"
default = "red"
"""


def written(folder: Path, text: str, name: str = "one.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_good_file_loads(tmp_path: Path) -> None:
    """The smallest complete preset is read, its id being the stem of its file."""
    preset = load_presets(written(tmp_path, GOOD))["one"]
    assert (preset.required, preset.optional, preset.fields[0].help) == (("subject",), ("style",), "")
    assert compose(preset, ["subject"], "image") == "Draw image 1 in red. Keep the shape of image 1 unchanged."


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("order = 10", "order = ", "file"),
        ("order = 10", "", "order"),
        ("order = 10", 'order = "10"', "order"),
        ("order = 10", "order = true", "order"),
        ("order = 10", "order = 10\ncolor = 1", "color"),
        ('"A name"', '" "', "name"),
        ('"A name"', "7", "name"),
        ('"style"\norder', '"styles"\norder', "family"),
        ('"subject", "style"]', '"subject", "stile"]', "roles[2]"),
        ('"subject", "style"]', '"subject", "style", "style"]', "roles[3]"),
        ('"subject", "style"]', '"subject", "style", "pose"]', "roles[3]"),
        ('["subject", "style"]', '"subject"', "roles"),
        ('["subject", "style"]', "[1]", "roles[1]"),
        ('["subject", "style"]', "[]", "roles"),
        ('optional = ["style"]', 'optional = ["pose"]', "optional[1]"),
        ('["the shape of {subject}"]', '["the shape of {pose}"]', "keep[1]"),
        ('["the shape of {subject}"]', "[]", "keep"),
        ("in {colour}", "in {color} {colour}", "clauses[1].text"),
        ("in {colour}", "in {colour} {", "clauses[1].text"),
        ("in {colour}", "in {colour} {}", "clauses[1].text"),
        ("in {colour}", "in {colour!r}", "clauses[1].text"),
        ("in {colour}", "in {colour} {colour:s}", "clauses[1].text"),
        ("in {colour}", "in {colour}.", "clauses[1].text"),
        ("Draw {subject}", "draw {subject}", "clauses[1].text"),
        ("in {colour}", "in red", "fields[1]"),
        ("like {style}", "like it", "roles[2]"),
        ("unless = []", 'unless = ["lighting"]', "clauses[2].unless[1]"),
        ("unless = []", 'unless = ["style"]', "clauses[2].unless[1]"),
        ("unless = []", 'unless = ["subject"]', "clauses[2].unless[1]"),
        ("unless = []", 'needs = ["lighting"]', "clauses[2].needs[1]"),
        ("unless = []", 'without = ["style"]', "clauses[2].without"),
        ('[[clauses]]\ntext = ",', '[[more]]\ntext = ",', "more"),
        ('label = "Colour"', "", "fields[1].label"),
        ('label = "Colour"', 'label = "Colour"\nhint = ""', "fields[1].hint"),
        ('default = "red"', "default = 3", "fields[1].default"),
        ('id = "colour"', 'id = "Colour"', "fields[1].id"),
        ('id = "colour"', 'id = "style"', "fields[1].id"),
        ("[[fields]]", '[[fields]]\nid = "colour"\nlabel = "C"\ndefault = ""\n[[fields]]', "fields[2].id"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    """Whatever is not exactly a preset is refused, and the error leads to the line to mend."""
    assert GOOD.count(old) == 1
    with pytest.raises(PresetError) as caught:
        load_presets(written(tmp_path, GOOD.replace(old, new)))
    assert (caught.value.file, caught.value.key) == ("one.toml", key)
    assert str(caught.value).startswith(f"one.toml: {key}: ")


def test_a_table_in_place_of_a_list_is_refused(tmp_path: Path) -> None:
    """A single [fields] table, a common slip, is named."""
    with pytest.raises(PresetError) as caught:
        load_presets(written(tmp_path, GOOD.replace("[[fields]]", "[fields]")))
    assert caught.value.key == "fields"


def test_two_presets_of_one_name_are_refused(tmp_path: Path) -> None:
    """Two files with the same name could not be told apart in a list."""
    with pytest.raises(PresetError) as caught:
        load_presets(written(written(tmp_path, GOOD), GOOD, "two.toml"))
    assert (caught.value.file, caught.value.key) == ("two.toml", "name")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 give the same kind of error as a wrong key."""
    (tmp_path / "one.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(PresetError) as caught:
        load_presets(tmp_path)
    assert (caught.value.file, caught.value.key) == ("one.toml", "file")


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """A file saved by a simple editor on Windows loads."""
    assert load_presets(written(tmp_path, "\ufeff" + GOOD))["one"].name == "A name"


def test_a_folder_without_presets_is_refused(tmp_path: Path) -> None:
    """A folder that was left out of a copy is noticed at the start."""
    with pytest.raises(PresetError):
        load_presets(tmp_path / "presets")


def test_presets_are_sorted_and_frozen(tmp_path: Path) -> None:
    """Family first, then order, then name; and nobody can add to them."""
    for name, family, order in (("b", "text", 1), ("c", "people", 2), ("a", "people", 2), ("d", "people", 1)):
        text = GOOD.replace("A name", name).replace('"style"\n', f'"{family}"\n', 1).replace("10", str(order))
        written(tmp_path, text, f"{name}.toml")
    presets = load_presets(tmp_path)
    assert list(presets) == ["d", "a", "c", "b"]
    with pytest.raises(TypeError):
        presets["e"] = presets["a"]  # type: ignore[index]


@pytest.mark.parametrize("preset", load_presets(HOME / "presets").values(), ids=lambda preset: preset.id)
def test_each_preset_has_its_picture(preset: Preset) -> None:
    """Small enough to be there at once; `make samples` draws it anew."""
    file = HOME / "presets" / f"{preset.id}.webp"
    assert file.stat().st_size <= LARGEST
    with Image.open(file) as picture:
        assert (picture.format, picture.size) == ("WEBP", KEPT)
