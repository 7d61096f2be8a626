"""The history a page at a time: each run once, newest first, and found wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import open_ledger
from test_ledger import NOON, record

from core.ledger.ledger import Ledger, Search
from core.ledger.run import Cell, Label

pytestmark = pytest.mark.both

PRESETS = {"poster": "Poster with a title", "relight": "New light"}
VARIANTS = {"pro": "Pro", "ultra-fast": "Ultra-fast"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(tmp_path, timeout=0.1)) as ledger:
        yield ledger


def ids(ledger: Ledger, after: str = "", limit: int = 4, **search: Any) -> list[str]:
    found = ledger.page("ann", limit, after, Search(presets=PRESETS, variants=VARIANTS, **search))
    return [record.facts.id for record in found]


def test_every_run_is_on_one_page(ledger: Ledger) -> None:
    """Also where several were pressed in the same moment, and where the last one of a page was deleted meanwhile."""
    for number in range(11):
        ledger.add(record(f"{number:02}", at=NOON + timedelta(hours=number // 3)))
    ledger.add(record("eve's", visitor="eve", at=NOON + timedelta(hours=1)))
    pages = [ids(ledger)]
    while pages[-1]:
        ledger.delete(pages[-1][-1], NOON)
        pages.append(ids(ledger, after=pages[-1][-1]))
    assert [id for page in pages for id in page] == ["09", "10", "06", "07", "08", "03", "04", "05", "00", "01", "02"]
    assert [len(page) for page in pages] == [4, 4, 3, 0]


def test_another_visitor_s_run_begins_no_page(ledger: Ledger) -> None:
    """An id that is not one's own, or none at all, leads nowhere."""
    ledger.add(record("mine"))
    ledger.add(record("eve's", visitor="eve", at=NOON + timedelta(hours=1)))
    assert ids(ledger, after="eve's") == ids(ledger, after="nobody's") == []


def test_words_are_looked_for_everywhere(ledger: Ledger) -> None:
    """In the prompt, the preset's and the variant's name and the seed; all of them, in any letters, and as they are."""
    ledger.add(record("a", prompt="An owl", preset="poster", seed=None))
    ledger.add(record("b", prompt="An owl at night", seed=4711))
    ledger.add(record("c", prompt="Ein großer ÄRGER", variant_id="ultra-fast", preset="gone"))
    ledger.add(record("d", prompt="100% cotton", preset="relight"))
    expected = {
        "owl": ["a", "b"],
        "OWL night": ["b"],
        "ärger": ["c"],
        "title owl": ["a"],
        "ultra-fast": ["c"],
        "4711": ["b"],
        "100%": ["d"],
        "%": ["d"],
        "_": [],
        "' OR 1=1 --": [],
        "": ["a", "b", "c", "d"],
    }
    assert {words: ids(ledger, words=tuple(words.split())) for words in expected} == expected


def test_one_variant_alone(ledger: Ledger) -> None:
    """The choice of a variant is no word: it does not find a prompt that speaks of it."""
    ledger.add(record("a", prompt="An owl, pro"))
    ledger.add(record("b", prompt="An owl", variant_id="max"))
    assert ids(ledger, variant_id="max", words=("owl",)) == ["b"]
    assert ids(ledger, variant_id="max", words=("pro",)) == []


def test_a_name_finds_a_run_and_a_star_keeps_it_at_hand(ledger: Ledger) -> None:
    """Both are the run's own from then on, are searched along, and belong to whoever's run it is."""
    for id in "abc":
        ledger.add(record(id, prompt="An owl"))
    ledger.label("ann", {"b": {"favourite": True}})
    ledger.label("ann", {"b": {"name": "Grandma's birthday"}})  # neither undoes the other
    ledger.label("eve", {"a": {"name": "Eve's", "favourite": True}})
    assert ids(ledger, words=("BIRTHDAY", "owl")) == ids(ledger, favourites=True) == ["b"]
    found = ledger.find("ann", "b")
    assert found and found.label == Label("Grandma's birthday", favourite=True)
    ledger.label("ann", {"b": {"name": "", "favourite": False}})
    assert ids(ledger, favourites=True) == ids(ledger, words=("birthday",)) == []


def test_a_comparison_is_one_entry(ledger: Ledger) -> None:
    """It comes whole, counts once in the place of its oldest cell, and is found by whatever any of its cells has."""
    cell = {"cell": Cell("c", "variants", 0)}
    ledger.add(record("x", prompt="An owl", **cell))
    ledger.add(record("y", variant_id="ultra-fast", prompt="A heron", at=NOON + timedelta(hours=3), **cell))
    ledger.add(record("eve's", visitor="eve", prompt="A stork", **cell))
    for number in range(3):
        ledger.add(record(f"{number}", at=NOON + timedelta(hours=number)))
    assert ids(ledger, limit=2) == ["2", "1"]
    assert ids(ledger, limit=2, after="1") == ["y", "0", "x"]
    assert (
        ids(ledger, limit=1, after="0") == ids(ledger, words=("heron",)) == ids(ledger, words=("ultra",)) == ["y", "x"]
    )
    assert ids(ledger, variant_id="ultra-fast", words=("heron",)) == ["y", "x"]
    assert ids(ledger, words=("stork",)) == ids(ledger, after="x") == []
    ledger.label("ann", {"y": {"favourite": True}})
    assert ids(ledger, favourites=True) == ["y", "x"]
    ledger.delete("x", NOON)
    assert ids(ledger, limit=1) == ["y"]
