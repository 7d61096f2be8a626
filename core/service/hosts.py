"""Where files of the service may lie: on public hosts, at its own, or on this computer where the service itself is.

The addresses of outputs and uploads, and redirects of them, are words of the service: none of them may lead this app to
a machine that only it can reach. A name is resolved once, each of its addresses is checked, and the connection goes to
one of those: a second answer of its name server comes too late (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import ipaddress
import select
import socket
import ssl
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore
import httpx

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST_ADDRESSES = 4  # of one name that are tried
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotAllowed(Exception):
    """An address of the service's that this app does not go to."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises OSError where it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Hosts:
    """The rule, for a service at `base_url`."""

    def __init__(self, base_url: str) -> None:
        self._own = httpx.URL(base_url).raw_host.decode().lower()
        literal = _literal(self._own)
        self._loopback = _is_local_name(self._own) if literal is None else literal.is_loopback

    def is_own(self, host: str) -> bool:
        """Whether it is the host that whoever runs the app has named."""
        return host.lower() == self._own

    async def check(self, request: httpx.Request) -> None:
        """Refuse what can be told without resolving anything; to be called before each request and each redirect.

        Raises:
            NotAllowed: it leads elsewhere.
        """
        url, host = request.url, request.url.raw_host.decode().lower()
        literal = _literal(host)
        inside = _is_local_name(host) and not self._loopback if literal is None else not self._allows(host, literal)
        if url.scheme not in ("http", "https") or url.userinfo or inside:
            raise NotAllowed

    def checked(self, host: str, addresses: Iterable[str]) -> list[str]:
        """The addresses of a host, in the order to try them.

        Raises:
            NotAllowed: one of them leads elsewhere.
        """
        found = [ipaddress.ip_address(address) for address in dict.fromkeys(addresses)]
        if not all(self._allows(host, address) for address in found):
            raise NotAllowed
        # They are tried one after the other, so a network whose IPv6 leads nowhere must not cost a time-out.
        return [str(address) for address in sorted(found, key=lambda address: address.version)][:MOST_ADDRESSES]

    def _allows(self, host: str, address: Address) -> bool:
        inner = _embedded(address)
        return self.is_own(host) or _is_public(inner) or (self._loopback and inner.is_loopback)


class Guard(httpcore.AsyncNetworkBackend):
    """Opens connections to hosts that the rule allows, and to the very addresses that were checked."""

    def __init__(self, hosts: Hosts, resolve: Resolve) -> None:
        self._hosts = hosts
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As httpcore asks for it. Raises NotAllowed before anything is sent anywhere."""
        own = self._hosts.is_own(host)
        addresses = [host] if own else self._hosts.checked(host, await self._found(host, port, timeout))
        fault: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return Stream(await self._network.connect_tcp(address, port, timeout, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
        raise fault

    async def sleep(self, seconds: float) -> None:
        """As httpcore asks for it."""
        await self._network.sleep(seconds)

    async def _found(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        try:
            async with asyncio.timeout(seconds):
                return await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError from None


class Stream(httpcore.AsyncNetworkStream):
    """A connection that says at once whether its other end has hung up.

    httpcore asks that of every idle one at each request, and anyio would look up both ends' addresses each time: with a
    hundred connections a third of all that the event loop does.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as above
        """As httpcore asks for it."""
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as above
        """As httpcore asks for it."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """As httpcore asks for it."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> httpcore.AsyncNetworkStream:
        """As httpcore asks for it."""
        return Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """As httpcore asks for it; an idle connection with something to read has been closed by the other side."""
        if info == "is_readable" and self._socket is not None:
            return _readable(self._socket)
        return self._stream.get_extra_info(info)


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport with the guard in it, for which it has no parameter."""

    def __init__(self, hosts: Hosts, limits: httpx.Limits, resolve: Resolve) -> None:
        context = httpx.create_ssl_context()
        super().__init__(verify=context)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=Guard(hosts, resolve),
        )


def transport(hosts: Hosts, limits: httpx.Limits, resolve: Resolve) -> httpx.AsyncBaseTransport | None:
    """The way to the network; None for httpx's own way where a proxy is named, which resolves names by itself."""
    proxied = {"http", "https", "all"} & urllib.request.getproxies().keys()
    return None if proxied else GuardedTransport(hosts, limits, resolve)


def _readable(connection: socket.socket) -> bool:
    """Whether there is something to read, be it the end; so it is with a closed one."""
    number = connection.fileno()
    if number < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([number], [], [], 0)[0])
    ready = select.poll()
    ready.register(number, select.POLLIN)
    return bool(ready.poll(0))


def _is_local_name(host: str) -> bool:
    name = host.rstrip(".")
    return name == "localhost" or name.endswith(".localhost")


def _literal(host: str) -> Address | None:
    """The address that a host is written as, in any of the ways that a resolver takes for one: 127.1, 0x7f000001."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, UnicodeError):
        return None


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    teredo = address.teredo[1] if address.teredo else None
    translated = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
    return address.ipv4_mapped or address.sixtofour or teredo or translated or address


def _is_public(address: Address) -> bool:
    local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (local or address.is_multicast or address.is_reserved)
