"""Recipes: what they hold, what reads back, and that a picture is the same picture with one in it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from core.catalog.limits import RECIPE_BYTES
from core.ledger.run import Output, Run, RunPrediction, Trouble
from core.pictures.recipe import Recipe, embed, extract, from_json, to_json
from core.pictures.reference import Reference

SECRETS = {
    name: f"planted-{name}" for name in ("key", "visitor", "account", "run", "prediction", "path", "trouble", "notice")
}
RECIPE = Recipe(
    variant_id="dev",
    prompt='Dress image 1 in image 2 — "Größe" <b>&amp; 日本 😀\r\n\x00\ufffe\uffff]]>',
    values={"guidance_scale": 2.5, "num_inference_steps": 28, "output_format": "png", "enable_base64_output": False},
    seed=4711,
    pictures=2,
    preset="dress-a-person",
    references=(("a1" * 32, "identity"), ("b2" * 32, None)),
)


def a_run() -> Run:
    return Run(
        id=SECRETS["run"],
        visitor=SECRETS["visitor"],
        account_id="own-" + SECRETS["account"],
        account_kind="own",
        created_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        variant_id=RECIPE.variant_id,
        preset=RECIPE.preset,
        prompt=RECIPE.prompt,
        values=RECIPE.values,
        seed=RECIPE.seed,
        pictures=RECIPE.pictures,
        references=tuple(
            Reference(Path(SECRETS["path"]), sha256, "image/jpeg", 8, 8, role, Path(SECRETS["path"]))
            for sha256, role in RECIPE.references
        ),
        estimate=Decimal("0.06"),
        charge=Decimal("0.06"),
        charge_source="quote",
        state="partial",
        predictions=(RunPrediction(1, SECRETS["prediction"], "completed", 4711, SECRETS["key"], Decimal("0.06")),),
        outputs=(Output(1, Path(SECRETS["path"]), 8, 8, 4711, SECRETS["prediction"]),),
        troubles=(Trouble(SECRETS["trouble"], "no", SECRETS["key"], SECRETS["prediction"]),),
        notice=SECRETS["notice"],
        seconds=17.3,
        model_seconds=12.0,
        expected_seconds=17.0,
    )


def drawn(mode: str = "RGB") -> Image.Image:
    """A small picture in which no two rows are alike, so that a changed pixel shows."""
    colours = Image.linear_gradient("L").resize((33, 21)).rotate(20)
    picture = Image.merge("RGB", (colours, colours.rotate(90), colours.rotate(180))).convert(mode)
    if mode.endswith("A"):
        picture.putalpha(colours)
    return picture


def saved(format: str, mode: str = "RGB", **how: Any) -> bytes:
    file = io.BytesIO()
    drawn(mode).save(file, format, **how)
    return file.getvalue()


def exif() -> Image.Exif:
    facts = Image.Exif()
    facts[0x010E] = "made by the service"
    return facts


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="the service"/></rdf:RDF></x:xmpmeta>'
    b'<?xpacket end="w"?>'
)
MORE = {"exif": exif(), "icc_profile": PROFILE}
FILES = {
    "jpeg": saved("JPEG"),
    "jpeg, progressive and grey": saved("JPEG", "L", progressive=True),
    "jpeg with exif, profile and comment": saved("JPEG", comment=b"hello", **MORE),
    "jpeg with xmp": saved("JPEG", xmp=XMP, **MORE),
    "jpeg with xmp and filling": saved("JPEG", xmp=XMP, **MORE).replace(b"\xff\xe1", b"\xff\xff\xff\xe1"),
    "png": saved("PNG"),
    "png with alpha, exif and profile": saved("PNG", "RGBA", **MORE),
    "png with a palette": saved("PNG", "P"),
    "webp": saved("WEBP", quality=60),
    "webp, lossless": saved("WEBP", lossless=True),
    "webp, lossless with alpha": saved("WEBP", "RGBA", lossless=True),
    "webp with alpha": saved("WEBP", "LA"),
    "webp with exif and profile": saved("WEBP", **MORE),
    "webp with xmp": saved("WEBP", xmp=XMP, **MORE),
    "webp, animated": saved("WEBP", save_all=True, append_images=[drawn().rotate(90)], duration=100),
}
EACH = pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
THREE = pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
XMP_FILES = pytest.mark.parametrize("name", ["jpeg with xmp", "jpeg with xmp and filling", "webp with xmp"])

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
RECIPES = st.builds(
    Recipe,
    variant_id=st.text(max_size=20),
    prompt=st.text(max_size=400),
    values=st.dictionaries(st.text(max_size=20), st.text(max_size=20) | st.booleans() | NUMBERS, max_size=8),
    seed=st.none() | st.integers(-1, 2147483647),
    pictures=st.integers(1, 4),
    preset=st.none() | st.text(max_size=20),
    references=st.lists(
        st.tuples(st.binary(min_size=32, max_size=32).map(bytes.hex), st.none() | st.text(max_size=20)), max_size=5
    ).map(tuple),
)


def test_recipe_of_a_run_is_what_makes_it_again() -> None:
    """A recipe takes variant, prompt, values, seed, pictures, preset, and the references with their roles."""
    assert a_run().recipe == RECIPE


@EACH
def test_nothing_that_tells_who_made_it_gets_into_a_file(data: bytes) -> None:
    """Visitor, account, key, ids and paths of a run are in neither its recipe nor a file that carries it."""
    recipe = a_run().recipe
    carrying = embed(data, recipe)
    assert carrying != data
    assert [secret for secret in SECRETS.values() if secret.encode() in carrying] == []
    assert "planted" not in repr(recipe) + to_json(recipe)


def test_json_names_the_app_and_its_format() -> None:
    """A recipe as JSON says whose it is and in which format, and holds the texts as a person reads them."""
    facts = json.loads(to_json(RECIPE))
    assert (facts["app"], facts["format"]) == ("Kontext Studio", 1)
    assert "Größe" in to_json(RECIPE) and "日本 😀" in to_json(RECIPE)


@given(RECIPES)
def test_any_recipe_survives_json(recipe: Recipe) -> None:
    """What is written as JSON, as text or bytes, in one line or many, reads back the same."""
    assert from_json(to_json(recipe)) == recipe
    assert from_json(to_json(recipe, indent=2).encode()) == recipe


@EACH
def test_file_gives_its_recipe_back(data: bytes) -> None:
    """Each kind of file gives back the recipe that was put in, and none before."""
    assert extract(data) is None
    assert extract(embed(data, RECIPE)) == RECIPE


@THREE
@given(recipe=RECIPES)
def test_any_recipe_survives_each_format(format: str, recipe: Recipe) -> None:
    """Whatever a recipe holds, it comes out of JPEG, PNG and WebP as it went in."""
    assert extract(embed(FILES[format], recipe)) == recipe


@EACH
def test_not_a_pixel_changes(data: bytes) -> None:
    """With its recipe a file decodes to the same pixels, frame by frame, and keeps its size, EXIF and profile."""
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(embed(data, RECIPE))) as after:
        assert (after.size, after.mode, after.format) == (before.size, before.mode, before.format)
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        assert dict(after.getexif()) == dict(before.getexif())
        for frame in range(getattr(before, "n_frames", 1)):
            before.seek(frame)
            after.seek(frame)
            assert after.tobytes() == before.tobytes()


@pytest.mark.parametrize("name", [name for name in FILES if "webp" not in name and "xmp" not in name])
def test_jpeg_or_png_is_itself_with_one_insertion(name: str) -> None:
    """JPEG and PNG stay as they are to the bit, before and after one part that is added."""
    data, carrying = FILES[name], embed(FILES[name], RECIPE)
    start = next(place for place in range(len(data)) if data[place] != carrying[place])
    assert carrying.endswith(data[start:])


@pytest.mark.parametrize("name", [name for name in FILES if "webp" in name and "xmp" not in name])
def test_webp_keeps_every_part_behind_its_header(name: str) -> None:
    """All coded data of a WebP stays as it is to the bit; only the header in front is new or flagged."""
    data = FILES[name]
    behind_header = data[30:] if data[12:16] == b"VP8X" else data[12:]
    carrying = embed(data, RECIPE)
    assert carrying[30 : 30 + len(behind_header)] == behind_header
    assert carrying[12:16] == b"VP8X" and carrying[20] & 0x04
    assert len(carrying) == int.from_bytes(carrying[4:8], "little") + 8


@pytest.mark.parametrize("name", ["webp", "webp, lossless", "webp, lossless with alpha"])
def test_header_made_for_a_webp_is_the_one_an_encoder_makes(name: str) -> None:
    """The extended header of ours says the same as that of libwebp for the same picture with XMP."""
    how = {"webp": {"quality": 60}}.get(name, {"lossless": True})
    theirs = saved("WEBP", "RGBA" if "alpha" in name else "RGB", xmp=XMP, **how)
    assert embed(FILES[name], RECIPE)[12:30] == theirs[12:30]


def test_jfif_and_exif_stay_in_front() -> None:
    """In a JPEG the packet stands behind the parts that must come first, and before the profile."""
    carrying = embed(FILES["jpeg with exif, profile and comment"], RECIPE)
    places = [carrying.index(mark) for mark in (b"JFIF\0", b"Exif\0\0", b"http://ns.adobe.com/xap/", b"ICC_PROFILE\0")]
    assert places == sorted(places)


@pytest.mark.parametrize("length", range(0, 256, 2))
def test_webp_of_any_length_is_known(length: int) -> None:
    """The length that a WebP states may hold any byte, and what stands behind the file stays there."""
    recipe = replace(RECIPE, prompt="x" * length)
    carrying = embed(FILES["webp"] + b"behind", recipe)
    assert extract(carrying) == recipe and carrying.endswith(b"behind")


@EACH
def test_other_readers_find_the_packet(data: bytes) -> None:
    """The recipe lies where any reader of XMP looks, in a file whose checksums hold."""
    carrying = embed(data, RECIPE)
    with Image.open(io.BytesIO(carrying)) as image:
        found = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
        image.verify()
    assert b"kontext:recipe" in found and "Größe".encode() in found


@XMP_FILES
def test_xmp_that_is_there_is_kept(name: str) -> None:
    """A packet of the service's own keeps what it says, and there is still only one."""
    carrying = embed(FILES[name], RECIPE)
    assert b'dc:source="the service"' in carrying and carrying.count(b"<rdf:RDF") == 1
    assert extract(carrying) == RECIPE


