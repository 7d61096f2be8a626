"""Invite people from the command line: `python -m core.access invite --name "Anna" --usd 2 --expires 14d`."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import get_args

from dotenv import load_dotenv

from core.access.invitations import Invitations, Standing
from core.catalog.estimate import dollars
from core.errors import KontextError
from core.ledger.invitations import Renewal
from core.ledger.ledger import Ledger
from core.settings import read

HOME = Path(__file__).parents[2]
ONCE = "This code is shown once. The link is the app's address with this at its end: /#invite={code}"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Do what was asked for, in the ledger of the app that this environment would start."""
    asked = _parser().parse_args(arguments)
    settings = read(environment, HOME)
    with closing(Ledger(settings.data_dir, url=settings.database_url)) as ledger:
        print(_answer(asked, Invitations(ledger)))


def _answer(asked: argparse.Namespace, invitations: Invitations) -> str:
    match asked.what:
        case "invite":
            expires = datetime.now(UTC) + asked.expires if asked.expires else None
            return _code(invitations.invite(asked.name, asked.usd, asked.renew, expires))
        case "new-code":
            return _code(invitations.renew_code(asked.name))
        case "pause" | "resume":
            invitations.pause(asked.name, asked.what == "pause")
        case "end":
            invitations.end(asked.name)
    now = datetime.now(UTC)
    return "\n".join(_line(standing, now) for standing in invitations.every()) or "There are no invitations."


def _code(code: str) -> str:
    return f"{code}\n{ONCE.format(code=code)}"


def _line(standing: Standing, now: datetime) -> str:
    invitation = standing.invitation
    state = "ended" if not invitation.opens(now) else "paused" if invitation.paused else "open"
    until = f", until {invitation.expires_at:%Y-%m-%d}" if invitation.expires_at else ""
    renews = "" if invitation.renews == "never" else f", renews {invitation.renews}"
    return f"{invitation.name}: {state}, {standing.words} ({dollars(standing.spent)} used{renews}{until})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core.access", description="Who may use this app's key.")
    what = parser.add_subparsers(dest="what", required=True)
    invite = what.add_parser("invite", help="make an invitation; prints its code")
    invite.add_argument("--name", required=True, help="for your own use")
    invite.add_argument("--usd", required=True, type=_usd, help="how much it may spend")
    invite.add_argument("--renew", default="never", choices=get_args(Renewal), help="when that is there again (UTC)")
    invite.add_argument("--expires", type=_span, help="after how long it ends, such as 14d or 12h")
    what.add_parser("list", help="all invitations, and what they have spent")
    for name, help in (
        ("pause", "let it spend nothing for now"),
        ("resume", "let it spend again"),
        ("end", "let it spend nothing more"),
        ("new-code", "make its code anew; the old one stops working"),
    ):
        what.add_parser(name, help=help).add_argument("name")
    return parser


def _usd(text: str) -> Decimal:
    try:
        return Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise argparse.ArgumentTypeError("must be an amount such as 2 or 0.50") from None


def _span(text: str) -> timedelta:
    if not (match := re.fullmatch(r"(\d{1,4})([dh])", text)):
        raise argparse.ArgumentTypeError("must be a number of days or hours, such as 14d or 12h")
    return timedelta(**{"days" if match[2] == "d" else "hours": int(match[1])})


if __name__ == "__main__":
    load_dotenv(HOME / ".env")
    try:
        main(sys.argv[1:], os.environ)
    except KontextError as error:
        sys.exit(f"{error.happened} {error.advice}")
