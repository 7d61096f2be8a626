"""Somebody signs in with Hugging Face in a browser, and out again in another tab."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest
from gradio import http_server
from openid import CLIENT, SECRET, Provider
from playwright.sync_api import expect
from serving import listening
from studio import CAT, HandSandbox, Profile, Studio, Visit, serving


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    provider.person = {"sub": "a" * 24, "preferred_username": "anna"}
    with listening(provider.app) as provider.url:
        yield provider


@pytest.fixture
def space(
    provider: Provider,
    service: HandSandbox,
    own_folder: None,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Studio]:
    """A copy on a Space, whose key is for those who sign in."""
    told = {"OAUTH_CLIENT_ID": CLIENT, "OAUTH_CLIENT_SECRET": SECRET, "OAUTH_SCOPES": "openid profile"}
    told |= {"OPENID_PROVIDER_URL": provider.url}
    for name, value in told.items():
        monkeypatch.setattr(gr.oauth, name, value)
    told |= {"SYSTEM": "spaces", "SPACE_ID": "ann/studio"}
    for name in ("SYSTEM", "SPACE_ID"):
        monkeypatch.setenv(name, told[name])
    monkeypatch.setattr(http_server, "get_space", lambda: None)  # its server would watch the files of a Space
    told |= {"WAVESPEED_API_KEY": "wsk_host", "WAVESPEED_BASE_URL": service.url, "KONTEXT_SANDBOX_SECONDS": "0.1"}
    with serving(tmp_path_factory.mktemp("space"), KONTEXT_SIGN_IN="on", KONTEXT_ACCESS="invited", **told) as studio:
        studio.page.config["space_id"] = None  # for which the page would look at Hugging Face
        yield studio


def test_a_visitor_becomes_a_person(phones: Profile, space: Studio, provider: Provider) -> None:
    """On a phone: practice; the press that signs in; the picture of before is there, the host's key pays, and what is
    left of the cap stands at the top. Signing out in one tab signs the other out, and leaves nothing there.
    """
    with Visit(phones, space) as visit:
        visit.open()
        header = visit.page.locator("#header")
        visit.drop(CAT)
        expect(visit.cards).to_have_count(1)
        visit.prompt.fill("A practice cat")
        visit.generate()
        visit.expect_pictures(1)
        visit.page.locator("#glance").get_by_role("button", name="Sign in").click()
        expect(header).to_contain_text("anna · Sign out")
        expect(header).to_contain_text("$0.40 of $0.40 left today")
        visit.expect_pictures(1)
        visit.prompt.fill("A real cat")
        visit.generate()
        expect(header).to_contain_text("$0.36 of $0.40 left today")
        visit.expect_pictures(1)

        other = visit.context.new_page()
        other.goto(space.url)
        other.get_by_role("button", name="anna · Sign out").click()
        expect(other.locator("#header")).to_contain_text("Sign in with Hugging Face")
        expect(header).to_contain_text("Sign in with Hugging Face")
        expect(header).to_contain_text("Practice mode")
        expect(visit.pictures).to_have_count(0)
        visit.requests = [url for url in visit.requests if not url.startswith(provider.url)]
    (row,) = space.rows("SELECT count(DISTINCT visitor) AS people, count(*) AS runs FROM runs")
    assert row == {"people": 1, "runs": 2}
