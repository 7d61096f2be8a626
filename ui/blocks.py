"""A page of Gradio's that does for an event what the event needs, and no more.

Gradio itself has a thread convert each single value of a form, looks twice for files in each that is sent, and makes a
component anew that is left as it is. The components of this page convert what little they do at once, without the disk.
"""

from __future__ import annotations

from copy import copy
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import Block
from gradio.components import Component
from gradio.components.base import _Keywords as Keyword
from gradio.routes import App
from gradio.state_holder import SessionState

SKIPPED = gr.skip()


class Blocks(gr.Blocks):
    """Gradio's page, but for that."""

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> list[Any]:
        """What an event is handed of each input."""
        if not block_fn.preprocess or block_fn.component_prop_inputs:
            return list(await super().preprocess_data(block_fn, inputs, state, explicit_call))
        bare = copy(block_fn)
        bare.preprocess = False
        told = await super().preprocess_data(bare, inputs, state, explicit_call)
        return [_taken(block, state, value) for block, value in zip(block_fn.inputs, told, strict=True)]

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: list[Any] | dict[str, Any], state: SessionState | None
    ) -> list[Any]:
        """What the browser gets for each output of an event."""
        outputs = block_fn.outputs
        told = [predictions] if len(outputs) == 1 else predictions
        if not isinstance(told, list | tuple) or len(told) != len(outputs) or not block_fn.postprocess:
            return await super().postprocess_data(block_fn, predictions, state)
        sent: list[Any] = [SKIPPED] * len(outputs)
        plain = [n for n, output in enumerate(outputs) if _is_value(output, told[n])]
        other = [n for n, output in enumerate(outputs) if n not in plain and (output.stateful or told[n] != SKIPPED)]
        given = [_known(outputs[n], state).postprocess(told[n]) for n in plain]
        for places, values, convert in ((plain, given, False), (other, [told[n] for n in other], True)):
            if places:
                part = copy(block_fn)
                part.outputs, part.postprocess = [outputs[n] for n in places], convert
                made = await super().postprocess_data(part, values[0] if len(values) == 1 else values, state)
                for n, value in zip(places, made, strict=True):
                    sent[n] = value
        return sent


def _taken(block: Any, state: SessionState | None, value: Any) -> Any:
    if block.stateful:
        return value
    known, model = _known(block, state), getattr(block, "data_model", None)
    return known.preprocess(value if model is None or value is None else model.model_validate(value))


def _is_value(output: Block, value: object) -> bool:
    """Whether that is the component's value: not a change of how it looks, nor the end of a generator."""
    plain = isinstance(output, Component) and not output.stateful
    change = isinstance(value, dict) and "update" in value.get("__type__", "")  # as Gradio tells it
    return plain and not (change or isinstance(value, Block | SimpleNamespace | Keyword))


def _known(block: Any, state: SessionState | None) -> Any:
    """The component as this session has it: an event may have changed it."""
    return block if state is None else state.get(block._id, block)


def let_in_at_once(app: App) -> None:
    """Gradio has a thread look at each request for whether its caller has logged in; where nobody can, none need to."""
    if app.auth is None and app.auth_dependency is None:
        (config,) = (route for route in app.routes if getattr(route, "path", "") == "/config")
        for check in getattr(config, "dependant").dependencies:  # noqa: B009 - one of FastAPI's, which only Gradio imports
            if check.call is not None:
                app.dependency_overrides[check.call] = _let_in


async def _let_in() -> None:
    """Whoever asks."""
