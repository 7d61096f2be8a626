"""A page that hands events what Gradio itself would, and sends what it would, with less work."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.routes import App
from gradio.state_holder import SessionState

from ui.blocks import Blocks, let_in_at_once
from ui.sessions import Session
from ui.studio.references import ReferenceGallery

SKIP = gr.skip()


@pytest.fixture
async def page(anyio_backend: str) -> Blocks:
    with Blocks(analytics_enabled=False) as page:
        outputs = [gr.Markdown("before"), gr.State(1), gr.Textbox("before"), gr.Radio(["a", "b"], value="a")]
        gr.Button().click(lambda: None, None, outputs)
        gr.Button().click(lambda: None, None, outputs[0])
        form = [gr.Textbox(), gr.Number(precision=0), gr.Slider(1, 9), gr.Radio(["a", "b"]), ReferenceGallery()]
        gr.Button().click(lambda *_: None, [outputs[1], *form], None)
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


@pytest.mark.anyio
@pytest.mark.parametrize("told", [["x", 2.4, 3, "a", []], [None, None, 9, None, None], ["", 1, 1, "b", []]])
async def test_an_event_is_handed_what_gradio_itself_would_hand_it(page: Blocks, told: list[Any]) -> None:
    event, given = page.fns[2], [None, *told]
    ours = await page.preprocess_data(event, deepcopy(given), Session(page), explicit_call=True)
    assert ours == await gr.Blocks.preprocess_data(page, event, given, SessionState(page), explicit_call=True)


@pytest.mark.anyio
async def test_a_choice_counts_as_the_session_has_it(page: Blocks) -> None:
    """What an event has added may be chosen, in that page alone."""
    session, event = Session(page), page.fns[2]
    radio = event.inputs[4]
    session[radio._id] = gr.Radio(["c"], render=False)
    told = [None, "", 1, 1, "c", []]
    assert (await page.preprocess_data(event, list(told), session))[4] == "c"
    with pytest.raises(gr.Error, match="not in the list of choices"):
        await page.preprocess_data(event, list(told), Session(page))


@pytest.mark.anyio
@pytest.mark.parametrize(("auth", "answer"), [(None, 200), ([("ann", "secret")], 401)])
async def test_only_where_nobody_can_log_in_is_everybody_let_in(page: Blocks, auth: Any, answer: int) -> None:
    app = App.create_app(page)
    app.auth, page.auth_message = auth, None
    let_in_at_once(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as browser:
        assert (await browser.get("/config")).status_code == answer
