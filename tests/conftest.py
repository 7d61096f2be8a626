"""What every test shares: one event loop backend, and a home of its own for whatever is written."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
from blocking import Watch
from databases import DATABASE, Server, empty, serving
from hypothesis import settings

# The gate draws the same inputs each time, so that it fails for a change and never by chance; a soak looks further.
settings.register_profile("gate", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("soak", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("gate")


@pytest.fixture(scope="session", autouse=True)
def few_authorities(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing here speaks TLS, and to read whom the whole world trusts takes each client 30 ms: one is enough."""
    end = "-----END CERTIFICATE-----"
    file = tmp_path_factory.mktemp("tls") / "authority.pem"
    file.write_text(certifi.contents().partition(end)[0] + end, "utf-8")
    os.environ["SSL_CERT_FILE"] = str(file)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def watch() -> Watch:
    watch = Watch()
    watch.begin()
    return watch


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop(watch: Watch) -> Iterator[None]:
    """No coroutine of ours touches disk or database without a thread."""
    yield
    blocked, watch.found = watch.found, set()
    assert not blocked, f"on the event loop, without a thread: {sorted(blocked)}"


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the developer's key or writes into the developer's data."""
    for name in ("WAVESPEED_API_KEY", "WAVESPEED_BASE_URL", "KONTEXT_HOSTED", "SPACE_ID", "SPACE_HOST", DATABASE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KONTEXT_DATA_DIR", str(tmp_path / "data"))
    yield


def pytest_collection_finish() -> None:
    """What was collected stays to the end, and searching it for garbage again and again takes a tenth of the time."""
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is marked `both` is shown of SQLite and of PostgreSQL; with `soak=True` of the latter in a soak."""
    marker = metafunc.definition.get_closest_marker("both")
    if marker and not metafunc.definition.get_closest_marker("sqlite"):
        late = [pytest.mark.soak] if marker.kwargs.get("soak") else []
        metafunc.parametrize("database", ["sqlite", pytest.param("postgresql", marks=late)], indirect=True)


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest, own_environment: None) -> str:
    """Where the ledger of this test lies."""
    asked: str = getattr(request, "param", "sqlite")
    if asked == "postgresql":
        request.getfixturevalue("postgresql")
    return asked


@pytest.fixture(scope="session")
def server_of_postgresql() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def postgresql(server_of_postgresql: Server, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database without a row, which the environment asks for."""
    server_of_postgresql.start()
    monkeypatch.setenv(DATABASE, server_of_postgresql.url)
    empty()
    return server_of_postgresql.url
