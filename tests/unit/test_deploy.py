"""Two replicas behind nginx: which of them a visitor gets, what happens where it does not answer, and the files."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import container
import httpx
import nginx
import pytest
import yaml
from serving import listening
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from core.runs.runtime import Timeouts
from core.settings import VARIABLES, read
from ui.shutdown import STREAMS

COOKIE = "kontext_replica"
PRESS = "/gradio_api/queue/join"
COMPOSE: dict[str, Any] = yaml.safe_load((nginx.DOCS / "compose.yaml").read_text("utf-8"))


class Replica:
    """In the app's place: says its name, and counts what reaches it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> PlainTextResponse:
        await request.body()
        self.heard.append(request.method)
        return PlainTextResponse(self.name)


@pytest.fixture
def one() -> Replica:
    return Replica("one")


@pytest.fixture
def two() -> Replica:
    return Replica("two")


@pytest.fixture
def places(one: Replica, two: Replica) -> Iterator[list[str]]:
    """Where the two listen."""
    with listening(one.app) as first, listening(two.app) as second:
        yield [url.removeprefix("http://") for url in (first, second)]


def visitor(url: str, replica: str = "") -> httpx.Client:
    """A browser, with the cookie of a replica if it has been here before."""
    browser = httpx.Client(base_url=url, timeout=30)
    if replica:
        browser.cookies.set(COOKIE, replica, domain="127.0.0.1")
    return browser


def test_a_visitor_stays_with_one_replica(places: list[str], tmp_path: Path) -> None:
    """Newcomers get either; from then on a cookie says which, and a program without cookies is known by its address."""
    with nginx.in_front(tmp_path, nginx.REPLICAS, *places) as url, visitor(url) as browser:
        met = {came(browser) for _ in range(40)}
        assert met == {"one", "two"}
        stayed = browser.cookies[COOKIE]
        assert [browser.post(PRESS).text for _ in range(20)] == [stayed] * 20
        browser.cookies.set(COOKIE, "three", domain="127.0.0.1")
        assert browser.get("/").text in met
        programs = set()
        for _ in range(20):
            browser.cookies.clear()
            programs.add(browser.post(PRESS).text)
        assert len(programs) == 1


def came(browser: httpx.Client) -> str:
    """Somebody's first request: which replica has answered. The cookie names it."""
    browser.cookies.clear()
    answered = browser.get("/").text
    assert browser.cookies[COOKIE] == answered
    return answered


@pytest.mark.parametrize(("method", "gone", "stays"), [("GET", "one", "two"), ("POST", "two", "one")])
def test_where_a_replica_is_gone_the_other_one_answers(
    places: list[str], one: Replica, two: Replica, tmp_path: Path, method: str, gone: str, stays: str
) -> None:
    """Whatever it was, since nothing had been sent; and the visitor stays there, also when the first one is back."""
    there, port = {"one": places[0], "two": places[1]}, free_port()
    front = nginx.in_front(tmp_path, nginx.REPLICAS, *(there | {gone: f"127.0.0.1:{port}"}).values())
    with front as url, visitor(url, gone) as browser:
        assert browser.request(method, PRESS).text == browser.cookies[COOKIE] == stays
        with listening({"one": one, "two": two}[gone].app, port):
            assert browser.request(method, PRESS).text == stays
            browser.cookies.set(COOKIE, gone, domain="127.0.0.1")
            assert browser.get("/").text == gone


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 502)])
def test_a_press_that_one_has_heard_is_not_sent_to_the_other(
    places: list[str], two: Replica, tmp_path: Path, method: str, status: int
) -> None:
    """It died before it answered: what only reads is asked of the other one, a press may have been heard."""
    front = partial(nginx.in_front, tmp_path, nginx.REPLICAS)
    with hanging_up() as first, front(first, places[1]) as url, visitor(url, "one") as browser:
        assert browser.request(method, PRESS).status_code == status
    assert two.heard == (["GET"] if method == "GET" else [])


@pytest.mark.parametrize("silent", ["connects", "does not connect"])
def test_a_replica_that_stands_still_is_left(places: list[str], tmp_path: Path, silent: str) -> None:
    """One that takes connections and never answers, and one whose computer is off."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as stuck:
        place = f"127.0.0.1:{stuck.getsockname()[1]}"
        waiting = [socket.socket() for _ in range(3 if silent == "does not connect" else 0)]
        for one in waiting:  # beyond its backlog nobody is let in
            one.setblocking(False)
            one.connect_ex(stuck.getsockname())
        front = nginx.in_front(tmp_path, nginx.REPLICAS, place, places[1], hurry=True)
        with front as url, visitor(url, "one") as browser:
            assert browser.get("/").text == "two"
        for one in waiting:
            one.close()


@contextmanager
def hanging_up() -> Iterator[str]:
    """The address of a replica that reads each request and dies of it."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        thread = threading.Thread(target=_hang_up, args=(opened,))
        thread.start()
        try:
            yield f"127.0.0.1:{opened.getsockname()[1]}"
        finally:
            opened.shutdown(socket.SHUT_RDWR)
            thread.join()


def _hang_up(opened: socket.socket) -> None:
    with suppress(OSError):  # it is shut
        while True:
            connection, _ = opened.accept()
            with connection:
                connection.recv(65536)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


# the compose file


REPLICAS = [COMPOSE["services"][name] for name in ("one", "two")]


def test_the_replicas_differ_in_their_address_alone() -> None:
    """What is set for one holds for both, and nginx finds each where the compose file puts it."""
    placed = [replica["networks"]["inside"]["ipv4_address"] for replica in REPLICAS]
    port = container.last("EXPOSE")
    assert [f"{address}:{port}" for address in placed] == nginx.addresses(nginx.REPLICAS)
    one, two = ({name: value for name, value in replica.items() if name != "networks"} for replica in REPLICAS)
    assert one == two


def test_the_replicas_share_records_and_pictures() -> None:
    """One database, and one folder in the place that the image keeps its data in; strangers may come in."""
    (replica, _), services = REPLICAS, COMPOSE["services"]
    given = replica["environment"]
    assert given.keys() <= {row.name for row in VARIABLES}
    settings = read({**container.environment(), **given}, Path("/app"))
    assert settings.hosted
    assert settings.database_url and settings.database_url.endswith("@postgres/kontext")
    database = services["postgres"]["environment"]
    assert database["POSTGRES_USER"] == database["POSTGRES_DB"] == "kontext"
    assert database["POSTGRES_PASSWORD"] in re.sub(r":\?[^}]*", "", given["KONTEXT_DATABASE_URL"])
    kept = [volume.split(":") for service in (replica, services["postgres"]) for volume in service["volumes"]]
    assert kept[0][1] == str(settings.data_dir)
    assert {name for name, _ in kept} == COMPOSE["volumes"].keys()


def test_a_replica_has_the_time_that_it_needs_to_end() -> None:
    """For answers to what it has sent, and for the streams of open pages after that."""
    (seconds,) = re.fullmatch(r"(\d+)s", REPLICAS[0]["stop_grace_period"]).groups()  # type: ignore[union-attr]
    assert int(seconds) > Timeouts().shutdown_grace + STREAMS


def test_each_file_that_the_compose_file_names_is_there() -> None:
    """The image is built of this repository, and nginx gets the configuration of the tests."""
    assert (nginx.DOCS / REPLICAS[0]["build"] / "Dockerfile").is_file()
    mounted = COMPOSE["services"]["nginx"]["volumes"][0].split(":")[0]
    assert nginx.DOCS / mounted == nginx.DOCS / nginx.REPLICAS
