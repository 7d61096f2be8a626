"""Each test of the sandbox has a sandbox of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from worlds import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with world.http:
        yield world
