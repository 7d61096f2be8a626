"""Runs and the visitor who makes them: presses -> core calls -> what the page shows of a run."""

from __future__ import annotations

import asyncio
import json
import random
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from core.access.budget import Allowance
from core.access.invitations import PREFIX, Standing, is_code
from core.access.people import is_anonymous
from core.backend import Backend, Left
from core.catalog.estimate import dollars, in_micros
from core.catalog.inputs import Inputs, check, seed_drawer
from core.catalog.limits import FIELD_CHARACTERS, ID_CHARACTERS
from core.catalog.variants import PICTURES, REGISTRY, Variant
from core.comparisons import board, comparison, sheet
from core.comparisons.board import Board
from core.errors import KontextError
from core.ledger.ledger import Search
from core.ledger.people import is_person
from core.ledger.run import Cell, LabelChange, Output, Run
from core.pictures.recipe import from_json
from core.pictures.reference import Reference
from core.pictures.served import receipts_of
from core.runs.exports import archive, receipts_csv
from core.runs.runs import Page
from core.service.account import Account
from ui.files import file_data
from ui.sign_in import handle_of
from ui.studio.board import board_views, still, strip_of_board
from ui.studio.form import Form
from ui.studio.history import history_of
from ui.studio.input_handlers import InputHandlers, Update, nothing_filled
from ui.studio.make_with import inputs_for
from ui.studio.payer import PAUSED, PayerKind, left, payer_of, payers
from ui.studio.problems import placed
from ui.studio.references import Card
from ui.studio.result import Seen, refusal, strip_entry, view_of, view_of_refusal
from ui.studio.subscriptions import Subscription, Subscriptions
from ui.studio.variant_cards import variant_cards

SIGN_IN = "Sign in with Hugging Face"
NAME_SHOWN = 16  # characters of a name in the header
MOST_UNSEEN = 24  # runs that one page asks after at once
SETTLING = 0.05  # seconds; steps that follow each other so soon are one change to whoever watches
BOARD_SETTLING = 0.2  # for a comparison, whose cells take many steps at once

_NO_WORDS_YET = "-"  # a person's words stay here until they press Generate, and no price depends on them


