"""What was made stays at hand: in another tab, in the history, in the file itself."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

from playwright.sync_api import expect
from studio import CAT, COFFEE, HandSandbox, Profile, Studio, Visit


def make(visit: Visit, prompt: str) -> None:
    """One picture by Pro from the cat and the cup, with a seed that is set."""
    visit.drop(CAT, COFFEE)
    visit.expect_cards(CAT, COFFEE)
    visit.prompt.fill(prompt)
    visit.open_parameters().get_by_label("Seed").fill("4711")
    visit.generate()
    visit.expect_pictures(1)


def downloaded(visit: Visit, button: str) -> tuple[str, bytes]:
    """What a press in the history brings: the file's name and its bytes."""
    with visit.page.expect_download() as waiting:
        visit.tab("History").get_by_role("button", name=button, exact=True).first.click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_a_run_outlives_its_tab_and_is_in_every_tab(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """The tab that pressed is closed; two others, opened while it goes on, both show the run and then its picture."""
    before = live.runs
    with Visit(profile, live).open() as visit:
        visit.drop(CAT)
        visit.expect_cards(CAT)
        visit.prompt.fill("A cat that goes on")
        with service.held():
            visit.generate()
            expect(visit.result.get_by_role("button", name="Stop waiting")).to_be_visible()
            visit.page.close()
            pages = [visit.context.new_page() for _ in range(2)]
            for visit.page in pages:
                visit.open()
                expect(visit.result.get_by_role("button", name="Stop waiting")).to_be_visible()
        for visit.page in pages:
            visit.expect_pictures(1)
            expect(visit.receipt).to_contain_text("$0.04")
        assert live.runs == before + 1


def test_the_history_gives_everything_back(visit: Visit) -> None:
    """Found by words; as a ZIP with the very bytes and the recipe, as a line of CSV; its inputs; and gone for good.
    What is named and starred on the result is found by that too, and still so after a reload.
    """
    make(visit, "A marmalade cat beside image 2, unlike image 1")
    name = visit.result.get_by_role("textbox", name="Name of this run")
    name.fill("For the shop window")
    name.press("Enter")
    star = visit.result.get_by_role("button", name="Favourite")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(star).to_be_focused()

    history = visit.tab("History")
    history.get_by_role("searchbox").fill("no such words")
    expect(history).to_contain_text("No run matches")
    history.get_by_role("searchbox").fill("marmalade")
    expect(history.get_by_role("listitem")).to_have_count(1)

    file, data = downloaded(visit, "Download all")
    assert file.endswith(".zip")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (picture,) = [name for name in archive.namelist() if name.startswith("kontext-pro-")]
        assert archive.read(picture) == visit.studio.output(picture).read_bytes()
        assert json.loads(archive.read("recipe.json"))["seed"] == 4711

    _, data = downloaded(visit, "Receipts (CSV)")
    (row,) = [row for row in csv.DictReader(io.StringIO(data.decode())) if row["seed"] == "4711"]
    assert (row["variant"], row["estimate_usd"], row["state"]) == ("pro", "0.040", "completed")

    entries = history.get_by_role("listitem")
    history.get_by_role("searchbox").fill("shop WINDOW")
    expect(entries).to_have_count(1)
    history.get_by_role("searchbox").fill("")
    history.get_by_role("button", name="★ Favourites").click()
    expect(entries.get_by_role("textbox")).to_have_value("For the shop window")
    entries.get_by_role("button", name="Favourite").click()
    expect(visit.page.locator("#result .star")).to_have_attribute("aria-pressed", "false")  # here it may be gone by now

    sent = visit.studio.sent("A marmalade cat beside image 2, unlike image 1")
    visit.open()
    expect(name).to_have_value("For the shop window")
    expect(star).to_have_attribute("aria-pressed", "false")
    visit.tab("History").get_by_role("button", name="Reuse these settings").click()
    expect(visit.cards).to_have_count(2)
    expect(visit.prompt).to_have_value("A marmalade cat beside image 2, unlike image 1")
    visit.tab("Result")
    visit.generate()
    expect(visit.result.get_by_role("navigation", name="Recent").get_by_role("button")).to_have_count(2)
    visit.expect_pictures(1)
    assert visit.studio.sent("A marmalade cat beside image 2, unlike image 1") == sent * 2

    history = visit.tab("History")
    expect(history.get_by_role("listitem")).to_have_count(2)
    history.get_by_role("button", name="Delete", exact=True).first.click()
    history.get_by_role("button", name="Delete permanently?").click()
    expect(history.get_by_role("listitem")).to_have_count(1)


def test_a_long_history_comes_in_pages(visit: Visit) -> None:
    """Twenty-four at first, the rest at a press; the search finds what no page has shown, and a deleted one goes."""
    visit.drop(CAT)
    visit.expect_cards(CAT)
    visit.prompt.fill("A cat of a long history")
    visit.generate()
    visit.expect_pictures(1)
    columns = "account_id, account_kind, created_at, variant_id, preset, parameters, seed, pictures, refs, estimate"
    with closing(sqlite3.connect(visit.studio.data / "ledger.db")) as file, file:
        for number in range(29):
            words = "A heron from long ago" if number == 28 else f"A cat, number {number}"
            file.execute(
                f"INSERT INTO runs (id, visitor, prompt, state, finished_at, troubles, {columns}) SELECT "
                f"?, visitor, ?, 'failed', created_at, '[]', {columns} FROM runs WHERE prompt LIKE '%long history'",
                [f"z{number:02}", words],
            )
    history = visit.tab("History")
    runs = history.get_by_role("listitem")
    expect(runs).to_have_count(24)
    history.get_by_role("button", name="Show more").click()
    expect(runs).to_have_count(30)
    expect(history.get_by_role("button", name="Show more")).to_be_hidden()
    visit.tab("Result")
    visit.tab("History")
    history.get_by_role("searchbox").fill("HERON ago")
    expect(runs).to_have_count(1)
    runs.get_by_role("button", name="Delete").click()
    runs.get_by_role("button", name="Delete permanently?").click()
    expect(history).to_contain_text("No run matches")
    history.get_by_role("searchbox").fill("")
    expect(runs).to_have_count(24)


def test_a_downloaded_picture_brings_its_inputs_back(visit: Visit, tmp_path: Path) -> None:
    """Onto cards it asks first; onto an empty page it restores what made it, references included. A picture and words
    that come before the draft is back go behind what it holds.
    """
    make(visit, "A file that remembers image 1 and image 2")
    with visit.page.expect_download() as waiting:
        visit.result.get_by_role("link", name="Download").click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)

    with visit.draft_held(), visit.page.expect_response("**/component_server/"):
        visit.drop(file)
        expect(visit.references).to_contain_text("Preparing")
        visit.prompt.fill("And a dog")
    expect(visit.cards).to_have_count(3)
    expect(visit.prompt).to_have_value("A file that remembers image 1 and image 2 And a dog")
    expect(visit.references).to_contain_text("This picture has its settings inside.")

    visit.page.get_by_role("button", name="Start over").click()
    expect(visit.cards).to_have_count(0)
    visit.drop(file)
    expect(visit.cards).to_have_count(2)
    expect(visit.prompt).to_have_value("A file that remembers image 1 and image 2")
    expect(visit.open_parameters().get_by_label("Seed")).to_have_value("4711")


