"""One set of values -> checked inputs -> what is sent. All problems at once; ranges and messages from the row."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from core.catalog.limits import FIELD_CHARACTERS, MOST_PROBLEMS, NAME_CHARACTERS, PROMPT_CHARACTERS, TYPED_CHARACTERS
from core.catalog.variants import (
    ASPECT_RATIOS,
    PICTURES,
    REFERENCE_LIMIT,
    REGISTRY,
    SEED,
    SIZE,
    Parameter,
    Variant,
)
from core.errors import InputError, Problem

# Said by their own arguments, not by a value.
_OWN_ARGUMENT = frozenset({"prompt", "images"})

_MEGAPIXEL = 1024 * 1024


@dataclass(frozen=True)
class Inputs:
    """Inputs that hold for their variant.

    `seed` is None only where the variant has none; `values` holds every other parameter that will be sent.
    """

    variant: Variant
    prompt: str
    reference_count: int
    pictures: int
    seed: int | None
    values: Mapping[str, Any]

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """The seed of each prediction: seed, seed+1, … past the largest it goes on at 0; -1 stays for the service."""
        count = 1 if self.variant.pictures_in_one_prediction else self.pictures
        if self.seed is None or self.seed == -1:
            return (self.seed,) * count
        assert SEED.maximum is not None
        return tuple((self.seed + i) % (int(SEED.maximum) + 1) for i in range(count))

    def payload(self, urls: Sequence[str], seed: int | None) -> dict[str, Any]:
        """The body of one submit: nothing in it that the variant does not have."""
        body: dict[str, Any] = {"prompt": self.prompt, "images": list(urls), **self.values}
        if seed is not None:
            body["seed"] = seed
        if self.variant.pictures_in_one_prediction:
            body[PICTURES.name] = self.pictures
        return body


def check(
    variant_id: str,
    prompt: str,
    reference_count: int,
    values: Mapping[str, Any],
    draw_seed: Callable[[], int],
) -> Inputs:
    """Check everything a person asked for.

    `values` may hold any parameter of the variant but prompt and images; None means "not given". `num_images` counts
    pictures for every variant. A seed that is missing or -1 is drawn, so that each run can be repeated.

    Raises:
        InputError: with every problem found.
    """
    variant = find_variant(variant_id)
    given = {name: value for name, value in values.items() if value is not None}
    problems = [*_reference_problems(variant, reference_count), *_prompt_problems(prompt)]
    problems += find_problems(variant, given)
    if problems:
        raise InputError(problems)
    return Inputs(
        variant=variant,
        prompt=prompt.strip(),
        reference_count=reference_count,
        pictures=int(given.get(PICTURES.name, 1)),
        seed=_seed(variant, given, draw_seed),
        values=_sent(variant, given),
    )


def seed_drawer(random: Random) -> Callable[[], int]:
    """What `check` draws seeds with: any that the service takes."""
    assert SEED.maximum is not None
    return partial(random.randint, 0, int(SEED.maximum))


def find_variant(variant_id: Any) -> Variant:
    """The row of that id.

    Raises:
        InputError: there is none.
    """
    if isinstance(variant_id, str) and variant_id in REGISTRY:
        return REGISTRY[variant_id]
    message = f"There is no such variant. Choose one of {', '.join(REGISTRY)}."
    raise InputError([Problem("variant_id", message)])


def find_problems(variant: Variant, values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with these values, prompt and references apart; of very many problems the first."""
    problems = []
    for name, value in values.items():
        row = PICTURES if name == PICTURES.name else variant.parameter(name)
        if row is None or name in _OWN_ARGUMENT:
            problems.append(_unknown(variant, name))
        elif value is not None and not _fits(row, value):
            problems.append(Problem(row.name, f"{row.label} ({row.name}) must be {describe(row)}."))
    return problems[:MOST_PROBLEMS]


def find_page_problems(
    prompt: Any, fields: Sequence[Any], names: Sequence[Any], roles: Sequence[Any], known_roles: Container[str]
) -> list[Problem]:
    """What is wrong with a whole page of inputs, though nothing is asked for yet: no page of ours sends such a thing.

    `names` and `roles` are those of the references, a role being None where there is none.
    """
    if len(roles) > REFERENCE_LIMIT:
        return [Problem("images", f"At most {REFERENCE_LIMIT} pictures are taken; there are {len(roles):,}.")]
    texts = [("The prompt", prompt, TYPED_CHARACTERS)]
    texts += [(f"Field {n}", text, FIELD_CHARACTERS) for n, text in enumerate(fields, start=1)]
    texts += [(f"The name of picture {n}", name, NAME_CHARACTERS) for n, name in enumerate(names, start=1)]
    found = [sentence for called, text, most in texts if (sentence := too_long(called, text, most))]
    found += [
        f"Picture {n} has a role that does not exist."
        for n, role in enumerate(roles, start=1)
        if role is not None and role not in known_roles
    ]
    return [Problem("page", sentence) for sentence in found]


