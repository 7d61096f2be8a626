"""The process is killed outright while votes come in, and started again: every vote that was answered counts once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from judged import VARIANTS, open_trial

from core.ledger import ballots
from core.ledger.ledger import Ledger
from core.trials.judging import Judging

JUDGES, CASES = 10, 18  # of 18 cases a judge has 20 ballots
SECONDS = 60  # for anything, on a machine that has other things to do
HOME = Path(__file__).resolve().parents[2]

Vote = dict[str, Any]


def serve(folder: str) -> None:
    """In a process of its own: the judges' routes on a free port, which it tells."""
    import uvicorn
    from starlette.applications import Starlette

    from core.access.attempts import Attempts
    from ui.judge.routes import JudgeApi

    app = Starlette(routes=JudgeApi(judging(Ledger(Path(folder))), Attempts()).routes())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    listening = server.config.bind_socket()
    listening.listen()  # whoever reads the port may come before the server does
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run([listening])


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address; killed in the end, if it was not before."""
    command = [sys.executable, "-c", "import sys; from test_votes import serve; serve(sys.argv[1])", str(folder)]
    path = ":".join(map(str, (HOME, HOME / "tests/faults", HOME / "tests/unit")))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": path})
    assert process.stdout
    try:
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}/judge/api/"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def judging(ledger: Ledger) -> Judging:
    return Judging(ledger, lambda: datetime.now(UTC))


def joined(judging: Judging, code: str) -> tuple[str, list[Vote]]:
    """A judge's token, and the votes that they will send: the first place best, the last worst."""
    told = judging.join(code, "Kim", False)
    assert told
    token, _, progress = told
    shown = [judging.ballot(token, position) for position in range(progress.total)]
    return token, [
        {"ballot": one.ballot.id, "best": one.pictures[0], "worst": one.pictures[-1], "usable": [], "remark": ""}
        for one in shown
        if one and one.ballot
    ]


async def send(http: httpx.AsyncClient, token: str, votes: list[Vote], heard: Callable[[str], None]) -> None:
    """One after the other, as the page does, until nobody answers any more."""
    for vote in votes:
        try:
            answer = await http.post("vote", json=vote, headers={"Authorization": f"Bearer {token}"})
        except httpx.TransportError:
            return
        assert answer.status_code == 200, answer.text
        heard(vote["ballot"])


def stored(ledger: Ledger, trial_id: str) -> list[ballots.Ballot]:
    with ledger.reading() as connection:
        return [ballot for _, ballot in ballots.voted(connection, trial_id)]


@pytest.mark.parametrize("after", [90, *(pytest.param(n, marks=pytest.mark.soak) for n in (1, 17, 45, 120, 160, 190))])
@pytest.mark.anyio
async def test_every_answered_vote_counts_once(tmp_path: Path, after: int) -> None:
    """Killed after so many of two hundred votes: those answered are there, and all are, once, when all come again."""
    answered: set[str] = set()
    with closing(Ledger(tmp_path)) as ledger:
        trial, code = open_trial(ledger, CASES, VARIANTS[:2])
        judges = [joined(judging(ledger), code) for _ in range(JUDGES)]
    with served(tmp_path) as (process, url):

        def heard(ballot: str) -> None:
            answered.add(ballot)
            if len(answered) == after:
                process.kill()

        async with httpx.AsyncClient(base_url=url, timeout=SECONDS) as http:
            await asyncio.gather(*(send(http, *judge, heard) for judge in judges))
    assert len(answered) >= after
    with closing(Ledger(tmp_path)) as ledger:
        assert answered <= {ballot.id for ballot in stored(ledger, trial.id)}
        for token, votes in judges:
            for vote in votes:
                assert judging(ledger).vote(token, *vote.values())
        kept = stored(ledger, trial.id)
    assert len(kept) == len({ballot.id for ballot in kept}) == JUDGES * (CASES + 2)
    assert all(ballot.choice and ballot.choice.best == ballot.places[0] for ballot in kept)
