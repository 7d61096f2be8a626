"""What of Gradio can be asked for from outside, on the app as it serves."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client
from studio import CAT, Profile, Studio, Visit

from ui.door import NOT_FOUND, REQUEST_KB, TOO_LARGE

API = "/gradio_api"


@pytest.fixture
def speaking(studio: Studio) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=studio.url, timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", f"{API}/{path}") for path in ("process_recording", "stream/a", "stream/a/close", "reset", "api/x")),
        *(("POST", f"{API}/{path}") for path in ("vibe-edit", "undo-vibe-edit", "vibe-code", "vibe-starter-queries")),
        *(("POST", f"{API}/run-history/connect"), ("POST", "/login"), ("POST", "/login/")),
        *(("GET", f"{API}/{path}") for path in ("deep_link?session_hash=a", "dev/reload", "token", "user")),
        *(("GET", f"{API}/{path}") for path in ("login_check", "queue/status", "openapi.json", "runs", "vibe-code")),
        *(("GET", f"{API}/{path}") for path in ("proxy=https://a.hf.space/", "file=https://example.com/", "file/x")),
        *(("GET", f"{API}/{path}") for path in ("stream/a/b/1/playlist.m3u8", "custom_component/a/client/b/c")),
        *(
            ("GET", path)
            for path in ("/monitoring", "/monitoring/summary", "/monitoring/x", "/logout", "/openapi.json")
        ),
        *(("GET", path) for path in ("/svelte/x", "/pwa_icon", "/pwa_icon/9999", "/docs", "/redoc")),
    ],
)
def test_what_the_page_does_not_use_is_not_there(speaking: httpx.Client, method: str, path: str) -> None:
    """Recordings, deep links, proxies, monitoring and the rest of Gradio answer 404."""
    answer = speaking.request(method, path)
    assert (answer.status_code, answer.json().get("detail")) == (404, NOT_FOUND)


def test_a_page_and_a_program_find_all_that_they_need(profile: Profile, studio: Studio) -> None:
    """A picture is made by the page and a price asked for by a program: nothing that either needs is missing."""
    with Visit(profile, studio) as visit:
        missed: list[str] = []
        visit.page.on("response", lambda answer: missed.append(answer.url) if answer.status == 404 else None)
        visit.open()
        visit.drop(CAT)
        visit.expect_cards(CAT)
        visit.prompt.fill("make it blue")
        visit.generate()
        visit.expect_pictures(1)
        visit.tab("History")
        assert not missed
    program = Client(studio.url, verbose=False)
    assert program.predict("pro", {}, api_name="/estimate") == 0.04


def test_a_foreign_name_gets_no_page(speaking: httpx.Client) -> None:
    """A page that has its name answered with this computer's address (DNS rebinding) reads and spends nothing."""
    for path in ("/", "/config", "/healthz", f"{API}/info"):
        assert speaking.get(path, headers={"Host": f"evil.example:{speaking.base_url.port}"}).status_code == 421
    assert speaking.get("/config", headers={"Host": f"localhost:{speaking.base_url.port}"}).status_code == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_foreign_page_sets_nothing_off(speaking: httpx.Client, kind: str | None) -> None:
    """What a browser sends for a foreign page without asking first is not read as a call, and asking gets no leave."""
    headers = {"Origin": "https://evil.example"} | ({"Content-Type": kind} if kind else {})
    for path in ("queue/join", "call/generate", "run/estimate", "component_server"):
        body = b'{"data": ["pro", {}], "fn_index": 1, "session_hash": "a"}'
        assert speaking.post(f"{API}/{path}", content=body, headers=headers).status_code in (400, 422)
        asked = headers | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        leave = speaking.options(f"{API}/{path}", headers=asked)
        assert "access-control-allow-origin" not in leave.headers


def test_nobody_names_the_app_for_others(speaking: httpx.Client) -> None:
    """The code to copy has the address by which whoever reads it has come, not that of the first who asked."""
    for name in ("localhost", "127.0.0.1", "[::1]"):
        told = speaking.get(f"{API}/info", headers={"Host": name, "X-Forwarded-Host": name}).json()
        code = told["named_endpoints"]["/generate"]["code_snippets"].values()
        assert set(re.findall(r"http://([^/\"' ]+)", " ".join(code))) == {name}


def test_a_large_request_is_refused_in_a_sentence(speaking: httpx.Client) -> None:
    """A megabyte of own words is not even read, and no session comes of it."""
    body = {"data": ["x" * 1_000_000], "fn_index": 0, "session_hash": "a"}
    answer = speaking.post(f"{API}/queue/join", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (413, TOO_LARGE)


def test_a_request_that_never_ends_is_cut_off(studio: Studio) -> None:
    """In pieces, without a length: the answer comes as soon as it is too much."""
    at = urlsplit(studio.url)
    with socket.create_connection((str(at.hostname), at.port or 80), timeout=30) as raw:
        raw.sendall(f"POST {API}/queue/join HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(REQUEST_KB // 16 + 1):
            raw.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
