"""Reads what is not on this machine: pictures and model files by URL, pictures and lists in object storage.

`Classifier` makes one. The pipeline reads pictures with it, the model store the files of a model. A client is imported
when it is first needed, so a run on local files imports none.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from birdlite.settings import DEFAULTS, FetchSettings
from birdlite.storage import is_storage
from birdlite.timing import Timeline

if TYPE_CHECKING:
    from birdlite.deadline import Room
    from birdlite.http.fetcher import Fetcher
    from birdlite.storage.store import Storage


class Remote:
    """One client for URLs and one for object storage, shared by all threads of a run."""

    def __init__(self, settings: FetchSettings, timeline: Timeline, storage: Storage | None = None) -> None:
        """`storage` has buckets that the caller has opened already.

        Raises:
            UsageError: a setting is invalid, such as the mirror.
        """
        self._settings = settings
        self._timeline = timeline
        self._given_storage = storage
        self.cancelled = threading.Event()  # set: the download of a model ends
        self.model_by: float | None = None  # s on the monotonic clock: when it ends if no answer has come
        self._lock = threading.Lock()  # for the three below
        self._fetcher: Fetcher | None = None
        self._closed = False
        self._connected: set[str] = set()  # `http` and `storage`, if ready
        usual = settings._replace(startup_timeout=DEFAULTS.startup_timeout, public_only=DEFAULTS.public_only)
        if usual != DEFAULTS:
            with timeline.span("imports"):
                self._make_fetcher()  # an invalid setting is an error before anything runs

    @property
    def storage(self) -> Storage:
        """The client for object storage."""
        if self._given_storage is None:
            from birdlite.storage.store import Storage

            self._given_storage = storage = Storage(self._settings)
            if self.cancelled.is_set():
                storage.cancelled.set()
        return self._given_storage

    def connect(self, location: str) -> None:
        """Import the client that `location` needs. The first thread to need it does so, the others wait.

        httpx is imported by a thread of its own: the first requests are on their way before it is there.
        """
        kind = "storage" if is_storage(location) else "http"
        if kind in self._connected:
            return
        with self._lock:
            if kind not in self._connected:
                with self._timeline.span("imports"):
                    if kind == "storage":
                        self.storage.preload()
                    else:
                        self._make_fetcher()
                self._connected.add(kind)
                if kind == "http":
                    threading.Thread(target=self._import_httpx, name="birdlite-import", daemon=True).start()

    def read(self, location: str, cancelled: threading.Event, room: Room | None = None) -> bytes:
        """The picture at a URL or a storage URL, within the limits of the settings and the memory that `room` gives.

        Setting `cancelled` ends the download within a fraction of a second.

        Raises:
            PictureError: it cannot be read.
        """
        if is_storage(location):
            return self.storage.fetch(location, (cancelled,), room)
        return self._make_fetcher().get(location, (cancelled,), room=room)

    def get(self, url: str, *, max_bytes: int, timeout: float) -> bytes:
        """A file of a model; `timeout` in s.

        Raises:
            PictureError: it cannot be read.
        """
        self.connect(url)
        with self._timeline.span("model fetch"):
            stops, fetcher = (self.cancelled,), self._make_fetcher()
            return fetcher.get(url, stops, max_bytes=max_bytes, timeout=timeout, answer_by=self.model_by)

    def begin(self) -> None:
        """An earlier `cancel` no longer counts."""
        if self.cancelled.is_set():
            self.cancelled = threading.Event()  # not cleared: who waits for the old one has still to see it
        if self._given_storage is not None and self._given_storage.cancelled.is_set():
            self._given_storage.cancelled.clear()  # it takes a lock, and `cancel` may come from a signal handler

    def cancel(self) -> None:
        """End the download of a model, and what waits for object storage, within a fraction of a second."""
        self.cancelled.set()
        if self._given_storage is not None:
            self._given_storage.cancelled.set()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._closed = True
            if self._fetcher is not None:
                self._fetcher.close()

    def _import_httpx(self) -> None:
        with (
            self._timeline.span("imports"),
            suppress(Exception),
        ):  # whoever needs it imports it again, and has the error
            self._make_fetcher().preload()

    def _make_fetcher(self) -> Fetcher:
        if self._fetcher is None:
            from birdlite.http.fetcher import Fetcher

            self._fetcher = Fetcher(self._settings)
            if self._closed:
                self._fetcher.close()
        return self._fetcher
