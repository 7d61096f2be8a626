"""The result side of the page: one run, watched. Turns a run into what the page shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import gradio as gr

from core.catalog.estimate import dollars, in_micros
from core.catalog.inputs import parse_size
from core.catalog.variants import REGISTRY
from core.errors import KontextError, PriceRose
from core.ledger.record import NOT_SENT
from core.ledger.run import Output, Run, Trouble
from core.pictures.recipe import embed
from core.pictures.served import ServedFiles
from core.prompts.presets import ROLES
from core.runs.exports import missing
from core.service.account import AccountKind
from ui.files import file_data
from ui.studio.make_with import offers
from ui.studio.payer import charged

_HERE = Path(__file__).parent

Seen = dict[str, Any]  # what the page shows of a run, or of a comparison

# What the person sees of the states on the way.
_STAGES = {
    "Uploading": ("preparing", "uploading"),
    "Generating": ("submitting", "waiting"),
    "Downloading": ("downloading",),
}


class ResultView(gr.HTML):
    """Shows one run, or a welcome while there is none. `examples` are offered in the welcome; `strip` tells of
    runs that go on unseen; `offer` is a file to download.
    """

    def __init__(
        self,
        examples: Sequence[dict[str, Any]] = (),
        *,
        strip: Sequence[dict[str, Any]] = (),
        offer: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(
            value=None,
            html_template=(_HERE / "result.html").read_text(),
            css_template="\n".join((_HERE / name).read_text() for name in ("result.css", "board.css")),
            js_on_load="\n".join((_HERE / name).read_text() for name in ("board.js", "result.js")),
            apply_default_css=False,
            examples=list(examples),
            strip=list(strip),
            offer=offer,
            **rest,
        )
        # Else Gradio takes these names for events, since the script mentions them.
        self.strip, self.offer = list(strip), offer

    def postprocess(self, value: dict[str, Any] | None) -> Any:
        return value

    def preprocess(self, payload: Any) -> None:
        """Nothing comes back from here: the page only shows it."""


def view_of(run: Run, served: ServedFiles) -> Seen:
    """What the page shows of a run. Blocking: it gives its pictures their addresses."""
    variant = REGISTRY.get(run.variant_id)
    here, gone = on_the_disk(run, served)
    lost = [Trouble(sentence, "yes", "") for sentence in gone]
    return {
        "id": run.id,
        "name": run.label.name,
        "favourite": run.label.favourite,
        "finished": run.finished or run.keyless,
        "unsent": run.finished and all(prediction.status == NOT_SENT for prediction in run.predictions),
        "stages": _stages(run),
        "seconds": run.seconds,
        "expected_seconds": run.expected_seconds,
        "notice": run.notice,
        "shape": _shape(run),
        "one_seed": len(run.predictions) < 2,
        "awaited": 0 if run.finished or run.keyless else run.pictures - len(run.outputs),
        "pictures": [
            {
                "number": output.number,
                "image": file_data(file),
                "with_recipe": _with_recipe(run, output, served) if run.finished else None,
                "name": output.path.name,
                "alt": f"Picture {output.number} by {variant_name(run)}: {run.prompt[:120]}",
                "width": output.width,
                "height": output.height,
                "seed": output.seed,
            }
            for output, file in here.items()
        ],
        "troubles": _troubles([*run.troubles, *lost], run.account_kind),
        **_bill(run),
        "resume": "Check again" if run.resumable else "",
        "references": references(run, served),
        "made": _made(run),
        "with": offers(run) if run.outputs else [],
        "again": [variant.id, run.pictures] if variant else None,
    }


def on_the_disk(run: Run, served: ServedFiles) -> tuple[dict[Output, Path], list[str]]:
    """Where the page finds each of its pictures, and a sentence for each that is gone."""
    shown = {output: served.show(run.id, output.path) for output in run.outputs}
    here = {output: file for output, file in shown.items() if file}
    return here, [missing(output) for output in run.outputs if output not in here]


def variant_name(run: Run) -> str:
    """As the registry has it; the bare id of one that it no longer has."""
    variant = REGISTRY.get(run.variant_id)
    return variant.name if variant else run.variant_id


def _with_recipe(run: Run, output: Output, served: ServedFiles) -> dict[str, Any] | None:
    """The same picture with the run's recipe in its metadata; not a pixel differs. Made once."""
    name = f"with-recipe/{output.path.name}"
    try:
        file = served.find(run.id, name) or served.put(
            run.id, name, embed(output.path.read_bytes(), run.recipe), output.path
        )
    except OSError:
        return None
    return file_data(file) if file else None


def strip_entry(run: Run, served: ServedFiles) -> dict[str, Any]:
    """A run as the strip of recent ones shows it. Blocking, like `view_of`."""
    here, _ = on_the_disk(run, served)
    count = len(run.outputs)
    made = f"{count} {'picture' if count == 1 else 'pictures'}" if count else "Not made"
    said = made if run.finished else "In progress"
    thumb = file_data(next(iter(here.values())))["url"] if here else None
    return {
        "id": run.id,
        "thumb": thumb,
        "going": not run.finished,
        "said": f"{said}: {run.label.name or run.prompt[:60]}",
        **_bill(run),
    }


