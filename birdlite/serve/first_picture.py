"""Loads the model by classifying one picture, in a thread. The command begins this before it imports the web server.

Nothing here is heavy, so the model is loaded meanwhile. It is ready when it has classified a picture once.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future

from birdlite.errors import EngineError
from birdlite.run.classifier import Classifier
from birdlite.settings import DEFAULT_MAX_PIXELS, MAX_BYTES, Settings
from birdlite.targets import Target

_PATH = os.path.join(os.path.dirname(os.path.dirname(__file__)), "demo", "pictures", "crested-emberling.jpg")

FIRST = Target("the first picture", "file", _PATH)
"""A picture of the demo. Any model can classify it; what it says is not looked at."""


def with_usual_bounds(settings: Settings) -> Settings:
    """The settings for `FIRST`: narrower bounds on pictures are for those of clients."""
    return settings._replace(max_pixels=DEFAULT_MAX_PIXELS, fetch=settings.fetch._replace(max_bytes=MAX_BYTES))


def begin(classifier: Classifier, settings: Settings) -> Future[None]:
    """Begin. The result says when the model is ready, or has the error: a `BirdliteError`, or a fault in birdlite.

    `settings` are those of the classifier.
    """
    loaded: Future[None] = Future()
    loaded.set_running_or_notify_cancel()  # so it cannot be cancelled: the thread always sets it
    threading.Thread(target=_load, args=(classifier, settings, loaded), name="birdlite-first", daemon=True).start()
    return loaded


def _load(classifier: Classifier, settings: Settings, loaded: Future[None]) -> None:
    try:
        _classify_one(classifier, settings)
    except BaseException as error:  # noqa: BLE001 - who waits for it raises it
        loaded.set_exception(error)
    else:
        loaded.set_result(None)


def _classify_one(classifier: Classifier, settings: Settings) -> None:
    (result,) = classifier.stream([FIRST], settings=with_usual_bounds(settings))
    if result.failure is not None:
        raise EngineError(f"the service cannot become ready: {result.failure.message}")
