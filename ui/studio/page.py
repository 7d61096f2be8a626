"""Lays the page out and wires its events; no logic."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr
from gradio.events import api as program_api

from core.backend import Backend
from core.catalog.estimate import dollars, javascript
from core.catalog.limits import FIELD_CHARACTERS, PROMPT_CHARACTERS, TYPED_CHARACTERS
from core.catalog.variants import PICTURES, PROMPT, REGISTRY, SEED, SIZE, Parameter, Variant
from core.comparisons import comparison
from ui.api import Api
from ui.sign_in import BEGIN, END, Page
from ui.studio.code import CodeView
from ui.studio.compare import CompareView
from ui.studio.controls import SeedBox, ShapePicker
from ui.studio.draft import BRING, BROUGHT, keep
from ui.studio.examples import Example, ExamplesView
from ui.studio.form import AUTO, Form, plain_parameters
from ui.studio.history import HistoryView
from ui.studio.input_handlers import InputHandlers, explained, shapes
from ui.studio.payer import KEYS, Payer, PayerKind, payers
from ui.studio.presets import PresetPicker
from ui.studio.problems import ProblemsView
from ui.studio.references import ReferenceGallery
from ui.studio.result import ResultView
from ui.studio.run_handlers import SIGN_IN, RunHandlers
from ui.studio.variant_cards import variant_cards
from ui.studio.visitors import known
from ui.theme import ASSETS
from ui.trials.api import TrialApi
from ui.trials.handlers import TrialHandlers
from ui.trials.view import TrialsView

VISITOR = "kontext-visitor"  # the browser's storage key; holds a random id and nothing else

# Spends or reads for one visitor: no entry in the API's docs, checked by the handlers all the same.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
# At most one of these to a trigger: once a deferred one is free, Gradio sends all that its trigger sets off anew, and
# two of them can keep each other going for ever.
QUICK: dict[str, Any] = {**PRIVATE, "queue": False, "trigger_mode": "always_last"}
LONG: dict[str, Any] = {**PRIVATE, "concurrency_limit": None}


def head() -> str:
    """The page's style, its helpers, and what they count with, generated from the registry.

    The style comes this way because Gradio rewrites what it is given as css, and breaks rules inside @media.
    """
    style, script = (
        "\n".join((ASSETS / name).read_text() for name in names)
        for names in (
            ("page.css", "inputs.css", "board.css", "touch.css"),
            (
                *("page.js", "inputs.js", "compare.js", "access.js", "label.js", "menu.js", "lightbox.js"),
                *("invitation.js", "sign-in.js", "leave.js"),
            ),
        )
    )
    counted = f"const comparisons = {json.dumps(comparison.choices())}, fewestCells = {comparison.FEWEST};"
    return f"<style>{style}</style><script>{script}\n{javascript()}{counted}</script>"


def build(backend: Backend, examples: Mapping[str, Example]) -> gr.Blocks:
    """The page over one backend."""
    inputs = InputHandlers(backend, examples)
    handlers = RunHandlers(backend, inputs)
    runs = known(handlers, backend.who)
    hosted = known(TrialHandlers(backend, inputs, handlers.account), backend.who)
    first, says = next(iter(REGISTRY.values())), payers(backend.settings)
    signs_in = backend.settings.sign_in
    page = Page(title="Kontext Studio", analytics_enabled=False, fill_width=True, sign_in=signs_in)
    with page:
        # First, or a private event of the same name would take theirs.
        api = Api(backend)
        program_api(api.generate, api_name="generate", concurrency_limit=None)
        program_api(api.compare, api_name="compare", concurrency_limit=None)
        program_api(api.estimate, api_name="estimate", queue=False)
        on_trials = TrialApi(backend, api)
        program_api(on_trials.trial, api_name="trial", concurrency_limit=None)
        program_api(on_trials.close, api_name="trial_close", concurrency_limit=None)
        program_api(on_trials.report, api_name="trial_report", concurrency_limit=None)

        visitor = gr.BrowserState(None, storage_key=VISITOR, secret=VISITOR)
        since: gr.State = gr.State(None)
        composed: gr.State = gr.State("")
        own_words: gr.State = gr.State(None)
        order: gr.State = gr.State([])
        before = gr.State(first.id)
        payer = gr.Textbox(backend.account.kind, visible=False)
        cue, brought, name = (gr.Textbox("", visible=False) for _ in range(3))
        brought_code = gr.Textbox("", visible=False)
        own = gr.Textbox("", visible=False)  # the handle of a visitor's key, for this page alone

        with gr.Row(elem_id="header"):
            header = gr.HTML(runs.header(), elem_id="title")
            gr.HTML(_PAGES, elem_id="pages")
            anew = gr.Button("Start over", size="sm", elem_id="start-over")
            settings = gr.Button("Your key", size="sm", elem_id="open-settings")
            sign_in = gr.Button(SIGN_IN, size="sm", elem_id="sign-in", visible=signs_in)
        glance = gr.HTML(says[backend.account.kind].glance, elem_id="glance")
        with gr.Column(visible=False, elem_id="settings") as panel:
            paid, key, use_key, forget, key_words = _settings(backend, says[backend.account.kind])

        with gr.Row(elem_id="studio"):
            with gr.Column(scale=10, min_width=320, elem_id="inputs"):
                row = ExamplesView(examples, row=True, elem_id="examples-row")
                form, note, hints, words, own_size, estimate, generate, problems = _inputs(inputs, backend, first)
            with gr.Column(scale=12, min_width=320, elem_id="outputs"), gr.Tabs(elem_id="tabs"):
                with gr.Tab("Result", id="result") as result_tab:
                    result = ResultView([e.card() for e in examples.values()], elem_id="result")
                with gr.Tab("Examples", id="examples"):
                    ready = ExamplesView(examples, elem_id="examples")
                with gr.Tab("History", id="history") as history_tab:
                    history = HistoryView(elem_id="history")
                with gr.Tab("Code", id="code") as code_tab:
                    code = CodeView(elem_id="code")
        trials = TrialsView(elem_id="trials")
        tabs = result_tab.parent

        flat = form.flat()
        gallery, preset, prompt = form.cards, form.preset, form.prompt
        instead, back, rebuild, chip = words
        variant, pictures, shape, compare = form.variant_id, form.pictures, form.shape, form.compare
        # Prices by variant; the total in USD that stands beside Generate; for how many pictures prices are asked.
        prices, confirmed, wanted = (gr.Textbox("", visible=False) for _ in range(3))
        sum_of: list[Any] = [variant, pictures, payer, compare, gallery, prices]
        summed: list[Any] = [estimate, generate, confirmed, wanted]

        # The estimate comes first: what a control sets off is sent in this order, and each waits for the one before.
        gr.on(
            [variant.input, pictures.input, *(control.change for control in sum_of)],
            None,
            sum_of,
            summed,
            js=_estimate(says),
            **PRIVATE,
        )
        # All of them by the queue, so that no answer overtakes a later one.
        priced: list[Any] = [prices, variant, compare]
        asking = {
            "fn": runs.prices,
            "inputs": [visitor, own, wanted, prices],
            "outputs": priced,
            **LONG,
            "trigger_mode": "multiple",
        }
        gr.on([wanted.change, own.change], **asking)
        payer.change(None, payer, [glance, paid], js=_paid(says), **PRIVATE)

        # References, preset and prompt.
        preset.input(
            inputs.choose_preset,
            [composed, *flat],
            [gallery, prompt, composed, own_words, back, *form.fields, instead],
            **QUICK,
        )
        followed = gr.on(
            [gallery.change, *(field.input for field in form.fields)],
            inputs.follow,
            [composed, order, *flat],
            [prompt, composed, order, *form.fields, instead, compare],
            **QUICK,
        )
        # One event for all that hints depend on: of two, the answer to an older prompt could come last, and stay.
        chosen = compare.change(
            inputs.choose_compared, flat, [gallery, shape, pictures, chip, *form.parameters.values()], **QUICK
        )
        for heard in (followed, chosen):
            heard.then(lambda: uuid.uuid4().hex, None, cue, **QUICK)
        gr.on([prompt.change, variant.change, cue.change], inputs.hint, [composed, *flat], [hints, rebuild], **QUICK)
        again_own = [gallery, preset, prompt, composed, back, order, own_words, *form.fields, instead]
        back.click(inputs.give_back, [own_words, *flat], again_own, **QUICK)
        rebuild.click(inputs.rebuild, [composed, *flat], [prompt, composed, own_words, back, rebuild], **QUICK)

        # Variant and parameters.
        variant.input(
            inputs.choose_variant,
            [composed, before, *flat],
            [chip, prompt, composed, before, note, gallery, shape, *form.parameters.values()],
            **QUICK,
        )
        seed = form.parameters[SEED.name]
        seed.input(None, seed, chip, js=_HELD, **PRIVATE)
        chip.click(None, None, [seed, chip], js=_LET_GO, **PRIVATE)
        shape.change(None, shape, own_size, js="(shape) => ({__type__: 'update', visible: shape === 'own'})", **PRIVATE)

        # The draft: each change keeps it, in the browser alone, once the last one is back.
        changes = [preset.input, *(control.change for control in flat if control is not preset)]
        gr.on(changes, None, flat, None, js=keep(len(form.fields)), trigger_mode="multiple", **PRIVATE)

        # What can be done before the press. Last of what these set off: nothing waits for it.
        gr.on(
            [gallery.change, variant.change, compare.change],
            runs.prefetch,
            [own, payer, *flat],
            **{**QUICK, "trigger_mode": "multiple"},
        )

        # Runs. A run belongs to the application; what the page watches of it ends when the page asks for another.
        total = {"fn": runs.after, "inputs": [visitor, since, own, variant], "outputs": header, **QUICK}
        arrive = page.load(runs.arrive, visitor, [visitor, since, header, result], **LONG)
        page.load(None, sum_of, summed, js=_estimate(says), **PRIVATE)
        page.load(runs.cards, [visitor, own, wanted], [variant, compare], **QUICK)
        to_result = {"fn": None, "outputs": tabs, "js": "() => ({__type__: 'update', selected: 'result'})", **PRIVATE}
        generate.click(**to_result)
        # A second run may be started while the first goes on: the page asks where everything is the same.
        press = {**LONG, "trigger_mode": "multiple"}
        answers = [result, compare, problems]
        run = generate.click(runs.generate, [visitor, own, payer, confirmed, *flat], answers, **press)
        problems.recheck(inputs.recheck, flat, [problems, compare], **QUICK)
        again = result.again(runs.again, [visitor, own, payer], result, **LONG)
        history.open(**to_result)
        opened = history.open(runs.open, visitor, result, **LONG)
        reopened = result.open(runs.open, visitor, result, **LONG)
        history.resume(**to_result)
        taken = history.resume(runs.resume, [visitor, own, payer], result, **LONG)
        resumed = result.resume(runs.resume, [visitor, own, payer], result, **LONG)
        other = result.make_with(runs.make_with, [visitor, own, payer], result, **LONG)
        result.hide(runs.hide, visitor, result, **LONG)
        result.reveal(runs.reveal, visitor, result, **LONG)
        result.sheet(runs.sheet, visitor, result, **QUICK)
        result.archive(runs.archive, visitor, result, **QUICK)
        for event in (arrive, run, again, opened, reopened, taken, resumed, other):
            event.then(**total)
        for event in (run, again, other):  # a press may have found that prices rose
            event.then(**asking)
        result.stop(runs.stop, visitor, None, **QUICK)
        result.use(runs.use, [visitor, *flat], gallery, **QUICK).success(**_shown("Added to your references."))
        result.check(runs.check, visitor, result, **QUICK)
        result.billed(**total)

        # History, code, examples.
        history_tab.select(runs.history, visitor, history, **QUICK)
        history.search(runs.search, visitor, history, **QUICK)
        history.discard(runs.discard, visitor, history, **QUICK)
        for view in (result, history):
            view.mark(runs.label, visitor, None, **{**QUICK, "trigger_mode": "multiple"})
        history.archive(runs.archive, visitor, history, **QUICK)
        history.receipts(runs.receipts, visitor, history, **QUICK)
        history.belongings(runs.belongings, visitor, history, **QUICK)
        # With all that Gradio remembers of this page's words.
        history.forget(runs.forget, [visitor, own, gallery], [history, own, composed, own_words, order], **LONG)
        history.recover(**to_result)
        history.recover(runs.recover, [visitor, own, payer], result, **LONG).then(**total)
        filled = [*flat, composed, order, before, own_words, back, note, instead, chip]
        gallery.input(runs.restore_recipe, [visitor, composed, *flat], filled, **QUICK)
        history.restore(runs.restore, [visitor, composed, *flat], filled, **QUICK)
        for shown in (result, row, ready):
            ready_now = _shown("Everything is filled in. Press Generate.")
            shown.example(inputs.example, [composed, *flat], filled, **QUICK).success(**ready_now)
        drafted = page.load(inputs.drafted, [brought, *flat], filled, js=BRING, **{**QUICK, "trigger_mode": "once"})
        drafted.then(None, prompt, prompt, js=BROUGHT, **PRIVATE)
        anew.click(inputs.start_over, [composed, *flat], filled, **QUICK)
        gr.on([code_tab.select], inputs.code, [brought, *flat], code, js=_WHERE, **QUICK)

        # Trials, beside the studio: the address says which of the two is shown.
        trials.ask(hosted.ask, [visitor, own, payer, *flat], trials, **{**QUICK, "trigger_mode": "multiple"})
        trials.spent(**total)

        # Settings. The key stays in the app's memory; the page has a handle for it.
        settings.click(None, None, panel, js=_TOGGLE, **PRIVATE)
        paying = [own, key, key_words, forget, payer]
        for bring in (key.submit, use_key.click):
            tried = bring(runs.bring_key, [key, own], paying, **LONG)
            tried.then(None, own, None, js="(own) => window.kontext.invitation.tried(own, '')", **PRIVATE)
            tried.then(**total)
        forgotten = forget.click(
            runs.forget_key,
            [visitor, own],
            paying,
            js="(visitor, own) => (window.kontext.invitation.forget(), [visitor, own])",
            **LONG,
        )
        forgotten.then(**total)
        invited = {"js": "(code, visitor) => [window.kontext.invitation.brought(), visitor]", **LONG}
        arrived = page.load(runs.arrive_invited, [brought_code, visitor], paying, **invited)
        arrived.then(None, [own, key_words], None, js="window.kontext.invitation.tried", **PRIVATE)
        arrived.then(**total)

        if signs_in:
            sign_in.click(None, visitor, None, js=_sign(backend.settings.space_hosts), **PRIVATE)
            greeted = page.load(runs.greet, visitor, [sign_in, name], **LONG)
            greeted.then(None, name, None, js="(name) => window.kontext.greet(name)", **PRIVATE)
    return page


def _sign(hosts: Sequence[str]) -> str:
    """Script: in or out. A login comes back under the Space's first name, so it begins there."""
    home = f"https://{hosts[0]}" if hosts else ""
    return f"(held) => window.kontext.sign(held, {json.dumps([home + BEGIN, END])})"


