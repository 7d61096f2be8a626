"""A trial as its host's page asks for it, without a browser: from cases to the report, and for nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image
from serving import AT_ONCE

from core.backend import Backend
from core.service.account import Account
from core.service.client import Client
from core.settings import read
from core.trials.seal import check
from sandbox import create_app
from ui.studio.form import Form, plain_parameters
from ui.studio.input_handlers import InputHandlers
from ui.studio.references import Card
from ui.studio.run_handlers import RunHandlers
from ui.trials.handlers import TrialHandlers

pytestmark = pytest.mark.anyio

HOME = Path(__file__).parents[3]
ANN, EVE = "a" * 32, "e" * 32
DEFAULTS = {name: None if name == "seed" else row.default for name, row in plain_parameters().items()}
QUESTION = "Which would you put on the shop page?"


class Page:
    """What a page sends, and what it is answered."""

    def __init__(self, handlers: TrialHandlers, form: list[Any]) -> None:
        self.handlers, self.form, self.payer = handlers, form, "sandbox"

    async def ask(self, does: str, *, visitor: object = ANN, **data: Any) -> dict[str, Any]:
        event = gr.EventData(None, {"does": does, "number": 7, **data})
        answer = await self.handlers.ask(visitor, None, self.payer, event, *self.form)  # type: ignore[arg-type]
        assert answer.pop("number") == 7
        json.dumps(answer)
        return answer

    async def draft(self, cases: int = 2) -> dict[str, Any]:
        """A draft with that many cases from the studio's form, ready to be sealed."""
        trial = (await self.ask("new"))["trial"]
        for _ in range(cases):
            trial = (await self.ask("add", trial=trial["id"]))["trial"]
        answer = await self.ask("save", trial=trial["id"], draft=draft_of(trial, title="Cups", question=QUESTION))
        return dict(answer["trial"])

    async def opened(self) -> dict[str, Any]:
        trial = await self.draft()
        await self.ask("seal", trial=trial["id"], total=trial["plan"]["total"])
        async for progress in self.handlers._trials.watch(ANN, trial["id"]):
            assert progress.trial.state in ("making", "open")
        return dict((await self.ask("show", trial=trial["id"]))["trial"])


def draft_of(trial: dict[str, Any], **others: Any) -> dict[str, Any]:
    """What the page sends of a draft."""
    told = {name: trial[name] for name in ("title", "question", "variants", "margin", "mark")}
    cases = [{"at": at, "two": case["two"], "prompt": None} for at, case in enumerate(trial["cases"])]
    return {**told, "judges": trial["expected"], "closes_at": None, "cases": cases, **others}


def read_text(file: dict[str, Any]) -> str:
    return Path(file["path"]).read_text("utf-8")


def is_there(file: dict[str, Any]) -> bool:
    return Path(file["path"]).exists()


@pytest.fixture
async def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Page]:
    """Over an app in practice mode, whose studio is set to one reference and a prompt."""
    data = tmp_path / "data"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(data / "served"))
    settings = read({"KONTEXT_DATA_DIR": str(data), "KONTEXT_SANDBOX_SECONDS": "0"}, tmp_path)
    backend = Backend(settings, HOME / "presets", runtime=AT_ONCE)
    inputs = InputHandlers(backend, {})
    Image.new("RGB", (96, 64), "teal").save(picture := tmp_path / "picture.png")
    source = save_bytes_to_cache(picture.read_bytes(), "drop.png", get_upload_folder())
    image: FileData = (await inputs.prepare_reference({"path": source}))["image"]
    whole: dict[str, Any] = {"preset": None, "fields": [""], "prompt": "a cup", "variant_id": "pro", "pictures": 2}
    whole |= {"shape": "3:2", "width": None, "height": None, "parameters": DEFAULTS}
    form = Form(cards=[Card(image=image)], **whole).flat()
    yield Page(TrialHandlers(backend, inputs, RunHandlers(backend, inputs).account), form)
    await backend.aclose()


async def test_a_draft_says_what_it_costs_and_what_it_lacks(page: Page) -> None:
    """The plan counts cases, variants and second pictures; each problem is named with the field that it belongs to."""
    trial = await page.draft(cases=3)
    assert trial["plan"]["line"].startswith("3 cases × 2 variants = 6 pictures · free in practice mode, $0.36")
    assert trial["plan"]["problems"] == [] and "rehearsal" in trial["plan"]["buys"]
    assert trial["cases"][0]["told"] == "Shape 3:2" and len(trial["cases"][0]["pictures"]) == 1
    told = draft_of(trial, title=" ", question="", judges=0, margin=99, variants=["pro"])
    told |= {"closes_at": "2020-01-01T00:00:00Z"}
    told["cases"] = [{"at": 2, "two": True, "prompt": "  "}, {"at": 0, "two": False, "prompt": None}]
    trial = (await page.ask("save", trial=trial["id"], draft=told))["trial"]
    assert trial["plan"]["line"].startswith("2 cases (1 of them twice) × 1 variant = 3 pictures")
    fields = {problem["field"] for problem in trial["plan"]["problems"]}
    assert fields == {"title", "question", "judges", "margin", "closes_at", "variants", "case-1"}
    refused = await page.ask("seal", trial=trial["id"], total=trial["plan"]["total"])
    assert {problem["field"] for problem in refused["problems"]} >= fields
    assert (await page.ask("show", trial=trial["id"]))["trial"]["state"] == "draft"


