"""A trial judged in real browsers: by one thumb and by keyboard, on a line that breaks, in a tab that closes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Literal, Self

import pytest
from axe_playwright_python.sync_playwright import Axe
from judged import NOW, QUESTION, TITLE, VARIANTS, close, open_trial
from playwright.sync_api import Browser, Locator, Page, Route, expect
from studio import PHONE, Studio, Visit

from core.ledger import ballots
from core.ledger.ballots import MOST_JUDGES, Ballot, Judge
from core.ledger.ledger import Ledger
from core.ledger.trials import Trial
from core.trials.ballots import total

SCHEMES: tuple[Literal["light", "dark"], ...] = ("dark", "light")
Way = Literal["thumb", "keys"]  # a phone of 390×844, or a desk of 1440×900


def both_ways(gate: Way) -> pytest.MarkDecorator:
    """By thumb and by keyboard; one of them in the gate, the other in a soak alone."""
    ways: tuple[Way, ...] = ("thumb", "keys")
    return pytest.mark.parametrize(
        "way", [way if way == gate else pytest.param(way, marks=pytest.mark.soak) for way in ways]
    )


@pytest.fixture
def ledger(studio: Studio) -> Iterator[Ledger]:
    ledger = Ledger(studio.data)
    yield ledger
    ledger.close()


class JudgeVisit(Visit):
    """A judge's browser."""

    def __init__(self, browser: Browser, studio: Studio, way: Way, **context: Any) -> None:
        super().__init__(browser, studio, **(PHONE if way == "thumb" else {}), **context)
        self.way = way

    def open(self, code: str = "") -> Self:
        self.page.goto(f"{self.studio.url}/judge{'#' * bool(code)}{code}")
        return self

    def join(self, code: str, name: str = "Kim") -> Self:
        self.open(code).start(name)
        return self.at(1)

    def start(self, name: str = "Kim") -> None:
        self.page.get_by_label("Your name or nickname").fill(name)
        start = self.page.get_by_role("button", name="Start")
        start.tap() if self.way == "thumb" else self.key("Enter")

    def at(self, number: int) -> Self:
        """That ballot is there, and can be judged."""
        expect(self.page.locator("#count")).to_have_text(re.compile(f"^{number} of "))
        expect(self.choice(1)).to_be_enabled()
        return self

    def thanked(self) -> Self:
        expect(self.page.get_by_role("heading", name="Thank you!")).to_be_visible()
        return self

    def told(self, heading: str) -> None:
        expect(self.page.get_by_role("heading", name=heading)).to_be_visible()

    def asked(self, question: str) -> None:
        expect(self.page.locator("#step")).to_have_text(question)

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

    # what a judge does, by thumb or by keyboard

    def best(self, number: int) -> None:
        self.choice(number).tap() if self.way == "thumb" else self.key(str(number))

    def worst(self, number: int) -> None:
        self.choice(number).tap() if self.way == "thumb" else self.key(f"Shift+{number}")

    def finish(self, *usable: int) -> None:
        """What was said is said; these would be used."""
        if self.way == "keys":
            self.key("u", *map(str, usable), "Enter")
        else:
            for number in usable:
                self.choice(number).tap()
            self.next.tap()

    def judge(self, best: int = 3, worst: int = 1) -> None:
        """A whole ballot of three."""
        self.best(best)
        self.worst(worst)
        self.finish(3, 2)

    def judge_two(self, better: int) -> None:
        """A whole ballot of two."""
        self.best(better)
        self.finish()

    def back(self) -> None:
        self.page.locator("#back").tap() if self.way == "thumb" else self.key("b")

    def no_difference(self) -> None:
        self.next.tap() if self.way == "thumb" else self.key("0")


def votes(ledger: Ledger, trial: Trial) -> list[tuple[Judge, Ballot]]:
    with ledger.reading() as connection:
        return ballots.voted(connection, trial.id)


def joined(ledger: Ledger, trial: Trial) -> int:
    with ledger.reading() as connection:
        return len(ballots.judges(connection, trial.id))


def lost(route: Route) -> None:
    """What was asked is done, and its answer never comes."""
    route.fetch()
    route.abort()


@pytest.mark.parametrize(
    ("ways", "cases"),
    [
        (("thumb", "keys"), 4),
        pytest.param(("thumb",) * 5, 12, marks=pytest.mark.soak),
        pytest.param(("keys",) * 5, 12, marks=pytest.mark.soak),
    ],
)
def test_a_whole_trial(browser: Browser, studio: Studio, ledger: Ledger, ways: Sequence[Way], cases: int) -> None:
    """Three variants of each case, judged in several browsers at a time: each vote stands as it was meant, once."""
    trial, code = open_trial(ledger, cases)
    with ExitStack() as opened:
        visits = [opened.enter_context(JudgeVisit(browser, studio, way)) for way in ways]
        for number, visit in enumerate(visits):
            visit.join(code, f"Judge {number}")
        for ballot in range(1, total(cases) + 1):
            for visit in visits:
                visit.page.bring_to_front()
                visit.at(ballot).judge()
        for visit in visits:
            visit.thanked()
            assert not [url for url in visit.requests if code in url]
            assert visit.page.url == f"{studio.url}/judge"
    given = votes(ledger, trial)
    assert len(given) == total(cases) * len(ways)
    for _, ballot in given:
        assert ballot.choice
        assert (ballot.choice.best, ballot.choice.worst) == (ballot.places[2], ballot.places[0])
        assert ballot.choice.usable == {ballot.places[2], ballot.places[1]}


