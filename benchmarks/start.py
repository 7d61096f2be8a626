"""How soon after its start the app answers, beside a page with nothing but a text box.

Run `python benchmarks/start.py`. The two start by turns, each in a process of its own; loopback only.
"""

from __future__ import annotations

import http.client
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.table import heading, table, verdict  # noqa: E402  (needs the line above when run as a script)

ROUNDS = 7
TIMEOUT = 60  # seconds
TARGET = 1.15

BARE = """
import gradio as gr
with gr.Blocks() as page:
    gr.Textbox()
page.launch(quiet=True)
"""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def first_answer(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds from the start of the process to the last byte of its page; and of the processor, its end included."""
    port = free_port()
    own = {
        "GRADIO_SERVER_PORT": str(port),
        "KONTEXT_DATA_DIR": str(folder),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "KONTEXT_OPEN": "off",
    }
    keyless = {name: value for name, value in os.environ.items() if not name.startswith("WAVESPEED_")}
    began, used = time.perf_counter(), processor()
    answered = None
    process = subprocess.Popen(command, env={**keyless, **own}, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        while time.perf_counter() - began < TIMEOUT and process.poll() is None:
            if answers(port):
                answered = time.perf_counter() - began
                break
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(TIMEOUT)
    if answered is None:
        sys.exit(f"{' '.join(command)[:80]} gave no page.")
    return answered, processor() - used


def processor() -> float:
    """Seconds of processor time that children which have ended used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status == 200 and bool(answer.read())
    except OSError:
        return False
    finally:
        connection.close()


def main() -> None:
    heading("Start: to the first page")
    commands = {"bare Gradio page": [sys.executable, "-c", BARE], "ours": [sys.executable, str(ROOT / "app.py")]}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds = first_answer(command, Path(folder))
            if number:  # the first round only fills the disk cache
                taken[name].append(seconds)
    walls = {name: [wall for wall, _ in row] for name, row in taken.items()}
    cpu = {name: statistics.median(used for _, used in row) for name, row in taken.items()}
    medians = {name: statistics.median(row) for name, row in walls.items()}
    bare, ours = commands
    ratio = medians[ours] / medians[bare]
    rows = [[name, f"{medians[name]:.2f} s", f"{min(walls[name]):.2f}-{max(walls[name]):.2f} s"] for name in commands]
    rows[0] += ["", "", f"{cpu[bare]:.2f} s", ""]
    rows[1] += [f"{ratio:.2f}", verdict(ratio, TARGET), f"{cpu[ours]:.2f} s", f"{cpu[ours] / cpu[bare]:.2f}"]
    table((f"{ROUNDS} each", "median", "range", "ratio", "target", "processor", "ratio"), rows)


if __name__ == "__main__":
    main()
