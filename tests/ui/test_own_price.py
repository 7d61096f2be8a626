"""The number beside Generate where a key pays: what this account is charged, and the list beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Route, expect
from studio import PORTRAIT, Profile, Studio, Visit


def bring(visit: Visit, key: str) -> None:
    visit.page.get_by_role("textbox", name="WaveSpeedAI key").fill(key)
    visit.page.get_by_role("button", name="Use this key").click()


@contextmanager
def unasked(visit: Visit) -> Iterator[None]:
    """The page's own question about prices goes nowhere meanwhile."""
    asks = visit.page.evaluate("gradio_config.dependencies.find((event) => event.api_name === 'prices').id")

    def answer(route: Route) -> None:
        if (route.request.post_data_json or {}).get("fn_index") != asks:
            route.continue_()

    visit.page.route("**/gradio_api/queue/join*", answer)
    yield
    visit.page.unroute("**/gradio_api/queue/join*")


def test_the_account_s_own_price(profile: Profile, live: Studio) -> None:
    """It changes with the key that pays; where the service asks more than was shown nothing is sent, the new price
    stands there, and one press confirms it.
    """
    with Visit(profile, live).open() as visit:
        expect(visit.estimate).to_have_text("$0.04paid by this app")
        visit.page.get_by_role("button", name="Your key").click()
        bring(visit, "wsk_discount")
        expect(visit.estimate).to_have_text("$0.032list $0.04 · from your own key")
        expect(visit.page.locator("#variant")).to_contain_text("$0.064 · list $0.08")
        visit.choose_variant("Dev")
        visit.choose_pictures(2)
        expect(visit.estimate).to_have_text("2 × $0.024 = $0.048list $0.06 · from your own key")
        visit.choose_pictures(1)

        bring(visit, "wsk_rising")
        expect(visit.estimate).to_have_text("$0.03from your own key")
        visit.drop(PORTRAIT)
        visit.expect_cards(PORTRAIT)
        visit.prompt.fill("Make it red, at any price")
        with unasked(visit):  # so that the press is the first to hear of the new price
            visit.choose_pictures(2)
            expect(visit.estimate).to_contain_text("2 × $0.03 = $0.06")
            visit.generate()
            expect(visit.result).to_contain_text("The price is now $0.075, not $0.06.")
        assert live.sent("Make it red, at any price") == []
        expect(visit.estimate).to_have_text("2 × $0.0375 = $0.075list $0.06 · from your own key")
        visit.generate()
        visit.expect_pictures(2)
        expect(visit.receipt).to_contain_text("Charged $0.075")
        expect(visit.result.get_by_role("button", name="Run again · 2 × $0.0375 = $0.075")).to_be_visible()
        visit.page.get_by_role("button", name="Remove key").click()
        expect(visit.result.get_by_role("button", name="Run again · 2 × $0.03 = $0.06")).to_be_visible()
        expect(visit.page.locator("#variant")).to_contain_text("$0.08 · 12 for $1")
        assert len(live.sent("Make it red, at any price")) == 1
