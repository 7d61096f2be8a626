"""The page's events, looked at without a browser."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.events import EventData
from studio import HOME

from core.backend import Backend
from core.settings import read
from ui.studio.examples import load_examples
from ui.studio.page import build


@pytest.fixture(scope="module")
def page(own_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    """The page as it is built; warnings are errors here, and Gradio only warns of a handler with the wrong arity."""
    settings = read({"KONTEXT_DATA_DIR": str(tmp_path_factory.mktemp("wiring"))}, HOME)
    backend = Backend(settings, HOME / "presets")
    yield build(backend, load_examples(HOME / "examples"))
    backend.ledger.close()


def test_only_these_endpoints_are_public(page: gr.Blocks) -> None:
    """Runs, comparisons, estimates and trials have a name; every event of the page itself is private."""
    shown = {fn.api_name for fn in page.fns.values() if fn.api_visibility != "private"}
    assert shown == {"generate", "compare", "estimate", "trial", "trial_close", "trial_report"}


def test_every_element_has_an_id_of_its_own(page: gr.Blocks) -> None:
    """No elem_id stands twice, or a style and a label would find the wrong one."""
    ids = Counter(block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None))
    assert [elem_id for elem_id, count in ids.items() if count > 1] == []


def given(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Those that the event's inputs fill; Gradio brings the rest by their type."""
    brought = (EventData, gr.Request, gr.Progress)
    return [p for p in parameters if not (inspect.isclass(p.annotation) and issubclass(p.annotation, brought))]


def test_every_handler_takes_what_its_event_sends(page: gr.Blocks) -> None:
    """The count of inputs fits the handler's signature."""
    for fn in page.fns.values():
        if fn.fn is None:  # answered in the browser, or a cancelling of others
            continue
        parameters = given(list(inspect.signature(fn.fn, eval_str=True).parameters.values()))
        fixed = [p for p in parameters if p.kind is not p.VAR_POSITIONAL]
        required = [p for p in fixed if p.default is p.empty]
        most = len(fixed) if fixed == parameters else float("inf")
        assert len(required) <= len(fn.inputs) <= most, fn.name


def test_no_event_waits_for_another_visitor(page: gr.Blocks) -> None:
    """A run is watched for minutes: nothing that goes through Gradio's queue is limited to so many at once."""
    queued = [fn for fn in page.fns.values() if fn.fn and fn.queue is not False]
    assert {"generate", "arrive"} <= {fn.name for fn in queued}
    assert [fn.name for fn in queued if fn.concurrency_limit is not None] == []


def test_nothing_waits_for_what_is_prefetched(page: gr.Blocks) -> None:
    """What a control sets off is sent in order, each after the answer to the one before: this one is the last."""
    (prefetch,) = [fn for fn in page.fns.values() if fn.name == "prefetch"]
    assert prefetch.targets and not prefetch.queue
    for target in prefetch.targets:
        assert [fn for fn in page.fns.values() if target in fn.targets][-1] is prefetch


def test_no_two_events_can_set_each_other_off(page: gr.Blocks) -> None:
    """When a deferred event is free, the browser sends all that its trigger sets off, the other deferred ones too."""
    deferred = [fn for fn in page.fns.values() if fn.trigger_mode == "always_last"]
    triggers = Counter(target for fn in deferred for target in fn.targets if target[0] is not None)
    assert deferred and [trigger for trigger, count in triggers.items() if count > 1] == []


def test_no_event_is_set_off_by_a_state(page: gr.Blocks) -> None:
    """The browser tells of a state's change before it has put the other outputs of the same answer in place."""
    states = [number for number, block in page.blocks.items() if isinstance(block, gr.State | gr.BrowserState)]
    assert states
    assert [fn.name for fn in page.fns.values() if any(number in states for number, _ in fn.targets)] == []


def test_arriving_answers_with_the_header(page: gr.Blocks) -> None:
    """What the session cost stands there with the first answer, whatever comes after it."""
    (arrive,) = [fn for fn in page.fns.values() if fn.name == "arrive"]
    assert "title" in [block.elem_id for block in arrive.outputs]


def initial(page: gr.Blocks) -> dict[str, Any]:
    return dict(page.get_config_file())


def test_nothing_secret_is_in_the_first_page(tmp_path: Path) -> None:
    """With a key set, what every visitor is sent before doing anything does not hold it."""
    settings = read({"KONTEXT_DATA_DIR": str(tmp_path), "WAVESPEED_API_KEY": "wsk_planted_in_config"}, HOME)
    backend = Backend(settings, HOME / "presets")
    assert "wsk_planted_in_config" not in repr(initial(build(backend, load_examples(HOME / "examples"))))
    backend.ledger.close()
