"""What a judge's browser is answered, and all that a judge's token does not open."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from judged import NOW, QUESTION, TITLE, VARIANTS, close, open_trial
from PIL import Image
from starlette.applications import Starlette

from core.access.attempts import FREE, Attempts
from core.access.codes import code_hash, new_code
from core.ledger import ballots, trials
from core.ledger.ballots import MOST_JUDGES
from core.ledger.ledger import Ledger
from core.trials.judging import Judging
from core.trials.life import CODE
from ui.door import Door
from ui.judge.routes import CLOSED, HEADERS, JudgeApi
from ui.sessions import Presence

pytestmark = pytest.mark.anyio


@dataclass
class Court:
    """The judges' routes behind the door, over a ledger with a trial in it."""

    ledger: Ledger
    now: datetime = NOW
    passing: timedelta = timedelta()
    seconds: float = 0.0
    received: list[httpx.Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trial, self.code = open_trial(self.ledger)
        judging = Judging(self.ledger, self._clock)
        routes = JudgeApi(judging, Attempts(lambda: self.seconds)).routes()
        door = Door(Starlette(routes=routes), ours=routes, names=set(), presence=Presence())
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(door), base_url="http://127.0.0.1", event_hooks={"response": [self._note]}
        )

    def _clock(self) -> datetime:
        self.now += self.passing
        return self.now

    async def _note(self, response: httpx.Response) -> None:
        await response.aread()
        self.received.append(response)

    async def post(self, path: str, token: str = "", /, **body: Any) -> httpx.Response:
        return await self.http.post(f"/judge/api/{path}", content=json.dumps(body), headers=bearing(token))

    async def join(self, name: str = "Kim", code: str = "") -> str:
        answer = await self.post("join", code=code or self.code, name=name)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    async def ballot(self, token: str, position: int | None = None) -> Any:
        path = "/judge/api/ballot" + ("" if position is None else f"?position={position}")
        return (await self.http.get(path, headers=bearing(token))).json()

    async def vote(self, token: str, ballot: Any, /, **said: Any) -> httpx.Response:
        """The first place best, the second worst, the first usable, unless something else is said."""
        first, second, *_ = (picture["id"] for picture in ballot["pictures"])
        vote = {"ballot": ballot["ballot"], "best": first, "worst": second, "usable": [first], "remark": ""}
        return await self.post("vote", token, **vote | said)

    async def judge(self, token: str) -> None:
        """All that is left to judge, every picture fetched."""
        while "ballot" in (ballot := await self.ballot(token)):
            for url in [*(picture["url"] for picture in ballot["pictures"]), *ballot["references"]]:
                assert (await self.http.get(url)).status_code == 200
            assert (await self.vote(token, ballot)).status_code == 200

    def votes(self) -> list[Any]:
        with self.ledger.reading() as connection:
            return ballots.voted(connection, self.trial.id)

    def close(self) -> None:
        close(self.ledger, self.trial)


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


@pytest.fixture
async def court(tmp_path: Path) -> AsyncIterator[Court]:
    ledger = await asyncio.to_thread(Ledger, tmp_path)
    court = await asyncio.to_thread(Court, ledger)
    async with court.http:
        yield court
    await asyncio.to_thread(ledger.close)


# judging


async def test_a_judge_sees_what_it_is_about_joins_and_judges_all(court: Court) -> None:
    """Title, question and how many before joining; then each ballot, to the last, and each vote stands as told."""
    about = {"title": TITLE, "question": QUESTION, "total": 14}
    assert (await court.post("trial", code=court.code)).json() == about
    joined = (await court.post("join", code=court.code, name=" Kim\n", named=True)).json()
    token = joined.pop("token")
    assert joined == {**about, "done": 0}
    first = await court.ballot(token)
    assert (first["done"], first["total"], len(first["pictures"]), len(first["references"])) == (0, 14, 3, 1)
    assert first["prompt"].startswith("Put thing ")
    ids = [picture["id"] for picture in first["pictures"]]
    said = {"best": ids[2], "worst": ids[0], "usable": ids[1:], "remark": "The\tlid "}
    assert (await court.vote(token, first, **said)).json() == {"done": 1, "total": 14}
    await court.judge(token)
    assert await court.ballot(token) == {"finished": True, "done": 14, "total": 14}
    votes = await asyncio.to_thread(court.votes)
    judge, ballot = votes[0]
    assert (judge.name, judge.named, len(votes)) == ("Kim", True, 14)
    assert (ballot.choice.best, ballot.choice.worst) == (ballot.places[2], ballot.places[0])
    assert (ballot.choice.usable, ballot.choice.remark) == (set(ballot.places[1:]), "The lid")


