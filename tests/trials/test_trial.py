"""What a trial is made of: planned, priced, sealed, and refused with every problem at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from core.ledger.trials import Case, Spec
from core.pictures.reference import Reference
from core.trials import seal
from core.trials.trial import MOST_CASES, MOST_CELLS, TrialCell, check_draft, plan, total
from ui.trials.spec import read

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
REFERENCE = Reference(Path("a.jpg"), "a" * 64, "image/jpeg", 64, 48)
CUP, HAT = Case("a cup", (REFERENCE,)), Case("a hat", (REFERENCE, REFERENCE), {"size": "512*512", "seed": 7})
SPEC = Spec("Cups", "Which one?", ("pro", "max", "dev"), (CUP, HAT))

SENT: dict[str, Any] = {
    "title": "Cups",
    "question": "Which one?",
    "variants": ["pro", "max"],
    "cases": [{"prompt": "a cup", "images": [0]}, {"prompt": "a hat", "images": [1, 0], "roles": ["product", None]}],
    "confirm_usd": 0.24,
}


def planned(spec: Spec = SPEC, **changes: Any) -> tuple[Spec, tuple[TrialCell, ...]]:
    seeds = iter(range(100, 1000))
    return plan(replace(spec, **changes), lambda: next(seeds), NOW)


def problems(spec: Spec = SPEC, **changes: Any) -> str:
    with pytest.raises(InputError) as refusal:
        planned(spec, **changes)
    return str(refusal.value)


def test_each_variant_makes_each_case() -> None:
    """With one seed for all variants that have one, what a variant lacks left out, and the list's prices added up."""
    spec, cells = planned()
    told = [(cell.case, cell.take, cell.row, cell.inputs.variant.id, cell.inputs.seed) for cell in cells]
    assert told == [
        (1, 1, 0, "pro", 100),
        (1, 1, 0, "max", None),
        (1, 1, 0, "dev", 100),
        (2, 1, 1, "pro", 7),
        (2, 1, 1, "max", None),
        (2, 1, 1, "dev", 7),
    ]
    assert ["size" in cell.inputs.values for cell in cells[3:]] == [False, False, True]
    assert [case.parameters["seeds"] for case in spec.cases] == [[100], [7]]
    assert total(cells) == Decimal("0.30")
    assert total(cells, {"max": Decimal("0.064")}) == Decimal("0.268")


