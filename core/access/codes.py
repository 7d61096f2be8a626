"""Secrets that let somebody in: 160 random bits, shown once, and kept as a hash alone."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable

_BYTES = 20


def new_code(prefix: str, random: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """The prefix, and 32 small letters and digits. `random` gives so many bytes that nobody can guess."""
    return prefix + base64.b32encode(random(_BYTES)).decode().lower()


def code_hash(code: str) -> str:
    """What is kept of a code. It is found by this, so that nothing is compared whose time could tell something."""
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()
