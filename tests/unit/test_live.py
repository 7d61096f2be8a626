"""The script that tries every variant with a real key: it spends after a typed yes, and not before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from serving import AT_ONCE, serving

from core.catalog.variants import REGISTRY
from scripts import live


def answering(word: str, asked: list[str]) -> Callable[[str], str]:
    def ask(question: str) -> str:
        asked.append(question)
        return word

    return ask


def environment(tmp_path: Path, url: str, key: str = "wsk_live") -> dict[str, str]:
    return {"WAVESPEED_API_KEY": key, "WAVESPEED_BASE_URL": url, "KONTEXT_DATA_DIR": str(tmp_path / "data")}


def test_without_a_key_it_says_so_and_asks_nothing(tmp_path: Path) -> None:
    """No key: one sentence, no question, nothing sent."""
    asked: list[str] = []
    with pytest.raises(SystemExit, match=r"no key.*nothing was charged"):
        live.main(environment(tmp_path, "http://127.0.0.1:9", key=" "), answering("yes", asked))
    assert asked == []


@pytest.mark.parametrize("word", ["", "y", "no", "yes please"])
def test_anything_but_yes_spends_nothing(tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The bill is shown and the total stands in the question; without a yes no request leaves."""
    asked: list[str] = []
    with serving() as service, pytest.raises(SystemExit, match="Nothing was sent"):
        live.main(environment(tmp_path, service.url), answering(word, asked))
    assert service.submits == []
    assert len(asked) == 1 and "$0.175" in asked[0]
    said = capsys.readouterr().out
    assert all(row.name in said and f"${row.price}" in said for row in REGISTRY.values())
    assert "catalogue agrees with the registry" in said


def test_yes_tries_each_variant_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One submit for each variant, and a receipt with its charge and its picture."""
    with serving() as service:
        live.main(environment(tmp_path, service.url), answering("yes", []), AT_ONCE)
    said = capsys.readouterr().out
    assert [model_id for model_id, _ in service.submits] == [row.model_id for row in REGISTRY.values()]
    assert said.count("completed ·") == len(REGISTRY)
    assert all(f"charged ${row.price}" in said for row in REGISTRY.values())
    assert len(list((tmp_path / "data" / "outputs").rglob("kontext-*"))) == len(REGISTRY)


def test_a_rejected_key_is_said_and_the_script_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong key: every receipt says that nothing was charged, none shows the key, and the exit says failure."""
    with serving() as service, pytest.raises(SystemExit) as ended:
        live.main(environment(tmp_path, service.url, key="wsk_invalid"), answering("yes", []), AT_ONCE)
    said = capsys.readouterr().out
    assert ended.value.code == 1
    assert said.count("nothing charged") == len(REGISTRY)
    assert "wsk_invalid" not in said
