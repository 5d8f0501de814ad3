"""URLs, files, folders, patterns, objects and lists of them into a lazy stream of targets.

A name that leads to no picture becomes a `BadTarget` at its place in the stream. So it gets a result like every other
target, and the targets after it are not delayed. No picture is opened here. A connection is made only to list a folder
in object storage, or to read a list there.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from birdlite.results import Failure
from birdlite.settings import DEFAULTS
from birdlite.storage import SCHEMES, parse
from birdlite.targets import BadTarget, Found, Target, path_failure

if TYPE_CHECKING:
    from birdlite.storage.store import Storage
    from birdlite.targets.list_rules import ListRules
    from birdlite.targets.standard_input import StandardInput

Named: TypeAlias = "Found | bytes | Target | BadTarget"

_Source: TypeAlias = "tuple[Iterable[Named], str]"
"""Names, the bytes of a picture, or targets; and the list whose lines they are, or nothing."""

SAMPLES = (
    "https://upload.wikimedia.org/wikipedia/commons/c/c8/Phalacrocorax_varius_-Waikawa%2C_Marlborough%2C_New_Zealand-8.jpg",
    "https://quiz.natureid.no/bird/db_media/eBook/679edc606d9a363f775dabf0497d31de8c3d7060.jpg",
    "https://upload.wikimedia.org/wikipedia/commons/8/81/Eumomota_superciliosa.jpg",
    "https://i.pinimg.com/originals/f3/fb/92/f3fb92afce5ddff09a7370d90d021225.jpg",
    "https://cdn.britannica.com/77/189277-004-0A3BC3D4.jpg",
)
"""The photographs of `--samples`, for which scores of the model are published."""


def single(name: str, index: int = 0, *, reveal_targets: bool = False) -> Target | BadTarget:
    """Take `name` as one URL, object or file: never as a folder, a pattern or a list."""
    scheme = scheme_of(name)
    return _remote(name.strip(), scheme, index, reveal_targets) if scheme else Target(name, "file", name, index)


def listed(name: str, index: int = 0) -> Target | BadTarget:
    """Take `name` as `single` does, but look again if there is no such file: it is from somebody's list."""
    target = single(name, index)
    if isinstance(target, Target) and target.kind == "file" and not os.path.lexists(target.location):
        from birdlite.targets.second_look import existing

        target = target._replace(location=existing(target.location) or target.location)
    return target


