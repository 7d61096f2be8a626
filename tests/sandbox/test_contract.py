"""The sandbox against the written contract, row by row."""

from __future__ import annotations

import asyncio
import base64
import io
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image
from worlds import DEV, MAX, MODELS, PRO, ULTRA_FAST, World, picture

from sandbox import create_app

pytestmark = pytest.mark.anyio

RATIOS = ["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"]
PRICES = {PRO: 0.04, MAX: 0.08, DEV: 0.03, ULTRA_FAST: 0.025}
PER_IMAGE = (DEV, ULTRA_FAST)
# Which parameters each column of the contract's table has.
PARAMETERS = {
    PRO: {"prompt", "images", "seed", "guidance_scale", "aspect_ratio", "enable_sync_mode"},
    MAX: {"prompt", "images", "guidance_scale", "aspect_ratio", "enable_sync_mode"},
    DEV: {
        *("prompt", "images", "seed", "guidance_scale", "size", "num_inference_steps", "num_images"),
        *("output_format", "enable_base64_output", "enable_sync_mode"),
    },
}
PARAMETERS[ULTRA_FAST] = PARAMETERS[DEV] | {"enable_safety_checker"}

GOOD: dict[str, list[Any]] = {
    "prompt": ["x", "图片"],
    "seed": [-1, 0, 2147483647],
    "guidance_scale": [1, 2.5, 20, 3.57],
    "aspect_ratio": RATIOS,
    "size": ["256*256", "1536*256", "1000*777"],
    "num_inference_steps": [1, 50],
    "num_images": [1, 4],
    "output_format": ["jpeg", "png", "webp"],
    "enable_base64_output": [True, False],
    "enable_sync_mode": [False],
    "enable_safety_checker": [True, False],
}
BAD: dict[str, list[Any]] = {
    "prompt": ["", "  ", 7, None],
    "seed": [-2, 2147483648, 1.5, "7", True, None],
    "guidance_scale": [0.9, 20.1, "3", False],
    "aspect_ratio": ["5:4", "", 1, "16 : 9"],
    "size": ["255*256", "256*1537", "1024x1024", "1024", "*", "-512*512", 1024, "512*512*3", "１０２４*512"],
    "num_inference_steps": [0, 51, 28.0],
    "num_images": [0, 5, "2", 1.0],
    "output_format": ["jpg", "JPEG", "gif", None],
    "enable_base64_output": ["true", 1],
    "enable_sync_mode": [0, "no"],
    "enable_safety_checker": [1],
}


def rows(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(model, name, value, id=f"{model.removeprefix('wavespeed-ai/flux-kontext-')}-{name}-{value!r}")
        for model in MODELS
        for name, values in table.items()
        if name in PARAMETERS[model]
        for value in values
    ]


# the key


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "wsk_one", "Basic wsk_one", "Bearer wsk_invalid"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "balance"),
        ("GET", "models"),
        ("GET", "predictions/0"),
        ("GET", "predictions/0/result"),
        ("POST", "predictions"),
        ("POST", "model/price"),
        ("POST", "billings/search"),
        ("POST", "media/uploads"),
        ("POST", "media/upload/binary"),
        ("POST", PRO),
    ],
)
async def test_every_call_needs_a_key(world: World, method: str, path: str, header: str | None) -> None:
    """Without a key, or with the one that is refused, every call answers 401 in the envelope."""
    headers = {} if header is None else {"Authorization": header}
    answer = await world.http.request(method, f"/api/v3/{path}", headers=headers, json={})
    assert answer.status_code == 401
    assert answer.json()["code"] == 401


@pytest.mark.parametrize("header", ["Bearer wsk_one", "Bearer   wsk_one  ", "bearer wsk_one"])
async def test_blanks_around_a_key_do_no_harm(world: World, header: str) -> None:
    """A key pasted with blanks around it is the same account."""
    await world.submit()
    answer = await world.http.get("/api/v3/balance", headers={"Authorization": header})
    assert answer.json()["data"]["balance"] == 9.96


