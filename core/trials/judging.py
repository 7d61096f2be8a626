"""What a judge can do: look at an invitation, join, see a ballot, vote, take a vote back. Nothing else, and no money.

Every method blocks. A code or token that opens nothing gives None, whether it never did, was revoked, or its trial has
closed: nobody outside can tell these apart.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from core.access.codes import code_hash
from core.errors import InputError, KontextError, Problem
from core.ledger import ballots, trials
from core.ledger.ballots import MOST_JUDGES, NAME_CHARACTERS, REMARK_CHARACTERS, Ballot, Choice, Judge, Progress
from core.ledger.ledger import Ledger
from core.ledger.trials import Trial
from core.trials.ballots import plan, total
from core.trials.blind import place

TOKEN_BYTES = 32
MOST_TURNS = 10**6  # of a ballot, far beyond what anybody takes back
FULL = f"{MOST_JUDGES} people are judging already, which is the most."


@dataclass(frozen=True)
class Shown:
    """A ballot as its judge sees it: ids of pictures in their places, and of references; None once all have a vote."""

    progress: Progress
    ballot: Ballot | None = None
    prompt: str = ""
    pictures: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


class Judging:
    """For all judges of all trials. `random` draws orders and ids; it must be one that nobody foresees."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], random: Random | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._random = random or secrets.SystemRandom()

    def look(self, code: str) -> tuple[Trial, int] | None:
        """The trial that a code lets judges in to, and how many ballots there would be."""
        with self._ledger.reading() as connection:
            trial = trials.by_code(connection, code_hash(code), self._clock(), self._ledger.home)
        return None if trial is None else (trial, total(len(trial.standing)))

    def join(self, code: str, name: Any, named: bool, token: Any = None) -> tuple[str, Trial, Progress] | None:
        """One more judge: a token that opens their ballots. Only its hash is kept, so this is the one time it is told.

        `token`: drawn by the judge's browser, which may send it again where no answer came, and is the same judge.

        Raises:
            InputError: the name or the token can't be one.
            KontextError: there are as many judges as there may be.
        """
        token, now = secrets.token_urlsafe(TOKEN_BYTES) if token is None else _token(token), self._clock()
        with self._ledger.writing() as connection:
            trial = trials.by_code(connection, code_hash(code), now, self._ledger.home)
            if trial is None:
                return None
            called = _text(name, "name", NAME_CHARACTERS)
            if not called:
                raise InputError([Problem("name", "Enter a name or nickname.")])
            takes = {number: trial.spec.cases[number - 1].takes for number in trial.standing}

            def planned(number: int) -> Sequence[Ballot]:
                return plan(self._random, number, trial.spec.variants, takes)

            judge = ballots.by_token(connection, code_hash(token))
            judge = judge or ballots.join(connection, trial.id, code_hash(token), called, named, now, planned)
            if judge is None:
                raise KontextError(FULL)
            if judge.trial_id != trial.id:
                return None
            return token, trial, ballots.progress(connection, judge.id)

    def ballot(self, token: str, position: int | None = None) -> Shown | None:
        """The first ballot without a vote, or the one at a position, from 0; one that is not there shows nothing."""
        with self._ledger.reading() as connection:
            judge = self._judge(connection, token)
            if judge is None:
                return None
            mine = ballots.of_judge(connection, judge.id)
            open_ones = [ballot for ballot in mine if ballot.choice is None]
            progress = Progress(len(mine) - len(open_ones), len(mine))
            wanted = next(iter(open_ones if position is None else mine[position : position + 1]), None)
            if wanted is None:
                return Shown(progress)
            trial = trials.by_id(connection, judge.trial_id, self._ledger.home)
            assert trial
            named, references = self._pictures(connection, trial.id, wanted)
            prompt = trial.spec.cases[wanted.case - 1].prompt
            return Shown(progress, wanted, prompt, tuple(named), references)

    def vote(
        self, token: str, ballot_id: Any, best: Any, worst: Any, usable: Any, remark: Any, turn: Any = None
    ) -> Progress | None:
        """Write down a vote, by ids of the ballot's pictures; sent again, the first one stands.

        `turn`: of the ballot, as it was shown; a vote of an earlier one comes late, and changes nothing.

        Raises:
            InputError: it is not a vote on a ballot of this judge.
        """
        with self._ledger.reading() as connection:
            judge = self._judge(connection, token)
            if judge is None:
                return None
            mine = {ballot.id: ballot for ballot in ballots.of_judge(connection, judge.id)}
            if not isinstance(ballot_id, str) or ballot_id not in mine:
                raise InputError([Problem("ballot", "There is no such ballot.")])
            named, _ = self._pictures(connection, judge.trial_id, mine[ballot_id])
        choice, turn = _choice(named, best, worst, usable, remark), _turn(turn)
        return self._changed(judge, lambda c: ballots.vote(c, judge.id, ballot_id, choice, self._clock(), turn))

    def undo(self, token: str, ballot_id: Any = None, turn: Any = None) -> Progress | None:
        """Take back the vote on a ballot, or the latest one; with its turn named, once, however often it is sent."""
        ballot_id, turn = None if ballot_id is None else str(ballot_id), _turn(turn)
        with self._ledger.reading() as connection:
            judge = self._judge(connection, token)
        if judge is None:
            return None
        return self._changed(judge, lambda c: ballots.undo(c, judge.id, ballot_id, turn))

    def picture(self, ballot_id: str, picture_id: str) -> Path | None:
        """A picture that is shown on that ballot, as judges get it."""
        with self._ledger.reading() as connection:
            trial_id, ballot = ballots.find(connection, ballot_id) or ("", None)
            if ballot is None or not trials.is_open(connection, trial_id, self._clock()):
                return None
            named, references = self._pictures(connection, trial_id, ballot)
        shown = picture_id in (*named, *references)
        return place(self._ledger.home, trial_id, picture_id) if shown else None

    def _judge(self, connection: sa.Connection, token: str) -> Judge | None:
        judge = ballots.by_token(connection, code_hash(token))
        return judge if judge and trials.is_open(connection, judge.trial_id, self._clock()) else None

    def _changed(self, judge: Judge, change: Callable[[sa.Connection], object]) -> Progress | None:
        """Where the judge is after that change; None, and no change, where the trial has closed since."""
        with self._ledger.writing() as connection:
            if not trials.is_open(connection, judge.trial_id, self._clock()):
                return None
            change(connection)
            return ballots.progress(connection, judge.id)

    def _pictures(
        self, connection: sa.Connection, trial_id: str, ballot: Ballot
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Which variant made the picture of which id, from the first place on; and the ids of the references."""
        case = trials.pictures(connection, trial_id, self._ledger.home, ballot.case)
        ids = {one.variant: one.id for one in case if one.number == ballot.take}
        references = tuple(one.id for one in case if one.variant is None)
        return {ids[variant]: variant for variant in ballot.places}, references


def _choice(named: dict[str, str], best: Any, worst: Any, usable: Any, remark: Any) -> Choice:
    """What was said by pictures, said by variants."""
    if any(one not in (None, *named) for one in (best, worst)) or (best is not None and best == worst):
        raise InputError([Problem("best", "The best and the worst must be two different pictures of this ballot.")])
    if not isinstance(usable, list) or len(usable) > len(named) or any(one not in tuple(named) for one in usable):
        raise InputError([Problem("usable", "What you would use must be pictures of this ballot.")])
    words = _text(remark, "remark", REMARK_CHARACTERS)
    return Choice(named.get(best), named.get(worst), frozenset(named[one] for one in usable), words)


def _token(told: Any) -> str:
    if isinstance(told, str) and re.fullmatch(r"[\w-]{43}", told, re.ASCII):
        return told
    raise InputError([Problem("token", f"A token is {TOKEN_BYTES} random bytes, as base64url without padding.")])


def _turn(told: Any) -> int | None:
    if told is None or (isinstance(told, int) and 0 <= told <= MOST_TURNS):
        return told
    raise InputError([Problem("turn", "A turn is a whole number, as the ballot has it.")])


def _text(told: Any, parameter: str, most: int) -> str:
    """What was typed, in one line."""
    told = "" if told is None else told
    if not isinstance(told, str) or len(told) > most:
        raise InputError([Problem(parameter, f"A {parameter} is a text of at most {most} characters.")])
    return "".join(letter if letter.isprintable() else " " for letter in told).strip()
