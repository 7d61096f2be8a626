"""Every handler that runs on the event loop, once over: while one visitor's file is read, nobody else waits.

What makes each of these tests fail is `nothing_blocks_the_loop` in the conftest; here it gets something to look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from blocking import HOME, Watch
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image
from serving import AT_ONCE

from core.backend import Backend
from core.settings import read
from ui.api import Api
from ui.studio.form import AUTO, Form, plain_parameters
from ui.studio.input_handlers import InputHandlers
from ui.studio.references import Card
from ui.studio.run_handlers import RunHandlers

pytestmark = pytest.mark.anyio

VISITOR = "0123456789abcdef" * 2
DEFAULTS = {name: None if name == "seed" else row.default for name, row in plain_parameters().items()}


@pytest.fixture
async def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Backend]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    settings = read({"KONTEXT_DATA_DIR": str(tmp_path / "data"), "KONTEXT_SANDBOX_SECONDS": "0"}, tmp_path)
    backend = Backend(settings, HOME / "presets", runtime=AT_ONCE)
    yield backend
    await backend.aclose()


def uploaded_picture(folder: Path) -> str:
    """A picture where Gradio keeps what was uploaded."""
    Image.new("RGB", (96, 64), "teal").save(folder / "picture.png")
    return save_bytes_to_cache((folder / "picture.png").read_bytes(), "drop-1.png", str(folder / "served"))


async def last(seen: AsyncIterator[Any]) -> Any:
    return [one async for one in seen][-1]


async def test_the_page(backend: Backend, tmp_path: Path) -> None:
    """A picture is added and made into one, opened, made once more, used, and taken out of the history."""
    inputs = InputHandlers(backend, {})
    handlers, request = RunHandlers(backend, inputs), gr.Request()
    card = Card(image=(await inputs.prepare_reference({"path": uploaded_picture(tmp_path)}))["image"])
    flat = Form([card], None, [""], "Make it red", "pro", 1, AUTO, None, None, DEFAULTS).flat()
    payer = (VISITOR, None, "sandbox")
    assert (await last(handlers.generate(request, *payer, "0.040000", *flat)))[0]["pictures"]
    found, _ = await inputs.recheck(gr.EventData(None, {"fields": ["prompt"]}), *flat)
    assert found == {"found": {}, "press": ""}
    run = (await backend.runs.list_for(VISITOR))[0]
    event = gr.EventData(None, {"run": run.id, "number": 1, "prediction": run.predictions[0].id})
    assert (await last(handlers.arrive(request, VISITOR)))[3]["pictures"]
    assert (await last(handlers.open(request, VISITOR, event)))["pictures"]
    assert (await last(handlers.again(request, *payer, event)))["pictures"]
    assert await last(handlers.resume(request, *payer, event))
    assert await last(handlers.recover(request, *payer, event))
    assert len(await handlers.use(VISITOR, event, *flat)) == 2
    await handlers.prefetch(None, "sandbox", *flat)
    await handlers.stop(VISITOR, event)
    assert (await handlers.search(VISITOR, event))["runs"]
    assert (await handlers.archive(VISITOR, event))["offer"]
    assert (await handlers.receipts(VISITOR))["offer"]
    assert await handlers.restore(VISITOR, "", event, *flat)
    assert await handlers.after(VISITOR, run.created_at, None, "pro")
    assert await last(handlers.prices(VISITOR, None, "1", ""))
    await handlers.discard(VISITOR, event)
    assert len((await handlers.history(VISITOR))["runs"]) == 1


async def test_the_api(backend: Backend, tmp_path: Path) -> None:
    """A program's call, from the uploaded file to the files of its answer."""
    answer = await Api(backend).generate("Make it red", [FileData(path=uploaded_picture(tmp_path))], "pro")
    assert answer["outputs"]
    answer = await Api(backend).compare("Make it red", [FileData(path=uploaded_picture(tmp_path))], ["pro", "dev"])
    assert len(answer["cells"]) == 2


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("open(path).close()", {"core/made_up.py work: open"}),
        ("path.is_file()", {"core/made_up.py work: os.stat"}),
        ("await asyncio.to_thread(path.is_file)", set()),
        ("await theirs(path)", set()),
    ],
)
async def test_the_watch_sees_ours_alone(watch: Watch, tmp_path: Path, body: str, found: set[str]) -> None:
    """A coroutine of core that touches a file is found, unless it does so in a thread; one from elsewhere is not."""
    (tmp_path / "file").touch()

    async def theirs(path: Path) -> None:
        path.is_file()  # noqa: ASYNC240 - the very thing

    names: dict[str, Any] = {"asyncio": asyncio, "theirs": theirs}
    exec(compile(f"async def work(path):\n    {body}", str(HOME / "core" / "made_up.py"), "exec"), names)
    await names["work"](tmp_path / "file")
    seen, watch.found = watch.found, set()
    assert seen == found
