"""Pictures from anywhere on the web, by the address that a person pasted; from public hosts alone."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path

import httpx

from core.errors import KontextError
from core.pictures.reference import MAX_BYTES
from core.service import hosts

LONGEST = 30.0  # seconds for all of it, redirects included: who sends a byte a second holds nothing for long
AT_ONCE = 4  # of all visitors
REDIRECTS = 5
PREFIX = "drop-"  # of the files, like an upload's: whoever prepares such a file deletes it

_INSTEAD = "Save the picture, then add the file."
# Of no service: no host is our own here, and this computer is not public.
_NOWHERE = "https://nowhere.invalid"


class Web:
    """Fetches into `folder`, which is swept; `longest` in seconds.

    Goes by no proxy: one resolves names by itself, and would lead to where nobody has looked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: hosts.Resolve = hosts.resolve,
        longest: float = LONGEST,
    ) -> None:
        self._folder = folder
        self._transport = transport
        self._resolve = resolve
        self._longest = longest
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, address: str) -> Path:
        """The file at that address, whatever it is: it is opened where uploads are.

        Raises:
            KontextError: it is not to be had, is too large, or leads to where this app does not go.
        """
        try:
            if not re.fullmatch(r"https?://[^/?#\s]*\w[^\s]*", address, re.IGNORECASE):
                raise hosts.NotAllowed
            async with (
                self._turns,
                asyncio.timeout(self._longest),
                await asyncio.to_thread(self._client) as client,
                client.stream("GET", address) as response,
            ):
                if response.is_success:
                    return await self._kept(response)
        except hosts.NotAllowed:
            raise KontextError("Only addresses on the public web can be used.", _INSTEAD) from None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, UnicodeError, ValueError):
            raise KontextError("Couldn't get the picture from that address.", _INSTEAD) from None
        raise KontextError(f"That site didn't hand the picture out (error {response.status_code}).", _INSTEAD)

    def _client(self) -> httpx.AsyncClient:
        rule = hosts.Hosts(_NOWHERE)
        return httpx.AsyncClient(
            transport=self._transport or hosts.GuardedTransport(rule, httpx.Limits(), self._resolve),
            event_hooks={"request": [rule.check]},
            headers={"Accept": "image/*", "User-Agent": "kontext-studio"},
            follow_redirects=True,
            max_redirects=REDIRECTS,
            trust_env=False,
        )

    async def _kept(self, response: httpx.Response) -> Path:
        data = bytearray()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > MAX_BYTES:
                raise KontextError(
                    f"The picture is larger than {MAX_BYTES // 10**6} MB.", "Save it smaller, then add it."
                )
        return await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes | bytearray) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=PREFIX, delete=False) as file:
            file.write(data)
        return Path(file.name)
