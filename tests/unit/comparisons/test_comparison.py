"""A comparison: what it will make, what it says, what it costs, and that it is runs and nothing else."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from running import KEY, Forward, Held, House, another_reference, answer

from core.access.budget import Budget
from core.catalog.estimate import MICRO, in_micros
from core.catalog.variants import REGISTRY
from core.comparisons.comparison import MOST_RUNS, Plan, again, plan, start
from core.errors import BudgetError, InputError, KontextError
from core.ledger.run import Cell, Run
from core.pictures.recipe import to_json
from core.runs import files
from core.runs.quotes import REMEMBERED
from core.runs.runtime import Timeouts
from sandbox.server.rules import MODELS

pytestmark = [pytest.mark.anyio, pytest.mark.both(soak=True)]

ALL = list(REGISTRY)
PROMPT = "Put the cup from image 1 on the table from image 2"
LEAVE_ONE_OUT = {"leave_one_out": True}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data")
    yield house
    await house.aclose()


def planned(variants: Any = ALL, references: int = 2, prompt: Any = PROMPT, **values: Any) -> Plan:
    return plan(prompt, references, variants, values, lambda: 4711)


def places(made: Plan) -> list[tuple[str, int | None, int | None]]:
    """Variant, seed and what is left out of each cell."""
    return [(cell.inputs.variant.id, cell.inputs.seed, cell.left_out) for cell in made.cells]


# what it will make


def test_variants_alone() -> None:
    """A cell for each; those that have a seed share one, and who lacks what was asked for is said once."""
    made = planned(size="512*512", num_images=2)
    assert places(made) == [("pro", 4711, None), ("max", None, None), ("dev", 4711, None), ("ultra-fast", 4711, None)]
    assert ["size" in inputs.values for inputs in made.inputs] == [False, False, True, True]
    assert {inputs.pictures for inputs in made.inputs} == {2}
    assert made.notes == ("Max has no seed.", "Pro and Max have no size.")
    assert {seed for _, seed, _ in places(planned(seed=7))} == {7, None}


def test_seeds() -> None:
    """Each seed for each variant; one without seeds stays out, and says so. -1 is a seed that is drawn."""
    made = planned(["pro", "max", "dev"], seeds=[7, 8, -1])
    assert places(made) == [(id, seed, None) for id in ("pro", "dev") for seed in (7, 8, 4711)]
    assert made.notes == ("Max is left out: it has no seed.",)


def test_wordings() -> None:
    """Each wording with the same seed; they take the prompt's place, which is said where it is another one."""
    made = planned(["dev", "max"], prompt="", prompts=["a red cup", " a blue cup "])
    assert [(inputs.variant.id, inputs.prompt, inputs.seed) for inputs in made.inputs] == [
        ("dev", "a red cup", 4711),
        ("dev", "a blue cup", 4711),
        ("max", "a red cup", None),
        ("max", "a blue cup", None),
    ]
    notes = [planned(["dev"], prompt=prompt, prompts=["a cup", "a mug"]).notes for prompt in ("a cup ", None, "a jug")]
    assert notes == [(), (), ("The wordings are used in place of the prompt.",)]


def test_a_shape_said_both_ways_is_lacked_by_nobody() -> None:
    """Where the same shape comes as a ratio and as a size, each variant has the one that it takes."""
    assert planned(["pro", "dev"], aspect_ratio="1:1", size="1024*1024").notes == ()
    assert planned(["pro", "dev"], size="1024*1024").notes == ("Pro has no size.",)


def test_seeds_that_would_make_a_picture_twice() -> None:
    """Where each picture is a prediction the seeds that follow are taken too; where one makes them all, they aren't."""
    for variants, seeds, pictures in ((["pro"], [7, 9], 2), (["pro"], [7, 8], 1), (["dev"], [7, 8], 4)):
        made = planned(variants, seeds=seeds, num_images=pictures)
        assert len({seed for inputs in made.inputs for seed in inputs.seeds}) == sum(len(i.seeds) for i in made.inputs)
    with pytest.raises(InputError, match=r"Seeds 9 and 7 are too close: 3 pictures .* Leave 3 or more between them\."):
        planned(["dev", "pro"], seeds=[9, 7], num_images=3)
    with pytest.raises(InputError, match="Seeds 2147483647 and 0 are too close"):
        planned(["pro"], seeds=[2147483647, 0], num_images=2)


