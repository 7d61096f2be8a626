"""Runs every benchmark, one after the other, each in a process of its own: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = ("prepare.py", "latency.py", "load.py", "history.py", "start.py", "page.py", "judge.py")


def main() -> None:
    """Ends with 1 if any of them failed; the others are run all the same."""
    failed = [name for name in SCRIPTS if subprocess.run([sys.executable, HERE / name]).returncode]
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