def too_long(called: str, text: Any, most: int) -> str | None:
    """The sentence for a text of more than `most` characters; None where it is not too long."""
    length = len(text) if isinstance(text, str) else 0
    if length <= most:
        return None
    extra = f"{length - most:,} character{'s' if length - most > 1 else ''}"
    return f"{called} is {extra} over the limit of {most:,}. Shorten it."


def describe(row: Parameter) -> str:
    """What the parameter takes, as the end of a sentence."""
    match row.kind:
        case "integer":
            return f"a whole number from {row.minimum} to {row.maximum}"
        case "number":
            return f"a number from {row.minimum} to {row.maximum}"
        case "choice":
            return f"one of {', '.join(row.choices)}"
        case "size":
            return f'width*height such as "1024*768", each from {row.minimum} to {row.maximum} pixels'
        case "boolean":
            return "true or false"
        case "references":
            return f"{row.minimum} to {row.maximum} pictures"
        case "text":
            return f"text of at most {row.maximum:,} characters"


def size_for(aspect_ratio: str) -> str:
    """A size "W*H" of about one megapixel in that shape, both edges a multiple of 16 and within the row's range."""
    assert aspect_ratio in ASPECT_RATIOS and SIZE.maximum and SIZE.step
    across, down = (int(part) for part in aspect_ratio.split(":"))
    ideal = (math.sqrt(_MEGAPIXEL * across / down), math.sqrt(_MEGAPIXEL * down / across))
    shrink = min(1.0, SIZE.maximum / max(ideal))
    width, height = (int(round(edge * shrink / SIZE.step) * SIZE.step) for edge in ideal)
    return f"{width}*{height}"


def parse_size(value: str) -> tuple[int, int] | None:
    """(width, height) in px of a "W*H", or None where it is no such thing."""
    match = re.fullmatch(r"(\d{1,5})\*(\d{1,5})", value, re.ASCII)
    return (int(match[1]), int(match[2])) if match else None


def _reference_problems(variant: Variant, count: int) -> list[Problem]:
    if count < 1:
        return [Problem("images", "There is no reference yet: add at least one picture.")]
    if count > variant.reference_limit:
        message = f"{variant.name} takes at most {variant.reference_limit} references; there are {count}. "
        return [Problem("images", message + "Remove some, or choose another variant.")]
    return []


def _prompt_problems(prompt: Any) -> list[Problem]:
    if not isinstance(prompt, str) or not prompt.strip():
        return [Problem("prompt", "The prompt is empty. Describe the picture you want, or choose a preset.")]
    sentence = too_long("The prompt", prompt, PROMPT_CHARACTERS)
    return [Problem("prompt", sentence)] if sentence else []


def _unknown(variant: Variant, name: str) -> Problem:
    known = [p.name for p in variant.parameters if p.name not in _OWN_ARGUMENT]
    known += [] if PICTURES.name in known else [PICTURES.name]
    # The name came from outside: a long one would bury the message.
    return Problem(name, f"{variant.name} has no {name[:40]!r}. It takes {', '.join(known)}.")


def _fits(row: Parameter, value: Any) -> bool:
    match row.kind:
        case "integer":
            return _is_number(value) and _within(row, value) and value == int(value)
        case "number":
            return _is_number(value) and _within(row, value)
        case "choice":
            return isinstance(value, str) and value in row.choices
        case "size":
            edges = parse_size(value) if isinstance(value, str) else None
            return edges is not None and all(_within(row, edge) for edge in edges)
        case "boolean":
            return isinstance(value, bool)
        case "text" | "references":
            return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within(row: Parameter, value: float) -> bool:
    assert row.minimum is not None and row.maximum is not None
    return row.minimum <= value <= row.maximum


def _seed(variant: Variant, given: Mapping[str, Any], draw_seed: Callable[[], int]) -> int | None:
    if variant.parameter(SEED.name) is None:
        return None
    seed = int(given.get(SEED.name, -1))
    return draw_seed() if seed == -1 else seed


def _sent(variant: Variant, given: Mapping[str, Any]) -> dict[str, Any]:
    # Defaults go along, so that a run does not depend on what the service holds for its defaults that day.
    apart = {*_OWN_ARGUMENT, SEED.name, PICTURES.name}
    sent: dict[str, Any] = {}
    for row in variant.parameters:
        value = given.get(row.name, row.default if row.on_page else None)
        if row.name not in apart and value is not None:
            sent[row.name] = int(value) if row.kind == "integer" else value
    return sent
