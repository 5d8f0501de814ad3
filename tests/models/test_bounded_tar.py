"""One file out of a .tar.gz, and nothing that such a file may try with us."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from birdlite.errors import InvalidModel
from birdlite.models import bounded_tar
from birdlite.models.bounded_tar import member_of


def packed(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                information = tarfile.TarInfo(member[0])
                information.size = len(member[1])
                tar.addfile(information, io.BytesIO(member[1]))
    return buffer.getvalue()


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    information = tarfile.TarInfo(name)
    information.type, information.linkname = kind, target
    return information


@pytest.mark.parametrize("name", ["3.tflite", "./3.tflite"])
def test_the_named_member_is_given_whatever_stands_around_it(name: str) -> None:
    data = packed(("README", b"hello"), (name, b"model"), ("other/3.tflite", b"not this"))

    assert member_of(data, "3.tflite", 100) == b"model"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_member_that_is_no_regular_file_is_none(kind: bytes) -> None:
    with pytest.raises(InvalidModel, match="has no file 3"):
        member_of(packed(link("3.tflite", kind, "/etc/passwd")), "3.tflite", 100)


def test_a_member_larger_than_expected_is_refused() -> None:
    with pytest.raises(InvalidModel, match="has 101 bytes, expected 100"):
        member_of(packed(("3.tflite", b"x" * 101)), "3.tflite", 100)


def test_a_bomb_before_the_member_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_tar, "UNPACKED_MAX_BYTES", 1 << 20)

    with pytest.raises(InvalidModel, match="unpacks to more than 1 MiB"):
        member_of(packed(("bomb", bytes(2 << 20)), ("3.tflite", b"model")), "3.tflite", 100)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", gzip.compress(b"no tar"), packed(("3.tflite", b"x" * 5000))[:-40], gzip.compress(b"x" * 600)],
    ids=["empty", "a page", "no tar", "cut off", "garbage"],
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidModel):
        member_of(data, "3.tflite", 10_000)


def test_a_name_as_long_as_a_bomb_is_not_read() -> None:
    information = tarfile.TarInfo("x" * (2 << 20))

    with pytest.raises(InvalidModel, match="headers of a member are too large"):
        member_of(packed(information, ("3.tflite", b"model")), "3.tflite", 100)


def test_long_names_of_long_names_are_not_followed_for_ever() -> None:
    """`tarfile` calls itself for each of them."""
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 512
    chain = gzip.compress((name.tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")) * 5000)

    with pytest.raises(InvalidModel, match="headers of a member are too large"):
        member_of(chain, "3.tflite", 100)


def test_a_member_that_is_cut_off_is_refused() -> None:
    whole = gzip.decompress(packed(("3.tflite", b"x" * 5000)))

    with pytest.raises(InvalidModel, match="is cut off"):
        member_of(gzip.compress(whole[:4000]), "3.tflite", 10_000)
