"""What the service takes: four models, their parameters, their prices, and the checks of one submit.

The rules are JSON Schema fragments, so that the catalogue shows the very rows that are checked.
Source: the service's catalogue of 2026-06-23 (O, D).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Schema = Mapping[str, Any]
Inputs = dict[str, Any]

PROMPT: Schema = {"type": "string", "minLength": 1}
UP_TO_FIVE: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 5}
UP_TO_FOUR: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 4}
SEED: Schema = {"type": "integer", "minimum": -1, "maximum": 2147483647}
RATIO: Schema = {
    "type": "string",
    "enum": ["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"],
}
# A size is text, "width*height": its bounds hold for each of the two.
SIZE: Schema = {"type": "string", "format": "size", "minimum": 256, "maximum": 1536}
STEPS: Schema = {"type": "integer", "minimum": 1, "maximum": 50, "default": 28}
COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 4, "default": 1}
FORMAT: Schema = {"type": "string", "enum": ["jpeg", "png", "webp"], "default": "jpeg"}
OFF: Schema = {"type": "boolean", "default": False}
ON: Schema = {"type": "boolean", "default": True}


def _guidance(default: float) -> Schema:
    return {"type": "number", "minimum": 1, "maximum": 20, "multipleOf": 0.1, "default": default}


PRO: Mapping[str, Schema] = {
    "prompt": PROMPT,
    "images": UP_TO_FIVE,
    "seed": SEED,
    "guidance_scale": _guidance(3.5),
    "aspect_ratio": RATIO,
    "enable_sync_mode": OFF,
}
MAX: Mapping[str, Schema] = {name: rule for name, rule in PRO.items() if name != "seed"}
DEV: Mapping[str, Schema] = {
    "prompt": PROMPT,
    "images": UP_TO_FOUR,
    "seed": {**SEED, "default": -1},
    "guidance_scale": _guidance(2.5),
    "size": SIZE,
    "num_inference_steps": STEPS,
    "num_images": COUNT,
    "output_format": FORMAT,
    "enable_base64_output": OFF,
    "enable_sync_mode": OFF,
}
ULTRA_FAST: Mapping[str, Schema] = {**DEV, "enable_safety_checker": ON}


class Refused(Exception):
    """The service says no: an HTTP status, a sentence, and the envelope's code where it differs."""

    def __init__(self, status: int, message: str, code: int | None = None) -> None:
        self.status = status
        self.message = message
        self.code = status if code is None else code
        super().__init__(message)


@dataclass(frozen=True)
class Model:
    """One model: its id, USD a run (`per_image`: USD an image), its parameters."""

    id: str
    price: Decimal
    per_image: bool
    parameters: Mapping[str, Schema]
    required: tuple[str, ...]

    def check(self, body: object) -> Inputs:
        """The inputs with their defaults; what has no row is dropped without a word, as the service does.

        Raises Refused (400) for the first parameter that is missing or wrong.
        """
        if not isinstance(body, dict):
            raise Refused(400, "request body must be a JSON object")
        for name in self.required:
            if name not in body:
                raise Refused(400, f'field "{name}" is required')
        inputs = {name: rule["default"] for name, rule in self.parameters.items() if "default" in rule}
        for name, rule in self.parameters.items():
            if name in body:
                check_value(name, rule, body[name])
                inputs[name] = body[name]
        return inputs

    def cost(self, inputs: Mapping[str, Any]) -> Decimal:
        """USD for these inputs, which may lack everything but the number of images."""
        if not self.per_image:
            return self.price
        count = inputs.get("num_images", COUNT["default"])
        check_value("num_images", COUNT, count)
        return self.price * int(count)

    def catalogue_entry(self) -> dict[str, Any]:
        schema = {
            "type": "object",
            "properties": {name: dict(rule) for name, rule in self.parameters.items()},
            "required": list(self.required),
            "x-order-properties": list(self.parameters),
        }
        call = {
            "type": "model_run",
            "method": "POST",
            "api_path": f"/api/v3/{self.id}",
            "request_schema": schema,
        }
        entry = {
            "model_id": self.id,
            "name": self.id,
            "base_price": float(self.price),
            "type": "image-to-image",
            "api_schema": {"api_schemas": [call]},
        }
        return {**entry, "formula": "base_price * num_images"} if self.per_image else entry


def _models() -> dict[str, Model]:
    family = "wavespeed-ai/flux-kontext-"
    both = ("prompt", "images")
    # dev and ultra-fast take a request without references, and bill it: the catalogue does not require them.
    return {
        model.id: model
        for model in (
            Model(family + "pro/multi", Decimal("0.04"), False, PRO, both),
            Model(family + "max/multi", Decimal("0.08"), False, MAX, both),
            Model(family + "dev/multi", Decimal("0.03"), True, DEV, ("prompt",)),
            Model(family + "dev/multi-ultra-fast", Decimal("0.025"), True, ULTRA_FAST, ("prompt",)),
        )
    }


MODELS: Mapping[str, Model] = _models()


def check_value(name: str, rule: Schema, value: object) -> None:
    """Raises Refused (400) where `value` breaks `rule`."""
    _check_type(name, rule["type"], value)
    if "enum" in rule and value not in rule["enum"]:
        raise Refused(400, f'field "{name}" must be one of {", ".join(rule["enum"])}')
    if rule.get("format") == "size":
        _check_size(name, rule, str(value))
    elif "minimum" in rule:
        _check_range(name, rule, value)
    if isinstance(value, str) and not value.strip():
        raise Refused(400, f'field "{name}" must not be empty')
    if isinstance(value, list):
        _check_list(name, rule, value)


def _check_type(name: str, kind: str, value: object) -> None:
    fits = {
        "string": isinstance(value, str),
        # True is an int in Python, not in JSON.
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list),
    }
    if not fits[kind]:
        raise Refused(400, f'field "{name}" must be of type {kind}')


def _check_range(name: str, rule: Schema, value: Any) -> None:
    low, high = rule["minimum"], rule["maximum"]
    if not math.isfinite(value) or not low <= value <= high:
        raise Refused(400, f'field "{name}" must be between {low} and {high}')


def _check_size(name: str, rule: Schema, value: str) -> None:
    match = re.fullmatch(r"([0-9]{1,5})\*([0-9]{1,5})", value)
    if match is None:
        raise Refused(400, f'field "{name}" must look like 1024*1024')
    for side in match.groups():
        _check_range(name, rule, int(side))


def _check_list(name: str, rule: Schema, value: list[object]) -> None:
    low, high = rule["minItems"], rule["maxItems"]
    if not low <= len(value) <= high:
        raise Refused(400, f'field "{name}" must have {low} to {high} items')
    if not all(isinstance(item, str) and item.strip() for item in value):
        raise Refused(400, f'field "{name}" must be a list of URLs')


def size_of(text: str) -> tuple[int, int]:
    """Width and height of a size that was checked."""
    width, height = text.split("*")
    return int(width), int(height)
