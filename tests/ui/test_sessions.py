"""What Gradio remembers of its callers, against strangers who name sessions that nobody has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.routes import App
from gradio.server_messages import EstimationMessage
from starlette.testclient import TestClient

from ui.sessions import UNFETCHED, Presence, Session, Sessions, Streams, Unfetched, keep_what_is_used

JOIN = "/gradio_api/queue/join"


@pytest.fixture
def blocks() -> gr.Blocks:
    with gr.Blocks() as blocks:
        kept, text, button = gr.State("nothing"), gr.Textbox(), gr.Button()
        button.click(lambda text: (text, text), text, [kept, text], api_name="keep")
    return blocks


@pytest.fixture
def pages() -> Streams:
    return Streams()


@pytest.fixture
def sessions(blocks: gr.Blocks, pages: Streams) -> Iterator[Sessions]:
    """Room for ten, with one page open."""
    sessions = Sessions(pages)
    blocks.state_session_capacity = 10
    sessions.set_blocks(blocks)
    with pages.open("mine"):
        yield sessions


def test_a_session_that_is_open_is_not_put_out(sessions: Sessions) -> None:
    """A thousand made-up ids put out each other; what the page's session holds stays."""
    mine = sessions["mine"]
    for number in range(1100):
        assert isinstance(sessions[f"made up {number}"], Session)
    assert sessions["mine"] is mine
    assert len(sessions.session_data) == len(sessions.time_last_used) == 10


def test_the_oldest_that_nobody_has_open_goes(sessions: Sessions) -> None:
    """Among those without a page the order of their use decides."""
    for number in range(10):
        sessions[str(number)]
    sessions["0"]
    sessions["another"]
    assert "0" in sessions and "another" in sessions and "1" not in sessions


def test_more_pages_than_room_are_all_kept(sessions: Sessions, pages: Streams) -> None:
    """Each has a connection of its own; only what has none must go."""
    with ExitStack() as opened:
        for number in range(20):
            opened.enter_context(pages.open(str(number)))
            sessions[str(number)]
        assert all(str(number) in sessions for number in range(20))


def test_a_session_keeps_no_copy_of_what_was_typed(blocks: gr.Blocks) -> None:
    """Only what the app itself keeps there; Gradio's copy of every component is for deep links, which are not there."""
    session = Session(blocks)
    key, component = next(iter(blocks.blocks.items()))
    session._update_value_in_config(key, "x" * 10_000)
    assert session.config_values == {}
    session[key] = component
    session._update_config(key)
    assert list(session.components) == []


class Serving:
    """A small app with sessions, messages and answers kept as ours are, at a time of its own."""

    def __init__(self, blocks: gr.Blocks, client: TestClient, unfetched: Unfetched, readers: Streams) -> None:
        self.queue = blocks._queue
        self.client = client
        self.unfetched = unfetched
        self.readers = readers
        self.now = 0.0
        unfetched._clock = lambda: self.now

    def post(self, session: str) -> str:
        body = {"data": ["x"], "fn_index": 0, "session_hash": session}
        return str(self.client.post(JOIN, json=body).raise_for_status().json()["event_id"])

    def until_done(self) -> None:
        while self.queue.event_ids_to_events:
            self.client.get("/config")

    @property
    def held(self) -> set[str]:
        return {*self.queue.pending_messages_per_session, *self.queue.pending_event_ids_session}

    def sweep_after(self, *seconds: float) -> None:
        for pause in seconds:
            self.now += pause
            self.unfetched.sweep()


@pytest.fixture
def serving(blocks: gr.Blocks) -> Iterator[Serving]:
    app, presence = App.create_app(blocks), Presence()
    unfetched = keep_what_is_used(app, presence)
    with TestClient(app) as client:
        client.get("/gradio_api/startup-events")
        yield Serving(blocks, client, unfetched, presence.readers)
        blocks._queue.close()


def test_answers_that_nobody_fetches_go(serving: Serving) -> None:
    """They wait for a while, then nothing of them is left."""
    for number in range(30):
        serving.post(str(number))
    serving.until_done()
    serving.sweep_after(0, UNFETCHED)
    assert len(serving.held) == 30
    serving.sweep_after(1)
    assert serving.held == set()


def test_an_answer_is_fetched_late(serving: Serving) -> None:
    """Somebody who comes before that finds it."""
    event = serving.client.post("/gradio_api/call/keep", json={"data": ["late"]}).json()["event_id"]
    serving.until_done()
    serving.sweep_after(0, UNFETCHED)
    assert '"late"]' in serving.client.get(f"/gradio_api/call/keep/{event}").text


def test_what_somebody_listens_to_stays(serving: Serving) -> None:
    """A session or an event with an open stream is not swept, however old."""
    event = serving.post("by its event")
    serving.post("by its session")
    serving.until_done()
    with serving.readers.open(event), serving.readers.open("by its session"):
        serving.sweep_after(0, 10 * UNFETCHED)
        assert serving.held == {"by its event", "by its session"}
    serving.sweep_after(0, UNFETCHED + 1)
    assert serving.held == set()


def test_messages_that_somebody_reads_are_not_put_out(serving: Serving) -> None:
    """Thousands of posts under made-up ids leave the stream of an open page alone."""
    pending = serving.queue.pending_messages_per_session
    pending.max_size = 10
    with serving.readers.open("mine"):
        serving.post("mine")
        for number in range(50):
            serving.post(str(number))
        assert "mine" in pending
    assert len(pending) == 10
    serving.until_done()


def test_a_session_that_was_put_out_ends_the_queue_for_nobody(serving: Serving) -> None:
    """Its event may still be in line, and hears where it stands there: a fault in that would stop all events."""
    put_out = SimpleNamespace(session_hash="put out", alive=True, _id="an event")
    serving.queue.send_message(put_out, EstimationMessage(rank=0, queue_size=1))  # type: ignore[arg-type]
    assert serving.held == set()
    serving.post("there")
    serving.until_done()
    assert not serving.queue.stopped
