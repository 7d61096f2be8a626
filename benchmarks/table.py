"""What every benchmark says of itself: the machine, and a table in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    """One line: when, on what, and how busy that was with other things before we began."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    where = f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return f"{now} · {where} · Python {platform.python_version()}, Gradio {version('gradio')}{load}"


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or "unknown processor"


def heading(title: str) -> None:
    print(f"\n### {title}\n\n{machine()}\n", flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; the first column is words, the others are numbers."""
    print(_line(header), _line(["---", *["---:"] * (len(header) - 1)]), *map(_line, rows), sep="\n", flush=True)
    print()


def verdict(value: float, most: float, form: str = ".2f") -> str:
    """The target beside the value: whether it is reached."""
    return f"≤ {most:{form}} {'✓' if value <= most else '✗'}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
