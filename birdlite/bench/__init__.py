"""How fast birdlite is here: on this machine, with this model, on these pictures. For `birdlite bench`.

    from birdlite.bench import measure
    figures = measure(Settings(model="birds-v1-lite"), ["album/"], rounds=10)

Everything is measured with a warm cache and in one process, each thing several times and in turn with the others;
figures are medians. The time of a whole process, from its start, is what `classify --timing` shows.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from contextlib import closing
from statistics import mean, median
from typing import NamedTuple

from birdlite import cpus, local_file
from birdlite._version import __version__
from birdlite.errors import PictureError, UsageError
from birdlite.images import picture
from birdlite.run.classifier import Classifier
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import expand
from birdlite.timing import clock

__all__ = ["Figures", "Inference", "measure"]

MAX_PICTURES = 10_000
"""Pictures of a whole run: more would say no more."""

DECODED = 32
"""Pictures that are decoded one by one in each round."""

RUNS = 5
"""Pictures in a row that one figure of inference is the mean of."""


CPU_FACTS = "/proc/cpuinfo"
MEMORY_FACTS = "/proc/self/status"
_KIB = 1024


class Environment(NamedTuple):
    """Where something was measured."""

    processor: str  # as the system calls it
    processors: int  # that this process may use
    system: str
    python: str
    birdlite: str


class Inference(NamedTuple):
    """One picture after the other through one engine."""

    threads: int  # in the engine, that work on one picture
    ms: float  # for a picture


class Figures(NamedTuple):
    """What was measured. Times are medians."""

    machine: Environment  # its name in JSON
    model: str
    sha256: str
    engine: str
    resize: str
    pictures: int
    bytes: int  # of all pictures
    rounds: int
    load_ms: float  # an engine of one thread
    first_inference_ms: float  # of a new engine
    inference: list[Inference]
    decode_ms: float  # for a picture
    images_per_second: float  # of a whole run, from files
    workers: int  # of that run, each with an engine of one thread
    peak_memory_bytes: int  # of this process until the end


def measure(settings: Settings, paths: Sequence[str], *, rounds: int) -> Figures:
    """Measure on the pictures that `paths` name: files, folders and globs.

    Raises:
        UsageError: one of them is no picture, or not a file.
        ModelError: there is no model.
        EngineError: no runtime can run it.
    """
    targets = _files(paths)
    sizes = [len(_read(target, settings)) for target in targets]
    with Classifier(settings) as classifier:
        loads: list[float] = []
        firsts: list[float] = []
        infers: dict[int, list[float]] = {threads: [] for threads in _doubling(settings.threads)}
        decodes: list[float] = []
        walls: list[float] = []
        _whole_run(classifier, targets)  # makes the engines, and finds out which picture cannot be read
        side, shown = classifier.model.card.side, targets[:DECODED]
        pixels = _decode(targets[0], settings, side)[0]
        for _ in range(rounds):
            load, first = _load(classifier, pixels)
            loads.append(load)
            firsts.append(first)
            for threads, times in infers.items():
                times.append(_infer(classifier, pixels, threads))
            decodes.append(mean(_decode(target, settings, side)[1] for target in shown))
            walls.append(_whole_run(classifier, targets))
        return Figures(
            machine=this_environment(),
            model=classifier.model.card.name,
            sha256=classifier.model.sha256,
            engine=classifier.engine_name,
            resize=settings.resize,
            pictures=len(targets),
            bytes=sum(sizes),
            rounds=rounds,
            load_ms=median(loads) * 1e3,
            first_inference_ms=median(firsts) * 1e3,
            inference=[Inference(threads, median(times) * 1e3) for threads, times in infers.items()],
            decode_ms=median(decodes) * 1e3,
            images_per_second=len(targets) / median(walls),
            workers=settings.threads,
            peak_memory_bytes=peak_memory_bytes(),
        )


def _files(paths: Sequence[str]) -> list[Target]:
    targets: list[Target] = []
    for target in expand(paths):
        if isinstance(target, BadTarget):
            raise UsageError(target.failure.message)
        if target.kind != "file":
            raise UsageError(f"{target.name}: a server's speed is not measured here; name files")
        if len(targets) == MAX_PICTURES:
            raise UsageError(f"more than {MAX_PICTURES:,} pictures; fewer tell as much")
        targets.append(target)
    return targets


def _read(target: Target, settings: Settings) -> bytes:
    try:
        return local_file.read(target.location, settings.fetch.max_bytes)
    except PictureError as error:
        raise UsageError(f"{target.name}: {error}") from None


def _decode(target: Target, settings: Settings, side: int) -> tuple[bytes, float]:
    """The pixels of a picture, and the seconds that they took once its bytes were there."""
    data = _read(target, settings)
    began = clock()
    try:
        pixels = picture.decode(data, resize=settings.resize, side=side, max_pixels=settings.max_pixels).pixels
    except PictureError as error:
        raise UsageError(f"{target.name}: {error}") from None
    return pixels, clock() - began


def _load(classifier: Classifier, pixels: bytes) -> tuple[float, float]:
    """Seconds to load an engine, and for its first picture."""
    began = clock()
    with closing(classifier.new_engine()) as engine:
        loaded = clock()
        engine.run(pixels)
        return loaded - began, clock() - loaded


def _infer(classifier: Classifier, pixels: bytes, threads: int) -> float:
    """Seconds for a picture in an engine that is warm."""
    with closing(classifier.new_engine(threads=threads)) as engine:
        engine.run(pixels)
        began = clock()
        for _ in range(RUNS):
            engine.run(pixels)
        return (clock() - began) / RUNS


def _whole_run(classifier: Classifier, targets: Sequence[Target]) -> float:
    """Seconds to classify all pictures."""
    began = clock()
    for result in classifier.stream(targets):
        if result.failure is not None:
            raise UsageError(result.failure.message)
    return clock() - began


def _doubling(most: int) -> list[int]:
    """1, 2, 4 and so on, and `most` itself."""
    return sorted({min(1 << power, most) for power in range(most.bit_length() + 1)})


def this_environment() -> Environment:
    """The facts of this machine."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Environment(_processor(), cpus.usable(), system, platform.python_version(), __version__)


def peak_memory_bytes() -> int:
    """The most memory that this process has had resident so far.

    From the kernel's VmHWM, which begins with the process; getrusage would tell that of the shell's copy before it.
    """
    for line in _lines(MEMORY_FACTS):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


def _processor() -> str:
    for line in _lines(CPU_FACTS):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _lines(path: str) -> list[str]:
    """The lines of a file of the kernel's; none where the system has no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20).splitlines()
    except FileNotFoundError:
        return []
