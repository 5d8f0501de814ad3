"""Where a SavedModel comes from: handles and URLs to addresses, addresses to an archive, an archive to a folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite import log
from birdlite.convert import hub as hub_module
from birdlite.convert.hub import DEFAULT_HANDLE, addresses_of, is_archive, open_source
from birdlite.errors import InvalidModel, ModelUnavailable, PictureError, UnknownModel
from birdlite.http.fetcher import Fetcher
from tests.fetching import SETTINGS
from tests.origin import Origin
from tests.tiny_saved_models import lay_out, pack

KAGGLE = "https://www.kaggle.com/api/v1/models/google/aiy/tensorFlow1/vision-classifier-birds-v1/1/download"
TFHUB = "https://tfhub.dev/google/aiy/vision/classifier/birds_V1/1?tf-hub-format=compressed"
STORAGE = "https://storage.googleapis.com/tfhub-modules/google/aiy/vision/classifier/birds_V1/1.tar.gz"
BIRDS = (KAGGLE, TFHUB, STORAGE)


@pytest.mark.parametrize(
    ("source", "addresses"),
    [
        (DEFAULT_HANDLE, BIRDS),
        ("https://tfhub.dev/google/aiy/vision/classifier/birds_V1/1", BIRDS),
        (TFHUB, BIRDS),
        (KAGGLE, BIRDS),
        ("https://www.kaggle.com/models/google/aiy/tensorFlow1/vision-classifier-birds-v1/1", BIRDS),
        (
            "https://www.kaggle.com/models/google/aiy/frameworks/tensorFlow1/variations/vision-classifier-birds-v1/versions/1",
            BIRDS,
        ),
        # As people write it: https://www.kaggle.com/models/google/aiy/frameworks/TensorFlow1/variations/…
        (
            "https://kaggle.com/models/google/aiy/frameworks/TensorFlow1/variations/vision-classifier-birds-v1/versions/1/",
            BIRDS,
        ),
        ("https://www.kaggle.com/models/google/aiy/tensorFlow1/vision-classifier-birds-v1/1?tab=files#top", BIRDS),
        ("HTTPS://tfhub.dev/google/aiy/vision/classifier/birds_V1/1/", BIRDS),
        (
            "google/imagenet/mobilenet_v2_100_224/classification/5",
            (
                "https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/classification/5?tf-hub-format=compressed",
                "https://storage.googleapis.com/tfhub-modules/google/imagenet/mobilenet_v2_100_224/classification/5.tar.gz",
            ),
        ),
        (
            "https://www.kaggle.com/models/google/mobilenet-v2/tensorFlow2/100-224-classification/2",
            ("https://www.kaggle.com/api/v1/models/google/mobilenet-v2/tensorFlow2/100-224-classification/2/download",),
        ),
        (
            "https://www.kaggle.com/models/Someone/Birds/frameworks/TensorFlow2/variations/Large/versions/3",
            ("https://www.kaggle.com/api/v1/models/Someone/Birds/tensorFlow2/Large/3/download",),
        ),
        ("https://example.org/birds.tar.gz", ("https://example.org/birds.tar.gz",)),
        ("HTTP://example.org/birds.tar.gz", ("HTTP://example.org/birds.tar.gz",)),
        ("birds-v1-lite", None),
        ("../models/birds/1", None),
        ("./models/birds/1", None),
        ("models/../birds/1", None),
        ("/models/birds/1", None),
        ("models/birds/1b", None),
        ("photos/2024", None),
        ("model.tflite", None),
        ("ftp://example.org/a/b/1", None),
        ("", None),
    ],
)
def test_a_source_has_the_addresses_that_it_is_known_to_have(source: str, addresses: tuple[str, ...] | None) -> None:
    assert addresses_of(source) == addresses


def test_a_path_that_is_there_is_no_handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "birds" / "1").mkdir(parents=True)

    assert addresses_of("models/birds/1") is None
    assert addresses_of("models/birds/2") is not None


@pytest.fixture
def fetcher(origin: Origin) -> Iterator[Fetcher]:
    """Asks the origin for everything, and nobody twice."""
    made = Fetcher(SETTINGS._replace(mirror=origin.base, retries=0))
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Where archives are unpacked."""
    (tmp_path / "place").mkdir()
    return str(tmp_path / "place")


