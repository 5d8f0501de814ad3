"""The library's front door: a model, its engines and a network client, set up once and used for any number of pictures.

The CLI uses it like any Python program does:

    from birdlite import Classifier, Settings

    with Classifier(Settings(top=5)) as birds:
        print(birds.classify("parrot.jpg").predictions)
        for result in birds.classify_many(["https://example.org/a.jpg", "photos/"]):
            ...
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from birdlite import engines, log
from birdlite.engines.base import Engine
from birdlite.http.settings import DEFAULTS
from birdlite.models.cache_dir import default_cache_dir
from birdlite.models.card import ModelBytes
from birdlite.models.catalog import CATALOG
from birdlite.models.model import Model
from birdlite.models.open import check_labels, open_model
from birdlite.models.store import Store
from birdlite.results import Result
from birdlite.run.engine_pool import EnginePool
from birdlite.run.pipeline import Pipeline
from birdlite.settings import Settings
from birdlite.storage.address import is_storage
from birdlite.targets.expand import BadTarget, Target, expand, single
from birdlite.timing import Timeline

if TYPE_CHECKING:
    from birdlite.http.fetcher import Fetcher
    from birdlite.storage.store import Storage

WEIGHT_CACHE_FOLDER = "xnnpack"  # under the cache


class Classifier:
    """Classifies pictures with one model. Use it from one thread at a time; it makes its own threads inside.

    Nothing is fetched or loaded before the first picture. Close it, or use `with`: downloads are then written to the
    cache to the end, and engines and connections released.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        timeline: Timeline | None = None,
        storage: Storage | None = None,
    ) -> None:
        """`timeline` is where the time is noted; `storage` has buckets that the caller has open already."""
        self._settings = settings or Settings()
        self._timeline = timeline or Timeline()
        self._given_storage = storage
        self._cancelled = threading.Event()
        self._closed = False
        self._fetching = threading.Lock()  # around the three below
        self._fetcher: Fetcher | None = None
        self._connected: set[str] = set()  # the clients that are ready
        check_labels(self._settings.model, self._settings.labels)
        if self._settings.fetch != DEFAULTS:
            with self._timeline.span("imports"):
                self._make_fetcher()  # what makes no sense is told before anything runs
        self._cache_dir = None if self._settings.no_cache else self._settings.cache_dir or default_cache_dir()
        if self._cache_dir is None and not self._settings.no_cache:
            log.warning("this user has no home for a cache; keeping the model in memory (--cache-dir names a place)")
        self._store = Store(
            self._cache_dir,
            self._download_model,
            offline=self._settings.fetch.offline,
            timeline=self._timeline,
            make_int8=_make_int8,
        )
        entry = CATALOG.get(self._settings.model)
        side = None if entry is None else entry.card.side
        self._engines = EnginePool(self._open_model, self._load_engine, self._preload_engine, side=side)
        self._run: Pipeline | None = None

    @property
    def model(self) -> Model:
        """The model, opened if it is not yet.

        Raises:
            ModelError: it cannot be had, or is not what it must be.
        """
        return self._engines.model

    @property
    def engine_name(self) -> str:
        """The engine that runs the model; empty before the first picture."""
        return self._engines.engine_name

    def new_engine(self, *, threads: int = 1) -> Engine:
        """Another engine on the model, as a worker has one; `threads` work on one picture. The caller closes it.

        Raises:
            ModelError: there is no model.
            EngineError: no runtime can run it.
        """
        return self._load_engine(self.model, threads)

    def classify(self, target: str | os.PathLike[str]) -> Result:
        """The answer for one URL or file. A failure of the picture is a value in the result.

        Raises:
            ModelError: there is no model to classify with.
            EngineError: no runtime can run it.
        """
        (result,) = self.stream([single(os.fspath(target))])
        return result

    def classify_many(self, targets: Iterable[str | os.PathLike[str]]) -> Iterator[Result]:
        """Answers for URLs, files, folders and globs, as they come; `targets` is read lazily.

        Raises:
            ModelError: there is no model to classify with.
            EngineError: no runtime can run it.
        """
        names = (os.fspath(target) for target in targets)
        return self.stream(expand(names, storage=self._storage))

    def stream(self, targets: Iterable[Target | BadTarget]) -> Generator[Result, None, None]:
        """Answers for targets that are expanded already. The run ends when the iterator is closed or exhausted."""
        self._cancelled.clear()
        self._run = Pipeline(
            self._engines,
            fetch=self._fetch_picture,
            connect=self._connect,
            settings=self._settings,
            timeline=self._timeline,
        )
        return self._run.run(targets)

    def cancel(self) -> None:
        """End the run soon; may be called from a signal handler or another thread."""
        self._cancelled.set()
        if self._run is not None:
            self._run.cancel()

    def close(self) -> None:
        """Finish writing to the cache, release engines and connections."""
        self._store.close()
        self._engines.close()
        with self._fetching:
            self._closed = True
            if self._fetcher is not None:
                self._fetcher.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def _storage(self) -> Storage:
        if self._given_storage is None:
            from birdlite.storage.store import Storage

            self._given_storage = Storage(self._settings.fetch)
        return self._given_storage

    def _connect(self, location: str) -> None:
        """Get the client ready that `location` needs. The first thread to need it does so, the others wait.

        httpx is imported in a thread of its own: the first requests go out before it is there.
        """
        kind = "storage" if is_storage(location) else "http"
        if kind in self._connected:
            return
        with self._fetching:
            if kind not in self._connected:
                with self._timeline.span("imports"):
                    self._storage.preload() if kind == "storage" else self._make_fetcher()
                self._connected.add(kind)
                if kind == "http":
                    threading.Thread(target=self._import_httpx, name="birdlite-import", daemon=True).start()

    def _import_httpx(self) -> None:
        with self._timeline.span("imports"):
            self._make_fetcher().preload()

    def _make_fetcher(self) -> Fetcher:
        """Import what fetching takes, which a run on local files does without."""
        if self._fetcher is None:
            from birdlite.http.fetcher import Fetcher

            self._fetcher = Fetcher(self._settings.fetch, self._cancelled)
            if self._closed:
                self._fetcher.close()
        return self._fetcher

    def _fetch_picture(self, location: str) -> bytes:
        if is_storage(location):
            return self._storage.fetch(location, (self._cancelled,))
        return self._fetch(location)

    def _fetch(self, url: str, *, max_bytes: int | None = None, timeout: float | None = None) -> bytes:
        return self._make_fetcher().get(url, max_bytes=max_bytes, timeout=timeout)

    def _download_model(self, url: str, *, max_bytes: int, timeout: float) -> bytes:
        self._connect(url)
        with self._timeline.span("model fetch"):
            return self._fetch(url, max_bytes=max_bytes, timeout=timeout)

    def _open_model(self) -> Model:
        return open_model(self._settings.model, self._settings.labels, self._store, self._timeline, engines.describe)

    def _preload_engine(self) -> None:
        entry = CATALOG.get(self._settings.model)  # of other models the format is not known yet
        if entry is not None and self._settings.engine == "auto":
            with self._timeline.span("imports"):
                engines.preload(entry.card.format)

    def _load_engine(self, model: Model, threads: int = 1) -> Engine:
        with self._timeline.span("imports"):
            engines.preload(model.card.format)
        folder = None if self._cache_dir is None else os.path.join(self._cache_dir, WEIGHT_CACHE_FOLDER)
        with self._timeline.span("model load"):
            return engines.load(
                model.data, model.card, engine=self._settings.engine, threads=threads, weight_cache=folder
            )


def _make_int8(model: ModelBytes) -> bytes:
    """The first use of a model that is made of another one; every later one finds it in the cache."""
    from birdlite.tflite.requantize import tflite_to_int8

    return tflite_to_int8(bytes(model)).model
