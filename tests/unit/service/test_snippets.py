"""The code examples are run as a person would run them, and send what the app would send."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import playwright
import pytest
import wavespeed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from serving import Served

from core.catalog.inputs import Inputs, check
from core.catalog.variants import REGISTRY
from core.service.prediction import TERMINAL
from core.service.snippets import snippets

KEY = "wsk_reader_of_the_code"
SERVICE = "https://api.wavespeed.ai"
# The node that Playwright drives browsers with: it is there wherever these tests can run.
NODE = Path(playwright.__file__).parent / "driver" / "node"

RUNS = [
    pytest.param(variant_id, pictures, seed, id=f"{variant_id}-{pictures}-{'seed' if seed else 'none'}")
    for variant_id in REGISTRY
    for pictures in (1, 2, 3)
    for seed in (2147483646, None)
    if seed is None or REGISTRY[variant_id].parameter("seed")
]

NASTY = [
    """She said "it's over", and 'left'""",
    "two\nlines\r\n\tand a tab",
    "$HOME ${PATH} $(date) `date` !! %s %(x)s {0} {{x}}",
    "back\\slash \\n \\u0041 \\' \\\" \\",
    "猫 и кот, 🐈‍⬛, ñ, \u2028 \u2029 \u00a0 \u200b",
    "</script><!-- */ // # --",
    "'; echo pwned; '",
    "''' \"\"\" ```",
    "\\u00001\\u0000 and a\x07bell",
    "-d @/etc/passwd",
    "@file",
]


def inputs_for(
    variant_id: str, pictures: int = 1, seed: int | None = None, prompt: str = "x", count: int = 2
) -> Inputs:
    values: dict[str, Any] = {"num_images": pictures}
    if seed is not None:
        values["seed"] = seed
    if REGISTRY[variant_id].parameter("aspect_ratio"):
        values["aspect_ratio"] = "16:9"
    return check(variant_id, prompt, count, values, lambda: -1)


def expected(inputs: Inputs, urls: list[str]) -> list[tuple[str, Any]]:
    return [(inputs.variant.model_id, inputs.payload(urls, seed)) for seed in inputs.seeds]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the reader's own pictures in it."""
    folder = tmp_path_factory.mktemp("desk")
    for number in range(1, 6):
        Image.new("RGB", (64, 48), (40 * number, 90, 90)).save(folder / f"reference-{number}.jpg")
    return folder


