"""What the browser tests share: one browser, a served app, and a page on which no error goes unnoticed."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from studio import HOST_KEY, HOST_PASSCODE, PHONE, HandSandbox, Profile, Studio, Visit, serving

HERE = Path(__file__).parent
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Playwright's loop stays on the thread once it runs, and the async tests need one of their own: so these come last.
    # They do so in each worker as well, since `--dist load` hands tests out in the order of this list.
    items.sort(key=lambda item: HERE in item.path.parents)
    for item in items:
        if HERE in item.path.parents:
            # Gradio's queue asks pandas for options that pandas is about to drop, and its client leaves loops open.
            item.add_marker(pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What an app does to the process's environment ends with these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield
    gc.collect()  # what was left open is found here, where the marks above still hold


@pytest.fixture(scope="session")
def studio(service: HandSandbox, own_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The app without a key: on its own sandbox; with a key of one's own it is the service behind a port."""
    given = {"KONTEXT_HOST_PASSCODE": HOST_PASSCODE, "WAVESPEED_BASE_URL": service.url}
    with serving(tmp_path_factory.mktemp("studio"), KONTEXT_SANDBOX_SECONDS="0.05", **given) as studio:
        yield studio


@pytest.fixture(scope="session")
def service() -> Iterator[HandSandbox]:
    """A sandbox behind a port, as the real service is; its time can be held still."""
    with HandSandbox() as service:
        yield service


@pytest.fixture(scope="session")
def live(service: HandSandbox, own_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The app with a host's key, pointed at a service behind a port."""
    data = tmp_path_factory.mktemp("live")
    with serving(data, WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=service.url) as studio:
        yield studio


@pytest.fixture(scope="session")
def profile(browser: Browser) -> Profile:
    """Where a visitor sits down who is alone, at a desk; it costs half of a browser of one's own."""
    return Profile(browser)


@pytest.fixture(scope="session")
def phones(browser: Browser) -> Profile:
    """The same with a phone in the hand."""
    return Profile(browser, **PHONE)


@pytest.fixture(scope="session")
def one_for_all(browser: Browser, studio: Studio) -> Iterator[Visit]:
    with Visit(browser, studio).open() as visit:
        yield visit


@pytest.fixture
def inputs(one_for_all: Visit) -> Iterator[Visit]:
    """A page for what is done with the inputs alone, without a run: to open one costs more than most of that. It is
    put back by hand, and opened anew where a test has failed on it.
    """
    one_for_all.studio.take_turn()
    yield one_for_all
    try:
        one_for_all.start_over()
        one_for_all.sound()
    except BaseException:
        one_for_all.open().start_over()
        raise


@pytest.fixture
def visit(profile: Profile, studio: Studio) -> Iterator[Visit]:
    """A visitor's open page."""
    with Visit(profile, studio).open() as visit:
        yield visit