def test_a_picture_is_recovered_by_its_id(visit: Visit) -> None:
    """Deleted here and still kept by the service: its id brings it back, and nothing is made anew; and gone with
    everything else of the visitor's.
    """
    make(visit, "A cat to be found again")
    (row,) = visit.studio.rows(
        "SELECT prediction_id FROM predictions JOIN runs ON runs.id = run_id WHERE prompt LIKE '%found again'"
    )
    history = visit.tab("History")
    history.get_by_role("button", name="Delete", exact=True).first.click()
    history.get_by_role("button", name="Delete permanently?").click()
    expect(history.get_by_text("Your runs will be listed here")).to_be_visible()
    history.get_by_text("Recover by prediction id").click()
    history.get_by_role("textbox", name="Prediction id").fill(row["prediction_id"])
    history.get_by_role("button", name="Recover", exact=True).click()
    # The picture of before is there until the new run is.
    expect(visit.result.get_by_role("navigation", name="Recent").get_by_role("button")).to_have_count(2)
    visit.expect_pictures(1)
    everything_of_mine(visit)


def everything_of_mine(visit: Visit) -> None:
    """Deleted after one question: nothing of it is in the browser, the folder or at an address, in no tab it goes on,
    and the visitor is somebody new.
    """
    page, who = visit.page, "localStorage.getItem('kontext-visitor')"
    addresses = page.locator("#result img, .cards img").evaluate_all("(images) => images.map(({ src }) => src)")
    before = page.evaluate(who)
    (known,) = visit.studio.rows("SELECT visitor FROM runs WHERE prompt LIKE '%found again' AND deleted_at IS NULL")
    other = visit.context.new_page()
    other.goto(visit.studio.url)
    expect(other.get_by_text("this session")).to_be_visible()
    visit.tab("History").get_by_role("button", name="Delete everything of mine").click()
    page.get_by_role("button", name="Delete everything", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Everything of yours is deleted")
    expect(other.get_by_role("dialog")).to_contain_text("You did that in another tab")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('kontext-'))") == []
    assert {page.request.get(address).status for address in addresses} == {403} and len(addresses) > 2
    written = b"".join(path.read_bytes() for path in visit.studio.data.rglob("*") if path.is_file())
    assert b"found again" not in written and known["visitor"].encode() not in written
    other.close()
    page.get_by_role("button", name="Start anew").click()
    page.wait_for_function(f"(before) => ![before, null].includes({who})", arg=before)
    expect(page.get_by_text("this session")).to_be_visible()
    expect(visit.cards).to_have_count(0)
    expect(visit.prompt).to_have_value("")


def test_check_again_opens_the_run(profile: Profile, live: Studio, service: HandSandbox) -> None:
    """A run that nobody waits for any more is taken up from the history, and what comes of it is in view."""
    with Visit(profile, live).open() as visit:
        visit.drop(CAT)
        visit.expect_cards(CAT)
        visit.prompt.fill("A cat that is waited for twice")
        with service.held():
            visit.generate()
            visit.result.get_by_role("button", name="Stop waiting").click()
            expect(visit.result).to_have_attribute("aria-busy", "false")
            again = visit.tab("History").get_by_role("button", name="Check again")
            expect(again).to_be_visible()
        again.click()
        expect(visit.pictures).to_have_count(1)
        expect(visit.pictures).to_be_visible()
