"""Files between the server's disk and the page: what may be opened, and what is handed out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder, is_in_or_equal

from core.catalog.limits import PATH_CHARACTERS


def address(held: Path) -> str:
    """Where the page fetches a file that lies where Gradio serves from."""
    return f"{gr.route_utils.API_PREFIX}/file={held}"


def file_data(held: Path) -> dict[str, Any]:
    """Such a file as the page takes it."""
    return {
        "path": str(held),
        "url": address(held),
        "orig_name": held.name,
        "meta": {"_type": "gradio.FileData"},
    }


def uploaded(path: object) -> Path | None:
    """The path if it names a file where Gradio keeps uploads, else None: any caller may send any path."""
    if not isinstance(path, str) or "\0" in path or len(path) > PATH_CHARACTERS:
        return None
    real = Path(path).resolve()
    return real if is_in_or_equal(real, get_upload_folder()) and real.is_file() else None
