"""The index of a folder of parts: which targets they have answered, in one small file. For `earlier`.

    done-0123456789ab.index    of the model whose sha256 begins so

    {"birdlite_index": 1, "model_sha256": …, "parts": {NAME: [size, version, ok, of], …}}    one line
    the 64-bit keys of the targets (`shard.key_of`), ascending, 8 bytes each, big-endian
    the sha256 of all that

`parts` are those whose targets are in it, with what changes if one is replaced. A folder without an index works too,
but then every part is read. So a damaged index is reported and left aside. It appears complete, by a rename or a put,
and two processes that make it of the same parts write the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from array import array
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from birdlite import atomic_file, log
from birdlite.batch.files import blocks
from birdlite.errors import OutputError, StorageError
from birdlite.namedtuple import NamedTuple
from birdlite.storage import is_storage
from birdlite.writers.output import refused

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

KEY = "birdlite_index"
FORMAT = 1
FIRST = 1 << 22  # bytes of the first request: half a million targets
LARGEST = 1 << 30  # bytes; of 130 million targets
_DIGEST = 32  # bytes
_PIECE = 1 << 16  # keys


class Covered(NamedTuple):
    """A part whose targets are in an index."""

    size: int  # bytes
    version: str  # ETag, or time of the file in ns
    ok: int  # its answers
    of: str  # a digest of its run and list


class Index(NamedTuple):
    """What an index says."""

    covered: dict[str, Covered]  # by name
    keys: array[int]  # ascending


def index_path(folder: str, model_sha256: str) -> str:
    """Where the index of a folder is."""
    return os.path.join(folder, f"done-{model_sha256[:12]}.index")


def read_index(path: str, model_sha256: str, storage: Storage | None = None) -> Index | None:
    """Read an index; None if it is missing or damaged.

    Raises:
        PartsError: it cannot be read.
    """
    data = bytearray()
    try:
        for block in blocks(path, storage, first=FIRST):
            data += block
            if len(data) > LARGEST:
                break
    except FileNotFoundError:
        return None
    index = _parsed(data, model_sha256)
    if index is None:
        log.warning(f"{path}: damaged, or of another version of birdlite; all parts are read instead")
    return index


def _parsed(data: bytearray, model_sha256: str) -> Index | None:
    body, digest = memoryview(data)[:-_DIGEST], data[-_DIGEST:]
    end = data.find(b"\n") + 1
    try:
        header = json.loads(data[:end])
        covered = {str(name): Covered(*of) for name, of in header["parts"].items()}
        keys = array("Q")
        keys.frombytes(body[end:])
        of_model = header[KEY] == FORMAT and header["model_sha256"] == model_sha256
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if not of_model or hashlib.sha256(body).digest() != digest:
        return None
    if sys.byteorder == "little":
        keys.byteswap()
    return Index(covered, keys)


def write_index(path: str, model_sha256: str, index: Index, storage: Storage | None = None) -> None:
    """Write an index in place of an older one.

    Raises:
        OutputError: it cannot be written.
        StorageMissing: there is no client for object storage.
    """
    from birdlite.storage.store import Storage
    from birdlite.storage.upload import scratch_folder

    try:
        if not is_storage(path):
            with atomic_file.AtomicFile(path) as file:
                for piece in _pieces(index, model_sha256):
                    file.write(piece)
            return
        storage = storage or Storage()
        with tempfile.NamedTemporaryFile(dir=scratch_folder(storage.scratch)) as made:
            made.writelines(_pieces(index, model_sha256))
            made.flush()
            storage.put(made.name, path)
    except OSError as error:
        raise refused(path, error) from error
    except StorageError as error:
        raise OutputError(f"{path}: the index cannot be written: {error}", temporary=error.temporary) from error


def _pieces(index: Index, model_sha256: str) -> Iterator[bytes]:
    header = {KEY: FORMAT, "model_sha256": model_sha256, "parts": dict(sorted(index.covered.items()))}
    digest = hashlib.sha256()
    for piece in chain([json.dumps(header).encode() + b"\n"], _big_endian(index.keys)):
        digest.update(piece)
        yield piece
    yield digest.digest()


def _big_endian(keys: array[int]) -> Iterator[bytes]:
    for first in range(0, len(keys), _PIECE):
        piece = keys[first : first + _PIECE]
        if sys.byteorder == "little":
            piece.byteswap()
        yield piece.tobytes()
