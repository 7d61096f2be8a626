"""What stands behind the page: which account pays, and a visitor's own key."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from databases import Server
from PIL import Image
from running import calm
from serving import AT_ONCE, Served
from starlette.applications import Starlette

from app import _routes
from core.access.attempts import FREE
from core.access.keys import IDLE, LINGERS, Keys
from core.backend import DAY, FIRST_LOOK, Backend
from core.catalog.inputs import check
from core.catalog.variants import REGISTRY
from core.errors import BudgetError, KeyRejected, KontextError, PresetError, SettingsError
from core.ledger.run import Run
from core.pictures.reference import prepare
from core.service.account import Account
from core.service.client import Client
from core.settings import read

pytestmark = pytest.mark.anyio

PRESETS = Path(__file__).parents[2] / "presets"
HOST_KEY = "wsk_planted_secret_of_the_host"
OWN_KEY = "wsk_planted_secret_of_a_visitor"

Open = Callable[..., Awaitable[Backend]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Makes backends from an environment, all on one data folder, and closes them."""
    async with AsyncExitStack() as stack:

        async def open(**environment: str) -> Backend:
            folder = str(tmp_path / "data")
            backend = Backend(
                read({"KONTEXT_DATA_DIR": folder, "KONTEXT_SANDBOX_SECONDS": "0", **environment}, tmp_path),
                PRESETS,
                runtime=AT_ONCE,
            )
            stack.push_async_callback(backend.aclose)
            await backend.open()
            return backend

        yield open


async def test_whoever_asks_is_told_that_the_database_is_away(
    opened: Open, postgresql: str, server_of_postgresql: Server
) -> None:
    """The app serves, which a restart would not better, and takes no runs until it is back."""
    backend = await opened(KONTEXT_DATABASE_URL=postgresql)
    transport = httpx.ASGITransport(Starlette(routes=_routes(backend)))
    async with httpx.AsyncClient(transport=transport, base_url="http://studio") as http:

        async def told(status: str) -> list[tuple[int, str]]:
            async with asyncio.timeout(30):
                while backend.status != status:  # noqa: ASYNC110 - whoever asks has nothing to wait for
                    await asyncio.sleep(0.02)
            answers = [await http.get(path) for path in ("/healthz", "/readyz")]
            return [(answer.status_code, answer.json()["status"]) for answer in answers]

        assert await told("ready") == [(200, "ok"), (200, "ready")]
        await asyncio.to_thread(server_of_postgresql.stop)
        try:
            assert await told("database away") == [(200, "database away"), (503, "database away")]
        finally:
            await asyncio.to_thread(server_of_postgresql.start)
        assert await told("ready") == [(200, "ok"), (200, "ready")]


