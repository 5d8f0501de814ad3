"""A cache that others can write to: it says so, is verified all the same, and leads nobody to the user's own files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite.http.fetcher import Fetcher, FetchSettings
from birdlite.models.cache import make_folder
from birdlite.models.catalog import Entry
from birdlite.models.store import Store
from birdlite.timing import Timeline
from tests.magpie import CONTENTS, MODEL
from tests.models.test_trust import STRANGER, as_root
from tests.origin import Origin

OTHER = b"model of somebody else".ljust(len(MODEL), b".")


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of the user's that others want destroyed."""
    path = tmp_path / "precious"
    path.write_text("precious")
    return path


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    fetcher = Fetcher(FetchSettings(retries=0))
    yield fetcher
    fetcher.close()


def open_model(cache: Path, entry: Entry, fetcher: Fetcher) -> bytes:
    store = Store(str(cache), fetcher, offline=False, timeline=Timeline())
    model = store.open(entry)
    store.close()
    return bytes(model.data)


def mode_of(path: Path) -> str:
    return stat.filemode(path.stat().st_mode)


def test_a_cache_that_anybody_may_write_is_told_and_its_files_are_verified(
    cache: Path, entry: Entry, fetcher: Fetcher, warnings_said: list[str], origin: Origin
) -> None:
    open_model(cache, entry, fetcher)
    assert warnings_said == []
    cache.chmod(0o777)

    assert open_model(cache, entry, fetcher) == MODEL
    said = "the cache is there, and its models are checked by sha256 on every load"
    assert warnings_said == [f"{cache} can be written by anyone; {said}; run `chmod o-w {cache}`"]

    (cache / "models" / "magpie" / "model.tflite").write_bytes(OTHER)
    assert open_model(cache, entry, fetcher) == MODEL
    assert origin.hits("/model.tflite") == 2


@as_root
def test_a_cache_of_another_user_is_told(cache: Path, entry: Entry, fetcher: Fetcher, warnings_said: list[str]) -> None:
    cache.mkdir()
    os.chown(cache, STRANGER, STRANGER)

    assert open_model(cache, entry, fetcher) == MODEL
    assert [message.partition(";")[0] for message in warnings_said] == [f"{cache} belongs to another user (uid 12345)"]


@as_root
def test_a_cache_that_is_shared_with_a_group_is_not_worth_a_word(
    cache: Path, entry: Entry, fetcher: Fetcher, warnings_said: list[str]
) -> None:
    cache.mkdir()
    os.chown(cache, 0, STRANGER)
    cache.chmod(0o2775)

    before = os.umask(0o002)
    try:
        assert open_model(cache, entry, fetcher) == MODEL
    finally:
        os.umask(before)

    assert warnings_said == []
    assert mode_of(cache / "models" / "magpie") == "drwxrwsr-x"
    assert (cache / "models" / "magpie").stat().st_gid == STRANGER


@pytest.mark.parametrize("above", [0o755, 0o1777])
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_new_folders_are_private_in_the_users_own_place_and_never_open_to_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, above: int
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(above)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "xdg"))
    own, named = tmp_path / "home" / "xdg" / "birdlite", tmp_path / "home" / "named"

    before = os.umask(umask)
    try:
        for cache in (own, named):
            make_folder(str(cache), str(cache / "models" / "magpie"))
    finally:
        os.umask(before)

    assert {mode_of(own.parents[0]), mode_of(own), mode_of(own / "models" / "magpie")} == {"drwx------"}
    expected = "drwx------" if umask == 0o077 else "drwxr-xr-x"
    assert {mode_of(named), mode_of(named / "models"), mode_of(named / "models" / "magpie")} == {expected}


def test_a_link_in_place_of_a_file_is_replaced_and_never_followed(
    cache: Path, entry: Entry, fetcher: Fetcher, precious: Path
) -> None:
    folder = cache / "models" / "magpie"
    folder.mkdir(parents=True)
    for name in (*CONTENTS, "model.json"):
        (folder / name).symlink_to(precious)

    assert open_model(cache, entry, fetcher) == MODEL

    assert precious.read_text() == "precious"
    assert {name: (folder / name).read_bytes() for name in CONTENTS} == CONTENTS
    assert not (folder / "model.json").is_symlink()


@pytest.mark.parametrize("how", ["a symbolic link", "a hard link", "a pipe", "a folder"])
def test_what_stands_in_place_of_the_lock_is_left_alone(
    cache: Path, entry: Entry, fetcher: Fetcher, precious: Path, warnings_said: list[str], how: str
) -> None:
    (cache / "models").mkdir(parents=True)
    lock = cache / "models" / "magpie.lock"
    put = {
        "a symbolic link": lambda: lock.symlink_to(precious),
        "a hard link": lambda: os.link(precious, lock),
        "a pipe": lambda: os.mkfifo(lock),
        "a folder": lambda: lock.mkdir(),
    }
    put[how]()

    assert open_model(cache, entry, fetcher) == MODEL

    assert precious.read_text() == "precious"
    if how == "a hard link":
        assert warnings_said == []  # it locks as well as any file
    else:
        assert len(warnings_said) == 1
        assert "cannot be written" in warnings_said[0]


@as_root
@pytest.mark.parametrize("which", ["cache", "cache/models", "cache/models/magpie"])
def test_a_folder_that_is_the_link_of_another_user_is_not_written_to(
    tmp_path: Path, cache: Path, entry: Entry, fetcher: Fetcher, warnings_said: list[str], which: str
) -> None:
    mine, link = tmp_path / "mine", tmp_path / which
    mine.mkdir()
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(mine)
    os.lchown(link, STRANGER, STRANGER)

    assert open_model(cache, entry, fetcher) == MODEL

    assert list(mine.iterdir()) == []
    assert len(warnings_said) == 1
    assert f"{link} is a symbolic link of another user" in warnings_said[0]


@pytest.mark.parametrize("size", [1 << 40, len(MODEL)])
def test_a_huge_file_of_nothing_is_not_read(cache: Path, entry: Entry, fetcher: Fetcher, size: int) -> None:
    open_model(cache, entry, fetcher)
    with (cache / "models" / "magpie" / "model.tflite").open("wb") as file:
        file.truncate(size)

    assert open_model(cache, entry, fetcher) == MODEL


def test_a_device_is_not_read(cache: Path, entry: Entry, fetcher: Fetcher) -> None:
    open_model(cache, entry, fetcher)
    (cache / "models" / "magpie" / "model.tflite").unlink()
    (cache / "models" / "magpie" / "model.tflite").symlink_to("/dev/zero")

    assert open_model(cache, entry, fetcher) == MODEL
    assert not (cache / "models" / "magpie" / "model.tflite").is_symlink()


def test_a_folder_in_place_of_a_file_costs_a_warning(
    cache: Path, entry: Entry, fetcher: Fetcher, warnings_said: list[str]
) -> None:
    (cache / "models" / "magpie" / "model.tflite").mkdir(parents=True)

    assert open_model(cache, entry, fetcher) == MODEL

    assert len(warnings_said) == 2
    assert "cached model.tflite cannot be read (it is a folder); fetching it again" in warnings_said[0]
    assert "the model could not be kept in" in warnings_said[1]
    assert "(it is a folder)" in warnings_said[1]
