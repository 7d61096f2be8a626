"""The number beside Generate: right for every variant and count, at once, and without asking the server."""

from __future__ import annotations

from playwright.sync_api import Browser, Route, expect
from studio import Profile, Studio, Visit, sum_in_words

from core.catalog.estimate import javascript
from core.catalog.variants import PICTURES, REGISTRY

COUNTS = range(int(PICTURES.minimum or 1), int(PICTURES.maximum or 1) + 1)


def test_the_browser_s_sum_is_python_s(browser: Browser) -> None:
    """The generated function and the one it is generated from say the same, for all variants and counts."""
    page = browser.new_page()
    page.add_script_tag(content=javascript())
    for variant in REGISTRY.values():
        for pictures in COUNTS:
            said = page.evaluate("([id, pictures]) => sumInWords(id, pictures)", [variant.id, pictures])
            assert said == sum_in_words(variant, pictures)
    page.close()


def test_the_estimate_follows_by_itself(profile: Profile, studio: Studio) -> None:
    """While the server answers nothing the estimate still follows both controls, and the count asks nothing at all."""
    with Visit(profile, studio).open() as visit:
        unanswered: list[Route] = []
        visit.page.route("**/gradio_api/**", lambda route: unanswered.append(route))
        for variant in reversed(REGISTRY.values()):
            visit.choose_variant(variant.name)
            expect(visit.estimate).to_contain_text(sum_in_words(variant, 1))
            for pictures in reversed(COUNTS):
                visit.choose_pictures(pictures)
                expect(visit.estimate.locator("small")).to_have_text(f"{sum_in_words(variant, pictures)} with a key")
        count = visit.page.evaluate("gradio_config.components.find((part) => part.props.elem_id === 'pictures').id")
        assert unanswered
        assert count not in {route.request.post_data_json["trigger_id"] for route in unanswered}