async def test_each_key_is_an_account_of_its_own(world: World) -> None:
    """One key sees neither the balance, nor the history, nor a prediction of another; outputs need no key."""
    done = await world.ended()
    assert (await world.balance("wsk_one"), await world.balance("wsk_two")) == (9.96, 10.0)
    assert (await world.get(done["urls"]["get"], "wsk_two")).status_code == 404
    assert (await world.post("predictions", {}, "wsk_two")).json()["data"]["items"] == []
    assert (await world.http.get(done["outputs"][0])).status_code == 200


# what a submit takes


@pytest.mark.parametrize(("model", "name", "value"), rows(GOOD))
async def test_values_inside_the_contract_are_taken(world: World, model: str, name: str, value: Any) -> None:
    """Every value that the table allows is taken."""
    prediction = await world.submit(model, **{name: value})
    assert prediction["status"] == "created"


@pytest.mark.parametrize(("model", "name", "value"), rows(BAD))
async def test_values_outside_the_contract_are_refused(world: World, model: str, name: str, value: Any) -> None:
    """A wrong value is a 400 that names its field, and costs nothing."""
    body = {"prompt": "x", "images": ["http://sandbox.test/storage/a/b.png"], name: value}
    answer = await world.post(model, body)
    assert answer.status_code == 400
    assert f'field "{name}"' in answer.json()["message"]
    assert await world.balance() == 10.0


async def test_a_wrong_choice_is_told_as_the_service_tells_it(world: World) -> None:
    """The message for a choice lists what there is to choose from."""
    answer = await world.post(PRO, {"prompt": "x", "images": ["u"], "aspect_ratio": "5:4"})
    assert answer.json()["message"].startswith('field "aspect_ratio" must be one of 21:9, 16:9')


@pytest.mark.parametrize("model", MODELS)
async def test_the_number_of_images_has_bounds(world: World, model: str) -> None:
    """One to five references for pro and max, one to four for dev and ultra-fast."""
    most = 4 if model in PER_IMAGE else 5
    url = await world.upload()
    statuses = [(await world.post(model, {"prompt": "x", "images": [url] * count})).status_code for count in range(7)]
    assert statuses == [400, *[200] * most, *[400] * (6 - most)]


@pytest.mark.parametrize("images", ["http://a/b.png", [1], [""], {}, None])
async def test_images_is_a_list_of_urls(world: World, images: Any) -> None:
    """Anything but a list of texts is refused."""
    assert (await world.post(PRO, {"prompt": "x", "images": images})).status_code == 400


@pytest.mark.parametrize("model", MODELS)
async def test_what_is_required(world: World, model: str) -> None:
    """The prompt always is; the images are for pro and max, while the others bill a request without any."""
    assert (await world.post(model, {"images": ["u"]})).status_code == 400
    without = await world.post(model, {"prompt": "x"})
    assert without.status_code == (200 if model in PER_IMAGE else 400)


@pytest.mark.parametrize("model", MODELS)
async def test_unknown_parameters_are_dropped_without_a_word(world: World, model: str) -> None:
    """What a variant does not have is neither refused, nor kept, nor obeyed."""
    foreign = {"width": 1, "strength": "x", "num_images": 3, "size": "9*9", "seed": "no", "enable_safety_checker": 0}
    foreign = {name: value for name, value in foreign.items() if name not in PARAMETERS[model]}
    done = await world.ended(model, **foreign)
    listed = (await world.post("predictions", {"include_inputs": True})).json()["data"]["items"][0]
    assert not foreign.keys() & listed["inputs"].keys()
    assert len(done["outputs"]) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"prompt":"x","images":["u"],"guidance_scale":NaN}'])
async def test_a_body_that_is_no_json_object_is_refused(world: World, body: bytes) -> None:
    """Broken JSON, other JSON, and numbers that JSON does not have are a 400."""
    answer = await world.http.post(f"/api/v3/{PRO}", content=body, headers={"Authorization": "Bearer k"})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["wavespeed-ai/flux-kontext-pro", "nothing", "wavespeed-ai/flux-dev"])
