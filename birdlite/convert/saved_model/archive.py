"""A module's archive, unpacked: nothing but files and folders, nothing outside, nothing without bounds.

`hub` calls it. TensorFlow Hub packs a SavedModel's folder as .tar.gz, its files at the root.
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Iterator

from birdlite.convert.saved_model.read import MODEL_FILE
from birdlite.errors import InvalidModel

UNPACKED_MAX_BYTES = 1 << 30
"""70 times the birds model: bounds a decompression bomb."""

MAX_MEMBERS = 10_000
_GZIP, _TAR, _TAR_AT = b"\x1f\x8b", b"ustar", 257  # magic numbers, and where that of tar stands
_DEPTH = 3  # folders around a module in an archive


def looks_packed(data: bytes) -> bool:
    """Whether bytes, the first 512 at least, begin an archive."""
    return data.startswith(_GZIP) or data[_TAR_AT:].startswith(_TAR)


def unpack(archive: bytes, folder: str) -> None:
    """Unpack a .tar.gz or .tar into an empty folder.

    Raises:
        InvalidModel: it is damaged, too large, or has members that are not plain files and folders below its root.
            The folder then holds what came before them; throw it away.
    """
    room = UNPACKED_MAX_BYTES
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as tar:
            for member in _members(tar):
                room -= member.size
                if room < 0:
                    raise InvalidModel(f"the archive unpacks to more than {UNPACKED_MAX_BYTES >> 20} MiB")
                _write(tar, member, folder)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise InvalidModel(f"not a readable .tar.gz: {error}") from None


def module_folder(folder: str) -> str:
    """Where in an unpacked archive the SavedModel is: at its root, or in a folder that holds all.

    Raises:
        InvalidModel: there is none.
    """
    for _ in range(_DEPTH):
        entries = os.listdir(folder)
        if MODEL_FILE in entries:
            return folder
        inner = os.path.join(folder, entries[0]) if len(entries) == 1 else ""
        if not os.path.isdir(inner):
            break
        folder = inner
    raise InvalidModel(f"the archive holds no SavedModel: there is no {MODEL_FILE}")


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members, each checked before the next is looked for: that may be far away."""
    count = 0
    while (member := tar.next()) is not None:
        count += 1
        if count > MAX_MEMBERS:
            raise InvalidModel(f"the archive has more than {MAX_MEMBERS:,} members")
        _check(member)
        yield member


def _check(member: tarfile.TarInfo) -> None:
    parts = member.name.split("/")
    if member.name.startswith("/") or ".." in parts or "\\" in member.name or "\0" in member.name:
        raise InvalidModel(f"the archive has a member outside of its root: {member.name[:80]!r}")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise InvalidModel(f"the archive has a member that is no plain file: {member.name[:80]!r}")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: str) -> None:
    path = os.path.join(folder, *(part for part in member.name.split("/") if part not in ("", ".")))
    if member.isdir():
        os.makedirs(path, exist_ok=True)
        return
    file = tar.extractfile(member)
    if file is None:
        raise InvalidModel(f"the archive has a member without content: {member.name[:80]!r}")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as copy:
        left = member.size
        while left:
            chunk = file.read(min(left, 1 << 20))
            if not chunk:
                raise InvalidModel(f"not a readable .tar.gz: {member.name[:80]!r} is cut off")
            copy.write(chunk)
            left -= len(chunk)
