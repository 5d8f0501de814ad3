"""The engines of a run: the model is opened once, each worker gets its own engine, and the next run uses them again.

A worker calls `begin`, and decodes its first picture while a thread loads its engine. It ends with `give_back`. The
first thread that needs the model opens it, and the others wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from birdlite.engines.contract import Engine
from birdlite.models.bundle import Model
from birdlite.run.model_loader import ModelLoader


class EnginePool:
    """Engines on one model, made when they are first needed."""

    def __init__(self, loader: ModelLoader) -> None:
        self._loader = loader
        self._opening = threading.Lock()
        self._lock = threading.Lock()  # for the idle engines only: `close` must not wait for a download
        self._model: Model | None = None
        self._idle: list[Engine] = []
        self._name = ""

    @property
    def model(self) -> Model:
        """The model, opened by the first thread that asks.

        Raises:
            ModelError: it cannot be opened. The next call tries again.
        """
        with self._opening:
            if self._model is None:
                self._model = self._loader.open()
            return self._model

    @property
    def early_side(self) -> int | None:
        """The model's side in px while there is no engine yet, if it is known: pictures can be decoded meanwhile."""
        return None if self._name else self._loader.side

    @property
    def engine_name(self) -> str:
        """Which engine runs; empty before the first one is made."""
        return self._name

    def preload(self) -> None:
        """Import the engine's runtime before the model is open, if it is known which one.

        Raises:
            EngineMissing: it is not installed.
        """
        self._loader.preload()

    def begin(self, failed: Callable[[BaseException], None]) -> Loading:
        """Begin to load an engine for the calling thread alone. `failed` gets the error if that fails."""
        return Loading(self, failed)

    def take(self) -> Engine:
        """An engine for the calling thread alone, now.

        Raises:
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        model = self.model
        with self._lock:
            if self._idle:
                return self._idle.pop()
        engine = self._loader.load(model)
        self._name = engine.name
        return engine

    def give_back(self, engine: Engine) -> None:
        """Keep the engine for the next `take`."""
        with self._lock:
            self._idle.append(engine)

    def close(self) -> None:
        """Release the engines that are not in use."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()


class Loading:
    """A model and an engine that a thread is loading; each property waits for its part. Made by `EnginePool.begin`."""

    def __init__(self, pool: EnginePool, failed: Callable[[BaseException], None]) -> None:
        self._pool = pool
        self._failed = failed
        self._opened = threading.Event()
        self._loaded = threading.Event()
        self._model: Model | None = None
        self._engine: Engine | None = None
        threading.Thread(target=self._load, name="birdlite-load", daemon=True).start()

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

    def _load(self) -> None:
        try:
            self._model = self._pool.model
            self._opened.set()
            self._engine = self._pool.take()
        except BaseException as error:  # noqa: BLE001 - `failed` passes it to a thread that raises it
            self._failed(error)
        finally:
            self._opened.set()
            self._loaded.set()


class NoEngine(Exception):
    """The engine could not be loaded. The pool has passed the error to `failed`."""
