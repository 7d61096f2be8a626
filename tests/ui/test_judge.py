"""A trial judged in real browsers: by one thumb and by keyboard, on a line that breaks, in a tab that closes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from judged import NOW, QUESTION, TITLE, VARIANTS, close, open_trial
from playwright.sync_api import Browser, Locator, Page, Route, expect
from studio import Studio, Visit

from core.ledger import ballots
from core.ledger.ballots import MOST_JUDGES, Ballot, Judge
from core.ledger.ledger import Ledger
from core.ledger.trials import Trial
from core.trials.ballots import total

SCHEMES: tuple[Literal["light", "dark"], ...] = ("dark", "light")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def ledger(studio: Studio) -> Iterator[Ledger]:
    ledger = Ledger(studio.data)
    yield ledger
    ledger.close()


class JudgeVisit(Visit):
    """A judge's browser."""

    def join(self, code: str, name: str = "Kim") -> JudgeVisit:
        self.page.goto(f"{self.studio.url}/judge#{code}")
        self.page.get_by_label("Your name or nickname").fill(name)
        self.page.get_by_role("button", name="Start").click()
        return self.at(1)

    def at(self, number: int) -> JudgeVisit:
        """That ballot is there, and can be judged."""
        expect(self.page.locator("#count")).to_have_text(re.compile(f"^{number} of "))
        expect(self.choice(1)).to_be_enabled()
        return self

    @property
    def next(self) -> Locator:
        return self.page.locator("#next")

    def choice(self, number: int) -> Locator:
        return self.page.get_by_role("button", name=re.compile(f"^Picture {number}"))

    def key(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def loaded(self, ballots: int, pictures: int) -> None:
        """So many ballots with so many pictures each, the original among them, are here."""
        there = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/picture/')).length"
        self.page.wait_for_function(f"count => {there} >= count", arg=ballots * pictures)

    def sent(self) -> None:
        """Nothing waits to be sent."""
        kept = "Object.values(JSON.parse(localStorage['kontext.judge']))"
        self.page.wait_for_function(f"() => {kept}.every((one) => !one.queue?.length)")

    def tap_through(self) -> None:
        """One ballot by thumb: the third is best, the first worst, the third and the second usable."""
        for number in (3, 1, 3, 2):
            self.choice(number).tap()
        self.next.tap()

    def key_through(self) -> None:
        """The same by keyboard."""
        self.key("3", "Shift+1", "u", "3", "2", "Enter")


def votes(ledger: Ledger, trial: Trial) -> list[tuple[Judge, Ballot]]:
    with ledger.reading() as connection:
        return ballots.voted(connection, trial.id)


@pytest.mark.parametrize(("judges", "cases"), [(2, 4), pytest.param(5, 12, marks=pytest.mark.soak)])
def test_a_whole_trial(browser: Browser, studio: Studio, ledger: Ledger, judges: int, cases: int) -> None:
    """Three variants of each case, by thumb and by keyboard in turn: each vote stands as it was meant, once."""
    trial, code = open_trial(ledger, cases)
    sets = total(cases)
    for number in range(judges):
        thumb = number % 2 == 0
        with JudgeVisit(browser, studio, **(PHONE if thumb else {})) as visit:
            visit.join(code, f"Judge {number}")
            for ballot in range(1, sets + 1):
                visit.at(ballot)
                (visit.tap_through if thumb else visit.key_through)()
            expect(visit.page.get_by_role("heading", name="Thank you!")).to_be_visible()
            assert not [url for url in visit.requests if code in url]
            assert visit.page.url == f"{studio.url}/judge"
    given = votes(ledger, trial)
    assert len(given) == sets * judges
    for _, ballot in given:
        assert ballot.choice
        assert (ballot.choice.best, ballot.choice.worst) == (ballot.places[2], ballot.places[0])
        assert ballot.choice.usable == {ballot.places[2], ballot.places[1]}


def test_twenty_votes_without_a_connection(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """They are kept here and sent once it is back; another tab goes on where this one was, and Back takes one back."""
    trial, code = open_trial(ledger, 22, VARIANTS[:2])
    with JudgeVisit(browser, studio) as visit:
        visit.join(code)
        visit.loaded(22 + 2, pictures=3)
        visit.context.set_offline(True)
        for number in range(1, 21):
            visit.at(number).key("1", "Enter")
        expect(visit.page.get_by_text("Offline: 20 votes are kept here and sent later.")).to_be_visible()
        assert votes(ledger, trial) == []
        visit.context.set_offline(False)
        expect(visit.page.locator("#note")).to_be_empty()
        visit.sent()
        assert [ballot.position for _, ballot in votes(ledger, trial)] == list(range(20))
        again = visit.context.new_page()
        visit.page.close()
        visit.page = again
        again.goto(f"{studio.url}/judge")
        visit.at(21).key("b")
        visit.at(20)
        visit.sent()
        assert len(votes(ledger, trial)) == 19
        assert all("ERR_INTERNET_DISCONNECTED" in fault for fault in visit.faults)
        visit.faults.clear()


def test_an_answer_that_is_lost_counts_its_vote_once(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """The vote was written and its answer never came: sent again by the page when it opens anew, it is still one."""
    trial, code = open_trial(ledger, 3, VARIANTS[:2])
    with JudgeVisit(browser, studio) as visit:
        visit.join(code)
        visit.page.route("**/judge/api/vote", lambda route: (route.fetch(), route.abort()))
        visit.key("2", "Enter")
        expect(visit.page.get_by_text("1 vote is kept here")).to_be_visible()
        assert len(votes(ledger, trial)) == 1
        visit.page.unroute("**/judge/api/vote")
        visit.page.reload()
        visit.at(2)
        assert len(votes(ledger, trial)) == 1
        visit.faults.clear()


def test_closed_in_the_middle(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """Who is one too many is told so. The page says that voting has closed; the link then opens nothing, and says no
    more than of any other.
    """
    trial, code = open_trial(ledger, 3)
    with JudgeVisit(browser, studio, **PHONE) as visit:
        with ledger.writing() as connection:
            for number in range(MOST_JUDGES):
                assert ballots.join(connection, trial.id, f"token {number}", "Kim", False, NOW, lambda _: [])
        visit.page.goto(f"{studio.url}/judge#{code}")
        visit.page.get_by_label("Your name or nickname").fill("Late")
        visit.page.get_by_role("button", name="Start").tap()
        expect(visit.page.get_by_role("alert")).to_have_text("50 people are judging already, which is the most.")
        with ledger.writing() as connection:
            assert ballots.remove(connection, trial.id, 7, NOW)
        visit.join(code).tap_through()
        visit.at(2).loaded(3, pictures=4)
        visit.sent()
        close(ledger, trial)
        visit.tap_through()
        expect(visit.page.get_by_role("heading", name="Voting has closed")).to_be_visible()
        assert len(votes(ledger, trial)) == 1
        for link in (code, "kj_unknown"):
            visit.page.goto(f"{studio.url}/judge#{link}")
            expect(visit.page.get_by_role("heading", name="This link isn't open")).to_be_visible()
        assert all("404" in fault or "409" in fault for fault in visit.faults)
        visit.faults.clear()


def test_voting_waits_for_the_pictures(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """Neither a button nor a key votes before all pictures are there; then the first press counts."""
    _, code = open_trial(ledger, 2, VARIANTS[:2])
    with JudgeVisit(browser, studio) as visit:
        held: list[Route] = []
        visit.page.route("**/judge/picture/**", lambda route: held.append(route))
        visit.page.goto(f"{studio.url}/judge#{code}")
        visit.page.get_by_label("Your name or nickname").fill("Kim")
        visit.key("Enter")
        expect(visit.page.get_by_text("Loading the pictures…")).to_be_visible()
        visit.key("1")
        expect(visit.next).to_be_disabled()
        for route in held:
            route.continue_()
        visit.at(1)
        expect(visit.page.get_by_text("Which is better?")).to_be_visible()


def test_a_judge_can_think_again(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """Back goes a step back, then to the ballot before; no difference and a remark are kept as they were meant."""
    trial, code = open_trial(ledger, 2)
    with JudgeVisit(browser, studio, **PHONE) as visit:
        visit.join(code)
        back = visit.page.get_by_role("button", name="Back", exact=True)
        expect(back).to_be_disabled()
        for number, asked in ((1, "Which is worst?"), (2, "Which of these would you use?")):
            visit.choice(number).tap()
            expect(visit.page.locator("#step")).to_have_text(asked)
        for asked in ("Which is worst?", "Which is best?"):
            back.tap()
            expect(visit.page.locator("#step")).to_have_text(asked)
        expect(visit.next).to_be_enabled()
        visit.next.evaluate("next => { next.click(); next.click(); }")  # no difference, by an impatient thumb
        visit.page.get_by_label("Remark (optional)").fill("All alike")
        visit.next.tap()
        visit.at(2).tap_through()
        visit.page.get_by_role("button", name="Change my last vote").tap()
        visit.at(2).sent()
        ((judge, only),) = votes(ledger, trial)
        assert only.choice == ballots.Choice(remark="All alike")
        with ledger.writing() as connection:  # as another tab of the same browser does
            assert ballots.undo(connection, judge.id, only.id, turn=0)
        visit.tap_through()
        visit.at(1).tap_through()  # what is missing is asked for, and nothing else
        expect(visit.page.get_by_role("heading", name="Thank you!")).to_be_visible()
        assert [ballot.position for _, ballot in votes(ledger, trial)] == [0, 1]


def test_a_closer_look(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """A tap fills the width, a swipe flips, holding shows the originals; a mouse or z brings all nearer at once."""
    _, code = open_trial(ledger, 1)
    with JudgeVisit(browser, studio, **PHONE) as visit:
        visit.join(code)
        figures = visit.page.locator("#stage figure")
        visit.page.locator("#stage figure").nth(1).tap()
        expect(figures.nth(0)).to_be_hidden()
        swipe(visit.page, figures.nth(1), 150)
        expect(figures.nth(0)).to_be_visible()
        swipe(visit.page, figures.nth(0), 0, lift=False)
        expect(visit.page.locator("#peek img")).to_have_count(1)
        visit.page.evaluate("dispatchEvent(new PointerEvent('pointerup', {pointerId: 9}))")
        expect(visit.page.locator("#peek")).to_have_count(0)
        figures.nth(0).tap()
        expect(figures.nth(2)).to_be_visible()
        visit.page.get_by_role("button", name="Originals").tap()
        expect(visit.page.get_by_role("dialog").get_by_text("Put thing 1 on a table")).to_be_visible()
        expect(visit.page.get_by_role("dialog").get_by_role("img")).to_have_count(1)
    with JudgeVisit(browser, studio) as visit:
        visit.join(code)
        for press in (lambda: visit.page.locator("#stage figure").first.click(), lambda: visit.key("z")):
            press()
            assert [scale(image) for image in visit.page.locator("#stage img").all()] == [2.5] * 3
            press()
            assert [scale(image) for image in visit.page.locator("#stage img").all()] == [1] * 3


def swipe(page: Page, figure: Locator, far: int, *, lift: bool = True) -> None:
    """A finger goes down on the figure, so many px to the right, and up."""
    figure.evaluate(
        """(figure, [far, lift]) => {
          const { x, y, width, height } = figure.getBoundingClientRect();
          const at = { pointerId: 9, pointerType: "touch", bubbles: true };
          Object.assign(at, { clientX: x + width / 2, clientY: y + height / 2 });
          figure.dispatchEvent(new PointerEvent("pointerdown", at));
          at.clientX += far;
          if (far) figure.dispatchEvent(new PointerEvent("pointermove", at));
          if (lift) figure.dispatchEvent(new PointerEvent("pointerup", at));
        }""",
        [far, lift],
    )


def scale(image: Locator) -> float:
    return float(image.evaluate("image => new DOMMatrix(getComputedStyle(image).transform).a"))


def test_everybody_can_judge(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """No barrier that axe knows on any screen; few words before the first ballot; thumbs find what they press."""
    _, code = open_trial(ledger, 2, VARIANTS)
    found: dict[str, Any] = {}

    def look(screen: str) -> None:
        for scheme in SCHEMES:
            visit.page.emulate_media(color_scheme=scheme)
            found[f"{screen}, {scheme}"] = [one["id"] for one in Axe().run(visit.page).response["violations"]]
        assert not visit.page.evaluate("document.documentElement.scrollWidth > innerWidth"), screen

    with JudgeVisit(browser, studio, **PHONE) as visit:
        visit.page.goto(f"{studio.url}/judge#{code}")
        expect(visit.page.get_by_role("heading", name=TITLE)).to_be_visible()
        words = visit.page.locator("body").inner_text().split()
        assert (len(words) <= 60, QUESTION in " ".join(words)) == (True, True)
        look("start")
        visit.join(code)
        look("ballot")
        for button in visit.page.locator("#panel button").all():
            box = button.bounding_box()
            assert box and box["height"] >= 48 and box["y"] > 844 * 2 / 3
        visit.choice(1).tap()
        look("worst")
        visit.choice(2).tap()
        visit.choice(1).tap()
        look("use")
        visit.page.get_by_role("button", name="Originals").tap()
        look("originals")
        visit.key("Escape")
        for number in (1, 2):
            visit.at(number).next.tap()
            visit.next.tap() if number == 2 else None
        expect(visit.page.get_by_role("heading", name="Thank you!")).to_be_visible()
        look("end")
        for width, height in ((320, 568), (844, 390), (1440, 900)):
            visit.page.set_viewport_size({"width": width, "height": height})
            assert not visit.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert found == {screen: [] for screen in found}