@pytest.mark.parametrize(
    ("way", "offline"),
    [
        ("keys", 6),
        pytest.param("keys", 20, marks=pytest.mark.soak),
        pytest.param("thumb", 20, marks=pytest.mark.soak),
    ],
)
def test_votes_without_a_connection(browser: Browser, studio: Studio, ledger: Ledger, way: Way, offline: int) -> None:
    """They are kept here and sent once it is back; another tab goes on where this one was, and Back takes one back."""
    trial, code = open_trial(ledger, offline + 2, VARIANTS[:2])
    with JudgeVisit(browser, studio, way) as visit:
        visit.join(code).loaded(total(offline + 2), pictures=3)
        visit.context.set_offline(True)
        for number in range(1, offline + 1):
            visit.at(number).judge_two(1)
        expect(visit.page.get_by_text(f"Offline: {offline} votes are kept here and sent later.")).to_be_visible()
        assert votes(ledger, trial) == []
        visit.context.set_offline(False)
        expect(visit.page.locator("#note")).to_be_empty()
        visit.sent()
        assert [ballot.position for _, ballot in votes(ledger, trial)] == list(range(offline))
        again = visit.context.new_page()
        visit.page.close()
        visit.page = again
        visit.open().at(offline + 1).back()
        visit.at(offline).sent()
        assert len(votes(ledger, trial)) == offline - 1
        assert all("ERR_INTERNET_DISCONNECTED" in fault for fault in visit.faults)
        visit.faults.clear()


@both_ways(gate="keys")
def test_an_answer_that_is_lost_counts_once(browser: Browser, studio: Studio, ledger: Ledger, way: Way) -> None:
    """Whoever joined, or voted, and was never answered does it again, be it in a page that is opened anew: there is one
    judge, and one vote.
    """
    trial, code = open_trial(ledger, 3, VARIANTS[:2])
    with JudgeVisit(browser, studio, way) as visit:
        visit.page.route("**/judge/api/join", lost)
        visit.open(code).start()
        expect(visit.page.get_by_role("alert")).to_have_text("You're offline. Try again in a moment.")
        visit.page.unroute("**/judge/api/join")
        visit.join(code)
        assert joined(ledger, trial) == 1
        visit.page.route("**/judge/api/vote", lost)
        visit.judge_two(2)
        expect(visit.page.get_by_text("1 vote is kept here")).to_be_visible()
        assert len(votes(ledger, trial)) == 1
        visit.page.unroute("**/judge/api/vote")
        visit.page.reload()
        visit.at(2)
        assert len(votes(ledger, trial)) == 1
        visit.faults.clear()


