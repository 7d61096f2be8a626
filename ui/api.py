"""The app as an API: what programs call, by the same path of checks, budget and ledger as the page."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.data_classes import FileData

from core.backend import Backend
from core.catalog.estimate import estimate
from core.catalog.inputs import Inputs, check, find_problems, find_variant, seed_drawer
from core.catalog.variants import PICTURES
from core.comparisons import comparison
from core.errors import InputError, KontextError, Problem
from core.ledger.run import Run
from core.pictures.reference import Reference
from core.pictures.served import ServedFiles
from core.service.account import Account
from ui.files import file_data, uploaded

# Programs have no page to keep an id in: those without an invitation are one visitor together, under one visitor's cap.
API_VISITOR = "api"
UNFINISHED = "The app is closing, and this run isn't finished."


class Payer(NamedTuple):
    """As whom a program comes, and what pays for it."""

    visitor: str
    account: Account


class Api:
    """The public endpoints of one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._draw_seed = seed_drawer(random.SystemRandom())

    async def generate(
        self,
        prompt: str,
        images: list[FileData],
        variant_id: str,
        parameters: dict[str, Any] | None = None,
        invitation: str = "",
    ) -> dict[str, Any]:
        """Make one run and wait for its pictures.

        Args:
            prompt: The picture you want.
            images: The references, in order.
            variant_id: "pro", "max", "dev" or "ultra-fast".
            parameters: Any other parameter of that variant; num_images for every variant.
            invitation: Such as "kx_…", if you have one: the run is then paid from it.

        Returns:
            run_id, status (completed, partial, failed), predictions ({id, status, seed, error}), outputs (files),
            estimate_usd, charge_usd, seconds.
        """
        try:
            given = images if isinstance(images, list) else []
            payer = await self.payer(invitation)
            run = await self._run(payer, prompt, given, variant_id, _parameters(parameters))
        except KontextError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return await asyncio.to_thread(_answer, run, self._backend.served)

    async def compare(
        self,
        prompt: str,
        images: list[FileData],
        variant_ids: list[str],
        parameters: dict[str, Any] | None = None,
        invitation: str = "",
    ) -> dict[str, Any]:
        """Make one run for each cell of a comparison, all or none, and wait for their pictures.

        Args:
            prompt: The picture you want. Ignored where prompts are given; a note says so if it isn't the first of them.
            images: The references, in order.
            variant_ids: Such as ["pro", "max"]. One that can't take part is left out, and a note says why.
            parameters: As for generate, for each variant that has them. In addition one of seeds (2 to 4, no
                closer than num_images), prompts (2 to 4 wordings, in place of the prompt) and leave_one_out (true: one
                reference less at a time).
            invitation: As for generate.

        Returns:
            comparison_id, estimate_usd, charge_usd, notes (sentences), cells ({variant_id, seed, prompt, left_out (the
            number of a reference, or null), run (as generate gives it back)}).
        """
        try:
            given = images if isinstance(images, list) else []
            payer = await self.payer(invitation)
            return await self._comparison(payer, prompt, given, variant_ids, _parameters(parameters))
        except KontextError as error:
            raise gr.Error(str(error), print_exception=False) from None

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

    async def payer(self, invitation: object) -> Payer:
        """As whom a program comes that has this invitation, or none.

        Raises:
            KontextError: the invitation isn't valid.
        """
        if invitation in ("", None):
            return Payer(API_VISITOR, await self._backend.account_for(""))
        account, _ = await self._backend.invited(invitation)
        return Payer(f"{API_VISITOR}-{account.invitation}", account)

    async def _run(
        self, payer: Payer, prompt: str, images: list[FileData], variant_id: str, values: dict[str, Any]
    ) -> Run:
        # All asked before any picture is opened: what will be refused costs nobody anything.
        inputs = check(variant_id, prompt, len(images), values, self._draw_seed)
        runs = self._backend.runs
        await runs.consider(*payer, inputs)
        references = await self.prepared(payer, images, inputs)
        return await self._end_of(payer, await runs.start(*payer, inputs, references))

    async def _comparison(
        self, payer: Payer, prompt: str, images: list[FileData], variant_ids: list[str], values: dict[str, Any]
    ) -> dict[str, Any]:
        plan = comparison.plan(prompt, len(images), variant_ids, values, self._draw_seed)
        runs = self._backend.runs
        await runs.consider(*payer, *plan.inputs)
        references = await self.prepared(payer, images, *plan.inputs)
        comparison_id, started = await comparison.start(runs, *payer, plan, references)
        ended = await asyncio.gather(*(self._end_of(payer, run) for run in started))
        answers = await asyncio.to_thread(lambda: [_cell(run, self._backend.served) for run in ended])
        return {
            "comparison_id": comparison_id,
            "estimate_usd": float(sum(run.estimate for run in ended)),
            "charge_usd": float(sum(run.charge or Decimal(0) for run in ended)),
            "notes": list(plan.notes),
            "cells": answers,
        }

    async def _end_of(self, payer: Payer, run: Run) -> Run:
        async for state in self._backend.runs.watch(payer.visitor, run.id):
            run = state
        if not run.finished:
            raise KontextError(UNFINISHED, "It continues when the app starts again.", charged="unknown")
        return run

    async def prepared(self, payer: Payer, images: list[FileData], *inputs: Inputs) -> list[Reference]:
        """The uploaded pictures, ready to be sent for these inputs.

        Raises:
            KontextError: one can't be used.
        """
        paths = [_path(image) for image in images]
        sources = await asyncio.to_thread(lambda: [uploaded(path) for path in paths])
        lost = [number for number, source in enumerate(sources, start=1) if source is None]
        if lost:
            numbers = ", ".join(map(str, lost))
            raise InputError(
                [Problem("images", f"Reference {numbers} isn't an uploaded file. Send it with handle_file.")]
            )
        preparing = [
            self._sent_ahead(payer, source, number, inputs)
            for number, source in enumerate(sources, start=1)
            if source is not None
        ]
        return list(await asyncio.gather(*preparing))

    async def _sent_ahead(self, payer: Payer, source: Path, number: int, asked: Sequence[Inputs]) -> Reference:
        """Each goes to the service as soon as it is prepared: the run that follows finds it there, or on its way.

        Not on a hosted copy: whoever sends four good pictures and a broken one would fill the host's storage for free.
        """
        reference = await self._backend.prepare(source, number)
        for inputs in () if self._backend.settings.hosted else asked:
            self._backend.runs.prefetch(payer.account, inputs, [reference])
        return reference


def _path(image: object) -> object:
    # Gradio hands files over as they came; a raw caller may send anything in their place.
    return image.get("path") if isinstance(image, dict) else getattr(image, "path", None)


def _parameters(given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, dict) and all(isinstance(name, str) for name in given):
        return given
    raise InputError([Problem("parameters", 'The parameters must be an object such as {"seed": 7}.')])


def _cell(run: Run, served: ServedFiles) -> dict[str, Any]:
    left_out = run.cell.left_out if run.cell else None
    about = {"variant_id": run.variant_id, "seed": run.seed, "prompt": run.prompt, "left_out": left_out}
    return {**about, "run": _answer(run, served)}


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
