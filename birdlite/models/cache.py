"""The cache on disk: its folder, an entry's folder with its files, and the lock that guards an entry."""

from __future__ import annotations

import os
import sys

from birdlite import log
from birdlite.errors import OutputError
from birdlite.local_file import reason
from birdlite.models.bundle import look_in
from birdlite.models.card import ModelBytes
from birdlite.models.catalog import Entry


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


def remove(cache: str, name: str) -> bool:
    """Delete an entry from the cache, and tell whether it was there. Waits until no process is downloading it.

    Raises:
        OutputError: it cannot be deleted.
    """
    import shutil

    folder = entry_folder(cache, name)
    if not os.path.isdir(folder):
        return False
    try:
        lock = EntryLock(folder)
        try:
            shutil.rmtree(folder)
        finally:
            lock.release()
    except OSError as error:
        raise OutputError(f"{folder} cannot be removed: {reason(error)}") from None
    return True


class EntryLock:
    """Lets one process at a time write an entry. The kernel frees the lock however the process ends.

    Where the system has no such locks (Windows, some network file systems) it does nothing: two processes may then
    download the same model, and the last rename wins with the same bytes.
    """

    def __init__(self, folder: str) -> None:
        """Wait for the lock of the entry in `folder`, without a limit: its holder's downloads have deadlines.

        Raises:
            OSError: the file cannot be made.
        """
        path = folder + ".lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            import fcntl

            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except (ImportError, OSError) as error:
            log.debug(f"no file locks here: {error}", path=path)

    def release(self) -> None:
        """Let the next process in. The file stays: after a removal, two processes could lock two files of one name."""
        os.close(self._descriptor)
