"""The cache: fetched once, verified always, safe to kill and to start twice."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from birdlite import log
from birdlite.errors import InvalidModel, ModelUnavailable, PictureError
from birdlite.http.fetcher import Fetcher, FetchSettings
from birdlite.models.bundle import read_card
from birdlite.models.cache import look_up, remove
from birdlite.models.card import Tensor
from birdlite.models.catalog import Entry, Source
from birdlite.models.store import Store
from birdlite.tflite import requantize
from birdlite.timing import Timeline
from tests.magpie import CONTENTS, LABELS, MODEL, fact
from tests.origin import Origin


@pytest.fixture
def make_store() -> Iterator[Callable[..., Store]]:
    """Stores with a real network client, closed at the end."""
    fetchers = []

    def make(cache: Path | None, *, offline: bool = False) -> Store:
        fetcher = Fetcher(FetchSettings(offline=offline, retries=0))
        fetchers.append(fetcher)
        return Store(None if cache is None else str(cache), fetcher, offline=offline, timeline=Timeline())

    yield make
    for fetcher in fetchers:
        fetcher.close()


MakeStore = Callable[..., Store]


def fill(make_store: MakeStore, cache: Path, entry: Entry) -> None:
    store = make_store(cache)
    store.open(entry)
    store.close()


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_model_is_fetched_verified_and_kept_as_a_bundle(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin
) -> None:
    store = make_store(cache)
    model = store.open(entry)
    store.close()

    assert bytes(model.data) == MODEL
    assert model.labels.names == ("Pica ficta", "background")
    assert model.labels.common == ("Invented Magpie", None)
    folder = cache / "models" / "magpie"
    assert model.folder == str(folder)
    assert files_in(folder) == {*CONTENTS, "model.json"}
    assert {name: (folder / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert read_card(str(folder)) == entry.card
    assert [origin.hits(f"/{name}") for name in CONTENTS] == [1, 1, 1]


def test_a_second_run_asks_the_network_nothing(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin
) -> None:
    fill(make_store, cache, entry)

    model = make_store(cache, offline=True).open(entry)

    assert bytes(model.data) == MODEL
    assert len(origin.requests) == len(CONTENTS)


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:-7],
        lambda data: data + b"x",
        lambda data: b"",
    ],
    ids=["one bit", "short", "long", "empty"],
)
def test_a_damaged_file_is_fetched_again_and_never_loaded(
    make_store: MakeStore,
    cache: Path,
    entry: Entry,
    origin: Origin,
    warnings_said: list[str],
    name: str,
    damage: Callable[[bytes], bytes],
) -> None:
    fill(make_store, cache, entry)
    path = cache / "models" / "magpie" / name
    path.write_bytes(damage(CONTENTS[name]))

    store = make_store(cache)
    model = store.open(entry)
    store.close()

    assert (bytes(model.data), model.labels.names[0]) == (MODEL, "Pica ficta")
    assert path.read_bytes() == CONTENTS[name]
    assert origin.hits(f"/{name}") == 2
    assert len(origin.requests) == len(CONTENTS) + 1
    assert [message for message in warnings_said if f"cached {name} has " in message]


@pytest.mark.parametrize("what", ["a circle of links", "a pipe"])
def test_a_file_that_cannot_be_read_is_fetched_again(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin, what: str
) -> None:
    fill(make_store, cache, entry)
    path = cache / "models" / "magpie" / "labels.csv"
    path.unlink()
    if what == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)

    store = make_store(cache)
    store.open(entry)
    store.close()

    assert path.read_bytes() == LABELS


def test_the_next_source_is_tried_when_one_fails_or_lies(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin
) -> None:
    gone = Source(origin.url("/gone"))
    liar = Source(origin.serve("/liar", MODEL[:-1] + bytes([MODEL[-1] ^ 1])))
    sources = {**entry.sources, "model.tflite": (gone, liar, *entry.sources["model.tflite"])}

    model = make_store(cache).open(entry._replace(sources=sources))

    assert bytes(model.data) == MODEL
    assert [origin.hits(path) for path in ("/gone", "/liar", "/model.tflite")] == [1, 1, 1]


def packed(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def test_a_source_may_give_the_file_packed(make_store: MakeStore, cache: Path, entry: Entry, origin: Origin) -> None:
    source = Source(origin.serve("/packed", packed("./3.tflite", MODEL)), member="3.tflite")

    model = make_store(cache).open(entry._replace(sources={**entry.sources, "model.tflite": (source,)}))

    assert bytes(model.data) == MODEL


def test_when_no_source_has_it_every_reason_is_named(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin
) -> None:
    sources = (Source(origin.url("/gone")), Source(origin.serve("/wrong", MODEL[::-1])))

    with pytest.raises(
        ModelUnavailable, match=r"no source gave model.tflite: .*404 Not Found.*; .*has sha256"
    ) as caught:
        make_store(cache).open(entry._replace(sources={**entry.sources, "model.tflite": sources}))

    assert "\n" not in str(caught.value)
    assert look_up(str(cache), entry) == ({}, {})


def test_a_file_that_never_ends_is_cut_off_at_its_size(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin
) -> None:
    source = Source(origin.endless("/endless"))

    with pytest.raises(ModelUnavailable, match="more than the 300,000 bytes allowed"):
        make_store(cache).open(entry._replace(sources={**entry.sources, "model.tflite": (source,)}))


def test_offline_without_a_cache_says_what_to_do_and_asks_nobody(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin
) -> None:
    with pytest.raises(ModelUnavailable, match=r"--offline forbids fetching it; run `birdlite model fetch magpie`"):
        make_store(cache, offline=True).open(entry)

    assert origin.requests == []
    assert not cache.exists()


def test_offline_with_a_damaged_cache_names_the_damage(make_store: MakeStore, cache: Path, entry: Entry) -> None:
    fill(make_store, cache, entry)
    (cache / "models" / "magpie" / "model.tflite").write_bytes(b"x")

    with pytest.raises(ModelUnavailable, match=r"model\.tflite has 1 byte instead of 300,000"):
        make_store(cache, offline=True).open(entry)


def test_without_a_cache_nothing_is_written(make_store: MakeStore, tmp_path: Path, entry: Entry) -> None:
    store = make_store(None)
    model = store.open(entry)
    store.close()

    assert bytes(model.data) == MODEL
    assert model.folder is None
    assert files_in(tmp_path) == set()


def test_offline_without_any_cache_is_a_contradiction_that_is_named(make_store: MakeStore, entry: Entry) -> None:
    with pytest.raises(ModelUnavailable, match="--offline leaves only the cache, and --no-cache forbids it"):
        make_store(None, offline=True).open(entry)


def test_a_cache_that_cannot_be_made_costs_a_warning_and_not_the_run(
    make_store: MakeStore, tmp_path: Path, entry: Entry, warnings_said: list[str]
) -> None:
    (tmp_path / "file").write_text("where the cache's folder should be")

    store = make_store(tmp_path / "file" / "cache")
    for _ in range(2):  # as when its sources are away, and it is tried again
        model = store.open(entry)
    store.close()

    assert bytes(model.data) == MODEL
    assert len(warnings_said) == 1
    assert "cannot be written (a part of the path is not a folder); keeping the model in memory" in warnings_said[0]


def test_a_full_disk_costs_a_warning_and_leaves_no_half_file(
    make_store: MakeStore,
    cache: Path,
    entry: Entry,
    warnings_said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)

    store = make_store(cache)
    model = store.open(entry)
    store.close()

    assert bytes(model.data) == MODEL
    assert "could not be kept" in warnings_said[0]
    assert "No space left on device" in warnings_said[0]
    assert files_in(cache / "models" / "magpie") == set()


def test_what_a_killed_run_left_is_swept_and_the_next_run_needs_no_help(
    make_store: MakeStore, cache: Path, entry: Entry
) -> None:
    folder = cache / "models" / "magpie"
    folder.mkdir(parents=True)
    (folder / ".model.tflite.4711-0a1b2c3d.partial").write_bytes(MODEL[:1000])
    (folder / "labels.csv").write_bytes(LABELS)

    fill(make_store, cache, entry)

    assert files_in(folder) == {*CONTENTS, "model.json"}


def test_a_run_killed_in_the_middle_of_the_download_leaves_a_cache_that_mends_itself(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin
) -> None:
    origin.stall("/model.tflite", MODEL, sent=100_000)
    code = """