class Targets(Iterator["Target | BadTarget"]):
    """The targets of a command line, numbered from 0. `expand` makes it."""

    def __init__(
        self, sources: Iterator[_Source], storage: Storage | None, rules: ListRules | None, *, reveal: bool
    ) -> None:
        """Find the targets of each name. The bytes of a picture, and targets, stand for themselves.

        `rules` are for lines of lists.
        """
        self._reveal = reveal  # secrets in names
        self.skipped: Counter[str] = Counter()  # files in folders that are no targets, by kind; until now
        self.empty: list[str] = []  # lists that named nothing; until now
        self._storage = storage
        self._rules = rules
        self._targets = self._expand(sources)

    def __next__(self) -> Target | BadTarget:
        return next(self._targets)

    def _expand(self, sources: Iterator[_Source]) -> Iterator[Target | BadTarget]:
        """Number the targets. No other place counts positions."""
        index = 0
        for names, list_ in sources:
            locate = self._locate_line if list_ and self._rules is not None else self._locate
            found: Named | None = None
            for found in names:
                for target in locate(found, index):
                    yield target
                    index += 1
            if list_ and found is None:
                self.empty.append(list_)

    def _locate(self, found: Named, index: int) -> Iterable[Target | BadTarget]:
        """The targets of one argument or line, numbered from `index`."""
        if isinstance(found, bytes):
            return (Target("-", "file", "-", index, found),)
        if isinstance(found, (Target, BadTarget)):
            return (found._replace(index=index),)
        name, failure = found
        if failure is not None:
            return (BadTarget(name, failure, index),)
        scheme = scheme_of(name)
        if not scheme:
            return self._locate_path(name, name, index)
        target = _remote(name.strip(), scheme, index, self._reveal)
        if scheme in ("http", "https"):
            return (target,)
        if isinstance(target, Target) and target.kind == "file":
            return self._locate_path(target.name, target.location, index)
        if isinstance(target, Target) and target.kind == "object" and parse(target.location).is_folder:
            from birdlite.targets.stored import pictures_stored

            return pictures_stored(target, self._storage, self.skipped, reveal=self._reveal)
        return (target,)

    def _locate_line(self, found: Named, index: int) -> Iterable[Target | BadTarget]:
        """The targets of a line of a list, numbered from `index`."""
        rules = self._rules
        if rules is None or isinstance(found, (bytes, Target, BadTarget)) or found[1] is not None:
            return self._locate(found, index)
        scheme, target = scheme_of(found[0]), single(found[0], reveal_targets=self._reveal)
        if scheme in SCHEMES and not rules.allows_object(found[0].strip()):
            return (BadTarget(target.name, rules.blocked(target.name, scheme), index),)
        if scheme not in ("", "file"):
            return self._locate(found, index)
        if isinstance(target, BadTarget):  # a file: URL of another machine
            return (BadTarget(target.name, rules.blocked(target.name), index),)
        pictures = rules.pictures_at(self._shown_path(target.name), target.location, self.skipped)
        return (picture._replace(index=at) for at, picture in enumerate(pictures, index))

    def _shown_path(self, name: str) -> str:
        """What to call a name that is no URL, and may be a web address without its scheme, or have a URL in it."""
        from birdlite.targets.second_look import is_address

        if self._reveal:
            return name
        if is_address(name):
            from birdlite.redaction import redacted_address

            return redacted_address(name)
        if "//" in name:  # in brackets, behind a number or a byte order mark, in a csv without a header
            from birdlite.redaction import redacted_text

            return redacted_text(name)
        return name

    def _locate_path(self, name: str, path: str, index: int) -> Iterable[Target | BadTarget]:
        """The targets at `path`, which the user calls `name`."""
        if not path:
            return (BadTarget(name, Failure("not_found", "an empty name"), index),)
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except (OSError, ValueError) as error:
            return self._look_again(name, path, index, error)
        if not is_folder:
            return (Target(name, "file", path, index),)
        from birdlite.targets.folders import pictures_in

        return _found(pictures_in(path, self.skipped), index)

    def _look_again(
        self, name: str, path: str, index: int, error: OSError | ValueError
    ) -> Iterable[Target | BadTarget]:
        """The targets of a path that has nothing: a pattern, or a path as other programs write it."""
        from birdlite.targets.folders import pictures_matching
        from birdlite.targets.patterns import is_pattern
        from birdlite.targets.second_look import advice, existing, is_address

        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            meant = existing(path)
            if meant is not None:
                return self._locate_path(name, meant, index)
            if is_pattern(path):
                matches = pictures_matching(os.path.expanduser(path), self.skipped)
                first = next(matches)
                if first[1] is None or not (is_address(name) or "://" in name):
                    return _found(chain((first,), matches), index)
        name = self._shown_path(name)
        failure = path_failure(name, error)
        if isinstance(error, FileNotFoundError):
            what = "no such folder" if name.endswith("/") else "no such file"
            hint = advice(name)
            failure = failure._replace(message=f"{name}: {what}{f' ({hint})' if hint else ''}")
        return (BadTarget(name, failure, index),)