async def test_what_another_tab_changed_is_not_overwritten(page: Page) -> None:
    """Cases are known by their places in the draft, so an older look at it, or one made up, saves nothing."""
    old = await page.draft(cases=2)
    await page.ask("add", trial=old["id"])
    wrong: list[Any] = [
        draft_of(old),
        draft_of(old, judges="many"),
        None,
        draft_of(old, cases=[{"at": 9, "two": True}]),
    ]
    for told in wrong:
        assert "error" in await page.ask("save", trial=old["id"], draft=told)
    assert len((await page.ask("show", trial=old["id"]))["trial"]["cases"]) == 3


async def test_only_the_total_that_was_shown_seals(page: Page) -> None:
    """Any other amount makes nothing and leaves it a draft."""
    trial = await page.draft()
    for total in ("", "0.23", "0.240001", "-0.24", "Infinity", "1e999"):
        assert (await page.ask("seal", trial=trial["id"], total=total))["problems"]
    assert (await page.ask("show", trial=trial["id"]))["trial"]["state"] == "draft"


async def test_an_account_with_prices_of_its_own(page: Page) -> None:
    """Its prices stand at the variants and in the total, beside the list's; that total is the one that seals."""
    client = Client("wsk_discount", "http://sandbox", transport=httpx.ASGITransport(create_app(seconds=0)))

    async def account(visitor: str | None, own: str | None, payer: str) -> Account:
        return Account("own 1", "own", client)

    page.handlers._account, page.payer = account, "own"
    trial = await page.draft()
    plan = trial["plan"]
    assert (trial["prices"]["pro"], trial["prices"]["max"]) == ("$0.032", "$0.064")
    assert plan["line"] == "2 cases × 2 variants = 4 pictures · $0.192, list $0.24"
    assert (plan["seal"], plan["total"], plan["spends"]) == ("Seal and make 4 pictures for $0.192", "0.192000", 192000)
    sealed = (await page.ask("seal", trial=trial["id"], total=plan["total"]))["trial"]
    async for progress in page.handlers._trials.watch(ANN, sealed["id"]):
        assert progress.trial.sealed and '"price_usd":"0.064"' in progress.trial.sealed
    await client.aclose()


async def test_from_the_seal_to_the_report(page: Page) -> None:
    """Sealed, made, looked at, closed, taken away: results only by looking or closing, files only of a closed one."""
    trial = await page.opened()
    assert trial["state"] == "open" and trial["votes"] == "0 of 5 judges, 0 of 10 votes" and "report" not in trial
    assert (await page.ask("all"))["trials"][0]["line"] == "Open · 0 of 5 judges, 0 of 10 votes"
    assert "file" not in await page.ask("file", trial=trial["id"], kind="json")
    assert (await page.ask("invite", trial=trial["id"]))["code"].startswith("kj_")
    assert not (await page.ask("uninvite", trial=trial["id"]))["trial"]["invites"]
    assert "error" in await page.ask("remove", trial=trial["id"], judge="1")
    looked = await page.ask("look", trial=trial["id"])
    assert looked["early"]["variants"][0]["name"] == "Pro" and looked["trial"]["looked"]
    closed = (await page.ask("close", trial=trial["id"]))["trial"]
    assert "Somebody saw results before the closing" in closed["report"]["verdict"]["words"]
    assert (await page.ask("all"))["trials"][0]["line"].startswith("Closed · Too early")
    files = {
        kind: (await page.ask("file", trial=trial["id"], kind=kind))["file"] for kind in ("report", "votes", "json")
    }
    assert [Path(file["path"]).name for file in files.values()] == [
        "trial-report.html",
        "trial-votes.csv",
        "trial.json",
    ]
    assert check(json.loads(read_text(files["json"]))) == []
    assert (await page.ask("delete", trial=trial["id"]))["trials"] == []
    assert not any(map(is_there, files.values()))


async def test_nobody_else_finds_a_trial(page: Page) -> None:
    """Another visitor who knows the id, and whoever is no visitor, is told that there is none, whatever they ask."""
    trial, draft = await page.opened(), draft_of(await page.draft())
    does = ("show", "save", "add", "seal", "invite", "uninvite", "remove", "look", "close", "file", "delete")
    for action in does:
        answer = await page.ask(action, visitor=EVE, trial=trial["id"], draft=draft, total="0.24")
        assert answer.keys() == {"error"} and answer["error"].startswith("There is no such trial."), action
    assert (await page.ask("all", visitor=EVE))["trials"] == []
    for nobody in (None, "api", ["a"], ANN.upper()):
        assert await page.ask("look", visitor=nobody, trial=trial["id"]) == {"trials": []}
    assert (await page.ask("show", trial=trial["id"]))["trial"]["looked"] is False


async def test_a_link_becomes_a_picture(page: Page) -> None:
    """What is scanned is drawn here, and asks nobody else."""
    assert (await page.ask("qr", link="http://x/judge#kj_abc"))["svg"].startswith("<svg")
