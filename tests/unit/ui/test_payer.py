"""Who pays is said in one place, and true to the settings."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from core.catalog.variants import REGISTRY
from core.settings import SIGN_IN_NEEDS, read
from ui.studio.payer import charged, left, payers


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "Runs are paid by this app's account."),
        ({"KONTEXT_DAILY_BUDGET_USD": "2"}, "account, up to $2.00 for everyone together a day."),
        ({"KONTEXT_HOSTED": "on"}, "account, up to $1.00 for everyone together and $0.20 for you a day."),
    ],
)
def test_budgets_are_spoken_of_where_there_are_some(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    """With what they are."""
    assert said in payers(read(environment, tmp_path))["host"].panel


def test_ones_own_key_pays_for_nobody_else(tmp_path: Path) -> None:
    """While it pays, no word says that the app does, or that it is free."""
    own = payers(read({"KONTEXT_HOSTED": "on"}, tmp_path))["own"]
    words = " ".join((own.mode, own.glance, own.panel, own.note))
    assert "your key" in own.mode
    assert not any(word in words for word in ("this app", "free", "$"))


def test_practice_is_told_in_a_line(tmp_path: Path) -> None:
    """What is free, what it can't show, and what to press for that; a line that nobody sees whose pictures are real."""
    said = payers(read({}, tmp_path))
    glance = said["sandbox"].glance
    for words in ("Practice is free.", "not a picture by the model", "data-opens='open-settings'>Use your key<"):
        assert words in glance
    assert [kind for kind, payer in said.items() if payer.glance] == ["sandbox"]


@pytest.mark.parametrize(("access", "offered"), [("open", False), ("invited", True), ("closed", False)])
def test_where_signing_in_pays_practice_says_so(access: str, offered: bool, tmp_path: Path) -> None:
    """Beside a key of one's own; and what those who sign in may spend stands beside what strangers may."""
    space = dict.fromkeys(SIGN_IN_NEEDS, "x") | {"SYSTEM": "spaces", "WAVESPEED_API_KEY": "wsk_1"}
    said = payers(read({**space, "KONTEXT_SIGN_IN": "on", "KONTEXT_ACCESS": access}, tmp_path))
    assert ("data-opens='sign-in'>Sign in</button> or <button" in said["sandbox"].glance) == offered
    assert "$0.20 for you a day. Signed in, you can use $0.40." in said["host"].panel


def test_practice_never_leaves_a_charge_open() -> None:
    """Nothing was charged, whatever a real run would have been."""
    for answer in (False, True):
        words = [charged(said, "sandbox", answer=answer) for said in ("no", "yes", "unknown")]
        assert all(said.startswith("Free") and "known" not in said for said in words)
    assert charged("unknown", "own") == "It is not known yet whether it was charged."


@pytest.mark.parametrize(
    ("balance", "said"),
    [("1.32", "$1.32 left · about 33 more pictures"), ("0.05", "$0.05 left · about 1 more picture"), ("0", "about 0")],
)
def test_a_balance_is_told_in_pictures(balance: str, said: str) -> None:
    """Whole ones, at the price of the variant."""
    assert said in left(Decimal(balance), REGISTRY["pro"])
