"""The host's side of trials: what the page asks for, checked for the visitor who asks, and what it shows of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

import gradio as gr
import segno

from core.backend import Backend
from core.catalog.estimate import dollars
from core.catalog.limits import FIELD_CHARACTERS, ID_CHARACTERS
from core.catalog.variants import REGISTRY
from core.comparisons import board
from core.errors import InputError, KontextError
from core.ledger.ballots import Judge
from core.ledger.run import Run
from core.ledger.trials import Case, Spec, Trial
from core.service.account import Account, AccountKind
from core.statistics.planner import count
from core.statistics.votes import MOST_BALLOTS
from core.trials.trial import FEWEST_VARIANTS, folder_of
from ui.files import file_data
from ui.studio.form import Form
from ui.studio.input_handlers import InputHandlers
from ui.studio.make_with import changed
from ui.studio.run_handlers import is_visitor
from ui.trials import sheet
from ui.trials.cases import case_of, edited, fitting, mark_of, placed, planned, settings_of

VERDICTS = 12  # of the newest closed trials, in the list of all: each is worked out anew
USUAL = tuple(REGISTRY)[:FEWEST_VARIANTS]  # of a new trial

NOTHING_SET = "There is nothing in the studio yet to add. Add references and describe the picture there first."
# Of a trial whose pictures can't go on, by whose key it was sealed with.
WAITING: Mapping[AccountKind, str] = {
    "own": "Waiting for the key that it was sealed with. It goes on once you add that key again.",
    "host": "Waiting for the key that it was sealed with. It goes on once the app is started with that key.",
    "sandbox": "Waiting. It goes on when the app is started again.",
}
NO_RUN = "That run is gone, so it can't be added."
NO_FILE = "The file couldn't be made: the app's disk is full."

Answer = dict[str, Any]
AccountOf = Callable[[str | None, str | None, str], Awaitable[Account]]


@dataclass(frozen=True)
class Asked:
    """What came with one question: who asks, what would pay, the form of the studio, and the rest."""

    visitor: str
    own: str | None
    payer: str
    flat: Sequence[Any]
    data: Any  # gr.EventData

    def text(self, name: str) -> str:
        value = getattr(self.data, name, "")
        return value[:FIELD_CHARACTERS] if isinstance(value, str) else ""

    @property
    def trial(self) -> str:
        return self.text("trial")[:ID_CHARACTERS]

    @property
    def practice(self) -> bool:
        """As far as the page knows; for words alone."""
        return self.payer == "sandbox"


class TrialHandlers:
    """Bound to one backend. A trial is shown and obeys to the visitor who made it; for all others there is none."""

    def __init__(self, backend: Backend, inputs: InputHandlers, account: AccountOf) -> None:
        self._backend = backend
        self._trials = backend.trials
        self._inputs = inputs
        self._account = account
        self._actions: dict[str, Callable[[Asked], Awaitable[Answer]]] = {
            name: getattr(self, f"_{name}")
            for name in ("all", "show", "new", "save", "add", "seal", "invite", "uninvite", "remove", "look", "close")
        } | {"delete": self._delete, "file": self._file, "qr": self._qr}

    async def ask(self, visitor: str, own: str | None, payer: str, event: gr.EventData, *flat: Any) -> Answer:
        """One question of the page's; the answer has its number, and `error` or `problems` where it can't be done."""
        asked = Asked(visitor, own, payer, flat, event)
        action = self._actions.get(asked.text("does"), self._all)
        try:
            answer = await action(asked) if is_visitor(visitor) else {"trials": []}
        except InputError as error:
            answer = {"problems": placed(error.problems)}
        except KontextError as error:
            answer = {"error": str(error) if action == self._seal else f"{error.happened} {error.advice}".strip()}
        return {**answer, "number": getattr(event, "number", None)}

    # all of them, and one

    async def _all(self, asked: Asked) -> Answer:
        found = await self._trials.list_for(asked.visitor)
        verdicts = [trial.id for trial in found if trial.state == "closed"][:VERDICTS]
        return {"trials": [await self._entry(trial, told=trial.id in verdicts) for trial in found]}

    async def _entry(self, trial: Trial, *, told: bool) -> Answer:
        title = trial.spec.title.strip() or "Untitled trial"
        return {"id": trial.id, "title": title, "draft": trial.state == "draft", "line": await self._line(trial, told)}

    async def _line(self, trial: Trial, told: bool) -> str:
        """How far it has come; of a closed one the verdict."""
        spec = trial.spec
        match trial.state:
            case "draft":
                return f"Draft · {count(len(spec.cases), 'case')}, {count(len(spec.variants), 'variant')}"
            case "open":
                return f"Open · {votes_in_words(trial, await self._trials.progress(trial.visitor, trial.id))}"
            case "closed" if told:
                words = (await self._trials.report(trial.visitor, trial.id))["verdict"]["words"]
                return f"Closed · {words.split('. ')[0].rstrip('.')}"
            case "closed":
                return "Closed"
        return await self._making(trial)

    async def _making(self, trial: Trial) -> str:
        if trial.account_kind == "host" and await self._backend.paused():
            return "The host has paused spending. What is missing is made once that is over."
        async for progress in self._trials.watch(trial.visitor, trial.id):
            if not progress.waits:
                return f"Making pictures · {progress.done} of {progress.cells}"
        return WAITING[trial.account_kind]

    async def _show(self, asked: Asked) -> Answer:
        return await self._seen(asked, await self._trials.get(asked.visitor, asked.trial))

    async def _seen(self, asked: Asked, trial: Trial, **more: Any) -> Answer:
        """The trial as the page shows it in the state that it is in."""
        spec = trial.spec
        practice = asked.practice if trial.state == "draft" else trial.practice
        seen: Answer = {"id": trial.id, "state": trial.state, "title": spec.title, "question": spec.question}
        seen |= {
            "practice": practice,
            "withdrawn": [f"Case {gone['case']}: {gone['reason']}" for gone in trial.withdrawn],
        }
        if trial.state == "draft":
            prices = await self._prices(asked)
            seen |= await asyncio.to_thread(self._draft, trial, prices, practice)
        elif trial.state == "closed":
            seen |= {"report": _named(await self._trials.report(trial.visitor, trial.id))}
        elif trial.state == "open":
            judges = await self._trials.progress(trial.visitor, trial.id)
            seen |= {"judges": [_judge(*row) for row in judges], "votes": votes_in_words(trial, judges)}
            seen |= {"invites": trial.invites, "looked": trial.looked_at is not None, "late": trial.late}
        else:
            making = await self._making(trial)
            seen |= {"making": making, "waits": making in WAITING.values()}
        closes = spec.closes_at.isoformat() if spec.closes_at else ""
        return {"trial": {**seen, "closes_at": closes, "judges_expected": spec.judges}, **more}

    async def _prices(self, asked: Asked) -> Mapping[str, Decimal]:
        """What this account is asked for a picture, as far as that is known."""
        with suppress(KontextError):  # the seal says what is wrong
            account = await self._account(asked.visitor, asked.own, asked.payer)
            await self._backend.runs.ask_prices(account, 1, soon=True)
            return self._backend.runs.prices(account, 1)
        return {}

    def _draft(self, trial: Trial, prices: Mapping[str, Decimal], practice: bool) -> Answer:
        spec = fitting(trial.spec)
        return {
            "prices": {row.id: dollars(prices.get(row.id, row.price)) for row in REGISTRY.values()},
            "variants": list(spec.variants),
            "expected": spec.judges,
            "margin": spec.margin,
            "mark": mark_of(trial.spec),
            "plan": planned(trial.spec, prices, practice=practice),
            "cases": [self._case_seen(trial.id, case) for case in spec.cases],
        }

    def _case_seen(self, trial_id: str, case: Case) -> Answer:
        files = [self._backend.served.show(trial_id, reference.path) for reference in case.references]
        pictures = [file_data(file)["url"] for file in files if file]
        return {"prompt": case.prompt, "pictures": pictures, "told": settings_of(case), "two": case.takes > 1}

    # setting up

    async def _new(self, asked: Asked) -> Answer:
        account = await self._account(asked.visitor, asked.own, asked.payer)
        return await self._seen(asked, await self._trials.save(asked.visitor, account, Spec(variants=USUAL)))

    async def _save(self, asked: Asked) -> Answer:
        """What was edited; where it can't be taken, the draft as it is."""
        trial = await self._trials.get(asked.visitor, asked.trial)
        spec = edited(trial.spec, getattr(asked.data, "draft", None))
        if len(spec.cases) < len(trial.spec.cases):  # the removed one's pictures have no address any more
            await asyncio.to_thread(self._backend.served.forget, trial.id)
        account = await self._account(asked.visitor, asked.own, asked.payer)
        return await self._seen(asked, await self._trials.save(asked.visitor, account, spec, trial.id))

    async def _add(self, asked: Asked) -> Answer:
        """A case from a run or from what the studio is set to, for that draft or a new one."""
        case, variants = await self._case(asked)
        known = await self._trials.get(asked.visitor, asked.trial) if asked.trial else None
        spec = known.spec if known else Spec(variants=variants)
        spec = replace(spec, cases=(*spec.cases, case))
        account = await self._account(asked.visitor, asked.own, asked.payer)
        trial = await self._trials.save(asked.visitor, account, spec, known.id if known else "")
        return await self._seen(
            asked, trial, added=f"Added to “{spec.title or 'Untitled trial'}” as case {len(spec.cases)}."
        )

    async def _case(self, asked: Asked) -> tuple[Case, tuple[str, ...]]:
        """The case, and the variants that a new trial of it begins with."""
        if run_id := asked.text("run")[:ID_CHARACTERS]:
            return await self._case_of_run(asked.visitor, run_id)
        form = Form.read(asked.flat)
        if not form.cards or not form.prompt.strip():
            raise KontextError(NOTHING_SET)
        references = await asyncio.to_thread(self._inputs.references, form.cards)
        ids = tuple(variant.id for variant in form.variants)
        return case_of(form.prompt, references, form.compared()), ids if len(ids) >= FEWEST_VARIANTS else USUAL

    async def _case_of_run(self, visitor: str, run_id: str) -> tuple[Case, tuple[str, ...]]:
        run = await self._backend.runs.get(visitor, run_id)
        if run is None:
            raise KontextError(NO_RUN)
        references = await asyncio.to_thread(self._inputs.references_of, run)
        return case_of(run.prompt, references, changed(run)), await self._variants_beside(visitor, run)

    async def _variants_beside(self, visitor: str, run: Run) -> tuple[str, ...]:
        whole = await board.find(self._backend.runs, visitor, run.cell.comparison_id) if run.cell else None
        ids = {cell.variant_id for cell in whole.cells} if whole else set()
        return tuple(id for id in REGISTRY if id in ids) if len(ids) >= FEWEST_VARIANTS else USUAL

    async def _seal(self, asked: Asked) -> Answer:
        trial = await self._trials.get(asked.visitor, asked.trial)
        account = await self._account(asked.visitor, asked.own, asked.payer)
        if trial.state == "draft" and (spec := fitting(trial.spec)) != trial.spec:
            await self._trials.save(asked.visitor, account, spec, trial.id)
        trial, code = await self._trials.seal(asked.visitor, account, trial.id, _usd(asked.text("total")))
        return await self._seen(asked, trial, code=code)

    # judges

    async def _invite(self, asked: Asked) -> Answer:
        code = await self._trials.invite(asked.visitor, asked.trial)
        return {**await self._show(asked), "code": code}

    async def _uninvite(self, asked: Asked) -> Answer:
        await self._trials.uninvite(asked.visitor, asked.trial)
        return await self._show(asked)

    async def _remove(self, asked: Asked) -> Answer:
        number = getattr(asked.data, "judge", None)
        await self._trials.remove(asked.visitor, asked.trial, number if isinstance(number, int) else 0)
        return await self._show(asked)

    async def _qr(self, asked: Asked) -> Answer:
        """The judges' link, which the page alone knows whole, as a picture to scan."""
        code = segno.make(asked.text("link"), error="m", micro=False)
        return {"svg": code.svg_inline(scale=4, border=3, light="#fff", omitsize=True)}

    async def _look(self, asked: Asked) -> Answer:
        report = await self._trials.look(asked.visitor, asked.trial)
        return {**await self._show(asked), "early": _named(report)}

    # the end

    async def _close(self, asked: Asked) -> Answer:
        return await self._seen(asked, await self._trials.close(asked.visitor, asked.trial))

    async def _file(self, asked: Asked) -> Answer:
        """The report as a page, the votes as a table, or everything as JSON: a file to fetch."""
        document = await self._trials.document(asked.visitor, asked.trial)
        pictures = await self._trials.pictures(asked.visitor, asked.trial)
        name, make = {
            "votes": ("trial-votes.csv", partial(sheet.votes_csv, document)),
            "json": ("trial.json", partial(json.dumps, document, ensure_ascii=False, indent=1)),
        }.get(asked.text("kind"), ("trial-report.html", partial(sheet.html, document, pictures)))
        folder = folder_of(self._backend.settings.data_dir, asked.trial)
        put = self._backend.served.put
        file = await asyncio.to_thread(lambda: put(asked.trial, name, make().encode("utf-8", "replace"), folder))
        if file is None:
            raise KontextError(NO_FILE)
        return {"file": file_data(file)}

    async def _delete(self, asked: Asked) -> Answer:
        await self._trials.delete(asked.visitor, asked.trial)
        await asyncio.to_thread(self._backend.served.forget, asked.trial)
        return await self._all(asked)


def votes_in_words(trial: Trial, judges: Sequence[tuple[Judge, int, int]]) -> str:
    """Such as "3 of 5 judges, 22 of 60 votes": of as many judges as are expected, or more where more came."""
    missing = max(trial.spec.judges - len(judges), 0)
    ballots = sum(row[2] for row in judges) + missing * min(len(trial.standing), MOST_BALLOTS)
    people = f"{len(judges)} of {count(trial.spec.judges, 'judge')}" if missing else count(len(judges), "judge")
    return f"{people}, {sum(row[1] for row in judges)} of {count(ballots, 'vote')}"


def _judge(judge: Judge, votes: int, ballots: int) -> Answer:
    return {"number": judge.number, "name": judge.name, "votes": votes, "ballots": ballots}


def _named(report: Answer) -> Answer:
    """A report with its variants' names."""
    rows = [
        {**row, "name": REGISTRY[row["id"]].name if row["id"] in REGISTRY else row["id"]} for row in report["variants"]
    ]
    return {**report, "variants": rows}


def _usd(text: str) -> Decimal:
    """The total that the page showed; one that is none confirms nothing."""
    whole, point, part = text.partition(".")
    return Decimal(text) if point and whole.isdecimal() and part.isdecimal() else Decimal(-1)