def test_two_seeds_make_two_takes_of_a_case() -> None:
    """The second picture belongs to the same case; what is drawn stands in the plan, and is not drawn again."""
    spec, cells = planned(cases=(replace(CUP, parameters={"seeds": [-1, -1]}), HAT))
    rows = [(cell.case, cell.take, cell.row, cell.inputs.seed) for cell in cells if cell.inputs.variant.id == "pro"]
    assert rows == [(1, 1, 0, 100), (1, 2, 1, 101), (2, 1, 2, 7)]
    assert [case.takes for case in spec.cases] == [2, 1]
    assert planned(spec) == (spec, cells)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": " "}, "Give the trial a title."),
        ({"closes_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))}, "up to the year 2100."),
        ({"judges": 10**400}, "have at most 4 digits."),
        ({"title": "x" * 81}, "The title is 1 character over the limit of 80."),
        ({"question": ""}, "Give the trial a question."),
        ({"question": "x" * 200}, "The question is 40 characters over the limit of 160."),
        ({"variants": ("pro",)}, "Choose 2 to 4 variants, each once: pro, max, dev, ultra-fast."),
        ({"variants": ("pro", "pro")}, "Choose 2 to 4 variants"),
        ({"variants": ("pro", "nano")}, "Choose 2 to 4 variants"),
        ({"variants": ("pro", "max", "dev", "ultra-fast", "pro")}, "Choose 2 to 4 variants"),
        ({"cases": ()}, "Add at least one case."),
        ({"cases": (CUP,) * (MOST_CASES + 1)}, f"A trial has at most {MOST_CASES} cases; these are 41."),
        ({"judges": 51}, "The number of judges must be a whole number from 1 to 50."),
        ({"judges": 0}, "The number of judges must be"),
        ({"margin": 41}, "The margin must be a whole number from 0 to 40."),
        ({"min_cases": 7}, "The fewest cases for a verdict must be a whole number from 8 to 40."),
        ({"min_judges": 2}, "The fewest judges for a verdict must be a whole number from 3 to 50."),
        ({"closes_at": NOW}, "The closing date has passed."),
        ({"cases": (replace(CUP, prompt=" "),)}, "Case 1: The prompt is empty."),
        ({"cases": (CUP, replace(CUP, prompt="x" * 4001))}, "Case 2: The prompt is 1 character over"),
        ({"cases": (replace(CUP, references=()),)}, "Case 1: There is no reference yet"),
        ({"cases": (replace(CUP, references=(REFERENCE,) * 5),)}, "Case 1: Dev takes at most 4 references"),
        ({"cases": (replace(CUP, references=(replace(REFERENCE, role="hero"),)),)}, "Case 1: 'hero' is not one of"),
        ({"cases": (replace(CUP, parameters={"colour": 1}),)}, "Case 1: None of these variants has 'colour'."),
        ({"cases": (replace(CUP, parameters={"seed": "x"}),)}, "Case 1: Seed (seed) must be a whole number"),
        ({"cases": (replace(CUP, parameters={"num_images": 2}),)}, "Case 1: A variant makes one picture at a time."),
        ({"cases": (replace(CUP, parameters={"seeds": [1, 2, 3]}),)}, "Case 1: Give a seed, or seeds as a list"),
        ({"cases": (replace(CUP, parameters={"seeds": [1, 1]}),)}, "Case 1: Give a seed, or seeds as a list"),
        ({"cases": (replace(CUP, parameters={"seeds": [1], "seed": 1}),)}, "Case 1: Give a seed, or seeds"),
        ({"cases": (replace(CUP, parameters={"seeds": 7}),)}, "Case 1: Give a seed, or seeds as a list"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    """Each limit has its sentence, with the case that it is about."""
    assert said in problems(**changes)


def test_all_problems_at_once() -> None:
    """Of a trial that is wrong in many places each is told with one refusal."""
    said = problems(title="", margin=99, variants=("pro", "max"), cases=(CUP, replace(CUP, prompt=""), Case("a hat")))
    for part in ("a title", "The margin", "Case 2: The prompt is empty", "Case 3: There is no reference"):
        assert part in said


def test_too_many_pictures() -> None:
    """However they come about."""
    twice = replace(CUP, parameters={"seeds": [1, 2]})
    spec = replace(SPEC, variants=("pro", "max", "dev", "ultra-fast"), cases=(twice,) * 31)
    assert f"A trial makes at most {MOST_CELLS} pictures; these would be 248." in problems(spec)


def test_a_draft_may_lack_anything_but_has_its_limits() -> None:
    """An empty one is kept; one that is larger than a trial can be is not."""
    check_draft(Spec())
    check_draft(replace(SPEC, title=""))
    for changes in ({"title": "x" * 81}, {"cases": (CUP,) * 41}, {"variants": ("pro",) * 5}):
        with pytest.raises(InputError):
            check_draft(replace(SPEC, **changes))
    for case in (replace(CUP, parameters={"x": "y" * 2001}), replace(CUP, references=(REFERENCE,) * 6)):
        with pytest.raises(InputError, match="Case 1 has more than 5 references"):
            check_draft(replace(SPEC, cases=(case,)))


# the seal


def test_the_seal_changes_with_each_rule() -> None:
    """Title, question, variants, cases, margin, minimums, closing and inputs: none can change without the seal."""

    def sealed(**changes: Any) -> str:
        spec, cells = planned(**changes)
        return seal.seal(seal.canonical(seal.document(spec, cells, {}, NOW, practice=False)))

    changes: list[dict[str, Any]] = [
        {},
        {"title": "Hats"},
        {"question": "Which?"},
        {"variants": ("max", "pro", "dev")},
        {"cases": (CUP,)},
        {"cases": (replace(CUP, prompt="a red cup"), HAT)},
        {"cases": (CUP, replace(HAT, parameters={"seed": 8}))},
        {"cases": (CUP, replace(HAT, references=(REFERENCE, replace(REFERENCE, sha256="b" * 64))))},
        {"judges": 6},
        {"margin": 11},
        {"min_cases": 9},
        {"min_judges": 4},
        {"closes_at": NOW + timedelta(days=1)},
    ]
    assert len({sealed(**change) for change in changes}) == len(changes)
    assert sealed() == sealed()


def test_canonical_json() -> None:
    """Keys in order, no spaces, letters as they are: one text for one value."""
    assert seal.canonical({"b": [1, None], "a": "é"}) == '{"a":"é","b":[1,null]}'
    assert seal.seal("{}") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


# as programs send it


def test_what_programs_send() -> None:
    """Images are named from 0 on and may be used in several cases; rules that are left out have their defaults."""
    other = replace(REFERENCE, sha256="b" * 64)
    spec, confirmed = read(SENT, [REFERENCE, other])
    assert (spec.title, spec.variants, spec.judges, spec.margin, confirmed) == (
        "Cups",
        ("pro", "max"),
        5,
        10,
        Decimal("0.24"),
    )
    assert spec.cases[0] == CUP
    assert spec.cases[1].references == (replace(other, role="product"), REFERENCE)
    sent = SENT | {"closes_at": "2026-12-01T12:00:00Z", "margin": 20, "confirm_usd": 0.1 + 0.2}
    spec, confirmed = read(sent, [REFERENCE, other])
    assert (spec.closes_at, spec.margin, confirmed) == (datetime(2026, 12, 1, 12, tzinfo=UTC), 20, Decimal("0.3"))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (None, "spec: input should be a valid dictionary"),
        ({}, "spec.title: field required."),
        (SENT | {"colour": 1}, "spec.colour: extra inputs are not permitted."),
        (SENT | {"title": 7}, "spec.title: input should be a valid string."),
        (SENT | {"variants": "pro"}, "spec.variants: input should be a valid list."),
        (SENT | {"judges": True}, "spec.judges: input should be a valid integer."),
        (SENT | {"confirm_usd": float("nan")}, "spec.confirm_usd: input should be a finite number."),
        (SENT | {"confirm_usd": -0.24}, "spec.confirm_usd: input should be greater than or equal to 0."),
        (SENT | {"confirm_usd": True}, "spec.confirm_usd: input should be a valid number."),
        (SENT | {"confirm_usd": "0.24"}, "spec.confirm_usd: input should be a valid number."),
        (SENT | {"closes_at": "2026-12-01T12:00:00"}, "spec.closes_at: input should have timezone info."),
        (SENT | {"cases": [{"prompt": "x"}]}, "spec.cases.0.images: field required."),
        (SENT | {"cases": [{"prompt": "x", "images": [2]}]}, "Case 1 names image 2; the 2 images are numbered from 0."),
        (SENT | {"cases": [{"prompt": "x", "images": [-1]}]}, "Case 1 names image -1"),
        (SENT | {"cases": [{"prompt": "x", "images": [0], "roles": []}]}, "Case 1 has 0 roles for 1 images."),
    ],
)
def test_another_shape_is_refused(sent: Any, said: str) -> None:
    """With the place that is wrong."""
    with pytest.raises(InputError) as refusal:
        read(sent, [REFERENCE, REFERENCE])
    assert said in str(refusal.value)
