"""Gets a SavedModel from a TensorFlow Hub handle or URL, an archive or a folder. `module` calls it.

The Hub has moved more than once (tfhub.dev redirects to Kaggle since 2024), and its stores have answered 403 at times
(tensorflow/hub#922, #931, #932). So every known address of a module is tried in turn.

The Hub packs a SavedModel's folder as .tar.gz with its files at the root. Such an archive is not trusted: it may hold
only files and folders, only below its root, and all within bounds.
"""

from __future__ import annotations

import os
import re
import tarfile
import zlib
from typing import Any, TypeAlias, cast

from birdlite import local_file, log
from birdlite.convert.saved_model import MODEL_FILE
from birdlite.errors import InvalidModel, ModelUnavailable, PictureError, UnknownModel
from birdlite.http.fetcher import Fetcher
from birdlite.models.bounded_tar import GZIP, HEADERS_MAX_BYTES, Packed
from birdlite.models.cache import DOWNLOAD_SECONDS
from birdlite.redaction import redacted

DEFAULT_HANDLE = "google/aiy/vision/classifier/birds_V1/1"

KNOWN_SHA256 = "7245ed08e6f9c6de13a7ae5c98565a6138e6b14475fafc17f3fc15fb5bd14904"
"""The sha256 of birds_V1/1's saved_model.pb, as a third party states it."""

ARCHIVE_MAX_BYTES = 256 << 20
"""Size limit of an archive: 20 times the birds model."""

_KAGGLE = "https://www.kaggle.com/api/v1/models/{}/download"
_TFHUB = "https://tfhub.dev/{}?tf-hub-format=compressed"
_STORAGE = "https://storage.googleapis.com/tfhub-modules/{}.tar.gz"

# Kaggle's names of modules that have another name on tfhub.dev.
_ON_KAGGLE = {DEFAULT_HANDLE: "google/aiy/tensorFlow1/vision-classifier-birds-v1/1"}
_ON_TFHUB = {kaggle: handle for handle, kaggle in _ON_KAGGLE.items()}

_HANDLE = re.compile(r"\w[\w.-]*(/\w[\w.-]*)+/\d+")
_TFHUB_PAGE = re.compile(r"(?i:https?)://(?:www\.)?tfhub\.dev/([^?#]+?)/?(?:[?#].*)?")
_KAGGLE_PAGE = re.compile(
    r"(?i:https?)://(?:www\.)?kaggle\.com/(?:api/v1/)?models/([^?#]+?)(?:/download)?/?(?:[?#].*)?"
)
_KAGGLE_WORDS = re.compile(r"/(?:frameworks|variations|versions)(?=/)")  # in the pages' newer addresses

UNPACKED_MAX_BYTES = 1 << 30
"""Size limit of the unpacked archive, against decompression bombs: 70 times the birds model."""

MAX_MEMBERS = 10_000
MAX_NAME = 512
"""Longest path of a member: an eighth of Linux's limit, so that the folder's own path fits before it."""

_TAR, _TAR_AT = b"ustar", 257  # a magic number, and where it stands
_BLOCK = 512
_CHUNK = 1 << 16
_Path: TypeAlias = "tuple[str, ...]"

_DEPTH = 3  # folders around a module in an archive


def addresses_of(source: str) -> tuple[str, ...] | None:
    """The URLs of a module's archive, best first; None if `source` is neither a Hub handle nor a URL."""
    if page := _TFHUB_PAGE.fullmatch(source):
        return _on_hub(page[1])
    if page := _KAGGLE_PAGE.fullmatch(source):
        model = _on_kaggle(page[1])
        return _on_hub(_ON_TFHUB[model]) if model in _ON_TFHUB else (_KAGGLE.format(model),)
    if source.lower().startswith(("https://", "http://")):
        return (source,)
    return _on_hub(source) if _HANDLE.fullmatch(source) and not os.path.exists(source) else None


def _on_kaggle(page: str) -> str:
    """A model as the download address spells it: publisher/model/framework/variation/version.

    Pages call the framework TensorFlow1, TensorFlow2, TfLite as well as tensorFlow1, tensorFlow2, tfLite.
    """
    parts = _KAGGLE_WORDS.sub("", page).split("/")
    return "/".join(part[:1].lower() + part[1:] if place == 2 else part for place, part in enumerate(parts))


def _on_hub(handle: str) -> tuple[str, ...]:
    kaggle = [_KAGGLE.format(_ON_KAGGLE[handle])] if handle in _ON_KAGGLE else []
    return (*kaggle, _TFHUB.format(handle), _STORAGE.format(handle))


