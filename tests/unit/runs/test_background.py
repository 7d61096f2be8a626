"""Tasks that nobody waits for: they are kept until they end, can be waited for, and can be given up."""

from __future__ import annotations

import asyncio
import logging

import pytest

from core.runs.background import Background

pytestmark = pytest.mark.anyio


async def test_what_is_under_way_is_waited_for() -> None:
    """Whoever drains them gets them ended; after that none is kept."""
    background, may_end = Background("a test"), asyncio.Event()
    task = background.begin(may_end.wait())
    await background.drain(0)
    assert (len(background), task.done()) == (1, False)
    may_end.set()
    await background.drain(60)
    assert (len(background), task.result()) == (0, True)


async def test_closing_gives_up_what_is_under_way() -> None:
    """A task that would never end is over once they are closed."""
    background = Background("a test")
    task = background.begin(asyncio.Event().wait())
    await background.aclose()
    assert task.cancelled()


async def test_a_fault_is_named_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody may be waiting: the log says what kind of fault it was, and nothing that it may quote."""

    async def fail() -> None:
        raise ValueError("planted-key")

    with caplog.at_level(logging.INFO):
        background = Background("a test")
        background.begin(fail())
        await background.drain(60)
        await asyncio.sleep(0)
    assert "a test failed: ValueError" in caplog.text
    assert "planted-key" not in caplog.text
