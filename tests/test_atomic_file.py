"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from birdlite.atomic_file import SUFFIX, AtomicFile, leftovers, sweep, unfinished_name, write


def test_a_file_appears_with_all_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    with AtomicFile(str(path)) as file:
        file.write(b"new" * 100_000)
        assert path.read_bytes() == b"old"
        assert sorted(os.listdir(tmp_path)) == [os.path.basename(file.unfinished), "model"]

    assert path.read_bytes() == b"new" * 100_000
    assert os.listdir(tmp_path) == ["model"]


def test_after_an_error_the_old_file_stays_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    with pytest.raises(RuntimeError), AtomicFile(str(path)) as file:  # noqa: PT012
        file.write(b"new")
        raise RuntimeError

    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_a_disk_that_refuses_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    write(str(tmp_path / "model"), b"old")
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left"):
        write(str(tmp_path / "model"), b"new")

    assert (tmp_path / "model").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_a_name_that_a_folder_has_taken_leaves_nothing_behind(tmp_path: Path) -> None:
    file = AtomicFile(str(tmp_path / "out"))
    (tmp_path / "out").mkdir()

    with pytest.raises(IsADirectoryError):
        file.commit()

    assert os.listdir(tmp_path) == ["out"]


def test_a_link_itself_is_replaced_where_it_is_not_to_be_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")

    write(str(tmp_path / "link"), b"new", follow=False)

    assert not (tmp_path / "link").is_symlink()
    assert [(tmp_path / name).read_bytes() for name in ("real", "link")] == [b"old", b"new"]


def test_the_file_behind_a_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "out").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real/out")

    write(str(tmp_path / "link"), b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "out").read_bytes() == b"new"


def test_permissions_can_be_chosen(tmp_path: Path) -> None:
    with AtomicFile(str(tmp_path / "out"), mode=0o640):
        pass

    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_file_that_need_not_be_durable_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "fsync")

    with AtomicFile(str(tmp_path / "out"), durable=False) as file:
        file.write(b"quick")

    assert (tmp_path / "out").read_bytes() == b"quick"


@pytest.mark.parametrize("name", ["a", "x" * 255, "ü" * 127, "\N{BIRD}" * 63, "\udcf6" * 255])
def test_every_name_that_a_file_can_have_has_an_unfinished_one(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)

    write(path, b"")

    assert os.listdir(tmp_path) == [name]
    assert unfinished_name(path) != unfinished_name(path)


def test_what_killed_processes_left_is_found(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead = tmp_path / f".bundle.{gone.stdout.strip()}-0a1b2c3d{SUFFIX}"
    dead.mkdir()
    os.mkdir(unfinished_name(str(tmp_path / "bundle")))  # ours, and we run
    (tmp_path / f"bundle.jsonl{SUFFIX}").touch()  # a journal
    (tmp_path / f".bundle.notes{SUFFIX}").touch()

    assert list(leftovers(str(tmp_path / "bundle"))) == [str(dead)]


def test_a_sweep_removes_unfinished_files_and_no_others(tmp_path: Path) -> None:
    AtomicFile(str(tmp_path / "model"))  # never committed
    write(str(tmp_path / "labels"), b"kept")

    sweep(str(tmp_path))

    assert os.listdir(tmp_path) == ["labels"]
