"""What has an address: who can open it, how long it is there, and that nothing answers once it is taken away."""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from PIL import Image

from core.pictures.reference import Reference, prepare
from core.pictures.served import ServedFiles

REPLICAS = 8
RUN = "0123456789abcdef" * 2
LONG_AGO = 1_000_000_000


@pytest.fixture
def served(tmp_path: Path) -> ServedFiles:
    return ServedFiles(tmp_path)


@pytest.fixture
def reference(tmp_path: Path) -> Reference:
    source = tmp_path / "source.png"
    Image.new("RGB", (96, 64), "teal").save(source)
    return prepare(source, 1, tmp_path / "references")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    file = tmp_path / "outputs" / RUN / "kontext-pro-1.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a picture")
    return file


def carded(served: ServedFiles, reference: Reference, owner: str | None = None) -> Path:
    shown = served.card(reference, owner)
    assert shown is not None
    return shown.path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# Cards --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", [None, RUN])
@pytest.mark.parametrize("anew", [False, True], ids=["known", "after a restart"])
def test_a_card_stands_for_the_bytes_at_its_path(
    served: ServedFiles, reference: Reference, tmp_path: Path, owner: str | None, anew: bool
) -> None:
    """With the hash of those bytes, size and type; also for a process that has never seen it."""
    path = carded(served, reference, owner)
    found = (ServedFiles(tmp_path) if anew else served).reference(str(path))
    assert found is not None
    assert (found.path, found.card) == (path, path)
    assert (found.sha256, found.media_type) == (hashlib.sha256(path.read_bytes()).hexdigest(), reference.media_type)
    assert (found.width, found.height) == (96, 64)


def test_each_card_has_an_address_of_its_own(served: ServedFiles, reference: Reference) -> None:
    """With 128 random bits and no hash in it, so that nobody comes to it by knowing the picture."""
    one, other = carded(served, reference), carded(served, reference)
    assert one != other
    assert len(one.parent.name) == 32 and int(one.parent.name, 16)
    assert reference.sha256 not in str(one)


def test_nothing_else_is_a_card(served: ServedFiles, reference: Reference, output: Path, tmp_path: Path) -> None:
    """A file that was uploaded under a hash's name, a picture of a run, the prepared picture itself, any other path."""
    upload = tmp_path / "served" / ("ab" * 32) / f"{reference.sha256}.jpg"
    upload.parent.mkdir(parents=True)
    shutil.copy(reference.path, upload)
    lookalike = upload.with_name("reference.jpg")
    shutil.copy(reference.path, lookalike)
    place = served.show(RUN, output)
    card = carded(served, reference)
    beside = card.with_name("picture.png")
    shutil.copy(reference.path, beside)
    linked = card.parent / "reference.jpg"
    linked.symlink_to(upload)
    paths: list[object] = [
        upload,
        lookalike,
        place,
        reference.path,
        output,
        beside,
        card.parent,
        linked,
        "/etc/hostname",
    ]
    for path in [
        *map(str, paths),
        "",
        f"{card}\0",
        "x" * 10_000,
        f"{card.parent}/../../../ledger.db",
        None,
        7,
        [str(card)],
    ]:
        assert served.reference(path) is None, path


def test_a_card_that_was_taken_away_opens_nothing(served: ServedFiles, reference: Reference) -> None:
    """Known or not, its address is gone from that moment; the prepared picture is not touched."""
    card = carded(served, reference)
    served.remove_card(card)
    assert not card.exists() and served.reference(str(card)) is None
    assert reference.path.exists()


def test_only_a_card_can_be_taken_away_as_one(served: ServedFiles, output: Path) -> None:
    """What an older ledger, or a damaged one, names as a card takes nothing else with it."""
    served.remove_card(output)
    assert output.exists()


def test_a_reference_that_is_gone_makes_no_card(served: ServedFiles, reference: Reference) -> None:
    """And leaves no file behind."""
    reference.path.unlink()
    assert served.card(reference) is None


