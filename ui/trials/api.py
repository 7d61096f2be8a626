"""Trials as an API: what programs call, by the same path of checks, budget and ledger as the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from core.backend import Backend
from core.errors import InputError, KontextError, Problem
from core.ledger.trials import Spec, Trial
from ui.api import Api, Payer
from ui.trials.spec import MOST_IMAGES, UNPREPARED, read


class TrialApi:
    """The public endpoints of one backend that are about trials."""

    def __init__(self, backend: Backend, api: Api) -> None:
        self._backend = backend
        self._trials = backend.trials
        self._api = api

    async def trial(self, spec: dict[str, Any], images: list[FileData], invitation: str = "") -> dict[str, Any]:
        """Make the pictures of a trial, all or none, and let judges in.

        Args:
            spec: title, question, variants (2 to 4), cases ({prompt, images (which of the images, from 0 on), roles,
                parameters (as for generate; "seeds": [7, 8] for a second picture of each variant)}), judges, margin,
                closes_at, min_cases, min_judges; and confirm_usd, which must equal the estimate.
            images: The references of all cases.
            invitation: As for generate.

        Returns:
            trial_id, seal, estimate_usd, judge_link, state ("open" once its pictures are made).
        """
        async with _told():
            payer = await self._api.payer(invitation)
            given = images if isinstance(images, list) else []
            ready, confirmed = await self._ready(payer, spec, given)
            trial, code = await self._sealed(payer, ready, confirmed)
            async for progress in self._trials.watch(payer.visitor, trial.id):
                trial = progress.trial
        return {
            "trial_id": trial.id,
            "seal": trial.seal,
            "estimate_usd": float(confirmed),
            "judge_link": f"/judge#{code}",
            "state": trial.state,
        }

    async def close(self, trial_id: str, invitation: str = "") -> dict[str, Any]:
        """Take no more votes on a trial of yours.

        Args:
            trial_id: As /trial gave it back.
            invitation: The one that it was made with.

        Returns:
            trial_id, seal, state.
        """
        async with _told():
            payer = await self._api.payer(invitation)
            trial = await self._trials.close(payer.visitor, str(trial_id))
        return {"trial_id": trial.id, "seal": trial.seal, "state": trial.state}

    async def report(self, trial_id: str, invitation: str = "") -> dict[str, Any]:
        """What the judges of a closed trial say.

        Args:
            trial_id: As /trial gave it back.
            invitation: The one that it was made with.

        Returns:
            verdict ({kind, variant, words}), variants ({id, preferred_share, preferred_low, preferred_high, p_best,
            usable_share, usable_low, usable_high, usd_per_usable, usd_per_usable_low, usd_per_usable_high}), judges,
            cases, withdrawn, agreement, places, seal.
        """
        async with _told():
            payer = await self._api.payer(invitation)
            return await self._trials.report(payer.visitor, str(trial_id))

    async def _ready(self, payer: Payer, spec: object, images: list[FileData]) -> tuple[Spec, Decimal]:
        """The trial with its references. All is asked before any picture is opened."""
        if len(images) > MOST_IMAGES:
            raise InputError([Problem("images", f"Send at most {MOST_IMAGES} images; there are {len(images):,}.")])
        unprepared, confirmed = read(spec, [UNPREPARED] * len(images))
        _, cells = self._trials.plan(payer.account, unprepared, confirmed)
        await self._backend.runs.consider(*payer, *(cell.inputs for cell in cells))
        one_each = {cell.inputs.variant: cell.inputs for cell in cells}
        return read(spec, await self._api.prepared(payer, images, *one_each.values()))

    async def _sealed(self, payer: Payer, spec: Spec, confirmed: Decimal) -> tuple[Trial, str]:
        saving = asyncio.create_task(self._trials.save(*payer, spec))
        try:
            draft = await asyncio.shield(saving)
            return await self._trials.seal(*payer, draft.id, confirmed)
        except (KontextError, asyncio.CancelledError):
            with suppress(KontextError):  # whoever stopped waiting may have stopped too late
                await self._trials.delete(payer.visitor, (await saving).id)
            raise


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    """What goes wrong is told to the caller in a sentence."""
    try:
        yield
    except KontextError as error:
        raise gr.Error(str(error), print_exception=False) from None
