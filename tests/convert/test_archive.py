"""A module's archive: what is plain is unpacked, what is not is refused before it does any harm."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from pathlib import Path
from typing import Literal

import pytest

from birdlite.convert import hub as archive_module
from birdlite.convert.hub import looks_packed, module_folder, unpack
from birdlite.errors import InvalidModel
from tests.tiny_saved_models import lay_out, pack


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


END = bytes(1024)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A member's header as nobody would write it: its size may be less than nothing."""
    made = bytearray(member(name, kind).tobuf(tarfile.GNU_FORMAT))
    made[124:136] = size.to_bytes(12, "big", signed=True) if size < 0 else b"%011o\0" % size
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def block(content: bytes) -> bytes:
    """Content, filled up to whole blocks."""
    return content + bytes(-len(content) % 512)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder in one of its own, so that a stray file is seen."""
    folder = tmp_path / "outer" / "place"
    folder.mkdir(parents=True)
    return folder


def test_a_module_comes_out_as_it_went_in(tmp_path: Path, place: Path) -> None:
    module = lay_out(tmp_path / "module")

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
    assert not list(place.iterdir())


@pytest.mark.parametrize("again", ["a", "./a", "b/a", "b/./a"])
def test_a_file_is_not_written_twice(place: Path, again: str) -> None:
    with pytest.raises(InvalidModel, match="the archive has a member twice"):
        unpack(packed((member("a"), b"1"), (member("b//a"), b"1"), (member(again), b"2")), str(place))

    assert not list(place.iterdir())


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_the_root_is_no_file(place: Path, name: str) -> None:
    with pytest.raises(InvalidModel, match="no plain file"):
        unpack(gzip.compress(header(name, 1) + block(b"x")), str(place))


def test_the_root_may_be_named_as_a_folder(place: Path) -> None:
    unpack(packed((member("./", tarfile.DIRTYPE), b""), (member("./a"), b"content")), str(place))

    assert (place / "a").read_bytes() == b"content"


def test_a_file_cannot_be_a_folder_too(place: Path) -> None:
    with pytest.raises(InvalidModel, match=r"'a/b' cannot be unpacked: (Not a directory|File exists)"):
        unpack(packed((member("a"), b"1"), (member("a/b"), b"2")), str(place))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("/".join("a" * 300), "a name of 599 characters"),  # as deep as that, makedirs might not go
        ("a" * 100_000, "headers of a member are too large"),
        ("a" * 300, "cannot be unpacked: File name too long"),
    ],
    ids=["deep", "endless", "long"],
)
def test_a_name_without_measure_is_refused(place: Path, name: str, complaint: str) -> None:
    with pytest.raises(InvalidModel, match=complaint) as caught:
        unpack(packed((member(name), b"x")), str(place))

    assert len(str(caught.value)) < 200


def test_a_name_may_be_as_long_as_is_sane(place: Path) -> None:
    name = "/".join("a" * 256) + "b"
    assert len(name) == archive_module.MAX_NAME

    unpack(packed((member(name), b"x")), str(place))

    assert (place / name).read_bytes() == b"x"


def test_a_bomb_is_not_unpacked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "UNPACKED_MAX_BYTES", 1 << 20)
    bomb = packed((member("a"), bytes(1 << 20)), (member("b"), b"x"))
    assert len(bomb) < 10_000

    with pytest.raises(InvalidModel, match="unpacks to more than 1 MiB"):
        unpack(bomb, str(place))


def test_a_folder_of_negative_size_allows_no_a_bomb(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "UNPACKED_MAX_BYTES", 1 << 20)
    bomb = header("a", 2 << 20) + bytes(2 << 20) + END

    with pytest.raises(InvalidModel, match="unpacks to more than 1 MiB"):
        unpack(gzip.compress(bomb), str(place))
    with pytest.raises(InvalidModel, match="a member of -1125899906842624 bytes: 'folder'"):
        unpack(gzip.compress(header("folder", -(1 << 50), tarfile.DIRTYPE) + bomb), str(place))


@pytest.mark.parametrize("size", [-512, -(1 << 40)])
def test_a_file_with_a_negative_size_is_refused(place: Path, size: int) -> None:
    """Python's own `tarfile` notices it since 2025, in words of its own; before that birdlite does."""
    with pytest.raises(InvalidModel):
        unpack(gzip.compress(header("a", size) + header("b", 1) + block(b"x") + END), str(place))
    assert not list(place.iterdir())


def test_what_comes_after_the_end_counts_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "UNPACKED_MAX_BYTES", 1 << 20)

    with pytest.raises(InvalidModel, match="unpacks to more than 1 MiB"):
        unpack(gzip.compress(header("a", 1) + block(b"x") + bytes(2 << 20)), str(place))