def _estimate(says: Mapping[PayerKind, Payer]) -> str:
    """Script: the price of what is chosen, who pays it, what Generate makes, and what it confirms."""
    notes = json.dumps({kind: payer.note for kind, payer in says.items()})
    return f"(...controls) => window.kontext.price({notes}, ...controls)"


def _paid(says: Mapping[PayerKind, Payer]) -> str:
    """Script: what the page says of whoever pays now."""
    return f"(payer) => ({json.dumps({kind: [payer.glance, payer.panel] for kind, payer in says.items()})})[payer]"


def _shown(words: str) -> dict[str, Any]:
    """An event after another: the cards that it changed come into view, and that is said."""
    return {"fn": None, "js": f"() => window.kontext.show('references', {json.dumps(words)})", **PRIVATE}


_LET_GO = """() => {
  document.getElementById('generate').focus();
  return ['', {__type__: 'update', visible: false}];
}"""

_PAGES = "<nav aria-label='Pages'><a href='#'>Studio</a><a href='#trials'>Trials</a></nav>"

_WHERE = "(nothing, ...flat) => [location.origin + location.pathname, ...flat]"

_HELD = """(seed) => ({
  __type__: 'update', visible: Boolean((seed || '').trim()), value: `Seed held: ${seed} ×`,
})"""