async def test_a_page_loads_ahead_and_goes_on_where_it_was(court: Court) -> None:
    """Any ballot can be had by its position before its turn; the one without a position is the first without a vote."""
    token = await court.join()
    ahead = [await court.ballot(token, position) for position in range(14)]
    assert len({ballot["ballot"] for ballot in ahead}) == 14
    for ballot in ahead[:3]:
        await court.vote(token, ballot)
    assert (await court.ballot(token))["ballot"] == ahead[3]["ballot"]
    assert (await court.ballot(token, 14))["finished"]


async def test_what_is_sent_twice_counts_once(court: Court) -> None:
    """A vote that is sent again stands as it was first; an undo that names its ballot takes back one vote alone."""
    token = await court.join()
    first, second = [await court.ballot(token, position) for position in range(2)]
    for best in (0, 1):
        answer = await court.vote(token, first, best=first["pictures"][best]["id"], worst=None)
        assert answer.json()["done"] == 1
    (_, voted), *others = await asyncio.to_thread(court.votes)
    assert (voted.choice.best, others) == (voted.places[0], [])
    await court.vote(token, second)
    for _ in range(2):
        assert (await court.post("undo", token, ballot=second["ballot"])).json()["done"] == 1
    assert (await court.post("undo", token)).json()["done"] == 0
    assert (await court.post("undo", token)).json()["done"] == 0


async def test_what_comes_late_of_an_earlier_turn_counts_no_more(court: Court) -> None:
    """A vote that was taken back stays so when it comes once more, and the one after it stands."""
    token = await court.join()
    ballot = await court.ballot(token)
    first, second = (picture["id"] for picture in ballot["pictures"][:2])
    assert (ballot["position"], ballot["turn"]) == (0, 0)
    await court.vote(token, ballot, turn=0)
    assert (await court.post("undo", token, ballot=ballot["ballot"], turn=0)).json()["done"] == 0
    assert (await court.ballot(token))["turn"] == 1
    assert (await court.vote(token, ballot, turn=0)).json()["done"] == 0
    assert (await court.vote(token, ballot, best=second, worst=first, turn=1)).json()["done"] == 1
    assert (await court.post("undo", token, ballot=ballot["ballot"], turn=0)).json()["done"] == 1
    ((_, voted),) = await asyncio.to_thread(court.votes)
    assert voted.choice.best == voted.places[1]


async def test_a_removed_judge_is_a_stranger(court: Court) -> None:
    """Their token and their pictures are refused like any that never was; the link lets them in anew."""
    token = await court.join()
    ballot = await court.ballot(token)
    with court.ledger.writing() as connection:
        assert ballots.remove(connection, court.trial.id, 1, NOW)
    refused = [
        await court.vote(token, ballot),
        await court.http.get("/judge/api/ballot", headers=bearing(token)),
        await court.http.get(ballot["pictures"][0]["url"]),
        await court.post("vote", "unknown"),
    ]
    assert {(answer.status_code, answer.text) for answer in refused} == {(404, refused[0].text)}
    assert (await court.ballot(await court.join()))["done"] == 0


async def test_two_browsers_are_two_judges(court: Court) -> None:
    """Each goes its own way, in an order of its own, and neither moves the other."""
    one, other = await court.join(), await court.join()
    await court.judge(one)
    assert (await court.ballot(other))["done"] == 0
    orders = [[(await court.ballot(token, n))["prompt"] for n in range(12)] for token in (one, other)]
    assert orders[0] != orders[1]


