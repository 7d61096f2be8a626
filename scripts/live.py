"""Tries every variant once with a real key, and asks before it spends: `python -m scripts.live`."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from dotenv import load_dotenv

from core.backend import Backend
from core.catalog.estimate import dollars, estimate
from core.catalog.inputs import check
from core.catalog.variants import REGISTRY, SEED, Variant
from core.errors import KontextError
from core.ledger.run import Run
from core.pictures.reference import prepare
from core.prompts.compose import compose
from core.runs.runtime import Runtime
from core.service.catalogue import differences
from core.service.client import Client
from core.settings import Settings, read

HOME = Path(__file__).resolve().parents[1]
VISITOR = "live"
PRESET = "product-in-a-scene"
REFERENCES = {"product": "coffee.jpg", "background": "galaxies.jpg"}

NO_KEY = "There is no key: set WAVESPEED_API_KEY, or write it into .env. Nothing was sent and nothing was charged."
NOT_AGREED = "Nothing was sent and nothing was charged."


def bill() -> tuple[str, Decimal]:
    """What trying everything once would spend, in words, and the sum in USD."""
    total = sum((estimate(variant, 1) for variant in REGISTRY.values()), Decimal(0))
    lines = [f"  {variant.name:<12}{dollars(estimate(variant, 1)):>7}" for variant in REGISTRY.values()]
    return "\n".join([*lines, f"  {'together':<12}{dollars(total):>7}"]), total


async def drift(settings: Settings) -> list[str]:
    """In what the service's catalogue differs from the registry, a line for each; it costs nothing."""
    client = Client(str(settings.api_key), settings.base_url, attempts=1)
    try:
        found = differences(REGISTRY.values(), await client.catalogue())
        return found or ["The service's catalogue agrees with the registry."]
    except KontextError as error:
        return [f"The service's catalogue can't be had. {error.happened}"]
    finally:
        await client.aclose()


async def try_all(settings: Settings, runtime: Runtime | None = None) -> list[Run]:
    """One picture with each variant, one after another; prints a receipt for each."""
    backend = Backend(settings, HOME / "presets", runtime=runtime)
    try:
        return [await _try(backend, variant) for variant in REGISTRY.values()]
    finally:
        await backend.aclose()


async def _try(backend: Backend, variant: Variant) -> Run:
    references = [
        replace(prepare(HOME / "examples" / file, number, backend.references), role=role)
        for number, (role, file) in enumerate(REFERENCES.items(), start=1)
    ]
    prompt = compose(backend.presets[PRESET], list(REFERENCES), variant.noun)
    inputs = check(variant.id, prompt, len(references), {}, lambda: secrets.randbelow(int(SEED.maximum or 1)))
    run = await backend.runs.start(VISITOR, backend.account, inputs, references, PRESET)
    print(f"\n{variant.name} …", flush=True)
    async for state in backend.runs.watch(VISITOR, run.id):
        run = state
    print(receipt(run), flush=True)
    return run


def receipt(run: Run) -> str:
    """A finished run in a few lines."""
    charge = (
        f"charged {dollars(run.charge)} ({run.charge_source})"
        if run.charge and run.charge_source
        else "nothing charged"
    )
    parts = [run.state, f"{run.seconds:.1f} s", f"estimate {dollars(run.estimate)}", charge]
    if run.seed is not None:
        parts.append(f"seed {run.seed}")
    pictures = (f"  {output.width} × {output.height}  {output.path}" for output in run.outputs)
    ids = (f"  prediction {prediction.id}" for prediction in run.predictions if prediction.id)
    return "\n".join([f"  {' · '.join(parts)}", *ids, *pictures, *(f"  {trouble}" for trouble in run.troubles)])


def main(environment: Mapping[str, str], ask: Callable[[str], str] = input, runtime: Runtime | None = None) -> None:
    """Say what it would spend, ask, and only after a typed yes spend it."""
    try:
        settings = read(environment, HOME)
        if not settings.api_key:
            sys.exit(NO_KEY)
        print("\n".join(asyncio.run(drift(settings))))
        lines, total = bill()
        print(f"One picture with each variant, billed to your key at {settings.base_url}:\n{lines}")
        if ask(f'Type "yes" to spend up to {dollars(total)}: ').strip().lower() != "yes":
            sys.exit(NOT_AGREED)
        runs = asyncio.run(try_all(settings, runtime))
    except EOFError:
        sys.exit(f"\n{NOT_AGREED}")
    except KontextError as error:
        sys.exit(str(error))
    if any(run.state != "completed" for run in runs):
        sys.exit(1)


if __name__ == "__main__":
    load_dotenv(HOME / ".env")
    main(os.environ)