def test_leave_one_out() -> None:
    """The whole, each reference left out, and the whole with another seed that no picture of the first has; the prompt
    goes on to mean the same pictures.
    """
    made = planned(["pro"], 3, PROMPT + ", in the light of image 3", seed=2147483645, num_images=4, **LEAVE_ONE_OUT)
    (whole, *others, luck) = made.cells
    assert [cell.left_out for cell in made.cells] == [None, 1, 2, 3, None]
    assert [inputs.reference_count for inputs in made.inputs] == [3, 2, 2, 2, 3]
    assert not set(whole.inputs.seeds) & set(luck.inputs.seeds)
    assert {cell.inputs.seed for cell in others} == {2147483645}
    assert others[0].inputs.prompt == "Put the cup from image 3 on the table from image 1, in the light of image 2"
    assert len(planned(references=4, **LEAVE_ONE_OUT).cells) == 24
    assert planned(["pro", "dev"], 5, **LEAVE_ONE_OUT).notes == (
        "Dev is left out: it takes at most 4 references; there are 5.",
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"variants": []}, "Choose the variants to compare."),
        ({"variants": ["pro"] * 5}, "Name the variants as a list, each once: pro, max, dev, ultra-fast."),
        ({"variants": "pro"}, "Name the variants as a list"),
        ({"variants": None}, "Name the variants as a list"),
        ({"variants": ["pro", "pro"]}, "A variant is named twice."),
        ({"variants": ["pro", "nano", 7]}, "There is no such variant. Choose one of pro, max, dev, ultra-fast."),
        ({"variants": ["pro"]}, "There is nothing to compare. Choose another variant, or compare seeds or wordings."),
        ({"variants": ["max"], "seeds": [1, 2]}, "There is nothing to compare. Max is left out: it has no seed."),
        ({"variants": ["pro", "dev"], "references": 5}, "Dev is left out: it takes at most 4 references; there are 5."),
        ({"references": 6}, "Pro takes at most 5 references; there are 6."),
        ({"references": 0}, "There is no reference yet"),
        ({"prompt": " "}, "The prompt is empty"),
        ({"prompt": None}, "The prompt is empty"),
        ({"prompts": ["a cup", ""]}, "The prompt is empty"),
        ({"prompts": ["a cup", 7]}, "The prompt is empty"),
        ({"prompts": ["a cup"]}, "prompts must be a list of 2 to 4."),
        ({"prompts": "a cup"}, "prompts must be a list of 2 to 4."),
        ({"prompts": ["a cup", "a cup "]}, "All wordings must differ."),
        ({"prompts": ["a cup", "x" * 4012]}, "The prompt is 12 characters over the limit"),
        ({"seeds": [1]}, "seeds must be a list of 2 to 4."),
        ({"seeds": [1, 2, 3, 4, 5]}, "seeds must be a list of 2 to 4."),
        ({"seeds": {}}, "seeds must be a list of 2 to 4."),
        ({"seeds": [1, 1.0]}, "All seeds must differ."),
        ({"seeds": [1, "2"]}, "Seed (seed) must be a whole number"),
        ({"seeds": [1, 2**31]}, "Seed (seed) must be a whole number"),
        ({"seeds": [1, [2]]}, "Seed (seed) must be a whole number"),
        ({"seeds": [1, 2], "seed": 7}, "Give a seed or seeds, not both."),
        ({"seeds": [1, 2], "prompts": ["a", "b"]}, "Only one of seeds, prompts, leave_one_out"),
        ({"leave_one_out": 1}, "leave_one_out must be true or false."),
        ({"leave_one_out": True, "references": 1}, "Leaving one out needs 2 to 5 references."),
        ({"leave_one_out": True, "references": 100_000}, "Leaving one out needs 2 to 5 references."),
        ({"colour": "red"}, "None of these variants has 'colour'."),
        ({"images": ["x"]}, "None of these variants has 'images'."),
        ({"variants": ["pro", "max"], "size": "512*512"}, "None of these variants has 'size'."),
        ({"size": "1*1"}, "Size (size) must be"),
        ({"num_images": 5}, "num_images"),
        ({"enable_safety_checker": 0}, "enable_safety_checker"),
    ],
)
def test_bad_input_is_named(asked: dict[str, Any], said: str) -> None:
    """Each kind has a sentence of its own, once."""
    with pytest.raises(InputError) as refusal:
        planned(**asked)
    assert str(refusal.value).count(said) == 1