async def test_a_join_that_is_sent_again_is_the_same_judge(court: Court) -> None:
    """By a token of the browser's own: it goes on with its votes. It opens no other trial, and whoever was removed
    comes in anew.
    """
    _, other = await asyncio.to_thread(open_trial, court.ledger, 1)
    mine = {"token": "A" * 43, "name": "Kim"}
    for done in (0, 1):
        joined = (await court.post("join", code=court.code, **mine)).json()
        assert (joined["token"], joined["done"]) == (mine["token"], done)
        await court.vote(mine["token"], await court.ballot(mine["token"], 0))
    assert (await court.post("join", code=other, **mine)).status_code == 404
    with court.ledger.writing() as connection:
        assert ballots.remove(connection, court.trial.id, 1, NOW)
    assert (await court.post("join", code=court.code, **mine)).json()["done"] == 0
    for token in ("", "A" * 42, "A" * 44, "ä" * 43, f"{'A' * 42}=", 7, ["A"]):
        assert (await court.post("join", code=court.code, name="Kim", token=token)).status_code == 422


async def test_the_next_judge_sees_the_other_take(court: Court) -> None:
    """Of a case with two seeds, two judges see different pictures, made of the same original."""
    _, code = await asyncio.to_thread(open_trial, court.ledger, 1, takes=2)
    one, other = [await court.ballot(await court.join(code=code)) for _ in range(2)]
    ids = [{picture["id"] for picture in ballot["pictures"]} for ballot in (one, other)]
    assert [len(shown) for shown in (*ids, set.union(*ids))] == [3, 3, 6]
    originals = {reference.rpartition("/")[2] for ballot in (one, other) for reference in ballot["references"]}
    assert len(originals) == 1


async def test_fifty_come_at_once_and_the_next_is_told(court: Court) -> None:
    """A crowd is not taken for guessing; who is too many gets a sentence, as often as they try."""
    await asyncio.gather(*(court.join(f"Judge {n}") for n in range(MOST_JUDGES)))
    for _ in range(2 * FREE):
        answer = await court.post("join", code=court.code, name="Late")
        assert (answer.status_code, answer.json()["error"][:9]) == (409, "50 people")


async def test_after_the_closing_nothing_is_taken(court: Court) -> None:
    """Closed in mid-ballot: that vote, undo, the next ballot and its pictures are refused; earlier votes stand."""
    token = await court.join()
    first, second = [await court.ballot(token, position) for position in range(2)]
    await court.vote(token, first)
    await asyncio.to_thread(court.close)
    refused = [
        await court.vote(token, second),
        await court.post("undo", token),
        await court.http.get("/judge/api/ballot", headers=bearing(token)),
        await court.http.get(second["pictures"][0]["url"]),
        await court.post("vote", "unknown"),
    ]
    assert {(answer.status_code, answer.text) for answer in refused} == {(404, refused[0].text)}
    assert len(await asyncio.to_thread(court.votes)) == 1


async def test_a_trial_that_closes_while_a_vote_is_checked(court: Court) -> None:
    """What was open when the vote came and is closed when it would be written has no vote."""
    _, code = await asyncio.to_thread(open_trial, court.ledger, 2, closes_at=NOW + timedelta(seconds=60))
    token = await court.join(code=code)
    ballot = await court.ballot(token)
    court.passing = timedelta(seconds=50)  # each look at the clock is so much later
    for answer in (await court.vote(token, ballot), await court.post("undo", token)):
        assert answer.status_code == 404


async def test_the_date_closes_to_the_second(court: Court) -> None:
    """A trial with a date takes no vote from that moment on, whoever notices it first."""
    _, code = await asyncio.to_thread(open_trial, court.ledger, 2, closes_at=NOW + timedelta(seconds=60))
    token = await court.join(code=code)
    ballot = await court.ballot(token)
    court.now += timedelta(seconds=59)
    assert (await court.vote(token, ballot)).status_code == 200
    court.now += timedelta(seconds=1)
    assert (await court.post("undo", token)).status_code == 404
    assert (await court.post("join", code=code, name="Kim")).status_code == 404


# codes


