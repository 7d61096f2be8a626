"""Values become checked inputs and a payload, or every problem at once."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.catalog.inputs import Inputs, check, describe, find_problems, find_variant, parse_size, size_for
from core.catalog.limits import MOST_PROBLEMS
from core.catalog.variants import ASPECT_RATIOS, REGISTRY, Parameter, Variant
from core.errors import InputError, Problem

LARGEST_SEED = 2147483647
DRAWN = 4711
VARIANTS = list(REGISTRY.values())

# What each variant may be sent, written down by hand.
COMMON = {"prompt", "images", "guidance_scale", "enable_sync_mode"}
DEV = COMMON | {"seed", "size", "num_inference_steps", "num_images", "output_format", "enable_base64_output"}
COLUMNS = {
    "pro": COMMON | {"seed", "aspect_ratio"},
    "max": COMMON | {"aspect_ratio"},
    "dev": DEV,
    "ultra-fast": DEV | {"enable_safety_checker"},
}

# (name, a variant that has it, what is taken, what is not)
EDGES: list[tuple[str, str, list[Any], list[Any]]] = [
    ("seed", "pro", [-1, 0, 7, 7.0, LARGEST_SEED], [-2, LARGEST_SEED + 1, 1.5, 10**400, -(10**400)]),
    ("guidance_scale", "max", [1, 1.0, 3.55, 20, 20.0], [0, 0.99, 20.01, 21, -3.5, 10**400]),
    ("num_inference_steps", "dev", [1, 28, 50, 50.0], [0, 51, 28.5, -1]),
    ("num_images", "dev", [1, 2, 3, 4, 4.0], [0, 5, 2.5, -1]),
    ("num_images", "pro", [1, 4], [0, 5]),
    ("aspect_ratio", "pro", list(ASPECT_RATIOS), ["5:4", "16 : 9", "", "1:1 ", 1]),
    ("output_format", "ultra-fast", ["jpeg", "png", "webp"], ["jpg", "JPEG", "", 3]),
    (
        "size",
        "dev",
        ["256*256", "1536*1536", "256*1536", "1000*777"],
        ["255*256", "256*255", "1537*1024", "1024*1537", "1024x1024", "1024*", "*", "", " 1024*1024", "-256*256"],
    ),
    ("enable_safety_checker", "ultra-fast", [True, False], [0, 1, "true", ""]),
    ("enable_sync_mode", "pro", [True, False], [1, "false"]),
    ("enable_base64_output", "dev", [True, False], [0, "yes"]),
]
TAKEN = [(name, variant, value) for name, variant, taken, _ in EDGES for value in taken]
REFUSED = [(name, variant, value) for name, variant, _, refused in EDGES for value in refused]
# Of the wrong kind for a number: what a program may send in its place. Nothing here may become a 1 by accident.
NO_NUMBERS = [True, False, "7", "", "seven", math.nan, math.inf, -math.inf, [7], {}, b"7"]
HAVING_NUMBERS = ["seed", "guidance_scale", "num_inference_steps", "num_images"]


def draw() -> int:
    return DRAWN


def never() -> int:
    raise AssertionError("no seed was to be drawn")


def checked(variant_id: str = "dev", references: int = 1, prompt: str = "make it red", **values: Any) -> Inputs:
    return check(variant_id, prompt, references, values, draw)


def problems(variant_id: str = "dev", references: int = 1, prompt: Any = "make it red", **values: Any) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        check(variant_id, prompt, references, values, never)
    return list(caught.value.problems)


# Problems ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "variant_id", "value"), TAKEN)
def test_what_lies_in_range_is_taken(name: str, variant_id: str, value: Any) -> None:
    """Both edges of a range belong to it."""
    assert find_problems(REGISTRY[variant_id], {name: value}) == []


@pytest.mark.parametrize(("name", "variant_id", "value"), REFUSED)
def test_what_lies_outside_is_named(name: str, variant_id: str, value: Any) -> None:
    """One problem, of that parameter, with a whole sentence."""
    (problem,) = problems(variant_id, **{name: value})
    assert problem.parameter == name
    assert problem.message.endswith(".")


@pytest.mark.parametrize("name", HAVING_NUMBERS)
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    """true is not 1, text is not its digits, and neither infinity nor "not a number" is in any range."""
    assert [problem.parameter for problem in problems("dev", **{name: value})] == [name]


@pytest.mark.parametrize("name", ["aspect_ratio", "size", "output_format"])
@pytest.mark.parametrize("value", [True, 1, 1.5, ["1:1"], {"a": 1}, b"jpeg"], ids=repr)
def test_what_is_no_text_is_refused(name: str, value: Any) -> None:
    """Also what can't be looked up in a list of choices."""
    variant_id = "pro" if name == "aspect_ratio" else "dev"
    assert [problem.parameter for problem in problems(variant_id, **{name: value})] == [name]