def expand(
    arguments: Iterable[str | os.PathLike[str]],
    lists: Sequence[str | os.PathLike[str]] = (),
    *,
    stdin: BinaryIO | None = None,
    storage: Storage | None = None,
    max_bytes: int = DEFAULTS.max_bytes,
    rules: ListRules | None = None,
    reveal_targets: bool = False,
) -> Targets:
    """The targets of a command line: first the `arguments`, then what the files `lists` name. They are found lazily.

    `-` among either is a list on `stdin`; among the arguments it may also be a picture of at most `max_bytes`. A line
    of a list can be anything that an argument can be, except `-`. Paths in a list are relative to the current folder,
    not to the list. `storage` reads folders and lists in object storage. `rules` say what the lines of lists may name;
    without them, they may name anything.

    The name of a URL has no secrets (`redaction`), unless `reveal_targets` is true. Its location has them all.

    Raises:
        TypeError: at once if `arguments` or `lists` is a single name; while iterating, if an argument is no name.
        UsageError: a list cannot be read, is no list, or names no targets in a way that is known. It is raised at once,
            or while iterating for standard input and for a list that has changed since.
        StorageError: a list is in object storage, which refuses or cannot be reached.
        StorageMissing: there is no client for object storage.
    """
    if isinstance(arguments, (str, bytes, os.PathLike)) or isinstance(lists, (str, bytes, os.PathLike)):
        raise TypeError("expand takes several names, such as a list: expand(['robin.jpg'], ['list.txt'])")
    paths = [os.fspath(path) for path in lists]
    from_files = [path for path in paths if path != "-"]
    if from_files:
        from birdlite.targets.list_file import check

        for path in from_files:
            check(path, storage)
    sources = _sources(arguments, paths, _once(stdin, max_bytes), storage)
    return Targets(sources, storage, rules, reveal=reveal_targets)


def _once(stdin: BinaryIO | None, max_bytes: int) -> Callable[[], StandardInput]:
    """Give standard input, the same each time. Few runs read it, so it is imported only then."""
    made: list[StandardInput] = []

    def standard_input() -> StandardInput:
        if not made:
            from birdlite.targets.standard_input import StandardInput

            made.append(StandardInput(stdin, max_bytes))
        return made[0]

    return standard_input


def _sources(
    arguments: Iterable[str | os.PathLike[str]],
    lists: Sequence[str],
    stdin: Callable[[], StandardInput],
    storage: Storage | None,
) -> Iterator[_Source]:
    for argument in arguments:
        name = os.fspath(argument)
        if not isinstance(name, str):
            raise TypeError(f"a path of {type(name).__name__}: give it as str (os.fsdecode)")
        if name == "-":
            yield stdin().read(may_be_picture=True), "stdin"
        else:
            yield ((name, None),), ""
    for path in lists:
        if path == "-":
            yield stdin().read(may_be_picture=False), "stdin"
        else:
            from birdlite.targets.list_file import read_file

            yield read_file(path, storage), path


def _found(paths: Iterator[Found], first: int) -> Iterator[Target | BadTarget]:
    for index, (path, failure) in enumerate(paths, first):
        yield Target(path, "file", path, index) if failure is None else BadTarget(path, failure, index)


def _remote(url: str, scheme: str, index: int, reveal: bool) -> Target | BadTarget:
    """The target of a URL. From here on, only its location has the secrets."""
    name = _shown(url, reveal)
    try:
        if scheme in SCHEMES:
            return Target(name, "object", parse(url).url, index)
        if scheme == "file":
            from birdlite.targets.second_look import file_path

            return Target(name, "file", file_path(url), index)
        return Target(name, "url", _location(url, scheme), index)
    except ValueError as error:
        return BadTarget(name, Failure("unsupported", f"{name}: {error}"), index)


def _shown(url: str, reveal: bool) -> str:
    """The name of a URL."""
    if reveal:
        return url
    from birdlite.redaction import redacted

    return redacted(url)


def scheme_of(name: str) -> str:
    """The scheme in lower case if `name` is a URL, otherwise nothing."""
    scheme, colon, rest = name.strip().partition(":")
    if not colon:
        return ""
    scheme = scheme.lower()
    if scheme in ("http", "https", "data") or (scheme == "file" and rest.startswith("/")):
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