def test_all_problems_at_once() -> None:
    """Whoever asks learns of every problem together."""
    with pytest.raises(InputError) as refusal:
        planned(["pro", "nope"], 0, "", seeds=[1], guidance_scale=99, colour="red")
    for said in ("no such variant", "no reference", "is empty", "seeds must", "guidance_scale", "'colour'"):
        assert said in str(refusal.value)


def test_what_is_false_or_not_given_is_no_axis() -> None:
    """A false leave_one_out is none, and a parameter may be false."""
    made = planned(["dev", "ultra-fast"], leave_one_out=False, seeds=None, enable_safety_checker=False)
    assert len(made.cells) == 2
    assert made.inputs[1].values["enable_safety_checker"] is False


# runs and nothing else


async def begun(
    house: House, made: Plan, colours: str = "red blue", confirmed: Decimal | None = None
) -> tuple[str, list[Run]]:
    references = [another_reference(house.folder, colour) for colour in colours.split()]
    return await start(house.runs, "ann", house.account, made, references, confirmed=confirmed)


async def test_each_cell_is_a_run_with_a_place(house: House) -> None:
    """Found together and in the history, each with its own references and its place, after a restart as well."""
    comparison_id, runs = await begun(house, planned(["pro", "max"], **LEAVE_ONE_OUT))
    ended = [await house.end_of(run) for run in runs]
    assert [run.state for run in ended] == ["completed"] * 8
    assert [run.cell for run in ended] == [
        Cell(comparison_id, "leave_one_out", row, left_out)
        for _ in ("pro", "max")
        for row, left_out in enumerate((None, 1, 2, None))
    ]
    hashes = [[reference.sha256 for reference in run.references] for run in ended]
    assert hashes[1:4] == [hashes[0][1:], hashes[0][:1], hashes[0]]
    await house.kill()
    found = await house.runs.comparison("ann", comparison_id)
    assert {run.id for run in found} == {run.id for run in runs} == {run.id for run in await house.runs.list_for("ann")}
    assert await house.runs.comparison("bob", comparison_id) == []
    assert house.wire.seen["upload"] == 2


async def test_a_refused_comparison_leaves_nothing(tmp_path: Path) -> None:
    """A cap that has room for all cells but one lets none through; nothing goes out, and no file is left."""
    made = planned(["pro", "dev"], seeds=[1, 2, 3])
    house = House(tmp_path / "data", budget=Budget(visitor=Decimal("0.20")))
    with pytest.raises(BudgetError, match=r"would cost \$0\.21"):
        await house.runs.consider("ann", house.account, *made.inputs)
    with pytest.raises(BudgetError):
        await begun(house, made)
    assert (await house.runs.list_for("ann"), house.spent(), files.runs_in(house.folder)) == ([], 0, [])
    assert set(house.wire.seen) == {"quote"}  # free, so that the budget is asked for what it would really cost
    await house.aclose()


async def test_a_failed_cell_stays_alone_and_is_made_again(house: House) -> None:
    """The other is there; the failed one is made once more with the very same inputs in the same place, for its own
    price. What goes on, and what is no cell, or another's, is refused.
    """
    house.wire.faults["submit"].append(answer(400, "no"))
    comparison_id, runs = await begun(house, planned(["pro", "dev"], size="512*512"))
    ended = [await house.end_of(run) for run in runs]
    (failed,) = (run for run in ended if run.state != "completed")
    spent = house.spent()
    held = Held()
    house.wire.faults["submit"].append(held)
    made = await again(house.runs, "ann", house.account, failed.id)
    with pytest.raises(KontextError, match="still being made"):
        await again(house.runs, "ann", house.account, made.id)
    held.go.set()
    done = await house.end_of(made)
    assert (done.state, done.id in {run.id for run in runs}) == ("completed", False)
    assert (done.cell, done.recipe) == (failed.cell, failed.recipe)
    assert house.spent() - spent == done.estimate
    assert (await house.runs.comparison("ann", comparison_id))[0].id == done.id
    alone = await house.run()
    for visitor, run_id in (("bob", failed.id), ("ann", alone.id), ("ann", "none")):
        with pytest.raises(KontextError, match="not part of a comparison"):
            await again(house.runs, visitor, house.account, run_id)