async def test_once_a_day_the_catalogue_is_looked_at(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    """What differs is a line in the log and kept; an answer that is none changes nothing, and nothing ever fails."""
    answers = [httpx.Response(200, json={"data": []}), httpx.Response(404), httpx.Response(200, json=["odd"])]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if not answers:
            raise asyncio.CancelledError

    backend = await opened(WAVESPEED_API_KEY=HOST_KEY)
    wire = httpx.MockTransport(lambda _: answers.pop(0))
    backend.host = Account("host", "host", Client(HOST_KEY, "http://service.invalid", transport=wire, attempts=1))
    with pytest.raises(asyncio.CancelledError):
        await backend.daily(sleep)
    assert slept == [FIRST_LOOK, DAY, DAY, DAY]
    missing = [f"{row.name}: the service doesn't list {row.model_id}." for row in REGISTRY.values()]
    assert list(backend.drift) == missing
    assert [line for line in caplog.messages if line.startswith("drift")] == [f"drift: {line}" for line in missing]
    await backend.host.client.aclose()


async def one_run(backend: Backend, account: object = None) -> Run:
    """A run at its end, on the backend's account or another."""
    return (await seen(backend, account))[-1]


async def seen(backend: Backend, account: object = None, pictures: int = 1) -> list[Run]:
    """All that is to be seen of a run, from the press to its end."""
    payer = account or backend.account
    picture = Image.new("RGB", (96, 64), "teal")
    source = backend.settings.data_dir / "source.png"
    picture.save(source)
    inputs = check("pro", "make it red", 1, {"num_images": pictures}, lambda: 7)
    references = [prepare(source, 1, backend.references)]
    started = await backend.runs.start("ann", payer, inputs, references)  # type: ignore[arg-type]
    return [run async for run in backend.runs.watch("ann", started.id)]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def everything_written(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_without_a_key_it_is_the_sandbox(opened: Open) -> None:
    """The account says so, and a run ends in a picture with no network at all."""
    backend = await opened()
    assert (backend.account.id, backend.account.kind) == ("sandbox", "sandbox")
    run = await one_run(backend)
    assert (run.state, run.account_id, len(run.outputs)) == ("completed", "sandbox", 1)


async def test_a_sandbox_run_costs_nobody_anything(opened: Open) -> None:
    """It runs under a cap of nothing, and leaves what was spent at nothing."""
    backend = await opened(KONTEXT_HOSTED="1", KONTEXT_DAILY_BUDGET_USD="0", KONTEXT_VISITOR_BUDGET_USD="0")
    run = await one_run(backend)
    assert run.state == "completed"
    assert await backend.runs.spent("ann", run.created_at) == 0


async def test_the_sandbox_never_runs_dry(opened: Open) -> None:
    """All visitors share its account; far more than any balance of it is spent, and the next run is made."""
    backend = await opened()
    client = backend.account.client
    for _ in range(130):
        await client.submit(REGISTRY["max"].model_id, {"prompt": "x", "images": ["http://sandbox.invalid/gone"]})
    assert (await one_run(backend)).state == "completed"
    assert await client.balance() == Decimal("10")


async def test_the_sandbox_s_threads_end_with_the_app(opened: Open) -> None:
    """It draws in a few threads of its own, and closing the app ends them."""
    others = set(threading.enumerate())  # of sandboxes that other tests have left
    backend = await opened()
    await one_run(backend)
    drawing = [thread for thread in set(threading.enumerate()) - others if thread.name.startswith("sandbox")]
    assert 1 <= len(drawing) <= 2
    await backend.aclose()
    for thread in drawing:
        thread.join(60)
        assert not thread.is_alive()


async def test_with_a_key_the_host_pays(opened: Open, served: Served) -> None:
    """The run goes to the base URL, and its cost counts."""
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url)
    assert (backend.account.id, backend.account.kind) == ("host", "host")
    before = len(served.submits)
    run = await one_run(backend)
    assert (run.state, run.account_id, run.charge) == ("completed", "host", Decimal("0.04"))
    assert len(served.submits) == before + 1
    assert await backend.runs.spent("ann", run.created_at) == Decimal("0.04")


async def test_the_caps_of_the_settings_hold(opened: Open, served: Served) -> None:
    """A cap below the price refuses the run before anything is sent."""
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url, KONTEXT_VISITOR_BUDGET_USD="0.03")
    before = len(served.submits)
    with pytest.raises(BudgetError) as caught:
        await one_run(backend)
    assert caught.value.cap == "visitor"
    assert len(served.submits) == before


async def test_spending_is_paused_for_everybody_at_once(opened: Open, served: Served) -> None:
    """By the host's switch and by the environment: presses and their prices are refused, and nothing is sent."""
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url)
    before = len(served.submits)
    await backend.pause(True)
    assert await backend.paused()
    for press in (one_run(backend), backend.runs.consider("ann", backend.account, check("pro", "x", 1, {}, lambda: 7))):
        with pytest.raises(BudgetError, match="The host has paused spending"):
            await press
    assert len(served.submits) == before
    await backend.pause(False)
    assert (await one_run(backend)).state == "completed"
    await backend.aclose()
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url, KONTEXT_PAUSED="on")
    with pytest.raises(BudgetError, match="The host has paused spending"):
        await one_run(backend)
    await backend.pause(False)
    assert await backend.paused()


async def test_replicas_share_the_rate_of_requests(opened: Open) -> None:
    """As many as the lease knows of."""
    backend = await opened()
    backend._leases.replicas = 3
    assert backend._rate_limiter._replicas() == 3


async def test_no_more_at_once_than_the_settings_say(opened: Open) -> None:
    """With room for one, the second picture of a run waits, and the person is told by what limit."""
    backend = await opened(KONTEXT_AT_ONCE="1")
    runs = await seen(backend, pictures=2)
    assert (runs[-1].state, len(runs[-1].outputs)) == ("completed", 2)
    assert "Number 1 in line. This account can make 1 at once." in [run.notice for run in runs]


@pytest.mark.parametrize("host", ["", HOST_KEY], ids=["over the sandbox", "over the host's key"])
async def test_a_key_of_ones_own_is_tried(opened: Open, served: Served, host: str) -> None:
    """A key that the service takes gives an account of its own and the balance; blanks around it do no harm."""
    backend = await opened(WAVESPEED_API_KEY=host, WAVESPEED_BASE_URL=served.url)
    _, account, balance = await backend.bring(f" {OWN_KEY}{len(host)}\n")
    assert balance == Decimal(10)
    assert account.kind == "own"
    assert re.fullmatch("own-[0-9a-f]{16}", account.id)
    assert (await one_run(backend, account)).account_id == account.id
    assert await account.client.balance() == Decimal("9.96")


