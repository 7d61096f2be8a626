"""Whose key, whose runs: nothing of one visitor or of the host reaches anybody else, or the disk."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Error, Request, Response, Route, expect
from studio import CAT, COFFEE, HOST_KEY, Profile, Studio, Visit

OWN = "wsk_own_90ab12cd34ef5678"


class Witness:
    """Keeps every answer that a visitor's browser got to its end; a heartbeat has none."""

    def __init__(self, visit: Visit) -> None:
        self.requests: list[Request] = []
        visit.page.on("requestfinished", lambda request: self.requests.append(request))

    def heard(self, secret: str) -> list[str]:
        """The addresses of the answers that contain it."""
        answers = [answer for request in self.requests if (answer := request.response()) is not None]
        return [answer.url for answer in answers if secret.encode() in self._body(answer)]

    @staticmethod
    def _body(answer: Response) -> bytes:
        try:
            return answer.body()
        except Error:  # a redirect, or one that the browser has dropped
            return b""


def on_disk(secret: str, folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if secret.encode() in path.read_bytes()]


def make_a_picture(visit: Visit, prompt: str) -> None:
    visit.drop(CAT)
    expect(visit.cards).to_have_count(1)
    visit.prompt.fill(prompt)
    visit.generate()
    visit.expect_pictures(1)


def bring_key(visit: Visit, key: str) -> None:
    visit.page.get_by_role("textbox", name="WaveSpeedAI key").fill(key)
    visit.page.get_by_role("button", name="Use this key").click()


def test_the_host_s_key_stays_with_the_host(profile: Profile, live: Studio, caplog: pytest.LogCaptureFixture) -> None:
    """A visitor makes a picture on it, sees what it cost, and no answer, file, log or storage holds the key."""
    caplog.set_level(logging.DEBUG)
    with Visit(profile, live) as visit:
        witness = Witness(visit)
        visit.open()
        expect(visit.page.get_by_text("Live · billed to this app's account")).to_be_visible()
        make_a_picture(visit, "A cat for the host")
        expect(visit.receipt).to_contain_text("$0.04")
        expect(visit.total).to_contain_text("this session $0.04")
        visit.tab("History")
        visit.tab("Code")
        expect(visit.page.get_by_text("WAVESPEED_API_KEY").first).to_be_visible()
        assert witness.heard("Kontext Studio")  # it does listen
        assert witness.heard(HOST_KEY) == []
        assert HOST_KEY not in visit.page.content()
        assert HOST_KEY not in str(visit.stored())
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/openapi.json", "/healthz"):
        assert HOST_KEY not in httpx.get(live.url + path).text
    assert on_disk(HOST_KEY, live.data) == []
    assert HOST_KEY not in caplog.text


