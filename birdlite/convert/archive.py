"""Unpacks the untrusted archive of a SavedModel: only files and folders, only below its root, and all within bounds.

`hub` calls it. TensorFlow Hub packs a SavedModel's folder as .tar.gz with its files at the root.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from typing import Any, NamedTuple, cast

from birdlite.convert.saved_model import MODEL_FILE
from birdlite.errors import InvalidModel
from birdlite.models.bounded_tar import GZIP, HEADERS_MAX_BYTES, Packed

UNPACKED_MAX_BYTES = 1 << 30
"""Size limit of the unpacked archive, against decompression bombs: 70 times the birds model."""

MAX_MEMBERS = 10_000
MAX_NAME = 512
"""Longest path of a member: an eighth of Linux's limit, so that the folder's own path fits before it."""

_TAR, _TAR_AT = b"ustar", 257  # a magic number, and where it stands
_BLOCK = 512
_CHUNK = 1 << 16
_DEPTH = 3  # folders around a module in an archive


class _Member(NamedTuple):
    """A file or folder to write."""

    path: tuple[str, ...]  # from the root of the archive
    folder: bool
    start: int  # of its content, in the archive without compression
    size: int  # bytes


def looks_packed(data: bytes) -> bool:
    """True if `data`, at least the first 512 bytes of a file, begins an archive."""
    return data.startswith(GZIP) or data[_TAR_AT:].startswith(_TAR)


def unpack(archive: bytes, folder: str) -> None:
    """Unpack a .tar.gz or .tar into an empty folder. Nothing is written before the whole archive has been checked.

    Raises:
        InvalidModel: it is damaged, too large, or has members that are not plain files and folders below its root.
    """
    try:
        packed = Packed(archive, UNPACKED_MAX_BYTES)
        members = _members(packed)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise InvalidModel(f"not a readable .tar.gz: {error}") from None
    for member in members:
        try:
            _write(packed, member, folder)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no file can have this name"
            raise InvalidModel(f"{'/'.join(member.path)[:80]!r} cannot be unpacked: {reason}") from None


def module_folder(folder: str) -> str:
    """The folder of the SavedModel in an unpacked archive: the root, or the only folder in it.

    Raises:
        InvalidModel: there is no SavedModel.
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


def _members(packed: Packed) -> list[_Member]:
    """The members of the archive. It is read to its end, where gzip has its checksum."""
    found: list[_Member] = []
    files: set[tuple[str, ...]] = set()
    with tarfile.open(fileobj=cast("Any", packed), mode="r:") as tar:
        while (info := tar.next()) is not None:
            member = _checked(info)
            if len(found) == MAX_MEMBERS:
                raise InvalidModel(f"the archive has more than {MAX_MEMBERS:,} members")
            if member.path in files:
                raise InvalidModel(f"the archive has a member twice: {info.name!r}")
            if not member.folder:
                files.add(member.path)
            found.append(member)
            packed.allow(HEADERS_MAX_BYTES)
        end = tar.offset
    packed.allow(_BLOCK)
    packed.seek(end)
    if packed.read(_BLOCK).strip(b"\0"):  # `tarfile` takes a damaged header for the end, except the first
        raise InvalidModel(f"not a readable .tar.gz: damaged after member {len(found):,}")
    rest = True
    while rest:
        packed.allow(_CHUNK)
        rest = bool(packed.read(_CHUNK))
    return found


def _checked(info: tarfile.TarInfo) -> _Member:
    """The member that a header describes, if it is harmless. Call it before the next header is read."""
    name = info.name
    if len(name) > MAX_NAME:
        raise InvalidModel(f"the archive has a member with a name of {len(name):,} characters: {name[:80]!r}")
    path = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in path or "\\" in name or "\0" in name:
        raise InvalidModel(f"the archive has a member outside of its root: {name[:80]!r}")
    if not (info.isreg() or info.isdir()) or info.issparse() or not (path or info.isdir()):
        raise InvalidModel(f"the archive has a member that is no plain file: {name[:80]!r}")
    if info.size < 0:
        raise InvalidModel(f"the archive has a member of {info.size} bytes: {name[:80]!r}")
    return _Member(path, info.isdir(), info.offset_data, info.size)


def _write(packed: Packed, member: _Member, folder: str) -> None:
    path = os.path.join(folder, *member.path)
    if member.folder:
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    packed.seek(member.start)
    with open(path, "xb") as copy:
        left = member.size
        while left:
            packed.allow(_CHUNK)
            chunk = packed.read(min(left, _CHUNK))
            copy.write(chunk)
            left -= len(chunk)
