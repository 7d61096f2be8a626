"""A misbehaving service and an application without its page for each test of faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from lean import BRIEF, Lean
from server import Server


@pytest.fixture(scope="session")
def service() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def server(service: Server) -> Server:
    service.renew()
    return service


@pytest.fixture
async def lean(server: Server, tmp_path: Path) -> AsyncIterator[Lean]:
    lean = Lean(tmp_path / "data", server.url)
    yield lean
    await lean.aclose()


@pytest.fixture
async def brief(server: Server, tmp_path: Path) -> AsyncIterator[Lean]:
    """The same where nobody goes on looking for long."""
    lean = Lean(tmp_path / "data", server.url, timeouts=BRIEF)
    yield lean
    await lean.aclose()


@pytest.fixture
async def hasty(server: Server, tmp_path: Path) -> AsyncIterator[Lean]:
    """The same where nobody waits longer than a second for an answer."""
    lean = Lean(tmp_path / "data", server.url, get=1, post=1)
    yield lean
    await lean.aclose()
