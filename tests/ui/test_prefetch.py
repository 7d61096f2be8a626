"""When references go to the service: on one's own computer as they are added, on a hosted app at the press."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Response, expect
from studio import CAT, COFFEE, HandSandbox, Profile, Studio, Visit, serving

UPLOAD, PUT, PRICE = "POST /api/v3/media/uploads", "PUT /storage/", "POST /api/v3/model/price"


def of(kind: str, asked: list[str]) -> int:
    return sum(request.startswith(kind) for request in asked)


def add(visit: Visit, picture: Path | tuple[str, bytes], count: int) -> None:
    """Adds a reference, and waits until all that its arrival sets off is answered."""
    (last,) = [number for number, fn in visit.studio.page.fns.items() if fn.name == "prefetch"]

    def answered(response: Response) -> bool:
        return "/run/predict" in response.url and f'"fn_index":{last},' in (response.request.post_data or "")

    with visit.page.expect_response(answered):
        visit.drop(picture)
    expect(visit.cards).to_have_count(count)


def press(visit: Visit) -> None:
    visit.prompt.fill("Put the cat beside the cup")
    visit.generate()
    visit.expect_pictures(1)


def a_picture(colour: str) -> tuple[str, bytes]:
    """One that no other test has sent to the service."""
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(buffer, "PNG")
    return f"{colour}.png", buffer.getvalue()


def test_uploaded_before_the_press(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """With a key on one's own computer, each picture is at the service before Generate; the press uploads nothing."""
    with Visit(profile, live).open() as visit:
        service.asked()
        add(visit, a_picture("teal"), 1)
        assert of(UPLOAD, service.asked(until=PUT)) == 1
        add(visit, a_picture("plum"), 2)
        assert of(UPLOAD, service.asked(until=PUT)) == 1
        press(visit)
        asked = service.asked()
        assert (of(UPLOAD, asked), of(PUT, asked), of(PRICE, asked)) == (0, 0, 0)
        assert len(live.sent("Put the cat beside the cup")[0]["images"]) == 2


def test_on_a_hosted_app_uploaded_at_the_press(profile: Profile, service: HandSandbox, tmp_path: Path) -> None:
    """No picture goes to the host's account without a run that the budgets have allowed."""
    host = {"WAVESPEED_API_KEY": "wsk_hosted", "KONTEXT_HOSTED": "on", "WAVESPEED_BASE_URL": service.url}
    with serving(tmp_path, **host) as studio, Visit(profile, studio).open() as visit:
        service.asked()
        add(visit, CAT, 1)
        add(visit, COFFEE, 2)
        visit.page.get_by_role("button", name="Your key").click()
        expect(visit.page.locator("#settings-words")).to_contain_text("only when you press Generate")
        asked = service.asked()
        assert (of(UPLOAD, asked), of(PUT, asked)) == (0, 0)
        press(visit)
        asked = service.asked()
        assert (of(UPLOAD, asked), of(PUT, asked)) == (2, 2)
