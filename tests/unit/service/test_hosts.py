"""What the service names is fetched from public hosts alone, whatever a name resolves to and wherever it redirects."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from PIL import Image

from core.errors import ServiceError
from core.service.client import Client
from core.service.hosts import Guard, Hosts, NotAllowed
from core.service.pool import Pool

pytestmark = pytest.mark.anyio

SERVICE = "https://api.example"
LOCAL = "http://127.0.0.1:8787"
INSIDE = (
    *("10.0.0.5", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255"),
    *("224.0.0.1", "fe80::1", "fd00::1", "fec0::1", "::", "ff02::1", "::ffff:10.0.0.5", "64:ff9b::a00:5"),
    *("2002:a00:5::1", "::ffff:169.254.169.254"),
)
LOOPBACK = ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")
PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e")


def written(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(file, "PNG")
    return file.getvalue()


async def checked(base_url: str, url: str) -> bool:
    try:
        await Hosts(base_url).check(httpx.Request("GET", url))
    except NotAllowed:
        return False
    return True


@pytest.mark.parametrize("address", [*INSIDE, *LOOPBACK])
async def test_nothing_inside_is_reached(address: str) -> None:
    """No address that only this computer or its network can reach is gone to, written out or found behind a name."""
    assert not await checked(SERVICE, f"http://{written(address)}/out")
    with pytest.raises(NotAllowed):
        Hosts(SERVICE).checked("cdn.example", [PUBLIC[0], address])


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.1", "0x7f000001", "2130706433", "017700000001"]
)
async def test_this_computer_by_other_names(host: str) -> None:
    """The many ways to write this computer all lead nowhere."""
    assert not await checked(SERVICE, f"http://{host}/out")


@pytest.mark.parametrize("url", ["https://me:secret@cdn.example/out", "ftp://cdn.example/out", "file:///etc/passwd"])
async def test_only_plain_web_addresses(url: str) -> None:
    """An address that brings a name and password, or that is not the web's, is not one of the service's."""
    assert not await checked(SERVICE, url)


@pytest.mark.parametrize("address", PUBLIC)
async def test_public_hosts_are_never_pinned(address: str) -> None:
    """Output hosts vary: any public one will do, by number or by name, IPv4 first."""
    assert await checked(SERVICE, f"https://{written(address)}/out")
    assert await checked(SERVICE, "https://d1.cloudfront.net/out")
    assert Hosts(SERVICE).checked("cdn.example", reversed(PUBLIC))[0] == PUBLIC[0]


@pytest.mark.parametrize("address", LOOPBACK)
async def test_a_service_on_this_computer_keeps_its_files_here(address: str) -> None:
    """Where the base URL is loopback its outputs may be, too; the rest of the network stays out of reach."""
    for base in (LOCAL, "http://localhost:8787", "http://[::1]:8787"):
        assert await checked(base, f"http://{written(address)}:9000/out")
        assert Hosts(base).checked("files.example", [address])
        assert not await checked(base, "http://10.0.0.5/out")


async def test_the_service_s_own_host_is_whoever_runs_the_app_s_choice() -> None:
    """A service that was named by a private address, or by a name that leads to one, hands out files of its own."""
    assert await checked("http://10.0.0.5:8787", "http://10.0.0.5:8787/out")
    assert not await checked("http://10.0.0.5:8787", "http://10.0.0.6/out")
    assert Hosts("http://sandbox:8787").checked("sandbox", ["172.18.0.2"]) == ["172.18.0.2"]


class Names:
    """A name server: each answer once, the last for ever; what was asked is kept."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Here:
    """A server of this computer that nobody outside is to reach; `heard` counts its connections."""

    async def __aenter__(self) -> Here:
        self.heard = 0
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += 1
        head = await reader.readuntil(b"\r\n\r\n")
        data = picture()
        if b"/moved" in head:
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        writer.close()


