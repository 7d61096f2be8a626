"""The whole application as a process: killed outright in the middle of its work, and called by a hundred at once."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from checks import check_books, check_ends
from databases import open_ledger
from lean import SMALL, history, picture, spent
from server import Exchange, Server
from whole import Whole, generate, until, upload, whole_app

from core.access.invitations import Invitations

pytestmark = pytest.mark.anyio

RUNS = 20
FOR_SEVEN = 7 * Decimal("0.025")
VISITOR = "api"  # programs are one visitor
KINDS = ("upload", "submit", "result", "download")  # of the request that the app dies at


@pytest.fixture
def slow(service: Server) -> Server:
    service.renew(seconds=0.5)
    return service


async def call(app: Whole, times: int, answers: list[Any], invitation: str = "") -> None:
    """That many calls of /generate at once; each answer as it comes."""
    limits = httpx.Limits(max_connections=2 * times)
    async with httpx.AsyncClient(base_url=app.url, timeout=180, limits=limits) as http:
        image = await upload(http, picture())

        async def one() -> None:
            answers.append(await generate(http, image, "ultra-fast", SMALL, invitation))

        await asyncio.gather(*(one() for _ in range(times)))


class Trap:
    """Holds back every request from the nth on, before or after it was done, and says when the nth has come."""

    def __init__(self, nth: int, *, done: bool) -> None:
        self.sprung = threading.Event()
        self.nth = self._left = nth
        self._done = done

    async def __call__(self, exchange: Exchange) -> None:
        answer = await exchange.forward() if self._done else None
        self._left -= 1
        if self._left > 0:
            await exchange.say(answer or await exchange.forward())
        else:
            self.sprung.set()
            await exchange.hold()


def draw_trap(seed: int) -> tuple[str, Trap]:
    """A moment to die at: before anything is sent, with submits unanswered, while waiting, while downloading.

    A submit that the service never got would be searched for during two real minutes; the lean process dies there.
    """
    dice = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    nth = 1 if kind == "upload" else dice.randint(1, RUNS)
    return kind, Trap(nth, done=kind == "submit" or dice.random() < 0.5)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(25))
async def test_killed_and_started_again(slow: Server, tmp_path: Path, seed: int) -> None:
    """Twenty calls of /generate, SIGKILL, and another start: what was created has its picture, the totals agree."""
    folder = tmp_path / "data"
    kind, trap = draw_trap(seed)
    created = 0 if kind == "upload" else RUNS
    slow.always[kind] = trap
    answers: list[Any] = []
    with whole_app(folder, slow.url) as app:
        calls = asyncio.create_task(call(app, RUNS, answers))
        await until(lambda: trap.sprung.is_set() and len(history(folder, VISITOR)) == RUNS, 180)
        await until(lambda: len(slow.created) == created, 180)
        app.kill()
    await calls
    assert sum(answer is not None for answer in answers) < trap.nth, "a call was answered by a dead process"
    slow.clear()
    with whole_app(folder, slow.url):
        await until(lambda: all(run.finished for run in history(folder, VISITOR)), 180)
    runs = history(folder, VISITOR)
    assert [run.state for run in runs] == ["completed" if created else "failed"] * RUNS
    assert slow.seen["submit"] == len(slow.created) == created
    check_ends(runs)
    check_books(runs, spent(folder, VISITOR), slow.books())


async def test_a_hundred_calls_against_a_budget_for_seven(slow: Server, tmp_path: Path) -> None:
    """A hundred at once, money for seven: seven tasks on the server, and 93 refusals that say which cap and when. The
    app is killed as it begins to download: started again, it has the pictures of all seven.
    """
    folder, trap, answers = tmp_path / "data", Trap(1, done=False), list[Any]()
    slow.always["download"] = trap
    with whole_app(folder, slow.url, KONTEXT_DAILY_BUDGET_USD=str(FOR_SEVEN)) as app:
        calls = asyncio.create_task(call(app, 100, answers))
        await until(lambda: trap.sprung.is_set() and len(slow.created) == 7 and len(answers) == 93, 180)
        app.kill()
    await calls
    slow.clear()
    with whole_app(folder, slow.url):
        await until(lambda: all(run.finished for run in history(folder, VISITOR)), 180)
    check_seven(answers, "midnight UTC", slow, folder, VISITOR, answered=0)


@pytest.mark.soak
@pytest.mark.usefixtures("postgresql")
@pytest.mark.parametrize("invited", [False, True], ids=["the copy's budget", "an invitation"])
async def test_a_hundred_calls_over_two_copies(slow: Server, tmp_path: Path, invited: bool) -> None:
    """Fifty at once to each of two copies on one database, money for seven in all: the same as of one."""
    folder, code, visitor = tmp_path / "data", "", VISITOR
    given = {"KONTEXT_ACCESS": "invited"} if invited else {"KONTEXT_DAILY_BUDGET_USD": str(FOR_SEVEN)}
    if invited:
        code, visitor = invite(folder)
    with whole_app(folder, slow.url, **given) as one, whole_app(folder, slow.url, **given) as other:
        answers: list[Any] = []
        await asyncio.gather(*(call(app, 50, answers, code) for app in (one, other)))
    check_seven(answers, "ask the host for more" if invited else "midnight UTC", slow, folder, visitor)


def invite(folder: Path) -> tuple[str, str]:
    """An invitation's code, and the visitor that programs with it are."""
    with closing(open_ledger(folder)) as ledger:
        invitations = Invitations(ledger)
        code = invitations.invite("Anna", FOR_SEVEN, "never")
        return code, f"{VISITOR}-{invitations.find(code).invitation.id}"


def check_seven(answers: list[Any], renews: str, server: Server, folder: Path, visitor: str, answered: int = 7) -> None:
    """Seven tasks at the service, each with its picture; every other call was refused before anything was spent."""
    passed = [answer for answer in answers if isinstance(answer, dict)]
    refused = [answer for answer in answers if isinstance(answer, str)]
    assert (len(passed), len(refused), len(server.created), server.seen["submit"]) == (answered, 93, 7, 7)
    assert {answer["status"] for answer in passed} <= {"completed"}
    for words in refused:
        assert all(part in words for part in ("$0.025", "$0.175", "Nothing was charged.", renews)), words
    runs = history(folder, visitor)
    assert [run.state for run in runs] == ["completed"] * 7
    check_ends(runs)
    check_books(runs, spent(folder, visitor), server.books())
