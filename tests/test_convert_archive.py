"""A module's archive: what is plain is unpacked, what is not is refused before it does any harm."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from birdlite.convert.saved_model import archive as archive_room
from birdlite.convert.saved_model.archive import looks_packed, module_folder, unpack
from birdlite.errors import InvalidModel
from tests.tiny_saved_models import pack, write


def packed(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as tar:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder in one of its own, so that a stray file is seen."""
    folder = tmp_path / "outer" / "place"
    folder.mkdir(parents=True)
    return folder


def test_a_module_comes_out_as_it_went_in(tmp_path: Path, place: Path) -> None:
    module = write(tmp_path / "module")

    unpack(pack(module), str(place))

    assert (place / "saved_model.pb").read_bytes() == (module / "saved_model.pb").read_bytes()
    assert (place / "variables").is_dir()
    assert module_folder(str(place)) == str(place)


def test_an_archive_without_compression_is_read_too(place: Path) -> None:
    unpack(packed((member("saved_model.pb"), b"model"), mode="w"), str(place))

    assert (place / "saved_model.pb").read_bytes() == b"model"


@pytest.mark.parametrize("inner", ["1", "birds/1"])
def test_a_module_may_be_packed_with_the_folders_around_it(place: Path, inner: str) -> None:
    unpack(packed((member(f"{inner}/saved_model.pb"), b"model")), str(place))

    assert module_folder(str(place)) == str(place / inner)


@pytest.mark.parametrize("names", [["readme.txt"], ["a/readme.txt", "b/saved_model.pb"], ["1/2/3/4/saved_model.pb"]])
def test_an_archive_without_a_module_is_refused(place: Path, names: list[str]) -> None:
    unpack(packed(*((member(name), b"x") for name in names)), str(place))

    with pytest.raises(InvalidModel, match=r"no saved_model\.pb"):
        module_folder(str(place))


@pytest.mark.parametrize(
    "evil",
    [
        member("../escaped"),
        member("a/../../escaped"),
        member("/tmp/escaped"),
        member("..\\escaped"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("hard", tarfile.LNKTYPE, "saved_model.pb"),
        member("pipe", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
        member("disk", tarfile.BLKTYPE),
    ],
    ids=lambda evil: evil.name,
)
def test_a_member_that_is_no_plain_file_below_the_root_is_refused(place: Path, evil: tarfile.TarInfo) -> None:
    with pytest.raises(InvalidModel, match="the archive has a member"):
        unpack(packed((member("saved_model.pb"), b"model"), (evil, b"")), str(place))

    assert [path.name for path in place.parent.iterdir()] == ["place"]
    assert [path.name for path in place.iterdir()] == ["saved_model.pb"]


def test_a_file_is_not_written_twice(place: Path) -> None:
    with pytest.raises(InvalidModel, match="not a readable"):
        unpack(packed((member("a"), b"1"), (member("a"), b"2")), str(place))


def test_a_bomb_is_not_unpacked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_room, "UNPACKED_MAX_BYTES", 1 << 20)
    bomb = packed((member("a"), bytes(1 << 20)), (member("b"), b"x"))
    assert len(bomb) < 10_000

    with pytest.raises(InvalidModel, match="unpacks to more than 1 MiB"):
        unpack(bomb, str(place))


def test_a_crowd_of_members_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_room, "MAX_MEMBERS", 2)

    with pytest.raises(InvalidModel, match="more than 2 members"):
        unpack(packed(*((member(name), b"") for name in "abc")), str(place))


def test_a_member_that_lies_about_its_size_is_refused(place: Path) -> None:
    whole = packed((member("saved_model.pb"), bytes(5000)), mode="w")

    with pytest.raises(InvalidModel, match=r"not a readable .tar.gz"):
        unpack(gzip.compress(whole[:2000]), str(place))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>moved</html>",
        gzip.compress(b"no tar in here" * 100),
        packed((member("a"), bytes(5000)))[:-200],
        packed((member("a"), b"content " * 500))[:60] + b"\xff" * 60,
    ],
    ids=["empty", "html", "gzip of something else", "cut off", "damaged"],
)
def test_what_is_no_archive_is_refused(place: Path, data: bytes) -> None:
    with pytest.raises(InvalidModel, match=r"not a readable .tar.gz"):
        unpack(data, str(place))


def test_an_archive_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert looks_packed(pack(write(tmp_path)))
    assert looks_packed(packed((member("a"), b""), mode="w"))
    assert not looks_packed(b"<html>")
    assert not looks_packed(b"")
