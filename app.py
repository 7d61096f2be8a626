"""Kontext Studio: settings -> backend -> page -> launch. Nothing else happens at import."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from gradio import Blocks
    from gradio.routes import App
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute

    from core.backend import Backend
    from core.runs.runtime import Runtime
    from core.settings import Settings
    from ui.sessions import Presence, Unfetched
    from ui.shutdown import Signals

HOME = Path(__file__).parent
NO_SIGN_IN = "Nobody can sign in, though KONTEXT_SIGN_IN is on: that needs a Space whose card says hf_oauth: true."
WARM_UP_AFTER = 3.0  # seconds; the first page goes first


def main() -> None:
    """Serve the page until interrupted."""
    from ui.shutdown import Signals

    signals = Signals()
    gc.disable()  # until it serves: what a start makes stays, and searching it for garbage takes a fifth of the time
    from dotenv import load_dotenv

    load_dotenv(HOME / ".env")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from core.errors import KontextError
    from core.settings import read

    try:
        settings = read(os.environ, HOME)
        from ui.logs import log_as_json, print_no_faults

        print_no_faults()
        if settings.log == "json":
            log_as_json()
        keep_temporary_files(settings.data_dir / "temporary")
        serve(settings, signals)
    except KontextError as error:
        sys.exit(str(error))


def keep_temporary_files(folder: Path) -> None:
    """Whatever is written for a moment is ours, and swept: what breaks off leaves such files behind."""
    with suppress(OSError):  # the data folder can't be written to, and that is said in its place
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


def serve(
    settings: Settings, signals: Signals | None = None, runtime: Runtime | None = None, **overrides: Any
) -> tuple[Blocks, str]:
    """Build the page over these settings and launch it; gives back the page and its URL.

    With `signals` the process is its own: it serves until one of them comes, and then closes.
    """
    # Uploads and pictures are served from a folder of our own, so that it can be swept.
    os.environ["GRADIO_TEMP_DIR"] = str(settings.data_dir / "served")
    # Nobody reads Gradio's statistics, for which it would go through its last ten thousand events after each one.
    os.environ |= {"GRADIO_ANALYTICS_MAX_EVENTS": "100", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9)}
    do_without_plots()
    from core.backend import Backend

    # Before Gradio comes: what can't be kept or read is said at once.
    backend = Backend(settings, HOME / "presets", runtime=runtime)
    from core.pictures.reference import MAX_BYTES
    from ui.sessions import SESSIONS, Presence
    from ui.shutdown import CLOSING, STREAMS, close
    from ui.studio.examples import load_examples
    from ui.studio.page import build, head
    from ui.theme import theme

    page = build(backend, load_examples(HOME / "examples"))
    routes = _routes(backend)
    loops: list[asyncio.AbstractEventLoop] = []
    presence = Presence()
    lifespan = _lifespan(backend, loops, presence, own=signals is not None)
    proxied = settings.hosted and not settings.allowed_hosts
    names = None if proxied else {*settings.allowed_hosts, settings.server_name.lower(), *_public_name(settings)}
    middleware = _middleware(backend, routes, names, presence)
    _, url, shared = page.launch(
        theme=theme(),
        head=head(),
        app_kwargs={"lifespan": lifespan, "routes": routes, "middleware": middleware},
        prevent_thread_lock=True,
        quiet=signals is None or settings.log == "json",
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=MAX_BYTES,
        max_threads=2000,  # it caps waiting async events too, of which each open page has one
        state_session_capacity=SESSIONS,
        footer_links=["api"],
        **{"server_name": settings.server_name, "share": settings.share, **overrides},
    )
    if names is not None and shared:
        names.add(str(urlsplit(shared).hostname))
    page.server.config.timeout_graceful_shutdown = STREAMS
    if signals:
        _announce(settings, url)
        signals.wait()
        say(CLOSING, settings)
        close(page, backend, loops[0])
    return page, url


def _middleware(
    backend: Backend, routes: Sequence[BaseRoute], names: Collection[str] | None, presence: Presence
) -> list[Middleware]:
    """What stands in front of Gradio; `names` as for the door."""
    from starlette.middleware import Middleware

    from ui.door import Door
    from ui.sign_in import LOGIN_ROUTES
    from ui.uploads import Uploads

    ours = [*routes, *LOGIN_ROUTES] if backend.settings.sign_in else routes
    return [
        Middleware(Door, ours=ours, names=names, presence=presence),
        Middleware(Uploads, room_for=backend.storage.room_for, taken=backend.arrived),
    ]


def do_without_plots() -> None:
    """Gradio imports matplotlib around every step of every event: known to be missing, it is not looked for there."""
    if find_spec("matplotlib") is None:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]


def _public_name(settings: Settings) -> set[str]:
    """The host name that the service calls back, if any."""
    return {str(urlsplit(settings.public_url).hostname)} if settings.public_url else set()


def say(words: str, settings: Settings) -> None:
    """For whoever started the app, in the log's own way."""
    if settings.log == "json":
        logging.getLogger("app").info(words)
    else:
        print(words, flush=True)


