"""Everything a run can be told, in one plain value. The CLI fills it from its options, Python users by keyword."""

from __future__ import annotations

from birdlite import cpus
from birdlite.engines import EngineChoice
from birdlite.http.settings import FetchSettings
from birdlite.images.picture import DEFAULT_MAX_PIXELS, Resize
from birdlite.models.catalog import DEFAULT_MODEL
from birdlite.namedtuple import NamedTuple

DEFAULT_TOP = 3


class Settings(NamedTuple):
    """How to classify. Every value has the default that the CLI has."""

    model: str = DEFAULT_MODEL  # a name of the catalogue, a bundle's folder, or a .tflite or .onnx file
    labels: str | None = None  # the label map of a bare model file
    engine: EngineChoice = "auto"
    resize: Resize = "crop"  # DESIGN: the most accurate on real photographs
    top: int = DEFAULT_TOP  # predictions a picture
    min_score: float = 0.0  # predictions below it are left out
    workers: int = 0  # threads that decode and classify, an engine each; 0: one for each usable processor
    max_pixels: int = DEFAULT_MAX_PIXELS  # of a picture, by its header
    ordered: bool = True  # results in the order of the targets; else as they finish
    cache_dir: str | None = None  # None: the system's place for caches
    no_cache: bool = False  # keep model and labels in memory, write nothing
    fetch: FetchSettings = FetchSettings()

    @property
    def threads(self) -> int:
        """How many workers that really is."""
        return self.workers or cpus.usable()
