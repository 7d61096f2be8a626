"""Kontext Studio: settings -> backend -> page -> launch. Nothing else happens at import."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradio import Blocks

    from core.settings import Settings

HOME = Path(__file__).parent


def main() -> None:
    """Serve the page until interrupted."""
    gc.disable()  # until it serves: what a start makes stays, and searching it for garbage takes a fifth of the time
    from dotenv import load_dotenv

    load_dotenv(HOME / ".env")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from core.errors import KontextError
    from core.settings import read

    try:
        serve(read(os.environ, HOME))
    except KontextError as error:
        sys.exit(str(error))


def serve(settings: Settings, *, block: bool = True, **overrides: Any) -> tuple[Blocks, str]:
    """Build the page over these settings and launch it; gives back the page and its URL."""
    # Uploads and pictures are served from a folder of our own, so that it can be swept.
    served = settings.data_dir / "served"
    os.environ["GRADIO_TEMP_DIR"] = str(served)
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    from core.backend import Backend
    from core.pictures.reference import MAX_BYTES
    from ui.files import sweep
    from ui.studio.examples import ROUTE, load_examples
    from ui.studio.page import build, head
    from ui.theme import theme

    backend = Backend(settings, HOME / "presets")
    page = build(backend, load_examples(HOME / "examples"))

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        await backend.open()
        if block:  # the process is ours: what main() put off begins, and leaves alone what stands by now
            gc.freeze()
            gc.enable()
        sweeping = asyncio.create_task(sweep_hourly())
        yield
        sweeping.cancel()
        await backend.aclose()

    async def sweep_hourly() -> None:
        while True:
            for folder in (backend.references, served):
                await asyncio.to_thread(sweep, folder, time.time())
            await asyncio.sleep(3600)

    async def healthz(_request: object) -> JSONResponse:
        return JSONResponse({"status": "ok", "backend": backend.account.kind})

    routes = [
        Route("/healthz", healthz),
        Mount(f"/{ROUTE}", StaticFiles(directory=HOME / "examples")),
    ]
    _, url, _ = page.launch(
        theme=theme(),
        head=head(),
        app_kwargs={"lifespan": lifespan, "routes": routes},
        prevent_thread_lock=not block,
        quiet=not block,
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=MAX_BYTES,
        max_threads=2000,  # it caps waiting async events too, of which each open page has one
        state_session_capacity=1000,
        footer_links=["api"],
        **overrides,
    )
    return page, url


if __name__ == "__main__":
    main()
