"""What stands behind the page: the account that pays, the runs, the presets; the embedded sandbox where no key is."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import getproxies

import httpx
from filelock import BaseFileLock, FileLock, Timeout

from core.access.attempts import Attempts
from core.access.budget import Allowance, Budget, caps
from core.access.invitations import Invitations, Standing, is_code
from core.access.keys import Keys
from core.access.people import Login, People, is_anonymous
from core.access.retention import Retention
from core.catalog.variants import REGISTRY
from core.errors import KontextError, SettingsError
from core.ledger import pause
from core.ledger.ledger import Ledger
from core.ledger.people import is_person
from core.pictures.decoder import Decoder
from core.pictures.prepared import PreparedPictures
from core.pictures.reference import FOLDER, MAX_BYTES, Reference
from core.pictures.served import ServedFiles, receipts_of
from core.prompts.presets import Preset, load_presets
from core.runs.background import Background
from core.runs.keep_alive import KeepAlive
from core.runs.leases import Leases
from core.runs.runs import Runs
from core.runs.runtime import Runtime
from core.service.account import Account
from core.service.catalogue import differences
from core.service.client import Client
from core.service.pool import Pool
from core.service.rate_limit import RateLimiter
from core.service.web import Web
from core.settings import Settings
from core.storage import TEMPORARY, Storage, limits
from core.trials.blind import Blind
from core.trials.judging import Judging
from core.trials.life import Trials

if TYPE_CHECKING:
    from starlette.types import ASGIApp

CLOSED = "This app is open by invitation only."
DATABASE_AWAY = "database away"
BY_INVITATION = "Open the link that you were given, or paste your invitation under “Your key”."

# A key's balance in USD, an invitation, or a signed-in person's cap.
Left = Decimal | Standing | Allowance | None

log = logging.getLogger(__name__)

FIRST_LOOK, DAY = 60.0, 24 * 3600.0  # seconds
_SANDBOX_HOST = "http://sandbox.invalid"  # answered inside the process; never resolved


class Backend:
    """Everything that one running app shares between its visitors. `mounted` as for the ledger."""

    def __init__(
        self,
        settings: Settings,
        presets: Path,
        *,
        mounted: str | None = None,
        runtime: Runtime | None = None,
        web: Web | None = None,
    ) -> None:
        self.settings = settings
        self.presets: Mapping[str, Preset] = load_presets(presets)
        self._lock = None if settings.database_url else _held(settings.data_dir)
        self.references = settings.data_dir / FOLDER
        self.served = ServedFiles(settings.data_dir)
        self.decoder = Decoder()
        self._web = web or Web(settings.data_dir / TEMPORARY)
        self._prepared = PreparedPictures(self.decoder, self.references)
        # The sandbox draws in threads of its own: the ledger never waits for a picture.
        self._drawing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sandbox")
        self.ledger = Ledger(settings.data_dir, mounted=mounted, url=settings.database_url)
        budget = Budget(**caps(settings), access=settings.access, paused=settings.paused)
        self._attempts = Attempts()
        self._runtime = runtime or Runtime()
        self.clock = self._runtime.clock
        # An allowance of their own: guesses that cost nobody anything must not keep out whoever brings a key.
        self.invitations = Invitations(self.ledger, clock=self.clock, attempt=Attempts().attempt)
        self.people = People(self.ledger, clock=self.clock)
        self._keep_alive = KeepAlive(self._runtime.sleep)
        self._leases = Leases(self.ledger, self._runtime, alone=settings.database_url is None)
        self.runs = self._made_runs(budget)
        self.trials = Trials(self.ledger, self.runs, Blind(self.decoder, settings.data_dir), self._runtime)
        self.storage = Storage(
            self.ledger, self.runs, self.trials, limits(settings), clock=lambda: self.clock().timestamp()
        )
        self.retention = Retention(self.ledger, self.runs, self.trials, settings.keep, self.clock)
        self.judging = Judging(self.ledger, self.clock)
        self._rate_limiter = RateLimiter(replicas=lambda: self._leases.replicas)
        self.practice = self._practice_account()
        self.host = Account("host", "host", self._client(settings.api_key)) if settings.api_key else None
        # Whose account whoever brings nothing uses.
        self.account = self.host if self.host and settings.access == "open" else self.practice
        self._keeping = Background("keeping the lease, and listening to other copies")
        self._counting = Background("counting what the ledger lost")
        self._preparing = Background("preparing what was uploaded")
        # Where the environment names a proxy, each client finds it by itself.
        self._pool = None if getproxies() else Pool(settings.base_url)
        self.keys = Keys(lambda key: self._client(key, self._pool))
        self.drift: tuple[str, ...] = ()  # in what the service's catalogue differs from the registry, as far as known

    def _made_runs(self, budget: Budget) -> Runs:
        settings = self.settings
        return Runs(
            self.ledger,
            settings.data_dir,
            budget=budget,
            at_once=settings.at_once,
            hosted=settings.hosted,
            served=self.served,
            attempt=self._attempts.attempt,
            make_room=self._make_room,
            stay_connected=self._keep_alive.extend,
            leases=self._leases,
            runtime=self._runtime,
            public_url=settings.public_url,
            account_of=self._account_of,
        )

    def _practice_account(self) -> Account:
        transport = httpx.ASGITransport(app=_sandbox(self.settings.sandbox_seconds, self._drawing))
        sleep, opener = self._runtime.sleep, self.decoder.open
        client = Client("sandbox", _SANDBOX_HOST, transport=transport, sleep=sleep, opener=opener)
        return Account("sandbox", "sandbox", client)

    @property
    def _accounts(self) -> list[Account]:
        return [self.practice, *filter(None, [self.host])]

    def _client(self, key: str, transport: httpx.AsyncBaseTransport | None = None) -> Client:
        limiter, base_url, sleep = self._rate_limiter, self.settings.base_url, self._runtime.sleep
        opener = self.decoder.open
        return Client(key, base_url, transport=transport, sleep=sleep, rate_limiter=limiter, opener=opener)

    def _account_of(self, account_id: str) -> Account | None:
        known = (account for account in self._accounts if account.id == account_id)
        return next(known, None) or self.keys.by_id(account_id)

    async def prepare(self, source: Path, number: int) -> Reference:
        """`core.pictures.reference.prepare` into this app's folder, in a process that can be ended.

        Raises:
            ReferenceRejected: the picture can't be used.
            KontextError: it can't be written, or not just now.
        """
        await self.storage.make_room()
        return await self._prepared.prepare(source, number)

    async def fetch(self, address: str) -> Path:
        """The file at an address of the public web, as an upload would have brought it; whoever prepares it deletes it.

        Raises:
            KontextError: it is not to be had, or there is no room for it.
        """
        async with self.storage.room_for(MAX_BYTES):
            return await self._web.fetch(address)

    def arrived(self, sources: Sequence[Path]) -> None:
        """Files were uploaded here: what is asked for in a moment is prepared already, and connections are open.

        Never on a hosted app, where nothing is opened before a budget was asked.
        """
        if self.settings.hosted or not self.runs.accepting:
            return
        self._keep_alive.extend(self.account)
        for source in sources:
            self._preparing.begin(self._prepared_ahead(source))

    async def _prepared_ahead(self, source: Path) -> None:
        if not await self._prepared.knows(source):
            self._keep_alive.open_another(self.account)
        with suppress(KontextError):  # whoever asks for it is told
            await self.prepare(source, 1)

    async def _make_room(self) -> None:
        await self.storage.before_run()

    async def bring(self, key: str) -> tuple[str, Account, Decimal]:
        """`Keys.bring`, a few wrong ones at a time; runs that wait for the key go on.

        Raises:
            ServiceError: the service does not take the key, or can't be reached.
            KontextError: too many have been tried that it did not take, or this app is by invitation only.
        """
        if self.settings.access == "closed":
            raise KontextError(CLOSED, BY_INVITATION)
        with self._attempts.attempt():
            handle, account, balance = await self.keys.bring(key)
        await self._resume(account)
        return handle, account, balance

    async def who(self, claim: object) -> str | None:
        """The visitor that a page is which shows this id, or the handle of a sign-in; None: nobody."""
        if not self.settings.sign_in:
            return str(claim) if is_anonymous(claim) else None
        return await self.runs.readers(self.people.who, claim)

    async def claim(self, *told: object) -> str:
        """What a page holds from now on: the first of these that is somebody's, or the id of a new visitor."""
        for one in told:
            if await self.who(one) is not None:
                return str(one)
        return uuid.uuid4().hex

    async def sign_in(self, login: Login, before: object) -> str | None:
        """The handle of somebody who has just signed in, and was that visitor before; None: this login was used."""
        signed_in = await asyncio.to_thread(self.people.sign_in, login, before)
        if signed_in is None:
            return None
        if is_anonymous(before):
            self.runs.hand_over(str(before), signed_in.visitor)
            await asyncio.to_thread(self.served.forget, receipts_of(str(before)))
        return signed_in.handle

    async def sign_out(self, handle: object) -> None:
        """Nobody is taken for its person any more; their runs go on, and stay theirs."""
        await asyncio.to_thread(self.people.sign_out, handle)

    def account_of(self, visitor: str | None) -> Account:
        """What pays for a visitor who brings nothing."""
        signed_in = self.settings.access == "invited" and visitor is not None and is_person(visitor)
        return self.host if self.host and signed_in else self.account

    async def account_for(self, brought: object, visitor: str | None = None) -> Account:
        """What pays for whoever brings that: an invitation's code, the handle of a key, or nothing.

        Raises:
            KontextError: the invitation isn't valid, or nothing can be had here without one.
        """
        if is_code(brought):
            return (await self.invited(brought))[0]
        account = self.keys.account(brought)
        if account is None and self.settings.access == "closed":
            raise KontextError(CLOSED, BY_INVITATION)
        return account or self.account_of(visitor)

    async def invited(self, code: object) -> tuple[Account, Standing]:
        """The account that an invitation's holder uses, and what is left of it.

        Raises:
            KontextError: the invitation isn't valid, or too many wrong ones were tried.
        """
        standing = await self.runs.readers(self.invitations.find, code)
        return replace(self.host or self.practice, invitation=standing.invitation.id), standing

    async def standing(self, brought: object, visitor: str | None) -> tuple[Account, Left]:
        """What pays for whoever brings that, and what it has left; None where that is not theirs, or not known now."""
        if is_code(brought):
            with suppress(KontextError):
                return await self.invited(brought)
        if (account := self.keys.account(brought)) is not None:
            balance = None
            with suppress(KontextError):
                balance = await account.client.balance()
            return account, balance
        account = self.account_of(visitor)
        return account, await self._allowance(account, visitor)

    async def _allowance(self, account: Account, visitor: str | None) -> Allowance | None:
        limit = self.settings.signed_in_budget
        if account.kind != "host" or visitor is None or not is_person(visitor) or limit is None:
            return None
        return Allowance(limit, await self.runs.readers(self.people.spent_today, visitor))

    @property
    def status(self) -> str:
        """In a word or two whether runs can be started: "ready", or why not."""
        if not self.runs.accepting:
            return "closing"
        return "ready" if self._leases.reachable else DATABASE_AWAY

    async def paused(self) -> bool:
        """Whether the host has paused spending."""
        return self.settings.paused or await self.runs.readers(self._paused_since) is not None

    async def pause(self, paused: bool) -> None:
        """Let the host's key pay for nothing new, or again. Holds for every process on this ledger at once."""
        await asyncio.to_thread(self._pause, paused)
        await self._resume_trials()

    def _pause(self, paused: bool) -> None:
        with self.ledger.writing() as connection:
            if paused:
                pause.pause(connection, self.clock())
            else:
                pause.resume(connection)

    def _paused_since(self) -> datetime | None:
        with self.ledger.reading() as connection:
            return pause.since(connection)

    async def _resume_trials(self) -> None:
        """Those that a pause has left unmade."""
        if self.host is not None and not await self.paused():
            await self.trials.resume(self.host)

    async def sweep(self) -> None:
        """Let go of what nobody has used for a while, and go on with what another process may have let go on."""
        for account_id in await self.keys.sweep(self.runs.busy):
            self.runs.forget(account_id)
        with suppress(KontextError):  # in a minute it may be readable again
            await self._resume_trials()
        await self.retention.finish()

    async def daily(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """With a host's key: see for as long as the app serves in what the service's catalogue differs."""
        await sleep(FIRST_LOOK)  # a start has other things to do
        while self.host is not None:
            try:
                self.drift = tuple(differences(REGISTRY.values(), await self.host.client.catalogue()))
                for difference in self.drift:
                    log.warning("drift: %s", difference)
            except Exception as fault:  # tomorrow it may go better; its text may quote anything
                log.info("the service's catalogue can't be had: %s", type(fault).__name__)
            await sleep(DAY)

    async def open(self) -> None:
        """Resume what an earlier process left unfinished."""
        await self._leases.begin()
        self._keeping.begin(self._leases.keep(self._lose_all, self._take_over))
        if not self._leases.alone:
            self._keeping.begin(self.runs.news.keep(self.runs.asked))
        await asyncio.to_thread(self.runs.clear_deleted)
        await self.trials.clear_deleted()
        for account in self._accounts:
            await self._resume(account)
            self._counting.begin(self.runs.count_strangers(account))  # nobody waits for it

    async def _resume(self, account: Account) -> None:
        await self.runs.resume_all(account)
        await self.trials.resume(account)

    async def _lose_all(self) -> None:
        await self.trials.lose_all()
        await self.runs.lose_all()

    async def _take_over(self) -> None:
        """Go on with what another replica has left, and do what was asked of our runs there."""
        await self.runs.heed()
        for account in (*self._accounts, *self.keys.accounts):
            await self.runs.take_over(account)
            if account is not self.host:
                await self.trials.resume(account)
        await self._resume_trials()

    async def drain(self) -> None:
        """Take no new runs, wait for answers to what was sent, and let go whoever watches; all else still works."""
        await self.storage.aclose()
        await self.trials.aclose()
        await self.runs.aclose()
        await self._leave()

    async def _leave(self) -> None:
        """Nobody need wait for what was ours."""
        await self._keeping.aclose()
        with suppress(KontextError):  # the lease runs out by itself
            await self._leases.leave()

    async def aclose(self) -> None:
        """Stop watching; runs that wait are resumed at the next start."""
        await self._keep_alive.aclose()
        await self._preparing.aclose()
        await self._counting.aclose()
        await self.trials.aclose()
        await self.runs.aclose()
        await self._leave()
        for account in self._accounts:
            await account.client.aclose()
        await self.keys.aclose()
        if self._pool is not None:
            await self._pool.close()
        await asyncio.to_thread(self.decoder.close)
        self._drawing.shutdown(wait=False, cancel_futures=True)
        self.runs.readers.close()
        await asyncio.to_thread(self.ledger.close)
        if self._lock is not None:
            self._lock.release()


def _sandbox(seconds: float, drawing: Executor) -> ASGIApp:
    """The sandbox, imported and built at its first request: the first page comes sooner without it.

    All visitors share one account in it, so that account never runs dry.
    """

    @cache
    def built() -> ASGIApp:
        from sandbox import create_app

        return create_app(seconds=seconds, endless=True, threads=drawing)

    return lambda scope, receive, send: built()(scope, receive, send)


def _held(folder: Path) -> BaseFileLock:
    """The data folder for this process alone: a second one would take the runs of the first for abandoned."""
    lock = FileLock(folder / "app.lock", thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        happened = "points to a folder that another running copy of this app uses."
        raise SettingsError("KONTEXT_DATA_DIR", happened, "Stop that copy, or choose another folder.") from None
    except OSError:
        happened = "points to a folder that can't be written to."
        raise SettingsError("KONTEXT_DATA_DIR", happened, "Allow writing there, or choose another folder.") from None
    return lock