def where(url: str) -> str:
    """The path of a URL on a mirror."""
    return "/" + url.removeprefix("https://").split("?")[0]


def test_the_next_address_is_asked_when_one_has_no_archive(
    origin: Origin, fetcher: Fetcher, tmp_path: Path, place: str
) -> None:
    origin.serve(where(KAGGLE), b"forbidden", status=403)
    origin.serve(where(TFHUB), b"<html>TensorFlow Hub has moved to Kaggle</html>")
    origin.serve(where(STORAGE), pack(lay_out(tmp_path / "module")))

    assert open_source(DEFAULT_HANDLE, fetcher, place) == place
    assert (Path(place) / "saved_model.pb").exists()
    assert [origin.hits(where(url)) for url in BIRDS] == [1, 1, 1]


def test_no_further_address_is_asked_once_one_has_it(
    origin: Origin, fetcher: Fetcher, tmp_path: Path, place: str
) -> None:
    origin.serve(where(KAGGLE), pack(lay_out(tmp_path / "module")))

    open_source(DEFAULT_HANDLE, fetcher, place)

    assert [origin.hits(where(url)) for url in BIRDS] == [1, 0, 0]


def test_an_archive_may_be_somewhere_else_by_now(origin: Origin, fetcher: Fetcher, tmp_path: Path, place: str) -> None:
    origin.redirect(where(KAGGLE), "https://storage.example.org/signed.tar.gz?signature=1")
    origin.serve("/storage.example.org/signed.tar.gz", pack(lay_out(tmp_path / "module")))

    assert open_source(DEFAULT_HANDLE, fetcher, place) == place
    assert [origin.hits(where(url)) for url in BIRDS] == [1, 0, 0]


def test_a_module_may_take_longer_than_a_picture(origin: Origin, tmp_path: Path, place: str) -> None:
    origin.serve(where(KAGGLE), pack(lay_out(tmp_path / "module")))
    fetcher = Fetcher(SETTINGS._replace(mirror=origin.base, timeout=1e-9))
    with pytest.raises(PictureError, match="timed out after"):
        fetcher.get(KAGGLE)

    assert open_source(DEFAULT_HANDLE, fetcher, place) == place
    fetcher.close()


def test_it_is_said_how_much_came_from_where(origin: Origin, fetcher: Fetcher, tmp_path: Path, place: str) -> None:
    origin.serve(where(TFHUB), pack(lay_out(tmp_path / "module")))
    said: list[tuple[int, str]] = []
    log.to(lambda level, message, _: said.append((level, message)), log.DEBUG)

    open_source(DEFAULT_HANDLE, fetcher, place)

    assert (log.INFO, f"fetched {DEFAULT_HANDLE}: 0.0 MB from tfhub.dev") in said
    assert (log.DEBUG, f"no module from {KAGGLE}: 404 Not Found from 127.0.0.1") in said


def test_passwords_and_signatures_are_not_repeated(origin: Origin, fetcher: Fetcher, place: str) -> None:
    said: list[str] = []
    log.to(lambda _, message, __: said.append(message), log.DEBUG)
    origin.serve("/example.org/good.tar.gz", b"\x1f\x8b and no more")

    for name, complaint in (("good", InvalidModel), ("bad", ModelUnavailable)):
        with pytest.raises(complaint, match=rf"^https://\*\*\*@example\.org/{name}\.tar\.gz") as caught:
            open_source(f"https://me:secret@example.org/{name}.tar.gz?signature=secret", fetcher, place)
        said.append(str(caught.value))

    assert any("fetched https://***@example.org/good.tar.gz" in text for text in said)
    assert not any("secret" in text for text in said)


def test_what_is_called_off_is_not_tried_elsewhere(origin: Origin, place: str) -> None:
    cancel = threading.Event()
    cancel.set()

    with pytest.raises(ModelUnavailable, match=f"^{DEFAULT_HANDLE}: cancelled before it was complete$"):
        open_source(DEFAULT_HANDLE, Fetcher(SETTINGS._replace(mirror=origin.base), cancel), place)