async def test_ones_own_key_is_under_no_cap(opened: Open, served: Served) -> None:
    """The caps guard the host's money alone."""
    caps = {"KONTEXT_DAILY_BUDGET_USD": "0", "KONTEXT_VISITOR_BUDGET_USD": "0"}
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url, **caps)
    _, account, _ = await backend.bring(f"{OWN_KEY}_2")
    assert (await one_run(backend, account)).state == "completed"


async def test_the_same_key_is_the_same_account(opened: Open, served: Served) -> None:
    """However it is pasted, so that its runs are found again; another key is another account."""
    backend = await opened(WAVESPEED_BASE_URL=served.url)
    accounts = [(await backend.bring(key))[1] for key in (OWN_KEY, f"  {OWN_KEY} ", f"{OWN_KEY}x")]
    assert accounts[0].client is accounts[1].client
    assert accounts[0].id == accounts[1].id != accounts[2].id


@pytest.mark.parametrize("key", ["wsk_invalid", "", "   ", "wsk_mit_ümlaut", "two words"])
async def test_a_wrong_key_is_refused(opened: Open, served: Served, key: str) -> None:
    """Told in our words, and the key itself is not repeated."""
    backend = await opened(WAVESPEED_BASE_URL=served.url)
    with pytest.raises(KeyRejected) as caught:
        await backend.bring(key)
    assert not key.strip() or key not in str(caught.value)


async def test_sixty_keys_cost_next_to_nothing(opened: Open, served: Served) -> None:
    """They share their connections, and a client that nobody uses any more is closed."""
    now = 0.0
    backend = await opened(WAVESPEED_BASE_URL=served.url)
    backend.keys = Keys(backend.keys._client, lambda: now)
    before = open_files()
    brought = [await backend.bring(f"{OWN_KEY}_{number}") for number in range(60)]
    assert open_files() - before < 20
    now += IDLE + LINGERS + 1
    await backend.sweep()
    assert all(account.client._http.is_closed for _, account, _ in brought)
    assert backend.keys.account(brought[0][0]) is None


async def test_wrong_keys_are_not_all_passed_on(opened: Open, served: Served) -> None:
    """Of 300 that are pasted at once the service hears of a few; the rest are told to wait."""
    backend = await opened(WAVESPEED_BASE_URL=served.url)
    before = len(served.asked)
    refusals = await asyncio.gather(*(backend.bring("wsk_invalid") for _ in range(300)), return_exceptions=True)
    assert FREE < len(served.asked) - before <= FREE + 3  # a pause or two may pass meanwhile
    told = [str(refusal) for refusal in refusals]
    assert all(isinstance(refusal, KontextError) for refusal in refusals)
    assert sum("Too many failed attempts." in words for words in told) >= 300 - FREE - 3


async def test_made_up_ids_are_not_all_asked_for(opened: Open, served: Served) -> None:
    """Fifty that look for predictions that never were cost few requests; own ones are found meanwhile."""
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url)
    run = await one_run(backend)
    before = len(served.asked)

    async def loop(number: int) -> None:
        for turn in range(10):
            with pytest.raises(KontextError):
                await backend.runs.recover("eve", backend.account, f"{number:016x}{turn:016x}")

    await asyncio.gather(*map(loop, range(50)))
    assert FREE < len(served.asked) - before <= FREE + 3  # a pause or two may pass meanwhile
    with pytest.raises(KontextError, match="Too many failed attempts"):
        await backend.runs.recover("eve", backend.account, run.predictions[0].id)
    found = await backend.runs.recover("ann", backend.account, run.predictions[0].id)
    assert found.id == run.id


async def test_no_key_is_written_or_shown(opened: Open, served: Served) -> None:
    """Neither the host's nor a visitor's: not on the disk, not in any repr."""
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url)
    _, account, _ = await backend.bring(OWN_KEY)
    runs = [await one_run(backend), await one_run(backend, account)]
    shown = repr([backend, backend.settings, backend.account, account, account.client, vars(backend), runs])
    written = everything_written(backend.settings.data_dir)
    assert b"make it red" in written
    for key in (HOST_KEY, OWN_KEY):
        assert key not in shown
        assert key.encode() not in written