def test_a_press_opens_no_card_that_is_known(
    served: ServedFiles, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was shown by this process is known by its path: nothing is read, hashed or decoded again."""
    card = carded(served, reference)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("a known picture was read"))
    found = served.reference(str(card))
    assert found is not None and found.sha256 == reference.sha256


# Runs ---------------------------------------------------------------------------------------------------


def test_what_a_run_shows_is_at_one_address(served: ServedFiles, output: Path, tmp_path: Path) -> None:
    """However often it is asked for, and after a restart; another run, or another copy of the app, has another."""
    place = served.show(RUN, output)
    assert place is not None and place.read_bytes() == b"a picture"
    assert served.show(RUN, output) == ServedFiles(tmp_path).show(RUN, output) == place
    assert served.show("another", output) != place
    assert RUN not in str(place)
    (tmp_path / "other").mkdir()
    elsewhere = ServedFiles(tmp_path / "other").show(RUN, output)
    assert elsewhere is not None and elsewhere.parent.name != place.parent.name


def test_no_bytes_are_kept_twice(served: ServedFiles, output: Path) -> None:
    """The address is another name of the same file."""
    place = served.show(RUN, output)
    assert place is not None and place.samefile(output)


def test_a_disk_without_links_gets_copies(served: ServedFiles, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    place = served.show(RUN, output)
    assert place is not None and not place.samefile(output) and place.read_bytes() == b"a picture"


def test_all_of_a_run_goes_at_once(served: ServedFiles, reference: Reference, output: Path, tmp_path: Path) -> None:
    """Pictures, files made for download, cards of its references; nothing of another run."""
    served.show(RUN, output)
    served.put(RUN, "all.zip", b"zip", output)
    card = carded(served, reference, RUN)
    other = served.show("another", output)
    served.forget(RUN)
    assert files(tmp_path / "served") == [other]
    assert served.reference(str(card)) is None
    assert served.find(RUN, "all.zip") is None


def test_what_is_gone_gets_no_address(served: ServedFiles, output: Path, tmp_path: Path) -> None:
    """A picture that is missing, or what rests on one: nothing is left at any address."""
    output.unlink()
    assert served.show(RUN, output) is None
    assert served.put(RUN, "all.zip", b"zip", output) is None
    assert files(tmp_path / "served") == []


def test_what_goes_while_it_is_shown_has_no_address_after(
    served: ServedFiles, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is deleted between the making of an address and the answer."""
    link = os.link

    def deleted_meanwhile(source: Path, place: Path) -> None:
        link(source, place)
        output.unlink()

    monkeypatch.setattr(os, "link", deleted_meanwhile)
    assert served.show(RUN, output) is None
    assert files(tmp_path / "served") == []


def test_what_is_used_looks_new(served: ServedFiles, reference: Reference, output: Path) -> None:
    """Whoever clears up by age leaves what was shown, or pressed with, a moment ago; also one that is there already."""
    card = carded(served, reference)
    os.utime(output, (LONG_AGO, LONG_AGO))
    for _ in range(2):
        place = served.show(RUN, output)
        assert place is not None and place.stat().st_mtime > LONG_AGO + 1
        os.utime(place, (LONG_AGO, LONG_AGO))
    os.utime(card, (LONG_AGO, LONG_AGO))
    served.reference(str(card))
    assert card.stat().st_mtime > LONG_AGO + 1


def test_a_key_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    """Half a key, as a crash may leave it, would make addresses that can be guessed."""
    ServedFiles(tmp_path)
    (key,) = tmp_path.glob("*.key")
    assert key.stat().st_mode & 0o077 == 0
    key.write_bytes(b"")
    ServedFiles(tmp_path)
    assert len(key.read_bytes()) == 32


def test_replicas_that_start_at_once_have_the_same_addresses(tmp_path: Path, output: Path) -> None:
    """One of them makes the key of their folder: with two, what one shows could not be taken away by the other."""
    at_once = Barrier(REPLICAS)

    def start(folder: Path) -> Path | None:
        at_once.wait()
        return ServedFiles(folder).show(RUN, output)

    with ThreadPoolExecutor(REPLICAS) as replicas:
        for attempt in range(10):
            shown = set(replicas.map(start, [tmp_path / f"data {attempt}"] * REPLICAS))
            assert len(shown) == 1 and None not in shown
