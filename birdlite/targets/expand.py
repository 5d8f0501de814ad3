"""URLs, files, folders, patterns, objects and lists of them into a lazy stream of targets.

A name that leads to no picture becomes a `BadTarget` at its place in the stream. So it gets a result like every other
target, and the targets after it are not delayed. No picture is opened here. A connection is made only to list a folder
in object storage, or to read a list there.

Of a folder first its pictures are given, then its subfolders, both by name in code-point order. In memory are only the
names of one folder, and the folders that are still to be read. Inside a folder, names that begin with a dot are
skipped, and links to other folders too, so that nothing is visited twice. Links to pictures are followed. The folder
that the user named may begin with a dot or be a link.

A pattern is one of the standard library's `glob`, with `**` for any number of folders. Its matches are taken as if the
user had typed them, in code-point order: a file with any suffix is a target, and a folder is searched.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from birdlite.errors import StorageError
from birdlite.results import Failure
from birdlite.storage import SCHEMES, parse
from birdlite.targets import BadTarget, Found, Target, path_failure

if TYPE_CHECKING:
    from birdlite.storage.store import Storage

SAMPLES = (
    "https://upload.wikimedia.org/wikipedia/commons/c/c8/Phalacrocorax_varius_-Waikawa%2C_Marlborough%2C_New_Zealand-8.jpg",
    "https://quiz.natureid.no/bird/db_media/eBook/679edc606d9a363f775dabf0497d31de8c3d7060.jpg",
    "https://upload.wikimedia.org/wikipedia/commons/8/81/Eumomota_superciliosa.jpg",
    "https://i.pinimg.com/originals/f3/fb/92/f3fb92afce5ddff09a7370d90d021225.jpg",
    "https://cdn.britannica.com/77/189277-004-0A3BC3D4.jpg",
)
"""The photographs of `--samples`, for which scores of the model are published."""

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"))


def single(name: str, index: int = 0) -> Target | BadTarget:
    """Take `name` as one URL, object or file: never as a folder, a pattern or a list."""
    scheme = _scheme(name)
    return _remote(name.strip(), scheme, index) if scheme else Target(name, "file", name, index)


def expand(
    arguments: Iterable[str],
    lists: Sequence[str] = (),
    *,
    stdin: BinaryIO | None = None,
    storage: Storage | None = None,
) -> Iterator[Target | BadTarget]:
    """Yield the targets of a command line, numbered from 0: first the `arguments`, then what the files `lists` name.

    `-` among either is a list on `stdin`. A line of a list can be anything that an argument can be, except `-`. Paths
    in a list are relative to the current folder, not to the list. `storage` reads folders and lists in object storage.

    Raises:
        UsageError: a list cannot be read, or is CSV without a column of targets. It is raised at once, or while
            iterating for standard input and for a list that has changed since.
        StorageError: a list is in object storage, which refuses or cannot be reached.
        StorageMissing: there is no client for object storage.
    """
    from_files = [path for path in lists if path != "-"]
    if from_files:
        from birdlite.targets.list_file import check

        for path in from_files:
            check(path, storage)
    return _expand(_names(arguments, lists, stdin, storage), storage)


def _expand(names: Iterable[Found], storage: Storage | None) -> Iterator[Target | BadTarget]:
    """Find the targets of each name. This is the only place where their positions are counted."""
    index = 0
    for name, failure in names:
        for target in _locate(name, index, storage) if failure is None else (BadTarget(name, failure, index),):
            yield target
            index += 1


def _names(
    arguments: Iterable[str], lists: Sequence[str], stdin: BinaryIO | None, storage: Storage | None
) -> Iterator[Found]:
    for argument in arguments:
        if argument == "-":
            yield from _lines("-", stdin, storage)
            stdin = None
        else:
            yield argument, None
    for path in lists:
        yield from _lines(path, stdin, storage)
        if path == "-":
            stdin = None


def _lines(path: str, stdin: BinaryIO | None, storage: Storage | None) -> Iterator[Found]:
    from birdlite.targets import list_file

    if path != "-":
        return list_file.read_file(path, storage)
    if stdin is not None:
        return list_file.read(stdin, "stdin")
    return iter((("-", Failure("unsupported", "-: there is no standard input, or it was read before")),))


def _locate(name: str, index: int, storage: Storage | None) -> Iterable[Target | BadTarget]:
    """The targets of one argument or line, numbered from `index`."""
    scheme = _scheme(name)
    if scheme:
        target = _remote(name.strip(), scheme, index)
        if isinstance(target, Target) and target.kind == "object" and parse(target.name).is_folder:
            return _stored(target, storage)
        return (target,)
    if not name:
        return (BadTarget(name, Failure("not_found", "an empty name"), index),)
    try:
        is_folder = stat.S_ISDIR(os.stat(name).st_mode)
    except (OSError, ValueError) as error:
        if is_pattern(name) and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return _found(pictures_matching(name), index)
        return (BadTarget(name, path_failure(name, error), index),)
    return _found(pictures_in(name), index) if is_folder else (Target(name, "file", name, index),)


def _found(paths: Iterator[Found], first: int) -> Iterator[Target | BadTarget]:
    for index, (path, failure) in enumerate(paths, first):
        yield Target(path, "file", path, index) if failure is None else BadTarget(path, failure, index)


def pictures_in(folder: str) -> Iterator[Found]:
    """Every picture in `folder` and below, by suffix. A folder that cannot be read is a failure."""
    empty = True
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            names, folders = _list(here)
        except OSError as error:
            empty = False
            yield here, path_failure(here, error)
            continue
        for name in names:
            empty = False
            yield os.path.join(here, name), None
        waiting.extend(os.path.join(here, name) for name in reversed(folders))
    if empty:
        yield folder, Failure("not_found", f"{folder}: no pictures in this folder")


def is_pattern(name: str) -> bool:
    """Whether `name` has a character of patterns."""
    return "*" in name or "?" in name or "[" in name


def pictures_matching(pattern: str) -> Iterator[Found]:
    """Every file that `pattern` matches, and every picture in the folders that it matches; no file twice."""
    from glob import glob

    try:
        matches = sorted(glob(pattern, recursive=True))
    except ValueError:
        matches = []  # the pattern has a NUL, which no name has
    seen: set[str] = set()  # real paths: `**` follows links, so a circle of links leads to one file many times
    for path in matches:
        for name, failure in pictures_in(path) if os.path.isdir(path) else ((path, None),):
            real = os.path.realpath(name)
            if real not in seen:
                seen.add(real)
                yield name, failure
    if not matches:
        yield pattern, Failure("not_found", f"{pattern}: no such file, and nothing matches it as a pattern")


def _list(folder: str) -> tuple[list[str], list[str]]:
    """Sorted names of the pictures and of the subfolders directly in `folder`."""
    names: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                names.append(entry.name)  # a broken link too: the user should know of it
    return sorted(names), sorted(folders)


def _stored(folder: Target, storage: Storage | None) -> Iterator[Target | BadTarget]:
    """The pictures in a folder of object storage, by key."""
    from birdlite.storage.store import Storage

    name, index = folder.name, folder.index
    try:
        for url in (storage or Storage()).pictures(name, SUFFIXES):
            yield Target(url, "object", url, index)
            index += 1
    except StorageError as error:
        yield BadTarget(name, Failure(error.kind, f"{name}: {error}"), index)
    else:
        if index == folder.index:
            yield BadTarget(name, Failure("not_found", f"{name}: no pictures in this folder"), index)


def _remote(name: str, scheme: str, index: int) -> Target | BadTarget:
    try:
        if scheme in SCHEMES:
            return Target(name, "object", parse(name).url, index)
        return Target(name, "url", _location(name, scheme), index)
    except ValueError as error:
        return BadTarget(name, Failure("unsupported", f"{name}: {error}"), index)


def _scheme(name: str) -> str:
    """The scheme in lower case if `name` is a URL, otherwise nothing."""
    scheme, colon, rest = name.strip().partition(":")
    if not colon:
        return ""
    scheme = scheme.lower()
    if scheme in ("http", "https", "data"):
        return scheme
    letters = scheme.translate({ord(sign): None for sign in "+-."})
    return scheme if rest.startswith("//") and letters.isascii() and letters.isalnum() else ""


def _location(url: str, scheme: str) -> str:
    """Encode characters that are not allowed in a URL.

    Percent-encoded characters stay as they are. A host outside ASCII stays too: the HTTP client turns it into IDNA.

    Raises:
        ValueError: no server can be asked for this URL; a clause for the user.
    """
    if re.fullmatch(_PLAIN_URL, url):
        return url
    if scheme == "file":
        raise ValueError("give the path without file://")
    if scheme not in ("http", "https"):
        raise ValueError(f"{scheme}: is not supported, only http, https, s3, gs and az")
    rest = url.partition("#")[0].partition(":")[2]
    authority = re.split("[/?]", rest[2:], maxsplit=1)[0]
    tail = rest[2 + len(authority) :]
    user, at, place = authority.rpartition("@")
    host_and_port = re.fullmatch(_HOST_AND_PORT, place)
    if not rest.startswith("//") or host_and_port is None or not place.isprintable():
        raise ValueError("no usable host in this URL")
    if host_and_port[1] and not 0 < int(host_and_port[1]) < 1 << 16:
        raise ValueError("no such port")
    if not tail.startswith("/"):
        tail = "/" + tail
    from birdlite.http.address import quote

    try:
        return f"{scheme}://{quote(user)}{at}{place}{quote(tail)}"
    except UnicodeEncodeError:  # half of a surrogate pair, from JSON
        raise ValueError("broken characters in this URL") from None


_PLAIN_URL = r"https?://[A-Za-z0-9.-]+(?::[1-9][0-9]{0,3})?/[A-Za-z0-9/._~!$&'()*+,;=:@?-]*"
"""URLs that need no encoding, as nearly all. Speed matters: every shard reads all lines of a list."""

_HOST_AND_PORT = r"""(?:\[[0-9A-Fa-f:.]+\]|[^\s"%<>\\^`{|}\[\]:]+)(?::([0-9]{0,5}))?"""
