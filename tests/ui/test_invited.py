"""A guest of the host's in a browser: the link, what is left, the limit, the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import expect
from studio import CAT, HandSandbox, Profile, Studio, Visit, serving

from core.access.invitations import Invitations
from core.ledger.ledger import Ledger
from core.runs.runtime import Runtime


class Calendar:
    """The time, so many days from now."""

    days = 0

    def clock(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self.days)


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture(scope="module")
def invited(
    service: HandSandbox, calendar: Calendar, own_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Studio]:
    """A copy whose key is for invitations alone."""
    given = {"WAVESPEED_API_KEY": "wsk_host", "WAVESPEED_BASE_URL": service.url, "KONTEXT_SANDBOX_SECONDS": "0.1"}
    data = tmp_path_factory.mktemp("invited")
    runtime = Runtime(calendar.clock)
    with serving(data, runtime, KONTEXT_HOSTED="on", KONTEXT_ACCESS="invited", **given) as studio:
        yield studio


@pytest.fixture
def host(invited: Studio) -> Iterator[Invitations]:
    """The host at the command line, beside the app that runs."""
    with closing(Ledger(invited.data)) as ledger:
        yield Invitations(ledger)


def press(visit: Visit, prompt: str) -> None:
    visit.prompt.fill(prompt)
    visit.generate()


@pytest.mark.parametrize(
    "where", [pytest.param("phones", id="phone"), pytest.param("profile", id="desk", marks=pytest.mark.soak)]
)
def test_a_guest_s_whole_way(
    request: pytest.FixtureRequest,
    invited: Studio,
    service: HandSandbox,
    host: Invitations,
    calendar: Calendar,
    where: str,
) -> None:
    """Practice before; the link, which leaves the address bar; a real picture; the limit, and the next day, after a
    reload, the same again; and a run that the host's end of the invitation does not stop.
    """
    name = f"Anna of the {where}"
    code = host.invite(name, Decimal("0.06"), "daily")
    with Visit(request.getfixturevalue(where), invited) as visit:
        visit.open()
        header = visit.page.locator("#header")
        expect(header).to_contain_text("Practice mode")
        visit.drop(CAT)
        expect(visit.cards).to_have_count(1)

        visit.page.goto(f"{invited.url}/#invite={code}")
        expect(header).to_contain_text("by invitation")
        expect(header).to_contain_text("$0.06 of $0.06 left")
        assert code not in visit.page.evaluate("location.href + JSON.stringify(history.state)")
        expect(visit.estimate).to_contain_text("from your invitation")
        press(visit, "A cat for the guest")
        expect(header).to_contain_text("$0.02 of $0.06 left")
        visit.expect_pictures(1)
        press(visit, "A second cat")
        expect(visit.result).to_contain_text("$0.02 is left of the $0.06 of this invitation")
        expect(visit.result).to_contain_text("It renews at midnight UTC")

        calendar.days += 1
        visit.page.reload()
        expect(header).to_contain_text("$0.06 of $0.06 left")
        service.asked()
        with service.held():
            press(visit, "A cat that is under way")
            service.asked(until="POST /api/v3/wavespeed-ai")
            host.end(name)
        visit.expect_pictures(1)
        press(visit, "A cat too late")
        expect(visit.result).to_contain_text("This invitation isn't valid, or no longer.")
        visit.page.reload()
        expect(visit.page.locator("#said")).to_contain_text("This invitation isn't valid")
        expect(header).to_contain_text("Practice mode")
    asked = json.dumps(invited.rows("SELECT prompt FROM runs WHERE account_kind = 'host'"))
    assert "under way" in asked and "too late" not in asked


def test_a_code_reaches_no_disk_and_no_address(profile: Profile, invited: Studio, host: Invitations) -> None:
    """Pasted beside the key, it pays; it is asked for in no address, stands in no file, and goes at a press."""
    code = host.invite("Ben", Decimal(1), "weekly")
    with Visit(profile, invited) as visit:
        visit.open()
        visit.page.get_by_role("button", name="Your key", exact=True).click()
        visit.page.get_by_role("textbox", name="WaveSpeedAI key or invitation").fill(code)
        visit.page.get_by_role("button", name="Use this key").click()
        expect(visit.page.locator("#key-words")).to_contain_text("Your invitation “Ben” works: $1.00 of $1.00 left.")
        expect(visit.page.locator("#header")).to_contain_text("$1.00 of $1.00 left")
        visit.page.reload()
        expect(visit.page.locator("#header")).to_contain_text("$1.00 of $1.00 left")
        visit.page.get_by_role("button", name="Your key", exact=True).click()
        visit.page.get_by_role("button", name="Remove").click()
        expect(visit.page.locator("#header")).to_contain_text("Practice mode")
        visit.page.reload()
        expect(visit.page.get_by_text("this session")).to_be_visible()
        expect(visit.page.locator("#header")).to_contain_text("Practice mode")
        assert not [url for url in visit.requests if code in url]
    secret = code.encode()
    assert not [file for file in Path(invited.data).rglob("*") if file.is_file() and secret in file.read_bytes()]
