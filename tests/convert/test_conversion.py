"""A bundle is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from birdlite.convert.conversion import check_place, write_bundle
from birdlite.errors import OutputError, UsageError
from birdlite.models.bundle import read_card
from birdlite.models.card import Card, FileFact, Tensor

FILES: dict[str, bytes] = {"model.onnx": b"a model", "labels.csv": b"id,name\n0,a\n"}


def card(name: str = "magpie") -> Card:
    return Card(
        name=name,
        format="onnx",
        input=Tensor((-1, 8, 8, 3), "uint8"),
        output=Tensor((-1, 1), "float32"),
        files={name: FileFact(len(data), hashlib.sha256(data).hexdigest()) for name, data in FILES.items()},
        source="https://example.org",
    )


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_bundle_holds_its_files_and_its_card(tmp_path: Path) -> None:
    write_bundle(str(tmp_path / "new" / "bundle"), card(), FILES)

    written = files_in(tmp_path / "new" / "bundle")
    assert {name: written[name] for name in FILES} == FILES
    assert read_card(str(tmp_path / "new" / "bundle")) == card()
    assert os.listdir(tmp_path / "new") == ["bundle"]


def test_a_bundle_can_take_the_place_of_another(tmp_path: Path) -> None:
    place = str(tmp_path / "bundle")
    write_bundle(place, card("old"), FILES)
    write_bundle(place, card("new"), FILES, replace=True)

    assert read_card(place).name == "new"
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("step", ["os.fsync", "os.rename"])
def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(step, full)

    with pytest.raises(OutputError, match="the bundle cannot be written: No space left on device"):
        write_bundle(str(tmp_path / "bundle"), card(), FILES)

    assert os.listdir(tmp_path) == []


def test_what_a_killed_conversion_left_is_swept_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    for process in (dead.pid, os.getppid()):
        (tmp_path / f".bundle.{process}-0a1b2c3d.partial").mkdir()

    write_bundle(str(tmp_path / "bundle"), card(), FILES)

    assert sorted(os.listdir(tmp_path)) == [f".bundle.{os.getppid()}-0a1b2c3d.partial", "bundle"]


def test_a_place_that_is_free_or_empty_is_fine(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    check_place(str(tmp_path / "empty"), replace=False)
    check_place(str(tmp_path / "none"), replace=False)


def test_a_bundle_is_replaced_only_on_request(tmp_path: Path) -> None:
    write_bundle(str(tmp_path / "bundle"), card(), FILES)

    with pytest.raises(UsageError, match="holds a model bundle already; --force replaces it"):
        check_place(str(tmp_path / "bundle"), replace=False)
    check_place(str(tmp_path / "bundle"), replace=True)


@pytest.mark.parametrize("replace", [True, False])
def test_what_is_no_bundle_is_never_replaced(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    (tmp_path / "file").touch()

    for name in ("photos", "file"):
        with pytest.raises(UsageError, match="is not a model bundle; it will not be touched"):
            check_place(str(tmp_path / name), replace=replace)


def test_a_folder_without_a_name_is_refused_and_not_the_current_one_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="--output needs the name of a folder"):
        write_bundle("", card(), FILES, replace=True)

    assert (tmp_path / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("replace", [False, True])
def test_what_appears_during_the_conversion_is_not_replaced(tmp_path: Path, replace: bool) -> None:
    place = tmp_path / "bundle"
    check_place(str(place), replace=replace)
    place.mkdir()
    (place / "precious.txt").write_text("precious")

    with pytest.raises(UsageError, match="it will not be touched"):
        write_bundle(str(place), card(), FILES, replace=replace)

    assert [path.name for path in tmp_path.rglob("*")] == ["bundle", "precious.txt"]


def test_a_bundle_with_files_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    write_bundle(str(place), card(), FILES)
    (place / "notes.txt").write_text("precious")

    with pytest.raises(UsageError, match=r"also holds notes\.txt"):
        write_bundle(str(place), card(), FILES, replace=True)