def test_a_key_of_one_s_own_leaves_no_trace(profile: Profile, live: Studio, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried, pays for a run, is forgotten at a press; the box is emptied, and it is nowhere afterwards."""
    caplog.set_level(logging.DEBUG)
    with Visit(profile, live) as visit:
        witness = Witness(visit)
        visit.open()
        visit.page.get_by_role("button", name="Your key").click()
        box = visit.page.get_by_role("textbox", name="WaveSpeedAI key")
        expect(box).to_have_attribute("type", "password")

        bring_key(visit, "wsk_invalid")
        words = visit.page.locator("#key-words")
        expect(words).to_contain_text(re.compile("key.*not|not.*key", re.IGNORECASE))
        expect(words).not_to_contain_text("wsk_invalid")
        expect(box).to_have_value("")
        expect(visit.page.get_by_text("Live · billed to this app's account")).to_be_visible()

        bring_key(visit, OWN)
        expect(words).to_contain_text("$10.00")
        expect(box).to_have_value("")
        expect(visit.page.get_by_text("billed to your key")).to_be_visible()
        expect(visit.estimate).to_contain_text("from your own key")
        make_a_picture(visit, "A cat of my own")
        expect(visit.total).to_contain_text("this session $0.04")
        (row,) = live.rows("SELECT account_id FROM runs WHERE prompt = 'A cat of my own'")
        assert row["account_id"].startswith("own-")
        assert OWN not in row["account_id"]

        visit.page.get_by_role("button", name="Remove key").click()
        expect(visit.page.get_by_text("Live · billed to this app's account")).to_be_visible()
        expect(visit.page.get_by_role("button", name="Remove key")).to_be_hidden()
        expect(visit.total).to_contain_text("this session $0.00")
        assert witness.heard(OWN) == []
        assert OWN not in visit.page.content()
        assert OWN not in str(visit.stored())
    assert on_disk(OWN, live.data) == []
    assert OWN not in caplog.text


def test_two_visitors_never_meet(phones: Profile, profile: Profile, live: Studio) -> None:
    """Neither the runs nor the total of one are on the other's page, and a raw call with the run's id gets nothing."""
    with Visit(profile, live) as one, Visit(phones, live) as other:
        watched = Witness(other)
        one.open()
        make_a_picture(one, "A cat nobody else may see")
        other.open()
        expect(other.total).to_contain_text("$0.00")
        expect(other.result.get_by_text("Your pictures appear here")).to_be_visible()
        expect(other.tab("History")).to_contain_text("Your runs will be listed here")
        expect(one.tab("History")).to_contain_text("A cat nobody else may see")
        make_a_picture_of_other(other)
        expect(one.total).to_contain_text("$0.04")

        (run,) = live.rows("SELECT id FROM runs WHERE prompt = 'A cat nobody else may see'")
        assert len(set(call_with_run(other, run["id"]))) == 4
        assert watched.heard(run["id"]) == []
        assert watched.heard("A cat nobody else may see") == []
        expect(other.tab("History")).not_to_contain_text("nobody else")
        assert live.rows("SELECT deleted_at FROM runs WHERE id = ?", run["id"]) == [{"deleted_at": None}]


def make_a_picture_of_other(visit: Visit) -> None:
    visit.drop(COFFEE)
    expect(visit.cards).to_have_count(1)
    visit.prompt.fill("A cup of the other's")
    visit.tab("Result")
    visit.generate()
    visit.expect_pictures(1)


def call_with_run(visit: Visit, run_id: str) -> list[str]:
    """Presses the buttons of a run on the visitor's own page, with another's run id in place of its own."""
    forged: list[str] = []

    def forge(route: Route) -> None:
        body = route.request.post_data_json
        if isinstance(body.get("event_data"), dict) and "run" in body["event_data"]:
            body["event_data"]["run"] = run_id
            forged.append(str(body["fn_index"]))
        route.continue_(post_data=body)

    visit.page.route(re.compile("gradio_api/(run/predict|queue/join)"), forge)
    for label in ("Open", "Reuse these settings", "Download all", "Delete"):
        button = visit.tab("History").get_by_role("button", name=label, exact=True)
        with visit.page.expect_response(re.compile("gradio_api/(run/predict|queue/join)")):
            button.click(click_count=2 if label == "Delete" else 1)
    return forged


def test_nothing_is_kept_in_the_browser_but_an_id_and_a_draft(profile: Profile, studio: Studio) -> None:
    """The inputs as they are, which “Start over” empties, and no history of them, by Gradio or otherwise."""
    with Visit(profile, studio).open() as visit:
        make_a_picture(visit, "A prompt that leaves no trace")
        visit.tab("Code")
        stored = visit.stored()
        assert set(stored) == {"kontext-visitor", "kontext-draft"}
        assert len(stored["kontext-visitor"]) < 300
        visit.page.get_by_role("button", name="Start over").click()
        expect(visit.prompt).to_have_value("")
        visit.page.wait_for_function("!localStorage['kontext-draft'].includes('leaves no trace')")


def test_a_hash_opens_nothing(profile: Profile, live: Studio) -> None:
    """Any bytes uploaded under the hash of somebody's reference, put in a card's place: nothing is sent for them."""
    live.take_turn()
    Client(live.url, verbose=False).predict("A cat to be shared", [handle_file(CAT)], "pro", api_name="/generate")
    (row,) = live.rows("SELECT refs FROM runs WHERE prompt = 'A cat to be shared'")
    name = f"{json.loads(row['refs'])[0]['sha256']}.jpg"
    (junk,) = httpx.post(f"{live.url}/gradio_api/upload", files={"files": (name, b"any bytes")}).json()
    runs = live.runs
    with Visit(profile, live) as thief:
        thief.open()
        thief.drop(COFFEE)
        expect(thief.cards).to_have_count(1)

        def forge(route: Route) -> None:
            body = route.request.post_data_json
            for value in body["data"]:
                if isinstance(value, list) and value and "image" in value[0]:
                    value[0]["image"]["path"] = junk
            route.continue_(post_data=body)

        thief.page.route(re.compile("gradio_api/queue/join"), forge)
        thief.prompt.fill("Show me what it was")
        thief.generate()
        expect(thief.page.get_by_role("alert").filter(has_text="Reference 1 is no longer here.")).to_be_visible()
    assert live.runs == runs


def answers(url: str) -> bool:
    """Whether a file comes from there; one that goes while it is sent does not."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.RemoteProtocolError:
        return False


def test_after_a_deletion_no_address_answers(visit: Visit) -> None:
    """Every address that the page asked for, or was given to download from, while a run was made, shown and packed."""
    make_a_picture(visit, "A cat to be deleted")
    with visit.page.expect_download() as picture:
        visit.result.get_by_role("link", name="Download").click()
    history = visit.tab("History")
    with visit.page.expect_download() as packed:
        history.get_by_role("button", name=re.compile("ZIP|Download all")).click()
    addresses = {picture.value.url, packed.value.url, *(url for url in visit.requests if "/file=" in url)}
    assert len(addresses) >= 4  # the card, the picture, the same with its recipe, the ZIP
    assert all(httpx.get(url).status_code == 200 for url in addresses)
    for name in ("Delete", re.compile("^Delete (for good|permanently)")):
        history.get_by_role("button", name=name, exact=True).click()
    # The answer to the deletion says so, at its end; the tab opened anew would, as soon as the run is off the list.
    expect(history).to_contain_text("Your runs will be listed here")
    for _ in range(100):  # the list may be empty a moment before the last file is gone
        if not any(map(answers, addresses)):
            break
        time.sleep(0.05)
    assert [url for url in addresses if answers(url)] == []
    assert on_disk("A cat to be deleted", visit.studio.data) == []


def test_a_forged_card_opens_nothing(studio: Studio, profile: Profile) -> None:
    """A raw call that puts a file of the server in a card's place, or in an arrival's, gets nothing of it."""
    with Visit(profile, studio).open() as visit:
        forged = []

        def forge_path(route: Route) -> None:
            body = route.request.post_data_json
            if "path" in str(body.get("data")):
                body["data"] = dict(body["data"], path="/etc/passwd")
                forged.append(body)
            route.continue_(post_data=body)

        visit.page.route("**/gradio_api/component_server/", forge_path)
        visit.drop(CAT)
        expect(visit.references.get_by_role("alert")).to_contain_text("did not arrive")
        assert len(forged) == 1
        visit.expect_cards()