async def test_an_unknown_model_is_not_found(world: World, path: str) -> None:
    """A model that is not one of the four is a 404."""
    assert (await world.post(path, {"prompt": "x"})).status_code == 404


# the prediction


@pytest.mark.parametrize("model", MODELS)
async def test_a_prediction_goes_its_way(world: World, model: str) -> None:
    """created, then processing, then completed with outputs, by the clock alone."""
    first = await world.submit(model)
    assert re.fullmatch(r"[0-9a-f]{32}", first["id"])
    assert first["urls"]["get"] == f"http://sandbox.test/api/v3/predictions/{first['id']}/result"
    assert (first["model"], first["status"], first["outputs"]) == (model, "created", [])
    assert re.fullmatch(r"2025-06-15T15:06:40\.\d+Z", first["created_at"])
    world.now += 1.9
    assert (await world.result(first))["status"] == "processing"
    world.now += 0.2
    done = await world.result(first)
    assert (done["status"], done["error"], done["code"]) == ("completed", "", 0)
    assert done["has_nsfw_contents"] == [False]
    assert done["timings"]["inference"] == done["executionTime"] == 2000
    assert await world.result(first) == done


async def test_both_result_paths_are_the_same(world: World) -> None:
    """The path with /result and the one without give the same answer."""
    done = await world.ended()
    short = await world.get(f"/api/v3/predictions/{done['id']}")
    assert short.json() == {"code": 200, "message": "success", "data": done}


async def test_an_unknown_prediction_is_not_found(world: World) -> None:
    """An id that never was is a 404 with the service's words."""
    answer = await world.get("/api/v3/predictions/nope/result")
    assert (answer.status_code, answer.json()["message"]) == (404, "Prediction not found")


@pytest.mark.parametrize("model", PER_IMAGE)
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
async def test_outputs_are_what_was_asked_for(world: World, model: str, format: str) -> None:
    """dev and ultra-fast give as many pictures as asked, in the size and the format asked, all different."""
    done = await world.ended(model, num_images=3, output_format=format, size="320*272", seed=5)
    answers = [await world.http.get(url) for url in done["outputs"]]
    pictures = [Image.open(io.BytesIO(answer.content)) for answer in answers]
    assert all(url.endswith(f".{format}") for url in done["outputs"])
    assert {answer.headers["content-type"] for answer in answers} == {f"image/{format}"}
    assert [(p.size, p.format) for p in pictures] == [((320, 272), format.upper())] * 3
    assert len({answer.content for answer in answers}) == 3
    assert done["has_nsfw_contents"] == [False] * 3


@pytest.mark.parametrize("model", [PRO, MAX])
async def test_pro_and_max_give_a_jpeg_in_the_ratio(world: World, model: str) -> None:
    """One picture of about a megapixel; max serves it without saying what it is."""
    done = await world.ended(model, aspect_ratio="16:9")
    answer = await world.http.get(done["outputs"][0])
    opened = Image.open(io.BytesIO(answer.content))
    assert (opened.format, opened.size) == ("JPEG", (1360, 768))
    assert answer.headers["content-type"] == ("binary/octet-stream" if model == MAX else "image/jpeg")


@pytest.mark.parametrize("model", PER_IMAGE)
async def test_base64_outputs_are_bare(world: World, model: str) -> None:
    """With enable_base64_output the outputs are pictures in base64 with nothing before them."""
    done = await world.ended(model, enable_base64_output=True, output_format="png", size="256*256")
    opened = Image.open(io.BytesIO(base64.b64decode(done["outputs"][0], validate=True)))
    assert opened.format == "PNG"


async def test_the_same_seed_gives_the_same_picture(world: World) -> None:
    """A seed makes a run repeatable; -1 draws another one every time."""
    url = await world.upload()

    async def made(seed: int) -> bytes:
        done = await world.ended(DEV, images=[url], seed=seed, size="256*256")
        return (await world.http.get(done["outputs"][0])).content

    assert await made(7) == await made(7)
    assert await made(-1) != await made(-1)


