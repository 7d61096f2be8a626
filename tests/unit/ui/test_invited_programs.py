"""Programs that come with an invitation, and copies that nobody may use without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import sqlalchemy as sa
from blocking import HOME
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image
from serving import AT_ONCE, Served

from core.backend import Backend
from core.errors import KontextError
from core.ledger.schema import predictions
from core.settings import read
from ui.api import Api
from ui.studio.form import AUTO, Form, plain_parameters
from ui.studio.input_handlers import InputHandlers
from ui.studio.references import Card
from ui.studio.run_handlers import RunHandlers
from ui.trials.api import TrialApi

pytestmark = pytest.mark.anyio

Open = Callable[..., Backend]
DEFAULTS = {name: None if name == "seed" else row.default for name, row in plain_parameters().items()}


@pytest.fixture
async def opened(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a hosted copy with a key, for that service."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    backends = []

    def open(**given: str) -> Backend:
        environment = {
            "WAVESPEED_API_KEY": "wsk_host",
            "WAVESPEED_BASE_URL": served.url,
            "KONTEXT_HOSTED": "on",
            "KONTEXT_DATA_DIR": str(tmp_path / "data"),
        }
        backends.append(Backend(read(environment | given, tmp_path), HOME / "presets", runtime=AT_ONCE))
        return backends[-1]

    yield open
    for backend in backends:
        await backend.aclose()


@pytest.fixture
def picture(tmp_path: Path) -> FileData:
    Image.new("RGB", (96, 64), "teal").save(tmp_path / "picture.png")
    data = (tmp_path / "picture.png").read_bytes()
    return FileData(path=save_bytes_to_cache(data, "picture.png", str(tmp_path / "served")))


@pytest.fixture
def dropped(picture: FileData, tmp_path: Path) -> str:
    """The same, where a browser's drop lies until it is prepared."""
    return save_bytes_to_cache(Path(picture.path).read_bytes(), "drop-1.png", str(tmp_path / "served"))


@contextmanager
def new_tasks(served: Served) -> Iterator[list[Any]]:
    """What was submitted inside."""
    before, new = len(served.submits), []
    yield new
    new += served.submits[before:]


async def pressed(backend: Backend, number: int, code: str, card: Card) -> Any:
    """A press in a browser of its own that holds the invitation: what the page shows at the end."""
    form = Form([card], None, [""], f"A cat {number}", "pro", 1, AUTO, None, None, DEFAULTS).flat()
    handlers = RunHandlers(backend, InputHandlers(backend, {}))
    press = handlers.generate(gr.Request(), f"{number:032x}", code, "invited", "0.040000", *form)
    return [answer async for answer, *_ in press][-1]


async def billed(backend: Backend) -> Decimal:
    """What the service says that everything in the records cost."""
    assert backend.host
    with backend.ledger.reading() as connection:
        sent = sa.select(predictions.c.prediction_id).where(predictions.c.prediction_id.is_not(None))
        ids = list(connection.execute(sent).scalars())
    return sum((await backend.host.client.billed(ids)).values(), Decimal(0))


async def test_a_hundred_calls_at_once_spend_what_was_given(
    opened: Open, served: Served, picture: FileData, dropped: str
) -> None:
    """Of $0.20, ten browsers and ten programs, five times each and all at once, make exactly five Pro pictures; the
    rest are told what is left and when it renews, and the records and the service tell of the same sum.
    """
    backend = opened()
    code = backend.invitations.invite("Anna", Decimal("0.20"), "daily")
    card = Card(image=(await InputHandlers(backend, {}).prepare_reference({"path": dropped}))["image"])
    programs = [Api(backend) for _ in range(10)]
    with new_tasks(served) as tasks:
        calls = (one.generate(f"An owl {n}", [picture], "pro", None, code) for one in programs for n in range(5))
        presses = (pressed(backend, browser, code, card) for browser in range(10) for _ in range(5))
        answers = await asyncio.gather(*calls, *presses, return_exceptions=True)
    made = [
        answer for answer in answers if isinstance(answer, dict) and (answer.get("outputs") or answer.get("pictures"))
    ]
    refused = [str(answer) for answer in answers if answer not in made]
    assert (len(made), len(refused), len(tasks)) == (5, 95, 5)
    assert all("$0.00 is left of the $0.20 of this invitation." in words for words in refused)
    assert all("It renews at midnight UTC" in words for words in refused)
    assert backend.invitations.find(code).spent == await billed(backend) == Decimal("0.20")


async def test_invited_is_practice_for_the_rest(opened: Open, served: Served, picture: FileData) -> None:
    """Without an invitation everything works and no task is made at the service; with one the host's key pays."""
    backend = opened(KONTEXT_ACCESS="invited", KONTEXT_SANDBOX_SECONDS="0")
    code = backend.invitations.invite("Anna", Decimal(2), "never")
    with new_tasks(served) as tasks:
        practice = await Api(backend).generate("Make it red", [picture], "pro")
    with new_tasks(served) as paid:
        real = await Api(backend).generate("Make it red", [picture], "pro", {}, code)
    assert (practice["status"], tasks) == ("completed", [])
    assert (real["status"], len(paid)) == ("completed", 1)


