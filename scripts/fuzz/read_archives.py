"""The part `archives`: .tar.gz files of models, of which one member is read, or all are unpacked."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zlib
from pathlib import Path

from birdlite.errors import InvalidModel
from scripts.fuzz.damage import damaged, inside, with_words
from scripts.fuzz.part import Attempt, Part

_MEMBER = "3.tflite"
_WORDS = (
    *(
        b"ustar\0" + b"00",
        b"ustar  \0",
        b"\0" * 512,
        b"././@LongLink",
        b"../../x",
        b"/etc/x",
        b"./3.tflite",
        b"0",
        b"7",
    ),
    *(
        b"77777777777\0",
        b"00000000000\0",
        b"\x80" + b"\0" * 10 + b"\xff",
        b"\xff" * 12,
        b"-0000000001\0",
        b"g",
        b"x",
        b"S",
    ),
    *(
        b"30 path=3.tflite\n",
        b"22 size=99999999999\n",
        b"28 GNU.sparse.size=1000000\n",
        b"20 hdrcharset=BIN\n",
        b"9" * 40,
    ),
)


def _tar(format_: int, names: tuple[str, ...], **headers: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:", format=format_, pax_headers=headers) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            content = b"" if name.endswith("/") else name.encode() * 40
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _seeds() -> dict[str, bytes]:
    names = ("./", "./3.tflite", "./variables/", "./variables/variables.index", "./saved_model.pb")
    long = ("a/" * 60 + "b", _MEMBER)
    return {
        "ustar": gzip.compress(_tar(tarfile.USTAR_FORMAT, names)),
        "GNU": gzip.compress(_tar(tarfile.GNU_FORMAT, long)),
        "pax": gzip.compress(_tar(tarfile.PAX_FORMAT, (*long, "möwe"), comment="birds", path="x")),
        "not packed": _tar(tarfile.PAX_FORMAT, names),
    }


def _prepare(folder: Path) -> Attempt:
    from birdlite.convert.hub import looks_packed, module_folder, unpack
    from birdlite.models.bounded_tar import member_of

    below = folder / "unpacked"

    def attempt(data: bytes) -> None:
        if zlib.crc32(data) % 2:
            assert len(member_of(data, _MEMBER, 1 << 20)) <= 1 << 20
            return
        looks_packed(data)
        below.mkdir()
        try:
            unpack(data, str(below))
            module_folder(str(below))
        finally:
            shutil.rmtree(below)
            assert not list(folder.iterdir()), "something was written beside the folder"

    return attempt


_inner = inside(gzip.decompress, lambda data: gzip.compress(data, 1), damaged)
_inner_words = inside(gzip.decompress, lambda data: gzip.compress(data, 1), with_words(_WORDS))
ARCHIVES = Part("archives", _seeds, _prepare, (damaged, _inner, _inner, _inner_words), (InvalidModel,))
