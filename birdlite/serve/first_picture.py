"""Loads the model by classifying one picture, in a thread. The command begins this before it imports the web server.

Nothing here is heavy, so the model is loaded meanwhile. It is ready when it has classified a picture once.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future

from birdlite.errors import EngineError
from birdlite.run.classifier import Classifier
from birdlite.targets import Target

_PATH = os.path.join(os.path.dirname(os.path.dirname(__file__)), "demo", "pictures", "crested-emberling.jpg")

FIRST = Target("the first picture", "file", _PATH)
"""A picture of the demo. Any model can classify it; what it says is not looked at."""


def begin(classifier: Classifier) -> Future[None]:
    """Begin. The result says when the model is ready, or has the error: a `BirdliteError`, or a fault in birdlite."""
    loaded: Future[None] = Future()
    loaded.set_running_or_notify_cancel()  # so it cannot be cancelled: the thread always sets it
    threading.Thread(target=_load, args=(classifier, loaded), name="birdlite-first", daemon=True).start()
    return loaded


def _load(classifier: Classifier, loaded: Future[None]) -> None:
    try:
        _classify_one(classifier)
    except BaseException as error:  # noqa: BLE001 - who waits for it raises it
        loaded.set_exception(error)
    else:
        loaded.set_result(None)


def _classify_one(classifier: Classifier) -> None:
    (result,) = classifier.stream([FIRST])
    if result.failure is not None:
        raise EngineError(f"the service cannot become ready: {result.failure.message}")
