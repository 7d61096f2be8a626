"""Visitors' own keys: in memory alone, each found by a handle that nobody can guess."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from core.service.account import Account
from core.service.client import Client

IDLE = 3600.0  # seconds without use after which a key is no longer here
LINGERS = 60.0  # seconds that a client which nobody holds stays open, for whoever is just about to use it
PAGES = 16  # that hold one key at once; past it the one that used it longest ago lets go
KEYS = 1000  # at once, by the same rule


@dataclass
class _Key:
    account: Account
    used: float
    pages: dict[str, float] = field(default_factory=dict)  # handle -> when it was last used, the longest ago first


class Keys:
    """One account with one client for each key, however many pages bring it.

    A page gets a handle in the key's place. It lives in the page, not in Gradio's session, which others can put out.
    `client` makes the client of a key. `clock` tells seconds, from anywhere.
    """

    def __init__(self, client: Callable[[str], Client], clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._keys: dict[str, _Key] = {}  # by the key's hash; the one used longest ago first
        self._holders: dict[str, str] = {}  # handle -> hash

    async def bring(self, key: str) -> tuple[str, Account, Decimal]:
        """Try a key against the balance call: a handle for it, its account, and that balance in USD.

        Raises:
            ServiceError: the service does not take the key, or can't be reached.
        """
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        if digest in self._keys:
            return await self._bring_again(digest)
        # A fingerprint tells the accounts apart in the ledger; the key can't be had back from it.
        account = Account(f"own-{digest[:16]}", "own", self._client(key))
        try:
            balance = await account.client.balance()
        except BaseException:
            await account.client.aclose()
            raise
        if digest in self._keys:  # brought twice at once
            await account.client.aclose()
        else:
            self._keys[digest] = _Key(account, self._clock())
            self._make_room()
        return self._held(digest), self._keys[digest].account, balance

    async def _bring_again(self, digest: str) -> tuple[str, Account, Decimal]:
        self._touch(digest)
        account, handle = self._keys[digest].account, self._held(digest)  # held meanwhile, so that no sweep closes it
        try:
            return handle, account, await account.client.balance()
        except BaseException:
            self.forget(handle)
            raise

    def account(self, handle: object) -> Account | None:
        """The account that a page's handle stands for; None where it is no longer here, or never was."""
        digest = self._holders.get(handle) if isinstance(handle, str) else None
        if digest is None or self._clock() - self._keys[digest].pages[str(handle)] > IDLE:
            self.forget(handle)
            return None
        self._touch(digest, str(handle))
        return self._keys[digest].account

    def by_id(self, account_id: str) -> Account | None:
        """The account of that id, where its key is here; that counts as no use of it."""
        return next((key.account for key in self._keys.values() if key.account.id == account_id), None)

    def forget(self, handle: object) -> None:
        """That page no longer holds its key."""
        digest = self._holders.pop(handle, None) if isinstance(handle, str) else None
        if digest is not None:
            del self._keys[digest].pages[str(handle)]

    @property
    def accounts(self) -> list[Account]:
        """Those of all keys that are here."""
        return [key.account for key in self._keys.values()]

    async def sweep(self, busy: Callable[[str], bool]) -> list[str]:
        """Close the clients that no page has used for so long; `busy` says of an account's id whether a run needs it.

        Returns the ids of the accounts that are gone.
        """
        now = self._clock()
        for key in list(self._keys.values()):
            for handle in [handle for handle, used in key.pages.items() if now - used > IDLE]:
                self.forget(handle)
        idle = [digest for digest, key in self._keys.items() if not key.pages and now - key.used > LINGERS]
        gone = [self._keys.pop(digest) for digest in idle if not busy(self._keys[digest].account.id)]
        for key in gone:
            await key.account.client.aclose()
        return [key.account.id for key in gone]

    async def aclose(self) -> None:
        """Forget them all."""
        keys, self._keys, self._holders = self._keys, {}, {}
        for key in keys.values():
            await key.account.client.aclose()

    def _held(self, digest: str) -> str:
        handle, pages = secrets.token_urlsafe(32), self._keys[digest].pages
        if len(pages) >= PAGES:
            self.forget(next(iter(pages)))
        self._holders[handle] = digest
        pages[handle] = self._clock()
        return handle

    def _touch(self, digest: str, handle: str = "") -> None:
        key = self._keys[digest] = self._keys.pop(digest)
        key.used = self._clock()
        if handle:
            del key.pages[handle]
            key.pages[handle] = key.used

    def _make_room(self) -> None:
        """Where there are too many, the pages of the key used longest ago let go; the next sweep closes its client."""
        held = [key for key in self._keys.values() if key.pages]
        for key in held[: max(0, len(held) + 1 - KEYS)]:
            for handle in list(key.pages):
                self.forget(handle)
