"""The process that opens pictures for `Decoder`: `python -m core.pictures.worker SECONDS BYTES`.

Jobs come on stdin, answers go to stdout: a line of JSON each, after a job's line as many bytes as its "size" says.
Nothing is unpickled on either side, since a hostile picture may have got the better of a decoder here.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from core.errors import KontextError, ReferenceRejected
from core.pictures.blind import Unopenable, make_alike
from core.pictures.output import open_picture
from core.pictures.reference import is_large, prepare

Job = dict[str, Any]

_READY = b"\n"  # a first line, so that the start of this process is not counted among a picture's seconds


def main() -> None:
    """Do one job after another until the app closes stdin, or is gone."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    _limit("RLIMIT_AS", memory)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a decoder prints is no answer
    jobs: queue.SimpleQueue[tuple[Job, bytes]] = queue.SimpleQueue()
    answers.write(_READY)
    threading.Thread(target=_listen, args=(sys.stdin.buffer, jobs), daemon=True).start()
    while True:
        job, data = jobs.get()
        # The app ends a job that takes too long; where the app itself was killed, the system does.
        _limit("RLIMIT_CPU", int(time.process_time() + 2 * seconds) + 1)
        answers.write(json.dumps(_answer(job, data)).encode() + b"\n")


def _listen(jobs: IO[bytes], into: queue.SimpleQueue[tuple[Job, bytes]]) -> None:
    """Its own thread, so that the end of the app is noticed in the middle of a picture."""
    for line in jobs:
        job = json.loads(line)
        into.put((job, jobs.read(job["size"])))
    os._exit(0)


def _limit(name: str, value: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has none: there the app alone watches the time
        return
    kind = getattr(resource, name)
    with suppress(ValueError, OSError):  # macOS takes no limit of memory
        resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def _answer(job: Job, data: bytes) -> Job:
    try:
        if job["do"] == "open":
            picture = open_picture(data)
            return {"opened": [picture.format, picture.width, picture.height]}
        if job["do"] == "alike":
            make_alike(list(map(Path, job["sources"])), list(map(Path, job["targets"])))
            return {"made": True}
        if job.get("quick") and is_large(Path(job["source"])):
            return {"large": True}
        made = prepare(Path(job["source"]), job["number"], Path(job["folder"]))
        return {"prepared": [str(made.path), made.sha256, made.media_type, made.width, made.height]}
    except ReferenceRejected as refused:
        return {"rejected": [refused.reason, refused.advice]}
    except Unopenable as error:
        return {"unopenable": [error.happened, error.advice]}
    except KontextError as error:
        return {"failed": [error.happened, error.advice]}


if __name__ == "__main__":
    main()
