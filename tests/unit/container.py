"""What the Dockerfile would make, read without Docker: its instructions, and the folder that the app would run in."""

from __future__ import annotations

import json
import re
import shutil
from fnmatch import fnmatch
from pathlib import Path, PurePath

HOME = Path(__file__).resolve().parents[2]

_LINES = re.sub(r"\\\n\s*", "", (HOME / "Dockerfile").read_text("utf-8")).splitlines()
INSTRUCTIONS = [(word, rest) for word, _, rest in (line.partition(" ") for line in _LINES if line) if word != "#"]
_PATTERNS = [line for line in (HOME / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]


def last(instruction: str) -> str:
    """What holds of an instruction that may be given several times."""
    return [rest for word, rest in INSTRUCTIONS if word == instruction][-1]


def command(words: str) -> list[str]:
    """The program and its arguments of a CMD that needs no shell."""
    listed: list[str] = json.loads(words)
    return listed


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for word, rest in INSTRUCTIONS if word == "ENV" for pair in rest.split())


def goes_in(path: PurePath) -> bool:
    """Whether .dockerignore lets a file through; `path` is relative to this repository. The last match decides."""
    let = True
    for pattern in _PATTERNS:
        wanted = pattern.removeprefix("!")
        names = path.parts if wanted.startswith("**/") else path.parts[:1]
        if any(fnmatch(name, wanted.removeprefix("**/")) for name in names):
            let = pattern.startswith("!")
    return let


def lay_out(folder: Path) -> Path:
    """The folder that the image would run the app in."""
    tops = {pattern[1:] for pattern in _PATTERNS if pattern.startswith("!")}
    for path in (path for top in tops for path in [HOME / top, *(HOME / top).rglob("*")] if path.is_file()):
        inside = path.relative_to(HOME)
        if goes_in(inside):
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / inside)
    return folder
