"""A run as the page shows it: its view, its receipt for each source of a charge, its line in the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.errors import InputError, Problem, SubmitUnknown
from core.ledger.run import Output, Run, RunPrediction, Trouble
from core.pictures.recipe import extract
from core.pictures.reference import Reference
from core.pictures.served import ServedFiles
from core.runs.exports import archive, receipts_csv
from core.runs.outcomes import price_rose
from ui.studio.history import history_of
from ui.studio.result import receipt, view_of, view_of_refusal

WHEN = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)

RUN = Run(
    id="r1",
    visitor="ann",
    account_id="host",
    account_kind="host",
    created_at=WHEN,
    variant_id="pro",
    preset="poster",
    prompt="make it red",
    values={"guidance_scale": 3.5},
    seed=4711,
    pictures=2,
    references=(),
    estimate=Decimal("0.08"),
    charge=Decimal("0.08"),
    charge_source="quote",
    state="completed",
    predictions=(
        RunPrediction(1, "a" * 32, "completed", 4711, "", Decimal("0.04")),
        RunPrediction(2, "b" * 32, "completed", 4712, "", Decimal("0.04")),
    ),
    outputs=(),
    troubles=(),
    notice="",
    seconds=17.26,
    model_seconds=12.0,
    expected_seconds=17.0,
)

Made = Callable[[int], tuple[Output, ...]]


def listed(runs: Sequence[Run], presets: dict[str, str], served: ServedFiles) -> dict[str, Any]:
    """The history of runs that are no part of a comparison."""
    return history_of([[run] for run in runs], presets, served)


@pytest.fixture
def served(tmp_path: Path) -> ServedFiles:
    return ServedFiles(tmp_path)


@pytest.fixture
def outputs(tmp_path: Path) -> Made:
    """Pictures on disk."""

    def make(count: int) -> tuple[Output, ...]:
        found = []
        for number in range(1, count + 1):
            path = tmp_path / f"kontext-pro-{number}.png"
            Image.new("RGB", (64, 48), (number, 90, 90)).save(path)
            found.append(Output(number, path, 640, 480, 4710 + number, "a" * 32))
        return tuple(found)

    return make


# The receipt ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charge", "source", "words"),
    [
        ("0.08", "quote", ["Charged $0.08 (quoted price)"]),
        ("0.072", "quote", ["estimated $0.08", "Charged $0.072 (quoted price)"]),
        ("0.08", "billing", ["Charged $0.08"]),
        ("0.04", "billing", ["estimated $0.08", "Charged $0.04"]),
        ("0", "billing", ["estimated $0.08", "Charged $0.00"]),
        ("0.08", "estimate", ["Charged $0.08 (our estimate)"]),
        ("0.04", "estimate", ["Charged $0.04 (our estimate)"]),
        ("0", None, ["estimated $0.08", "Nothing charged"]),
        (None, None, ["estimated $0.08", "Nothing charged"]),
    ],
)
def test_a_receipt_says_how_sure_the_charge_is(charge: str | None, source: Any, words: list[str]) -> None:
    """Where it was read; and the estimate beside it where the two differ."""
    run = replace(RUN, charge=None if charge is None else Decimal(charge), charge_source=source)
    assert receipt(run) == ["Pro", *words, "17.3 s", "seed 4711"]


def test_a_receipt_without_a_seed_leaves_it_out() -> None:
    """max has none; 0 is one."""
    assert receipt(replace(RUN, variant_id="max", seed=None)) == ["Max", "Charged $0.08 (quoted price)", "17.3 s"]
    assert receipt(replace(RUN, seed=0))[-1] == "seed 0"


def test_a_sandbox_receipt_never_says_charged(outputs: Made) -> None:
    """What it would have cost, the same as the header counts: also where nobody waited for the picture."""
    run = replace(RUN, account_id="sandbox", account_kind="sandbox", charge=Decimal("0.04"), outputs=outputs(1))
    assert receipt(run) == ["Pro", "Free · $0.04 with a key", "17.3 s", "seed 4711"]
    assert receipt(replace(run, outputs=()))[1] == "Free · $0.04 with a key"
    assert receipt(replace(run, outputs=(), charge=Decimal(0), charge_source=None))[1] == "Free · with a key too"


# The view ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("preparing", ["now", "todo", "todo"]),
        ("uploading", ["now", "todo", "todo"]),
        ("submitting", ["done", "now", "todo"]),
        ("waiting", ["done", "now", "todo"]),
        ("downloading", ["done", "done", "now"]),
        ("completed", ["done", "done", "done"]),
        ("partial", ["done", "done", "done"]),
    ],
)
def test_each_state_has_its_stage(state: Any, words: list[str], served: ServedFiles) -> None:
    """Three words for a person, whatever goes on inside."""
    view = view_of(replace(RUN, state=state), served)
    assert [stage["name"] for stage in view["stages"]] == ["Uploading", "Generating", "Downloading"]
    assert [stage["state"] for stage in view["stages"]] == words
    assert view["finished"] is (state in ("completed", "partial"))


def test_each_picture_is_shown_as_it_is(outputs: Made, served: ServedFiles) -> None:
    """By a URL of a copy that is the same byte for byte; with its number, its seed, and words for who can't see it."""
    made = outputs(2)
    first, second = view_of(replace(RUN, outputs=made), served)["pictures"]
    assert (first["number"], first["seed"], second["number"], second["seed"]) == (1, 4711, 2, 4712)
    assert (first["width"], first["height"], first["name"]) == (640, 480, "kontext-pro-1.png")
    assert first["alt"] == "Picture 1 by Pro: make it red"
    held = Path(first["image"]["path"])
    assert held.read_bytes() == made[0].path.read_bytes() and held != made[0].path
    assert str(held) in first["image"]["url"]


