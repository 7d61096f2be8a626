"""The inputs side in motion: values of the form -> core calls -> updates of the form. Nothing here spends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from core.backend import Backend
from core.catalog.inputs import check, parse_size, size_for
from core.catalog.limits import NAME_CHARACTERS, PATH_CHARACTERS
from core.catalog.variants import (
    ASPECT_RATIO,
    ASPECT_RATIOS,
    PICTURES,
    REFERENCE_LIMIT,
    REGISTRY,
    SEED,
    SIZE,
    Parameter,
    Variant,
)
from core.comparisons.board import Board, place_of
from core.comparisons.comparison import plan
from core.errors import InputError, KontextError, Problem, ReferenceRejected
from core.ledger.run import Output, Run
from core.pictures.fit import fit
from core.pictures.recipe import Recipe, extract, to_json
from core.pictures.reference import MAX_BYTES, Reference
from core.prompts.compose import compose, idle_fields, listed, numbered, suggest_roles
from core.prompts.presets import Preset
from core.prompts.reference_numbers import lint, renumber
from core.service.snippets import comparison_snippets, snippets
from ui.files import file_data, uploaded
from ui.studio.compare import Compare, compare_of
from ui.studio.draft import read, recipe_of
from ui.studio.examples import Example
from ui.studio.form import AUTO, OWN, Form, plain_parameters
from ui.studio.problems import placed
from ui.studio.references import Card
from ui.studio.words import (
    Kept,
    Order,
    composed_for,
    composed_in,
    fields_of,
    followed,
    followed_wordings,
    has_own_words,
    order_of,
    reworded,
)

# Outputs behind the form: composed, order, variant before, own words, the way back to them, two notes, a held seed.
AFTER = 8

Update = Any  # what Gradio takes for one output: a value, or gr.update(…)


class InputHandlers:
    """Bound to one backend; keeps nothing of a visitor between two calls."""

    def __init__(self, backend: Backend, examples: Mapping[str, Example]) -> None:
        self._prepare = backend.prepare
        self._fetch = backend.fetch
        self._presets = backend.presets
        self._served = backend.served
        self._base_url = backend.settings.base_url
        self._examples = examples

    # References ---------------------------------------------------------------------------------

    async def prepare_reference(self, arrival: dict[str, Any]) -> dict[str, Any]:
        """For the gallery: one picture that arrived, prepared, or the sentence that refuses it."""
        number, source = arrival.get("number"), None
        number = number if isinstance(number, int) else 1
        try:
            source = await self._arrived(arrival)
            if source is None:
                return {"refused": "The picture did not arrive. Nothing was charged. Drop it again."}
            recipe = await asyncio.to_thread(recipe_in, source)
            reference = await self._prepare(source, number)
            shown = _there(await asyncio.to_thread(self._served.card, reference), number)
        except KontextError as error:
            name = str(arrival.get("name") or "")[:NAME_CHARACTERS]
            return {"refused": f"{name}: {error}" if name else str(error)}
        finally:
            # The original may tell where it was taken; only what is sent is kept. The gallery's own names are random:
            # nothing else, that somebody may still look at, goes away with it.
            if source is not None and source.name.startswith("drop-"):
                await asyncio.to_thread(source.unlink, missing_ok=True)
        return {"image": file_data(shown.path), "recipe": to_json(recipe) if recipe else None}

    async def _arrived(self, arrival: Mapping[str, Any]) -> Path | None:
        """The file that was uploaded, or lies at a pasted address. Raises KontextError where that is not to be had."""
        address = arrival.get("address")
        if isinstance(address, str):
            return await self._fetch(address[:PATH_CHARACTERS])
        return await asyncio.to_thread(uploaded, arrival.get("path"))

    def references(self, cards: Sequence[Card]) -> list[Reference]:
        """The prepared pictures behind the cards. Blocking. Raises ReferenceRejected for one that is gone."""
        found = [self._served.reference(card.image.path) for card in cards]
        here = [_there(reference, number) for number, reference in enumerate(found, start=1)]
        return [replace(reference, role=card.role or None) for reference, card in zip(here, cards, strict=True)]

    def shown(self, cards: Sequence[Card]) -> list[Reference]:
        """The same of those that are still there. Blocking."""
        return [reference for card in cards if (reference := self._served.reference(card.image.path))]

    def references_of(self, run: Run) -> list[Reference]:
        """The references of an earlier run, to send again. Blocking. Raises ReferenceRejected for one that is gone."""
        return [
            _there(reference if reference.path.is_file() else None, number)
            for number, reference in enumerate(run.references, start=1)
        ]

    async def use(self, run: Run, output: Output, cards: list[Card]) -> list[Card]:
        """The cards with a picture of a run as one more. Raises KontextError where it can't be used."""
        if len(cards) >= REFERENCE_LIMIT:
            raise InputError([Problem("images", f"There are {REFERENCE_LIMIT} references already: remove one first.")])
        number = len(cards) + 1
        reference = await self._prepare(output.path, number)
        shown = await asyncio.to_thread(self._served.card, reference, run.id)
        return [*cards, _card(_there(shown, number), output.path.name)]

    async def _ready(self, number: int, path: Path, role: str) -> Reference:
        reference = await self._prepare(path, number)
        return replace(_there(await asyncio.to_thread(self._served.card, reference), number), role=role)

    # Prompt -------------------------------------------------------------------------------------

    def choose_preset(self, composed: str, *flat: Any) -> list[Update]:
        """A preset was chosen: deal its roles, show its fields, write its prompt; own words can be had back."""
        form = Form.read(flat)
        preset = self._presets.get(form.preset or "")
        if preset is None:
            return [gr.update(deal=[]), gr.skip(), "", gr.skip(), gr.skip(), *_boxes(None, form)]
        roles = suggest_roles(preset, len(form.cards), form.roles)
        cards = [card.model_copy(update={"role": role}) for card, role in zip(form.cards, roles, strict=True)]
        dealt = replace(form, cards=cards, fields=_defaults(preset, form))
        prompt = composed_for(dealt, preset)
        # A second preset writes over the first one's words: what was kept before it stays kept.
        own = replace(Kept.of(form, composed), preset=None)
        kept = [own, gr.update(visible=True)] if has_own_words(form, composed) else [gr.skip()] * 2
        gallery = gr.update(value=cards, deal=list(preset.required))
        return [gallery, prompt, prompt, *kept, *_boxes(preset, dealt)]

    def follow(self, composed: str, before: Order, *flat: Any) -> list[Update]:
        """Cards or fields changed: what is composed follows; in a person's own words only the numbers do."""
        form = Form.read(flat)
        preset = self._presets.get(form.preset or "")
        words, follows = followed(form, preset, composed, before)
        # Words that stay are not written back: the person may be typing, or choosing a preset, meanwhile.
        written = gr.skip() if words == form.prompt else words
        composed_now = gr.skip() if follows == composed else follows
        wordings = followed_wordings(form, before)
        kept = wordings == form.compare.wordings
        compare = gr.skip() if kept else form.compare.model_copy(update={"wordings": wordings})
        return [written, composed_now, order_of(form), *_idle(preset, form), compare]

    def rebuild(self, composed: str, *flat: Any) -> list[Update]:
        """The preset's prompt once more, from roles and fields as they are; what was edited can be had back."""
        form = Form.read(flat)
        words = composed_for(form, self._presets.get(form.preset or ""))
        return [words, words, Kept.of(form, composed), gr.update(visible=True), gr.update(visible=False)]

    def give_back(self, own: Kept | None, *flat: Any) -> list[Update]:
        """The person's own text again, with the roles and the preset that went with it."""
        form = Form.read(flat)
        if own is None:
            return [gr.skip()] * (len(form.fields) + 8)
        preset = self._presets.get(own.preset or "")
        cards = [card.model_copy(update={"role": own.roles.get(card.image.path, card.role)}) for card in form.cards]
        again = replace(form, cards=cards, fields=own.fields)
        gallery = gr.update(value=cards, deal=list(preset.required) if preset else [])
        hidden, order = gr.update(visible=False), order_of(again)
        boxes = _boxes(preset, again)
        return [gallery, preset.id if preset else None, own.prompt, own.composed, hidden, order, None, *boxes]

    def hint(self, composed: str, *flat: Any) -> tuple[str, Update]:
        """The linter's remarks as a list, "" where there are none; and whether a preset's words were edited."""
        form = Form.read(flat)
        noun, widest = REGISTRY[form.variant_id].noun, _widest(form.variants)
        prompts = [form.prompt, *(form.compare.wordings if form.compare.on and form.compare.axis == "prompts" else ())]
        told = [lint(prompt, form.roles, noun, widest.reference_limit, widest.name) for prompt in prompts]
        found = dict.fromkeys(hint for hints in told for hint in hints)
        edited = form.preset in self._presets and bool(composed) and form.prompt != composed
        hints = f"<ul>{''.join(f'<li>{escape(hint.message)}</li>' for hint in found)}</ul>" if found else ""
        return hints, gr.update(visible=edited)

    # What stops a press -------------------------------------------------------------------------

    async def problems(self, form: Form) -> Sequence[Problem]:
        """What of the form would stop a press, each with the parameter that it is about."""
        try:
            if form.compare.on:
                plan(form.prompt, len(form.cards), list(form.compare.variants), form.compared(), lambda: 0)
            else:
                variant = REGISTRY.get(form.variant_id)
                values = form.values(variant) if variant else {}
                check(form.variant_id, form.prompt, len(form.cards), values, lambda: 0)
            await asyncio.to_thread(self.references, form.cards)
        except InputError as error:
            return error.problems
        except ReferenceRejected as error:
            return [Problem("images", f"{error.happened} {error.advice}")]
        return []

    async def recheck(self, event: gr.EventData, *flat: Any) -> list[Update]:
        """Of the fields that something is said at, those at which there still is something to say."""
        form = Form.read(flat)
        problems = await self.problems(form)
        found = placed(problems, form)
        still = {place: found[place] for place in event.fields if place in found}
        own = gr.update(problems=form.compare.own(problems)) if "compare" in event.fields else gr.skip()
        return [{"found": still, "press": ""}, own]

    # Variant ------------------------------------------------------------------------------------

    def choose_variant(self, composed: str, before: str, *flat: Any) -> list[Update]:
        """Another variant: show what it has, keep what can be kept, say what can't."""
        form = Form.read(flat)
        old, new = REGISTRY[before], REGISTRY[form.variant_id]
        lost = [_called(name, old) for name, value in form.parameters.items() if _is_lost(name, value, old, new)]
        shape = form.shape
        if shape == OWN and new.parameter(SIZE.name) is None:
            lost.append("width and height of your own")
            shape = AUTO
        note = " ".join(f"{new.name} has no {name}." for name in lost)
        words, follows = reworded(form, self._presets.get(form.preset or ""), composed)
        return [
            held(form.parameters.get(SEED.name), new),
            gr.skip() if words == form.prompt else words,  # the person may be typing meanwhile
            gr.skip() if follows == composed else follows,
            new.id,
            gr.update(value=note, visible=bool(note)),
            gr.update(limit=new.reference_limit, variant=new.name),
            _unless_it_is(form.shape, gr.update(choices=shapes(new), value=shape)),
            *[
                _unless_it_is(value, _shown(name, _carried(name, value, old), new.parameter(name)))
                for name, value in form.parameters.items()
            ],
        ]

    def choose_compared(self, *flat: Any) -> list[Update]:
        """What is compared changed, or no longer is: show what any of the variants has, and who lacks it."""
        form = Form.read(flat)
        widest = _widest(form.variants)
        return [
            gr.update(limit=widest.reference_limit, variant=widest.name),
            gr.update(choices=shapes(*form.variants)),
            gr.update(label=f"{PICTURES.label} each" if form.compare.on else PICTURES.label),
            gr.update(visible=form.parameters[SEED.name] is not None and _has_effect(SEED.name, form)),
            *[_offered(name, form) for name in form.parameters],
        ]

    # The whole form at once; each answers for the form and for what `AFTER` counts ---------------------------

    async def example(self, composed: str, event: gr.EventData, *flat: Any) -> list[Update]:
        """A ready example into the page; it spends nothing by itself."""
        chosen = self._examples.get(str(event.example))
        if chosen is None:
            return nothing_filled(flat)
        references = [await self._ready(n, path, role) for n, (path, role) in enumerate(chosen.references, start=1)]
        roles = [reference.role for reference in references]
        names = [path.name for path, _ in chosen.references]
        cards = [_card(reference, name) for reference, name in zip(references, names, strict=True)]
        prompt = compose(self._presets[chosen.preset], roles, REGISTRY[chosen.variant_id].noun)
        hashes = tuple((reference.sha256, role) for reference, role in zip(references, roles, strict=True))
        recipe = Recipe(chosen.variant_id, prompt, {}, None, 1, chosen.preset, hashes)
        return self._filled(Form.read(flat), composed, recipe, cards)

    def restored(self, recipe: Recipe, runs: Sequence[Run], composed: str, *flat: Any) -> list[Update]:
        """Every input of a recipe that fits, seed included; references come back where these runs have them.

        Hashes travel in files that people share, so the runs must be the visitor's own.
        """
        return self._restored([recipe], runs, composed, flat)

    def restored_comparison(self, board: Board, composed: str, *flat: Any) -> list[Update]:
        """The same of a comparison: what was compared, and the parameters of each variant in it."""
        # One cell of each variant, of the row that comes first; with leave one out that has all references.
        firsts = {place_of(run)[0]: run for run in reversed(board.cells)}
        recipes = [firsts[id].recipe for id in REGISTRY if id in firsts]
        if board.axis == "seeds":  # each has one of its own, among what is compared
            recipes = [replace(recipe, seed=None) for recipe in recipes]
        return self._restored(recipes or [board.first.recipe], board.runs, composed, flat, compare_of(board))

    def _restored(
        self,
        recipes: Sequence[Recipe],
        runs: Sequence[Run],
        composed: str,
        flat: Sequence[Any],
        compare: Compare | None = None,
    ) -> list[Update]:
        form = Form.read(flat)
        recipe, left_out = self._together(recipes, form.variant_id)
        said = [f"Some of it doesn't fit and was left out: {', '.join(left_out)}."] if left_out else []
        mine = {reference.sha256: (run.id, reference) for run in runs for reference in run.references}
        found = [self._again(mine.get(sha256), role) for sha256, role in recipe.references]
        cards = [_card(held, f"reference {n}") for n, held in enumerate(found, start=1) if held]
        if missing := found.count(None):
            said.append(f"References that are not among your runs any more: {missing}. Add them again.")
        numbers = iter(range(1, len(found) + 1))
        moves = {n: next(numbers) if held else None for n, held in enumerate(found, start=1)}
        recipe = replace(recipe, prompt=renumber(recipe.prompt, moves))
        if compare:
            wordings = tuple(renumber(wording, moves) for wording in compare.wordings)
            compare = compare.model_copy(update={"wordings": wordings})
        return self._filled(form, composed, recipe, cards, note=" ".join(said), compare=compare)

    def _together(self, recipes: Sequence[Recipe], variant_id: str) -> tuple[Recipe, list[str]]:
        """The first of these with what fits of any of them, each its own variant; and in words what was left out."""
        fitted = [fit(recipe, self._presets, variant_id) for recipe in recipes]
        left_out = dict.fromkeys(words for _, told in fitted for words in told)
        values = {name: value for recipe, _ in reversed(fitted) for name, value in recipe.values.items()}
        seed = next((recipe.seed for recipe, _ in fitted if recipe.seed is not None), None)
        return replace(fitted[0][0], values=values, seed=seed), list(left_out)

    def _again(self, mine: tuple[str, Reference] | None, role: str | None) -> Reference | None:
        """A reference of the visitor's own run as a card, whose address goes with that run."""
        shown = self._served.card(mine[1], mine[0]) if mine else None
        return replace(shown, role=role) if shown else None

    async def drafted(self, text: str, *flat: Any) -> list[Update]:
        """A page opens: what was set in this browser before, as far as it fits; nothing where that is nothing."""
        draft = read(text)
        if draft is None:
            return nothing_filled(flat)
        cards = await asyncio.to_thread(draft.held, self._served.reference)
        now = Form.read(flat)
        form = draft.form(cards, len(now.fields))
        compared = [replace(form, variant_id=variant.id) for variant in form.variants] if form.compare.on else []
        recipe, _ = self._together([recipe_of(each) for each in (form, *compared)], next(iter(REGISTRY)))
        recipe = replace(recipe, prompt=draft.prompt)
        return self._filled(now, "", recipe, cards, form.fields, compare=form.compare)

    def start_over(self, composed: str, *flat: Any) -> list[Update]:
        """Everything as on the first visit; own words can be had back."""
        blank = Recipe(next(iter(REGISTRY)), "", {}, None, 1, None, ())
        return self._filled(Form.read(flat), composed, blank, [], compare=Compare())

    def _filled(
        self,
        form: Form,
        composed: str,
        recipe: Recipe,
        cards: list[Card],
        fields: Sequence[str] | None = None,
        note: str = "",
        compare: Compare | None = None,
    ) -> list[Update]:
        """The form set anew, in the order of `Form.flat`; `note` is what is to be said of it. Nothing is compared any
        more, unless `compare` says so: what a recipe brings is one run.
        """
        preset = self._presets.get(recipe.preset or "")
        variant = REGISTRY[recipe.variant_id]
        variants = [REGISTRY[id] for id in compare.variants] if compare and compare.on else [variant]
        widest = _widest(variants)
        defaults = _defaults(preset, form)
        dealt = replace(form, variant_id=variant.id, cards=cards, fields=defaults if fields is None else fields)
        by_itself = composed_for(dealt, preset) if preset else composed_in(recipe.prompt, dealt)
        # A recipe does not keep a preset's fields: their boxes are there only where the words come from their defaults.
        follows = by_itself == recipe.prompt or fields is not None
        values = {**recipe.values, SEED.name: recipe.seed}
        shape, width, height = _shape_of(values)
        own = has_own_words(form, composed)
        *boxes, instead = _boxes(preset if follows else None, dealt)
        return [
            gr.update(
                value=cards,
                deal=list(preset.required) if preset else [],
                limit=widest.reference_limit,
                variant=widest.name,
            ),
            preset.id if preset else None,
            compare or form.compare.model_copy(update={"on": False}),
            *boxes,
            recipe.prompt,
            variant.id,
            recipe.pictures,
            gr.update(choices=shapes(*variants), value=shape),
            width or gr.skip(),
            height or gr.skip(),
            *[_shown(name, values.get(name), _row(name, variant, variants)) for name in form.parameters],
            by_itself if follows or not preset else "",
            order_of(dealt),
            variant.id,
            Kept.of(form, composed) if own else gr.skip(),
            gr.update(visible=True) if own else gr.skip(),
            gr.update(value=note, visible=bool(note)),
            instead,
            held(recipe.seed, *variants),
        ]

    def code(self, address: object, *flat: Any) -> dict[str, Any]:
        """The inputs as code, or what is still missing; `address` is where the page says that it is."""
        form = Form.read(flat)
        variant = REGISTRY[form.variant_id]
        try:
            if form.compare.on:
                asked = form.prompt, len(form.cards), list(form.compare.variants), form.compared()
                plan(*asked, lambda: 0)
                return {"code": comparison_snippets(*asked, str(address)[:PATH_CHARACTERS])}
            inputs = check(variant.id, form.prompt, len(form.cards), form.values(variant), lambda: -1)
        except InputError as error:
            return {"note": f"The code appears here once the inputs are complete. {error.happened}"}
        return {"code": snippets(inputs, self._base_url)}


