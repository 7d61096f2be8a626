"""Whether ten thousand guesses of invitations tell anything, by their answers or by their time, or slow a holder down.

Run `python benchmarks/guesses.py`. The app is the real one, in a process of its own. Guesses of five kinds come mixed,
as a program sends them; beside them somebody with an invitation asks for what is refused only after it was found.
Loopback only; about four minutes.
"""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
from scipy.stats import mannwhitneyu

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.children import Child  # noqa: E402  (needs the line above when run as a script)
from benchmarks.table import heading, percentile, table, verdict  # noqa: E402
from core.access.codes import code_hash, new_code  # noqa: E402
from core.access.invitations import PREFIX, Invitations  # noqa: E402
from core.ledger import invitations as rows  # noqa: E402
from core.ledger.invitations import Invitation  # noqa: E402
from core.ledger.ledger import Ledger  # noqa: E402

GUESSES = 10_000
EVERY = 20  # guesses between two calls of the holder
UNLIKELY = 0.001  # a difference that chance makes less often counts as one
NOTICED = 1.5  # times as long, to a holder: more than that would be a slow-down

LETTERS = "abcdefghijklmnopqrstuvwxyz234567"

Kinds = dict[str, Callable[[], str]]


def kinds(ledger: Ledger, each: int) -> tuple[Kinds, str]:
    """How each kind of wrong code is made, so many times without a repetition, and a right one."""
    right = Invitations(ledger).invite("holder", Decimal(5), "never")
    now = datetime.now(UTC)
    past = {"ended": {"ended_at": now}, "expired": {"expires_at": now - timedelta(days=1)}}
    once_right = {kind: [new_code(PREFIX) for _ in range(each)] for kind in past}
    with ledger.writing() as connection:
        for kind, codes in once_right.items():
            for code in codes:
                known = Invitation(uuid.uuid4().hex, code, Decimal(1), "never", now - timedelta(days=2), **past[kind])
                assert rows.add(connection, known, code_hash(code))

    def near() -> str:
        letters = list(right)
        for at in random.sample(range(len(PREFIX), len(right)), 3):
            letters[at] = random.choice([letter for letter in LETTERS if letter != right[at]])
        return "".join(letters)

    made: Kinds = {
        "unknown": lambda: new_code(PREFIX),
        "ended": once_right["ended"].pop,
        "expired": once_right["expired"].pop,
        "three letters off": near,
        "malformed": lambda: new_code(PREFIX)[: random.randint(4, 30)],
    }
    return made, right


def call(http: httpx.Client, code: str) -> tuple[float, str]:
    """Seconds, and the answer to a call without a prompt, which makes nothing."""
    began = time.perf_counter()
    asked = http.post("call/generate", json={"data": ["", [], "pro", {}, code]}).json()["event_id"]
    answer = http.get(f"call/generate/{asked}").text
    return time.perf_counter() - began, answer


def main(folder: Path, guesses: int) -> None:
    heading(f"{guesses:,} guesses of invitations, five kinds mixed")
    with (
        Child("service.py", 1.0) as service,
        Child("load.py", "--serve", service.url, folder, environment={"GRADIO_ANALYTICS_ENABLED": "False"}) as app,
        closing(Ledger(folder)) as ledger,
        httpx.Client(base_url=f"{app.url}/gradio_api", timeout=60) as http,
    ):
        made, right = kinds(ledger, guesses // 5)
        before = [call(http, right)[0] for _ in range(200)]
        times, answers, held = guess(http, made, right, guesses)
    report(times, answers, before, held)


def guess(
    http: httpx.Client, made: Kinds, right: str, guesses: int
) -> tuple[dict[str, list[float]], dict[str, Counter[str]], list[float]]:
    """All guesses, in an order that tells nothing either; what the holder waited for meanwhile."""
    times, answers, held = defaultdict[str, list[float]](list), defaultdict[str, Counter[str]](Counter), list[float]()
    order = [kind for kind in made for _ in range(guesses // len(made))]
    random.shuffle(order)
    for number, kind in enumerate(order):
        seconds, answer = call(http, made[kind]())
        times[kind].append(seconds)
        answers[kind][re.sub(r"[0-9]+ s", "n s", answer)] += 1  # how long to wait depends on when it is asked
        if number % EVERY == 0:
            seconds, answer = call(http, right)
            assert "prompt" in answer.lower() and "invitation" not in answer.lower(), answer
            held.append(seconds)
    return times, answers, held


def report(
    times: dict[str, list[float]], answers: dict[str, Counter[str]], before: list[float], held: list[float]
) -> None:
    lines = []
    for kind, mine in times.items():
        others = [seconds for other, rest in times.items() if other != kind for seconds in rest]
        chance = float(mannwhitneyu(mine, others).pvalue)
        told = "none" if chance * len(times) > UNLIKELY else f"p = {chance:.1g}"  # of so many comparisons
        middle, late = statistics.median(mine) * 1000, percentile(mine, 0.95) * 1000
        lines.append([kind, f"{len(mine):,}", f"{middle:.2f} ms", f"{late:.2f} ms", told])
    table(("kind", "guesses", "median", "95th percentile", "told from the others by time"), lines)
    said = {answer for one in answers.values() for answer in one}
    print(f"Different answers, as they came: {len(said)}.")
    for answer in sorted(said):
        print(f"- {json.dumps(answer)}: " + ", ".join(f"{kind} {one[answer]:,}" for kind, one in answers.items()))
    slower = statistics.median(held) / statistics.median(before)
    print(f"\nA holder's call: {slower:.2f} times as long as before the guesses, {verdict(slower, NOTICED)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary), int(os.environ.get("GUESSES", GUESSES)))
