"""Reading local files: complete, bounded, and without waiting for pipes and devices."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from birdlite.errors import PictureError
from birdlite.local_file import picture_error, read, reason
from birdlite.results import Failure


def failure_of(path: str | Path, max_bytes: int = 1000) -> Failure:
    with pytest.raises(PictureError) as caught:
        read(str(path), max_bytes)
    return Failure(caught.value.kind, str(caught.value))


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 200_000])
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "a.jpg").write_bytes(data)
    assert read(str(tmp_path / "a.jpg"), 200_000) == data


def test_a_file_above_the_limit_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(101))
    assert failure_of(path, 100) == Failure("too_large", "more than 100 bytes")


def test_the_limit_counts_for_a_file_whose_size_is_not_known() -> None:
    if not os.path.exists("/proc/self/stat"):
        pytest.skip("no /proc here")
    assert os.stat("/proc/self/stat").st_size == 0
    assert failure_of("/proc/self/stat", 10) == Failure("too_large", "more than 10 bytes")
    assert read("/proc/self/stat", 100_000).startswith(str(os.getpid()).encode())


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    assert failure_of(path) == Failure("not_found", "no such file")


def test_a_name_with_a_nul_is_not_found() -> None:
    assert failure_of("a\0.jpg") == Failure("not_found", "no file can have this name")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert failure_of(tmp_path) == Failure("unsupported", "a folder, not a picture")


def test_a_pipe_without_a_writer_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    os.mkfifo(path)
    assert failure_of(path) == Failure("unsupported", "not a regular file")


def test_a_device_that_never_ends_is_refused() -> None:
    assert failure_of("/dev/zero") == Failure("unsupported", "not a regular file")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket holds 108 bytes at most
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.jpg")
        assert failure_of("a.jpg") == Failure("unsupported", "not a regular file")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(bytes(101))
    before = os.dup(0)
    os.close(before)
    read(str(tmp_path / "a.jpg"), 1000)
    failure_of(tmp_path / "a.jpg", 100)
    failure_of(tmp_path)
    after = os.dup(0)
    os.close(after)
    assert after == before


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (PermissionError(errno.EACCES, "x"), Failure("blocked", "permission denied")),
        (PermissionError(errno.EPERM, "x"), Failure("blocked", "permission denied")),
        (OSError(errno.EIO, "Input/output error"), Failure("decode", "cannot be read: Input/output error")),
        (OSError("odd"), Failure("decode", "cannot be read: odd")),
        (NotADirectoryError(errno.ENOTDIR, "x"), Failure("not_found", "a part of the path is not a folder")),
        (OSError(errno.ENAMETOOLONG, "x"), Failure("not_found", "the name is too long")),
        (OSError(errno.ELOOP, "x"), Failure("not_found", "a symbolic link that leads back to itself")),
        (ValueError("embedded null byte"), Failure("not_found", "no file can have this name")),
    ],
)
def test_every_error_of_the_system_has_its_failure_and_its_words(error: OSError, failure: Failure) -> None:
    picture = picture_error(error)

    assert Failure(picture.kind, str(picture)) == failure
    assert reason(error) == failure.message.removeprefix("cannot be read: ")