@pytest.mark.parametrize("model", MODELS)
async def test_sync_mode_answers_once_it_is_done(world: World, model: str) -> None:
    """With enable_sync_mode the submit waits and answers with the finished prediction."""
    began = world.now
    done = await world.submit(model, enable_sync_mode=True)
    assert (done["status"], len(done["outputs"])) == ("completed", 1)
    assert world.now - began == 2.0


async def test_sync_mode_has_a_limit() -> None:
    """Past the limit it answers 200, still processing, with code 5004 and the id to go on with."""
    world = World(seconds=120, sync_limit=90)
    async with world.http:
        late = await world.submit(enable_sync_mode=True)
        assert (late["status"], late["code"], late["outputs"]) == ("processing", 5004, [])
        world.now += 40
        assert (await world.result(late))["status"] == "completed"


# the words that bring about a state


@pytest.mark.parametrize(
    ("word", "code", "says", "left"),
    [
        ("[sandbox:moderated]", 1200, "flagged as potentially sensitive", 9.96),
        ("[sandbox:failed]", 1403, "Execution failed", 10.0),
    ],
)
async def test_a_word_in_the_prompt_makes_it_fail(world: World, word: str, code: int, says: str, left: float) -> None:
    """A failed task is an HTTP 200 with its own code; a failure is refunded, moderation is not."""
    prediction = await world.submit(prompt=f"a cat {word}")
    assert await world.balance() == 9.96
    world.now += 5
    answer = await world.get(prediction["urls"]["get"])
    failed = answer.json()["data"]
    assert (answer.status_code, answer.json()["code"]) == (200, 200)
    assert (failed["status"], failed["code"], failed["outputs"]) == ("failed", code, [])
    assert says in failed["error"]
    assert await world.balance() == left


async def test_the_word_for_no_credit(world: World) -> None:
    """The submit is refused as an empty account is."""
    answer = await world.post(PRO, {"prompt": "[sandbox:no-credit]", "images": ["u"]})
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert answer.json()["message"] == "Insufficient credits. Please top up."


async def test_the_word_for_slow(world: World) -> None:
    """It takes ten times as long, and twenty seconds at least."""
    prediction = await world.submit(prompt="[sandbox:slow] a cat")
    world.now += 19.9
    assert (await world.result(prediction))["status"] == "processing"
    world.now += 0.2
    assert (await world.result(prediction))["status"] == "completed"


async def test_the_word_for_flagged(world: World) -> None:
    """One output of several is flagged, and all of them are there."""
    done = await world.ended(DEV, prompt="[sandbox:flagged]", num_images=3, size="256*256")
    assert (done["status"], done["has_nsfw_contents"], len(done["outputs"])) == (
        "completed",
        [False, False, True],
        3,
    )


# money


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("count", [1, 3])
async def test_the_charge_the_quote_and_the_bill_agree(world: World, model: str, count: int) -> None:
    """The account falls by what was quoted; num_images counts for dev and ultra-fast alone."""
    cost = PRICES[model] * (count if model in PER_IMAGE else 1)
    asked = {"model_id": model, "inputs": {"prompt": "x", "num_images": count}}
    quote = (await world.post("model/price", asked)).json()["data"]
    older = (await world.post("model/pricing", asked)).json()["data"]
    prediction = await world.submit(model, num_images=count)
    await world.result(prediction)
    bill = await bills(world, prediction["id"], "other")
    assert quote["price"] == quote["discounted_price"] == older["unit_price"] == pytest.approx(cost)
    assert quote["currency"] == "USD"
    assert 10 - await world.balance() == pytest.approx(cost)
    assert [(item["prediction"]["uuid"], item["price"]) for item in bill["items"]] == [
        (prediction["id"], pytest.approx(cost))
    ]