def nothing_filled(flat: Sequence[Any]) -> list[Update]:
    """The form and what is behind it, left as they are."""
    return [gr.skip()] * (len(flat) + AFTER)


def shapes(*variants: Variant) -> list[tuple[str, str]]:
    """The choices of the shape picker for these variants, as (label, value)."""
    sized = [variant for variant in variants if variant.parameter(SIZE.name)]
    whose = f" · only {_names(sized)}" if 0 < len(sized) < len(variants) else ""
    labels = [
        (f"{ratio} · {size_for(ratio).replace('*', ' × ')}" if sized and not whose else ratio, ratio)
        for ratio in ASPECT_RATIOS
    ]
    return [("Auto", AUTO), *labels, *([(f"Custom size{whose}", OWN)] if sized else [])]


def recipe_in(file: Path) -> Recipe | None:
    """The recipe that a picture file carries, if any."""
    return extract(file.read_bytes()) if file.stat().st_size <= MAX_BYTES else None


def _there(found: Reference | None, number: int) -> Reference:
    if found is None:
        raise ReferenceRejected(number, "is no longer here.", "Remove it and add it again.")
    return found


def _card(shown: Reference, name: str) -> Card:
    return Card(image=file_data(shown.path), name=name, role=shown.role)  # type: ignore[arg-type]


