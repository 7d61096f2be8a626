"""What the service answers is read once, and nothing but an id and a status is insisted on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.service.prediction import TERMINAL, Prediction, parse

ID = "0123456789abcdef0123456789abcdef"
WHOLE: dict[str, Any] = {
    "id": ID,
    "model": "wavespeed-ai/flux-kontext-pro/multi",
    "status": "completed",
    "outputs": ["https://cdn.example/1.jpg", "https://cdn.example/2.jpg"],
    "has_nsfw_contents": [False, True],
    "created_at": "2026-11-21T08:00:00.123456789Z",
    "error": "",
    "code": 0,
    "timings": {"inference": 17250},
    "input": {"prompt": "a hat", "guidance_scale": 2.7},
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def read(**other: Any) -> Prediction:
    return parse({**WHOLE, **other})


def test_whole() -> None:
    """Every field of a full record lands where it belongs, times in seconds."""
    assert parse(WHOLE) == Prediction(
        id=ID,
        model_id="wavespeed-ai/flux-kontext-pro/multi",
        status="completed",
        outputs=("https://cdn.example/1.jpg", "https://cdn.example/2.jpg"),
        flagged=(False, True),
        error="",
        code=0,
        created_at=datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC),
        seconds=17.25,
        inputs={"prompt": "a hat", "guidance_scale": 2.7},
        answer=WHOLE,
    )


@pytest.mark.parametrize("name", ["input", "inputs"])
def test_inputs_by_either_name(name: str) -> None:
    """The history tells the inputs under one of two names; one that holds nothing does not hide the other."""
    record = {"id": ID, "status": "created", "input": None, "inputs": None, name: {"prompt": "a hat"}}
    assert parse(record).inputs == {"prompt": "a hat"}


@pytest.mark.parametrize("flags", [None, [], [None], "?"])
def test_flags_may_be_nothing(flags: Any) -> None:
    """A null in place of the flags, or of one of them, flags nothing."""
    assert not any(read(has_nsfw_contents=flags).flagged)


def test_least() -> None:
    """An id and a status are enough; what is missing is empty or None."""
    found = parse({"id": ID, "status": "created"})
    assert (found.outputs, found.flagged, found.error, found.code) == ((), (), "", 0)
    assert (found.created_at, found.seconds, found.inputs) == (None, None, None)


@pytest.mark.parametrize(
    "data",
    [None, [], "text", 7, {}, {"id": ID}, {"status": "created"}, {"id": "", "status": "x"}, {"id": 5, "status": "x"}],
)
def test_no_prediction(data: Any) -> None:
    """Without an id and a status it is no prediction, and never half of one."""
    with pytest.raises(ValueError, match="not a prediction"):
        parse(data)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "timeout", "deleted"])
def test_terminal(status: str) -> None:
    """The five terminal statuses end the waiting, and only one of them has pictures."""
    assert read(status=status).finished
    assert read(status=status).completed is (status == "completed")
    assert status in TERMINAL


@pytest.mark.parametrize("status", ["created", "processing", "pending", "Completed", "queued", "error", "?"])
def test_keeps_waiting(status: str) -> None:
    """Any other status, known or not, means that the task goes on."""
    assert not read(status=status).finished


@pytest.mark.parametrize(
    ("other", "moderated"),
    [
        ({"code": 1200}, True),
        ({"code": 1200, "status": "failed", "error": ""}, True),
        ({"error": "Content flagged as potentially sensitive. Please try another prompt."}, True),
        ({"code": 1403, "error": "Execution failed"}, False),
        ({}, False),
    ],
)
def test_moderated(other: dict[str, Any], moderated: bool) -> None:
    """Moderation is told by its code, or by its sentence where the code is missing."""
    assert read(**other).moderated is moderated


@pytest.mark.parametrize(
    ("other", "seconds"),
    [
        ({"timings": {"inference": 500}}, 0.5),
        ({"timings": None, "executionTime": 2000}, 2.0),
        ({"timings": {}}, None),
        ({"timings": {"inference": 0}}, None),
        ({"timings": {"inference": -3}}, None),
        ({"timings": {"inference": True}}, None),
        ({"timings": {"inference": "17"}}, None),
    ],
)
def test_seconds(other: dict[str, Any], seconds: float | None) -> None:
    """The model's own time is read from either field, and nonsense counts as not told."""
    assert read(**other).seconds == seconds


@pytest.mark.parametrize(
    ("created_at", "microsecond"),
    [("2026-11-21T08:00:00Z", 0), ("2026-11-21T08:00:00.5Z", 500000), ("2026-11-21T08:00:00.123456789+00:00", 123456)],
)
def test_decimals_of_a_second(created_at: str, microsecond: int) -> None:
    """The time may have any number of decimals, and is in UTC."""
    assert read(created_at=created_at).created_at == datetime(2026, 11, 21, 8, 0, 0, microsecond, tzinfo=UTC)


@pytest.mark.parametrize("created_at", [None, "", "yesterday", 1763712000, {}])
def test_no_time(created_at: Any) -> None:
    """A time that can't be read is None; the prediction stands."""
    assert read(created_at=created_at).created_at is None


def test_strange_lists() -> None:
    """Outputs that are no text are left out; a flag counts only when it is true itself."""
    found = read(outputs=["https://cdn.example/1.jpg", None, 3], has_nsfw_contents=[1, "true", True])
    assert found.outputs == ("https://cdn.example/1.jpg",)
    assert found.flagged == (False, False, True)


@given(st.dictionaries(st.sampled_from([*sorted(set(WHOLE) - {"id", "status"}), "executionTime"]), anything))
def test_never_stumbles(other: dict[str, Any]) -> None:
    """Whatever stands in the other fields, an id that was paid for is never lost to it."""
    assert read(**other).id == ID


@pytest.mark.parametrize("told", [10**400, float("nan"), float("inf"), -1, 0, True, "17", None])
def test_a_strange_duration_is_no_duration(told: Any) -> None:
    """Whatever the service calls a duration, an unusable one is unknown and never costs the id."""
    assert parse({**WHOLE, "timings": {"inference": told}}).seconds is None


def test_a_time_without_a_zone_is_utc() -> None:
    """The service's times are UTC even where they do not say so, and can be compared with ours."""
    parsed = parse({**WHOLE, "created_at": "2026-11-21T09:00:00.123"}).created_at
    assert parsed is not None and parsed.utcoffset() == timedelta(0)
