"""The cache on disk: its folders and who may write to them, an entry's files, and the lock that guards an entry."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time

from birdlite import log
from birdlite.atomic_file import quietly
from birdlite.errors import ModelUnavailable, OutputError
from birdlite.local_file import check_regular, lock, reason
from birdlite.models.bundle import look_in
from birdlite.models.card import ModelBytes
from birdlite.models.catalog import Entry
from birdlite.models.trust import doubt_about, is_strange_link
from birdlite.timing import clock

DOWNLOAD_SECONDS = 600.0  # for one file of a model, retries and all sources included: 4 MB at 64 kbit/s

LOCK_SECONDS = DOWNLOAD_SECONDS + 60.0
"""How long to wait for a process that downloads a model: longer than that may take, so a lock kept longer is stuck."""

# A symbolic link, where others may write, could lead to any file of the user's.
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW

TELL_AFTER_S = 3.0
POLL_S = 0.1


def default_cache_dir() -> str | None:
    """The platform's user cache directory: an absolute path that need not exist; None for a user without a home.

    A test compares it with `platformdirs.user_cache_dir`, whose import takes longer than decoding a picture.
    """
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
        return os.path.join(base, "birdlite", "Cache")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches", "birdlite")
    # XDG Base Directory Specification: a relative path is invalid and must be ignored
    xdg = os.environ.get("XDG_CACHE_HOME", "").strip()
    base = xdg if os.path.isabs(xdg) else os.path.join(home, ".cache")
    return os.path.join(base, "birdlite") if os.path.isabs(base) else None


def entry_folder(cache: str, name: str) -> str:
    """Where the cache keeps the bundle of a catalogue model."""
    return os.path.join(cache, "models", name)


def look_up(cache: str, entry: Entry) -> tuple[dict[str, ModelBytes], dict[str, str]]:
    """The entry's correct files in the cache, and what is wrong with each incorrect one."""
    return look_in(entry_folder(cache, entry.card.name), entry.card)


def own_folder(cache: str | None, entry: Entry, mirror: str | None) -> str | None:
    """The folder of birdlite itself that an entry is read from: none with a mirror, or if the cache has it whole."""
    if entry.folder is None or mirror is not None:
        return None
    is_cached = cache is not None and len(look_up(cache, entry)[0]) == len(entry.card.files)
    return None if is_cached else entry.folder


def make_folder(cache: str, folder: str) -> None:
    """Make a folder of the cache, with those above it.

    In the user's own place for caches they are private, as the XDG Base Directory Specification wants it. Elsewhere
    others may read, as the umask says. A group may also write, if the folder where the new ones begin is meant for it.

    Raises:
        OSError: it cannot be made, or another user has put a symbolic link in its place.
    """
    for place in (cache, os.path.dirname(folder), folder):
        if is_strange_link(place):
            raise OSError(f"{place} is a symbolic link of another user")
    missing, base = [], os.path.abspath(folder)
    while not os.path.lexists(base):
        missing.append(base)
        base = os.path.dirname(base)
    mode = 0o700
    if cache != default_cache_dir():
        found = os.stat(base).st_mode
        for_group = found & stat.S_ISGID or (found & stat.S_IWGRP and not found & stat.S_IWOTH)  # not /tmp
        mode = 0o775 if for_group else 0o755
    for place in reversed(missing):
        try:
            os.mkdir(place, mode)
        except FileExistsError:
            if not os.path.isdir(place):  # else another process was faster
                raise


def warn_of_others(cache: str, name: str) -> None:
    """Say that strangers can change the entry `name` of a cache, if so.

    They cannot change an answer: each file is checked against the catalogue on every load. So a cache that its owner
    shares on purpose is fine.
    """
    doubt = doubt_about([entry_folder(cache, name)])
    if doubt is None:
        return
    say = log.debug if doubt.shared else log.warning
    say(f"{doubt}; the cache is there, and its models are checked by sha256 on every load; {doubt.remedy}")


def remove(cache: str, name: str) -> bool:
    """Delete an entry from the cache, and tell whether it was there. Waits until no process is downloading it.

    Raises:
        OutputError: it cannot be deleted.
        ModelUnavailable: another process does not stop downloading it.
    """
    import shutil

    folder = entry_folder(cache, name)
    if not os.path.isdir(folder):
        return False
    if is_strange_link(folder):
        raise OutputError(f"{folder} is a symbolic link of another user; delete it yourself")
    try:
        entry = EntryLock(folder)
        try:
            shutil.rmtree(folder)
        finally:
            entry.release()
    except OSError as error:
        raise OutputError(f"{folder} cannot be removed: {reason(error)}") from None
    return True


class EntryLock:
    """Lets one process at a time write an entry. The kernel frees the lock however the process ends.

    Where the system has no such locks (Windows, some network file systems) it does nothing: two processes may then
    download the same model, and the last rename wins with the same bytes. The file names its holder, for messages.
    """

    def __init__(self, folder: str, seconds: float = LOCK_SECONDS) -> None:
        """Wait for the lock of the entry in `folder`, at most so long, and say so if that is not at once.

        Raises:
            OSError: the file cannot be made.
            ModelUnavailable: another process kept the lock all that time.
        """
        path = folder + ".lock"
        try:
            self._descriptor = os.open(path, _LOCK_FLAGS, 0o666)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(f"{path} is a symbolic link") from None
            raise
        try:
            check_regular(self._descriptor, path)
            self._wait(path, seconds)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let the next process in. The file stays: after a removal, two processes could lock two files of one name."""
        os.close(self._descriptor)

    def _wait(self, path: str, seconds: float) -> None:
        began, told = clock(), False
        while not lock(self._descriptor):
            waited = clock() - began
            if waited >= seconds:
                raise ModelUnavailable(
                    f"{path} has been locked for {seconds:g} s by {self._holder()}; end that process, or use "
                    "another --cache-dir or --no-cache",
                    temporary=True,
                )
            if waited >= TELL_AFTER_S and not told:
                told = True
                log.warning(f"waiting for {self._holder()}, which has locked {path} while it gets the model")
            time.sleep(POLL_S)
        quietly(self._sign)

    def _sign(self) -> None:
        if os.fstat(self._descriptor).st_nlink > 1:  # the file has another name too: it is not ours to write
            return
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()} {os.uname().nodename}".encode(), 0)

    def _holder(self) -> str:
        """Who has the lock, as the file tells."""
        process, _, host = os.pread(self._descriptor, 100, 0).decode("utf-8", "replace").partition(" ")
        known = process.isdecimal() and host.isprintable()
        return f"process {process} on {host}" if known else "another process"
