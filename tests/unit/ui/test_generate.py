"""The app as an API, called inside this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path

import gradio as gr
import pytest
from blocking import HOME
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image
from running import calm
from serving import AT_ONCE, Served, serving

from core.backend import Backend
from core.settings import read
from ui.api import Api

pytestmark = pytest.mark.anyio


UPLOAD = "/api/v3/media/uploads"

Opened = Callable[..., Backend]
Arrived = Callable[[str, bytes], FileData]


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
async def opened(tmp_path: Path, served: Served) -> AsyncIterator[Opened]:
    """Opens an app with a key, for that service, with more settings by name; it is closed at the end."""
    async with AsyncExitStack() as stack:

        def open_one(**more: str) -> Backend:
            given = {"WAVESPEED_API_KEY": "wsk_host", "WAVESPEED_BASE_URL": served.url, **more}
            settings = read({**given, "KONTEXT_DATA_DIR": str(tmp_path / "data")}, tmp_path)
            backend = Backend(settings, HOME / "presets", runtime=AT_ONCE)
            stack.push_async_callback(backend.aclose)
            return backend

        yield open_one


@pytest.fixture
def arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arrived:
    """A file of that name and content, where Gradio keeps uploads."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    return lambda name, data: FileData(path=save_bytes_to_cache(data, name, str(tmp_path / "served")))


def drawn(colour: str) -> bytes:
    out = BytesIO()
    Image.new("RGB", (96, 64), colour).save(out, "PNG")
    return out.getvalue()


async def test_a_refusal_costs_no_decoding(opened: Opened, arrived: Arrived) -> None:
    """What the budget refuses is refused before any picture is opened, by the sentence of the budget."""
    backend = opened(KONTEXT_VISITOR_BUDGET_USD="0.01", KONTEXT_HOSTED="on")
    backend.decoder.close()  # from here on nothing can be opened
    api, files = Api(backend), [arrived("picture.png", drawn("teal"))]
    with pytest.raises(gr.Error, match=r"0\.01"):
        await api.generate("Make it red", files, "pro")
    with pytest.raises(gr.Error, match=r"would cost \$0\.12, .* \$0\.01"):
        await api.compare("Make it red", files, ["pro", "max"])
    with pytest.raises(gr.Error, match="seeds must be"):
        await api.compare("Make it red", files, ["pro", "max"], {"seeds": []})
    assert not backend.references.exists()


async def test_each_goes_up_as_soon_as_it_is_prepared(opened: Opened, arrived: Arrived, served: Served) -> None:
    """No upload waits for another picture: one is at the service although the other can never be prepared."""
    pictures = [arrived("a.png", drawn("teal")), arrived("b.png", b"no picture")]
    with pytest.raises(gr.Error, match="Reference 2"):
        await Api(opened()).generate("Make it red", pictures, "pro")
    for _ in range(3000):
        if UPLOAD in served.asked:
            break
        await asyncio.sleep(0.01)
    assert (UPLOAD in served.asked, served.submits) == (True, [])


async def test_on_a_hosted_copy_nothing_goes_up_before_it_is_reserved(
    opened: Opened, arrived: Arrived, served: Served
) -> None:
    """A good picture beside a broken one is refused, and leaves nothing in the host's storage."""
    pictures = [arrived("a.png", drawn("teal")), arrived("b.png", b"no picture")]
    with pytest.raises(gr.Error, match="Reference 2"):
        await Api(opened(KONTEXT_HOSTED="on")).generate("Make it red", pictures, "pro")
    await calm()
    assert UPLOAD not in [path for path, _ in served.heard]


async def test_the_same_again_is_neither_opened_nor_uploaded(opened: Opened, arrived: Arrived, served: Served) -> None:
    """Bytes that came before, as a file of another name, cost no decoding and no upload."""
    backend = opened()
    first = await Api(backend).generate("Make it red", [arrived("a.png", drawn("teal"))], "pro")
    backend.decoder.close()  # from here on nothing can be opened
    second = await Api(backend).generate("Make it red [sandbox:failed]", [arrived("b.png", drawn("teal"))], "pro")
    assert (first["status"], second["status"]) == ("completed", "failed")
    assert (served.asked.count(UPLOAD), len(served.submits)) == (1, 2)


@pytest.mark.parametrize(("hosted", "prepared"), [("off", True), ("on", False)])
async def test_what_arrives_is_prepared(
    opened: Opened, arrived: Arrived, served: Served, hosted: str, prepared: bool
) -> None:
    """On one's own computer a picture is prepared as it arrives, once, and goes nowhere; on a hosted app it is left."""
    backend = opened(KONTEXT_HOSTED=hosted)
    picture = Path(arrived("a.png", drawn("teal")).path)
    backend.arrived([picture])
    if prepared:
        await backend.prepare(picture, 1)  # waits for that very one
    backend.decoder.close()
    if prepared:
        assert (await backend.prepare(picture, 1)).path.parent == backend.references
    assert backend.references.exists() == prepared
    await backend.aclose()
    assert UPLOAD not in served.asked