async def test_wrong_codes_answer_alike(court: Court) -> None:
    """Unknown, revoked, closed and odd ones: the same status, headers and bytes, whether one joins or looks."""
    old, _ = court.code, await court.join()
    new = new_code(CODE)

    def revoke() -> None:
        with court.ledger.writing() as connection:
            trials.change(connection, court.trial.id, code_hash=code_hash(new))

    await asyncio.to_thread(revoke)
    trial, closed = await asyncio.to_thread(open_trial, court.ledger, 1)
    await asyncio.to_thread(close, court.ledger, trial)
    answers = []
    for code in (old, closed, new_code(CODE), "", None, 7, ["x"], "\0", "\ud800", "kj_" * 500):
        answers += [await court.post(path, code=code, name="Kim") for path in ("trial", "join")]
        court.seconds += 3600
    assert {(answer.status_code, answer.text, str(answer.headers)) for answer in answers} == {
        (404, answers[0].text, str(answers[0].headers))
    }
    assert (await court.post("trial", code=new)).status_code == 200


async def test_guesses_are_slowed_for_all_together(court: Court) -> None:
    """After ten wrong ones whoever guesses waits, with a sentence; whoever was invited comes in all the same."""
    for _ in range(FREE + 1):
        assert (await court.post("join", code=new_code(CODE), name="Kim")).status_code == 404
    waiting = await court.post("join", code=new_code(CODE), name="Kim")
    assert (waiting.status_code, "Try again in 2 s" in waiting.json()["error"]) == (429, True)
    await court.join()
    court.seconds += 2
    assert (await court.post("join", code=new_code(CODE), name="Kim")).status_code == 404


async def test_a_picture_goes_with_its_trial(court: Court) -> None:
    """Where a trial is deleted between the look for a picture and its reading, the answer is that of a closed one."""
    ballot = await court.ballot(await court.join())
    for path in court.ledger.home.rglob("*.jpg"):
        path.unlink()
    answer = await court.http.get(ballot["pictures"][0]["url"])
    assert (answer.status_code, answer.json()) == (404, {"error": CLOSED})


# what is sent


WRONG: list[dict[str, Any]] = [
    *({"best": value} for value in ("pro", 7, ["x"], {"a": 1}, "", "the second")),
    *({"worst": value} for value in ("pro", True, [])),
    *({"usable": value} for value in (None, "x", ["pro"], [None], [["x"]], {"a": 1}, "all twice")),
    *({"remark": value} for value in (7, "x" * 301, ["x"])),
    *({"ballot": value} for value in ("", None, 7, ["x"], "f" * 32)),
    *({"turn": value} for value in ("0", -1, 10**20, [0])),
]


async def test_what_is_no_vote_is_refused(court: Court) -> None:
    """A sentence, and nothing is written."""
    token = await court.join()
    ballot = await court.ballot(token)
    ids = [picture["id"] for picture in ballot["pictures"]]
    for wrong in WRONG:
        said = {
            name: {"the second": ids[1], "all twice": ids * 2}.get(str(value), value) for name, value in wrong.items()
        }
        answer = await court.vote(token, ballot, **said)
        assert (answer.status_code, answer.json()["error"][-1:]) == (422, "."), wrong
    assert await asyncio.to_thread(court.votes) == []


async def test_what_is_no_name_is_refused(court: Court) -> None:
    """Nobody joins by it, and it is not taken for a guess."""
    for name in ("", "   ", None, 7, ["x"], "x" * 41, "\u200b\n") * 2:
        assert (await court.post("join", code=court.code, name=name)).status_code == 422
    assert (await court.ballot(await court.join()))["done"] == 0


async def test_an_unreadable_request_is_said(court: Court) -> None:
    """Not JSON, no object, too deep or too long."""
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 8000, b'{"code": "' + b"x" * 9000 + b'"}'):
        for path in ("trial", "join", "vote", "undo"):
            assert (await court.http.post(f"/judge/api/{path}", content=body)).status_code == 400


async def test_odd_letters_are_taken_as_text(court: Court) -> None:
    """Control characters become spaces, and half a letter no fault of the server's."""
    token = await court.join("Кім 🧩")
    ballot = await court.ballot(token)
    assert (await court.vote(token, ballot, remark="a\0b\ud800")).status_code == 200
    ((judge, voted),) = await asyncio.to_thread(court.votes)
    assert (judge.name, voted.choice.remark) == ("Кім 🧩", "a b")


# blind


@pytest.fixture
def forbidden(court: Court) -> Iterator[list[str]]:
    """Words that tell what made a picture, or lead to it."""
    with court.ledger.reading() as connection:
        pictures = trials.pictures(connection, court.trial.id, court.ledger.home)
    told = {word for one in pictures for word in (one.sha256, one.path.name, one.run_id, str(one.path)) if word}
    yield [*told, court.trial.id, "host", "flux", "kontext-", "wavespeed", "0.04", "0.08", "seed", "sandbox", "r" * 32]


