"""What the lines of lists may name, if a list comes from a stranger: URLs, and what the user opens beside them.

The command line makes `ListRules` for --only-urls, --allow-files and --allow-bucket, and `expand` asks them about each
line. Names on the command line itself are the user's own, and so is the name of the list.

A file is allowed by its real path, with all links followed. So a link below an open folder counts by where it leads.
Outside of the open folders `..` only takes away the name before it. That name is not looked at: whether it exists, or
is a link, must not show.

Between this look and the reading of the file, a link could take its place. So the file, and each folder that is
searched, is opened by `open_inside`, which follows no link at all.

Whether anything exists outside the open folders changes no answer.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from birdlite.errors import UsageError
from birdlite.namedtuple import NamedTuple
from birdlite.results import Failure
from birdlite.storage import SCHEMES, Place, is_storage, parse
from birdlite.targets import BadTarget, Target, path_failure
from birdlite.targets.folders import pictures_in
from birdlite.targets.patterns import is_pattern
from birdlite.targets.second_look import meant

_LONGEST = 4096  # characters; Linux opens no longer path, and `realpath` would take a second for one of 65,536

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER_TO_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Place(NamedTuple):
    """Where a name leads: a real path below an open folder."""

    path: str
    root: str


class ListRules:
    """What a list may name beside URLs. Without folders and buckets: nothing."""

    def __init__(self, folders: Iterable[str] = (), buckets: Iterable[str] = ()) -> None:
        """`buckets` are storage URLs: a bucket, or a bucket with the beginning of keys.

        Raises:
            UsageError: one of the folders does not exist, or one of the buckets is none.
        """
        self._roots = [_root(folder) for folder in folders]
        self._buckets = [_bucket(url) for url in buckets]

    def allows_object(self, url: str) -> bool:
        """Whether a list may name the object or the folder at a storage URL."""
        try:
            place = parse(url)
        except ValueError:
            return False
        return any(_holds(bucket, place) for bucket in self._buckets)

    def blocked(self, name: str, scheme: str = "") -> Failure:
        """The failure of a line that names what it may not; `scheme` is that of an object."""
        is_object = scheme in SCHEMES
        if self._buckets if is_object else self._roots:
            what = "a list may name only URLs and what --allow-" + ("bucket opens" if is_object else "files opens")
        elif is_object:
            what = f"a list may name only URLs here; --allow-bucket {scheme}://BUCKET opens a bucket"
        else:
            what = "a list may name only URLs here; --allow-files DIR opens a folder"
        return Failure("blocked", f"{name}: {what}")

    def pictures_at(self, name: str, path: str, skipped: Counter[str]) -> Iterator[Target | BadTarget]:
        """The targets at `path`, which the list calls `name`: a file, or a folder with all its pictures. No patterns.

        They are not numbered yet.
        """
        failure = self.blocked(name)
        for one in (path, *meant(path)):
            try:
                place = self._place(one)
                if place is None:
                    continue
                is_folder = stat.S_ISDIR(os.stat(place.path).st_mode)
            except (OSError, ValueError) as error:
                failure = path_failure(name, error)
                continue
            if is_folder:
                yield from self._pictures_in(one, skipped)
            else:
                yield Target(name, "file", place.path, inside=place.root)
            return
        if failure.kind == "not_found" and is_pattern(name):
            failure = failure._replace(
                message=f"{failure.message} (a glob is not allowed in this list; name the folder)"
            )
        yield BadTarget(name, failure)

    def _pictures_in(self, folder: str, skipped: Counter[str]) -> Iterator[Target | BadTarget]:
        for path, failure in pictures_in(folder, skipped, self._scan):
            place = None if failure is not None else self._place(path)
            if place is not None:
                yield Target(path, "file", place.path, inside=place.root)
            else:
                out = Failure("blocked", f"{path}: a link that leads out of what --allow-files opens")
                yield BadTarget(path, failure or out)

    @contextmanager
    def _scan(self, folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        """What `os.scandir` gives, of a folder that is really inside."""
        place = self._place(folder)
        if place is None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        descriptor = open_inside(place.root, place.path, _FOLDER_TO_LIST)
        try:
            with os.scandir(descriptor) as entries:
                yield entries
        finally:
            os.close(descriptor)

    def _place(self, path: str) -> _Place | None:
        """Where a path leads, if that is inside. A slash at its end stays, because it says that this is a folder.

        Raises:
            ValueError: no file can have this name.
        """
        if not 0 < len(path) < _LONGEST or not self._roots:
            return None
        try:
            real = self._real(path)
        except RecursionError:  # Python 3.10 to 3.12, for a thousand links in a chain; the system follows 40
            return None
        except OSError:  # a link that we may not read, such as /proc/1/root: not there, as far as a stranger knows
            return None
        root = self._root_of(real)
        return None if root is None else _Place(real + "/" * path.endswith("/"), root)

    def _root_of(self, real: str) -> str | None:
        """The open folder in which a real path is."""
        return next((root for root in self._roots if _is_inside(real, root)), None)

    def _real(self, path: str) -> str:
        """The real path. `..` behind a name that is not in an open folder undoes that name, whatever it is."""
        if "/../" not in f"/{path}/":
            return os.path.realpath(path)
        here = "/" if path.startswith("/") else os.getcwd()
        for part in path.split("/"):
            if part == "..":
                here = os.path.dirname(here)
            elif part not in ("", "."):
                here = os.path.join(here, part)
                if self._root_of(here) is not None and os.path.islink(here):
                    here = os.path.realpath(here)
        return os.path.realpath(here)


def open_inside(root: str, path: str, flags: int) -> int:
    """Open a file or folder below the folder `root`, or `root` itself, without following any link below it.

    Both are real paths.

    Raises:
        OSError: as `os.open`; `EACCES` for a link.
    """
    *folders, last = [part for part in path[len(root) :].split("/") if part] or ["."]
    here = os.open(root, _FOLDER)
    try:
        for folder in folders:
            above, here = here, os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(above)
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=here)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link, which was not there before
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path) from error
        raise
    finally:
        os.close(here)


def _root(folder: str) -> str:
    try:
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise UsageError(f"--allow-files {folder}: not a folder")
        return os.path.realpath(folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"--allow-files {folder}: no such folder") from error


def _is_inside(real: str, root: str) -> bool:
    return real == root or real.startswith(root.rstrip("/") + "/")


def _bucket(url: str) -> Place:
    if not is_storage(url):
        raise UsageError(f"--allow-bucket {url}: no bucket; write s3://BUCKET, gs://BUCKET or az://CONTAINER")
    try:
        return parse(url)
    except ValueError as error:
        raise UsageError(f"--allow-bucket {url}: {error}") from None


def _holds(bucket: Place, place: Place) -> bool:
    """Whether a place is in a bucket, or below its key: `birds` holds `birds/a.jpg` and not `birdsong/a.jpg`."""
    if (bucket.scheme, bucket.bucket) != (place.scheme, place.bucket):
        return False
    folder = bucket.key if bucket.is_folder else bucket.key + "/"
    return place.key == bucket.key or place.key.startswith(folder)
