"""How a picture was made, kept inside its own file: a recipe goes in without touching a pixel, and comes out again.

The recipe is one property of an XMP packet, as JSON. XMP has a fixed place in JPEG, PNG and WebP alike, and picture
editors carry it along even from one format to another. The packet is put in by hand, between parts of the file that
stay as they are to the bit; nothing is decoded or encoded again.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pydantic

from core.catalog.limits import RECIPE_BYTES
from core.catalog.variants import PICTURES, REFERENCE_LIMIT, SEED

APP = "Kontext Studio"
FORMAT = 1

_LARGEST = 2**53  # beyond it a number is not the same to every reader of JSON


@dataclass(frozen=True)
class Recipe:
    """All it takes to make a run again, and nothing of who made it.

    `values` are the parameters that were sent, seed and number of pictures apart; `references` are pairs of sha256
    and role, in the order that was sent.
    """

    variant_id: str
    prompt: str
    values: Mapping[str, Any]
    seed: int | None
    pictures: int
    preset: str | None
    references: tuple[tuple[str, str | None], ...]


def to_json(recipe: Recipe, indent: int | None = None) -> str:
    facts = {
        "app": APP,
        "format": FORMAT,
        "variant": recipe.variant_id,
        "preset": recipe.preset,
        "prompt": recipe.prompt,
        "values": dict(recipe.values),
        "seed": recipe.seed,
        "pictures": recipe.pictures,
        "references": [{"sha256": sha256, "role": role} for sha256, role in recipe.references],
    }
    text = json.dumps(facts, ensure_ascii=False, indent=indent)
    # Letters of every script stay readable; what UTF-8 or XML can't hold is written as its number.
    return re.sub("[\ud800-\udfff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def from_json(text: str | bytes) -> Recipe | None:
    """The recipe, or None where it is not exactly one: too long, of another format, with anything unknown in it.

    It may come from anybody. Whether there still is such a variant, preset, role or parameter is not looked at here.
    """
    if len(text) > RECIPE_BYTES:
        return None
    try:
        return _File.model_validate_json(text).recipe()
    except ValueError:
        return None


def embed(data: bytes, recipe: Recipe) -> bytes:
    """The same picture with the recipe in its metadata; metadata that it has already is kept.

    Given back as it came: a file that is no JPEG, PNG or WebP, one whose metadata can't be added to, and any file
    where the recipe is longer than RECIPE_BYTES.
    """
    container = _container(data)
    try:
        return data if container is None else _with_packet(data, container, recipe)
    except ValueError:
        return data


def extract(data: bytes) -> Recipe | None:
    """The recipe that a JPEG, PNG or WebP carries, whatever its name; None where it has none. Never raises."""
    container = _container(data)
    part = container.find(data) if container else None
    if container is None or part is None or part.stop - part.body > RECIPE_BYTES + len(container.head):
        return None
    try:
        text = _property(data[part.body + len(container.head) : part.stop])
    except (ValueError, ElementTree.ParseError):
        return None
    return from_json(text) if text else None


# ---- reading JSON that may come from anybody


def _plain(value: str | bool | int | float) -> str | bool | int | float:
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("not the same to every reader")
    return value


_Value = Annotated[str | bool | int | float, pydantic.AfterValidator(_plain)]


class _Strict(pydantic.BaseModel):
    """Exactly these keys, each of exactly its kind. Lone surrogates, which can't be stored or sent, are no text."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Reference(_Strict):
    sha256: Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    role: str | None


class _File(_Strict):
    app: Literal["Kontext Studio"]
    format: Literal[1]
    variant: str
    preset: str | None
    prompt: str
    values: dict[str, _Value]
    seed: Annotated[int, pydantic.Field(ge=SEED.minimum, le=SEED.maximum)] | None
    pictures: Annotated[int, pydantic.Field(ge=PICTURES.minimum, le=PICTURES.maximum)]
    references: Annotated[list[_Reference], pydantic.Field(max_length=REFERENCE_LIMIT)]

    def recipe(self) -> Recipe:
        references = tuple((reference.sha256, reference.role) for reference in self.references)
        return Recipe(self.variant, self.prompt, self.values, self.seed, self.pictures, self.preset, references)


# ---- the packet

_NAMESPACE = "urn:kontext-studio:1.0:"
_NAME = f"{{{_NAMESPACE}}}recipe"
_BEFORE = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
_END = b"</rdf:RDF>"
_AFTER = '</x:xmpmeta><?xpacket end="w"?>'
_EMPTY = _BEFORE.encode() + _END + _AFTER.encode()


def _packet(recipe: Recipe, present: bytes) -> bytes:
    """The packet that is there already, with the recipe as the last of its descriptions."""
    before, end, after = present.rpartition(_END)
    ours = (
        f'<rdf:Description rdf:about="" xmlns:kontext="{_NAMESPACE}">'
        f"<kontext:recipe>{escape(to_json(recipe))}</kontext:recipe></rdf:Description>"
    )
    packet = before + ours.encode() + end + after
    if not end or len(packet) > RECIPE_BYTES:
        raise ValueError("no place for the recipe in this packet")
    return packet


def _property(packet: bytes) -> str | None:
    """Our property, as an element or as an attribute: editors write the one as the other. The last one counts."""
    text = packet.decode()
    if "<!DOCTYPE" in text:  # where entities would be declared that grow without end; XMP has no use for it
        return None
    elements = list(ElementTree.fromstring(text).iter())  # noqa: S314 - at most RECIPE_BYTES bytes, and no entities
    found = [element.text if element.tag == _NAME else element.get(_NAME) for element in elements]
    return next(filter(None, reversed(found)), None)


# ---- the three kinds of file: each is a row of parts, one of which holds the packet

