"""The folder in which an output is made before it is put, and the names in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from birdlite.errors import OutputError
from birdlite.storage.scratch import name_for, scratch_folder


def test_the_users_own_folder_in_tmpdir_is_made_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    folder = scratch_folder(None)

    assert folder == str(tmp_path / f"birdlite-{os.getuid()}")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert scratch_folder(None) == folder


def test_a_folder_of_that_name_which_others_may_write_to_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    os.chmod(scratch_folder(None), 0o777)

    with pytest.raises(OutputError, match="belongs to somebody else; --scratch names another place"):
        scratch_folder(None)


def test_a_link_of_that_name_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"birdlite-{os.getuid()}").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OutputError, match="belongs to somebody else"):
        scratch_folder(None)


def test_a_file_of_that_name_is_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / f"birdlite-{os.getuid()}").touch(mode=0o600)

    with pytest.raises(OutputError, match="--scratch names another place"):
        scratch_folder(None)


def test_a_folder_that_is_given_is_made_and_used_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    assert scratch_folder(str(folder)) == str(folder)
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("name", "reason"), [("file/below", "Not a directory"), ("a\0b", "no file can have this name")]
)
def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=f"no place to make the output in: {reason}; --scratch names another"):
        scratch_folder(str(tmp_path / name))


def test_every_output_has_a_name_of_its_own_that_is_the_same_next_time() -> None:
    urls = [
        "s3://a/part-0.jsonl",
        "s3://b/part-0.jsonl",
        "gs://a/part-0.jsonl",
        "s3://a/x/part-0.jsonl",
        "s3://a/" + "x" * 900,
    ]

    names = [name_for(url) for url in urls]

    assert len(set(names)) == len(urls)
    assert names == [name_for(url) for url in urls]
    assert names[0].endswith("-part-0.jsonl")
    assert max(map(len, names)) < 200