@pytest.mark.parametrize(("key", "told", "charged"), [("wsk_discount", [32, 32], 32), ("wsk_rising", [40, 50], 50)])
async def test_accounts_with_prices_of_their_own(world: World, key: str, told: list[int], charged: int) -> None:
    """One pays 20 % less, told, charged and billed; of one each price rises once it was told. In mills."""
    asked = {"model_id": PRO, "inputs": {}}
    quotes = [(await world.post("model/price", asked, key)).json()["data"] for _ in told]
    assert [round(1000 * quote["discounted_price"]) for quote in quotes] == told
    assert [quote["discount_rate"] for quote in quotes] == [0.2 * (key == "wsk_discount")] * 2
    prediction = await world.submit(PRO, key)
    await world.result(prediction, key)
    body = {"page": 1, "page_size": 10, "prediction_uuids": [prediction["id"]]}
    (bill,) = (await world.post("billings/search", body, key)).json()["data"]["items"]
    assert (round(1000 * bill["price"]), round(1000 * bill["order"]["origin_price"])) == (charged, 40)


async def bills(world: World, *ids: str, **query: Any) -> dict[str, Any]:
    body = {"page": 1, "page_size": 100, "prediction_uuids": list(ids), **query}
    return dict((await world.post("billings/search", body)).json()["data"])


async def test_a_bill_is_there_before_its_order_is_done(world: World) -> None:
    """From the submit on there is a record, its order "pre" until the task has ended."""
    prediction = await world.submit()
    (before,) = (await bills(world, prediction["id"]))["items"]
    world.now += 100
    (after,) = (await bills(world, prediction["id"]))["items"]
    assert (before["order"]["state"], after["order"]["state"]) == ("pre", "done")
    assert (after["billing_type"], after["prediction"]["model_uuid"], after["prediction"]["status"]) == (
        "deduct",
        PRO,
        "completed",
    )


@pytest.mark.parametrize("body", [{}, {"page": 1}, {"page_size": 10}, {"page": 0, "page_size": 10}])
@pytest.mark.parametrize("more", [{}, {"prediction_uuids": []}])
async def test_bills_come_in_pages(world: World, body: dict[str, int], more: dict[str, Any]) -> None:
    """Page and page size are demanded, and each has its range."""
    assert (await world.post("billings/search", {**body, **more})).status_code == 400
    assert (await world.post("billings/search", {"page": 1, "page_size": 101})).status_code == 400


async def test_bills_of_a_time(world: World) -> None:
    """Without ids all bills of the account are listed, page by page; times are milliseconds as text."""
    for _ in range(3):
        await world.submit()
        world.now += 10
    listed = [(await bills(world, page=page, page_size=2))["items"] for page in (1, 2, 3)]
    assert [len(items) for items in listed] == [2, 1, 0]
    late = await bills(world, start_time=str(int(1000 * (world.now - 15))))
    assert (late["total"], (await bills(world, billing_type="refund"))["total"]) == (1, 0)
    assert (await world.post("billings/search", {"page": 1, "page_size": 2, "end_time": 7})).status_code == 400


async def test_over_the_limit_a_submit_waits(world: World) -> None:
    """Past what a key may run at once a submit is taken, stays created until there is room, and tells its own time."""
    world = World(seconds=10, at_once=2)
    async with world.http:
        first, _, third = [await world.submit() for _ in range(3)]
        other = await world.submit(key="wsk_two")
        world.now += 9
        assert [(await world.result(p))["status"] for p in (first, third)] == ["processing", "created"]
        world.now += 2
        assert [(await world.result(p))["status"] for p in (first, third)] == ["completed", "processing"]
        assert (await world.result(other, "wsk_two"))["status"] == "completed"
        world.now += 10
        done = await world.result(third)
        assert (done["status"], done["timings"]["inference"]) == ("completed", 10_000)


async def test_flags_are_null_before_there_is_a_picture(world: World) -> None:
    """What can be flagged is not there yet."""
    assert (await world.submit())["has_nsfw_contents"] is None


async def test_an_empty_account_gets_no_prediction() -> None:
    """The last cent can be spent, and nothing beyond it."""
    world = World(balance="0.05")
    async with world.http:
        await world.submit()
        answer = await world.post(PRO, {"prompt": "x", "images": ["u"]})
        assert (answer.status_code, answer.json()["message"]) == (400, "Insufficient credits. Please top up.")
        assert await world.balance() == 0.01