import sys
from birdlite.http.fetcher import Fetcher
from birdlite.models.store import Store
from birdlite.timing import Timeline
from tests.magpie import entry_at
Store(sys.argv[1], Fetcher(), offline=False, timeline=Timeline()).open(entry_at(sys.argv[2]))
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(cache), origin.base], cwd=Path(__file__).parents[2])
    origin.wait_for(1, "/model.tflite")
    process.kill()
    process.wait()
    origin.serve("/model.tflite", MODEL)

    store = make_store(cache)
    model = store.open(entry)
    store.close()

    assert bytes(model.data) == MODEL
    assert files_in(cache / "models" / "magpie") == {*CONTENTS, "model.json"}


def test_two_that_start_at_once_fetch_once(make_store: MakeStore, cache: Path, entry: Entry, origin: Origin) -> None:
    said: list[str] = []
    log.to(lambda level, message, fields: said.append(message) if level == log.INFO else None, log.INFO)
    release = origin.hold("/model.tflite", MODEL)
    models: list[Any] = []

    def run() -> None:
        store = make_store(cache)
        models.append(store.open(entry))
        store.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    origin.wait_for(1, "/model.tflite")
    release.set()
    for thread in threads:
        thread.join()

    assert [bytes(model.data) for model in models] == [MODEL] * 3
    assert [origin.hits(f"/{name}") for name in CONTENTS] == [1, 1, 1]
    assert said == ["fetched magpie: 0.3 MB"]  # those that waited fetched nothing, and say nothing


