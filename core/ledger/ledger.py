"""Every run and every cent, durable before it happens: SQLite or PostgreSQL, flushed to the disk at each commit.

Every method blocks for as long as the disk takes: from async code, call it in a thread. Any thread may.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from core.errors import KontextError
from core.ledger import faults, file_systems, leases, people, rows
from core.ledger.engines import EVERYBODY, database, lowered, upsert
from core.ledger.faults import Conflict
from core.ledger.news import ASKED, News, notify
from core.ledger.pseudonyms import is_one_of, pseudonym
from core.ledger.record import RESERVED, STRANGER, SUBMITTING, Entry, Record
from core.ledger.run import FINISHED, Facts, Label, LabelChange
from core.ledger.schema import predictions, runs, uploads
from core.ledger.spending import UNBILLED, WITH_RUN, Spending, spent
from core.pictures.reference import Reference

log = logging.getLogger(__name__)

Check = Callable[[Spending], None]  # raises to refuse

_OURS = runs.c.visitor != STRANGER
_KEPT = runs.c.deleted_at.is_(None)
# A trial's runs stay with it: its host may be one of the judges, who don't know which variant made what.
_LISTED = _KEPT & (sa.func.coalesce(runs.c.cell["axis"].as_string(), "") != "trial")
_NEWEST_FIRST = (runs.c.created_at.desc(), runs.c.id)
# Other runs of the same comparison; a deleted one has left it.
_OTHERS = runs.alias()
_BESIDE = (_OTHERS.c.comparison_id == runs.c.comparison_id) & (_OTHERS.c.visitor == runs.c.visitor)
_IS_FIRST = ~sa.exists().where(
    _BESIDE & (sa.tuple_(_OTHERS.c.created_at, _OTHERS.c.id) < sa.tuple_(runs.c.created_at, runs.c.id))
)
_ANSWERS_APART = [column for column in predictions.c if column.name != "answer"]

# Bytes that must be free before anything is spent: four large pictures and their rows.
ROOM = 32 * 1024 * 1024

FORGETFUL = (
    "The data folder %s lies on a %s file system. After a crash, what was written in the last seconds may be lost: "
    "the last runs, their pictures, and what they cost."
)


@dataclass(frozen=True)
class Search:
    """Runs that have all of the words in the name, the prompt, the preset's or the variant's name, or as the seed.

    `variant_id`: of that variant alone; `favourites`: those alone. `presets` and `variants` are the names by their ids.
    """

    words: tuple[str, ...] = ()
    variant_id: str = ""
    favourites: bool = False
    presets: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)


class Wanted(NamedTuple):
    """A run that goes on: whose it is by now, and whether it was asked to stop waiting."""

    run_id: str
    visitor: str
    stopping: bool


class Ended(NamedTuple):
    """A run that has ended, as far as a sweep asks."""

    id: str
    visitor: str
    created_at: datetime
    favourite: bool


class Ledger:
    """The ledger of a folder, made or brought up to date on opening. `timeout`: seconds to wait for a lock.

    `mounted`: what is mounted where, in the words of /proc/mounts; read there if not handed in. `url`: a database of
    PostgreSQL's in place of a file in the folder. `forgetful`: whether it may lose what it said was written.

    Raises:
        LedgerError: from every method, where it can't be read or written.
    """

    def __init__(
        self, folder: Path, *, timeout: float = 5.0, mounted: str | None = None, url: str | None = None
    ) -> None:
        self.home = folder
        self.written: Callable[[float], None] = lambda _: None  # hears how long each transaction took
        kind = file_systems.file_system(folder, file_systems.mounts() if mounted is None else mounted)
        self._remote = file_systems.is_remote(kind)
        self._database = database(folder, url, timeout=timeout, forgetful=self._remote)
        self.forgetful = self._database.forgetful
        if self.forgetful:
            log.warning(FORGETFUL, folder, kind)
        try:
            with self._database.words():
                folder.mkdir(parents=True, exist_ok=True)
            self._database.migrate()
        except KontextError:
            self.close()
            raise

    def close(self) -> None:
        self._database.close()

    # writing

    def reserve(self, records: Sequence[Record], check: Check) -> None:
        """Write new runs of one press, all or none, if `check` lets their cost pass; no other reservation comes between
        the two.

        Raises:
            Fenced: their owner is thought dead.
            KontextError: their visitor has signed in meanwhile.
        """
        self._insist_on_room()
        with self.writing(_of_account(records[0].facts)) as connection:
            if (owner := records[0].owner) is not None:
                leases.insist(connection, owner)
            self.hold_visitor(connection, records[0].facts.visitor)
            people.insist_on(connection, records[0].facts.visitor)
            _ask(connection, records[0].facts, check)
            for record in records:
                self._insert(connection, record)

    def consider(self, records: Sequence[Record], check: Check) -> None:
        """Raise what `reserve` would raise just now; nothing is written, and nothing is promised."""
        self._insist_on_room()
        with self.reading() as connection:
            _ask(connection, records[0].facts, check)

    def add(self, record: Record) -> None:
        """Write a run that costs nothing new."""
        with self.writing(None) as connection:
            self._insert(connection, record)

    def add_strangers(self, records: Sequence[Record]) -> int:
        """Write runs of one prediction each, but for those whose prediction any entry has; says how many were new."""
        ids = [entry.id for record in records for entry in record.entries if entry.id]
        with self.writing() as connection:
            known = _known(connection, ids, sa.true())
            new = [record for record in records if known.isdisjoint(entry.id for entry in record.entries)]
            for record in new:
                self._insert(connection, record)
        return len(new)

    # Where a fence is handed in, and with the end of a run, Fenced is raised if the run is another replica's by now.

    def save(
        self, run_id: str, *entries: Entry, answer: Mapping[str, Any] | None = None, fence: int | None = None
    ) -> None:
        """Write entries as they stand now; `answer` is the service's record of the first one as it came."""
        with self._of_run(run_id, fence, None) as connection:
            for number, entry in enumerate(entries):
                self._put(connection, run_id, entry, answer if number == 0 else None)

    def announce(self, facts: Facts, *entries: Entry, check: Check, fence: int | None = None) -> None:
        """Write entries of what is about to happen, if `check` still lets it; refused where its pictures would find no
        place on the disk.
        """
        self._insist_on_room()
        with self._of_run(facts.id, fence, None) as connection:
            _ask(connection, facts, check)
            for entry in entries:
                self._put(connection, facts.id, entry, None)

    def bill(self, amounts: Mapping[str, Decimal]) -> None:
        """Write what was billed for predictions, deleted runs' too: their money counts."""
        with self.writing(None) as connection:
            for prediction_id, amount in amounts.items():
                which = (predictions.c.prediction_id == prediction_id) & UNBILLED
                connection.execute(predictions.update().where(which).values(charge=amount, source="billing"))

    def claim(self, run_id: str, entry: Entry, fence: int | None = None) -> bool:
        """Write an entry that takes over the prediction of its id, unless any other entry has that id already."""
        others = _OURS & ~rows.is_entry(run_id, entry)  # itself it may stand here, where the line broke at its answer
        try:
            with self._of_run(run_id, fence, EVERYBODY) as connection:
                if _known(connection, [entry.id or ""], others):
                    return False
                self._put(connection, run_id, entry, None)
                return True
        except Conflict:  # its own submit has been answered this very moment
            return False

    def end(self, record: Record) -> None:
        """Write how the run stands as a whole, and every entry again, in case an earlier writing of one failed."""
        with self._of_run(record.facts.id, record.fence, None) as connection:
            for entry in record.entries:
                self._put(connection, record.facts.id, entry, None)
            change = runs.update().where(runs.c.id == record.facts.id).values(rows.ending_row(record))
            connection.execute(change)

    def ask_to_stop(self, visitor: str, run_id: str) -> None:
        """Ask whichever replica works on the visitor's run to stop waiting."""
        which = _KEPT & (runs.c.id == run_id) & (runs.c.visitor == visitor) & runs.c.finished_at.is_(None)
        change = runs.update().where(which).values(stopping=True).returning(notify(ASKED, runs.c.id))
        with self.writing(None) as connection:
            connection.execute(change)

    def label(self, visitor: str, changes: Mapping[str, LabelChange]) -> None:
        """Change the labels of runs of the visitor's, by their ids."""
        with self.writing(None) as connection:
            for run_id, change in changes.items():
                which = _KEPT & (runs.c.id == run_id) & (runs.c.visitor == visitor)
                connection.execute(runs.update().where(which).values(**change))

    def delete(self, run_id: str, now: datetime) -> list[Reference]:
        """Take what a run was about out of the ledger, and out of the bytes of its file.

        Its money and the ids that are taken stay; what waited to be sent never will be, and costs nothing. Says which
        references with the same bytes other kept runs have.
        """
        emptied: dict[str, Any] = {
            "prompt": "",
            "preset": None,
            "parameters": {},
            "refs": [],
            "seed": None,
            "troubles": [],
            **rows.label_row(Label()),
            "comparison_id": None,
            "cell": None,
        }
        bare: dict[str, Any] = {"payload": {}, "error": "", "outputs": [], "troubles": [], "answer": None}
        never_sent = predictions.c.prediction_id.is_(None) & (predictions.c.status == RESERVED)
        mine = predictions.c.run_id == run_id
        with self.writing() as connection:
            given = connection.execute(sa.select(runs.c.refs).where(runs.c.id == run_id)).scalar() or []
            connection.execute(predictions.update().where(mine & never_sent).values(charge=Decimal(0)))
            connection.execute(runs.update().where(runs.c.id == run_id).values(deleted_at=now, **emptied))
            connection.execute(predictions.update().where(mine).values(bare))
        return self.release({row["sha256"] for row in given})

    def release(self, hashes: set[str]) -> list[Reference]:
        """Forget where pictures with these hashes were uploaded to; says which of them kept runs have, which stay."""
        with self.reading() as connection:  # it goes over all runs, and no writer is to wait for that
            kept = self._references(connection, hashes)
        with self.writing() as connection:
            gone = uploads.c.sha256.in_(hashes - {reference.sha256 for reference in kept})
            connection.execute(uploads.delete().where(gone))
        self.empty_log()
        return kept

    # reading

    def find(self, visitor: str, run_id: str) -> Record | None:
        found = self._records(_KEPT & (runs.c.id == run_id) & (runs.c.visitor == visitor))
        return found[0] if found else None

    def owner(self, run_id: str) -> str | None:
        """The visitor whose run it is; None where there is none."""
        with self.reading() as connection:
            return connection.execute(sa.select(runs.c.visitor).where(runs.c.id == run_id)).scalar()

    def list_for(self, visitor: str) -> list[Record]:
        """The visitor's runs, newest first."""
        return self._records(_LISTED & (runs.c.visitor == visitor))

    def page(self, visitor: str, limit: int, after: str = "", search: Search = Search()) -> list[Record]:
        """The runs of so many entries of the visitor's history at most, from the one after the run of that id.

        An entry is a run, or a whole comparison in the place of its first cell, found by any of its cells.
        """
        which = _LISTED & (runs.c.visitor == visitor) & _IS_FIRST & (_found(search) | _found_beside(search))
        if after:
            last = sa.select(runs.c.created_at).where(runs.c.id == after, runs.c.visitor == visitor).scalar_subquery()
            which &= (runs.c.created_at < last) | ((runs.c.created_at == last) & (runs.c.id > after))
        columns = (runs.c.id, runs.c.comparison_id)
        first = sa.select(*columns).where(which).order_by(*_NEWEST_FIRST).limit(limit).cte()
        whole = runs.c.comparison_id.in_(sa.select(first.c.comparison_id))
        return self._records((runs.c.visitor == visitor) & (runs.c.id.in_(sa.select(first.c.id)) | whole))

    def comparison(self, visitor: str, comparison_id: str) -> list[Record]:
        """The visitor's runs that belong to it, newest first."""
        return self._records(_KEPT & (runs.c.comparison_id == comparison_id) & (runs.c.visitor == visitor))

    def newest(self, visitor: str) -> Record | None:
        with self.reading() as connection:  # first whether there is any: most pages that open are somebody's first
            any_run = sa.select(runs.c.id).where(runs.c.visitor == visitor).limit(1)
            if connection.execute(any_run).first() is None:
                return None
        found = self.page(visitor, 1)
        return found[0] if found else None

    def unfinished(self, account_id: str, owner: str | None = None) -> list[tuple[str, str]]:
        """Visitor and id of those of an account that no other replica than this one works on, oldest first."""
        open = runs.c.finished_at.is_(None) & runs.c.state.not_in(FINISHED)
        ours = (runs.c.account_id == account_id) & (runs.c.owner.is_(None) | (runs.c.owner == owner))
        query = sa.select(runs.c.visitor, runs.c.id).where(_KEPT & open & ours).order_by(runs.c.created_at)
        with self.reading() as connection:
            return [(row.visitor, row.id) for row in connection.execute(query)]

    def asked_of(self, owner: str, run_id: str | None) -> list[Wanted]:
        """The replica's runs that were asked to stop waiting, and that of this id, whatever is asked of it."""
        query = sa.select(runs.c.id, runs.c.visitor, runs.c.stopping)
        which = (runs.c.owner == owner) & (runs.c.stopping | (runs.c.id == run_id))
        with self.reading() as connection:
            return [Wanted(*row) for row in connection.execute(query.where(which))]

    def ended_practice(self) -> list[Ended]:
        """Each practice run that has ended, oldest first, favourites after all others."""
        which = _LISTED & (runs.c.account_kind == "sandbox") & runs.c.state.in_(FINISHED)
        columns = (runs.c.id, runs.c.visitor, runs.c.created_at, runs.c.favourite)
        query = sa.select(*columns).where(which).order_by(runs.c.favourite, runs.c.created_at)
        with self.reading() as connection:
            return [Ended(*row) for row in connection.execute(query)]

    def deleted(self) -> set[str]:
        """The ids of runs that were taken out of the history."""
        with self.reading() as connection:
            return set(connection.execute(sa.select(runs.c.id).where(~_KEPT)).scalars())

    def holder(self, prediction_id: str) -> tuple[str, str | None] | None:
        """Whose prediction it is: the visitor, and the run (None: deleted). None where nobody here has it."""
        query = (
            sa.select(runs.c.visitor, runs.c.id, runs.c.deleted_at)
            .select_from(WITH_RUN)
            .where(_OURS, is_one_of(predictions.c.prediction_id, [prediction_id]))
            .order_by(runs.c.created_at.desc())
        )
        with self.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.visitor, None if row.deleted_at else row.id)

    def taken(self, prediction_ids: Iterable[str]) -> set[str]:
        """Those of the ids that an entry has by a submit of its own; one that was recovered has reserved nothing."""
        with self.reading() as connection:
            return _known(connection, list(prediction_ids), _OURS & (predictions.c.reserved > Decimal(0)))

    def sent_elsewhere(self, account_id: str, owner: str | None, since: datetime) -> list[Mapping[str, Any]]:
        """The payloads that other replicas have sent since then, or are about to, and have no answer to yet."""
        unanswered = predictions.c.prediction_id.is_(None) & (predictions.c.status == SUBMITTING)
        which = unanswered & (predictions.c.submitting_at >= since) & (runs.c.account_id == account_id)
        theirs = runs.c.owner.is_not(None) & (runs.c.owner != owner)
        query = sa.select(predictions.c.payload).select_from(WITH_RUN).where(which, theirs)
        with self.reading() as connection:
            return list(connection.execute(query).scalars())

    def spent(self, visitor: str, since: datetime, account_id: str | None = None) -> Decimal:
        """USD that the visitor's runs since then cost: of one account, or of all that are charged for."""
        account = runs.c.account_kind != "sandbox" if account_id is None else runs.c.account_id == account_id
        with self.reading() as connection:
            return spent(connection, account & (runs.c.visitor == visitor) & (runs.c.created_at >= since))

    def unbilled(self, account_id: str, since: datetime, most: int) -> dict[str, Decimal]:
        """Reserved USD of charged predictions since then of which the service has not told the bill, newest first."""
        asked = (runs.c.account_id == account_id) & (runs.c.created_at >= since) & UNBILLED
        query = (
            sa.select(predictions.c.prediction_id, predictions.c.reserved)
            .select_from(WITH_RUN)
            .where(asked)
            .order_by(runs.c.created_at.desc())
            .limit(most)
        )
        with self.reading() as connection:
            return {row.prediction_id: row.reserved for row in connection.execute(query)}

    def durations(self, variant_id: str, *, sandbox: bool, count: int = 20) -> list[float]:
        """Seconds that the model took for the last runs of a variant, newest last."""
        kind = runs.c.account_kind == "sandbox" if sandbox else runs.c.account_kind != "sandbox"
        query = (
            sa.select(predictions.c.model_seconds)
            .select_from(WITH_RUN)
            .where(kind, runs.c.variant_id == variant_id, predictions.c.model_seconds.is_not(None))
            .order_by(runs.c.created_at.desc())
            .limit(count)
        )
        with self.reading() as connection:
            return list(connection.execute(query).scalars())[::-1]

    # uploads

    def uploaded(self, account_id: str, sha256: str, since: datetime) -> str | None:
        """The URL of a content, if that account has uploaded it since then."""
        query = sa.select(uploads.c.url).where(
            uploads.c.account_id == account_id, uploads.c.sha256 == sha256, uploads.c.uploaded_at >= since
        )
        with self.reading() as connection:
            return connection.execute(query).scalar()

    def remember_upload(self, account_id: str, sha256: str, url: str, now: datetime) -> None:
        row = {"account_id": account_id, "sha256": sha256, "url": url, "uploaded_at": now}
        with self.writing(None) as connection:
            upsert(connection, uploads, row)

    def forget_uploads(self, account_id: str, urls: Sequence[str]) -> None:
        gone = uploads.delete().where(uploads.c.account_id == account_id, uploads.c.url.in_(urls))
        with self.writing(None) as connection:
            connection.execute(gone)

    # inside

    @contextmanager
    def _of_run(self, run_id: str, fence: int | None, lock: str | None) -> Iterator[sa.Connection]:
        """A transaction that a run is written in, by whoever it belongs to."""
        with self.writing(lock) as connection:
            if fence is not None:
                leases.hold(connection, run_id, fence)
            yield connection

    def _insert(self, connection: sa.Connection, record: Record) -> None:
        connection.execute(runs.insert().values(rows.run_row(record, self.home)))
        for entry in record.entries:
            self._put(connection, record.facts.id, entry, None)

    def _put(self, connection: sa.Connection, run_id: str, entry: Entry, answer: Mapping[str, Any] | None) -> None:
        if entry.id and entry.reserved:
            _forget_stranger(connection, entry.id)
        row = rows.entry_row(run_id, entry, self.home) | ({} if answer is None else {"answer": dict(answer)})
        upsert(connection, predictions, row)

    def _records(self, which: sa.ColumnElement[bool]) -> list[Record]:
        """Newest first. Answers stay behind: they are for whoever looks into the file."""
        chosen = sa.select(runs).where(which).order_by(*_NEWEST_FIRST)
        parts = sa.select(*_ANSWERS_APART).select_from(WITH_RUN).where(which).order_by("number", "attempt")
        with self.reading() as connection:
            entries: dict[str, list[Mapping[Any, Any]]] = {}
            for row in connection.execute(parts).mappings():
                entries.setdefault(row["run_id"], []).append(row)
            found = connection.execute(chosen).mappings().all()
        return [rows.record(row, entries.get(row["id"], []), self.home) for row in found]

    def _references(self, connection: sa.Connection, hashes: Set[str]) -> list[Reference]:
        """Those of all kept runs that have one of these hashes."""
        named = sa.or_(sa.false(), *(sa.cast(runs.c.refs, sa.Text).contains(each) for each in hashes))
        found = connection.execute(sa.select(runs.c.refs).where(_KEPT & named)).scalars()
        return [rows.reference(given, self.home) for refs in found for given in refs if given["sha256"] in hashes]

    def has_room(self, more: int = 0) -> bool:
        """Whether the disk has `ROOM`, and so many bytes more."""
        if self._remote:  # such a disk names any number as free
            return True
        with self._database.words():
            return shutil.disk_usage(self.home).free >= ROOM + more

    def _insist_on_room(self) -> None:
        # The database may have room inside its own files on a disk that has none left for pictures.
        if not self.has_room():
            raise faults.error(faults.SQLITE["SQLITE_FULL"])

    def empty_log(self) -> bool:
        """Bring what was deleted out of whatever was written ahead; False where somebody reads it just now."""
        return self._database.wipe()

    @contextmanager
    def writing(self, lock: str | None = EVERYBODY) -> Iterator[sa.Connection]:
        """A transaction, durable when it is left, or undone if an error leaves it.

        Nobody else writes under that lock meanwhile: what is read in here is still so when it ends. None is for what
        rests on nothing that was read.
        """
        begun = time.monotonic()
        with self._database.writing(lock) as connection:
            yield connection
        self.written(time.monotonic() - begun)

    def hold_visitor(self, connection: sa.Connection, visitor: str) -> None:
        """From here to the end of the transaction, either a press of that visitor's is written or their sign-in is."""
        self._database.hold(connection, f"visitor {visitor}")

    def now(self, connection: sa.Connection, ours: datetime) -> datetime:
        """The time that all who use this ledger go by; `ours` where nobody else does."""
        return self._database.now(connection, ours)

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """What stands there at one moment."""
        return self._database.reading()

    def listen(self) -> AsyncGenerator[News | None, None]:
        """What other replicas tell, from now on; the only thing here that blocks nobody.

        Raises:
            LedgerError: nothing can be heard just now.
        """
        return self._database.listen()