def is_archive(path: str) -> bool:
    """True if a file begins like an archive."""
    if not os.path.isfile(path):  # opening a pipe without a writer would wait
        return False
    try:
        with open(path, "rb") as file:
            return looks_packed(file.read(512))
    except OSError:
        return False


def open_source(source: str, fetcher: Fetcher, folder: str) -> str:
    """The folder of the SavedModel that `source` names. An archive is unpacked into `folder`, which is empty.

    Raises:
        UnknownModel: `source` is no file, no folder, and no handle.
        ModelUnavailable: it could not be downloaded.
        InvalidModel: it is no archive of a SavedModel.
    """
    if os.path.exists(source):
        return open_local(source, folder)
    addresses = addresses_of(source)
    if addresses is None:
        raise UnknownModel(f"{source}: no such file or folder, and no handle of a model on TensorFlow Hub")
    source = redacted(source)
    return _unpacked(source, _fetch(source, addresses, fetcher), folder)


def open_local(path: str, folder: str) -> str:
    """The same for a folder or an archive on this machine.

    Raises:
        InvalidModel: the archive holds no SavedModel.
    """
    return path if os.path.isdir(path) else _unpacked(path, _read(path), folder)


def _unpacked(source: str, archive: bytes, folder: str) -> str:
    try:
        unpack(archive, folder)
        return module_folder(folder)
    except InvalidModel as error:
        raise InvalidModel(f"{source}: {error}") from None


def _read(path: str) -> bytes:
    try:
        return local_file.read(path, ARCHIVE_MAX_BYTES)
    except PictureError as error:
        raise InvalidModel(f"{path}: {error}") from None


def _fetch(source: str, addresses: tuple[str, ...], fetcher: Fetcher) -> bytes:
    reasons = []
    temporary = False  # one of them may have it later
    for url in addresses:
        host = redacted(url).split("/", 3)[2]
        try:
            data = fetcher.get(url, max_bytes=ARCHIVE_MAX_BYTES, timeout=DOWNLOAD_SECONDS)
        except PictureError as error:
            if error.kind == "cancelled":
                raise ModelUnavailable(f"{source}: {error}") from None
            reasons.append(f"{host}: {error}")
            temporary = temporary or error.temporary
            log.debug(f"no module from {redacted(url)}: {error}")
            continue
        if looks_packed(data):
            log.info(f"fetched {source}: {len(data) / 1e6:.1f} MB from {host}")
            return data
        reasons.append(f"{host}: its answer is no .tar.gz")
    raise ModelUnavailable(
        f"{source} could not be downloaded: {'; '.join(reasons)}; you can also name its .tar.gz or folder",
        temporary=temporary,
    )


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
    for path, info in members:
        try:
            _write(packed, info, os.path.join(folder, *path))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no file can have this name"
            raise InvalidModel(f"{'/'.join(path)[:80]!r} cannot be unpacked: {reason}") from None


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


def _members(packed: Packed) -> list[tuple[_Path, tarfile.TarInfo]]:
    """The members of the archive, by their paths from its root. It is read to its end, where gzip has its checksum."""
    found: list[tuple[_Path, tarfile.TarInfo]] = []
    files: set[_Path] = set()
    with tarfile.open(fileobj=cast("Any", packed), mode="r:") as tar:
        while (info := tar.next()) is not None:
            path = _checked(info)
            if len(found) == MAX_MEMBERS:
                raise InvalidModel(f"the archive has more than {MAX_MEMBERS:,} members")
            if path in files:
                raise InvalidModel(f"the archive has a member twice: {info.name!r}")
            if info.isreg():
                files.add(path)
            found.append((path, info))
            packed.allow(HEADERS_MAX_BYTES)
        end = tar.offset
    packed.allow(_BLOCK)
    packed.seek(end)
    if packed.read(_BLOCK).strip(b"\0"):  # `tarfile` takes a damaged header for the end, except the first
        raise InvalidModel(f"not a readable .tar.gz: damaged after member {len(found):,}")
    packed.allow(_CHUNK)
    while packed.read(_CHUNK):
        packed.allow(_CHUNK)
    return found


def _checked(info: tarfile.TarInfo) -> _Path:
    """The path of a member, if that is harmless. Call it before the next header is read."""
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
    return path


def _write(packed: Packed, info: tarfile.TarInfo, path: str) -> None:
    if info.isdir():
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    packed.seek(info.offset_data)
    with open(path, "xb") as copy:
        for start in range(0, info.size, _CHUNK):
            packed.allow(_CHUNK)
            copy.write(packed.read(min(_CHUNK, info.size - start)))
