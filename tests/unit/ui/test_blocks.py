"""A page whose events leave some of their outputs as they are."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from ui.blocks import Blocks
from ui.sessions import Session

SKIP = gr.skip()


@pytest.fixture
async def page(anyio_backend: str) -> Blocks:
    with Blocks(analytics_enabled=False) as page:
        outputs = [gr.Markdown("before"), gr.State(1), gr.Textbox("before"), gr.Radio(["a", "b"], value="a")]
        gr.Button().click(lambda: None, None, outputs)
        gr.Button().click(lambda: None, None, outputs[0])
    return page


@pytest.mark.anyio
@pytest.mark.parametrize(
    "told",
    [
        ("after", 2, "after", "b"),
        ("after", SKIP, SKIP, SKIP),
        (SKIP, SKIP, SKIP, gr.update(choices=["b", "c"], value="b")),
        (SKIP, 2, SKIP, SKIP),
        (SKIP, SKIP, SKIP, SKIP),
        SKIP,
    ],
)
async def test_the_browser_gets_what_gradio_itself_would_send(page: Blocks, told: Any) -> None:
    ours = await page.postprocess_data(page.fns[0], deepcopy(told), Session(page))
    assert ours == await gr.Blocks.postprocess_data(page, page.fns[0], told, SessionState(page))


@pytest.mark.anyio
async def test_an_only_output_may_be_left_as_it_is(page: Blocks) -> None:
    assert await page.postprocess_data(page.fns[1], SKIP, Session(page)) == [SKIP]  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_what_is_left_as_it_is_is_not_made_anew(page: Blocks) -> None:
    """The session still has the components that the page was built with, and only the changed one is another."""
    session, (_, _, text, choice) = Session(page), page.fns[0].outputs
    await page.postprocess_data(page.fns[0], [SKIP, SKIP, SKIP, gr.update(choices=["b"])], session)
    assert session[text._id] is text
    assert session[choice._id] is not choice


@pytest.mark.anyio
async def test_a_value_too_few_is_named(page: Blocks) -> None:
    """As Gradio does."""
    with pytest.raises(ValueError, match="return enough output values"):
        await page.postprocess_data(page.fns[0], [SKIP, 2, "after"], Session(page))
