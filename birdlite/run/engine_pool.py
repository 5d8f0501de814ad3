"""The engines of a run: each worker gets its own, and the next run uses them again.

A worker begins with a `Loading`: it decodes its first picture while a thread loads its engine. At its end it gives the
engine back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from birdlite.engines.contract import Engine
from birdlite.models.bundle import Model
from birdlite.run.model_loader import ModelLoader


class EnginePool:
    """Engines on the model of `loader`, made when they are first needed."""

    def __init__(self, loader: ModelLoader) -> None:
        self.loader = loader
        self.engine_name = ""  # which engine runs; empty before the first one is made
        self.loaded = 0  # engines that were made and not closed
        self._lock = threading.Lock()
        self._idle: list[Engine] = []

    @property
    def early_side(self) -> int | None:
        """The model's side in px while there is no engine yet, if it is known: pictures can be decoded meanwhile."""
        return None if self.engine_name else self.loader.side

    def take(self) -> Engine:
        """An engine for the calling thread alone, now.

        Raises:
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        with self._lock:
            if self._idle:
                return self._idle.pop()
        engine = self.loader.load()
        self.engine_name = engine.name
        with self._lock:
            self.loaded += 1
        return engine

    def give_back(self, engine: Engine) -> None:
        """Keep the engine for the next `take`."""
        with self._lock:
            self._idle.append(engine)

    def discard(self, engine: Engine) -> None:
        """Close an engine that nobody will use again."""
        with self._lock:
            self.loaded -= 1
        engine.close()

    def close(self) -> None:
        """Release the engines that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for engine in idle:
            self.discard(engine)


class Loading:
    """A model and an engine of the pool that a thread is loading; each property waits for its part."""

    def __init__(self, pool: EnginePool, failed: Callable[[threading.Thread, BaseException], None]) -> None:
        """Begin to load, in a thread of its own if the system has one left.

        If that fails, `failed` gets the thread that wants the engine, which calls this, and the error.
        """
        self._pool = pool
        self._for = threading.current_thread()
        self._tell = failed
        self._opened = threading.Event()
        self._loaded = threading.Event()
        self._model: Model | None = None
        self._engine: Engine | None = None
        self.failed = False  # it will give no engine
        try:
            threading.Thread(target=self._load, name="birdlite-load", daemon=True).start()
        except RuntimeError:  # it has none
            self._load()

    @property
    def side(self) -> int:
        """The model's side in px, at once if it is known already.

        Raises:
            NoEngine: the model cannot be opened.
        """
        return self._pool.early_side or self.model.card.side

    @property
    def model(self) -> Model:
        """The model.

        Raises:
            NoEngine: it cannot be opened.
        """
        self._opened.wait()
        if self._model is None:
            raise NoEngine
        return self._model

    @property
    def engine(self) -> Engine:
        """The engine.

        Raises:
            NoEngine: it cannot be loaded.
        """
        self._loaded.wait()
        if self._engine is None:
            raise NoEngine
        return self._engine

    def discard(self) -> None:
        """Close the engine, if there is one."""
        self._loaded.wait()
        if self._engine is not None:
            self._pool.discard(self._engine)

    def _load(self) -> None:
        try:
            self._model = self._pool.loader.model
            self._opened.set()
            self._engine = self._pool.take()
        except BaseException as error:  # noqa: BLE001 - `_tell` passes it to a thread that raises it
            self.failed = True
            self._tell(self._for, error)
        finally:
            self._opened.set()
            self._loaded.set()


class NoEngine(Exception):
    """The engine could not be loaded. `failed` has got the error."""
