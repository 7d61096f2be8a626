"""A closed trial as one HTML file that needs nothing beside it and prints on paper, and its votes as CSV."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from core.catalog.estimate import dollars
from core.ledger.trials import Picture
from core.runs.exports import as_cell
from core.statistics.planner import count

EDGE = 560  # px of the longer edge of a picture in the file: sharp on paper at a third of the page's width
QUALITY = 82
THOUSAND = 1000

_VOTE_COLUMNS = ("judge", "case", "take", "repeat", "shown", "best", "worst", "would_use", "remark")


@dataclass(frozen=True)
class Shown:
    """One picture of a case: the file, who made it, and how often it was named."""

    picture: Picture
    name: str
    best: int
    worst: int
    would_use: int
    votes: int

    @property
    def data(self) -> str:
        """The picture itself, small, as an address; an empty one where the file is gone or damaged."""
        try:
            with Image.open(self.picture.path) as image:
                image.draft("RGB", (EDGE, EDGE))
                small = image.convert("RGB")
        except (OSError, SyntaxError):  # what Pillow raises over bytes that are no picture
            return "data:,"
        small.thumbnail((EDGE, EDGE))
        written = io.BytesIO()
        small.save(written, "JPEG", quality=QUALITY, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode()


@dataclass(frozen=True)
class CaseSheet:
    """What stands of one case: the prompt, its references, its pictures, and what judges remarked."""

    number: int
    prompt: str
    references: Sequence[Shown]
    pictures: Sequence[Shown]
    remarks: Sequence[str]
    withdrawn: str = ""

    def of(self, variant: str) -> Shown | None:
        return next((shown for shown in self.pictures if shown.picture.variant == variant), None)

    def standing(self, variant: str) -> float:
        """How a variant did here: from 1, always the best, to -1, always the worst."""
        mine = [shown for shown in self.pictures if shown.picture.variant == variant]
        votes = sum(shown.votes for shown in mine)
        return sum(shown.best - shown.worst for shown in mine) / votes if votes else 0.0


def html(document: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    """The whole report. `document` as `Trials.document` gives it, `pictures` as `Trials.pictures`. Blocking."""
    cases, report, sealed = _cases(document, pictures), document["report"], document["sealed"]
    names = {variant["id"]: variant["name"] for variant in sealed["variants"]}
    rows = [_row(variant, report["variants"]) for variant in sealed["variants"]]
    first = report["verdict"]["variant"] or max(rows, key=lambda row: row["preferred_share"])["id"]
    other = _other(first, rows)
    judged = sorted((c for c in cases if c.pictures), key=lambda case: case.standing(first), reverse=True)
    chosen = dict(zip(("Best case", "Typical case", "Worst case"), _spread(judged), strict=False))
    rendered: str = _template().render(
        sealed=sealed,
        document=document,
        report=report,
        rows=rows,
        cases=cases,
        examples=[(called, case, case.of(first), case.of(other)) for called, case in chosen.items()],
        first=names[first],
        other=names[other],
        judges=_judges(document),
        sum=_paid(sealed),
    )
    return rendered


def votes_csv(document: Mapping[str, Any]) -> str:
    """A line for each vote; judges by their numbers."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_VOTE_COLUMNS)
    for vote in document["votes"]:
        lists = (" ".join(vote["places"]), vote["best"] or "", vote["worst"] or "", " ".join(vote["usable"]))
        row = (vote["judge"], vote["case"], vote["take"], "yes" if vote["repeat"] else "", *lists, vote["remark"])
        writer.writerow(map(as_cell, row))
    return out.getvalue()


# the parts


def _cases(document: Mapping[str, Any], pictures: Sequence[Picture]) -> list[CaseSheet]:
    names = {variant["id"]: variant["name"] for variant in document["sealed"]["variants"]}
    gone = {row["case"]: row["reason"] for row in document["withdrawn"]}
    return [_case(case, names, gone, document["votes"], pictures) for case in document["sealed"]["cases"]]


def _case(
    case: Mapping[str, Any],
    names: Mapping[str, str],
    gone: Mapping[int, str],
    votes: Iterable[Mapping[str, Any]],
    pictures: Iterable[Picture],
) -> CaseSheet:
    number = case["case"]
    told = [vote for vote in votes if vote["case"] == number]
    counted = [vote for vote in told if not vote["repeat"]]
    shown = [_shown(picture, names, counted) for picture in pictures if picture.case == number]
    return CaseSheet(
        number=number,
        prompt=case["prompt"],
        references=[one for one in shown if one.picture.variant is None],
        pictures=[one for one in shown if one.picture.variant is not None],
        remarks=[vote["remark"] for vote in told if vote["remark"]],
        withdrawn=gone.get(number, ""),
    )


def _shown(picture: Picture, names: Mapping[str, str], votes: Sequence[Mapping[str, Any]]) -> Shown:
    if picture.variant is None:
        return Shown(picture, f"Reference {picture.number}", 0, 0, 0, 0)
    mine = [vote for vote in votes if vote["take"] == picture.number]
    return Shown(
        picture=picture,
        name=names[picture.variant],
        best=sum(vote["best"] == picture.variant for vote in mine),
        worst=sum(vote["worst"] == picture.variant for vote in mine),
        would_use=sum(picture.variant in vote["usable"] for vote in mine),
        votes=len(mine),
    )


def _row(variant: Mapping[str, Any], told: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the report says of a variant, with its name and what a thousand of its pictures cost."""
    numbers = next(row for row in told if row["id"] == variant["id"])
    price = Decimal(variant["price_usd"])
    return {**numbers, "name": variant["name"], "price": price, "thousand": dollars(price * THOUSAND)}


def _other(first: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """What the winner is shown beside: the cheapest, or where it is that itself, what came closest to it."""
    cheapest = min(rows, key=lambda row: row["price"])["id"]
    others = [row for row in rows if row["id"] != first]
    return str(cheapest if cheapest != first else max(others, key=lambda row: row["preferred_share"])["id"])


def _spread(cases: Sequence[CaseSheet]) -> list[CaseSheet]:
    """The first, the middle and the last; fewer where there are fewer."""
    return list({id(case): case for case in (*cases[:1], *cases[len(cases) // 2 :][:1], *cases[-1:])}.values())


def _judges(document: Mapping[str, Any]) -> str:
    """The names of those who agreed to it, and how many others there were."""
    names = [judge["name"] for judge in document["judges"] if judge["name"]]
    others = len(document["judges"]) - len(names)
    unnamed = [f"{count(others, 'judge')} without a name"] if others else []
    return ", ".join(names + unnamed) or "nobody"


def _paid(sealed: Mapping[str, Any]) -> str:
    """What all pictures of the trial cost at the prices that were sealed."""
    prices = {variant["id"]: Decimal(variant["price_usd"]) for variant in sealed["variants"]}
    made = (picture["variant"] for case in sealed["cases"] for picture in case["pictures"])
    return dollars(sum((prices[variant] for variant in made), Decimal(0)))


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "count": count,
        "dollars": lambda usd: dollars(Decimal(str(round(usd, 3)))),
        "hundred": lambda share: int(100 * share + 0.5),  # as the page rounds it
    }
    return environment.get_template("sheet.html")
