"""What the host's page shows, in words and amounts that it puts up as they are."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar

from core.access.invitations import Standing
from core.backend import Backend
from core.catalog.estimate import dollars
from core.catalog.variants import REGISTRY
from core.errors import KontextError
from core.ledger import books, pause
from core.ledger.books import Line
from core.ledger.moments import midnight
from core.service.account import Account
from core.storage import sizes, total_of

PERIODS = (("Today", 1), ("7 days", 7), ("30 days", 30))  # days of UTC, today among them
FRESH = 60.0  # seconds that a balance and the size of a folder are relied on
PATIENCE = 5.0  # seconds that the page waits for a balance
UNREAD = "The balance can't be read just now."

KINDS: Mapping[str, str] = {
    books.INVITED: "Invitations",
    books.SIGNED_IN: "Signed-in people",
    books.VISITORS: "Visitors",
    books.PROGRAMS: "Programs",
    books.FORGOTTEN: "Forgotten visitors",
    books.UNKNOWN: "Not in the records",
}

Answer = dict[str, Any]
T = TypeVar("T")


class Read(NamedTuple):
    """What stands in the ledger at one moment."""

    lines: list[Line]
    under_way: books.UnderWay
    reasons: list[books.Reason]
    trials: list[books.Told]
    paused_since: datetime | None


class Overview:
    """All of the page, over one backend. `seconds` tells seconds, from anywhere."""

    def __init__(self, backend: Backend, seconds: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._seconds = seconds
        self._balance = Kept(self._ask_balance, seconds)
        self._disk = Kept(self._look_at_disk, seconds)

    async def told(self, *, soon: bool = False) -> Answer:
        """As it stands just now; `soon`: with the balance and the disk as they were last, where that is known. Whoever
        has pressed something sees it done, however slow the service is.

        Raises:
            KontextError: the ledger can't be read.
        """
        backend, now = self._backend, self._backend.clock()
        read = await backend.runs.readers(self._read, now)
        invitations = await backend.runs.readers(backend.invitations.every)
        names = {one.invitation.id: one.invitation.name for one in invitations}
        return {
            "at": _time(now),
            "pause": self._pause(read.paused_since),
            **spending(read.lines, now, names, backend.settings.daily_budget),
            "balance": await self._balance(soon=soon),
            "now": read.under_way._asdict(),
            "reasons": [{**one._asdict(), "last": _time(one.last)} for one in read.reasons],
            "disk": await self._disk(soon=soon),
            "invitations": [_invitation(one, now) for one in invitations],
            "trials": [_trial(one) for one in read.trials],
            "drift": list(backend.drift),
            "unknown": _unknown(read.lines),
        }

    def _read(self, now: datetime) -> Read:
        since = midnight(now) - timedelta(days=PERIODS[-1][1] - 1)
        with self._backend.ledger.reading() as connection:
            return Read(
                books.lines(connection, since),
                books.under_way(connection),
                books.reasons(connection, now - timedelta(days=7)),
                books.trials_told(connection),
                pause.since(connection),
            )

    def _pause(self, since: datetime | None) -> Answer:
        """`fixed`: the environment says so, and no press can change it."""
        fixed = self._backend.settings.paused
        return {"on": fixed or since is not None, "fixed": fixed, "since": _time(since) if since else ""}

    async def _ask_balance(self) -> Answer | None:
        """What is left at the service, and how many pictures of each variant that is."""
        host = self._backend.host
        if host is None:
            return None
        balance = await balance_of(host)
        if balance is None:
            return {"left": "", "pictures": UNREAD}
        prices = self._backend.runs.prices(host, 1)
        lasts = [f"{int(balance / prices.get(row.id, row.price)):,} {row.name}" for row in REGISTRY.values()]
        return {"left": dollars(balance), "pictures": " or ".join(lasts)}

    async def _look_at_disk(self) -> Answer:
        home, limits = self._backend.settings.data_dir, self._backend.storage.limits
        found, total = await asyncio.to_thread(lambda: (sizes(home), total_of(home)))
        return {
            "total": _size(total),
            **({"most": f"of {_size(limits.total)}", "share": total / limits.total} if limits.total else {}),
            "parts": [
                {"name": "Runs", "size": _size(found["runs"]), "most": f"practice runs up to {_size(limits.practice)}"},
                {"name": "Trials", "size": _size(found["trials"]), "most": ""},
                {"name": "Uploads and copies", "size": _size(found["files"]), "most": f"up to {_size(limits.files)}"},
                {"name": "Records", "size": _size(found["records"]), "most": ""},
            ],
        }


async def balance_of(account: Account) -> Decimal | None:
    """USD; None where the service does not tell it in time."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await account.client.balance()
    except (KontextError, TimeoutError):
        return None


