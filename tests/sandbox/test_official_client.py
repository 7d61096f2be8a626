"""The service's official Python client against the sandbox on a real port: what it can do there, ours can."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from PIL import Image
from wavespeed import Client
from worlds import DEV, MODELS, PRO, picture

from sandbox import create_app

SECONDS = 0.05


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A sandbox on a free port of this computer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(seconds=SECONDS), log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(address: str) -> Client:
    return Client(api_key="wsk_official", base_url=address, max_connection_retries=0)


def uploaded(client: Client) -> str:
    content = io.BytesIO(picture(size=(300, 200)))
    content.name = "reference.png"
    return str(client.upload(content))


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(httpx.get(url).content))


@pytest.mark.parametrize("model", MODELS)
def test_it_runs_to_the_end(client: Client, model: str) -> None:
    """Upload, submit and polling end in a picture."""
    inputs = {"prompt": "the person from image 1", "images": [uploaded(client)]}
    done = client.run(model, inputs, poll_interval=0.02, timeout=120)
    assert [opened(url).format for url in done["outputs"]] == ["JPEG"]


@pytest.mark.parametrize("model", MODELS)
def test_it_runs_in_sync_mode(client: Client, model: str) -> None:
    """One request that waits ends in the same."""
    inputs = {"prompt": "x", "images": [uploaded(client)]}
    done = client.run(model, inputs, enable_sync_mode=True, timeout=120)
    assert len(done["outputs"]) == 1


@pytest.mark.parametrize("model", MODELS)
def test_it_sees_a_failure(client: Client, model: str) -> None:
    """A task that fails reaches the caller with its sentence and its id."""
    inputs = {"prompt": "[sandbox:moderated]", "images": [uploaded(client)]}
    ended = client.run_no_throw(model, inputs, poll_interval=0.02)
    assert ended["status"] == "failed"
    assert "flagged as potentially sensitive" in ended["error"]
    assert len(ended["task_id"]) == 32


def test_it_uploads_a_file_from_disk(client: Client, tmp_path: Path) -> None:
    """A file is stored as it is, byte for byte."""
    file = tmp_path / "photo of a cat.jpg"
    file.write_bytes(picture(format="JPEG"))
    url = client.upload(str(file))
    assert httpx.get(url).content == file.read_bytes()


def test_it_gets_as_many_as_it_asked_for(client: Client) -> None:
    """num_images reaches the sandbox through the client's flat body."""
    inputs = {"prompt": "x", "images": [uploaded(client)], "num_images": 2, "size": "256*256"}
    assert len(client.run(DEV, inputs, poll_interval=0.02)["outputs"]) == 2


def test_it_is_told_what_is_wrong(client: Client) -> None:
    """A refused submit reaches the caller with the field's name."""
    with pytest.raises(RuntimeError, match="aspect_ratio"):
        client.run(PRO, {"prompt": "x", "images": ["u"], "aspect_ratio": "5:4"})


def test_a_refused_key_is_refused(address: str) -> None:
    """The key that the sandbox refuses is refused here too."""
    with pytest.raises(RuntimeError, match="401"):
        Client(api_key="wsk_invalid", base_url=address).run(PRO, {"prompt": "x", "images": ["u"]})
