"""What opens something to whoever has it: made so that nobody guesses it, kept as a hash alone."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b32encode

PREFIX = "kj_"
BYTES = 20


def new_code() -> str:
    """Of an invitation to judge: 160 bits, in letters that survive being read out."""
    return PREFIX + b32encode(secrets.token_bytes(BYTES)).decode().lower()


def hashed(code: str) -> str:
    """What is kept of a code or a token."""
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()
