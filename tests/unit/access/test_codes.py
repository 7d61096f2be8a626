"""Secrets that let somebody in."""

from __future__ import annotations

import re

from core.access.codes import code_hash, new_code


def test_no_two_codes_are_alike() -> None:
    """Each has its prefix and 160 bits; it is kept as SHA-256, whatever somebody sends in a code's place."""
    codes = {new_code("kj_") for _ in range(100)}
    assert len(codes) == 100
    assert all(re.fullmatch("kj_[a-z2-7]{32}", code) for code in codes)
    assert code_hash("kj_a") == "f370c1733097008fccefd275d1523b9a4493f146762c5a8ffd9eb9d7114421e0"
    assert len(code_hash("\ud800")) == 64
