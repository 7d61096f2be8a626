"""The report as a file: whole in itself, nothing in it taken for markup, and the votes for a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from making import NASTY, SEAL, document, drawn

from core.ledger.trials import Picture
from ui.trials.sheet import html, votes_csv


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    """Of twelve cases."""
    return drawn(tmp_path, 12, (90, 60))


class Page(HTMLParser):
    """The tags of a page with their attributes, and all of its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", self.text)


def standing(told: dict[str, Any], pictures: list[Picture]) -> list[Picture]:
    """As the ledger has them: none of a case that was withdrawn."""
    cases = {case["case"] for case in told["sealed"]["cases"]} - {row["case"] for row in told["withdrawn"]}
    variants = {variant["id"] for variant in told["sealed"]["variants"]} | {None}
    return [picture for picture in pictures if picture.case in cases and picture.variant in variants]


def test_it_needs_nothing_beside_it_and_takes_nothing_for_markup(pictures: list[Picture]) -> None:
    """No script, no address but of pictures inside the file; titles, prompts, names and remarks are text."""
    told = document(gone=(2,), cases=9)
    page = Page(html(told, standing(told, pictures)))
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object")]
    addresses = [str(value) for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert addresses and all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert page.words.count(NASTY) >= 1 + 9 + 1 + 1 + 1  # title, prompts, a reason, a remark, a judge's name


def test_page_one_says_what_the_boss_asks(pictures: list[Picture]) -> None:
    """The verdict, the winner's best, typical and worst set beside the cheapest, what a thousand cost, the seal."""
    told = document()
    page = Page(html(told, standing(told, pictures))).words
    one = page[: page.index("How sure this is")]
    assert told["report"]["verdict"]["words"] in one and "Pro beside Dev" in one
    for words in ("Best case", "Typical case", "Worst case number 8", "$40.00", "$80.00", "$30.00", f"Seal {SEAL}"):
        assert words in one
    assert "Pro: 4 best, 0 worst, 4 usable of 4" in one and "Pro: 0 best, 0 worst, 4 usable of 4" in one
    assert all(line in page for line in told["report"]["agreement"]["words"])
    assert all(told[name] in page for name in ("seal", "pictures_seal", "votes_seal"))


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"practice": True}, "A rehearsal in practice mode"),
        ({"gone": (1, 3)}, "Withdrawn for all variants"),
        ({"cases": 1, "judges": 1}, "Too early"),
        ({"judges": 0}, "nobody voted"),
        ({"cases": 2, "gone": (1, 2), "judges": 0}, "Withdrawn for all variants"),
        ({"variants": 2}, "4 best, 4 usable"),
    ],
)
def test_every_trial_has_a_report(pictures: list[Picture], others: dict[str, Any], said: str) -> None:
    """Practice, withdrawn cases, one case, no vote, no case left, two variants: a page and no crash."""
    told = document(**others)
    assert said in Page(html(told, standing(told, pictures))).words


def test_votes_go_into_a_spreadsheet() -> None:
    """A line for each, judges by number, and no remark that a spreadsheet would calculate."""
    rows = list(csv.DictReader(io.StringIO(votes_csv(document()))))
    assert len(rows) == 32 and rows[0]["judge"] == "1" and rows[0]["best"] == "pro" and rows[0]["worst"] == "dev"
    assert rows[0]["remark"] == f"'=1+1 {NASTY}" and rows[0]["shown"] == "max pro dev"
    told = document(cases=1, judges=1)
    for remark in ("@SUM(1)", "  =1+1", "＝1+1", "-1", "+1"):
        told["votes"][0]["remark"] = remark
        assert next(csv.DictReader(io.StringIO(votes_csv(told))))["remark"] == f"'{remark}"


def test_a_picture_that_is_lost_costs_no_report(pictures: list[Picture]) -> None:
    """Its place has its name in it; all else is there."""
    pictures[1].path.unlink()
    pictures[2].path.write_bytes(b"no picture")
    told = document(cases=1)
    page = html(told, standing(told, pictures))
    assert page.count('src="data:,"') >= 2
    assert 'src="data:image/jpeg' in page
