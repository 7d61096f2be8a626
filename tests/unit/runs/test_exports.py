"""Exports: a run as a ZIP of what was sent and how it was made, and receipts that a spreadsheet adds up rightly."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ledger.run import Output, Run, RunPrediction, Trouble
from core.pictures.recipe import from_json
from core.pictures.reference import Reference
from core.runs.exports import COLUMNS, archive, receipts_csv

PICTURES = {
    "kontext-pro-20261121-seed4711-1.png": b"\x89PNG as the service sent it",
    "kontext-pro-20261121-seed4711-2.jpg": b"\xff\xd8 as the service sent it",
}
IDS = ("0" * 31 + "1", "0" * 31 + "2")
RUN = Run(
    id="run-1",
    visitor="planted-visitor",
    account_id="own-planted-fingerprint",
    account_kind="own",
    created_at=datetime(2026, 11, 21, 9, 30, 14, 123456, tzinfo=UTC),
    variant_id="pro",
    preset="dress-a-person",
    prompt="Dress the person in image 1 — “Größe”",
    values={"guidance_scale": 3.5, "aspect_ratio": "3:2"},
    seed=4711,
    pictures=2,
    references=(
        Reference(Path("/planted-path/1.jpg"), "a1" * 32, "image/jpeg", 4, 3, "identity"),
        Reference(Path("/planted-path/2.jpg"), "b2" * 32, "image/jpeg", 4, 3),
    ),
    estimate=Decimal("0.08"),
    charge=Decimal("0.07600000000000000000000000001"),
    charge_source="billing",
    state="completed",
    predictions=(
        RunPrediction(1, IDS[0], "completed", 4711, "", Decimal("0.04")),
        RunPrediction(2, IDS[1], "completed", 4712, "", Decimal("0.04")),
        RunPrediction(3, None, "refused", None, "", Decimal(0)),
    ),
    outputs=(),
    troubles=(),
    notice="",
    seconds=17.34,
    model_seconds=None,
    expected_seconds=None,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose pictures are on the disk."""
    outputs = []
    for number, (name, data) in enumerate(PICTURES.items(), start=1):
        (tmp_path / name).write_bytes(data)
        outputs.append(Output(number, tmp_path / name, 8, 8, 4710 + number, IDS[number - 1]))
    return replace(RUN, outputs=tuple(outputs))


def opened(data: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(data))


def receipt_in(data: bytes) -> str:
    return opened(data).read("receipt.txt").decode()


def lines(*runs: Run) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(receipts_csv(runs), newline="")))


def test_archive_holds_the_pictures_as_they_came(run: Run) -> None:
    """The pictures are in the ZIP under their names, byte for byte and not packed again, with recipe and receipt."""
    file = opened(archive(run))
    assert file.namelist() == [*PICTURES, "recipe.json", "receipt.txt"]
    assert {name: file.read(name) for name in PICTURES} == PICTURES
    assert {member.compress_type for member in file.infolist()} == {zipfile.ZIP_STORED}
    assert file.testzip() is None


def test_recipe_in_the_archive_reads_back(run: Run) -> None:
    """recipe.json is the recipe of the run."""
    assert from_json(opened(archive(run)).read("recipe.json")) == run.recipe


def test_archive_is_the_same_every_time(run: Run, tmp_path: Path) -> None:
    """The same run gives the same bytes, dated in UTC by its press and not by the files, readable by their owner."""
    first = archive(run)
    for name, data in PICTURES.items():
        (tmp_path / name).unlink()
        (tmp_path / name).write_bytes(data)
    east = replace(run, created_at=run.created_at.astimezone(timezone(timedelta(hours=9))))
    assert archive(run) == archive(east) == first
    assert {member.date_time for member in opened(first).infolist()} == {(2026, 11, 21, 9, 30, 14)}
    assert {member.external_attr >> 16 for member in opened(first).infolist()} == {0o100644}