_MOST_PARTS = 100_000  # many times what a picture has: a hostile file is not worth more time


class _Part(NamedTuple):
    """Where a part lies in the file: from `start` to `end` in all, its content from `body` to `stop`."""

    kind: bytes
    start: int
    body: int
    stop: int
    end: int


@dataclass(frozen=True)
class _Container:
    """One kind of file: how it begins, its parts, and which part holds a packet, after the bytes of `head`.

    `wrap` makes such a part of its content, `place` says where one goes that is not there yet, and `finish` makes the
    file agree with itself once it has grown by some bytes.
    """

    magic: bytes
    parts: Callable[[bytes], Iterator[_Part]]
    kind: bytes
    head: bytes
    wrap: Callable[[bytes], bytes]
    place: Callable[[Sequence[_Part]], int]
    finish: Callable[[bytes, int], bytes]

    def find(self, data: bytes) -> _Part | None:
        parts = islice(self.parts(data), _MOST_PARTS)
        return next((part for part in parts if part.kind == self.kind and data.startswith(self.head, part.body)), None)


def _container(data: bytes) -> _Container | None:
    return next((container for container in _CONTAINERS if re.match(container.magic, data, re.DOTALL)), None)


def _with_packet(data: bytes, container: _Container, recipe: Recipe) -> bytes:
    old = container.find(data)
    packet = _packet(recipe, _EMPTY if old is None else data[old.body + len(container.head) : old.stop])
    part = container.wrap(container.head + packet)
    if old is None:
        start = end = container.place(tuple(islice(container.parts(data), _MOST_PARTS)))
    else:
        start, end = old.start, old.end
    return container.finish(data[:start] + part + data[end:], len(part) - (end - start))


def _as_it_is(data: bytes, _growth: int) -> bytes:
    return data


def _jpeg_parts(data: bytes) -> Iterator[_Part]:
    """The segments before the first scan."""
    at = 2
    while data[at : at + 1] == b"\xff":
        kind, size = data[at + 1 : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + size
        if kind == b"\xff":  # filling, allowed before any marker
            at += 1
            continue
        if kind in (b"\xda", b"\xd9") or end > len(data):
            return
        yield _Part(kind, at, at + 4, end, end)
        at = end


def _jpeg_wrap(body: bytes) -> bytes:
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _jpeg_place(parts: Sequence[_Part]) -> int:
    # JFIF and EXIF each want to be the first; XMP comes after both.
    place = 2
    for part in parts:
        if part.kind not in (b"\xe0", b"\xe1"):
            break
        place = part.end
    return place


def _png_parts(data: bytes) -> Iterator[_Part]:
    at = 8
    while at + 12 <= len(data):
        stop = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if stop + 4 > len(data):
            return
        yield _Part(data[at + 4 : at + 8], at, at + 8, stop, stop + 4)
        at = stop + 4


def _png_wrap(body: bytes) -> bytes:
    crc = zlib.crc32(b"iTXt" + body)
    return len(body).to_bytes(4, "big") + b"iTXt" + body + crc.to_bytes(4, "big")


def _png_place(parts: Sequence[_Part]) -> int:
    if not parts or parts[0].kind != b"IHDR":
        raise ValueError("no whole PNG")
    return parts[0].end


def _webp_parts(data: bytes) -> Iterator[_Part]:
    at, whole = 12, 8 + int.from_bytes(data[4:8], "little")
    while at + 8 <= min(whole, len(data)):
        stop = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        end = stop + stop % 2  # parts begin at even places
        if end > min(whole, len(data)):
            return
        yield _Part(data[at : at + 4], at, at + 8, stop, end)
        at = end


def _webp_wrap(body: bytes) -> bytes:
    return b"XMP " + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


def _webp_place(parts: Sequence[_Part]) -> int:
    if not parts:
        raise ValueError("no whole WebP")
    return parts[-1].end


def _webp_finish(data: bytes, growth: int) -> bytes:
    """Say in the header how long the file is now, and that it has XMP; a file of the simple kind has no such header."""
    header = b"" if data[12:16] == b"VP8X" else _webp_header(data)
    size = int.from_bytes(data[4:8], "little") + growth + len(header)
    data = data[:12] + header + data[12:]
    return b"RIFF" + size.to_bytes(4, "little") + data[8:20] + bytes([data[20] | 0x04]) + data[21:]


def _webp_header(data: bytes) -> bytes:
    """The header of the extended kind, for a file that consists of one picture."""
    if data[12:16] == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
        alpha = 0
    elif data[12:16] == b"VP8L" and data[20:21] == b"\x2f":
        bits = int.from_bytes(data[21:25], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    else:
        raise ValueError("no picture at the beginning of this WebP")
    edges = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + (10).to_bytes(4, "little") + bytes([alpha << 4, 0, 0, 0]) + edges


_CONTAINERS = (
    _Container(
        magic=rb"\xff\xd8\xff",
        parts=_jpeg_parts,
        kind=b"\xe1",
        head=b"http://ns.adobe.com/xap/1.0/\0",
        wrap=_jpeg_wrap,
        place=_jpeg_place,
        finish=_as_it_is,
    ),
    _Container(
        magic=rb"\x89PNG\r\n\x1a\n",
        parts=_png_parts,
        kind=b"iTXt",
        head=b"XML:com.adobe.xmp" + bytes(5),  # not compressed, in no language, under no other name
        wrap=_png_wrap,
        place=_png_place,
        finish=_as_it_is,
    ),
    _Container(
        magic=rb"RIFF.{4}WEBP",
        parts=_webp_parts,
        kind=b"XMP ",
        head=b"",
        wrap=_webp_wrap,
        place=_webp_place,
        finish=_webp_finish,
    ),
)