@pytest.mark.parametrize(
    "headers",
    [
        header("././@LongLink", 1 << 20, tarfile.GNUTYPE_LONGNAME) + bytes(1 << 20),
        header("pax", 1 << 20, tarfile.XHDTYPE) + bytes(1 << 20),
        (header("././@LongLink", 2, tarfile.GNUTYPE_LONGNAME) + block(b"a")) * 2000,
        header("././@LongLink", -512, tarfile.GNUTYPE_LONGNAME),
    ],
    ids=["a long name", "a pax header", "a chain of them", "a negative size"],
)
@pytest.mark.parametrize("first", [b"", header("b", 1) + block(b"x")], ids=["at the start", "later"])
def test_headers_without_measure_are_not_read(place: Path, headers: bytes, first: bytes) -> None:
    """A negative size is an error of `tarfile` itself since 2025; so only the kind of error is the same everywhere."""
    archive = gzip.compress(first + headers + header("a", 1) + block(b"x") + END)
    assert len(archive) < 10_000

    with pytest.raises(InvalidModel):
        unpack(archive, str(place))
    assert not list(place.iterdir())


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_long_name_has_headers_of_its_own_in_either_style(place: Path, style: Literal[1, 2]) -> None:
    name = "/".join(["assets" * 20] * 4)
    made = member(name)
    made.size = 1

    unpack(made.tobuf(style) + block(b"x") + END, str(place))

    assert (place / name).read_bytes() == b"x"


@pytest.mark.parametrize("holes", [b"0\n", b"some\n"])
def test_a_file_with_holes_is_refused(place: Path, holes: bytes) -> None:
    pax = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n26 GNU.sparse.realsize=99\n"
    archive = header("pax", len(pax), tarfile.XHDTYPE) + block(pax) + header("a", 512) + block(holes) + END

    with pytest.raises(InvalidModel, match=r"no plain file|not a readable \.tar\.gz"):
        unpack(gzip.compress(archive), str(place))


def test_a_name_with_a_nul_is_refused(place: Path) -> None:
    pax = b"12 path=a\0b\n"
    archive = header("pax", len(pax), tarfile.XHDTYPE) + block(pax) + header("a", 1) + block(b"x") + END

    with pytest.raises(InvalidModel, match=r"outside of its root: 'a\\x00b'"):
        unpack(gzip.compress(archive), str(place))


def test_a_size_beyond_all_measure_is_not_looked_for(place: Path) -> None:
    with pytest.raises(InvalidModel, match="unpacks to more than 1024 MiB"):
        unpack(gzip.compress(header("a", 8**11 - 1) + block(b"x")), str(place))


def test_many_members_are_no_crowd(place: Path) -> None:
    names = [f"assets/{number}" for number in range(300)]

    unpack(packed(*((member(name), name.encode()) for name in names)), str(place))

    assert {f"assets/{path.name}" for path in (place / "assets").iterdir()} == set(names)
    assert (place / "assets" / "299").read_bytes() == b"assets/299"


def test_a_folder_may_be_named_twice(place: Path) -> None:
    unpack(packed(*((member("variables", tarfile.DIRTYPE), b"") for _ in range(2))), str(place))

    assert (place / "variables").is_dir()


def test_a_crowd_of_members_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 2)

    with pytest.raises(InvalidModel, match="more than 2 members"):
        unpack(packed(*((member(name), b"") for name in "abc")), str(place))


@pytest.mark.parametrize("length", [700, 2000])
def test_a_member_that_lies_about_its_size_is_refused(place: Path, length: int) -> None:
    whole = packed((member("saved_model.pb"), bytes(5000)), mode="w")

    for archive in (whole[:length], gzip.compress(whole[:length])):
        with pytest.raises(InvalidModel, match=r"not a readable \.tar\.gz"):
            unpack(archive, str(place))
    assert not list(place.iterdir())


@pytest.mark.parametrize("damage", ["bit", "cut", "blocks"])
def test_damage_that_only_the_checksum_shows_is_found(place: Path, damage: str) -> None:
    whole = packed((member("saved_model.pb"), random.Random(0).randbytes(200_000)), mode="w") + bytes(1 << 20)
    archive = bytearray(gzip.compress(whole, 0))  # stored, so that a bit turned is a bit turned in the model
    if damage == "bit":
        archive[100_000] ^= 1
    elif damage == "blocks":
        archive[-200_000:-100_000] = b"\xff" * 100_000
    else:
        del archive[-300_000:]

    with pytest.raises(InvalidModel, match=r"not a readable \.tar\.gz"):
        unpack(bytes(archive), str(place))
    assert not list(place.iterdir())


def test_a_damaged_header_is_not_taken_for_the_end(place: Path) -> None:
    whole = header("a", 1) + block(b"x") + header("saved_model.pb", 1) + block(b"x") + END
    damaged = bytearray(whole)
    damaged[1030] ^= 1

    for archive in (bytes(damaged), whole[:1200]):
        with pytest.raises(InvalidModel, match=r"not a readable \.tar\.gz: damaged after member 1"):
            unpack(archive, str(place))
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>moved</html>",
        gzip.compress(b"no tar in here" * 100),
        packed((member("a"), bytes(5000)))[:-200],
        packed((member("a"), b"content " * 500))[:60] + b"\xff" * 60,
        packed((member("a"), b"content"), mode="w:xz"),
        packed((member("a"), b"content"), mode="w:bz2"),
    ],
    ids=["empty", "html", "gzip of something else", "cut off", "damaged", "xz", "bzip2"],
)
def test_what_is_no_archive_is_refused(place: Path, data: bytes) -> None:
    with pytest.raises(InvalidModel, match=r"not a readable \.tar\.gz") as caught:
        unpack(data, str(place))

    assert "\n" not in str(caught.value)
    assert not list(place.iterdir())


def test_an_archive_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert looks_packed(pack(lay_out(tmp_path)))
    assert looks_packed(packed((member("a"), b""), mode="w"))
    assert not looks_packed(b"<html>")
    assert not looks_packed(b"")