@pytest.fixture
def reader(served: Served, desk: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Somebody with a key, the official client, and the sandbox in place of the service."""
    served.submits.clear()
    monkeypatch.chdir(desk)
    monkeypatch.setattr(wavespeed.api, "_default_client", wavespeed.Client(KEY, served.url))
    return served


def sent_by(reader: Served, inputs: Inputs) -> list[tuple[str, Any]]:
    """What arrived, after checking that it carries as many uploads of the reader's as there are references."""
    for _, body in reader.submits:
        assert len(set(body["images"])) == inputs.reference_count
        assert all(url.startswith(f"{reader.url}/storage/") for url in body["images"])
    return reader.submits


# Python -----------------------------------------------------------------------------------------------


def run_python(inputs: Inputs) -> None:
    exec(compile(snippets(inputs, SERVICE)["Python"], "snippet.py", "exec"), {})


@pytest.mark.parametrize(("variant_id", "pictures", "seed"), RUNS)
def test_the_python_code_sends_what_the_app_would(
    reader: Served, capsys: pytest.CaptureFixture[str], variant_id: str, pictures: int, seed: int | None
) -> None:
    """With the official client: the same submits in the same order, and a picture printed for each asked for."""
    inputs = inputs_for(variant_id, pictures, seed)
    run_python(inputs)
    sent = sent_by(reader, inputs)
    assert sent == expected(inputs, sent[0][1]["images"])
    printed = capsys.readouterr().out.split()
    assert len(set(printed)) == pictures
    assert all(url.startswith(reader.url) for url in printed)


@pytest.mark.parametrize("count", [1, 5])
def test_the_python_code_uploads_in_order(reader: Served, count: int) -> None:
    """The first reference is the first file, however many there are."""
    run_python(inputs_for("pro", count=count))
    assert [url.rsplit("/", 1)[-1] for url in reader.submits[0][1]["images"]] == [
        f"reference-{number}.jpg" for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("prompt", NASTY)
def test_the_python_code_sends_any_prompt(reader: Served, prompt: str) -> None:
    """Quotes, line breaks and every script arrive as they were typed."""
    inputs = inputs_for("dev", prompt=prompt)
    run_python(inputs)
    assert reader.submits[0][1]["prompt"] == inputs.prompt


@given(st.text().filter(str.strip))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings.default.max_examples // 4)
def test_the_python_code_sends_whatever_was_typed(reader: Served, prompt: str) -> None:
    """Any text at all."""
    inputs = inputs_for("max", prompt=prompt, count=1)
    run_python(inputs)
    assert reader.submits[-1][1]["prompt"] == inputs.prompt


# JavaScript -------------------------------------------------------------------------------------------

# Stands for the official package, which is no part of this project: its Client, as far as the code uses it.
PACKAGE = """
const calls = [];
class Client {
  constructor(key) { if (key !== "%s") throw new Error("no key"); }
  async upload(path) { return "https://files.example/" + path; }
  async run(model, input) { return { outputs: ["https://files.example/out" + calls.push([model, input])] }; }
}
const module = { Client };
require = (name) => { if (name !== "wavespeed") throw new Error(name); return module; };
process.on("exit", () => console.error(JSON.stringify(calls)));
"""


def run_javascript(inputs: Inputs) -> tuple[list[tuple[str, Any]], list[str]]:
    """The calls that the code makes of the package, and what it prints."""
    code = snippets(inputs, SERVICE)["JavaScript"]
    program = f"{PACKAGE % KEY};(() => {{\n{code}\n}})();"
    done = subprocess.run(
        [NODE, "--input-type=commonjs", "-"],
        input=program,
        env={"WAVESPEED_API_KEY": KEY},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [(model, body) for model, body in json.loads(done.stderr)], done.stdout.split()


@pytest.mark.parametrize(("variant_id", "pictures", "seed"), RUNS)
def test_the_javascript_code_sends_what_the_app_would(variant_id: str, pictures: int, seed: int | None) -> None:
    """The same inputs for the same models, and every output printed."""
    inputs = inputs_for(variant_id, pictures, seed)
    calls, printed = run_javascript(inputs)
    urls = [f"https://files.example/reference-{number}.jpg" for number in (1, 2)]
    assert calls == expected(inputs, urls)
    assert len(printed) == len(calls)


@pytest.mark.parametrize("prompt", NASTY)
def test_the_javascript_code_sends_any_prompt(prompt: str) -> None:
    """Quotes, line breaks, dollar signs and every script arrive as they were typed."""
    inputs = inputs_for("dev", prompt=prompt)
    ((_, body),) = run_javascript(inputs)[0]
    assert body["prompt"] == inputs.prompt


# curl -------------------------------------------------------------------------------------------------

# In place of the two programs, so that a shell alone is enough: curl writes down what it is told, jq answers "done".
STAND_INS = """
curl() { printf '%s\\0' "$@" >> told; printf '\\0' >> told; }
jq() { cat > /dev/null; echo "https://files.example/a b*$((RANDOM % 10))?c=1"; }
"""


def run_shell(script: str, desk: Path, key: str = KEY) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "WAVESPEED_API_KEY": key}
    return subprocess.run(
        ["bash", "-s"], input=script, cwd=desk, env=env, capture_output=True, encoding="utf-8", timeout=120
    )


def told(desk: Path, inputs: Inputs) -> list[list[str]]:
    """The arguments of each call of curl that the code makes."""
    (desk / "told").unlink(missing_ok=True)
    done = run_shell(STAND_INS + snippets(inputs, SERVICE)["curl"], desk)
    assert (done.returncode, done.stderr) == (0, "")
    calls = (desk / "told").read_text("utf-8").removesuffix("\0\0").split("\0\0")
    return [call.split("\0") for call in calls]


def bodies(calls: list[list[str]]) -> list[Any]:
    return [json.loads(call[call.index("-d") + 1]) for call in calls if "-d" in call]


@pytest.mark.parametrize(("variant_id", "pictures", "seed"), RUNS)
def test_the_curl_code_says_what_the_app_would(desk: Path, variant_id: str, pictures: int, seed: int | None) -> None:
    """Each submit to its model with its body; the key goes to every call of the API, from the environment."""
    inputs = inputs_for(variant_id, pictures, seed)
    calls = told(desk, inputs)
    found = bodies(calls)
    urls = found[0]["images"]
    assert all(url.startswith("https://files.example/a b*") for url in urls)
    assert found == [inputs.payload(urls, seed) for seed in inputs.seeds]
    submits = [call for call in calls if "-d" in call]
    assert all(f"{SERVICE}/api/v3/{inputs.variant.model_id}" in call for call in submits)
    assert all(f"Authorization: Bearer {KEY}" in call for call in calls)
    assert KEY not in snippets(inputs, SERVICE)["curl"]


@pytest.mark.parametrize("prompt", NASTY)
def test_the_curl_code_says_any_prompt(desk: Path, prompt: str) -> None:
    """The shell changes nothing of it and runs nothing of it."""
    inputs = inputs_for("dev", prompt=prompt)
    (body,) = bodies(told(desk, inputs))
    assert body["prompt"] == inputs.prompt


@pytest.mark.parametrize("word", sorted(TERMINAL))
def test_the_curl_code_stops_at_every_end(word: str) -> None:
    """A prediction that ended otherwise than well is not asked for forever."""
    assert f'"{word}"' in snippets(inputs_for("pro"), SERVICE)["curl"]


def test_the_curl_code_asks_the_host_that_the_app_asks() -> None:
    """Another base URL stands in every call."""
    code = snippets(inputs_for("pro"), "http://127.0.0.1:8787")["curl"]
    assert "http://127.0.0.1:8787/api/v3/" in code
    assert SERVICE not in code


def test_an_upload_that_fails_ends_the_curl_code(desk: Path) -> None:
    """Nothing is submitted, and so nothing paid for, without its references."""
    script = "curl() { echo told >> calls; return 22; }\njq() { cat > /dev/null; }\n"
    done = run_shell(script + snippets(inputs_for("pro"), SERVICE)["curl"] + "echo still here\n", desk)
    assert (desk / "calls").read_text().split() == ["told"]
    assert done.stdout.split() == ["still", "here"]


@pytest.mark.parametrize("variant_id", list(REGISTRY) if shutil.which("curl") and shutil.which("jq") else ["pro"])
def test_the_curl_code_runs(reader: Served, desk: Path, variant_id: str) -> None:
    """With the real programs, where the computer has them, against the sandbox: pictures come back."""
    inputs = inputs_for(variant_id, pictures=2, prompt=NASTY[0])
    code = snippets(inputs, reader.url)["curl"]
    if not (shutil.which("curl") and shutil.which("jq")):
        assert run_shell(f"set -n\n{code}", desk).stderr == ""
        return
    done = run_shell(code, desk)
    assert (done.returncode, done.stderr) == (0, "")
    sent = sent_by(reader, inputs)
    assert sent == expected(inputs, sent[0][1]["images"])
    assert len(set(done.stdout.split())) == 2
    refused = run_shell(code, desk, key="wsk_invalid")
    assert refused.returncode != 0 and "401" in refused.stderr


# All of them --------------------------------------------------------------------------------------------


def test_no_code_holds_a_key() -> None:
    """It is read from the environment in each language."""
    for code in snippets(inputs_for("pro"), SERVICE).values():
        assert "WAVESPEED_API_KEY" in code
        assert "wsk_" not in code
