"""What to classify: URLs, files, folders, patterns, objects and lists of them into a lazy stream of targets.

Whatever cannot become a picture to read comes out of the same stream at its place as a `BadTarget`, so it gets its
result like every other target and the ones after it are not held up. Nothing here opens a picture; a connection is made
only to list a folder in object storage, and to read a list there.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Literal

from birdlite.errors import StorageError
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure
from birdlite.storage.address import SCHEMES, parse
from birdlite.targets import folders
from birdlite.targets.folders import Found

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

SAMPLES = (
    "https://upload.wikimedia.org/wikipedia/commons/c/c8/Phalacrocorax_varius_-Waikawa%2C_Marlborough%2C_New_Zealand-8.jpg",
    "https://quiz.natureid.no/bird/db_media/eBook/679edc606d9a363f775dabf0497d31de8c3d7060.jpg",
    "https://upload.wikimedia.org/wikipedia/commons/8/81/Eumomota_superciliosa.jpg",
    "https://i.pinimg.com/originals/f3/fb/92/f3fb92afce5ddff09a7370d90d021225.jpg",
    "https://cdn.britannica.com/77/189277-004-0A3BC3D4.jpg",
)
"""The photographs of `--samples`: those for which scores of the model have been published."""


class Target(NamedTuple):
    """One picture to be read."""

    name: str  # as the user gave it, or the path found for it
    kind: Literal["url", "file", "object"]
    location: str  # an absolute http(s) URL in ASCII but for its host, without fragment; a path; or a storage URL


class BadTarget(NamedTuple):
    """Something that was given as a target and leads to no picture."""

    name: str
    failure: Failure


def single(name: str) -> Target | BadTarget:
    """Take `name` for one URL or one file, whatever it may look like: no folders, no patterns, no lists."""
    scheme = _scheme(name)
    if scheme in SCHEMES:
        return _object(name.strip())
    return _url(name.strip(), scheme) if scheme else Target(name, "file", name)


def expand(
    arguments: Iterable[str],
    lists: Sequence[str] = (),
    *,
    stdin: BinaryIO | None = None,
    storage: Storage | None = None,
) -> Iterator[Target | BadTarget]:
    """Yield the targets of a command line: `arguments` as given, then what is in the files `lists`.

    `storage` is where folders and lists in object storage are read, with the defaults of the command line if None.
    `-` among either is a list on `stdin`. The lines of a list are what an argument can be, only not `-`; relative paths
    in it are relative to the current folder, not to the list.

    Raises:
        UsageError: at once if a list cannot be read or is CSV without a column of targets; while iterating if that
            turns out only then (standard input, a list that has changed since).
        StorageError: a list is in object storage, which refuses or cannot be reached.
        StorageMissing: there is no client for object storage.
    """
    from_files = [path for path in lists if path != "-"]
    if from_files:
        from birdlite.targets.list_file import check

        for path in from_files:
            check(path, storage)
    return _expand(arguments, lists, stdin, storage)


def _expand(
    arguments: Iterable[str], lists: Sequence[str], stdin: BinaryIO | None, storage: Storage | None
) -> Iterator[Target | BadTarget]:
    for argument in arguments:
        if argument == "-":
            yield from _listed("-", stdin, storage)
            stdin = None
        else:
            yield from _locate(argument, storage)
    for path in lists:
        yield from _listed(path, stdin, storage)
        if path == "-":
            stdin = None


def _listed(path: str, stdin: BinaryIO | None, storage: Storage | None) -> Iterator[Target | BadTarget]:
    from birdlite.targets import list_file

    if path != "-":
        lines = list_file.read_file(path, storage)
    elif stdin is not None:
        lines = list_file.read(stdin, "stdin")
    else:
        yield BadTarget("-", Failure("unsupported", "-: there is no standard input, or it was read before"))
        return
    for text, failure in lines:
        if failure is None:
            yield from _locate(text, storage)
        else:
            yield BadTarget(text, failure)


def _locate(name: str, storage: Storage | None) -> Iterator[Target | BadTarget]:
    """Find what one argument or one line of a list stands for."""
    scheme = _scheme(name)
    if scheme in SCHEMES:
        yield from _stored(name.strip(), storage)
        return
    if scheme:
        yield _url(name.strip(), scheme)
        return
    if not name:
        yield BadTarget(name, Failure("not_found", "an empty name"))
        return
    try:
        is_folder = stat.S_ISDIR(os.stat(name).st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        if folders.is_pattern(name):
            yield from _found(folders.pictures_matching(name))
        else:
            yield BadTarget(name, folders.failed(name, error))
    except (OSError, ValueError) as error:
        yield BadTarget(name, folders.failed(name, error))
    else:
        if is_folder:
            yield from _found(folders.pictures_in(name))
        else:
            yield Target(name, "file", name)


def _found(paths: Iterator[Found]) -> Iterator[Target | BadTarget]:
    for path, failure in paths:
        yield Target(path, "file", path) if failure is None else BadTarget(path, failure)


def _stored(name: str, storage: Storage | None) -> Iterator[Target | BadTarget]:
    """One object, or the pictures in a folder of them, in the order of their keys."""
    target = _object(name)
    if isinstance(target, BadTarget) or not parse(name).is_folder:
        yield target
        return
    from birdlite.storage.store import Storage

    empty = True
    try:
        for url in (storage or Storage()).pictures(name, folders.SUFFIXES):
            empty = False
            yield Target(url, "object", url)
    except StorageError as error:
        yield BadTarget(name, Failure(error.kind, f"{name}: {error}"))
    else:
        if empty:
            yield BadTarget(name, Failure("not_found", f"{name}: no pictures in this folder"))


def _object(name: str) -> Target | BadTarget:
    try:
        return Target(name, "object", parse(name).url)
    except ValueError as error:
        return BadTarget(name, Failure("unsupported", f"{name}: {error}"))


def _scheme(name: str) -> str:
    """Give the lower-case scheme if `name` is meant as a URL, otherwise nothing."""
    scheme, colon, rest = name.strip().partition(":")
    if not colon:
        return ""
    scheme = scheme.lower()
    if scheme in ("http", "https", "data"):
        return scheme
    letters = scheme.translate({ord(sign): None for sign in "+-."})
    return scheme if rest.startswith("//") and letters.isascii() and letters.isalnum() else ""


def _url(name: str, scheme: str) -> Target | BadTarget:
    """Encode what may not stand in a URL as it is, and refuse what no server can be asked for.

    What is percent-encoded stays so. A host outside ASCII stays too: the HTTP client turns it into IDNA.
    """
    if re.fullmatch(_PLAIN_URL, name):
        return Target(name, "url", name)
    if scheme == "file":
        return BadTarget(name, Failure("unsupported", f"{name}: give the path without file://"))
    if scheme not in ("http", "https"):
        return BadTarget(
            name, Failure("unsupported", f"{name}: {scheme}: is not supported, only http, https, s3, gs and az")
        )
    rest = name.partition("#")[0].partition(":")[2]
    authority = re.split("[/?]", rest[2:], maxsplit=1)[0]
    tail = rest[2 + len(authority) :]
    user, at, place = authority.rpartition("@")
    host_and_port = re.fullmatch(_HOST_AND_PORT, place)
    if not rest.startswith("//") or host_and_port is None or not place.isprintable():
        return BadTarget(name, Failure("unsupported", f"{name}: no usable host in this URL"))
    if host_and_port[1] and not 0 < int(host_and_port[1]) < 1 << 16:
        return BadTarget(name, Failure("unsupported", f"{name}: no such port"))
    if not tail.startswith("/"):
        tail = "/" + tail
    from birdlite.http.quoting import quote

    try:
        location = f"{scheme}://{quote(user)}{at}{place}{quote(tail)}"
    except UnicodeEncodeError:  # half of a surrogate pair, out of JSON
        return BadTarget(name, Failure("unsupported", f"{name}: broken characters in this URL"))
    return Target(name, "url", location)


_PLAIN_URL = r"https?://[A-Za-z0-9.-]+(?::[1-9][0-9]{0,3})?/[A-Za-z0-9/._~!$&'()*+,;=:@?-]*"
"""What needs no second look, as nearly all URLs: in a list of a million lines, each shard reads all of them."""

_HOST_AND_PORT = r"""(?:\[[0-9A-Fa-f:.]+\]|[^\s"%<>\\^`{|}\[\]:]+)(?::([0-9]{0,5}))?"""