@pytest.mark.parametrize(
    ("variant_id", "most"), [("pro", 5), ("max", 5), ("dev", 4), ("ultra-fast", 4)], ids=lambda value: str(value)
)
def test_references_are_counted(variant_id: str, most: int) -> None:
    """None and one too many are refused, the first and the last are taken."""
    assert checked(variant_id, 1).reference_count == 1
    assert checked(variant_id, most).reference_count == most
    assert problems(variant_id, 0) == [Problem("images", "There is no reference yet: add at least one picture.")]
    (problem,) = problems(variant_id, most + 1)
    assert problem.parameter == "images"
    assert problem.message.startswith(
        f"{REGISTRY[variant_id].name} takes at most {most} references; there are {most + 1}."
    )


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", None, 7, ["text"]], ids=repr)
def test_an_empty_prompt_is_refused(prompt: Any) -> None:
    """Blanks are no prompt, and nothing but text is."""
    assert [problem.parameter for problem in problems(prompt=prompt)] == ["prompt"]


def test_every_problem_is_told_at_once() -> None:
    """Nobody mends one thing only to be told of the next."""
    found = problems("dev", 5, " ", seed=-2, guidance_scale=0, size="1*1", output_format="gif", colour="red")
    named = [problem.parameter for problem in found]
    assert named == ["images", "prompt", "seed", "guidance_scale", "size", "output_format", "colour"]


def test_the_error_says_all_of_it_in_one_go() -> None:
    """The sentences one after another, and that nothing was charged."""
    with pytest.raises(InputError) as caught:
        check("pro", "", 0, {}, never)
    told = str(caught.value)
    assert told.startswith("There is no reference yet: add at least one picture. The prompt is empty.")
    assert told.endswith("Nothing was charged.")
    assert caught.value.charged == "no"


@pytest.mark.parametrize(
    ("variant_id", "name"),
    [("max", "seed"), ("pro", "size"), ("pro", "enable_safety_checker"), ("dev", "aspect_ratio"), ("dev", "Seed")],
)
def test_what_the_variant_lacks_is_refused(variant_id: str, name: str) -> None:
    """The service would drop it without a word, and bill the run; the message lists what there is instead."""
    (problem,) = problems(variant_id, **{name: 1})
    assert problem.parameter == name
    head, _, listed = problem.message.removesuffix(".").partition(" It takes ")
    assert head == f"{REGISTRY[variant_id].name} has no {name!r}."
    assert sorted(listed.split(", ")) == sorted((COLUMNS[variant_id] - {"prompt", "images"}) | {"num_images"})


def test_a_prompt_has_a_limit() -> None:
    """4,000 characters are taken, and of one more the sentence says how many are too many."""
    assert problems(prompt="x" * 4001) == [
        Problem("prompt", "The prompt is 1 character over the limit of 4,000. Shorten it.")
    ]
    assert checked(prompt="x" * 4000).prompt == "x" * 4000


def test_very_many_problems_are_not_all_named() -> None:
    """A hundred thousand made-up parameters get a refusal that can still be read."""
    assert len(problems(**{f"made_up_{n}": 1 for n in range(100_000)})) == MOST_PROBLEMS