async def test_a_comparison_does_not_grow_without_end(house: House) -> None:
    """Whoever opens the history reads all of its runs, so a cell is not made again for ever; nothing is sent then."""
    house.wire.always["submit"] = answer(400, "no")
    _, runs = await begun(house, planned([*REGISTRY], prompts=["a", "b", "c", "d"]))
    ended = [await house.end_of(run) for run in runs]
    for _ in range(MOST_RUNS - len(runs)):
        await house.end_of(await again(house.runs, "ann", house.account, ended[0].id))
    sent = house.wire.seen["submit"]
    with pytest.raises(KontextError, match=f"has {MOST_RUNS} runs already"):
        await again(house.runs, "ann", house.account, ended[1].id)
    assert house.wire.seen["submit"] == sent


async def test_a_comparison_starves_nobody(tmp_path: Path) -> None:
    """Where the service takes one at a time, a single run pressed after six cells is the second or third to be sent."""
    house = House(tmp_path / "data", at_once=1)
    held = Held()
    house.wire.faults["submit"].append(held)
    _, runs = await begun(house, planned(["pro", "dev", "ultra-fast"], seeds=[1, 2]))
    await held.reached.wait()
    alone = await house.press(prompt="alone")
    await house.until(alone, lambda run: "in line" in run.notice)
    held.go.set()
    for run in (*runs, alone):
        assert (await house.end_of(run)).state == "completed"
    prompts = [prediction.inputs["prompt"] for prediction in reversed(await house.created())]
    assert prompts.index("alone") in (1, 2)
    await house.aclose()


async def test_no_recipe_tells_of_other_cells(house: House) -> None:
    """A cell's recipe is that of a run alone: its own inputs; no other wording, and no picture that is left out."""
    _, runs = await begun(house, planned(["pro", "dev"], seed=7))
    alone = await house.press("pro", prompt=PROMPT, references=list(runs[0].references), seed=7)
    assert runs[0].recipe == alone.recipe
    _, worded = await begun(house, planned(["pro"], prompts=["a red cup", "a blue cup"]))
    comparison_id, left_out = await begun(house, planned(["pro"], **LEAVE_ONE_OUT))
    assert [run.recipe.prompt for run in worded] == ["a red cup", "a blue cup"]
    assert "red" not in to_json(worded[1].recipe)
    hashes = [reference.sha256 for reference in left_out[0].references]
    assert [(hash in to_json(run.recipe)) for run in left_out[1:3] for hash in hashes] == [False, True, True, False]
    assert not any(comparison_id in to_json(run.recipe) for run in left_out)
    for run in (*runs, alone, *worded, *left_out):
        await house.end_of(run)


async def test_where_one_price_is_not_confirmed_nothing_of_it_is_sent(tmp_path: Path) -> None:
    """Where prices must be confirmed and one is not, all cells are refused; elsewhere the list's price will do."""
    house = House(tmp_path / "data", hosted=True)

    async def silent_on_dev(request: httpx.Request, forward: Forward) -> httpx.Response:
        return httpx.Response(404) if b"kontext-dev" in request.content else await forward(request)

    house.wire.always["quote"] = silent_on_dev
    with pytest.raises(KontextError, match="can't be confirmed"):
        await begun(house, planned(["pro", "dev"]))
    assert (await house.runs.list_for("ann"), house.wire.seen["submit"], house.spent()) == ([], 0, 0)
    await house.aclose()
    house = House(tmp_path / "own")
    house.wire.always["quote"] = silent_on_dev
    _, runs = await begun(house, planned(["pro", "dev"]))
    assert [(await house.end_of(run)).state for run in runs] == ["completed"] * 2
    await house.aclose()


async def test_a_price_that_is_told_late_refuses_all_or_none(tmp_path: Path) -> None:
    """However long one price takes, the press waits for it: what asks more than the list takes the other with it."""
    house, held = House(tmp_path / "data", timeouts=Timeouts(optional_wait=0, quote=60)), Held()

    async def slow_and_dear_on_dev(request: httpx.Request, forward: Forward) -> httpx.Response:
        if b"kontext-dev" not in request.content:
            return await forward(request)
        await held(request, forward)  # for as long as it takes
        return httpx.Response(200, json={"code": 200, "data": {"price": 0.05}})

    house.wire.always["quote"] = slow_and_dear_on_dev
    pressed = asyncio.create_task(begun(house, planned(["pro", "dev"])))
    await held.reached.wait()
    await asyncio.wait({pressed}, timeout=0.1)  # it would have been made by then
    held.go.set()
    with pytest.raises(KontextError, match=r"now \$0\.09, not \$0\.07"):
        await pressed
    assert (await house.runs.list_for("ann"), house.wire.seen["submit"]) == ([], 0)
    await house.aclose()


