"""The scratch folder, in which an output is made before it is put, and the names in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from birdlite.errors import OutputError
from birdlite.storage.upload import scratch_folder, scratch_name


def test_the_folder_in_tmpdir_is_for_this_user_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    folder = scratch_folder(None)

    assert folder == str(tmp_path / f"birdlite-{os.getuid()}")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert scratch_folder(None) == folder


def test_a_folder_in_tmpdir_that_others_may_write_to_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    os.chmod(scratch_folder(None), 0o777)

    with pytest.raises(OutputError, match="not a folder that only you may write to; choose another with --scratch"):
        scratch_folder(None)


def test_a_link_in_tmpdir_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"birdlite-{os.getuid()}").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OutputError, match="only you may write to"):
        scratch_folder(None)


def test_a_file_in_the_place_of_the_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / f"birdlite-{os.getuid()}").touch(mode=0o600)

    with pytest.raises(OutputError, match="choose another with --scratch"):
        scratch_folder(None)


def test_a_chosen_folder_is_made_and_used(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    assert scratch_folder(str(folder)) == str(folder)
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("name", "reason"), [("file/below", "a part of the path is not a folder"), ("a\0b", "no file can have this name")]
)
def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=f"no scratch folder: {reason}; choose another with --scratch"):
        scratch_folder(str(tmp_path / name))


def test_every_url_has_its_own_name_which_is_always_the_same() -> None:
    urls = [
        "s3://a/part-0.jsonl",
        "s3://b/part-0.jsonl",
        "gs://a/part-0.jsonl",
        "s3://a/x/part-0.jsonl",
        "s3://a/" + "x" * 900,
    ]

    names = [scratch_name(url) for url in urls]

    assert len(set(names)) == len(urls)
    assert names == [scratch_name(url) for url in urls]
    assert names[0].endswith("-part-0.jsonl")
    assert max(map(len, names)) < 200