@pytest.mark.parametrize("name", ["prompt", "images"])
def test_prompt_and_references_are_no_values(name: str) -> None:
    """They come by their own way; a second one by this would win over the checked one."""
    (problem,) = find_problems(REGISTRY["pro"], {name: "x"})
    assert problem.message.startswith(f"Pro has no {name!r}.")


def test_a_long_name_does_not_bury_the_message() -> None:
    """A name comes from outside and is shown shortened."""
    (problem,) = problems("pro", **{"x" * 5000: 1})
    assert len(problem.message) < 300


def test_nothing_is_not_a_problem() -> None:
    """None means "not given", whatever the parameter."""
    assert find_problems(REGISTRY["pro"], {"seed": None, "aspect_ratio": None}) == []
    assert checked("pro", seed=None, aspect_ratio=None, guidance_scale=None).values == {"guidance_scale": 3.5}


@pytest.mark.parametrize(
    "variant_id", ["", "PRO", "wavespeed-ai/flux-kontext-pro/multi", None, 7, ["pro"], {}], ids=repr
)
def test_an_unknown_variant_is_refused(variant_id: Any) -> None:
    """With the four there are."""
    with pytest.raises(InputError) as caught:
        find_variant(variant_id)
    (problem,) = caught.value.problems
    assert problem == Problem("variant_id", "There is no such variant. Choose one of pro, max, dev, ultra-fast.")


def row(kind: Any, **facts: Any) -> Parameter:
    return Parameter("strength", kind, "Strength", "How strong.", **facts)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (row("integer", minimum=3, maximum=9), "a whole number from 3 to 9"),
        (row("number", minimum=0.5, maximum=2), "a number from 0.5 to 2"),
        (row("choice", choices=("low", "high")), "one of low, high"),
        (row("size", minimum=8, maximum=64), 'width*height such as "1024*768", each from 8 to 64 pixels'),
        (row("boolean"), "true or false"),
        (row("references", minimum=1, maximum=3), "1 to 3 pictures"),
        (row("text", maximum=4000), "text of at most 4,000 characters"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_message_comes_from_its_row(parameter: Parameter, words: str) -> None:
    """Another range in the row is another range in the check and in the message, with no second place to change."""
    assert describe(parameter) == words
    variant = Variant("new", "a/b", "New", "", "image", VARIANTS[0].price, None, (parameter,))
    (problem,) = find_problems(variant, {"strength": object()})
    assert problem == Problem("strength", f"Strength (strength) must be {words}.")


def test_a_range_comes_from_its_row() -> None:
    """A fifth variant with a range of its own is checked by that range."""
    variant = Variant("new", "a/b", "New", "", "image", VARIANTS[0].price, None, (row("number", minimum=3, maximum=9),))
    assert [bool(find_problems(variant, {"strength": value})) for value in (2.9, 3, 9, 9.1)] == [
        True,
        False,
        False,
        True,
    ]


# What is sent -----------------------------------------------------------------------------------------

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.just([]),
    st.sampled_from(ASPECT_RATIOS),
)
names = st.one_of(st.sampled_from(sorted(set().union(*COLUMNS.values()) | {"width", "strength"})), st.text(max_size=9))
good = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.none() | st.integers(-1, LARGEST_SEED),
        "guidance_scale": st.none() | st.floats(1, 20),
        "num_images": st.none() | st.integers(1, 4),
        "num_inference_steps": st.integers(1, 50),
        "size": st.tuples(st.integers(256, 1536), st.integers(256, 1536)).map("{0[0]}*{0[1]}".format),
        "aspect_ratio": st.none() | st.sampled_from(ASPECT_RATIOS),
        "output_format": st.sampled_from(["jpeg", "png", "webp"]),
        "enable_safety_checker": st.booleans(),
        "enable_base64_output": st.booleans(),
        "enable_sync_mode": st.booleans(),
    },
)