def references(run: Run, served: ServedFiles) -> list[dict[str, Any]]:
    """What it was made from, as far as that is still on the disk."""
    shown = [(number, held, served.show(run.id, held.path)) for number, held in enumerate(run.references, start=1)]
    return [
        {"image": file_data(file), "role": _role(held.role), "label": f"Reference {number}"}
        for number, held, file in shown
        if file
    ]


def _made(run: Run) -> dict[str, str]:
    """What the run was made of, as rows of a label and a value."""
    variant = REGISTRY.get(run.variant_id)
    rows = {"Prompt": run.prompt, "Variant": variant_name(run), "Pictures": str(run.pictures)}
    rows |= {"Seed": str(run.seed)} if run.seed is not None else {}
    for name, value in run.values.items():
        row = variant.parameter(name) if variant else None
        rows[row.label if row else name] = str(value)
    return rows


def _role(role: str | None) -> str:
    known = ROLES.get(role or "")
    return known.label if known else ""


def refusal(error: KontextError) -> list[Seen]:
    """A press that was refused, as a run's troubles are said."""
    return _troubles([Trouble(error.happened, error.charged, error.advice)])


def view_of_refusal(error: KontextError) -> Seen:
    """What the page shows when a run never started; `rose`: the new price, in millionths of a dollar."""
    return {
        "id": "",
        "finished": True,
        "unsent": True,
        "stages": [],
        "notice": "",
        "awaited": 0,
        "pictures": [],
        "troubles": refusal(error),
        "rose": in_micros(error.price) if isinstance(error, PriceRose) else None,
        "receipt": [],
        "unbilled": False,
        "resume": "",
        "references": [],
        "made": {},
        "with": [],
        "again": None,
    }


def _bill(run: Run) -> dict[str, Any]:
    """The receipt, and whether it may still change."""
    return {"receipt": receipt(run), "unbilled": unbilled(run)}


def unbilled(run: Run) -> bool:
    """Whether the service may still tell what it really charged."""
    owed = run.finished and run.account_kind != "sandbox" and bool(run.charge)
    return owed and run.charge_source != "billing"


def receipt(run: Run) -> list[str]:
    """A finished run in a line: variant, what it cost, time, seed; of any other, what is known: the variant."""
    if not run.finished:
        return [variant_name(run)]
    parts = [variant_name(run), *cost(run), f"{run.seconds:.1f} s"]
    if run.seed is not None:
        parts.append(f"seed {run.seed}")
    return parts


def cost(run: Run, *, short: bool = False) -> list[str]:
    """What a finished run cost; `short` where it stands beside many others that are free alike."""
    charge = run.charge if run.charge is not None else Decimal(0)
    if run.account_kind == "sandbox":
        price = f"{dollars(charge)} with a key" if charge else "with a key too"
        return [(price if charge else "Free") if short else f"Free · {price}"]
    estimated = [] if charge == run.estimate else [f"estimated {dollars(run.estimate)}"]
    match run.charge_source:
        case "billing":
            return [*estimated, f"Charged {dollars(charge)}"]
        case "quote":
            return [*estimated, f"Charged {dollars(charge)} (quoted price)"]
        case "estimate":
            return [f"Charged {dollars(charge)} (our estimate)"]
        case None:
            return [*estimated, "Nothing charged"]


def _stages(run: Run) -> list[dict[str, str]]:
    current = next((i for i, states in enumerate(_STAGES.values()) if run.state in states), len(_STAGES))
    word = ["done" if i < current else "now" if i == current else "todo" for i in range(len(_STAGES))]
    return [{"name": name, "state": state} for name, state in zip(_STAGES, word, strict=True)]


def _shape(run: Run) -> str:
    size = parse_size(str(run.values.get("size", "")))
    if size:
        return f"{size[0]}/{size[1]}"
    if "aspect_ratio" in run.values:
        return str(run.values["aspect_ratio"]).replace(":", "/")
    first = next((r for r in run.references if r.width and r.height), None)
    return f"{first.width}/{first.height}" if first else "1/1"


def _troubles(troubles: Sequence[Trouble], kind: AccountKind | None = None) -> list[dict[str, Any]]:
    """The same facts are said once, with every prediction that they are true of."""
    ids: dict[Trouble, list[str]] = {}
    for trouble in troubles:
        ids.setdefault(replace(trouble, prediction_id=None), []).extend(filter(None, [trouble.prediction_id]))
    return [
        {
            "happened": t.happened,
            "charged": charged(t.charged, kind, answer=True),
            "advice": t.advice,
            "prediction_ids": found,
        }
        for t, found in ids.items()
    ]