def test_a_picture_can_be_had_with_its_recipe(outputs: Made, served: ServedFiles) -> None:
    """Once the run has finished: the same picture under the same name, with the inputs in its metadata."""
    run = replace(RUN, outputs=outputs(1))
    (shown,) = view_of(run, served)["pictures"]
    held = Path(shown["with_recipe"]["path"])
    assert held.name == "kontext-pro-1.png"
    assert extract(held.read_bytes()) == run.recipe
    assert Image.open(held).tobytes() == Image.open(run.outputs[0].path).tobytes()
    assert view_of(replace(run, state="downloading"), served)["pictures"][0]["with_recipe"] is None


def test_a_long_prompt_is_cut_in_the_alternative_text(outputs: Made, served: ServedFiles) -> None:
    """A screen reader is not made to read a page."""
    view = view_of(replace(RUN, prompt="x" * 5000, outputs=outputs(1)), served)
    assert len(view["pictures"][0]["alt"]) < 200


@pytest.mark.parametrize(("state", "made", "awaited"), [("waiting", 0, 2), ("waiting", 1, 1), ("partial", 1, 0)])
def test_a_place_is_kept_for_what_is_to_come(
    outputs: Made, state: Any, made: int, awaited: int, served: ServedFiles
) -> None:
    """As long as the run goes on, and no longer."""
    assert view_of(replace(RUN, state=state, outputs=outputs(made)), served)["awaited"] == awaited


@pytest.mark.parametrize(
    ("values", "references", "shape"),
    [
        ({"size": "1024*768"}, (), "1024/768"),
        ({"aspect_ratio": "16:9"}, (), "16/9"),
        ({}, ((300, 200), (100, 100)), "300/200"),
        ({}, ((0, 0), (100, 50)), "100/50"),
        ({}, (), "1/1"),
    ],
)
def test_the_place_has_the_shape_that_is_awaited(values: Any, references: Any, shape: str, served: ServedFiles) -> None:
    """As asked for, else like the first reference whose size is known."""
    held = tuple(Reference(Path("c.jpg"), "c" * 64, "image/jpeg", *size) for size in references)
    assert view_of(replace(RUN, values=values, references=held), served)["shape"] == shape


def test_one_prediction_has_one_seed_to_show(served: ServedFiles) -> None:
    """Pictures of several predictions have a seed each, those of one share it."""
    assert not view_of(RUN, served)["one_seed"]
    assert view_of(replace(RUN, predictions=RUN.predictions[:1]), served)["one_seed"]


def test_running_again_names_what_it_costs(served: ServedFiles) -> None:
    """The button that spends knows what it makes, for the page to say its price."""
    assert view_of(RUN, served)["again"] == ["pro", 2]
    assert view_of(replace(RUN, variant_id="ultra-fast", pictures=1), served)["again"] == ["ultra-fast", 1]