@pytest.mark.parametrize("invitation", ["", None, "kx_" + "a" * 32, "wsk_host", 7, ["kx_"]])
async def test_closed_is_nothing_without_one(opened: Open, served: Served, picture: FileData, invitation: Any) -> None:
    """No run, no comparison, not even in practice, and a key of one's own does not help."""
    backend = opened(KONTEXT_ACCESS="closed")
    code = backend.invitations.invite("Anna", Decimal(2), "never")
    with new_tasks(served) as tasks:
        for attempt in (
            Api(backend).generate("Make it red", [picture], "pro", {}, invitation),
            Api(backend).compare("Make it red", [picture], ["pro", "max"], {}, invitation),
        ):
            with pytest.raises(gr.Error, match=r"invitation (only|isn't valid).*Nothing was charged"):
                await attempt
        with pytest.raises(KontextError, match="invitation only"):
            await backend.bring("wsk_own")
    assert tasks == []
    answer = await Api(backend).compare("Make it red", [picture], ["pro", "max"], {}, code)
    assert answer["charge_usd"] == pytest.approx(0.12)


async def test_one_that_ends_in_mid_run_lets_the_run_end(opened: Open, served: Served, picture: FileData) -> None:
    """What was reserved is made and kept; the next press is refused."""
    backend = opened()
    code = backend.invitations.invite("Anna", Decimal(2), "never")
    run = asyncio.create_task(Api(backend).generate("An owl", [picture], "pro", None, code))
    before = len(served.submits)
    for _ in range(3000):
        if len(served.submits) > before:
            break
        await asyncio.sleep(0.01)
    await asyncio.to_thread(backend.invitations.end, "Anna")
    assert (await run)["status"] == "completed"
    with pytest.raises(gr.Error, match="isn't valid"):
        await Api(backend).generate("An owl", [picture], "pro", None, code)


async def test_an_invitation_is_never_tried_as_a_key(opened: Open, served: Served) -> None:
    """However it is written: the service, which has nothing to do with invitations, does not get to see one."""
    backend = opened()
    handlers = RunHandlers(backend, InputHandlers(backend, {}))
    code = backend.invitations.invite("Anna", Decimal("0.20"), "daily")
    before = len(served.heard)
    for written in (code, f" {code.upper()} ", code.title(), f"{code}x"):
        (own, *_), works = await handlers.bring_key(written, None), written.strip().lower() == code
        assert isinstance(own, str) == works
        if works:
            assert (await backend.account_for(own)).invitation is not None
    assert len(served.heard) == before


TRIAL = {"title": "Owls", "question": "Which?", "variants": ["pro", "dev"], "confirm_usd": 0.07}


async def test_a_trial_is_its_invitation_s_alone(opened: Open, picture: FileData) -> None:
    """With another invitation, or none, there is no such trial: not for its report, not to close it."""
    backend = opened()
    mine, other = (backend.invitations.invite(name, Decimal(1), "never") for name in ("Anna", "Ben"))
    programs = TrialApi(backend, Api(backend))
    made = await programs.trial(TRIAL | {"cases": [{"prompt": "An owl", "images": [0]}]}, [picture], mine)
    assert made["state"] == "open"
    for call in (programs.close, programs.report):
        for code in (other, ""):
            with pytest.raises(gr.Error, match="There is no such trial"):
                await call(made["trial_id"], code)
    assert (await programs.close(made["trial_id"], mine))["state"] == "closed"


async def test_who_stops_waiting_leaves_no_draft(opened: Open, picture: FileData) -> None:
    """A call that is cancelled before anything is reserved would else take one of the places for drafts that all
    programs share.
    """
    backend = opened()
    visitor = (await Api(backend).payer("")).visitor
    call = asyncio.create_task(
        TrialApi(backend, Api(backend)).trial(TRIAL | {"cases": [{"prompt": "An owl", "images": [0]}]}, [picture])
    )
    while not await backend.trials.list_for(visitor):  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # One that was sealed in this very moment goes on; it is no draft any more.
    assert "draft" not in [trial.state for trial in await backend.trials.list_for(visitor)]


async def test_guessed_invitations_keep_no_key_out(opened: Open) -> None:
    """Guesses of invitations are free and looked up here, so they slow each other down, and nobody with a key."""
    backend = opened()
    for number in range(30):
        with pytest.raises(KontextError):
            await backend.invited(f"kx_{number}")
    with pytest.raises(KontextError, match="Too many failed attempts"):
        await backend.invited("kx_once more")
    handle, account, _ = await backend.bring("wsk_a_visitors_own")
    assert (await backend.account_for(handle)).id == account.id
