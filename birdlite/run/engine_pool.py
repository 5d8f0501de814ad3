"""The engines of one run: the model opened once, an engine for each worker, kept for the next run of the same program.

Each worker says `begin` and decodes its first picture while a thread loads its engine; at the end it says `give_back`.
Whichever thread comes first opens the model while the others wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from birdlite.engines.contract import Engine
from birdlite.models.bundle import Model


class Loader(Protocol):
    """Where models and engines come from: a `ModelLoader`."""

    @property
    def side(self) -> int | None:
        """The model's side in px, if it is known before the model is open."""

    def preload(self) -> None:
        """Do what can be done before the model is open."""

    def open(self) -> Model:
        """The model, verified."""

    def load(self, model: Model) -> Engine:
        """An engine on it for one thread."""


class EnginePool:
    """Engines on one model, made when they are first wanted."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._opening = threading.Lock()
        self._lock = threading.Lock()  # around the idle engines only: `close` must not wait for a download
        self._model: Model | None = None
        self._idle: list[Engine] = []
        self._name = ""

    @property
    def model(self) -> Model:
        """The model, opened by the first who asks.

        Raises:
            ModelError: there is none. The next who asks tries again.
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
        """Which engine runs, once one was made; empty before."""
        return self._name

    def preload(self) -> None:
        """Do what can be done before the model is open. For a thread that has nothing better to do."""
        self._loader.preload()

    def begin(self, failed: Callable[[BaseException], None]) -> Loading:
        """Get an engine for the calling thread alone, some time soon. `failed` is told at once if there is none."""
        return Loading(self, failed)

    def take(self) -> Engine:
        """An engine for the calling thread alone, now.

        Raises:
            ModelError: there is no model.
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
        """Keep the engine for whoever comes next."""
        with self._lock:
            self._idle.append(engine)

    def close(self) -> None:
        """Release the engines that are not in use."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()


class Loading:
    """An engine on its way: first its model, then itself. Made by `EnginePool.begin`."""

    def __init__(self, pool: EnginePool, failed: Callable[[BaseException], None]) -> None:
        self._pool = pool
        self._failed = failed
        self._opened = threading.Event()
        self._loaded = threading.Event()
        self._model: Model | None = None
        self._engine: Engine | None = None
        threading.Thread(target=self._run, name="birdlite-load", daemon=True).start()

    @property
    def side(self) -> int:
        """The model's side in px, at once or as soon as it is open.

        Raises:
            NoEngine: it cannot be opened.
        """
        return self._pool.early_side or self.model.card.side

    @property
    def model(self) -> Model:
        """The model, as soon as it is open.

        Raises:
            NoEngine: it cannot be opened.
        """
        self._opened.wait()
        if self._model is None:
            raise NoEngine
        return self._model

    @property
    def engine(self) -> Engine:
        """The engine, as soon as it is loaded.

        Raises:
            NoEngine: it cannot be loaded.
        """
        self._loaded.wait()
        if self._engine is None:
            raise NoEngine
        return self._engine

    def _run(self) -> None:
        try:
            self._model = self._pool.model
            self._opened.set()
            self._engine = self._pool.take()
        except BaseException as error:  # noqa: BLE001 - handed over whole to whoever can raise it
            self._failed(error)
        finally:
            self._opened.set()
            self._loaded.set()


class NoEngine(Exception):
    """There will be no engine. Whoever began to load it has been told why."""
