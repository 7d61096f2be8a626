"""A page of Gradio's whose events cost nothing for what they leave as it is; Gradio itself would make that anew."""

from __future__ import annotations

from copy import copy
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.state_holder import SessionState

SKIPPED = gr.skip()


class Blocks(gr.Blocks):
    """Gradio's page, but for that."""

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: list[Any] | dict[str, Any], state: SessionState | None
    ) -> list[Any]:
        """What the browser gets for each output of an event."""
        outputs = block_fn.outputs
        told = [predictions] if len(outputs) == 1 else predictions
        if not isinstance(told, list | tuple) or len(told) != len(outputs):
            return await super().postprocess_data(block_fn, predictions, state)
        changed = [n for n, output in enumerate(outputs) if output.stateful or told[n] != SKIPPED]
        rest = copy(block_fn)
        rest.outputs = [outputs[n] for n in changed]
        values: Any = [told[n] for n in changed]
        made = await super().postprocess_data(rest, values[0] if len(values) == 1 else values, state)
        by_place = dict(zip(changed, made, strict=True))
        return [by_place.get(n, SKIPPED) for n in range(len(outputs))]
