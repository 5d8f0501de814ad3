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
from birdlite.models.bundle import Model
from birdlite.results import Result
from birdlite.run.engine_pool import EnginePool
from birdlite.run.memory_budget import MemoryBudget
from birdlite.run.model_loader import ModelLoader
from birdlite.run.pipeline import Pipeline
from birdlite.run.remote import Remote
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import expand, single
from birdlite.timing import Timeline

if TYPE_CHECKING:
    from birdlite.run.decoding import Guard
    from birdlite.storage.store import Storage


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
        """`timeline` collects the time spans; `storage` has buckets that the caller has opened already.

        Raises:
            UsageError: the settings are invalid or contradict each other.
        """
        self._settings = settings or Settings()
        self._timeline = timeline or Timeline()
        self._remote = Remote(self._settings.fetch, self._timeline, storage)
        self._loader = ModelLoader(self._settings, self._remote, self._timeline)
        self._engines = EnginePool(self._loader)
        self._memory = MemoryBudget(self._settings)
        self._run: Pipeline | None = None
        self._results: Generator[Result, None, None] | None = None

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

    def new_engine(self, *, threads: int = 1) -> Engine:
        """Another engine on the model, as a worker has one; `threads` work on one picture. The caller closes it.

        Raises:
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        return self._loader.load(threads)

    def classify(self, target: str | os.PathLike[str]) -> Result:
        """The answer for one URL or file. A failure of the picture is a value in the result.

        Raises:
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        (result,) = self.stream([single(os.fspath(target))])
        return result

    def classify_many(self, targets: Iterable[str | os.PathLike[str]]) -> Iterator[Result]:
        """Answers for URLs, files, folders and globs, as they come; `targets` is read lazily.

        Raises:
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        names = (os.fspath(target) for target in targets)
        return self.stream(expand(names, storage=self._remote.storage))

    def stream(
        self, targets: Iterable[Target | BadTarget], guard: Guard | None = None
    ) -> Generator[Result, None, None]:
        """Answers for targets that are expanded already. The run ends when the iterator is closed or exhausted.

        `guard` is entered around the decoding of each picture.
        """
        self._remote.begin()
        self._run = Pipeline(self._engines, self._remote, self._settings, self._timeline, self._memory)
        self._results = self._run.run(targets, guard)
        return self._results

    @property
    def total(self) -> int | None:
        """How many targets the run has, once its list was read to the end."""
        return None if self._run is None else self._run.total

    def cancel(self) -> None:
        """End the run soon; may be called from a signal handler or another thread."""
        if self._run is not None:
            self._run.cancel()  # first: what then fails because it is cancelled must not be the error of the run
        self._remote.cancel()

    def close(self) -> None:
        """End a run that was left early, finish writing to the cache, release engines and connections."""
        if self._results is not None:  # left to the interpreter's end, it would wait for locks of threads that are gone
            self._results.close()
        self._loader.close()
        self._engines.close()
        self._remote.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