async def test_nothing_that_a_judge_receives_names_a_variant(court: Court, forbidden: list[str]) -> None:
    """Every byte of a whole trial: page, headers, addresses, JSON, pictures and what stands in their metadata."""
    for path in ("", "/page.css", "/page.js"):
        await court.http.get(f"/judge{path}")
    await court.judge(await court.join())
    assert len(court.received) > 14 * 6
    for answer in court.received:
        everything = f"{answer.request.url}\n{answer.headers!r}\n{answer.content.decode('latin-1')}"
        assert not [word for word in forbidden if word.lower() in everything.lower()]
        if "/api/" in answer.request.url.path:
            assert not re.search(r"\b(pro|max|dev|ultra|fast)\b", everything.lower())
        elif "/picture/" in answer.request.url.path:
            told = Image.open(BytesIO(answer.content)).info
            assert set(told) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


async def test_nothing_about_a_file_follows_the_variant(court: Court) -> None:
    """Pictures of a ballot come with the same headers and as many bytes, and no header bears a file's mark."""
    await court.judge(await court.join())
    shown = {path for one in court.received if "/ballot" in one.url.path for path in _pictures(one)}
    by_ballot: dict[str, set[str]] = {}
    for answer in court.received:
        if (path := answer.request.url.path) in shown:
            by_ballot.setdefault(path.split("/")[3], set()).add(str(answer.headers))
            assert not {"etag", "last-modified", "content-disposition", "age"} & set(answer.headers)
    assert len(by_ballot) == 14
    assert {len(headers) for headers in by_ballot.values()} == {1}


def _pictures(answer: httpx.Response) -> list[str]:
    return [picture["url"] for picture in answer.json().get("pictures", [])]


async def test_every_answer_keeps_to_itself(court: Court) -> None:
    """No referrer, no other host, no frame; the code is nowhere in what comes back, and pages fit a slow line."""
    pages = [await court.http.get(f"/judge{path}") for path in ("", "/page.css", "/page.js")]
    token = await court.join()
    await court.ballot(token)
    for answer in court.received:
        assert (
            HEADERS.items() <= dict(answer.headers).items()
            or {name.lower(): value for name, value in HEADERS.items()}.items() <= dict(answer.headers).items()
        )
        assert court.code not in f"{answer.request.url}{answer.headers}{answer.text}"
    assert sum(int(answer.headers["content-length"]) for answer in pages) <= 60_000
    plain = await court.http.get("/judge/page.js", headers={"Accept-Encoding": "identity"})
    assert plain.text == pages[2].text


# what a token does not open

Way = Callable[[Court, str, Any], Awaitable[httpx.Response]]


async def _others_ballot(court: Court, token: str, mine: Any) -> httpx.Response:
    return await court.vote(token, await court.ballot(await court.join("Other")))


async def _other_trials_ballot(court: Court, token: str, mine: Any) -> httpx.Response:
    _, code = await asyncio.to_thread(open_trial, court.ledger, 2)
    return await court.vote(token, await court.ballot(await court.join("Other", code)))


async def _other_ballots_picture(court: Court, token: str, mine: Any) -> httpx.Response:
    other = await court.ballot(token, 1)
    return await court.http.get(f"/judge/picture/{mine['ballot']}/{other['pictures'][0]['id']}", headers=bearing(token))


async def _other_ballots_reference(court: Court, token: str, mine: Any) -> httpx.Response:
    other = (await court.ballot(token, 1))["references"][0].rpartition("/")[2]
    return await court.http.get(f"/judge/picture/{mine['ballot']}/{other}", headers=bearing(token))


async def _other_take(court: Court, token: str, mine: Any) -> httpx.Response:
    trial, code = await asyncio.to_thread(open_trial, court.ledger, 1, takes=2)
    ballot = await court.ballot(await court.join(code=code))

    def all_pictures() -> set[str]:
        with court.ledger.reading() as connection:
            return {one.id for one in trials.pictures(connection, trial.id, court.ledger.home) if one.variant}

    hidden = await asyncio.to_thread(all_pictures) - {picture["id"] for picture in ballot["pictures"]}
    return await court.http.get(f"/judge/picture/{ballot['ballot']}/{hidden.pop()}")


