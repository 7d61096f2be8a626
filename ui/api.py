"""The app as an API: what programs call, by the same path of checks, budget and ledger as the page."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from core.backend import Backend
from core.catalog.estimate import estimate
from core.catalog.inputs import check, find_problems, find_variant, seed_drawer
from core.catalog.variants import PICTURES
from core.errors import InputError, KontextError, Problem
from core.ledger.run import Run
from core.pictures.reference import Reference
from core.pictures.served import ServedFiles
from ui.files import file_data, uploaded

# Programs have no page to keep an id in: together they are one visitor, under one visitor's cap.
API_VISITOR = "api"
UNFINISHED = "The app closes, and this run is not done."


class Api:
    """The public endpoints of one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._draw_seed = seed_drawer(random.SystemRandom())

    async def generate(
        self, prompt: str, images: list[FileData], variant_id: str, parameters: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make one run and wait for its pictures.

        Args:
            prompt: The picture you want.
            images: The references, in order.
            variant_id: "pro", "max", "dev" or "ultra-fast".
            parameters: Any other parameter of that variant; num_images for every variant.

        Returns:
            run_id, status (completed, partial, failed), predictions ({id, status, seed, error}), outputs (files),
            estimate_usd, charge_usd, seconds.
        """
        try:
            run = await self._run(
                prompt, images if isinstance(images, list) else [], variant_id, _parameters(parameters)
            )
        except KontextError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return await asyncio.to_thread(_answer, run, self._backend.served)

    def estimate(self, variant_id: str, parameters: dict[str, Any] | None = None) -> float:
        """What a run with these parameters is expected to cost, in USD.

        Args:
            variant_id: "pro", "max", "dev" or "ultra-fast".
            parameters: As for generate; num_images is what counts.
        """
        try:
            variant, values = find_variant(variant_id), _parameters(parameters)
            if problems := find_problems(variant, values):
                raise InputError(problems)
        except KontextError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return float(estimate(variant, int(values.get(PICTURES.name) or 1)))

    async def _run(self, prompt: str, images: list[FileData], variant_id: str, values: dict[str, Any]) -> Run:
        # All asked before any picture is opened: what will be refused costs nobody anything.
        inputs = check(variant_id, prompt, len(images), values, self._draw_seed)
        runs = self._backend.runs
        await runs.consider(API_VISITOR, self._backend.account, inputs)
        references = await self._prepared(images)
        run = await runs.start(API_VISITOR, self._backend.account, inputs, references)
        async for state in runs.watch(API_VISITOR, run.id):
            run = state
        if not run.finished:
            raise KontextError(UNFINISHED, "It goes on when the app runs again.", charged="unknown")
        return run

    async def _prepared(self, images: list[FileData]) -> list[Reference]:
        paths = [_path(image) for image in images]
        sources = await asyncio.to_thread(lambda: [uploaded(path) for path in paths])
        lost = [number for number, source in enumerate(sources, start=1) if source is None]
        if lost:
            numbers = ", ".join(map(str, lost))
            raise InputError([Problem("images", f"Reference {numbers} is no uploaded file; send it with handle_file.")])
        preparing = [
            self._backend.prepare(source, number)
            for number, source in enumerate(sources, start=1)
            if source is not None
        ]
        return list(await asyncio.gather(*preparing))


def _path(image: object) -> object:
    # Gradio hands files over as they came; a raw caller may send anything in their place.
    return image.get("path") if isinstance(image, dict) else getattr(image, "path", None)


def _parameters(given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, dict) and all(isinstance(name, str) for name in given):
        return given
    raise InputError([Problem("parameters", 'The parameters must be an object such as {"seed": 7}.')])


def _answer(run: Run, served: ServedFiles) -> dict[str, Any]:
    shown = [served.show(run.id, output.path) for output in run.outputs]
    # JSON has no decimals; a tenth of a cent survives the way through a float and back.
    return {
        "run_id": run.id,
        "status": run.state,
        "predictions": [{"id": p.id, "status": p.status, "seed": p.seed, "error": p.error} for p in run.predictions],
        "outputs": [file_data(file) for file in shown if file],
        "estimate_usd": float(run.estimate),
        "charge_usd": float(run.charge if run.charge is not None else Decimal(0)),
        "seconds": run.seconds,
    }
