"""A comparison as programs make it: with gradio_client over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from studio import CAT, GRASS, Studio

from core.catalog.variants import REGISTRY

ALL = list(REGISTRY)


@pytest.fixture(scope="module")
def client(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Client:
    studio.take_turn()
    return Client(studio.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


def compare(client: Client, variant_ids: Any, *rest: Any, **other: Any) -> dict[str, Any]:
    prompt = other.get("prompt", "A cat on the grass, compared")
    files = other.get("images", [handle_file(CAT), handle_file(GRASS)])
    return dict(client.predict(prompt, files, variant_ids, *rest, api_name="/compare"))


def test_four_variants(client: Client, studio: Studio) -> None:
    """One call brings a picture of each, their seeds, one sum, and a note of who lacks what."""
    before = studio.runs
    answer = compare(client, ALL)
    assert [cell["variant_id"] for cell in answer["cells"]] == ALL
    assert studio.runs == before + 4
    for cell in answer["cells"]:
        assert (cell["run"]["status"], cell["left_out"]) == ("completed", None)
        assert cell["prompt"] == "A cat on the grass, compared"
        (output,) = cell["run"]["outputs"]
        with Image.open(Path(output if isinstance(output, str) else output["path"])) as picture:
            picture.load()
    assert len({cell["seed"] for cell in answer["cells"]}) == 2  # one for all that have one, and none
    assert answer["estimate_usd"] == answer["charge_usd"] == float(sum(row.price for row in REGISTRY.values()))
    assert answer["notes"] == ["Max has no seed."]
    rows = studio.rows("SELECT id FROM runs WHERE comparison_id = ?", answer["comparison_id"])
    assert {row["id"] for row in rows} == {cell["run"]["run_id"] for cell in answer["cells"]}


def test_a_second_axis(client: Client) -> None:
    """Seeds, and references left out one at a time; both run the same way as a run alone."""
    answer = compare(client, ["ultra-fast", "max"], {"seeds": [7, 8], "size": "256*256"}, "")
    assert [(cell["variant_id"], cell["seed"]) for cell in answer["cells"]] == [("ultra-fast", 7), ("ultra-fast", 8)]
    assert answer["notes"] == ["Max is left out: it has no seed."]
    answer = compare(client, ["dev"], {"leave_one_out": True, "size": "256*256", "seed": 7})
    assert [cell["left_out"] for cell in answer["cells"]] == [None, 1, 2, None]
    assert [cell["run"]["predictions"][0]["seed"] for cell in answer["cells"]] == [7, 7, 7, 11]


def test_a_cell_that_fails_takes_no_other_with_it(client: Client) -> None:
    """It is reported in its place, and costs nothing."""
    answer = compare(client, ["ultra-fast"], {"prompts": ["A cat", "A cat [sandbox:failed]"], "size": "256*256"})
    assert [cell["run"]["status"] for cell in answer["cells"]] == ["completed", "failed"]
    assert (answer["estimate_usd"], answer["charge_usd"]) == (0.05, 0.025)


@pytest.mark.parametrize(
    ("variant_ids", "rest", "other", "said"),
    [
        ([], [], {}, "Choose the variants"),
        ("pro", [], {}, "Name the variants"),
        (["nano", "pro"], [], {}, "There is no such variant"),
        (["pro"], [], {}, "There is nothing to compare"),
        (ALL, [], {"images": []}, "no reference yet"),
        (ALL, [], {"prompt": " "}, "The prompt is empty"),
        (ALL, [[]], {}, "parameters must be an object"),
        (ALL, [{"seeds": [1]}], {}, "seeds must be a list of 2 to 4"),
        (ALL, [{"seeds": [1, 2], "leave_one_out": True}], {}, "Only one of"),
        (ALL, [{"colour": "red"}], {}, "None of these variants has 'colour'"),
        (ALL, [{}, "kx_1234"], {}, "This invitation isn't valid"),
        (ALL, [{}, 7], {}, "This invitation isn't valid"),
        (ALL, [], {"images": [handle_file(__file__)] * 2}, "Reference"),
    ],
)
def test_bad_input_is_named(
    client: Client, studio: Studio, variant_ids: Any, rest: list[Any], other: dict[str, Any], said: str
) -> None:
    """Each kind is an error that says what is wrong and that nothing was charged; no run is made."""
    before = studio.runs
    with pytest.raises(AppError, match="Nothing was charged") as refusal:
        compare(client, variant_ids, *rest, **other)
    assert said in str(refusal.value)
    assert studio.runs == before