def _of_account(facts: Facts) -> str:
    """The lock of all that spends on an account: what a budget or an allowance adds up is spent on one."""
    return f"account {facts.account_id}"


def _found(search: Search, table: sa.FromClause = runs) -> sa.ColumnElement[bool]:
    which = table.c.variant_id == search.variant_id if search.variant_id else sa.true()
    which &= table.c.favourite if search.favourites else sa.true()
    names = [(table.c.preset, search.presets), (table.c.variant_id, search.variants)]
    named = [sa.case(dict(known), value=column, else_="") for column, known in names if known]
    parts = [table.c.name, sa.func.coalesce(sa.cast(table.c.seed, sa.Text), ""), *named]
    text = lowered(sum((" " + part for part in parts), start=table.c.prompt))
    return sa.and_(which, *(text.contains(word.lower(), autoescape=True) for word in search.words))


def _found_beside(search: Search) -> sa.ColumnElement[bool]:
    """Whether another cell of the same comparison is found."""
    return sa.exists().where(_BESIDE & _found(search, _OTHERS))


def _known(connection: sa.Connection, ids: Sequence[str], which: sa.ColumnElement[bool]) -> set[str]:
    """Those of the predictions that such an entry has, be it under a pseudonym."""
    asked = is_one_of(predictions.c.prediction_id, ids) & which
    found = set(connection.execute(sa.select(predictions.c.prediction_id).select_from(WITH_RUN).where(asked)).scalars())
    return {id for id in ids if not found.isdisjoint((id, pseudonym(id)))}


def _forget_stranger(connection: sa.Connection, prediction_id: str) -> None:
    """Whose prediction it is has turned out, so it counts in their run."""
    strangers = sa.select(runs.c.id).where(~_OURS).scalar_subquery()
    which = (predictions.c.prediction_id == prediction_id) & predictions.c.run_id.in_(strangers)
    found = connection.execute(sa.select(predictions.c.run_id).where(which)).scalars().all()
    if found:
        connection.execute(predictions.delete().where(predictions.c.run_id.in_(found)))
        connection.execute(runs.delete().where(runs.c.id.in_(found)))


def _ask(connection: sa.Connection, facts: Facts, check: Check) -> None:
    if facts.account_kind == "host":
        check(Spending(connection))
