"""A picture by its address: from public hosts alone, no larger and no slower than is good for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from core.errors import KontextError
from core.pictures.reference import MAX_BYTES
from core.service.web import Web

pytestmark = pytest.mark.anyio


async def for_ever() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 10**6


def answer(request: httpx.Request) -> httpx.Response:
    match request.url.path:
        case "/cat.jpg":
            return httpx.Response(200, content=b"a cat")
        case "/moved":
            return httpx.Response(302, headers={"Location": "/cat.jpg"})
        case "/inside":
            return httpx.Response(302, headers={"Location": "http://169.254.169.254/latest/meta-data"})
        case "/round":
            return httpx.Response(302, headers={"Location": "/round"})
        case "/large":
            return httpx.Response(200, content=for_ever())
        case "/broken":
            raise httpx.ReadError("cut off", request=request)
    return httpx.Response(404)


async def never(_request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("path", ["cat.jpg", "moved"])
async def test_a_public_picture_comes_whole(tmp_path: Path, path: str) -> None:
    """Its bytes as they are, by way of a redirect too."""
    web = Web(tmp_path / "new", transport=httpx.MockTransport(answer))
    file = await web.fetch(f"https://pictures.example/{path}")
    assert file.read_bytes() == b"a cat"
    assert file.parent == tmp_path / "new"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://pictures.example/gone.jpg", "error 404"),
        ("https://pictures.example/inside", "public web"),
        ("https://pictures.example/round", "Couldn't get"),
        ("https://pictures.example/large", f"larger than {MAX_BYTES // 10**6} MB"),
        ("https://pictures.example/broken", "Couldn't get"),
        ("http://127.0.0.1:7860/cat.jpg", "public web"),
        ("http://localhost/cat.jpg", "public web"),
        ("http://[::1]/cat.jpg", "public web"),
        ("http://10.0.0.7/cat.jpg", "public web"),
        ("https://me:secret@pictures.example/cat.jpg", "public web"),
        ("file:///etc/passwd", "public web"),
        ("https://", "public web"),
        ("http://[", "public web"),
        ("cat.jpg", "public web"),
    ],
)
async def test_a_refusal_is_a_sentence_and_leaves_nothing(tmp_path: Path, address: str, words: str) -> None:
    """What went wrong, that it cost nothing, and what to do; no file stays behind."""
    with pytest.raises(KontextError, match=words) as refused:
        await Web(tmp_path, transport=httpx.MockTransport(answer)).fetch(address)
    assert "Nothing was charged." in str(refused.value) and refused.value.advice
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240


async def test_a_name_that_leads_inside_is_not_followed(tmp_path: Path) -> None:
    """A public name whose address is of this network is refused before anything is sent."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["93.184.215.14", "192.168.1.1"]

    with pytest.raises(KontextError, match="public web"):
        await Web(tmp_path, resolve=resolve).fetch("http://pictures.example/cat.jpg")


async def test_nobody_is_waited_for_long(tmp_path: Path) -> None:
    """A host that never answers ends in the same sentence, however often it would be asked again."""
    with pytest.raises(KontextError, match="Couldn't get"):
        await Web(tmp_path, transport=httpx.MockTransport(never), longest=0.01).fetch("https://slow.example/cat.jpg")
