"""The reference gallery: numbered cards with roles, to drop, paste, reorder and remove."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel, GradioRootModel

from core.catalog.variants import REFERENCE_LIMIT
from core.pictures.reference import MAX_BYTES
from core.prompts.presets import ROLES

_HERE = Path(__file__).parent


class Card(GradioModel):
    """One reference as the page holds it: its prepared picture, the name it came with, its role if it has one."""

    image: FileData
    name: str = "picture"
    role: str | None = None


class Cards(GradioRootModel):
    """The cards in the order of their numbers. As a data model it makes Gradio refuse paths it did not hand out."""

    root: list[Card]


_SCHEMA = Cards.model_json_schema()  # Gradio asks for it several times for each session


class ReferenceGallery(gr.HTML):
    """Cards whose place is the number in the prompt and in the request.

    `prepare({path, number, name})` is called by the page for each picture that arrives and answers
    `{image}`, or `{refused: sentence}`. `limit` is how many the `variant` of that name takes; `deal` the roles that new
    cards are given, in order.
    """

    data_model = Cards

    def __init__(
        self,
        prepare: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] | None = None,
        *,
        limit: int = REFERENCE_LIMIT,
        variant: str = "",
        deal: Sequence[str] = (),
        **rest: Any,
    ) -> None:
        # The page calls it by this name.
        async def prepare_reference(arrival: dict[str, Any]) -> dict[str, Any]:
            assert prepare is not None
            return await prepare(arrival)

        super().__init__(
            value=[],
            html_template=(_HERE / "references.html").read_text(),
            css_template=(_HERE / "references.css").read_text(),
            js_on_load=(_HERE / "references.js").read_text(),
            apply_default_css=False,
            server_functions=[prepare_reference] if prepare else None,
            limit=limit,
            variant=variant,
            deal=list(deal),
            most=REFERENCE_LIMIT,
            largest=MAX_BYTES,
            roles=[{"id": role.id, "label": role.label, "meaning": role.meaning} for role in ROLES.values()],
            **rest,
        )
        # Else Gradio takes the names for events, since the script mentions them.
        self.limit, self.variant, self.deal = limit, variant, list(deal)

    def preprocess(self, payload: Cards | None) -> list[Card]:
        return payload.root if payload else []

    def postprocess(self, value: Sequence[Card] | None) -> Cards:
        return Cards(root=list(value or []))

    def api_info(self) -> dict[str, Any]:
        return _SCHEMA
