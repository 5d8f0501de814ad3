"""birdlite: what bird is this? Any number of photographs, from a cold start, in a fraction of a second.

    from birdlite import Classifier

    with Classifier() as birds:
        result = birds.classify("parrot.jpg")

The names below are imported when they are first used: `import birdlite` alone costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes 4 ms to import, in which Ctrl-C would still print a traceback

__all__ = [
    "BirdliteError",
    "Classifier",
    "EngineError",
    "EngineMissing",
    "Failure",
    "FetchSettings",
    "ImageInfo",
    "InvalidModel",
    "ListRules",
    "MaxFailures",
    "ModelError",
    "ModelUnavailable",
    "OutputError",
    "PerHost",
    "PictureError",
    "Prediction",
    "Progress",
    "Result",
    "RunOptions",
    "RunReport",
    "RunSummary",
    "Runner",
    "Settings",
    "Shard",
    "Times",
    "TooManyFailures",
    "UnknownModel",
    "UsageError",
    "__version__",
    "expand",
    "picture",
    "redacted",
]

if TYPE_CHECKING:
    from birdlite._version import __version__
    from birdlite.batch.shard import Shard
    from birdlite.errors import (
        BirdliteError,
        EngineError,
        EngineMissing,
        InvalidModel,
        ModelError,
        ModelUnavailable,
        OutputError,
        PictureError,
        TooManyFailures,
        UnknownModel,
        UsageError,
    )
    from birdlite.images import picture
    from birdlite.redaction import redacted
    from birdlite.results import Failure, ImageInfo, Prediction, Progress, Result, RunSummary, Times
    from birdlite.run.classifier import Classifier
    from birdlite.run.options import MaxFailures, RunOptions
    from birdlite.run.runner import Runner, RunReport
    from birdlite.settings import FetchSettings, PerHost, Settings
    from birdlite.targets.expand import expand
    from birdlite.targets.list_rules import ListRules

_MODULES = {
    "__version__": "_version",
    "Classifier": "run.classifier",
    "FetchSettings": "settings",
    "ListRules": "targets.list_rules",
    "MaxFailures": "run.options",
    "PerHost": "settings",
    "RunOptions": "run.options",
    "RunReport": "run.runner",
    "Runner": "run.runner",
    "Settings": "settings",
    "Shard": "batch.shard",
    "expand": "targets.expand",
    "picture": "images.picture",
    "redacted": "redaction",
    **dict.fromkeys(("Failure", "ImageInfo", "Prediction", "Progress", "Result", "RunSummary", "Times"), "results"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_MODULES.get(name, 'errors')}")
    return module if name == "picture" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