def _announce(settings: Settings, url: str) -> None:
    """Say whom the page trusts, and show it in the browser where that is wanted."""
    import webbrowser

    from core.access.budget import terms

    say(terms(settings), settings)
    if settings.sign_in_lacks:
        say(f"{NO_SIGN_IN} Missing here: {', '.join(settings.sign_in_lacks)}.", settings)
    if settings.open_browser:  # in a thread: some browsers answer only once they are closed
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _lifespan(
    backend: Backend, loops: list[asyncio.AbstractEventLoop], presence: Presence, *, own: bool
) -> Callable[[App], AbstractAsyncContextManager[None]]:
    """What goes on while the app serves; `loops` gets the loop that it does so on, `own` is a process for it alone."""

    from ui.blocks import let_in_at_once
    from ui.sessions import keep_what_is_used

    async def warm_up() -> None:
        await asyncio.sleep(WARM_UP_AFTER)
        await asyncio.to_thread(backend.decoder.warm)

    async def each_minute(unfetched: Unfetched) -> None:
        while True:
            await asyncio.sleep(60)
            unfetched.sweep()
            await backend.sweep()

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        loops.append(asyncio.get_running_loop())
        await backend.open()
        if own:  # what main() put off begins, and leaves alone what stands by now
            gc.freeze()
            gc.enable()
        let_in_at_once(app)
        sweeping = each_minute(keep_what_is_used(app, presence))
        sweeps = (backend.storage.hourly(), backend.retention.hourly(), sweeping)
        tasks = [asyncio.create_task(task) for task in (*sweeps, backend.daily(), warm_up())]
        yield
        for task in tasks:
            task.cancel()
        await backend.aclose()

    return lifespan


def _routes(backend: Backend) -> list[BaseRoute]:
    """What the app answers beside Gradio: whether it serves, whether it takes runs, trials, judges, examples."""
    from starlette.responses import JSONResponse, RedirectResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    from core.access.attempts import Attempts
    from core.backend import DATABASE_AWAY
    from ui.callbacks import CallbackApi
    from ui.judge.routes import JudgeApi
    from ui.sign_in import SignIn
    from ui.studio.examples import ROUTE
    from ui.studio.presets import SAMPLES

    async def healthz(_request: object) -> JSONResponse:
        away = backend.status == DATABASE_AWAY  # which a restart would not bring back
        return JSONResponse({"status": backend.status if away else "ok", "backend": backend.account.kind})

    async def readyz(_request: object) -> JSONResponse:
        return JSONResponse({"status": backend.status}, 200 if backend.status == "ready" else 503)

    async def trials(_request: object) -> RedirectResponse:
        return RedirectResponse("./#trials")

    pictures = [Mount(f"/{route}", StaticFiles(directory=HOME / route)) for route in (ROUTE, SAMPLES)]
    judges = JudgeApi(backend.judging, Attempts()).routes()
    around = SignIn(backend).routes()
    ours = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/trials", trials)]
    callbacks = CallbackApi(backend.runs.called, Attempts()).route()
    return [*ours, callbacks, *judges, *around, *_host_page(backend), *_metrics(backend), *pictures]


def _host_page(backend: Backend) -> list[BaseRoute]:
    """Nothing where the host has chosen no passcode."""
    passcode = backend.settings.host_passcode
    if passcode is None:
        return []
    from core.access.attempts import Attempts
    from core.access.passcode import Passcode
    from ui.host.routes import HostApi

    return HostApi(backend, Passcode(passcode, Attempts())).routes()


def _metrics(backend: Backend) -> list[BaseRoute]:
    """Nothing where nobody is to read them."""
    if backend.settings.metrics_token is None:
        return []
    from ui.metrics import Metrics

    return Metrics(backend).routes()


if __name__ == "__main__":
    main()
