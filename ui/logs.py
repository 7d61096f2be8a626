"""The log as JSON lines: what the app says, and which run it says it of. Never a prompt, a key or an invitation."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import IO

from core.runs.journal import RUN, log_foreign
from core.service.redact import Redactor

OURS = ("app", "core", "ui")  # whose words hold nothing that a visitor typed
_CODE = re.compile(r"\bk[xj]_\w+", re.ASCII | re.IGNORECASE)


class JsonLines(logging.Formatter):
    """Each record as one object: time (UTC), level, logger, message, and where they are known run, fault and line."""

    def __init__(self) -> None:
        super().__init__()
        self._redactor = Redactor()

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
            "run": RUN.get(),
            **_fault(record),
        }
        return json.dumps({name: value for name, value in told.items() if value}, ensure_ascii=False)

    def _message(self, record: logging.LogRecord) -> str:
        """Another library's words may quote anything, but for those that stand in its source."""
        if record.name.split(".")[0] in OURS:
            return _CODE.sub("[code]", self._redactor.line(record.getMessage()))
        return self._redactor.line(record.msg) if record.args else ""


def _fault(record: logging.LogRecord) -> dict[str, str]:
    """Its type and the line it came from; its text may quote anything."""
    kind, _, trace = record.exc_info or (None, None, None)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return {"fault": kind.__name__ if kind else "", "line": line}


def print_no_faults() -> None:
    """Gradio prints whatever its events raise, and such a text quotes all that somebody sent: their prompt, their key,
    their invitation. From now on each is a line in the log, with its type and where it came from.
    """

    def print_exc(*_: object, **__: object) -> None:
        if (fault := sys.exception()) is not None:
            log_foreign(fault, "an event of the page")

    traceback.print_exc = print_exc


def log_as_json(stream: IO[str] = sys.stderr) -> None:
    """From now on this process logs so: of the app everything that an operator wants to know, of libraries warnings."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