@given(st.sampled_from(VARIANTS), good)
def test_nothing_is_sent_that_the_variant_lacks(variant: Variant, values: dict[str, Any]) -> None:
    """Whatever is asked for, a payload has keys of the variant's column alone, and what was asked for is in it."""
    column = COLUMNS[variant.id]
    asked = {name: value for name, value in values.items() if name in column or name == "num_images"}
    inputs = check(variant.id, "x", 1, asked, draw)
    bodies = [inputs.payload(["https://a/1"], seed) for seed in inputs.seeds]
    assert all(body.keys() <= column for body in bodies)
    kept = {name: value for name, value in asked.items() if value is not None and name in column - {"seed"}}
    assert kept.items() <= bodies[0].items()
    assert sum(body.get("num_images", 1) for body in bodies) == (values.get("num_images") or 1)


@given(st.sampled_from(VARIANTS), st.dictionaries(names, anything, max_size=6))
def test_whatever_comes_is_sent_or_refused(variant: Variant, values: dict[str, Any]) -> None:
    """Random values end in a payload that holds, or in InputError with a problem each: nothing else is raised."""
    try:
        inputs = check(variant.id, "x", 1, values, draw)
    except InputError as error:
        given_names = {name for name, value in values.items() if value is not None}
        assert {problem.parameter for problem in error.problems} <= given_names
        assert len(error.problems) == len({problem.parameter for problem in error.problems})
    else:
        body = inputs.payload(["https://a/1"], inputs.seeds[0])
        assert body.keys() <= COLUMNS[variant.id]
        json.dumps(body, allow_nan=False)


@pytest.mark.parametrize(
    ("variant_id", "sent"),
    [
        ("pro", {"guidance_scale": 3.5, "seed": DRAWN}),
        ("max", {"guidance_scale": 3.5}),
        (
            "dev",
            {
                "guidance_scale": 2.5,
                "num_inference_steps": 28,
                "output_format": "jpeg",
                "seed": DRAWN,
                "num_images": 1,
            },
        ),
        (
            "ultra-fast",
            {
                "guidance_scale": 2.5,
                "num_inference_steps": 28,
                "output_format": "jpeg",
                "enable_safety_checker": True,
                "seed": DRAWN,
                "num_images": 1,
            },
        ),
    ],
)
def test_defaults_go_along(variant_id: str, sent: dict[str, Any]) -> None:
    """A run does not depend on what the service holds for its defaults; how the answer travels stays unsaid."""
    inputs = checked(variant_id, 2)
    urls = ["https://a/1", "https://a/2"]
    assert inputs.payload(urls, inputs.seeds[0]) == {"prompt": "make it red", "images": urls, **sent}


def test_the_prompt_is_sent_without_blanks_around_it() -> None:
    """What stands inside it stays, line by line."""
    assert checked(prompt="  two\n  lines \n").prompt == "two\n  lines"


@pytest.mark.parametrize(("variant_id", "predictions"), [("pro", 3), ("max", 3), ("dev", 1), ("ultra-fast", 1)])
def test_pictures_are_counted_for_every_variant(variant_id: str, predictions: int) -> None:
    """pro and max are sent one submit a picture and never `num_images`; dev and ultra-fast one submit with it."""
    inputs = checked(variant_id, num_images=3)
    assert inputs.pictures == 3
    assert len(inputs.seeds) == predictions
    body = inputs.payload([], inputs.seeds[0])
    assert body.get("num_images") == (3 if predictions == 1 else None)


def test_a_whole_number_is_sent_as_one() -> None:
    """A control's 28.0 goes out as 28, which an integer parameter takes."""
    body = checked("dev", num_inference_steps=28.0, num_images=2.0, seed=7.0).payload([], 7)
    sent = [body["num_inference_steps"], body["num_images"], checked("dev", seed=7.0).seed]
    assert json.dumps(sent) == "[28, 2, 7]"


# Seeds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant_id", ["pro", "dev", "ultra-fast"])
@pytest.mark.parametrize("asked", [{}, {"seed": None}, {"seed": -1}], ids=repr)
def test_a_seed_that_is_not_given_is_drawn(variant_id: str, asked: dict[str, Any]) -> None:
    """Drawn on our side, kept and sent: the service never says which one it drew."""
    inputs = checked(variant_id, **asked)
    assert inputs.seed == DRAWN
    assert inputs.seeds[0] == DRAWN
    assert inputs.payload([], inputs.seeds[0])["seed"] == DRAWN