def _defaults(preset: Preset | None, form: Form) -> list[str]:
    """What the boxes hold before anybody types."""
    defaults = [field.default for field in preset.fields] if preset else []
    return defaults + [""] * (len(form.fields) - len(defaults))


def _boxes(preset: Preset | None, form: Form) -> list[Update]:
    """The preset's fields in their boxes, and the line about those whose place a reference takes."""
    fields = preset.fields if preset else ()
    *shown, instead = _idle(preset, form)
    told = [
        {**box, **gr.update(label=field.label, placeholder=field.help, value=value)}
        for field, box, value in zip(fields, shown, form.fields, strict=False)
    ]
    empty = gr.update(value="", visible=False)
    return told + [empty] * (len(form.fields) - len(told)) + [instead]


def _idle(preset: Preset | None, form: Form) -> list[Update]:
    """Which fields have an effect just now, and a line for each whose place a reference has taken."""
    fields = preset.fields if preset else ()
    idle = idle_fields(preset, form.roles, fields_of(form, preset)) if preset else {}
    lines = [
        f"<p><b>{escape(field.label)}</b> is taken from {numbered('picture', idle[field.id])}.</p>"
        for field in fields
        if idle.get(field.id)
    ]
    boxes = [gr.update(visible=field.id not in idle) for field in fields]
    return boxes + [gr.skip()] * (len(form.fields) - len(boxes)) + ["".join(lines)]