def test_a_module_that_cannot_be_downloaded_is_told_with_every_reason(
    origin: Origin, fetcher: Fetcher, place: str
) -> None:
    origin.serve(where(KAGGLE), b"", status=403)
    origin.serve(where(TFHUB), b"<html></html>")

    with pytest.raises(ModelUnavailable) as caught:
        open_source(DEFAULT_HANDLE, fetcher, place)

    text = str(caught.value)
    assert text.startswith(f"{DEFAULT_HANDLE} could not be downloaded: www.kaggle.com: 403 Forbidden")
    assert "tfhub.dev: its answer is no .tar.gz; storage.googleapis.com: 404 Not Found" in text
    assert text.endswith("you can also name its .tar.gz or folder")
    assert "\n" not in text


def test_an_archive_that_is_too_large_is_not_taken(
    origin: Origin, fetcher: Fetcher, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "ARCHIVE_MAX_BYTES", 100)
    origin.serve("/example.org/birds.tar.gz", bytes(101))

    with pytest.raises(ModelUnavailable, match=r"example\.org: 101 bytes, more than the 100 allowed"):
        open_source("https://example.org/birds.tar.gz", fetcher, place)


def test_without_a_network_nothing_is_asked(origin: Origin, place: str) -> None:
    fetcher = Fetcher(SETTINGS._replace(mirror=origin.base, offline=True))

    with pytest.raises(ModelUnavailable, match="which --offline forbids"):
        open_source(DEFAULT_HANDLE, fetcher, place)


def test_a_folder_is_taken_as_it_is(fetcher: Fetcher, tmp_path: Path, place: str) -> None:
    module = str(lay_out(tmp_path / "module"))

    assert open_source(module, fetcher, place) == module


def test_a_pipe_is_not_waited_for(fetcher: Fetcher, tmp_path: Path, place: str) -> None:
    pipe = tmp_path / "birds.tar.gz"
    os.mkfifo(pipe)

    assert not is_archive(str(pipe))
    with pytest.raises(InvalidModel, match="not a regular file"):
        open_source(str(pipe), fetcher, place)


def test_a_file_that_is_too_large_is_not_read(
    fetcher: Fetcher, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "ARCHIVE_MAX_BYTES", 100)
    (tmp_path / "birds.tar.gz").write_bytes(bytes(101))

    with pytest.raises(InvalidModel, match=r"birds\.tar\.gz: more than 100 bytes"):
        open_source(str(tmp_path / "birds.tar.gz"), fetcher, place)


@pytest.mark.parametrize("name", ["birds.tar.gz", "download"])
def test_a_file_is_unpacked_whatever_its_name(fetcher: Fetcher, tmp_path: Path, place: str, name: str) -> None:
    archive = tmp_path / name
    archive.write_bytes(pack(lay_out(tmp_path / "module")))

    assert is_archive(str(archive))
    assert open_source(str(archive), fetcher, place) == place


def test_what_is_no_archive_of_a_module_is_named(fetcher: Fetcher, tmp_path: Path, place: str) -> None:
    (tmp_path / "birds.tar.gz").write_bytes(b"not at all")

    with pytest.raises(InvalidModel, match=r"birds\.tar\.gz: not a readable \.tar\.gz"):
        open_source(str(tmp_path / "birds.tar.gz"), fetcher, place)
    assert not is_archive(str(tmp_path / "birds.tar.gz"))
    assert not is_archive(str(tmp_path / "absent"))


def test_a_name_that_means_nothing_is_unknown(fetcher: Fetcher, place: str) -> None:
    with pytest.raises(UnknownModel, match="no such file or folder, and no handle"):
        open_source("nosuch.tar.gz", fetcher, place)


@pytest.mark.parametrize(("status", "may_pass"), [(503, True), (404, False)])
def test_a_module_that_is_away_for_now_may_be_tried_again(
    origin: Origin, fetcher: Fetcher, place: str, status: int, may_pass: bool
) -> None:
    origin.serve("/example.org/birds.tar.gz", b"", status=status)

    with pytest.raises(ModelUnavailable) as caught:
        open_source("https://example.org/birds.tar.gz", fetcher, place)
    assert caught.value.temporary is may_pass