@pytest.mark.parametrize("seed", [0, 7, LARGEST_SEED])
def test_a_seed_that_is_given_is_used(seed: int) -> None:
    """Nothing is drawn then; 0 is a seed like any other."""
    assert check("pro", "x", 1, {"seed": seed}, never).seed == seed


def test_max_has_no_seed() -> None:
    """None is drawn, none is kept and none is sent, however many pictures."""
    inputs = check("max", "x", 1, {"num_images": 2}, never)
    assert inputs.seed is None
    assert inputs.seeds == (None, None)
    assert "seed" not in inputs.payload([], None)


@pytest.mark.parametrize(
    ("seed", "pictures", "seeds"),
    [
        (7, 1, (7,)),
        (7, 4, (7, 8, 9, 10)),
        (0, 2, (0, 1)),
        (LARGEST_SEED, 1, (LARGEST_SEED,)),
        (LARGEST_SEED - 1, 4, (LARGEST_SEED - 1, LARGEST_SEED, 0, 1)),
    ],
)
def test_each_prediction_has_a_seed_of_its_own(seed: int, pictures: int, seeds: tuple[int, ...]) -> None:
    """seed, seed+1, … and past the largest on from 0: the same seed twice would be the same picture, paid twice."""
    assert checked("pro", seed=seed, num_images=pictures).seeds == seeds


def test_a_seed_left_to_the_service_stays_so() -> None:
    """-1 is no number to count on from: where it is to be shown as it is, every prediction has it."""
    assert check("pro", "x", 1, {"num_images": 3}, lambda: -1).seeds == (-1, -1, -1)


def test_one_prediction_has_one_seed() -> None:
    """dev makes several pictures from one."""
    assert checked("dev", seed=7, num_images=4).seeds == (7,)


# Sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", ASPECT_RATIOS)
def test_a_shape_has_a_size(ratio: str) -> None:
    """Both edges within the range and multiples of 16, the shape kept to 3 %, about one megapixel."""
    width, height = (int(edge) for edge in size_for(ratio).split("*"))
    across, down = (int(part) for part in ratio.split(":"))
    assert 256 <= width <= 1536 and 256 <= height <= 1536
    assert width % 16 == height % 16 == 0
    assert width / height == pytest.approx(across / down, rel=0.03)
    assert width * height == pytest.approx(1024 * 1024, rel=0.05)
    assert find_problems(REGISTRY["dev"], {"size": size_for(ratio)}) == []


def test_a_shape_turned_is_a_size_turned() -> None:
    """16:9 and 9:16 are the same picture format, lying and standing; a square is a square."""
    assert size_for("1:1") == "1024*1024"
    for ratio in ASPECT_RATIOS:
        turned = ":".join(reversed(ratio.split(":")))
        assert size_for(turned) == "*".join(reversed(size_for(ratio).split("*")))


def test_no_two_shapes_share_a_size() -> None:
    """So that a size tells its shape again when a run's inputs come back."""
    assert len({size_for(ratio) for ratio in ASPECT_RATIOS}) == len(ASPECT_RATIOS)


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("1024*768", (1024, 768)),
        ("1*99999", (1, 99999)),
        ("0*0", (0, 0)),
        ("1024x768", None),
        ("1024*768 ", None),
        ("1024*768\n", None),
        ("1024.0*768", None),
        ("-1*5", None),
        ("*", None),
        ("1*2*3", None),
        ("", None),
        ("100000*1", None),
        ("١٢٨*256", None),
    ],
)
def test_a_size_is_read(text: str, edges: tuple[int, int] | None) -> None:
    """Two whole numbers of plain digits around a star, and nothing else."""
    assert parse_size(text) == edges


@given(st.integers(0, 99999), st.integers(0, 99999))
def test_every_size_written_is_read(width: int, height: int) -> None:
    """Written and read, it is the same."""
    assert parse_size(f"{width}*{height}") == (width, height)