def test_one_judge_in_two_browsers(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """A phone and a desk that keep the same: of each ballot the first vote stands, what one takes back the other is
    asked for, and it is one judge to the end.
    """
    trial, code = open_trial(ledger, 3)
    with JudgeVisit(browser, studio, "thumb") as phone:
        phone.join(code).judge()
        phone.at(2).sent()
        with JudgeVisit(browser, studio, "keys", storage_state=phone.context.storage_state()) as desk:
            desk.open().at(2)
            phone.judge()
            phone.at(3).sent()
            desk.judge(best=1, worst=2)
            desk.at(3).judge()
            desk.thanked()
            phone.judge()
            phone.thanked()
            phone.page.get_by_role("button", name="Change my last vote").tap()
            phone.at(3).sent()
            assert len(votes(ledger, trial)) == 2
            desk.page.reload()
            desk.at(3).judge(best=2)
            desk.thanked()
    given = votes(ledger, trial)
    said = [ballot.places.index(ballot.choice.best or "") for _, ballot in given if ballot.choice]
    assert (said, joined(ledger, trial)) == ([2, 2, 1], 1)


@both_ways(gate="thumb")
def test_closed_in_the_middle(browser: Browser, studio: Studio, ledger: Ledger, way: Way) -> None:
    """Who is one too many is told so. The page says that voting has closed; the link then opens nothing, and says no
    more than of any other.
    """
    trial, code = open_trial(ledger, 3)
    with JudgeVisit(browser, studio, way) as visit:
        with ledger.writing() as connection:
            for number in range(MOST_JUDGES):
                assert ballots.join(connection, trial.id, f"token {number}", "Kim", False, NOW, lambda _: [])
        visit.open(code).start("Late")
        expect(visit.page.get_by_role("alert")).to_have_text("50 people are judging already, which is the most.")
        with ledger.writing() as connection:
            assert ballots.remove(connection, trial.id, 7, NOW)
        visit.join(code).judge()
        visit.at(2).loaded(3, pictures=4)
        visit.sent()
        visit.best(3)
        visit.worst(1)
        close(ledger, trial)
        visit.finish(3)
        visit.told("Voting has closed")
        assert len(votes(ledger, trial)) == 1
        for link in (code, "kj_unknown"):
            visit.open(link).told("This link isn't open")
        assert all("404" in fault or "409" in fault for fault in visit.faults)
        visit.faults.clear()


@both_ways(gate="keys")
def test_voting_waits_for_the_pictures(browser: Browser, studio: Studio, ledger: Ledger, way: Way) -> None:
    """Neither a button nor a key votes before all pictures are there; then the first press counts."""
    _, code = open_trial(ledger, 2, VARIANTS[:2])
    with JudgeVisit(browser, studio, way) as visit:
        held: list[Route] = []
        visit.page.route("**/judge/picture/**", lambda route: held.append(route))
        visit.open(code).start()
        visit.asked("Loading the pictures…")
        visit.key("1")
        expect(visit.next).to_be_disabled()
        for route in held:
            route.continue_()
        visit.at(1).asked("Which is better?")


@both_ways(gate="thumb")
def test_a_judge_can_think_again(browser: Browser, studio: Studio, ledger: Ledger, way: Way) -> None:
    """Back goes a step back, then to the ballot before; no difference and a remark are kept as they were meant."""
    trial, code = open_trial(ledger, 2)
    with JudgeVisit(browser, studio, way) as visit:
        visit.join(code)
        expect(visit.page.get_by_role("button", name="Back", exact=True)).to_be_disabled()
        visit.best(1)
        visit.asked("Which is worst?")
        visit.worst(2)
        visit.asked("Which of these would you use?")
        for question in ("Which is worst?", "Which is best?"):
            visit.back()
            visit.asked(question)
        expect(visit.next).to_be_enabled()
        if way == "thumb":
            visit.next.evaluate("next => { next.click(); next.click(); }")  # no difference, by an impatient one
        else:
            visit.no_difference()
        visit.page.get_by_label("Remark (optional)").fill("All alike")
        visit.next.tap() if way == "thumb" else visit.key("Enter")
        visit.at(2).judge()
        again = visit.page.get_by_role("button", name="Change my last vote")
        again.tap() if way == "thumb" else again.press("Enter")
        visit.at(2).sent()
        ((judge, only),) = votes(ledger, trial)
        assert only.choice == ballots.Choice(remark="All alike")
        with ledger.writing() as connection:  # as another tab of the same browser does
            assert ballots.undo(connection, judge.id, only.id, turn=0)
        visit.judge()
        visit.at(1).judge()  # what is missing is asked for, and nothing else
        visit.thanked()
        assert [ballot.position for _, ballot in votes(ledger, trial)] == [0, 1]


def test_a_closer_look(browser: Browser, studio: Studio, ledger: Ledger) -> None:
    """A tap fills the width, a swipe flips, holding shows the originals; a mouse or z brings all nearer at once."""
    _, code = open_trial(ledger, 1)
    with JudgeVisit(browser, studio, "thumb") as visit:
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
    with JudgeVisit(browser, studio, "keys") as visit:
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


@both_ways(gate="thumb")
def test_everybody_can_judge(browser: Browser, studio: Studio, ledger: Ledger, way: Way) -> None:
    """No barrier that axe knows on any screen; few words before the first ballot; thumbs find what they press."""
    _, code = open_trial(ledger, 2, VARIANTS)
    found: dict[str, Any] = {}

    def look(screen: str) -> None:
        for scheme in SCHEMES:
            visit.page.emulate_media(color_scheme=scheme)
            only = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}  # what colours can do wrong
            said = Axe().run(visit.page, options={"resultTypes": ["violations"], **only}).response
            found[f"{screen}, {scheme}"] = [one["id"] for one in said["violations"]]
        assert not visit.page.evaluate("document.documentElement.scrollWidth > innerWidth"), screen

    with JudgeVisit(browser, studio, way) as visit:
        visit.open(code).told(TITLE)
        words = visit.page.locator("body").inner_text().split()
        assert (len(words) <= 60, QUESTION in " ".join(words)) == (True, True)
        look("start")
        visit.start()
        visit.at(1)
        look("ballot")
        if way == "thumb":
            for button in visit.page.locator("#panel button").all():
                box = button.bounding_box()
                assert box and box["height"] >= 48 and box["y"] > 844 * 2 / 3
        visit.best(1)
        look("worst")
        visit.worst(2)
        visit.choice(1).click()
        look("use")
        visit.page.get_by_role("button", name="Originals").click()
        look("originals")
        visit.key("Escape")
        visit.next.click()
        visit.at(2).judge()
        visit.thanked()
        look("end")
        for width, height in ((320, 568), (844, 390), (1440, 900)):
            visit.page.set_viewport_size({"width": width, "height": height})
            assert not visit.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert found == {screen: [] for screen in found}
