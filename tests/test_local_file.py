"""Reading local files: whole, bounded, and never waiting for what is no file."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from birdlite.errors import PictureError
from birdlite.local_file import read, why
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


def test_a_file_that_does_not_say_how_long_it_is_is_held_to_the_limit() -> None:
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


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    assert failure_of(tmp_path) == Failure("unsupported", "a folder, not a picture")


def test_a_pipe_nobody_writes_to_is_refused_without_waiting(tmp_path: Path) -> None:
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
        (OSError(errno.EIO, "Input/output error"), Failure("decode", "cannot be read: Input/output error")),
        (OSError("odd"), Failure("decode", "cannot be read: odd")),
        (NotADirectoryError(errno.ENOTDIR, "x"), Failure("not_found", "no such file")),
        (OSError(errno.ENAMETOOLONG, "x"), Failure("not_found", "too long for the name of a file")),
        (OSError(errno.ELOOP, "x"), Failure("not_found", "a link that leads back to itself")),
    ],
)
def test_every_error_of_the_system_has_its_failure(error: OSError, failure: Failure) -> None:
    reason = why(error)
    assert Failure(reason.kind, str(reason)) == failure
