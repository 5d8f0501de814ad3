"""A budget of bytes for pictures: for files in memory, and for pictures that are being decoded.

The pipeline's threads ask here before they read a file and before they decode it. Whoever asks waits behind those who
asked before, so a large picture is not starved by small ones. What is larger than the whole share is refused at once.

There are three shares, so that nothing waits for ever:

- `decoding`: who has something of it is decoding, waits for nothing more, and gives it back.
- `files`: local files that a worker has read. Their worker waits for `decoding` only.
- `downloads`: downloaded files. They wait for a worker, and then as the others do.

The limit is not looked up before a share has given out a little. So a run on a few photographs reads no file of the
system for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from birdlite import log
from birdlite.errors import PictureError, UsageError
from birdlite.settings import LEAST_DECODING, LEAST_FILES, LEAST_PICTURES, Settings, least_memory

POLL_S = 0.1  # a thread that waits notices the end of the run at least this often
_M = 1 << 20


class Share:
    """Bytes that pictures take and give back, in the order in which they ask."""

    def __init__(self, what: str, least: int, find: Callable[[], tuple[int, str]]) -> None:
        """`find` gives the limit in bytes and says where it comes from; it is asked when `least` is not enough."""
        self._what = what
        self._limit = least
        self._find = find
        self._lock = threading.Lock()
        self.used = 0  # bytes
        self._waiting: deque[tuple[int, threading.Event]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @property
    def limit(self) -> int:
        """How large one picture may be, in bytes."""
        return self._find()[0]

    def take(self, size: int, over: Callable[[], bool]) -> None:
        """Wait until `size` bytes are free, and take them.

        Raises:
            PictureError: `too_large`, more than there will ever be; `cancelled`, because `over` says so.
        """
        with self._lock:
            if self.used + size > self._limit:
                self._limit, source = self._find()
                if size > self._limit:
                    needs = f"{self._what} takes {_text(size)} of memory"
                    raise PictureError("too_large", f"{needs}; {source} leaves {self._limit // _M}M")
            if not self._waiting and self.used + size <= self._limit:
                self.used += size
                return
            turn = threading.Event()
            self._waiting.append((size, turn))
        while not turn.wait(POLL_S):
            if over():
                self._leave(size, turn)
                raise PictureError("cancelled", "cancelled before there was memory for it")

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self.used -= size
            self._serve()

    def _leave(self, size: int, turn: threading.Event) -> None:
        """Stop waiting."""
        with self._lock:
            if turn.is_set():
                self.used -= size
            else:
                self._waiting.remove((size, turn))
            self._serve()

    def _serve(self) -> None:
        while self._waiting and self.used + self._waiting[0][0] <= self._limit:
            size, turn = self._waiting.popleft()
            self.used += size
            turn.set()


class Held:
    """What one picture has of a share. One thread at a time uses it."""

    __slots__ = ("_over", "_share", "size")

    def __init__(self, share: Share, over: Callable[[], bool]) -> None:
        self._share = share
        self._over = over
        self.size = 0  # bytes

    def hold(self, size: int) -> None:
        """Hold `size` bytes instead of what is held.

        Raises:
            PictureError: as `Share.take`.
        """
        if size > self.size:
            self.let_go()  # who waits holds nothing of what others wait for
            self._share.take(size, self._over)
        elif size < self.size:
            self._share.give_back(self.size - size)
        self.size = size

    def room(self, size: int | None, most: int) -> int:
        """As `hold`; if the size is not known, hold `most`, or all that one picture may have if that is less."""
        self.hold(min(most, self._share.limit) if size is None else size)
        return self.size

    def let_go(self) -> None:
        """Give back everything."""
        if self.size:
            size, self.size = self.size, 0
            self._share.give_back(size)


class MemoryBudget:
    """The three shares. A `Classifier` has one for all its runs."""

    def __init__(self, settings: Settings) -> None:
        """Take what the settings leave for pictures.

        Raises:
            UsageError: `memory` is too little for birdlite itself.
        """
        self._settings = settings
        self._found: tuple[int, str] | None = None
        if settings.memory and settings.memory < (least := least_memory(settings.threads)):
            given = f"{settings.memory} bytes" if settings.memory % _M else _text(settings.memory)
            workers = f"with {log.counted(settings.threads, 'worker')} (--threads)"
            raise UsageError(f"--memory {given}: too little; the smallest is {_text(least)} {workers}")
        self.downloads = Share("the file", LEAST_FILES, self._files)
        self.files = Share("the file", LEAST_FILES, self._files)
        self.decoding = Share("decoding it", LEAST_DECODING, self._decoding)

    def _own(self) -> int:
        """The bytes for everything but pictures."""
        return least_memory(self._settings.threads) - LEAST_PICTURES

    def _files(self) -> tuple[int, str]:
        """An eighth for each of the two, or a quarter if less would not hold a file of --max-bytes."""
        free, source = self._free()
        return max(LEAST_FILES, free // 8, min(self._settings.fetch.max_bytes, free // 4)), source

    def _decoding(self) -> tuple[int, str]:
        free, source = self._free()
        return free - 2 * self._files()[0], source

    def _free(self) -> tuple[int, str]:
        """The bytes for pictures, looked up once.

        A Python program may have more in memory than birdlite alone has. That counts in steps, so that two runs of
        the same program refuse the same pictures.
        """
        if self._found is None:
            from birdlite import memory_limit

            if self._settings.memory:
                total, source = self._settings.memory, f"--memory {_text(self._settings.memory)}"
            else:
                total, where = memory_limit.automatic()
                source = f"{where}, {_text(total)} (--memory),"
            own = max(self._own(), -(-memory_limit.resident() // (64 * _M)) * 64 * _M - LEAST_PICTURES)
            memory_limit.return_large_blocks()
            self._found = max(LEAST_PICTURES, total - own), source
        return self._found


def _text(size: int) -> str:
    return f"{-(-size // _M)}M"
