"""A link in front of a local server: round-trip time, uplink rate, and what a new connection costs.

Run `python benchmarks/relay.py 8787` to put one before a server on port 8787; it names its own port, tells what it
has carried for each line it is given, and ends with its input. Loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.children import attend  # noqa: E402  (needs the line above when run as a script)

CHUNK = 8192  # bytes; how finely connections share the uplink
AHEAD = 0.03  # seconds of uplink that may queue in the link before senders have to wait


@dataclass(frozen=True)
class Link:
    """`round_trip` in seconds, `uplink` in bits a second for all connections together, `opening` in round trips that
    a new connection costs before its first byte goes (one for TCP, one for TLS).
    """

    round_trip: float = 0.06
    uplink: float = 20e6
    opening: int = 2

    def __str__(self) -> str:
        return (
            f"{self.round_trip * 1000:.0f} ms round trip, {self.uplink / 1e6:.0f} Mbit/s up, "
            f"{self.opening} round trips for each new connection"
        )


class Relay:
    """Carries connections to a port of this computer, as slowly as the link asks."""

    def __init__(self, port: int, link: Link) -> None:
        self._port = port
        self._link = link
        self._uplink_free = 0.0  # when all that was sent so far will be through
        self.carried = {"up": 0, "down": 0, "connections": 0}

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self.carried["connections"] += 1
        # Cancelled when all ends, of which asyncio's servers would make a noise.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.sleep(self._link.opening * self._link.round_trip)
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(
                self._carry(reader, far_writer, "up"), self._carry(far_reader, writer, "down"), return_exceptions=True
            )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.create_task(_deliver(travelling, writer))
        now = asyncio.get_running_loop().time
        try:
            while chunk := await reader.read(CHUNK):
                self.carried[way] += len(chunk)
                through = self._through(len(chunk)) if way == "up" else now()
                travelling.put_nowait((through + self._link.round_trip / 2, chunk))
                await asyncio.sleep(max(0.0, through - now() - AHEAD))
        finally:
            travelling.put_nowait((now() + self._link.round_trip / 2, b""))
            await arriving

    def _through(self, size: int) -> float:
        """When so many bytes will have left through the uplink, behind whatever left before."""
        # Counted from moment to moment, not slept through chunk by chunk: late wake-ups do not add up.
        began = max(asyncio.get_running_loop().time(), self._uplink_free)
        self._uplink_free = began + size * 8 / self._link.uplink
        return self._uplink_free


async def _deliver(travelling: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    """Hand over each chunk when its time has come; the empty one closes."""
    now = asyncio.get_running_loop().time
    with contextlib.suppress(OSError):
        while True:
            due, chunk = await travelling.get()
            await asyncio.sleep(max(0.0, due - now()))
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def run(port: int, link: Link) -> None:
    relay, over, loop = Relay(port, link), asyncio.Event(), asyncio.get_running_loop()
    server = await asyncio.start_server(relay.take, "127.0.0.1", 0)

    def carried() -> dict[str, Any]:
        said, relay.carried = relay.carried, {"up": 0, "down": 0, "connections": 0}
        return said

    own_port = server.sockets[0].getsockname()[1]
    attend({"port": own_port, "link": str(link)}, carried, lambda: loop.call_soon_threadsafe(over.set))
    await over.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A slow link in front of a local server.")
    parser.add_argument("port", type=int, help="of the server")
    parser.add_argument("--round-trip", type=float, default=Link.round_trip, help="seconds")
    parser.add_argument("--uplink", type=float, default=Link.uplink, help="bits a second")
    parser.add_argument("--opening", type=int, default=Link.opening, help="round trips for each new connection")
    chosen = parser.parse_args()
    asyncio.run(run(chosen.port, Link(chosen.round_trip, chosen.uplink, chosen.opening)))


if __name__ == "__main__":
    main()