async def test_an_endless_account_never_runs_dry() -> None:
    """Nothing is taken off it and no refund is added, whatever runs."""
    world = World(balance="0.05", endless=True)
    async with world.http:
        await world.submit()
        await world.submit()
        await world.ended(prompt="[sandbox:failed]")
        assert await world.balance() == 0.05


async def test_pictures_are_drawn_in_threads_of_the_sandbox(world: World) -> None:
    """Where the threads that everything else shares take nothing, pictures are made all the same."""

    class Full(ThreadPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("this work belongs into threads of the sandbox")

    asyncio.get_running_loop().set_default_executor(Full())
    assert (await world.ended())["status"] == "completed"


async def test_the_threads_end_with_the_server() -> None:
    """Once the application's lifespan is over its threads take no more work."""
    threads = ThreadPoolExecutor(max_workers=1)
    app = create_app(threads=threads)
    async with app.router.lifespan_context(app):
        assert threads.submit(int).result() == 0
    with pytest.raises(RuntimeError, match="after shutdown"):
        threads.submit(int)


async def test_a_refund_is_on_the_bill(world: World) -> None:
    """What a failed task cost is taken off again."""
    failed = await world.ended(prompt="[sandbox:failed]")
    (item,) = (await bills(world, failed["id"]))["items"]
    assert (item["price"], item["order"]["price"], item["order"]["origin_price"]) == (0, 0, 0.04)


async def test_a_price_needs_a_model_that_exists(world: World) -> None:
    """An unknown model has no price."""
    assert (await world.post("model/price", {"model_id": "x", "inputs": {}})).status_code == 404


async def test_the_catalogue_shows_the_rows(world: World) -> None:
    """Four models with their prices and exactly the parameters of the contract."""
    entries = (await world.get("/api/v3/models")).json()["data"]
    assert {entry["model_id"]: entry["base_price"] for entry in entries} == PRICES
    for entry in entries:
        schema = entry["api_schema"]["api_schemas"][0]["request_schema"]
        assert set(schema["properties"]) == PARAMETERS[entry["model_id"]]


# the history


async def test_the_history_is_newest_first_and_in_pages(world: World) -> None:
    """Pages follow one another without a gap, and tell how many there are in all."""
    ids = []
    for _ in range(5):
        ids.append((await world.submit())["id"])
        world.now += 10
    pages = [(await world.post("predictions", {"page": page, "page_size": 2})).json()["data"] for page in (1, 2, 3, 4)]
    assert [item["id"] for page in pages for item in page["items"]] == ids[::-1]
    assert [(page["page"], page["total"]) for page in pages] == [(1, 5), (2, 5), (3, 5), (4, 5)]


async def test_the_history_can_be_narrowed(world: World) -> None:
    """By model, by status, and by time on either side."""
    old = await world.submit(PRO)
    world.now += 60
    new = await world.submit(MAX)

    async def found(**query: Any) -> list[str]:
        return [item["id"] for item in (await world.post("predictions", query)).json()["data"]["items"]]

    assert await found(model=PRO) == [old["id"]]
    assert await found(status="completed") == [old["id"]]
    assert await found(status="created") == [new["id"]]
    assert await found(created_after=new["created_at"]) == [new["id"]]
    assert await found(created_before=old["created_at"]) == [old["id"]]
    assert await found(created_after=old["created_at"], model=MAX) == [new["id"]]


async def test_the_history_shows_inputs_when_asked(world: World) -> None:
    """include_inputs gives the inputs as they were sent; without it there are none."""
    await world.submit(prompt="a red fox", seed=9)
    shown = (await world.post("predictions", {"include_inputs": True})).json()["data"]["items"][0]
    hidden = (await world.post("predictions", {})).json()["data"]["items"][0]
    assert (shown["inputs"]["prompt"], shown["inputs"]["seed"]) == ("a red fox", 9)
    assert not {"input", "inputs"} & hidden.keys()


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"page_size": 0}, {"page_size": 101}, {"page": "1"}, {"created_after": "soon"}, []]
)
async def test_a_wrong_query_is_refused(world: World, query: Any) -> None:
    """Pages start at 1 and hold 100 at most; times are ISO times."""
    assert (await world.post("predictions", query)).status_code == 400