@pytest.mark.parametrize(
    ("charged", "words"),
    [("no", "No, nothing was charged."), ("yes", "Yes, it was charged."), ("unknown", "Not known yet.")],
)
def test_a_trouble_has_its_three_facts(charged: Any, words: str, served: ServedFiles) -> None:
    """What happened, whether it was charged, what to do; and the id to copy."""
    trouble = Trouble("It broke.", charged, "Try again.", "d" * 32)
    facts = {"happened": "It broke.", "charged": words, "advice": "Try again.", "prediction_ids": ["d" * 32]}
    assert view_of(replace(RUN, state="failed", troubles=(trouble,)), served)["troubles"] == [facts]


def test_the_same_trouble_is_told_once(served: ServedFiles) -> None:
    """With the ids of all that it befell; another trouble is told beside it."""
    same = [Trouble("It broke.", "no", "Try again.", id) for id in ("a", "b", None)]
    other = Trouble("It broke.", "yes", "Try again.", "c")
    told = view_of(replace(RUN, state="failed", troubles=(*same, other)), served)["troubles"]
    assert [(trouble["prediction_ids"], trouble["charged"][:3]) for trouble in told] == [
        (["a", "b"], "No,"),
        (["c"], "Yes"),
    ]


def test_a_trouble_in_the_sandbox_never_cost_anything(served: ServedFiles) -> None:
    """It says so first, and then what would be true of the service."""
    run = replace(
        RUN,
        account_id="sandbox",
        account_kind="sandbox",
        state="failed",
        troubles=(Trouble("It broke.", "unknown", ""),),
    )
    (trouble,) = view_of(run, served)["troubles"]
    assert trouble["charged"] == "Free (practice). A real run might be charged."


def test_a_run_that_can_be_taken_up_offers_it(served: ServedFiles) -> None:
    """Only where something may still be had."""
    left = replace(RUN.predictions[0], open=True)
    assert view_of(replace(RUN, state="failed", predictions=(left,)), served)["resume"] == "Check again"
    assert view_of(RUN, served)["resume"] == ""


def test_a_refusal_is_shown_like_a_run_that_ended() -> None:
    """Every problem, that nothing was charged, and nothing to run again."""
    view = view_of_refusal(InputError([Problem("prompt", "It is empty."), Problem("size", "It is too small.")]))
    assert view["troubles"] == [
        {
            "happened": "It is empty. It is too small.",
            "charged": "No, nothing was charged.",
            "advice": "",
            "prediction_ids": [],
        }
    ]
    assert (view["finished"], view["pictures"], view["receipt"], view["again"]) == (True, [], [], None)


def test_a_new_price_comes_with_its_refusal() -> None:
    """So that the press after it confirms that very sum."""
    assert view_of_refusal(price_rose(Decimal("0.62"), Decimal("0.49")))["rose"] == 620_000


def test_a_refusal_has_all_that_a_run_has(outputs: Made, served: ServedFiles) -> None:
    """The page reads both alike; what a refusal leaves out is only what there is no run for."""
    known = {"seconds", "expected_seconds", "shape", "one_seed", "name", "favourite"}
    assert view_of(RUN, served).keys() - view_of_refusal(InputError([])).keys() == known


def test_a_refusal_that_may_have_cost_says_so() -> None:
    """The charge is the error's own, not taken for granted."""
    assert view_of_refusal(SubmitUnknown("No answer."))["troubles"][0]["charged"] == "Not known yet."


# The history ------------------------------------------------------------------------------------------


def test_a_run_has_its_line_in_the_history(outputs: Made, served: ServedFiles) -> None:
    """When, what, in which words, how it ended and what it cost."""
    trouble = Trouble("It broke.", "no", "Try again.")
    (entry,) = listed([replace(RUN, outputs=outputs(1), troubles=(trouble,))], {"poster": "Poster"}, served)["runs"]
    assert entry.pop("pictures")[0]["orig_name"] == "kontext-pro-1.png"
    assert entry == {
        "id": "r1",
        "name": "",
        "favourite": False,
        "when": "2026-11-21T12:30:00+00:00",
        "preset": "Poster",
        "prompt": "make it red",
        "state": "Done",
        "restorable": True,
        "deletable": True,
        "open": False,
        "receipt": ["Pro", "Charged $0.08 (quoted price)", "17.3 s", "seed 4711"],
        "troubles": ["It broke. Nothing was charged. Try again."],
    }


def test_a_run_that_goes_on_has_no_receipt_yet(served: ServedFiles) -> None:
    """Only the variant's name: its time and its cost are not final."""
    (entry,) = listed([replace(RUN, state="waiting")], {}, served)["runs"]
    assert (entry["receipt"], entry["deletable"], entry["open"]) == (["Pro"], False, False)