def test_a_failed_download_lets_the_next_one_in(
    make_store: MakeStore, cache: Path, entry: Entry, origin: Origin
) -> None:
    origin.fail("/model.tflite", [404])
    with pytest.raises(ModelUnavailable):
        make_store(cache).open(entry)

    fill(make_store, cache, entry)

    assert look_up(str(cache), entry)[1] == {}


def test_a_cancelled_download_is_cancelled_and_not_tried_elsewhere(cache: Path, entry: Entry) -> None:
    asked: list[str] = []

    class Cancelled:
        def get(self, url: str, *, max_bytes: int, timeout: float) -> bytes:
            asked.append(url)
            raise PictureError("cancelled", "called off")

    twice = {name: sources * 2 for name, sources in entry.sources.items()}
    store = Store(str(cache), Cancelled(), offline=False, timeline=Timeline())

    with pytest.raises(PictureError) as caught:
        store.open(entry._replace(sources=twice))

    assert caught.value.kind == "cancelled"
    assert len(asked) == len(CONTENTS)


def test_labels_that_do_not_fit_the_model_are_refused(make_store: MakeStore, cache: Path, entry: Entry) -> None:
    three_outputs = entry.card._replace(output=Tensor((1, 3), "uint8", 1 / 256, 0))

    with pytest.raises(InvalidModel, match="2 labels for a model with 3 outputs"):
        make_store(cache).open(entry._replace(card=three_outputs))


def test_removing_deletes_the_entry_and_says_whether_it_was_there(
    make_store: MakeStore, cache: Path, entry: Entry
) -> None:
    fill(make_store, cache, entry)

    assert remove(str(cache), "magpie")
    assert not remove(str(cache), "magpie")
    assert look_up(str(cache), entry) == ({}, {})


# Models that are made of others