async def test_where_one_price_rose_nothing_of_it_is_sent(tmp_path: Path) -> None:
    """More than the total that was shown is a refusal of all cells; confirmed at the new total, all are made."""
    house = House(tmp_path / "data", key="wsk_rising")
    await house.runs.ask_prices(house.account, 1)
    house.time.now += REMEMBERED
    made = planned(["pro", "max"])
    with pytest.raises(KontextError, match=r"\$0\.15, not \$0\.12"):
        await begun(house, made, confirmed=Decimal("0.12"))
    assert (await house.runs.list_for("ann"), house.wire.seen["submit"]) == ([], 0)
    _, runs = await begun(house, made, confirmed=Decimal("0.15"))
    assert [(await house.end_of(run)).charge for run in runs] == [Decimal("0.05"), Decimal("0.10")]
    await house.aclose()


# the sum

AXES: list[dict[str, Any]] = [{}, {"seeds": [1, 5]}, {"prompts": ["a red cup", "a blue cup"]}, LEAVE_ONE_OUT]
SHARE = {KEY: Decimal(1), "wsk_discount": Decimal("0.8")}  # of the list's prices, that an account pays
CHOICES = [list(some) for count in range(1, len(ALL) + 1) for some in itertools.combinations(ALL, count)]


@pytest.mark.parametrize("key", SHARE)
async def test_every_sum_shown_is_what_the_service_asks(tmp_path: Path, key: str) -> None:
    """For all variants, axes and pictures, by the service's own rules: at the list's prices and at 20 % off."""
    house, seen = House(tmp_path / "data", key=key), 0
    for pictures, variants, axis in itertools.product((1, 2, 3, 4), CHOICES, AXES):
        with suppress(InputError):
            made = planned(variants, num_images=pictures, **axis)
            assert await shown(house, made) == asked_for(made) * SHARE[key]
            seen += 1
    assert seen > 180
    assert house.wire.seen["quote"] == 10
    await house.aclose()


@pytest.mark.sqlite
@settings(max_examples=6)
@given(st.sampled_from(CHOICES[4:]), st.sampled_from(AXES), st.sampled_from([*SHARE]))
def test_the_sum_shown_is_what_is_charged(variants: list[str], axis: dict[str, Any], key: str) -> None:
    """What is shown, confirmed, reserved, charged and billed is one amount, to the tenth of a cent."""
    try:
        made = planned(variants, num_images=2, **axis)
    except InputError:
        assume(False)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sandbox.server.tasks.render", lambda prediction: [TINY] * pictures_of(prediction))
        amounts = asyncio.run(paid(Path(folder), key, made))
    assert amounts == {asked_for(made) * SHARE[key]}


async def shown(house: House, made: Plan) -> Decimal:
    """The total that the page shows beside Generate."""
    pictures = made.inputs[0].pictures
    await house.runs.ask_prices(house.account, pictures)
    micros = {id: in_micros(unit) for id, unit in house.runs.prices(house.account, pictures).items()}
    return sum((MICRO * micros[one.variant.id] * one.pictures for one in made.inputs), Decimal(0))


def asked_for(made: Plan) -> Decimal:
    """What all submits of these cost by the service's list."""
    costs = [MODELS[one.variant.model_id].cost(one.payload([], seed)) for one in made.inputs for seed in one.seeds]
    return sum(costs, Decimal(0))


async def paid(folder: Path, key: str, made: Plan) -> set[Decimal]:
    """The amounts that there are of one comparison: the one shown, and each that follows of it."""
    house = House(folder, key=key)
    confirmed = await shown(house, made)
    _, runs = await begun(house, made, confirmed=confirmed)
    reserved = house.spent()
    ended = [await house.end_of(run) for run in runs]
    assert {run.state for run in ended} == {"completed"}
    amounts = {confirmed, reserved, house.spent(), await house.billed(), sum(run.estimate for run in ended)}
    await house.aclose()
    return {*amounts, sum(run.charge or Decimal(0) for run in ended)}  # type: ignore[arg-type]


def pictures_of(prediction: Any) -> int:
    return int(prediction.inputs.get("num_images", 1))


def tiny() -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), "teal").save(file, "PNG")
    return file.getvalue()


TINY = tiny()
