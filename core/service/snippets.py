"""The current inputs as code that a person can run elsewhere, sending what the app would send."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.catalog.inputs import Inputs
from core.service.prediction import TERMINAL

_URL = "\x00{}\x00"  # stands for the URL that reference {} will have; no text a person types contains it


def snippets(inputs: Inputs, base_url: str) -> dict[str, str]:
    """The code by language. References are the files reference-1.jpg, …; the key is read from the environment."""
    return {
        "Python": _python(inputs),
        "JavaScript": _javascript(inputs),
        "curl": _curl(inputs, base_url),
    }


def comparison_snippets(
    prompt: str, reference_count: int, variant_ids: Sequence[str], values: Mapping[str, Any], app_url: str
) -> dict[str, str]:
    """The same for a comparison, which the app itself makes."""
    rows = [f"        {name!r}: {value!r}," for name, value in values.items()]
    lines = [
        "# pip install gradio_client; paid as this app pays for programs",
        "from gradio_client import Client, handle_file",
        "",
        f"studio = Client({app_url!r})",
        "answer = studio.predict(",
        f"    {prompt!r},",
        f"    [handle_file(path) for path in {_files(reference_count)!r}],",
        f"    {list(variant_ids)!r},",
        "    {",
        *rows,
        "    },",
        "    api_name='/compare',",
        ")",
        "for cell in answer['cells']:",
        "    print(cell['variant_id'], cell['seed'], *cell['run']['outputs'])",
        "",
    ]
    return {"Python": "\n".join(lines)}


def _files(count: int) -> list[str]:
    return [f"reference-{number}.jpg" for number in range(1, count + 1)]


def _bodies(inputs: Inputs, urls: list[str]) -> list[dict[str, Any]]:
    return [inputs.payload(urls, seed) for seed in inputs.seeds]


def _shared(inputs: Inputs) -> dict[str, Any]:
    """What all the bodies have in common, references apart."""
    first, *others = _bodies(inputs, [])
    return {name: value for name, value in first.items() if name != "images" and all(o[name] == value for o in others)}


def _python(inputs: Inputs) -> str:
    rows = [f"    {name!r}: {value!r}," for name, value in _shared(inputs).items()]
    lines = [
        "# pip install wavespeed; the key is read from WAVESPEED_API_KEY",
        "import wavespeed",
        "",
        f"images = [wavespeed.upload(path) for path in {_files(inputs.reference_count)!r}]",
        "inputs = {",
        *rows,
        "    'images': images,",
        "}",
    ]
    run = f"wavespeed.run({inputs.variant.model_id!r}, "
    if len(inputs.seeds) == 1:
        lines += [f"outputs = {run}inputs)['outputs']"]
    elif inputs.seed is None or inputs.seed == -1:
        lines += [f"outputs = [{run}inputs)['outputs'][0] for _ in range({len(inputs.seeds)})]"]
    else:
        seeds = list(inputs.seeds)
        lines += [f"outputs = [{run}inputs | {{'seed': seed}})['outputs'][0] for seed in {seeds}]"]
    return "\n".join([*lines, "print(*outputs, sep='\\n')", ""])


def _javascript(inputs: Inputs) -> str:
    body = json.dumps(_shared(inputs), ensure_ascii=False, indent=2)
    files = json.dumps(_files(inputs.reference_count))
    lines = [
        "// npm install wavespeed; the key is read from WAVESPEED_API_KEY",
        "const { Client } = require('wavespeed');",
        "const client = new Client(process.env.WAVESPEED_API_KEY);",
        "",
        "async function main() {",
        f"  const images = await Promise.all({files}.map((path) => client.upload(path)));",
        f"  const inputs = {{ ...{_indented(body)}, images }};",
    ]
    run = f"client.run({json.dumps(inputs.variant.model_id)}, "
    if len(inputs.seeds) == 1:
        lines += [f"  const results = [await {run}inputs)];"]
    elif inputs.seed is None or inputs.seed == -1:
        count = len(inputs.seeds)
        lines += [f"  const results = await Promise.all(Array.from({{ length: {count} }}, () => {run}inputs)));"]
    else:
        seeds = json.dumps(list(inputs.seeds))
        lines += [f"  const results = await Promise.all({seeds}.map((seed) => {run}{{ ...inputs, seed }})));"]
    return "\n".join([*lines, "  for (const { outputs } of results) console.log(...outputs);", "}", "main();", ""])


def _curl(inputs: Inputs, base_url: str) -> str:
    api = f"{base_url}/api/v3"
    auth = '-H "Authorization: Bearer $WAVESPEED_API_KEY"'
    # In parentheses, an upload that fails ends the snippet before anything is paid for, and leaves the terminal open.
    lines = ["# needs jq; the key is read from WAVESPEED_API_KEY", "(", "set -eo pipefail"]
    for number, file in enumerate(_files(inputs.reference_count), start=1):
        upload = f"curl -sSf {api}/media/upload/binary {auth} -F file=@{file}"
        lines.append(f"url{number}=$({upload} | jq -er .data.download_url)")
    urls = [_URL.format(number) for number in range(1, inputs.reference_count + 1)]
    ended = ", ".join(json.dumps(status) for status in sorted(TERMINAL))
    for body in _bodies(inputs, urls):
        text = json.dumps(body, ensure_ascii=False, indent=2).replace("'", "'\\''")
        for number, url in enumerate(urls, start=1):
            text = text.replace(json.dumps(url)[1:-1], f"'\"$url{number}\"'")
        submit = f"curl -sSf {api}/{inputs.variant.model_id} {auth} -H 'Content-Type: application/json' -d '{text}'"
        result = f"curl -sSf {api}/predictions/$id/result {auth} | tee result.json"
        lines += [
            "",
            f"id=$({submit} | jq -er .data.id)",
            f"until {result} | jq -e '.data.status | IN({ended})' > /dev/null; do sleep 2; done",
            "jq -r '.data.outputs[], .data.error' result.json",
        ]
    return "\n".join([*lines, ")", ""])


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
