"""The app as an API, called as programs call it: with gradio_client over HTTP."""

from __future__ import annotations

import base64
import re
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from studio import CAT, GRASS, Studio

from core.catalog.variants import REGISTRY, Variant

VARIANTS = [pytest.param(variant, id=variant.id) for variant in REGISTRY.values()]


@pytest.fixture(scope="module")
def client(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Client:
    studio.take_turn()
    return Client(studio.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


def generate(client: Client, variant_id: str, parameters: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    prompt = other.get("prompt", "A cat on the grass, for a program")
    files = other.get("images", [handle_file(CAT), handle_file(GRASS)])
    rest = [] if parameters is None else [parameters]
    return dict(client.predict(prompt, files, variant_id, *rest, api_name="/generate"))


def paths(answer: dict[str, Any]) -> list[Path]:
    return [Path(o if isinstance(o, str) else o["path"]) for o in answer["outputs"]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_pictures_from_every_variant(client: Client, studio: Studio, variant: Variant) -> None:
    """Prompt, files and variant are enough, and the answer holds files, seeds, money and time."""
    answer = generate(client, variant.id)
    assert answer["status"] == "completed"
    (path,) = paths(answer)
    with Image.open(path) as picture:
        picture.load()
    (prediction,) = answer["predictions"]
    assert prediction["status"] == "completed"
    assert isinstance(prediction["seed"], int) == (variant.parameter("seed") is not None)
    assert prediction["error"] == ""
    assert answer["estimate_usd"] == float(variant.price)
    assert answer["charge_usd"] == float(variant.price)  # the sandbox bills its play money as the service bills
    assert answer["seconds"] > 0
    assert path.read_bytes() == studio.output(path.name).read_bytes()


def test_several_pictures_have_seeds_in_turn(client: Client) -> None:
    """Four pictures are four predictions on pro, from the seed on; on dev they are one prediction."""
    answer = generate(client, "pro", {"seed": 7, "num_images": 4})
    assert [prediction["seed"] for prediction in answer["predictions"]] == [7, 8, 9, 10]
    assert answer["estimate_usd"] == 0.16
    assert len({path.read_bytes() for path in paths(answer)}) == 4
    assert [path.name.split("-seed")[1][:3] for path in paths(answer)] == ["7-1", "8-2", "9-3", "10-"]
    again = generate(client, "pro", {"seed": 8})
    assert paths(again)[0].read_bytes() == paths(answer)[1].read_bytes()
    answer = generate(client, "dev", {"seed": 7, "num_images": 3, "size": "512*768", "output_format": "png"})
    assert [prediction["seed"] for prediction in answer["predictions"]] == [7]
    for path in paths(answer):
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("PNG", (512, 768))
    assert len(paths(answer)) == 3


@pytest.mark.parametrize("variant", VARIANTS)
def test_base64_and_sync_mode(client: Client, variant: Variant) -> None:
    """What only programs can ask for works: pictures inside the answer, and a submit that waits, come as files too."""
    wished = {name: True for name in ("enable_base64_output", "enable_sync_mode") if variant.parameter(name)}
    assert wished
    for name in wished:
        answer = generate(client, variant.id, {name: True})
        assert answer["status"] == "completed"
        with Image.open(paths(answer)[0]) as picture:
            picture.load()


@pytest.mark.parametrize(
    ("variant_id", "parameters", "other", "said"),
    [
        ("pro", {}, {"images": []}, "no reference yet"),
        ("dev", {}, {"images": [handle_file(CAT)] * 5}, "Dev takes at most 4 references; there are 5"),
        ("pro", {}, {"prompt": "  "}, "The prompt is empty"),
        ("pro", {}, {"prompt": "x" * 4012}, "The prompt is 12 characters over the limit of 4,000"),
        ("nano", {}, {}, "There is no such variant"),
        ("pro", {"guidance_scale": 21}, {}, "guidance_scale"),
        ("dev", {"num_inference_steps": 2.5}, {}, "num_inference_steps"),
        ("dev", {"size": "100*100"}, {}, "size"),
        ("dev", {"enable_base64_output": 1}, {}, "enable_base64_output"),
        ("pro", {"seed": True}, {}, "seed"),
        ("pro", {"aspect_ratio": "5:7"}, {}, "aspect_ratio"),
        ("pro", {"num_images": 5}, {}, "num_images"),
        ("max", {"seed": 7}, {}, "Max has no 'seed'"),
        ("pro", {"prompt": "another"}, {}, "Pro has no 'prompt'"),
        ("pro", [], {}, "parameters must be an object"),
        ("pro", {}, {"images": [handle_file(__file__)]}, "Reference 1"),
    ],
)
def test_bad_input_is_named(
    client: Client, studio: Studio, variant_id: str, parameters: Any, other: dict[str, Any], said: str
) -> None:
    """Each kind of bad input is an error that says what is wrong and that nothing was charged; no run is made."""
    before = studio.runs
    with pytest.raises(AppError, match="Nothing was charged") as refusal:
        generate(client, variant_id, parameters, **other)
    assert said in str(refusal.value)
    assert studio.runs == before


def test_all_problems_at_once(client: Client) -> None:
    """A caller learns of every problem with one call."""
    with pytest.raises(AppError) as refusal:
        generate(client, "pro", {"seed": -2, "guidance_scale": 0, "colour": "red"}, prompt="", images=[])
    for said in ("no reference", "prompt is empty", "seed", "guidance_scale", "'colour'"):
        assert said in str(refusal.value)


def test_failure_at_the_service_is_an_answer(client: Client) -> None:
    """A prediction that fails is reported in the answer, with the service's words and nothing charged."""
    answer = generate(client, "pro", prompt="A cat [sandbox:failed]")
    assert (answer["status"], answer["outputs"], answer["charge_usd"]) == ("failed", [], 0)
    assert answer["predictions"][0]["status"] == "failed"
    assert "fail" in answer["predictions"][0]["error"]


@pytest.mark.parametrize(
    "forged",
    [
        {"path": "/etc/passwd"},
        {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        {"path": str(CAT)},
        {"path": "../../../../etc/passwd"},
        {"path": "x\0y"},
    ],
)
def test_a_forged_path_opens_nothing(studio: Studio, forged: dict[str, Any]) -> None:
    """A raw call that names a file of the server is refused, with and without the mark of a real upload."""
    before = studio.runs
    body = {"data": ["Show me", [forged], "pro", {}, ""]}
    joined = httpx.post(f"{studio.url}/gradio_api/call/generate", json=body)
    if joined.status_code == 200:
        events = httpx.get(f"{studio.url}/gradio_api/call/generate/{joined.json()['event_id']}").text
        assert "event: error" in events
        assert "event: complete" not in events
        assert "root:" not in events
    assert studio.runs == before


def test_estimate(client: Client) -> None:
    """Pictures times price, without a run; bad input is named here too."""
    for variant in REGISTRY.values():
        for pictures in (1, 2, 3, 4):
            got = client.predict(variant.id, {"num_images": pictures}, api_name="/estimate")
            assert got == float(variant.price * pictures)
    assert client.predict("ultra-fast", api_name="/estimate") == 0.025
    with pytest.raises(AppError, match="num_images"):
        client.predict("pro", {"num_images": 9}, api_name="/estimate")


TRIAL: dict[str, Any] = {
    "title": "Cats",
    "question": "Which would you put on the shop page?",
    "variants": ["dev", "ultra-fast"],
    "cases": [
        {"prompt": "A cat", "images": [0], "roles": ["identity"], "parameters": {"size": "256*256"}},
        {"prompt": "A cat on the grass", "images": [1, 0], "parameters": {"size": "256*256"}},
    ],
    "judges": 3,
    "margin": 20,
    "confirm_usd": 0.11,
}


def try_out(client: Client, **changes: Any) -> dict[str, Any]:
    files = [handle_file(CAT), handle_file(GRASS)]
    return dict(client.predict(TRIAL | changes, files, api_name="/trial"))


def test_a_trial(client: Client, studio: Studio) -> None:
    """Made in one call, closed and reported in two; there is no report before the closing, and no trial of others."""
    before = studio.runs
    made = try_out(client)
    assert (made["state"], made["estimate_usd"], studio.runs) == ("open", 0.11, before + 4)
    assert re.fullmatch("[0-9a-f]{32}", made["trial_id"])
    assert re.fullmatch("[0-9a-f]{64}", made["seal"])
    assert re.fullmatch("/judge#kj_[a-z2-7]{32}", made["judge_link"])
    with pytest.raises(AppError, match="This trial isn't closed yet"):
        client.predict(made["trial_id"], api_name="/trial_report")
    closed = client.predict(made["trial_id"], api_name="/trial_close")
    assert closed == {"trial_id": made["trial_id"], "seal": made["seal"], "state": "closed"}
    report = client.predict(made["trial_id"], api_name="/trial_report")
    assert report.keys() == {*("verdict", "variants", "judges", "cases", "withdrawn", "agreement", "places", "seal")}
    assert report["verdict"].keys() == {"kind", "variant", "words"}
    assert "These are practice pictures" in report["verdict"]["words"]
    assert [variant["id"] for variant in report["variants"]] == ["dev", "ultra-fast"]
    assert (report["judges"], report["cases"], report["seal"]) == (0, 2, made["seal"])
    for name, trial_id in product(("/trial_report", "/trial_close"), ("0" * 32, "", made["seal"])):
        with pytest.raises(AppError, match="There is no such trial"):
            client.predict(trial_id, api_name=name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"confirm_usd": 0.1}, "These 4 pictures are expected to cost $0.11. Confirm that amount."),
        ({"confirm_usd": None}, "spec.confirm_usd"),
        ({"variants": ["dev"]}, "Choose 2 to 4 variants"),
        ({"cases": [{"prompt": "A cat", "images": [2]}]}, "Case 1 names image 2"),
        ({"cases": [{"prompt": "", "images": [0]}], "title": "", "margin": 99}, "The prompt is empty"),
    ],
)
def test_a_trial_that_is_not_right_makes_nothing(
    client: Client, studio: Studio, changes: dict[str, Any], said: str
) -> None:
    """It is refused with what is wrong, and nothing is charged."""
    before = studio.runs
    with pytest.raises(AppError, match="Nothing was charged") as refusal:
        try_out(client, **changes)
    assert said in str(refusal.value)
    assert studio.runs == before


def test_only_these_endpoints_are_public(client: Client) -> None:
    """The API's own description offers runs, comparisons, trials and estimates, and nothing of the page."""
    described = client.view_api(return_format="dict", print_info=False)
    trials = {"/trial", "/trial_close", "/trial_report"}
    assert set(described["named_endpoints"]) == {"/generate", "/compare", "/estimate", *trials}
    assert not described["unnamed_endpoints"]


def test_health(studio: Studio) -> None:
    """A probe learns that the app serves, and on what."""
    answer = httpx.get(f"{studio.url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "backend": "sandbox"})


def test_what_the_sandbox_keeps_is_the_service_s_alone(studio: Studio) -> None:
    """The embedded sandbox has no door of its own: none of its routes answers at the app's address."""
    for path in ("/api/v3/balance", "/api/v3/models", "/storage/x/y"):
        answer = httpx.get(studio.url + path, headers={"Authorization": "Bearer sandbox"})
        assert "balance" not in answer.text or "data" not in answer.text
        assert base64.b64encode(b"sandbox").decode() not in answer.text
