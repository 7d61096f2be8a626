"""What of a recipe fits the app as it is: it may come from anybody, from another version, or from an old run."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from core.catalog.inputs import find_problems
from core.catalog.limits import PROMPT_CHARACTERS
from core.catalog.variants import PICTURES, REGISTRY, SEED, Variant
from core.pictures.recipe import Recipe
from core.prompts.presets import ROLES


def fit(recipe: Recipe, presets: Container[str], variant_id: str) -> tuple[Recipe, list[str]]:
    """The recipe without whatever a page can't hold, and in words what was left out.

    `variant_id` takes the place of a variant that there is none of.
    """
    known = recipe.variant_id in REGISTRY
    variant = REGISTRY[recipe.variant_id if known else variant_id]
    asked = {**recipe.values, SEED.name: recipe.seed, PICTURES.name: recipe.pictures}
    odd = [name for name, value in asked.items() if value is not None and find_problems(variant, {name: value})]
    roles = [role if role in ROLES else None for _, role in recipe.references]
    long = len(recipe.prompt) > PROMPT_CHARACTERS
    fitted = replace(
        recipe,
        variant_id=variant.id,
        prompt="" if long else recipe.prompt,
        values={name: value for name, value in recipe.values.items() if name not in odd},
        seed=None if SEED.name in odd else recipe.seed,
        pictures=1 if PICTURES.name in odd else recipe.pictures,
        preset=recipe.preset if recipe.preset in presets else None,
        references=tuple((sha256, role) for (sha256, _), role in zip(recipe.references, roles, strict=True)),
    )
    left_out = [
        *(["the variant"] if not known else []),
        *(["the prompt, which is too long"] if long else []),
        *(["the preset"] if fitted.preset != recipe.preset else []),
        *dict.fromkeys(_called(name, variant) for name in odd),
        *[f"the role of reference {n}" for n, (_, role) in enumerate(recipe.references, 1) if role != roles[n - 1]],
    ]
    return fitted, left_out


def _called(name: str, variant: Variant) -> str:
    # A name that the registry does not know may be anything, so it is not repeated.
    row = PICTURES if name == PICTURES.name else variant.parameter(name)
    return f"“{row.label}”" if row else f"settings that {variant.name} doesn't have"