@THREE
def test_the_recipe_put_in_last_counts(format: str) -> None:
    """A file that is given another recipe gives that one back."""
    another = replace(RECIPE, prompt="something else", seed=None)
    assert extract(embed(embed(FILES[format], RECIPE), another)) == another


def test_recipe_is_found_when_an_editor_wrote_it_as_an_attribute() -> None:
    """XMP may hold the same property as an attribute under any prefix; it is read all the same."""
    text = to_json(RECIPE).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    theirs = XMP.replace(b'dc:source="', f'xmlns:k="urn:kontext-studio:1.0:" k:recipe="{text}" dc:source="'.encode())
    assert extract(saved("JPEG", xmp=theirs)) == RECIPE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(20),
        saved("GIF"),
        saved("BMP"),
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x04\0\0\0WEBP",
        b"RIFF\x10\0\0\0WEBPVP8 \x04\0\0\0\0\0\0\0",
        saved("JPEG", xmp=b"no packet at all"),
        saved("JPEG", xmp=XMP.replace(b"rdf:", b"r:")),
    ],
)
def test_file_that_can_take_none_comes_back_as_it_is(data: bytes) -> None:
    """Another format, no whole picture, or metadata that can't be added to: the same bytes, and no recipe."""
    assert embed(data, RECIPE) == data
    assert extract(data) is None