async def test_the_same_picture_again_is_not_opened_again(opened: Open, tmp_path: Path) -> None:
    """The same bytes under another name cost one hash; once their prepared picture is gone, they are opened anew."""
    backend = await opened()
    for name in ("one.png", "two.png", "three.png"):
        Image.new("RGB", (96, 64), "navy" if name == "three.png" else "teal").save(tmp_path / name)
    first = await backend.prepare(tmp_path / "one.png", 1)
    backend.decoder.close()  # from here on nothing can be opened
    assert await backend.prepare(tmp_path / "two.png", 3) == first
    with pytest.raises(KontextError, match="closing"):
        await backend.prepare(tmp_path / "three.png", 1)
    first.path.unlink()
    with pytest.raises(KontextError, match="closing"):
        await backend.prepare(tmp_path / "one.png", 1)


async def test_a_file_is_hashed_once(opened: Open, tmp_path: Path) -> None:
    """What is asked for again where it lies is not read again; what was written there since is another picture."""
    backend, source = await opened(), tmp_path / "one.bmp"
    Image.new("RGB", (96, 64), "teal").save(source)
    written = source.stat().st_mtime_ns
    first = await backend.prepare(source, 1)
    with source.open("r+b") as file:
        file.write(Image.new("RGB", (96, 64), "navy").tobytes())
    os.utime(source, ns=(written, written))
    assert await backend.prepare(source, 1) == first
    Image.new("RGB", (96, 64), "navy").save(source)
    os.utime(source, ns=(written, written + 1))
    assert await backend.prepare(source, 1) != first


async def test_each_new_picture_has_a_connection(opened: Open, served: Served, tmp_path: Path) -> None:
    """One is opened while it is prepared, for its way to the service; a picture that is known needs none."""
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url)
    files = [tmp_path / f"{name}.png" for name in ("red", "lime", "blue")]
    for file in files:
        Image.new("RGB", (96, 64), file.stem).save(file)
    served.asked.clear()
    for _ in range(2):
        backend.arrived(files)
        await calm()
    assert served.asked == ["/api/v3/balance"] * 4  # and the one that is kept while somebody may press


async def test_outputs_are_opened_where_that_can_be_ended(opened: Open, served: Served) -> None:
    """Whoever pays, no picture of the service is opened in the app's own process."""
    backend = await opened(WAVESPEED_API_KEY=HOST_KEY, WAVESPEED_BASE_URL=served.url)
    _, own, _ = await backend.bring(OWN_KEY)
    sandbox = Backend(read({"KONTEXT_DATA_DIR": str(backend.settings.data_dir / "other")}, Path()), PRESETS)
    backend.decoder.close()
    sandbox.decoder.close()
    try:
        for account in (backend.account, own, sandbox.account):
            with pytest.raises(KontextError, match="The app is closing"):
                await account.client.download("AAAA")
    finally:
        await own.client.aclose()
        await sandbox.aclose()


async def test_runs_outlive_the_process(opened: Open) -> None:
    """A second backend on the same folder knows what the first one made, with its picture on the disk."""
    first = await opened()
    run = await one_run(first)
    await first.aclose()
    later = await (await opened()).runs.get("ann", run.id)
    assert later is not None and later.outputs == run.outputs
    assert all(output.path.is_file() for output in later.outputs)


async def test_a_folder_in_use_is_refused(opened: Open) -> None:
    """A second copy would take the first one's runs for abandoned; it is told so, and the first goes on."""
    first = await opened()
    with pytest.raises(SettingsError, match=r"KONTEXT_DATA_DIR.*another running copy"):
        await opened()
    assert (await one_run(first)).state == "completed"


async def test_a_bucket_is_compared_with_the_service(tmp_path: Path, served: Served) -> None:
    """Behind the start, which does not wait for it; the sandbox, which remembers nothing, is not asked."""
    mounted = "hf-mount / fuse.hf-mount rw 0 0\n"
    for key, asked in ((HOST_KEY, 1), ("", 0)):
        served.heard.clear()
        environment = {
            "WAVESPEED_API_KEY": key,
            "WAVESPEED_BASE_URL": served.url,
            "KONTEXT_DATA_DIR": str(tmp_path / f"d{asked}"),
        }
        backend = Backend(read(environment, tmp_path), PRESETS, mounted=mounted)
        await backend.open()
        assert not served.heard
        await calm()
        assert any(path.endswith("/predictions") for path, _ in served.heard) is bool(asked)
        await backend.aclose()


async def test_the_presets_come_from_their_folder(opened: Open, tmp_path: Path) -> None:
    """Every file of the folder by its id; a broken one stops the start with its name."""
    backend = await opened()
    assert set(backend.presets) == {file.stem for file in PRESETS.glob("*.toml")}
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(PresetError, match=r"broken\.toml"):
        Backend(backend.settings, tmp_path)
