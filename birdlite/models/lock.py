"""One process at a time on one entry of the cache. The store takes it before it downloads."""

from __future__ import annotations

import os

from birdlite import log


class FileLock:
    """An advisory lock on a small file of its own; the kernel frees it however the process ends.

    Where the system has no such locks (Windows, some network file systems) it does nothing: two processes may then
    download the same model, and the last rename wins with the same bytes.
    """

    def __init__(self, path: str) -> None:
        """Wait for the lock at `path`, however long its holder takes; the holder's downloads have deadlines.

        Raises:
            OSError: the file cannot be made.
        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            import fcntl

            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except (ImportError, OSError) as error:
            log.debug(f"no file locks here: {error}", path=path)

    def release(self) -> None:
        """Let the next one in. The file stays: removing it would let two processes lock two files of one name."""
        os.close(self._descriptor)