@pytest.fixture
def made_entry(entry: Entry) -> Entry:
    """A model whose bytes are those of the magpie backwards."""
    files = {**entry.card.files, "model.tflite": fact(MODEL[::-1])}
    return Entry(entry.card._replace(name="eipgam", files=files), "a magpie backwards", {}, made_from=entry)


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Models are made by turning their bytes around; the sizes of those that were."""
    sizes: list[int] = []

    def turn(model: bytes) -> SimpleNamespace:
        sizes.append(len(model))
        return SimpleNamespace(model=model[::-1])

    monkeypatch.setattr(requantize, "tflite_to_int8", turn)
    return sizes


def test_a_model_that_is_made_of_another_fetches_that_and_keeps_both(
    make_store: MakeStore, cache: Path, made_entry: Entry, origin: Origin, turned: list[int]
) -> None:
    store = make_store(cache)
    model = store.open(made_entry)
    store.close()

    assert (bytes(model.data), model.labels.names[0]) == (MODEL[::-1], "Pica ficta")
    assert model.folder == str(cache / "models" / "eipgam")
    assert files_in(cache / "models" / "eipgam") == files_in(cache / "models" / "magpie") == {*CONTENTS, "model.json"}
    assert read_card(str(cache / "models" / "eipgam")) == made_entry.card
    assert [origin.hits(f"/{name}") for name in CONTENTS] == [1, 1, 1]

    again = make_store(cache, offline=True).open(made_entry)
    assert bytes(again.data) == MODEL[::-1]
    assert turned == [len(MODEL)]


def test_offline_it_is_made_if_the_other_is_in_the_cache(
    make_store: MakeStore, cache: Path, entry: Entry, made_entry: Entry, turned: list[int]
) -> None:
    with pytest.raises(ModelUnavailable, match=r"magpie is not in the cache .*--offline forbids fetching it"):
        make_store(cache, offline=True).open(made_entry)

    fill(make_store, cache, entry)
    store = make_store(cache, offline=True)
    assert bytes(store.open(made_entry).data) == MODEL[::-1]
    store.close()
    assert look_up(str(cache), made_entry)[1] == {}


def test_without_a_cache_it_is_made_in_memory(
    make_store: MakeStore, tmp_path: Path, made_entry: Entry, turned: list[int]
) -> None:
    store = make_store(None)
    model = store.open(made_entry)
    store.close()

    assert (bytes(model.data), model.folder) == (MODEL[::-1], None)
    assert files_in(tmp_path) == set()


def test_what_does_not_come_out_as_the_catalogue_says_is_neither_used_nor_kept(
    make_store: MakeStore, cache: Path, made_entry: Entry, turned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(cache)
    with monkeypatch.context() as patch:
        patch.setattr(requantize, "tflite_to_int8", lambda model: SimpleNamespace(model=model))
        with pytest.raises(InvalidModel, match=r"eipgam: model\.tflite as made on this machine has sha256"):
            store.open(made_entry)
    store.close()

    assert files_in(cache / "models" / "eipgam") == set()
    assert bytes(make_store(cache).open(made_entry).data) == MODEL[::-1]  # the lock is free


def test_a_damaged_one_is_made_again_from_the_cache(
    make_store: MakeStore,
    cache: Path,
    made_entry: Entry,
    origin: Origin,
    warnings_said: list[str],
    turned: list[int],
) -> None:
    for damaged in ("model.tflite", "labels.csv"):
        store = make_store(cache)
        store.open(made_entry)
        store.close()
        (cache / "models" / "eipgam" / damaged).write_bytes(b"x")

        turned.clear()
        store = make_store(cache, offline=True)
        assert bytes(store.open(made_entry).data) == MODEL[::-1]
        store.close()

        assert (cache / "models" / "eipgam" / "labels.csv").read_bytes() == LABELS
        assert len(turned) == (damaged == "model.tflite")
    assert "cached model.tflite has 1 byte instead of 300,000; making it again" in warnings_said[0]
    assert len(origin.requests) == len(CONTENTS)


def test_two_that_start_at_once_make_it_once(
    make_store: MakeStore, cache: Path, made_entry: Entry, turned: list[int]
) -> None:
    models: list[bytes] = []

    def run() -> None:
        store = make_store(cache)
        models.append(bytes(store.open(made_entry).data))
        store.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert models == [MODEL[::-1]] * 3
    assert turned == [len(MODEL)]


def test_its_labels_alone_are_those_of_the_other(
    make_store: MakeStore, cache: Path, made_entry: Entry, origin: Origin
) -> None:
    assert make_store(cache).labels(made_entry).names == ("Pica ficta", "background")
    assert origin.hits("/model.tflite") == 0


# Labels alone


def test_labels_are_read_without_the_model_and_are_not_kept(
    entry: Entry, origin: Origin, cache: Path, make_store: Callable[..., Store]
) -> None:
    labels = make_store(cache).labels(entry)

    assert labels.names == ("Pica ficta", "background")
    assert labels.common == ("Invented Magpie", None)
    assert origin.hits("/model.tflite") == 0
    assert not cache.exists()


def test_labels_in_the_cache_are_not_fetched(
    entry: Entry, origin: Origin, cache: Path, make_store: Callable[..., Store]
) -> None:
    store = make_store(cache)
    store.open(entry)
    store.close()

    assert make_store(cache, offline=True).labels(entry).names == ("Pica ficta", "background")
    assert origin.hits("/labels.csv") == 1


def test_labels_that_are_not_there_without_a_network_are_told(
    entry: Entry, cache: Path, make_store: Callable[..., Store]
) -> None:
    with pytest.raises(ModelUnavailable, match="--offline forbids fetching it"):
        make_store(cache, offline=True).labels(entry)


def test_labels_with_the_wrong_bytes_are_refused(
    entry: Entry, origin: Origin, cache: Path, make_store: Callable[..., Store]
) -> None:
    origin.serve("/labels.csv", LABELS + b"2,stranger\n")

    with pytest.raises(ModelUnavailable, match=r"no source gave labels\.csv"):
        make_store(cache).labels(entry)