async def test_everything_is_gone_after_seven_days(world: World) -> None:
    """Predictions and files are kept for a week."""
    done = await world.ended()
    world.now += 7 * 24 * 3600
    assert (await world.get(done["urls"]["get"])).status_code == 404
    assert (await world.http.get(done["outputs"][0])).status_code == 404
    assert (await world.post("predictions", {})).json()["data"]["items"] == []


# uploads


async def ticket(world: World, content: bytes, **more: Any) -> dict[str, Any]:
    body = {"filename": "my photo.png", "size": len(content), "content_type": "image/png", **more}
    return dict((await world.post("media/uploads", body)).json()["data"])


async def test_an_upload_by_ticket(world: World) -> None:
    """The ticket says how and where; what was put there can be fetched again, byte for byte."""
    content = picture()
    about = await ticket(world, content)
    put = about["upload"]
    assert (put["method"], put["headers"]) == ("PUT", {"Content-Type": "image/png", "If-None-Match": "*"})
    assert (about["type"], about["filename"], about["size"]) == ("image", "my-photo.png", len(content))
    assert (await world.http.get(about["download_url"])).status_code == 404
    assert (await world.http.put(put["url"], content=content, headers=put["headers"])).status_code == 200
    assert (await world.http.get(about["download_url"])).content == content


async def test_a_second_put_meets_the_first(world: World) -> None:
    """If-None-Match: * lets a file be written once; the second time is a 412."""
    content = picture()
    put = (await ticket(world, content))["upload"]
    statuses = [
        (await world.http.put(put["url"], content=content, headers=put["headers"])).status_code for _ in range(2)
    ]
    assert statuses == [200, 412]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Authorization": "Bearer wsk_one"}, 400),
        ({"Content-Type": "image/jpeg"}, 403),
        ({"If-None-Match": "x"}, 403),
    ],
)
async def test_a_put_has_exactly_the_signed_headers(world: World, change: dict[str, str], status: int) -> None:
    """Other headers are not what was signed, and a key has no business at the storage."""
    put = (await ticket(world, b"abc"))["upload"]
    answer = await world.http.put(put["url"], content=b"abc", headers={**put["headers"], **change})
    assert answer.status_code == status


@pytest.mark.parametrize("spoil", ["forged", "late", "short"])
async def test_a_put_that_does_not_match_its_ticket_is_refused(world: World, spoil: str) -> None:
    """A forged signature, a ticket that has run out, and other bytes than announced store nothing."""
    about = await ticket(world, b"abc")
    put = about["upload"]
    url = put["url"][:-4] + "zzzz" if spoil == "forged" else put["url"]
    world.now += 3601 if spoil == "late" else 0
    answer = await world.http.put(url, content=b"ab" if spoil == "short" else b"abc", headers=put["headers"])
    assert answer.status_code in (400, 403)
    assert (await world.http.get(about["download_url"])).status_code == 404


async def test_the_older_upload(world: World) -> None:
    """One multipart request, field `file`, gives the same URL to use."""
    content = picture()
    answer = await world.http.post(
        "/api/v3/media/upload/binary",
        files={"file": ("a.png", content, "image/png")},
        headers={"Authorization": "Bearer wsk_one"},
    )
    about = answer.json()["data"]
    assert (about["type"], about["filename"], about["size"]) == ("image", "a.png", len(content))
    done = await world.ended(images=[about["download_url"]])
    assert done["status"] == "completed"


