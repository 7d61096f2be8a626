"""A real nginx with a configuration of docs/, of which only the addresses are others."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
ALONE, REPLICAS = "nginx.conf", "nginx-replicas.conf"

_NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
_BEHIND = re.compile(r"(?<=server )[\d.]+:7860(?=[; ])")


def addresses(name: str) -> list[str]:
    """Where that configuration expects the app, in its order."""
    return list(dict.fromkeys(_BEHIND.findall((DOCS / name).read_text("utf-8"))))


@contextmanager
def in_front(folder: Path, name: str, *behind: str, hurry: bool = False) -> Iterator[str]:
    """The URL of an nginx in front of these addresses, which writes into the folder alone and ends with the block.

    In a `hurry` what it does after seconds or minutes comes within half a second.
    """
    port = _free_port()
    written = (DOCS / name).read_text("utf-8")
    instead = dict(zip(addresses(name), behind, strict=True))
    written = _BEHIND.sub(lambda found: instead[found[0]], written)
    written = _once(written, "listen 80;", f"listen 127.0.0.1:{port};")
    if hurry:
        written = _once(_once(written, "read_timeout 1m;", "read_timeout 500ms;"), "timeout 2s;", "timeout 500ms;")
    with _running(folder, written, port):
        yield f"http://127.0.0.1:{port}"


def _once(text: str, this: str, instead: str) -> str:
    assert text.count(this) == 1, this
    return text.replace(this, instead)


@contextmanager
def _running(folder: Path, written: str, port: int) -> Iterator[None]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder / kind}; " for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder / 'pid'}; error_log {folder / 'log'};\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{written}}}\n"
    )
    command = [_NGINX, "-p", str(folder), "-e", str(folder / "log"), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _await_port(process, port)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _await_port(process: subprocess.Popen[str], port: int) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1])


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])