def _asking(path: str, method: str = "GET") -> Way:
    async def way(court: Court, token: str, mine: Any) -> httpx.Response:
        names = {"ballot": mine["ballot"], "picture": mine["pictures"][0]["id"], "token": token, "code": court.code}
        with court.ledger.reading() as connection:
            judge = ballots.judges(connection, court.trial.id)[0]
        filled = path.format(**names, trial=court.trial.id, judge=judge.id)
        return await court.http.request(method, filled, headers=bearing(token))

    return way


def _bearing(what: str) -> Way:
    async def way(court: Court, token: str, mine: Any) -> httpx.Response:
        other = what.format(
            token=token, hash=code_hash(token), code=court.code, trial=court.trial.id, ballot=mine["ballot"]
        )
        return await court.http.get("/judge/api/ballot", headers={"Authorization": other})

    return way


WAYS: dict[str, Way] = {
    "a vote on another judge's ballot": _others_ballot,
    "a vote in another trial": _other_trials_ballot,
    "a picture of another case": _other_ballots_picture,
    "a reference beyond the ballot's": _other_ballots_reference,
    "the other take of a case": _other_take,
    "the votes": _asking("/judge/api/votes"),
    "what the others said": _asking("/judge/api/vote"),
    "the report": _asking("/judge/api/report"),
    "the report by the trial": _asking("/judge/{trial}"),
    "the judges": _asking("/judge/api/join"),
    "a judge": _asking("/judge/api/judge/{judge}"),
    "the trial": _asking("/judge/api/trial"),
    "a token in the address": _asking("/judge/api/ballots?token={token}"),
    "a code in the address": _asking("/judge/{code}"),
    "a file of the server": _asking("/judge/picture/{ballot}/..%2f..%2f..%2fledger.db"),
    "a file beside": _asking("/judge/picture/..%2f{trial}%2fblind/{picture}"),
    "a picture without its ballot": _asking("/judge/picture/x/{picture}"),
    "all of a ballot's pictures": _asking("/judge/picture/{ballot}/"),
    "a file of the page's": _asking("/judge/routes.py"),
    "deleting": _asking("/judge/api/ballot", "DELETE"),
    "changing": _asking("/judge/api/vote", "PUT"),
    "closing": _asking("/judge/api/close", "POST"),
    "spending": _asking("/judge/api/generate", "POST"),
    "no token": _bearing(""),
    "a token of another kind": _bearing("Basic {token}"),
    "two tokens": _bearing("Bearer {token} {token}"),
    "the hash of the token": _bearing("Bearer {hash}"),
    "the code as a token": _bearing("Bearer {code}"),
    "the trial as a token": _bearing("Bearer {trial}"),
    "a ballot as a token": _bearing("Bearer {ballot}"),
    "a pattern as a token": _bearing("Bearer %' OR 1=1 --"),
}


async def test_a_token_opens_ballots_and_nothing_else(court: Court) -> None:
    """Whatever else is tried with it is refused in a sentence, and nothing is written down."""
    token = await court.join()
    mine = await court.ballot(token)
    for name, way in WAYS.items():
        answer = await way(court, token, mine)
        assert answer.status_code in (404, 405, 422), name
        assert answer.headers["content-type"].startswith(("application/json", "text/plain")), name
        assert court.trial.id not in answer.text, name
    assert await asyncio.to_thread(court.votes) == []


async def test_nobody_takes_back_the_vote_of_another(court: Court) -> None:
    """An undo with another judge's ballot in it does nothing."""
    one, other = await court.join(), await court.join()
    ballot = await court.ballot(one)
    await court.vote(one, ballot)
    await court.vote(other, await court.ballot(other))
    assert (await court.post("undo", other, ballot=ballot["ballot"])).json()["done"] == 1
    assert len(await asyncio.to_thread(court.votes)) == 2


def test_variants_are_those_of_the_registry() -> None:
    """The words that are looked for above are the names of variants."""
    from core.catalog.variants import REGISTRY

    assert set(VARIANTS) == set(REGISTRY)