@THREE
def test_recipe_that_is_too_long_is_left_out(format: str) -> None:
    """A long prompt fits, one beyond the limit leaves the file as it came."""
    long = replace(RECIPE, prompt="ä" * (RECIPE_BYTES // 2 - 800))
    assert extract(embed(FILES[format], long)) == long
    assert embed(FILES[format], replace(RECIPE, prompt="ä" * (RECIPE_BYTES // 2))) == FILES[format]


@pytest.mark.parametrize("name", FILES)
def test_cut_file_gives_the_recipe_or_none(name: str) -> None:
    """Wherever a file is cut off, it raises nothing, and gives its own recipe or none; the same for adding one."""
    carrying = embed(FILES[name], RECIPE)
    # Past the profile every place is alike, and each costs time.
    places = [*range(0, len(carrying), 1 if len(carrying) < 2500 else 7), len(carrying) - 1]
    given_back = [extract(carrying[:length]) for length in places]
    assert all(recipe is None or recipe == RECIPE for recipe in given_back)
    assert None in given_back


@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBP"]), st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(magic: bytes, rest: bytes) -> None:
    """Whatever bytes follow however a picture begins, there is no recipe, and adding one raises nothing."""
    assert extract(magic + rest) is None
    assert isinstance(embed(magic + rest, RECIPE), bytes)


@THREE
@given(data=st.data())
def test_damaged_file_never_raises(format: str, data: st.DataObject) -> None:
    """Bytes overwritten anywhere in a file that carries a recipe never raise."""
    carrying = bytearray(embed(FILES[format], RECIPE))
    for place in data.draw(st.lists(st.integers(0, len(carrying) - 1), max_size=4)):
        carrying[place] = data.draw(st.integers(0, 255))
    assert isinstance(extract(bytes(carrying)), Recipe | None)


@pytest.mark.parametrize(
    "inside",
    [
        b"<a>" * 20_000,
        b"<a>" * 9_000 + b"</a>" * 9_000,
        b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>',
        b"\xff\xfe<\0a\0",
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
        b'<a xmlns:k="urn:kontext-studio:1.0:"><k:recipe>' + b"[" * 40_000 + b"</k:recipe></a>",
        b'<a xmlns:k="urn:kontext-studio:1.0:"><k:recipe/></a>',
    ],
    ids=["open", "deep", "entities", "other encoding", "no encoding", "deep JSON", "empty"],
)
def test_hostile_packet_gives_none(inside: bytes) -> None:
    """A packet that is no XML, too deep, or declares entities is passed over."""
    assert extract(saved("JPEG", xmp=inside)) is None


def test_packet_beyond_the_limit_is_not_read() -> None:
    """A packet as large as none of ours is passed over unread, even one with a recipe in it."""
    carrying = embed(FILES["png"], RECIPE)
    with Image.open(io.BytesIO(carrying)) as image:
        packet = image.info["XML:com.adobe.xmp"]
    padded = PngInfo()
    padded.add_itxt("XML:com.adobe.xmp", packet + " " * RECIPE_BYTES)
    assert extract(saved("PNG", pnginfo=padded)) is None


def test_entities_are_not_even_looked_at() -> None:
    """A packet that declares entities gives nothing, also where a true recipe stands in it."""
    carrying = embed(FILES["webp with xmp"], RECIPE)
    declared = XMP.replace(b"<x:xmpmeta", b"<!DOCTYPE a><x:xmpmeta")
    assert extract(carrying) == RECIPE
    assert extract(embed(saved("WEBP", xmp=declared), RECIPE)) is None


@THREE
def test_file_of_countless_parts_is_given_up(format: str) -> None:
    """A file made of empty parts is not read to its end."""
    empty = {"jpeg": b"\xff\xe2\0\2", "png": bytes(4) + b"juNK" + bytes(4), "webp": b"JUNK" + bytes(4)}
    begin = {"jpeg": 2, "png": 33, "webp": 30}[format]
    carrying = embed(FILES[format], RECIPE)
    stuffed = carrying[:begin] + empty[format] * 200_000 + carrying[begin:]
    if format == "webp":
        stuffed = b"RIFF" + (len(stuffed) - 8).to_bytes(4, "little") + stuffed[8:]
    assert extract(stuffed) is None


SHA = "a1" * 32


@pytest.mark.parametrize(
    "changes",
    [
        {"app": "Another Studio"},
        {"format": 2},
        {"extra": 1},
        {"variant": 7},
        {"variant": None},
        {"prompt": None},
        {"prompt": "a lone surrogate \ud83d"},
        {"preset": 3},
        {"seed": True},
        {"seed": 1.0},
        {"seed": -2},
        {"seed": 2**31},
        {"pictures": 0},
        {"pictures": 5},
        {"pictures": True},
        {"pictures": "2"},
        {"values": []},
        {"values": {"size": None}},
        {"values": {"size": [1]}},
        {"values": {"size": {}}},
        {"values": {"guidance_scale": float("nan")}},
        {"values": {"guidance_scale": float("inf")}},
        {"values": {"guidance_scale": 10**400}},
        {"values": {"\udc00": 1}},
        {"references": {}},
        {"references": [{"sha256": SHA, "role": None}] * 6},
        {"references": [SHA]},
        {"references": [{"sha256": SHA}]},
        {"references": [{"sha256": SHA, "role": None, "path": "/etc/passwd"}]},
        {"references": [{"sha256": SHA.upper(), "role": None}]},
        {"references": [{"sha256": SHA + "\n", "role": None}]},
        {"references": [{"sha256": "../" + SHA, "role": None}]},
        {"references": [{"sha256": None, "role": None}]},
        {"references": [{"sha256": SHA, "role": 1}]},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_anything_odd_is_no_recipe(changes: dict[str, Any]) -> None:
    """One thing unknown, of another kind or out of range, and the whole is not read as a recipe."""
    facts = json.loads(to_json(RECIPE))
    assert from_json(json.dumps(facts)) == RECIPE
    assert from_json(json.dumps(facts | changes)) is None


@pytest.mark.parametrize("name", json.loads(to_json(RECIPE)))
def test_every_part_of_a_recipe_must_be_there(name: str) -> None:
    """A recipe that lacks one of its parts is none."""
    rest = {key: value for key, value in json.loads(to_json(RECIPE)).items() if key != name}
    assert from_json(json.dumps(rest)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "1",
        '"a"',
        "{",
        "[" * 50_000,
        "9" * 50_000,
        b"\xff\xfe",
        b"\x00",
        to_json(RECIPE) + " " * RECIPE_BYTES,
    ],
    ids=lambda text: repr(text[:10]),
)
def test_what_is_no_json_of_ours_is_no_recipe(text: str | bytes) -> None:
    """Text and bytes that hold no recipe, or are too long for one, give None."""
    assert from_json(text) is None