# As the server counts: a character beyond the first 65,536 is one, though JavaScript takes it for two.
_COUNT = f"""(prompt) => {{
  const count = [...(prompt || '')].length, most = {PROMPT_CHARACTERS};
  const over = count > most ? `, ${{(count - most).toLocaleString('en')}} too many` : '';
  const loud = over ? 'over' : count > 0.9 * most ? 'near' : '';
  const words = `${{count.toLocaleString('en')}} / ${{most.toLocaleString('en')}}${{over}}`;
  window.kontext.comparing({{ prompt }});
  return count ? `<span class="${{loud}}" ${{loud ? 'role="status"' : ''}}>${{words}}</span>` : '';
}}"""

_TOGGLE = """() => {
  window.kontext.settings = !window.kontext.settings;
  return {__type__: 'update', visible: window.kontext.settings};
}"""


def _settings(backend: Backend, now: Payer) -> tuple[gr.HTML, gr.Textbox, gr.Button, gr.Button, gr.HTML]:
    paid = gr.HTML(now.panel, elem_id="paid")
    when = "only when you press Generate" if backend.settings.hosted else "as soon as you add them"
    gr.HTML(
        f"<p>To make pictures with the real models on your own account, <a href='{KEYS}' target='_blank' "
        "rel='noopener'>get a WaveSpeedAI key</a> and paste it here. It stays in this app's memory for at most an hour "
        f"without use, and is never written down. With a key, your references go to the service {when}.</p>",
        elem_id="settings-words",
    )
    with gr.Row():
        or_invitation = " or invitation" if backend.host else ""
        key = gr.Textbox(
            label=f"Your WaveSpeedAI key{or_invitation}",
            type="password",
            placeholder="wsk_… or kx_…" if backend.host else "wsk_…",
            scale=4,
            elem_id="key",
        )
        use_key = gr.Button("Use this key", scale=0, min_width=140, size="md")
        forget = gr.Button("Remove key", scale=0, min_width=140, size="md", visible=False)
    words = gr.HTML("", elem_id="key-words")
    return paid, key, use_key, forget, words


