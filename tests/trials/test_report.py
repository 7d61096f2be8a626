"""The report: its numbers, its sentences, and that both can be made again."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from making import facts, preferences, votes

from core.statistics.report import report
from core.statistics.votes import Facts, Vote, Withdrawn

KEYS = {"verdict", "variants", "judges", "cases", "withdrawn", "agreement", "places", "seal"}
NUMBERS = ("preferred_share", "preferred_low", "preferred_high", "p_best", "usable_share", "usable_low", "usable_high")
COSTS = ("usd_per_usable", "usd_per_usable_low", "usd_per_usable_high")
TRIAL = facts(3)
CLEAR = preferences(TRIAL, 6, [2.0, 0.0, 0.0])


def words(trial: Facts, said: list[Vote]) -> str:
    found = report(trial, said)
    json.dumps(found, allow_nan=False)
    return str(found["verdict"]["words"])


def test_it_has_what_the_api_promises() -> None:
    """The keys are those of /trial_report, and all of it can be written as JSON."""
    found = report(TRIAL, CLEAR)
    assert set(found) == KEYS
    assert set(found["verdict"]) == {"kind", "variant", "words"}
    assert [set(row) for row in found["variants"]] == [{"id", *NUMBERS, *COSTS}] * 3
    assert (found["judges"], found["cases"], found["seal"]) == (6, 12, TRIAL.seal)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("variants", [2, 3, 4])
def test_numbers_are_in_order(variants: int) -> None:
    """Every share lies within its interval and between 0 and 1, and the chances to be the best make one."""
    trial = facts(variants)
    rows = report(trial, preferences(trial, 5, [0.5] + [0.0] * (variants - 1)))["variants"]
    for row in rows:
        assert 0 <= row["preferred_low"] <= row["preferred_share"] <= row["preferred_high"] <= 1
        assert 0 <= row["usable_low"] <= row["usable_share"] <= row["usable_high"] <= 1
    assert sum(row["p_best"] for row in rows) == pytest.approx(1, abs=1e-3)
    assert sum(row["preferred_share"] for row in rows) == pytest.approx(variants / 2, abs=1e-3)


def test_the_same_votes_give_the_same_report_to_the_digit() -> None:
    """In whatever order they came; another seal draws otherwise."""
    shuffled = random.Random(1).sample(CLEAR, len(CLEAR))
    assert json.dumps(report(TRIAL, shuffled)) == json.dumps(report(TRIAL, CLEAR))
    other = report(replace(TRIAL, seal="0b" * 32), CLEAR)
    assert other["variants"] != report(TRIAL, CLEAR)["variants"]


def test_preferred() -> None:
    """Who won, how often it was picked, named best and worst, and how surely."""
    found = report(TRIAL, CLEAR)
    best = sum(vote.best == "max" for vote in CLEAR)
    assert (found["verdict"]["kind"], found["verdict"]["variant"]) == ("preferred", "max")
    for part in ("Max is preferred", "times in 100", f"best in {best} of 72 votes", "it would come first"):
        assert part in found["verdict"]["words"]


def test_good_enough() -> None:
    """What costs less, by how much, and how far it may be behind."""
    trial = facts(2, cases=20, margin=30)
    found = report(trial, preferences(trial, 10, [0.0, 0.0]))
    assert (found["verdict"]["kind"], found["verdict"]["variant"]) == ("good_enough", "pro")
    assert "Pro is good enough and costs half as much as Max: $0.04 a picture instead" in found["verdict"]["words"]
    assert "you asked for more than 20" in found["verdict"]["words"]


def test_no_clear_winner() -> None:
    """The cheapest is advised, and who is behind is named."""
    trial = facts(3, margin=0)
    found = report(trial, preferences(trial, 6, [0.0, 0.0, -4.0]))
    assert found["verdict"] == {
        "kind": "no_clear_winner",
        "variant": "pro",
        "words": "No clear winner between Max and Pro: take the cheapest, Pro at $0.04 a picture. Dev is behind.",
    }


def test_the_best_may_not_be_good_enough_for_the_job() -> None:
    """A winner whose pictures most judges would not use is named, and that is said; one that they would use is not."""
    for used, said in ((frozenset[str](), True), (frozenset({"max"}), False)):
        found = report(TRIAL, votes(TRIAL, 4, "max", "dev", usable=used))
        assert found["verdict"]["variant"] == "max"
        sentence = "But most judges would use Max’s pictures as they are in only 0 cases in 100."
        assert (sentence in found["verdict"]["words"]) is said


def no_difference(trial: Facts) -> list[Vote]:
    return votes(trial, 4, None, None)


@pytest.mark.parametrize(
    ("trial", "said", "kind", "sentences"),
    [
        (TRIAL, [], "too_early", ["nobody voted on 12 cases.", "3 more judges would cost nothing"]),
        (
            TRIAL,
            votes(TRIAL, 1, "max", "dev"),
            "too_early",
            ["1 judge voted on 12 cases.", "2 more judges would cost nothing"],
        ),
        (TRIAL, votes(TRIAL, 2, "max", "dev")[:13], "too_early", ["1 more judge would cost", "Of 24 votes, 11 didn’t"]),
        (
            TRIAL,
            [Vote("judge", "case 00", "max", "dev")],
            "too_early",
            ["1 judge voted on 12 cases.", "0 have them now"],
        ),
        (
            facts(cases=1),
            votes(facts(cases=1), 5, "max", "dev"),
            "too_early",
            ["5 judges voted on 1 case.", "7 more cases would cost $1.05"],
        ),
        (facts(cases=7), votes(facts(cases=7), 5, "max", "dev"), "too_early", ["1 more case would cost $0.15"]),
        (
            TRIAL,
            [v for n in range(6) for v in votes(TRIAL, 6, "max", "dev")[n * 14 :][:2]],
            "too_early",
            ["The missing votes would cost nothing"],
        ),
        (TRIAL, votes(TRIAL, 4, "max", "dev"), "preferred", ["All 48 votes say the same.", "100 times in 100"]),
        (TRIAL, no_difference(TRIAL), "good_enough", ["All 48 votes say “no difference”.", "at least 50 times in 100"]),
        (TRIAL, CLEAR[:-3], "preferred", ["Of 72 votes, 3 didn’t come in; the others count."]),
        (replace(TRIAL, looked=True), CLEAR, "preferred", ["Somebody saw results before the closing"]),
        (replace(TRIAL, practice=True), CLEAR, "preferred", ["practice pictures", "a rehearsal"]),
    ],
)
def test_odd_votes_have_their_sentence(trial: Facts, said: list[Vote], kind: str, sentences: list[str]) -> None:
    """None, one judge, one case, missing ones, all alike, no difference: each has its words, and none breaks it."""
    found = report(trial, said)
    assert found["verdict"]["kind"] == kind
    for sentence in sentences:
        assert sentence in words(trial, said)


def test_equal_prices_have_no_cheapest() -> None:
    """With all at one price there is nothing cheaper to take, so nothing is called good enough or cheapest."""
    same = tuple(replace(variant, price=TRIAL.variants[0].price) for variant in TRIAL.variants)
    said = words(replace(TRIAL, variants=same), no_difference(TRIAL))
    assert said.startswith("No clear winner: take Max at $0.08 a picture.")


def test_a_withdrawn_case_counts_for_none() -> None:
    """Its votes are left out, it is listed with its reason, and the numbers are those of a trial without it."""
    gone = replace(TRIAL, withdrawn=(Withdrawn("case 03", "blocked by the safety filter"),))
    found = report(gone, CLEAR)
    assert found["withdrawn"] == [{"case": "case 03", "reason": "blocked by the safety filter"}]
    assert "Of 12 cases, 1 had to be withdrawn for want of a picture." in found["verdict"]["words"]
    without = replace(TRIAL, cases=tuple(case for case in TRIAL.cases if case != "case 03"))
    assert found["cases"] == 11
    assert found["variants"] == report(without, CLEAR)["variants"]


def test_all_cases_withdrawn() -> None:
    """Then nothing counts, and it says so."""
    gone = tuple(Withdrawn(case, "the service failed") for case in TRIAL.cases)
    assert "nobody voted on 0 cases" in words(replace(TRIAL, withdrawn=gone), CLEAR)


@pytest.mark.parametrize(
    "said", [[], votes(TRIAL, 1, "max", "dev"), [Vote("a", "case 00", "max"), Vote("b", "case 00")]]
)
def test_what_can_not_be_told_has_the_widest_interval(said: list[Vote]) -> None:
    """From one judge or one case nothing follows for others."""
    rows: list[dict[str, Any]] = report(TRIAL, said)["variants"]
    assert {(row["preferred_low"], row["preferred_high"], row["p_best"]) for row in rows} == {(0.0, 1.0, 0.3333)}