def _untouched(name: str, value: Any, variant: Variant) -> bool:
    row = variant.parameter(name)
    return value is None or row is None or value == row.default


def _called(name: str, variant: Variant) -> str:
    """A parameter's label inside a sentence."""
    row = variant.parameter(name)
    label = row.label if row else name
    return f"“{label}”" if " " in label else label.lower()


def _is_lost(name: str, value: Any, old: Variant, new: Variant) -> bool:
    return new.parameter(name) is None and not _untouched(name, value, old)


def _carried(name: str, value: Any, old: Variant) -> Any:
    """What a person set, or None where the new variant's own default may take its place."""
    return None if _untouched(name, value, old) and old.parameter(name) else value


def _row(name: str, first: Variant, variants: Sequence[Variant]) -> Parameter | None:
    """The parameter as the page lays it out where any of these has it."""
    any_has = any(variant.parameter(name) for variant in variants)
    return first.parameter(name) or (plain_parameters()[name] if any_has else None)


def _shown(name: str, value: Any, row: Parameter | None) -> Update:
    if row is None:
        return gr.update(visible=False)
    # An empty box says "a new seed each time" without a code word.
    default = None if name == SEED.name else row.default
    return gr.update(visible=True, value=default if value is None else value)


def _offered(name: str, form: Form) -> Update:
    """The parameter where any of the form's variants has it; with who has it, where not all have."""
    having = [variant for variant in form.variants if variant.parameter(name)]
    whose = f" Only {_names(having)}." if having and len(having) < len(form.variants) else ""
    return gr.update(visible=_has_effect(name, form), info=explained(plain_parameters()[name]) + whose)