class RunHandlers:
    """Bound to one backend; a visitor is whoever brings the id, and sees the runs of that id alone."""

    def __init__(self, backend: Backend, inputs: InputHandlers, shuffle: board.Shuffle | None = None) -> None:
        self._backend = backend
        self._runs = backend.runs
        self._inputs = inputs
        self._subscriptions = Subscriptions()
        self._draw_seed = seed_drawer(random.SystemRandom())
        self._shuffle = shuffle or random.SystemRandom().shuffle
        self._payers = payers(backend.settings)
        self._packing = asyncio.Lock()  # one at a time has its pictures in memory, and all pages share the readers

    # The visitor --------------------------------------------------------------------------------

    async def arrive(self, request: gr.Request, claim: str | None) -> AsyncIterator[tuple[Any, ...]]:
        """A page opens: know the visitor again, or give them an id; show their newest run where it stands."""
        claim, known = await self._known(request, claim)
        since = datetime.now(UTC)
        # With the header in it: an event set off by the id's arrival may be sent before the page has the id.
        yield claim, since, await self._total(known, since, None, ""), gr.skip()
        if run := await self._runs.newest(known):
            with self._subscription(request) as subscription:
                async for seen in self._watched(subscription, known, run):
                    yield gr.skip(), gr.skip(), gr.skip(), seen

    async def _known(self, request: gr.Request, claim: str | None) -> tuple[str, str]:
        """What a page that opens holds from now on, and the visitor that this makes it."""
        held = await self._backend.claim(handle_of(request, self._backend.settings.space_hosts), claim)
        return held, await self._backend.who(held) or held

    async def greet(self, request: gr.Request, claim: str | None) -> list[Any]:
        """A page opens: whether it offers to sign in or out, and who is signed in."""
        held, _ = await self._known(request, claim)
        found = await self._runs.readers(self._backend.people.find, held)
        if found is None:
            return [gr.update(value=SIGN_IN), ""]
        name = found.name if len(found.name) <= NAME_SHOWN else f"{found.name[:NAME_SHOWN]}…"
        return [gr.update(value=f"{name or 'Signed in'} · Sign out"), found.name or "somebody"]

    async def after(self, visitor: str, since: datetime | None, own: str | None, variant_id: str) -> str | Update:
        """After whatever may have cost something: the header anew; looking for the key keeps it awake."""
        # Before the page knows its visitor, the header that comes with them would be overwritten by one without a sum.
        return await self._total(visitor, since, own, variant_id) if is_visitor(visitor) and since else gr.skip()

    async def prices(
        self, visitor: str | None, own: str | None, wanted: str, shown: str
    ) -> AsyncIterator[tuple[Any, ...]]:
        """What a picture of each variant costs whoever pays, and the cards that say so where it is not what was
        `shown`: as far as it is known at once, and when it is.
        """
        account, pictures = await self._account_shown(visitor, own), _count(wanted)
        known = self._runs.prices(account, pictures)
        yield await self._told(known, shown)
        await self._runs.ask_prices(account, pictures)
        if (asked := self._runs.prices(account, pictures)) != known:
            yield await self._told(asked, _in_micros(known))

    async def _told(self, prices: Mapping[str, Decimal], shown: str) -> tuple[Any, ...]:
        told = _in_micros(prices)
        return told, *((gr.skip(), gr.skip()) if told == (shown or "{}") else await self._cards(prices))

    async def _account_shown(self, visitor: str | None, own: str | None) -> Account:
        with suppress(KontextError):  # the press says what is wrong
            return await self._backend.account_for(own, visitor)
        return self._backend.account

    async def _total(self, visitor: str, since: datetime | None, own: str | None, variant_id: str) -> str:
        used, balance = await self._backend.standing(own, visitor)
        spent = await self._runs.spent(visitor, since, used.id) if is_visitor(visitor) and since else None
        paused = used.kind == "host" and await self._backend.paused()
        return self.header(payer_of(used), spent, balance, REGISTRY.get(variant_id), paused=paused)

    def header(
        self,
        kind: PayerKind | None = None,
        spent: Decimal | None = None,
        balance: Left = None,
        variant: Variant | None = None,
        *,
        paused: bool = False,
    ) -> str:
        """The line at the top: what pays for runs, what this session has cost, and what a key has left, in USD."""
        kind = kind or self._backend.account.kind
        practice = " with a real key" if kind == "sandbox" else ""
        total = "" if spent is None else f"this session {dollars(spent)}{practice}"
        mode = PAUSED if paused else self._payers[kind].mode
        return (
            f"<div class='brand'><h1>Kontext Studio</h1><span class='mode'>{mode}</span>"
            f"{_left(balance, variant)}<span class='total'>{total}</span></div>"
        )

    async def bring_key(self, key: str | None, own: str | None) -> list[Update]:
        """Try a visitor's key or invitation; the page gets a handle for it, and the box is emptied either way."""
        if not (key or "").strip():
            return [gr.skip(), "", "Paste your key or your invitation first.", gr.skip(), gr.skip()]
        try:
            if str(key).strip().lower().startswith(PREFIX):  # never sent to the service as if it were a key
                return await self._bring_invitation(str(key).strip(), own)
            handle, account, balance = await self._backend.bring(str(key))
        except KontextError as error:
            return [gr.skip(), "", escape(str(error)), gr.skip(), gr.skip()]
        self._backend.keys.forget(own)
        words = f"Your key works, with a balance of {dollars(balance)}. It is kept for this session only."
        return [handle, "", words, gr.update(visible=True), account.kind]

    async def _bring_invitation(self, code: str, own: str | None) -> list[Update]:
        account, standing = await self._backend.invited(code)
        self._backend.keys.forget(own)
        words = f"Your invitation “{standing.invitation.name}” works: {standing.words}. This browser keeps it."
        return [code, "", escape(words), gr.update(visible=True), payer_of(account)]

    async def arrive_invited(self, request: gr.Request, code: str | None, claim: str | None) -> list[Update]:
        """A page opens, maybe from an invitation's link, or in a browser that keeps one: what pays from now on."""
        tried = await self.bring_key(code, None) if code else [gr.skip()] * 5
        if tried[0] == code:
            return tried
        _, visitor = await self._known(request, claim)
        return [*tried[:-1], self._backend.account_of(visitor).kind]

    async def forget_key(self, visitor: str | None, own: str | None) -> list[Update]:
        """Back to the host's account, or to the sandbox."""
        self._backend.keys.forget(own)
        what = "invitation" if is_code(own) else "key"
        return ["", "", f"Your {what} is removed.", gr.update(visible=False), self._backend.account_of(visitor).kind]

    async def cards(self, visitor: str | None, own: str | None, wanted: str) -> tuple[Update, Update]:
        """The variants' cards with the times and prices that are known by now."""
        return await self._cards(self._runs.prices(await self._account_shown(visitor, own), _count(wanted)))

    async def _cards(self, prices: Mapping[str, Decimal]) -> tuple[Update, Update]:
        """For the one choice and the other."""
        cards = await self._runs.readers(variant_cards, self._runs.usual_seconds, prices)
        return gr.update(choices=cards), gr.update(cards=cards)

    # Runs ---------------------------------------------------------------------------------------

    async def generate(
        self, request: gr.Request, visitor: str, own: str | None, payer: str, beside: str, *flat: Any
    ) -> AsyncIterator[tuple[Any, ...]]:
        """One press of Generate: the run as it goes on, or the comparison; or what is wrong, at its fields.

        `beside`: the total in USD that stands beside the button.
        """
        form, confirmed = Form.read(flat), _usd(beside)
        if problems := await self._inputs.problems(form):
            found = {"found": placed(problems, form), "press": uuid.uuid4().hex}
            yield gr.skip(), gr.update(problems=form.compare.own(problems)), found
            return
        start = self._compare if form.compare.on else self._start
        async for seen in self._shown(request, visitor, start(visitor, own, payer, confirmed, form)):
            yield seen, gr.skip(), gr.skip()

    async def prefetch(self, own: str | None, payer: str, *flat: Any) -> None:
        """References came: they go to the service before the press, and the quote comes; what is wrong the press says.

        Never on a hosted app, where any stranger could fill the host's storage and no budget would be asked.
        """
        if self._backend.settings.hosted:
            return
        with suppress(gr.Error):
            form = replace(Form.read(flat), prompt=_NO_WORDS_YET)
            for variant in form.variants:
                with suppress(KontextError, OSError):
                    inputs, references = await self._asked(replace(form, variant_id=variant.id))
                    self._runs.prefetch(await self.account(None, own, payer), inputs, references)

    async def again(
        self, request: gr.Request, visitor: str, own: str | None, payer: str, event: gr.EventData
    ) -> AsyncIterator[Seen]:
        """The same inputs once more, at the price that stands on the button: with a new seed, or in a cell's place."""
        if old := await self._run(visitor, event):
            starting = self._repeat(visitor, own, payer, _beside(event), old)
            async for seen in self._shown(request, visitor, starting, old):
                yield seen

    async def make_with(
        self, request: gr.Request, visitor: str, own: str | None, payer: str, event: gr.EventData
    ) -> AsyncIterator[Seen]:
        """A picture's recipe on another variant, at the price that stands on the button."""
        found, variant = await self._picture(visitor, event), REGISTRY.get(_text(event, "variant"))
        if found and variant:
            starting = self._make_with(visitor, own, payer, _beside(event), *found, variant)
            async for seen in self._shown(request, visitor, starting, found[0]):
                yield seen

    async def resume(
        self, request: gr.Request, visitor: str, own: str | None, payer: str, event: gr.EventData
    ) -> AsyncIterator[Seen]:
        """Wait again for a run whose waiting had ended."""
        if run := await self._run(visitor, event):
            async for seen in self._shown(request, visitor, self._resume(visitor, own, payer, run), run):
                yield seen

    async def open(self, request: gr.Request, visitor: str, event: gr.EventData) -> AsyncIterator[Seen]:
        """Show a run of the history, and go on watching it if it has not finished."""
        if run := await self._run(visitor, event):
            with self._subscription(request) as subscription:
                async for seen in self._watched(subscription, visitor, run):
                    yield seen

    async def hide(self, request: gr.Request, visitor: str, event: gr.EventData) -> AsyncIterator[Seen]:
        """A comparison's cells get letters in place of their names."""
        if (run := await self._run(visitor, event)) and run.cell:
            await board.hide(self._runs, visitor, run.cell.comparison_id, self._shuffle)
            async for seen in self.open(request, visitor, event):
                yield seen

    async def reveal(self, request: gr.Request, visitor: str, event: gr.EventData) -> AsyncIterator[Seen]:
        """A cell was chosen without knowing its name, or none: now the names are shown."""
        if (run := await self._run(visitor, event)) and run.cell:
            chosen = run.id if _is_on(event, "chosen") else ""
            await board.reveal(self._runs, visitor, run.cell.comparison_id, chosen)
            async for seen in self.open(request, visitor, event):
                yield seen

    async def stop(self, visitor: str, event: gr.EventData) -> None:
        """Stop waiting, for all of a comparison. There is no way to stop the task itself, and the run says so."""
        try:
            run = await self._run(visitor, event)
            if run and run.cell:
                await board.stop_waiting(self._runs, visitor, run.cell.comparison_id)
            elif run:
                await self._runs.stop_waiting(visitor, run.id)
        except KontextError as error:
            told = f"{error.happened} {error.advice}"
            raise gr.Error(told, title="Not stopped", print_exception=False) from None

    async def check(self, visitor: str, event: gr.EventData) -> Update:
        """How runs of this session stand that go on while another one is shown."""
        asked = (
            [str(run_id)[:ID_CHARACTERS] for run_id in list(event.runs)[:MOST_UNSEEN]] if is_visitor(visitor) else []
        )
        runs = [await self._runs.get(visitor, run_id) for run_id in asked]
        return gr.update(strip=[await self._strip(visitor, run) for run in runs if run])

    async def _strip(self, visitor: str, run: Run) -> Seen:
        readers, served = self._runs.readers, self._backend.served
        whole = run.cell and await board.find(self._runs, visitor, run.cell.comparison_id)
        return await (readers(strip_of_board, whole, served) if whole else readers(strip_entry, run, served))

    async def use(self, visitor: str, event: gr.EventData, *flat: Any) -> Update:
        """A picture of a run becomes the next reference."""
        found = await self._picture(visitor, event)
        if found is None:
            return gr.skip()
        try:
            return await self._inputs.use(*found, Form.read(flat).cards)
        except KontextError as error:
            raise gr.Error(str(error), title="Not added", print_exception=False) from None

    async def _shown(
        self, request: gr.Request, visitor: str, starting: Awaitable[Run], old: Run | None = None
    ) -> AsyncIterator[Seen]:
        """What starts; where that is refused, the run that was pressed on stays, and it is said over that."""
        with self._subscription(request) as subscription:
            try:
                run, refused = await starting, {}
            except KontextError as error:
                if old is None:
                    yield view_of_refusal(error)
                    return
                run, refused = old, {"refused": refusal(error)}
            async for seen in self._watched(subscription, visitor, run):
                yield {**seen, **refused}

    def _subscription(self, request: gr.Request) -> AbstractContextManager[Subscription]:
        return self._subscriptions.begin(request.session_hash or uuid.uuid4().hex)

    async def _watched(self, subscription: Subscription, visitor: str, run: Run) -> AsyncIterator[Seen]:
        """The run, or the comparison that it is a cell of, as it stands, and each time that it looks different."""
        shown: Seen = {}
        async for seen, pause in subscription.of(self._views(visitor, run)):
            if subscription.over:  # made for nothing: it would hide what has taken its place
                return
            if still(shown) != still(seen):
                yield (shown := seen)
            if pause:
                await asyncio.sleep(pause)

    async def _views(self, visitor: str, run: Run) -> AsyncGenerator[tuple[Seen, float], None]:
        """What the page shows of it, and the seconds that what comes at once is gathered for."""
        served = self._backend.served
        if run.cell:
            async for seen in board_views(self._runs, served, visitor, run.cell.comparison_id):
                yield seen, 0 if seen["finished"] else BOARD_SETTLING
            return
        async for state in self._runs.watch(visitor, run.id):
            seen = await self._runs.readers(view_of, state, served)
            # A picture does not wait.
            waits = not state.finished and (state.outputs or state.state != "downloading")
            yield seen, SETTLING if waits else 0

    async def _start(self, visitor: str, own: str | None, payer: str, confirmed: Decimal | None, form: Form) -> Run:
        _insist(visitor)
        inputs, references = await self._asked(form)
        account = await self.account(visitor, own, payer)
        return await self._runs.start(visitor, account, inputs, references, form.preset, confirmed=confirmed)

    async def _compare(self, visitor: str, own: str | None, payer: str, confirmed: Decimal | None, form: Form) -> Run:
        """Set a comparison going: its first cell."""
        _insist(visitor)
        chosen = list(form.compare.variants)
        plan = comparison.plan(form.prompt, len(form.cards), chosen, form.compared(), self._draw_seed)
        references = await asyncio.to_thread(self._inputs.references, form.cards)
        account = await self.account(visitor, own, payer)
        made = comparison.start(self._runs, visitor, account, plan, references, form.preset, confirmed=confirmed)
        return (await made)[1][0]

    async def _asked(self, form: Form) -> tuple[Inputs, list[Reference]]:
        variant = REGISTRY.get(form.variant_id)
        values = form.values(variant) if variant else {}
        inputs = check(form.variant_id, form.prompt, len(form.cards), values, self._draw_seed)
        return inputs, await asyncio.to_thread(self._inputs.references, form.cards)

    async def _repeat(self, visitor: str, own: str | None, payer: str, confirmed: Decimal | None, old: Run) -> Run:
        if old.cell:
            account = await self.account(visitor, own, payer)
            return await comparison.again(self._runs, visitor, account, old.id, confirmed=confirmed)
        values = {**old.values, PICTURES.name: old.pictures}
        inputs = check(old.variant_id, old.prompt, len(old.references), values, self._draw_seed)
        references = await asyncio.to_thread(self._inputs.references_of, old)
        account = await self.account(visitor, own, payer)
        return await self._runs.start(visitor, account, inputs, references, old.preset, confirmed=confirmed)

    async def _make_with(
        self,
        visitor: str,
        own: str | None,
        payer: str,
        confirmed: Decimal | None,
        old: Run,
        output: Output,
        variant: Variant,
    ) -> Run:
        inputs = inputs_for(old, output, variant, self._draw_seed)
        references = await asyncio.to_thread(self._inputs.references_of, old)
        account = await self.account(visitor, own, payer)
        return await self._runs.start(visitor, account, inputs, references, old.preset, confirmed=confirmed)

    async def _resume(self, visitor: str, own: str | None, payer: str, run: Run) -> Run:
        return await self._runs.resume(visitor, await self.account(visitor, own, payer), run.id)

    async def _recover(self, visitor: str, own: str | None, payer: str, prediction_id: str) -> Run:
        _insist(visitor)
        return await self._runs.recover(visitor, await self.account(visitor, own, payer), prediction_id)

    async def account(self, visitor: str | None, own: str | None, payer: str) -> Account:
        """What pays, as the page said. Raises KontextError where that is gone, or another would."""
        account = await self._backend.account_for(own, visitor)
        # The page promised that the visitor's key pays: nobody else's may take its place in silence.
        if payer == "own" and account.kind != "own":
            raise KontextError(
                "Your own key is no longer here: it is removed after an hour without use, and when the app restarts.",
                "Add it again under “Your key”, or reload the page to go on without it.",
            )
        # A page outlives a restart: one that says practice must not spend, nor the other way round.
        if payer != payer_of(account):
            raise KontextError("What pays for pictures has changed since this page was opened.", "Reload the page.")
        return account

    async def _run(self, visitor: str, event: gr.EventData) -> Run | None:
        return await self._runs.get(visitor, str(event.run)[:ID_CHARACTERS]) if is_visitor(visitor) else None

    async def _picture(self, visitor: str, event: gr.EventData) -> tuple[Run, Output] | None:
        """The picture of that number in that run of the visitor's."""
        run = await self._run(visitor, event)
        output = next((o for o in run.outputs if o.number == event.number), None) if run else None
        return (run, output) if run and output else None

    # History ------------------------------------------------------------------------------------

    async def history(self, visitor: str) -> dict[str, Any]:
        """The visitor's newest runs."""
        return await self._page(visitor)

    async def search(self, visitor: str, event: gr.EventData) -> dict[str, Any]:
        """Those of the visitor's runs that have these words, some at a time, after the last one that is shown."""
        words, variant, after = (_text(event, name) for name in ("words", "variant", "after"))
        return await self._page(visitor, words, variant, after, favourites=_is_on(event, "favourites"))

    async def _page(
        self, visitor: str, words: str = "", variant: str = "", after: str = "", *, favourites: bool = False
    ) -> dict[str, Any]:
        presets = {preset.id: preset.name for preset in self._backend.presets.values()}
        variants = {row.id: row.name for row in REGISTRY.values()}
        search = Search(tuple(words.split()), variant, favourites, presets, variants)
        page = await self._runs.page(visitor, after, search) if is_visitor(visitor) else Page([], more=False)
        shown = await self._runs.readers(history_of, page.entries, presets, self._backend.served)
        asked = {"words": words, "variant": variant, "favourites": favourites, "after": after}
        return {**shown, "more": page.more, **asked}

    async def label(self, visitor: str, event: gr.EventData) -> None:
        """A run gets the name or the star that its page shows already."""
        change: LabelChange = {}
        if hasattr(event, "name"):
            change["name"] = " ".join(_text(event, "name").split())
        if hasattr(event, "favourite"):
            change["favourite"] = _is_on(event, "favourite")
        try:
            run = await self._run(visitor, event)
            if run and change and run.cell:
                await board.label(self._runs, visitor, run.cell.comparison_id, change)
            elif run and change:
                await self._runs.label(visitor, {run.id: change})
        except KontextError as error:
            raise gr.Error(str(error), title="Not saved", print_exception=False) from None

    async def discard(self, visitor: str, event: gr.EventData) -> dict[str, Any]:
        """Take a run, or a whole comparison, out of the history, with its files."""
        run = await self._run(visitor, event)
        if run is None:  # deleted meanwhile in another tab, or another visitor's: nothing of it is said
            return await self._page(visitor)
        try:
            if run.cell:
                await board.delete(self._runs, visitor, run.cell.comparison_id)
            else:
                await self._runs.delete(visitor, run.id)
        except KontextError as error:
            raise gr.Error(str(error), title="Not deleted", print_exception=False) from None
        return {"gone": run.id}

    async def archive(self, visitor: str, event: gr.EventData) -> Update:
        """A run, or a whole comparison, as a ZIP, offered for download."""
        run = await self._run(visitor, event)
        if run and run.cell:
            return await self._offer_whole(visitor, run.cell, "zip", sheet.archive)
        if run is None or not run.outputs:
            return gr.skip()
        name = f"kontext-{run.variant_id}-{run.id[:8]}.zip"
        home = run.outputs[0].path.parent
        return await self._offer(run.id, name, lambda: archive(run), home)

    async def sheet(self, visitor: str, event: gr.EventData) -> Update:
        """A comparison on one contact sheet, offered for download."""
        run = await self._run(visitor, event)
        return await self._offer_whole(visitor, run.cell, "png", sheet.contact_sheet) if run and run.cell else gr.skip()

    async def _offer_whole(self, visitor: str, cell: Cell, kind: str, make: Callable[[Board], bytes]) -> Update:
        whole = await board.find(self._runs, visitor, cell.comparison_id)
        made = [run for run in whole.cells if run.outputs] if whole else []
        if whole is None or not made or whole.hidden:  # it would tell the names
            return gr.skip()
        name, resting = f"kontext-comparison-{whole.first.id[:8]}.{kind}", made[0]
        async with self._packing:
            # Of the run that it rests on: it goes with that one, also where it is made while the comparison is deleted.
            return await self._offer(resting.id, name, partial(make, whole), resting.outputs[0].path.parent)

    async def receipts(self, visitor: str) -> Update:
        """Every receipt of the visitor as CSV, offered for download."""
        table = [receipts_csv([])]
        if is_visitor(visitor):
            lines = partial(receipts_csv, head=False)
            table += [await self._runs.readers(lines, runs) async for runs in self._runs.every(visitor)]
        home = self._backend.settings.data_dir
        return await self._offer(receipts_of(visitor), "kontext-receipts.csv", lambda: "".join(table).encode(), home)

    async def _offer(self, owner: str, name: str, make: Callable[[], bytes], rests_on: Path) -> Update:
        put = self._backend.served.put
        return _offer(await self._runs.readers(lambda: put(owner, name, make(), rests_on)))

    async def belongings(self, visitor: str) -> Update:
        """What there is of the visitor's, for the question before all of it goes."""
        return await self._leaving(visitor)

    async def forget(self, visitor: str, own: str | None, cards: list[Card]) -> list[Update]:
        """Delete everything of the visitor's, with the key and the words that this page has given."""
        if not is_visitor(visitor):
            return [gr.skip()] * 5
        try:
            shown = await asyncio.to_thread(self._inputs.shown, cards)
            await self._backend.retention.forget(visitor, shown)
            self._backend.keys.forget(own)
            return [await self._leaving(visitor, gone=True), "", "", None, []]
        except KontextError as error:
            gr.Warning(str(error), title="Not deleted")
            return [await self._leaving(visitor, failed=True), *[gr.skip()] * 4]

    async def _leaving(self, visitor: str, **how: bool) -> Update:
        known = visitor if is_visitor(visitor) else ""
        belongings = await self._backend.retention.belongings(known)
        return gr.update(leaving={**asdict(belongings), **how, "asked": uuid.uuid4().hex})

    async def recover(
        self, request: gr.Request, visitor: str, own: str | None, payer: str, event: gr.EventData
    ) -> AsyncIterator[Seen]:
        """Any prediction of the last 7 days into the history, by its id."""
        async for seen in self._shown(request, visitor, self._recover(visitor, own, payer, str(event.prediction))):
            yield seen

    async def restore(self, visitor: str, composed: str, event: gr.EventData, *flat: Any) -> list[Update]:
        """All inputs of a run, or of a whole comparison, back into the page; spends nothing."""
        run = await self._run(visitor, event)
        if run is None:
            return nothing_filled(flat)
        whole = run.cell and await board.find(self._runs, visitor, run.cell.comparison_id)
        if whole and not whole.sealed:
            return await self._runs.readers(self._inputs.restored_comparison, whole, composed, *flat)
        return await self._runs.readers(self._inputs.restored, run.recipe, [run], composed, *flat)

    async def restore_recipe(self, visitor: str, composed: str, event: gr.EventData, *flat: Any) -> list[Update]:
        """The inputs of a recipe that came with a dropped picture; spends nothing."""
        recipe = from_json(str(event.recipe))
        if recipe is None:
            return nothing_filled(flat)
        runs = await self._runs.list_for(visitor) if is_visitor(visitor) else []
        return await self._runs.readers(self._inputs.restored, recipe, runs, composed, *flat)