async def nap(_: float) -> None:
    return


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    """The name looks public, its address is this computer's: nobody is connected to, and it is said once."""
    async with Here() as here:
        names = Names(["127.0.0.1"])
        client = Client("wsk_x", SERVICE, resolve=names, sleep=nap)
        with pytest.raises(ServiceError, match="not on the public internet") as caught:
            await client.download(f"http://cdn.example:{here.port}/out")
        await client.aclose()
        assert (here.heard, names.asked, caught.value.charged) == (0, ["cdn.example"], "yes")


async def test_the_connections_that_keys_share_lead_no_further() -> None:
    """A visitor's own key goes by the pool of all such keys, under the same rule."""
    async with Here() as here:
        pool = Pool(SERVICE, Names(["127.0.0.1"]))
        client = Client("wsk_x", SERVICE, transport=pool, sleep=nap)
        with pytest.raises(ServiceError, match="not on the public internet"):
            await client.download(f"http://cdn.example:{here.port}/out")
        await client.aclose()
        await pool.close()
        assert here.heard == 0


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    """A name server that says another address the second time is not asked a second time."""
    async with Here() as here:
        names = Names(["127.0.0.1"], ["10.0.0.5"])
        client = Client("wsk_x", LOCAL, resolve=names, sleep=nap)
        found = await client.download(f"http://cdn.example:{here.port}/out")
        await client.aclose()
        assert (found.width, here.heard, names.asked) == (64, 1, ["cdn.example"])


async def test_a_connection_that_was_closed_is_known() -> None:
    """Idle, it has nothing to read until its other end hangs up, and is asked that without its addresses."""
    async with Here() as here:
        network = Guard(Hosts(LOCAL), Names(["127.0.0.1"]))
        stream = await network.connect_tcp("cdn.example", here.port)
        assert not stream.get_extra_info("is_readable")
        await stream.write(b"GET /out HTTP/1.1\r\n\r\n")
        while await stream.read(2**16):
            pass
        assert stream.get_extra_info("is_readable")
        assert stream.get_extra_info("server_addr")[1] == here.port
        await stream.aclose()
        await asyncio.sleep(0)  # asyncio closes the socket a moment later
        assert stream.get_extra_info("is_readable")


async def test_a_redirect_over_the_network_is_checked_as_well() -> None:
    """What a storage host redirects to is no more believed than what the service names."""
    async with Here() as here:
        client = Client("wsk_x", LOCAL, sleep=nap)
        with pytest.raises(ServiceError, match="not on the public internet"):
            await client.download(f"http://127.0.0.1:{here.port}/moved")
        await client.aclose()
        assert here.heard == 1


@pytest.mark.parametrize("target", ["http://127.0.0.1/", "http://[::1]/", "http://192.168.0.1/", "http://localhost/"])
async def test_a_redirect_inside_is_not_followed(target: str) -> None:
    """A public host that sends this app to its own network is refused at that step."""
    asked: list[str] = []

    def moved(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": target})

    client = Client("wsk_x", SERVICE, transport=httpx.MockTransport(moved), sleep=nap)
    with pytest.raises(ServiceError, match="not on the public internet"):
        await client.download("https://cdn.example/out")
    assert asked == ["cdn.example"]


async def test_redirects_are_few() -> None:
    """A host that redirects for ever is given up soon."""
    asked: list[Any] = []

    def moved(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(302, headers={"Location": f"https://cdn.example/{len(asked)}"})

    client = Client("wsk_x", SERVICE, transport=httpx.MockTransport(moved), sleep=nap, attempts=1)
    with pytest.raises(ServiceError):
        await client.download("https://cdn.example/out")
    assert len(asked) <= 6


async def test_names_without_an_address_are_tried_again() -> None:
    """A name that can't be found just now is a line that is down, not a refusal."""

    async def nothing(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    client = Client("wsk_x", SERVICE, resolve=nothing, sleep=nap, attempts=2)
    with pytest.raises(ServiceError, match="reach"):
        await client.download("https://cdn.example/out")
    await client.aclose()
