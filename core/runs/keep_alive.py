"""Keeps a connection to the service open while somebody may be about to press: a new one costs several round trips."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.errors import KontextError
from core.runs.background import Background
from core.service.account import Account

EVERY = 3.0  # seconds; a connection that is idle for a little longer is given up
TIMES = 40  # two minutes from the last sign of somebody there
MOST = 16  # accounts at once, so that a crowd of keys does not fill the rate limit


class KeepAlive:
    """Sends something small and free over an idle connection now and then, for a while. It never raises."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._left: dict[str, int] = {}  # by account: how often still
        self._going = Background("keeping a connection")

    def extend(self, account: Account) -> None:
        """Somebody may be about to press, on that account. Returns at once; the sandbox has no connections."""
        if account.kind == "sandbox":
            return
        if account.id in self._left:
            self._left[account.id] = TIMES
        elif len(self._left) < MOST:
            self._left[account.id] = TIMES
            self._going.begin(self._keep(account))

    def open_another(self, account: Account) -> None:
        """Something is about to be uploaded, and occupies a connection for a while. Returns at once."""
        if account.kind != "sandbox" and len(self._going) < MOST:
            self._going.begin(account.client.touch())

    async def aclose(self) -> None:
        """Keep nothing any longer."""
        await self._going.aclose()

    async def _keep(self, account: Account) -> None:
        try:
            while self._left[account.id] > 0:
                self._left[account.id] -= 1
                if account.client.idle_for >= EVERY / 2:
                    await account.client.touch()
                await self._sleep(EVERY)
        except KontextError:
            pass  # the next call that matters says what is wrong
        finally:
            del self._left[account.id]