async def test_the_older_upload_needs_its_field(world: World) -> None:
    """Another field, or no form at all, is a 400."""
    headers = {"Authorization": "Bearer k"}
    for sent in ({"files": {"image": ("a.png", b"x", "image/png")}}, {"content": b"x"}):
        answer = await world.http.post("/api/v3/media/upload/binary", headers=headers, **sent)
        assert answer.status_code == 400


async def test_twenty_megabytes_are_the_limit(world: World) -> None:
    """20 MB exactly pass; one byte more is a 413 at the ticket, at the PUT and in the form."""
    most = 20 * 1024 * 1024
    headers = {"Authorization": "Bearer wsk_one"}
    form = {"file": ("a.png", bytes(most + 1), "image/png")}
    assert (await world.post("media/uploads", {"filename": "a", "size": most})).status_code == 200
    assert (await world.post("media/uploads", {"filename": "a", "size": most + 1})).status_code == 413
    assert (await world.http.post("/api/v3/media/upload/binary", files=form, headers=headers)).status_code == 413
    put = (await ticket(world, b"abc"))["upload"]
    answer = await world.http.put(put["url"], content=bytes(most + 1), headers=put["headers"])
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.png",
        "http://127.0.0.1:1/x.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "http://sandbox.test/storage/0000/x.png",
        "nonsense",
    ],
)
async def test_nothing_is_fetched_from_elsewhere(world: World, url: str) -> None:
    """A URL that was not given out here is never fetched: the task fails with 1402 and is refunded."""
    failed = await world.ended(images=[await world.upload(), url])
    assert (failed["status"], failed["code"]) == ("failed", 1402)
    assert "image 2" in failed["error"]
    assert await world.balance() == 10.0


async def test_another_host_with_a_known_path_is_elsewhere(world: World) -> None:
    """The whole URL counts, not its path alone."""
    url = (await world.upload()).replace("sandbox.test", "example.com")
    assert (await world.ended(images=[url]))["code"] == 1402


@pytest.mark.parametrize("content", [b"no picture", picture()[:60], picture(format="PPM")])
async def test_a_file_that_is_no_picture_fails_the_task(world: World, content: bytes) -> None:
    """Bytes that can't be opened fail like a URL that can't be fetched, and are refunded."""
    failed = await world.ended(images=[await world.upload(content)])
    assert (failed["status"], failed["code"]) == ("failed", 1402)
    assert await world.balance() == 10.0


async def test_an_output_can_be_a_reference(world: World) -> None:
    """What came out of one run can go into the next by its URL."""
    done = await world.ended(DEV, size="256*256")
    assert (await world.ended(images=done["outputs"]))["status"] == "completed"


async def test_a_stored_page_is_never_served_as_one(world: World) -> None:
    """Whatever type was claimed, a browser gets pictures or bytes."""
    about = await ticket(world, b"<script>", content_type="text/html", filename="../x.html")
    put = about["upload"]
    await world.http.put(put["url"], content=b"<script>", headers=put["headers"])
    answer = await world.http.get(about["download_url"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ".." not in about["download_url"]


async def test_the_storage_takes_no_key(world: World) -> None:
    """A key that is sent along with a download has leaked, and the sandbox says so."""
    answer = await world.get(await world.upload())
    assert answer.status_code == 400


# the rest


async def test_urls_follow_the_address_that_was_asked(world: World) -> None:
    """Links in answers begin with the host that the request came to, so any port works."""
    body = {"filename": "a.png", "size": 1}
    headers = {"Authorization": "Bearer k", "Host": "localhost:9999"}
    answer = await world.http.post("/api/v3/media/uploads", json=body, headers=headers)
    assert answer.json()["data"]["download_url"].startswith("http://localhost:9999/storage/")


async def test_it_says_what_it_is(world: World) -> None:
    """The front door tells a visitor that this is a sandbox."""
    assert (await world.http.get("/")).json()["name"] == "sandbox"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/api/v3/balance", 405)])
async def test_what_no_route_takes_is_refused_without_an_envelope(
    world: World, method: str, path: str, status: int
) -> None:
    """Unknown paths and methods are refused by an error and nothing else."""
    answer: httpx.Response = await world.http.request(method, path)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})
