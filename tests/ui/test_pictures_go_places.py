"""Where a picture goes from the result, and how its end reaches whoever looks away."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from studio import CAT, HandSandbox, Profile, Studio, Visit

# What a test can't see or press: the system's notifications, its sheet for sharing, and whether the tab is hidden.
STAND_INS = """
  window.told = [];
  window.shared = [];
  window.Notification = class {
    static permission = "granted";
    constructor(title, { body }) { window.told.push([title, body]); }
  };
  navigator.canShare = ({ files }) => files.length === 1;
  navigator.share = async ({ files: [file] }) => { window.shared.push([file.name, file.type, file.size > 1000]); };
  Object.defineProperty(document, "hidden", { get: () => Boolean(window.away) });
"""

COPIED = """async () => {
  const [item] = await navigator.clipboard.read();
  const { width, height } = await createImageBitmap(await item.getType("image/png"));
  return [width, height];
}"""


def test_from_the_end_of_a_run_to_the_next(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """With more inputs than a laptop's window holds, progress and Stop are in view after a press; the end is told to
    whoever looks away; the picture is copied, shared where a thumb points, and dragged onto the references. From then
    on the variant's card tells the time that was measured, instead of the published one.
    """
    with Visit(profile, live) as visit:
        page = visit.page
        page.add_init_script(STAND_INS)
        page.set_viewport_size({"width": 1280, "height": 720})
        visit.open().drop(CAT)
        visit.expect_cards(CAT)
        visit.prompt.fill("A calm cat")
        visit.choose_variant("Dev")
        visit.open_parameters()

        page.mouse.move(100, 300)
        page.mouse.wheel(0, 5000)
        page.wait_for_function("scrollY > 200")
        with service.held():
            visit.generate()
            expect(visit.result.get_by_role("list", name="Progress")).to_be_in_viewport(ratio=1)
            expect(visit.result.get_by_role("button", name="Stop waiting")).to_be_in_viewport(ratio=1)
            page.evaluate("window.away = true")
        visit.expect_pictures(1)
        expect(page).to_have_title("✓ 1 picture · Kontext Studio")
        assert page.evaluate("window.told") == [["✓ 1 picture", "A calm cat"]]
        expect(visit.pictures.first).to_be_in_viewport(ratio=0.9)

        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        visit.result.get_by_role("button", name="Copy picture").click()
        expect(visit.result.get_by_role("button", name="Copied")).to_be_visible()
        size = visit.pictures.first.evaluate("picture => [picture.naturalWidth, picture.naturalHeight]")
        assert page.evaluate(COPIED) == size
        visit.context.clear_permissions()

        thumb = visit.context.new_cdp_session(page)
        thumb.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
        visit.result.get_by_label("Save settings in the file").click()  # which draws it anew
        visit.result.get_by_role("button", name="Share").click()
        page.wait_for_function("window.shared.length")
        thumb.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
        name = visit.result.get_by_role("link", name="Download").get_attribute("download")
        assert page.evaluate("window.shared") == [[name, "image/jpeg", True]]

        visit.pictures.first.drag_to(visit.references)
        expect(visit.cards).to_have_count(2)
        assert visit.hashes()[0] != visit.hashes()[1]

        page.reload()
        expect(page.locator("#variant label").nth(2)).to_contain_text(re.compile(r"about (?!17 )\d+ s"))
