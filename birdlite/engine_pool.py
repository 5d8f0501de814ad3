"""The engines of one run: the model opened once, an engine for each worker, kept for the next run of the same program.

Workers `take` an engine and `give_back`; whichever worker comes first opens the model while the others wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from birdlite.engines.base import Engine
from birdlite.models.model import Model


class EnginePool:
    """Engines on one model, made when they are first wanted."""

    def __init__(self, open_model: Callable[[], Model], load: Callable[[Model], Engine]) -> None:
        self._open_model = open_model
        self._load = load
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
                self._model = self._open_model()
            return self._model

    @property
    def engine_name(self) -> str:
        """Which engine runs, once one was made; empty before."""
        return self._name

    def take(self) -> Engine:
        """An engine for the calling thread alone.

        Raises:
            ModelError: there is no model.
            EngineError: no runtime can run it.
        """
        model = self.model
        with self._lock:
            if self._idle:
                return self._idle.pop()
        engine = self._load(model)
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