@pytest.mark.parametrize(
    "name", ["..\\..\\evil.png", ".hidden.png", "a b\n.png", "C:evil.png", "…/kontext.png", "con\u202egnp.png"]
)
def test_names_in_the_archive_are_safe(run: Run, tmp_path: Path, name: str) -> None:
    """A name that could lead elsewhere or mislead is made plain."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"picture")
    odd = replace(run, outputs=(replace(run.outputs[0], path=path),))
    inside = opened(archive(odd)).namelist()[0]
    assert inside.endswith(".png") and not inside.startswith(".")
    assert inside.isascii() and not set(inside) & set('/\\: \n"')


def test_picture_that_is_gone_is_said(run: Run) -> None:
    """Without one of its files the rest of a run is still to be had, and the receipt says what is missing."""
    run.outputs[0].path.unlink()
    data = archive(run)
    assert opened(data).namelist()[0] == run.outputs[1].path.name
    assert "Picture 1 is no longer on the app's disk." in receipt_in(data)
    assert "Picture 2 is" not in receipt_in(data)


def test_receipt_says_it_in_plain_words(run: Run) -> None:
    """The receipt tells variant, preset, seed, money and how it is known, time, state, prompt, references and ids."""
    text = receipt_in(archive(replace(run, troubles=(Trouble("One was flagged.", "unknown", "Try again."),))))
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    assert said["Time"] == "2026-11-21 09:30:14 UTC"
    assert (said["Variant"], said["Preset"], said["Seed"]) == ("Pro", "dress-a-person", "4711")
    assert (said["Estimate"], said["Charge"]) == ("$0.08", "$0.076, billed by the service")
    assert (said["Pictures"], said["Took"], said["State"]) == ("2 of 2", "17.3 s", "completed")
    assert said["Parameters"] == "guidance_scale 3.5, aspect_ratio 3:2"
    assert run.prompt in text and all(prediction_id in text for prediction_id in IDS)
    assert f"1. identity, sha256 {'a1' * 32}" in text and f"2. no role, sha256 {'b2' * 32}" in text
    assert "One was flagged. It is not known yet whether it was charged. Try again." in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"charge_source": "quote", "charge": Decimal("0.08")}, "$0.08, quoted price"),
        ({"charge_source": "estimate"}, "$0.076, estimated; the service hasn't sent the bill"),
        ({"charge_source": None, "charge": Decimal(0), "state": "failed"}, "$0.00, nothing was charged"),
        ({"charge_source": None, "charge": None, "state": "waiting"}, "not known yet; still running"),
        ({"account_kind": "sandbox"}, "free (practice mode; no model made this)"),
    ],
)
def test_receipt_says_how_the_charge_is_known(changes: dict[str, Any], said: str) -> None:
    """Billed, quoted, estimated, not charged, not known yet and the sandbox are told apart."""
    assert f"Charge:     {said}\n" in receipt_in(archive(replace(RUN, **changes)))


def test_no_export_tells_who_made_it(run: Run) -> None:
    """Neither the visitor, nor what tells one key from another, nor a path on the disk is in an export."""
    assert b"planted" not in archive(run)
    assert "planted" not in receipts_csv([run])


def test_csv_has_a_line_a_run(run: Run) -> None:
    """Each run is a line, in the order given, with its money exact."""
    other = replace(run, id="run-2", seed=None, preset=None)
    first, second = lines(run, other)
    assert first == {
        "time_utc": "2026-11-21T09:30:14Z",
        "run_id": "run-1",
        "variant": "pro",
        "preset": "dress-a-person",
        "pictures": "2",
        "seed": "4711",
        "estimate_usd": "0.08",
        "charge_usd": "0.07600000000000000000000000001",
        "charge_known_by": "billing",
        "seconds": "17.3",
        "state": "completed",
        "sandbox": "no",
        "prediction_ids": " ".join(IDS),
    }
    assert (second["run_id"], second["seed"], second["preset"]) == ("run-2", "", "")


def test_csv_of_no_runs_is_its_header() -> None:
    """Without runs there is still a table with its columns."""
    assert receipts_csv([]) == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize(
    ("changes", "charge", "known_by", "sandbox"),
    [
        ({"charge_source": "quote", "charge": Decimal("0.080")}, "0.080", "quote", "no"),
        ({"charge_source": "estimate", "charge": Decimal("1E-7")}, "0.0000001", "estimate", "no"),
        ({"charge_source": None, "charge": Decimal(0), "state": "failed"}, "0", "none", "no"),
        ({"charge_source": None, "charge": None, "state": "failed"}, "0", "none", "no"),
        ({"charge_source": None, "charge": None, "state": "waiting"}, "", "", "no"),
        ({"account_kind": "sandbox"}, "0", "sandbox", "yes"),
        ({"account_id": "host"}, str(RUN.charge), "billing", "no"),
    ],
)
def test_csv_says_how_the_charge_is_known(changes: dict[str, Any], charge: str, known_by: str, sandbox: str) -> None:
    """The column of charges adds up to what was charged: nothing for the sandbox, empty where it is not known yet."""
    (line,) = lines(replace(RUN, **changes))
    assert (line["charge_usd"], line["charge_known_by"], line["sandbox"]) == (charge, known_by, sandbox)


@given(st.decimals(min_value=0, max_value=1000, places=12))
def test_any_amount_stays_exact(amount: Decimal) -> None:
    """An amount reads back from the table as it was."""
    (line,) = lines(replace(RUN, estimate=amount, charge=amount))
    assert (Decimal(line["estimate_usd"]), Decimal(line["charge_usd"])) == (amount, amount)


@given(start=st.sampled_from([*"=+-@\t\r\n＝＋－＠", " =", "  @"]), rest=st.text(max_size=20))
def test_no_cell_begins_as_a_formula(start: str, rest: str) -> None:
    """A text that a spreadsheet would compute is marked as text, and nothing of it is lost."""
    evil = start + rest
    run = replace(RUN, id=evil, preset=evil, predictions=(replace(RUN.predictions[0], id=evil),))
    (line,) = lines(run)
    assert (line["run_id"], line["preset"], line["prediction_ids"]) == ("'" + evil,) * 3