def _offer(file: Path | None) -> Update:
    if file is None:
        raise gr.Error("The file couldn't be made: its run is gone, or the app's disk is full.", print_exception=False)
    return gr.update(offer=file_data(file))


def _left(balance: Left, variant: Variant | None) -> str:
    if isinstance(balance, Standing | Allowance):
        return f"<span class='balance'>{balance.words}</span>"
    if balance is None or variant is None:
        return ""
    return f"<span class='balance' data-left='{balance}'>{left(balance, variant)}</span>"


def is_visitor(visitor: object) -> bool:
    """Whether that is somebody, of whom `known` tells the handlers."""
    return isinstance(visitor, str) and (is_anonymous(visitor) or is_person(visitor))


def _text(event: gr.EventData, name: str) -> str:
    """A text that came with an event, no longer than a search may be; "" for whatever else came.

    A lone surrogate, which no database takes, becomes the sign of a letter that can't be read.
    """
    value = getattr(event, name, "")
    return re.sub("[\ud800-\udfff]", "\ufffd", value[:FIELD_CHARACTERS]) if isinstance(value, str) else ""


def _is_on(event: gr.EventData, name: str) -> bool:
    return getattr(event, name, None) is True


def _usd(beside: object) -> Decimal | None:
    """The total that a press confirms; None where none was shown."""
    whole = isinstance(beside, str) and re.fullmatch(r"[0-9]{1,6}\.[0-9]{6}", beside)
    return Decimal(str(beside)) if whole else None


def _beside(event: gr.EventData) -> Decimal | None:
    """The same of a press elsewhere on the page."""
    return _usd(getattr(event, "beside", None))


def _in_micros(prices: Mapping[str, Decimal]) -> str:
    """Prices in USD as JSON for the browser, in millionths of a dollar."""
    return json.dumps({variant_id: in_micros(unit) for variant_id, unit in prices.items()})


def _count(wanted: object) -> int:
    """For how many pictures prices are asked."""
    return next((n for n in range(1, int(PICTURES.maximum or 1) + 1) if wanted == str(n)), 1)


def _insist(visitor: object) -> None:
    if not is_visitor(visitor):
        raise KontextError("This page has lost track of who you are.", "Reload it and try again.")
