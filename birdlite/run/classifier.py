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
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from birdlite.engines.contract import Engine
from birdlite.errors import UsageError
from birdlite.models.bundle import Model
from birdlite.results import Failure, Result
from birdlite.run.engine_pool import EnginePool
from birdlite.run.job import Owner
from birdlite.run.memory_budget import MemoryBudget
from birdlite.run.model_loader import ModelLoader
from birdlite.run.pipeline import Pipeline
from birdlite.run.remote import Remote
from birdlite.run.stream import Stream
from birdlite.settings import Settings, check
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import Targets
from birdlite.timing import Timeline

if TYPE_CHECKING:
    from birdlite.run.job import Guard
    from birdlite.run.single import Done, Single
    from birdlite.storage.store import Storage
    from birdlite.targets.from_python import Source


class Classifier:
    """Classifies pictures with one model. Any number of threads may use it at once.

    They share its own threads, engines and memory, so `Settings` bounds what runs at once, not the number of callers.
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
        """`timeline` collects the time spans; `storage` has buckets that the caller has opened already.

        Raises:
            UsageError: the settings are invalid or contradict each other.
        """
        self._settings = settings or Settings()
        check(self._settings)
        self._process = os.getpid()
        self._timeline = timeline or Timeline()
        self._remote = Remote(self._settings.fetch, self._timeline, storage)
        self._loader = ModelLoader(self._settings, self._remote, self._timeline)
        self._engines = EnginePool(self._loader)
        self._memory = MemoryBudget(self._settings)
        self._pipeline = Pipeline(self._engines, self._remote, self._settings, self._timeline, self._memory)
        self._latest: Stream | None = None

    @property
    def model(self) -> Model:
        """The model, opened if it is not yet.

        Raises:
            ModelError: it does not exist, cannot be downloaded, or is damaged.
        """
        return self._loader.model

    @property
    def engine_name(self) -> str:
        """The engine that runs the model; empty before the first picture."""
        return self._engines.engine_name

    @property
    def engines(self) -> int:
        """How many engines are loaded."""
        return self._engines.loaded

    def new_engine(self, *, threads: int = 1) -> Engine:
        """Another engine on the model, as a worker has one; `threads` work on one picture. The caller closes it.

        Raises:
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        return self._loader.load(threads)

    def classify(self, picture: Source) -> Result:
        """The answer for one picture: a URL, a path, bytes, a binary file, a PIL image, or an RGB array (`uint8`, HWC).

        A failure of the picture is a value in the result.

        Raises:
            TypeError: it is none of these.
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        from birdlite.targets.from_python import one

        target = one(picture, self._settings)
        for result in list(self.stream([target])):
            return result
        return Result(target.index, target.name, Failure("cancelled", f"{target.name}: the run was interrupted"))

    def classify_many(self, pictures: Iterable[Source]) -> Iterator[Result]:
        """Answers as they come, for everything that `classify` takes, and for folders and globs.

        `pictures` is read lazily. Each has one result; after `cancel`, each that was begun.

        Raises:
            TypeError: `pictures` is a single one; or, while iterating, one is nothing that `classify` takes.
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        from birdlite.targets.from_python import many

        sources = iter([(many(pictures, self._settings.fetch.max_bytes), "")])
        return self.stream(Targets(sources, self._remote.storage, None, reveal=self._settings.reveal_targets))

    def stream(
        self, targets: Iterable[Target | BadTarget], guard: Guard | None = None, settings: Settings | None = None
    ) -> Generator[Result, None, None]:
        """Answers for targets that are expanded already. The run ends when the iterator is closed or exhausted.

        `guard` is entered around the decoding of each picture. `settings` may differ from the classifier's own as those
        of `submit` may.

        Raises:
            UsageError: the classifier is closed, or of another process, which this one is a fork of.
        """
        if self._process != os.getpid():
            raise UsageError("this Classifier belongs to the process that this one was forked from: make another here")
        if not self._pipeline.streams:
            self._remote.begin()
        self._latest = Stream(self._pipeline, settings or self._settings, guard)
        return self._latest.run(targets)

    def submit(self, target: Target, settings: Settings, timeline: Timeline, done: Done) -> Single:
        """Send one picture on its way, for a caller that does not wait in a thread. Returns at once if a slot is free.

        Other threads call `done`: see `Single`. `settings` may differ from the classifier's own in `top`, `min_score`,
        `resize` and the bounds on a local picture: `max_pixels` and `fetch.max_bytes`. `timeline` gets the spans.
        `classify` must have been called before, and `look_for_overdue` is to be called now and then.
        """
        from birdlite.run.single import Single

        single = Single(self._pipeline, settings, timeline, done)
        single.start(target)
        return single

    def look_for_overdue(self) -> None:
        """Give up pictures that take too long to decode. `classify` and `classify_many` do so by themselves."""
        self._pipeline.look_for_overdue()

    @property
    def room(self) -> int:
        """How many bytes of pictures that are not yet decoded there is memory for."""
        return self._memory.files.limit

    @property
    def total(self) -> int | None:
        """How many targets the latest run has, once its list was read to the end."""
        return None if self._latest is None else self._latest.total

    def cancel(self) -> None:
        """End all runs soon; may be called from a signal handler or another thread."""
        for stream in self._streams():  # first: what then fails because it is cancelled is not the error of the run
            stream.cancel()
        self._remote.cancel()

    def close(self) -> None:
        """End runs that were left early, finish writing to the cache, release engines and connections, for good."""
        self._pipeline.refuse()
        for (
            stream
        ) in self._streams():  # left to the interpreter's end, they would wait for locks of threads that are gone
            stream.close()
        self._pipeline.close()
        self._loader.close()
        self._engines.close()
        self._remote.close()

    def _streams(self) -> list[Owner]:
        """Those under way, and the one that may be about to begin."""
        streams = self._pipeline.streams
        if self._latest is not None and self._latest not in streams:
            streams.append(self._latest)
        return streams

    def __reduce__(self) -> tuple[type[Classifier], tuple[Settings]]:
        """Sent to another process, it is a new classifier with the same settings, and loads its model there."""
        return Classifier, (self._settings,)

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
