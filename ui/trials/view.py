"""The host's page of trials, beside the studio: `#trials` for all, `#trials/<id>` for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from core.catalog.variants import REGISTRY
from core.ledger.ballots import MOST_JUDGES
from core.statistics.votes import MIN_CASES, MIN_JUDGES
from core.trials.trial import MOST_MARGIN, QUESTION_CHARACTERS, TITLE_CHARACTERS

_HERE = Path(__file__).parent


class TrialsView(gr.HTML):
    """Asks by its event `ask` one thing after another; its value is the answer, with the number of what was asked."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(
            value=None,
            html_template='<section class="trials" aria-label="Trials" tabindex="-1"></section>',
            css_template=(_HERE / "trials.css").read_text(),
            js_on_load=(_HERE / "trials.js").read_text(),
            apply_default_css=False,
            variants=[{"id": row.id, "name": row.name} for row in REGISTRY.values()],
            limits={
                "title": TITLE_CHARACTERS,
                "question": QUESTION_CHARACTERS,
                "judges": MOST_JUDGES,
                "margin": MOST_MARGIN,
                "min_cases": MIN_CASES,
                "min_judges": MIN_JUDGES,
            },
            **rest,
        )

    def postprocess(self, value: Any) -> Any:
        return value

    def preprocess(self, payload: Any) -> None:
        """Nothing comes back from here: what is asked comes with the event."""
