"""Moments that allowances turn at."""

from __future__ import annotations

from datetime import UTC, datetime, time


def midnight(now: datetime) -> datetime:
    """The start of the UTC day that `now` is in."""
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC)