class Words(NamedTuple):
    """What stands around the form: which fields a reference took over, ways back to other words, a held seed."""

    instead: gr.HTML
    back: gr.Button
    rebuild: gr.Button
    chip: gr.Button


def _inputs(
    inputs: InputHandlers, backend: Backend, first: Variant
) -> tuple[Any, gr.Markdown, gr.HTML, Words, gr.Row, gr.HTML, gr.Button, ProblemsView]:
    gallery = ReferenceGallery(
        inputs.prepare_reference, limit=first.reference_limit, variant=first.name, elem_id="references"
    )
    preset = PresetPicker(backend.presets, elem_id="preset")
    with gr.Row(elem_id="fields"):
        most = max(len(p.fields) for p in backend.presets.values())
        fields = [
            gr.Textbox(visible=False, max_lines=1, max_length=FIELD_CHARACTERS, elem_id=f"field-{i}")
            for i in range(1, most + 1)
        ]
    instead = gr.HTML("", elem_id="instead")
    count = gr.HTML("", elem_id="prompt-count")
    prompt = gr.Textbox(
        label=PROMPT.label,
        lines=4,
        max_lines=10,
        max_length=TYPED_CHARACTERS,
        elem_id="prompt",
        placeholder=_PLACEHOLDER,
    )
    prompt.change(None, prompt, count, js=_COUNT, trigger_mode="multiple", **PRIVATE)
    with gr.Row(elem_id="ways"):
        back = gr.Button("Restore my text", size="sm", visible=False, elem_id="bring-back")
        rebuild = gr.Button("Rebuild the prompt", size="sm", visible=False, elem_id="rebuild")
    hints = gr.HTML("", elem_id="hints")
    cards = variant_cards(backend.runs.usual_seconds)
    compare = CompareView(cards, elem_id="compare")
    variant = gr.Radio(cards, value=first.id, label="Variant", elem_id="variant")
    note = gr.Markdown("", visible=False, elem_id="variant-note")
    with gr.Accordion("Parameters", open=False, elem_id="parameters"):
        shape = ShapePicker(shapes(first), value=AUTO, label="Shape", info="Width to height.", elem_id="shape")
        with gr.Row(visible=False) as own_size:
            width, height = (_edge(name) for name in ("Width", "Height"))
        parameters = {name: _control(row, first) for name, row in plain_parameters().items()}
    with gr.Row(elem_id="press"):
        counts = list(range(int(PICTURES.minimum or 1), int(PICTURES.maximum or 1) + 1))
        pictures = gr.Radio(counts, value=PICTURES.default, label=PICTURES.label, elem_id="pictures", min_width=180)
        estimate = gr.HTML(f"<div class='sum'>{dollars(first.price)}</div>", elem_id="estimate")
        generate = gr.Button("Generate", variant="primary", elem_id="generate", min_width=120)
        problems = ProblemsView(elem_id="ask")
        chip = gr.Button("", size="sm", visible=False, elem_id="held")
    # Of components here and of values in the handlers, which is why the page takes it for anything.
    single = prompt, variant, pictures, shape, width, height
    form = Form(gallery, preset, fields, *single, parameters, compare=compare)  # type: ignore[arg-type]
    words = Words(instead, back, rebuild, chip)
    return form, note, hints, words, own_size, estimate, generate, problems


_PLACEHOLDER = "For example: Place the person from image 1 in the scene from image 2."


def _edge(name: str) -> gr.Number:
    # Without bounds of its own: Gradio would fail every event of the page while a number is only half typed.
    return gr.Number(
        label=name,
        info=f"{SIZE.minimum} to {SIZE.maximum} pixels",
        value=1024,
        step=float(SIZE.step or 1),
        precision=0,
        elem_id=name.lower(),
    )


def _control(row: Parameter, first: Variant) -> Any:
    """The control of a parameter, from its row."""
    common: dict[str, Any] = {
        "label": row.label,
        "info": explained(row),
        "visible": first.parameter(row.name) is not None,
        "elem_id": row.name,
    }
    if row.name == SEED.name:
        return SeedBox(max_lines=1, placeholder="new for every run", **common)
    match row.kind:
        case "integer" | "number":
            bounds = {"minimum": row.minimum, "maximum": row.maximum, "step": row.step, "value": row.default}
            return gr.Slider(**{**common, **bounds})
        case "choice":
            return gr.Radio([(c.upper(), c) for c in row.choices], value=row.default, **common)
        case "boolean":
            return gr.Checkbox(value=bool(row.default), **common)
        case _:
            return gr.Textbox(**common)