def _has_effect(name: str, form: Form) -> bool:
    """Whether any of the form's variants has the parameter; where seeds are compared, theirs take the one's place."""
    by_axis = name == SEED.name and form.compare.on and form.compare.axis == "seeds"
    return not by_axis and any(variant.parameter(name) for variant in form.variants)


def explained(row: Parameter) -> str:
    """What stands under a parameter's label."""
    return f"{row.help} ({row.name})"


def _names(variants: Sequence[Variant]) -> str:
    return listed([variant.name for variant in variants])


def _widest(variants: Sequence[Variant]) -> Variant:
    """The one that takes the most references; while none is chosen, of all."""
    return max(variants or REGISTRY.values(), key=lambda variant: variant.reference_limit)


def held(seed: Any, *variants: Variant) -> Update:
    """The chip beside Generate, there while a seed is held that one of them takes: else it would be forgotten."""
    given = seed is not None and any(variant.parameter(SEED.name) for variant in variants)
    return gr.update(value=f"Same seed as before: {seed} ×" if given else "", visible=given)


def _unless_it_is(value: Any, update: Update) -> Update:
    """The update without a value that the control has already: the person may be setting another one meanwhile."""
    return {name: part for name, part in update.items() if name != "value" or part != value}


def _shape_of(values: Mapping[str, Any]) -> tuple[str, int | None, int | None]:
    """The shape picker's value for sent values, and width and height where it is OWN."""
    if ASPECT_RATIO.name in values:
        return values[ASPECT_RATIO.name], None, None
    size = str(values.get(SIZE.name) or "")
    ratio = next((ratio for ratio in ASPECT_RATIOS if size_for(ratio) == size), None)
    edges = parse_size(size)
    return (OWN, *edges) if edges and not ratio else (ratio or AUTO, None, None)