class Kept(Generic[T]):
    """An answer that is asked for again once it is old; whoever asks meanwhile waits for the same one.

    `soon`: what was told last will do, however old it is.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], seconds: Callable[[], float]) -> None:
        self._ask = ask
        self._seconds = seconds
        self._one_asks = asyncio.Lock()
        self._told: tuple[float, T] | None = None

    async def __call__(self, *, soon: bool = False) -> T:
        if soon and self._told is not None:
            return self._told[1]
        async with self._one_asks:
            if self._told is None or self._seconds() - self._told[0] > FRESH:
                self._told = (self._seconds(), await self._ask())
            return self._told[1]


# spending


def spending(lines: Sequence[Line], now: datetime, names: Mapping[str, str], cap: Decimal | None) -> Answer:
    """Own keys stand apart: what they pay is not the host's."""
    host = [line for line in lines if line.kind != books.OWN]
    own = [line for line in lines if line.kind == books.OWN]
    variants = {row.id: row.name for row in REGISTRY.values()}
    days = [(midnight(now) - timedelta(days=back)).date().isoformat() for back in range(PERIODS[-1][1])][::-1]
    by_day = _sums(host, lambda line: line.day)
    most = max(by_day.values(), default=Decimal(0))
    return {
        "periods": [_period(name, _within(host, now, count), cap if count == 1 else None) for name, count in PERIODS],
        "days": [[day, dollars(by_day[day]), float(by_day[day] / most) if most else 0.0] for day in days],
        "reserved": dollars(sum((line.reserved for line in host), Decimal(0))),
        "by": [
            {"title": "By variant", "rows": _table(host, now, lambda line: line.variant_id, variants)},
            {"title": "By visitor", "rows": _table(host, now, lambda line: line.kind, KINDS)},
            {"title": "By invitation", "rows": _table(host, now, lambda line: line.invitation, names)},
        ],
        "own": [_period(name, _within(own, now, count), None) for name, count in PERIODS],
    }


def _period(name: str, lines: Sequence[Line], cap: Decimal | None) -> Answer:
    spent, runs = sum((line.cost for line in lines), Decimal(0)), sum(line.runs for line in lines)
    told = {"name": name, "spent": dollars(spent), "runs": f"{runs:,} {'run' if runs == 1 else 'runs'}"}
    return told | ({"cap": f"of {dollars(cap)} a day", "share": float(spent / cap) if cap else 1.0} if cap else {})


def _table(
    lines: Sequence[Line], now: datetime, group: Callable[[Line], str | None], names: Mapping[str, str]
) -> list[Answer]:
    """A row of each group that anything was spent by, the one that spent most first."""
    sums = [_sums(_within(lines, now, days), group) for _, days in PERIODS]
    spent = sorted((key for key, sum in sums[-1].items() if key and sum), key=lambda key: (-sums[-1][key], key))
    return [{"name": names.get(key, key), "spent": [dollars(amounts[key]) for amounts in sums]} for key in spent]


def _sums(lines: Iterable[Line], group: Callable[[Line], str | None]) -> defaultdict[str, Decimal]:
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        found[group(line) or ""] += line.cost
    return found


def _within(lines: Sequence[Line], now: datetime, days: int) -> list[Line]:
    first = (midnight(now) - timedelta(days=days - 1)).date().isoformat()
    return [line for line in lines if line.day >= first]


# words


def _invitation(standing: Standing, now: datetime) -> Answer:
    one = standing.invitation
    state = "ended" if not one.opens(now) else "paused" if one.paused else "open"
    return {
        "name": one.name,
        "state": state,
        "left": standing.words,
        "used": dollars(standing.spent),
        "share": float(standing.spent / one.allowance),
        "renews": "" if one.renews == "never" else f"renews {one.renews}",
        "until": f"until {one.expires_at:%Y-%m-%d}" if one.expires_at else "",
    }


def _unknown(lines: Sequence[Line]) -> Answer:
    found = [line for line in lines if line.kind == books.UNKNOWN]
    runs, cost = sum(line.runs for line in found), sum((line.cost for line in found), Decimal(0))
    return {"runs": runs, "words": f"{runs:,} {'prediction' if runs == 1 else 'predictions'} for {dollars(cost)}"}


def _trial(told: books.Told) -> Answer:
    paid = {"sandbox": "practice", "own": "own key"}.get(told.kind, "")
    return {
        "title": told.title or "Untitled",
        "state": told.state,
        "spent": paid if paid == "practice" else " · ".join(filter(None, (dollars(told.spent), paid))),
        "made": f"{told.created_at:%Y-%m-%d}",
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _size(size: int) -> str:
    return f"{size / 10**9:,.2f} GB" if size >= 10**9 else f"{size / 10**6:,.1f} MB"
