"""The app as an API, called inside this process."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from blocking import HOME
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from core.backend import Backend
from core.settings import read
from ui.api import Api

pytestmark = pytest.mark.anyio


async def test_a_refusal_costs_no_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the budget refuses is refused before any picture is opened, by the sentence of the budget."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    given = {"WAVESPEED_API_KEY": "wsk_host", "KONTEXT_VISITOR_BUDGET_USD": "0.01", "KONTEXT_HOSTED": "on"}
    backend = Backend(read({**given, "KONTEXT_DATA_DIR": str(tmp_path / "data")}, tmp_path), HOME / "presets")
    Image.new("RGB", (96, 64), "teal").save(tmp_path / "picture.png")
    path = save_bytes_to_cache((tmp_path / "picture.png").read_bytes(), "picture.png", str(tmp_path / "served"))
    backend.decoder.close()  # from here on nothing can be opened
    try:
        api, files = Api(backend), [FileData(path=path)]
        with pytest.raises(gr.Error, match=r"0\.01"):
            await api.generate("Make it red", files, "pro")
        with pytest.raises(gr.Error, match=r"would cost \$0\.12, .* \$0\.01"):
            await api.compare("Make it red", files, ["pro", "max"])
        with pytest.raises(gr.Error, match="seeds must be"):
            await api.compare("Make it red", files, ["pro", "max"], {"seeds": []})
        assert not backend.references.exists()
    finally:
        await backend.aclose()
