"""“Make it with …”: the recipe of one picture on another variant, and what it does without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from core.catalog.inputs import Inputs, check, size_for
from core.catalog.variants import ASPECT_RATIO, PICTURES, REGISTRY, SEED, SIZE, Variant
from core.ledger.run import Output, Run
from core.prompts.compose import listed
from core.prompts.reference_numbers import reword


def offers(run: Run) -> list[dict[str, Any]]:
    """Each other variant as the page offers it: what is dropped, or why it can't be had."""
    return [_offer(run, variant) for variant in REGISTRY.values() if variant.id != run.variant_id]


def inputs_for(run: Run, output: Output, variant: Variant, draw_seed: Callable[[], int]) -> Inputs:
    """One picture by that variant, from the same references and words, with what it has of the parameters.

    Raises:
        InputError: the variant can't make it.
    """
    values = {**_kept(run, variant), PICTURES.name: 1}
    if variant.parameter(SEED.name):
        values[SEED.name] = output.seed
    return check(variant.id, reword(run.prompt, variant.noun), len(run.references), values, draw_seed)


def _offer(run: Run, variant: Variant) -> dict[str, Any]:
    offer = {"variant": variant.id, "name": variant.name}
    if len(run.references) > variant.reference_limit:
        return {**offer, "note": f"Takes at most {variant.reference_limit} references.", "possible": False}
    dropped = list(_dropped(run, variant))
    return {**offer, "note": f"Without {listed(dropped)}." if dropped else "Same settings.", "possible": True}


def _kept(run: Run, variant: Variant) -> dict[str, Any]:
    """What was set and the variant has; a shape as a size of about that shape."""
    kept = {name: value for name, value in changed(run).items() if variant.parameter(name)}
    if (shape := run.values.get(ASPECT_RATIO.name)) and variant.parameter(SIZE.name):
        kept[SIZE.name] = size_for(shape)
    return kept


def _dropped(run: Run, variant: Variant) -> Iterator[str]:
    """The labels of what was set and finds no place."""
    if run.seed is not None and not variant.parameter(SEED.name):
        yield f"the {SEED.label.lower()}"
    kept, before = _kept(run, variant), REGISTRY.get(run.variant_id)
    for name in changed(run):
        row = before.parameter(name) if before else None
        if name not in kept and row and not (name == ASPECT_RATIO.name and SIZE.name in kept):
            yield f"“{row.label}”"


def changed(run: Run) -> Mapping[str, Any]:
    """The parameters that differ from the variant's defaults: another variant has defaults of its own."""
    before = REGISTRY.get(run.variant_id)
    rows = {row.name: row for row in before.parameters} if before else {}
    return {name: value for name, value in run.values.items() if name not in rows or value != rows[name].default}