@pytest.mark.parametrize(
    ("state", "left", "words"),
    [
        ("waiting", False, "Running"),
        ("keyless", False, "Waiting for its key"),
        ("completed", False, "Done"),
        ("partial", False, "Partly done"),
        ("failed", False, "Failed"),
        ("failed", True, "Still running at the service"),
        ("partial", True, "Still running at the service"),
    ],
)
def test_a_state_is_said_in_words(state: Any, left: bool, words: str, served: ServedFiles) -> None:
    """A run that can be resumed says that, however it ended."""
    run = replace(RUN, state=state, predictions=(replace(RUN.predictions[0], status="processing", open=left),))
    (entry,) = listed([run], {}, served)["runs"]
    assert (entry["state"], entry["open"]) == (words, left)


def test_a_run_whose_pictures_are_made_runs_nowhere(served: ServedFiles) -> None:
    """What is left of it is to fetch them, and it says so."""
    run = replace(RUN, state="partial", predictions=(replace(RUN.predictions[0], open=True),))
    (entry,) = listed([run], {}, served)["runs"]
    assert (entry["state"], entry["open"]) == ("Pictures to fetch", True)


def test_the_same_trouble_is_told_once_in_the_history(served: ServedFiles) -> None:
    """Four predictions that broke alike are one sentence."""
    troubles = tuple(Trouble("It broke.", "no", "", id) for id in "abcd")
    (entry,) = listed([replace(RUN, troubles=troubles)], {}, served)["runs"]
    assert entry["troubles"] == ["It broke. Nothing was charged."]


@pytest.mark.parametrize(("state", "deletable"), [("waiting", False), ("keyless", True), ("failed", True)])
def test_what_does_not_go_on_can_be_deleted(state: Any, deletable: bool, served: ServedFiles) -> None:
    """A run that waits for a key that may never come back is no exception."""
    (entry,) = listed([replace(RUN, state=state)], {}, served)["runs"]
    assert entry["deletable"] is deletable


def test_a_run_that_waits_for_its_key_is_shown_at_rest(served: ServedFiles) -> None:
    """No clock runs, nothing can be stopped, and no cost is made up."""
    view = view_of(replace(RUN, state="keyless", charge=None, charge_source=None), served)
    assert (view["finished"], view["awaited"], view["receipt"]) == (True, 0, ["Pro"])


@pytest.mark.parametrize("preset", [None, "gone"])
def test_a_preset_without_a_name_is_left_out(preset: str | None, served: ServedFiles) -> None:
    """None was chosen, or its file is gone since."""
    (entry,) = listed([replace(RUN, preset=preset)], {"poster": "Poster"}, served)["runs"]
    assert entry["preset"] == ""


def test_the_history_keeps_the_order(served: ServedFiles) -> None:
    """As the runs are handed over: newest first."""
    runs = [replace(RUN, id=str(number)) for number in range(3)]
    assert [entry["id"] for entry in listed(runs, {}, served)["runs"]] == ["0", "1", "2"]


# What is not there any more ---------------------------------------------------------------------------


def test_a_picture_that_is_gone_is_one_run_s_trouble(outputs: Made, served: ServedFiles) -> None:
    """The run is shown with what is left of it and says which one is missing; other runs are shown as ever."""
    one = replace(RUN, outputs=outputs(2))
    one.outputs[1].path.unlink()
    lost = "Picture 2 is no longer on the app's disk."
    view = view_of(one, served)
    assert [picture["number"] for picture in view["pictures"]] == [1]
    assert [trouble["happened"] for trouble in view["troubles"]] == [lost]
    first, second = listed([one, replace(RUN, outputs=one.outputs[:1])], {}, served)["runs"]
    assert (len(first["pictures"]), first["troubles"]) == (1, [lost])
    assert (len(second["pictures"]), second["troubles"]) == (1, [])


def test_a_run_of_a_variant_that_is_gone_stays_readable(outputs: Made, served: ServedFiles) -> None:
    """By the id that it had, in the result, the history, the ZIP and the table; it can't be run again."""
    run = replace(RUN, variant_id="schnell", outputs=outputs(1))
    view = view_of(run, served)
    assert (view["receipt"][0], view["again"], len(view["pictures"])) == ("schnell", None, 1)
    for state in ("completed", "waiting"):
        (entry,) = listed([replace(run, state=state)], {}, served)["runs"]
        assert entry["receipt"][0] == "schnell"
    assert b"schnell" in archive(run) and "schnell" in receipts_csv([run])
