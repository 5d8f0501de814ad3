"""What benchmarks run birdlite on: photographs of any size, a model with its cache, the settings of k8s/, a machine.

The photographs are noise at all scales, as in nature, saved as JPEG at quality 90.
"""

from __future__ import annotations

import os
import platform
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from birdlite.demo import DemoServer
from birdlite.models.catalog import DEMO_MODEL

VARIETY = 4  # different photographs of a kind
QUALITY = 90
K8S = Path(__file__).parents[1] / "k8s"
LIMITS = {"BIRDLITE_THREADS": "1", "BIRDLITE_MEMORY": "1G"}  # cpu: 1 and memory: 1Gi, as birdlite reads them there


def machine_in_words() -> str:
    """Where a benchmark runs, for the head of its tables."""
    return f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}."


@contextmanager
def workplace(model: str | None) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder for a while, and the environment of a command that runs `model` (`model_variables`)."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield folder, model_variables(model, folder, stack)


def pod_variables(base: str) -> dict[str, str]:
    """What a pod sets: the settings.env of this folder in k8s/, and what birdlite takes from the pod's limits."""
    lines = (K8S / base / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#")) | LIMITS


def model_variables(model: str | None, folder: Path, stack: ExitStack) -> dict[str, str]:
    """The environment of a command that runs `model`; without one, the demo's own, from a server within `stack`.

    BIRDLITE_MIRROR and BIRDLITE_CACHE_DIR count as they do for the command; without the latter, `folder` has the cache.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["BIRDLITE_MODEL"] = model or DEMO_MODEL
    environment.setdefault("BIRDLITE_CACHE_DIR", str(folder / "cache"))
    if model is None:
        environment["BIRDLITE_MIRROR"] = stack.enter_context(DemoServer()).mirror
    return environment


def photographs(folder: Path, megapixels: float, *, progressive: bool = False) -> list[Path]:
    """Make the photographs of one kind, 4:3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    files = []
    for number in range(VARIETY):
        path = folder / f"{megapixels:g}-{'progressive' if progressive else 'baseline'}-{number}.jpg"
        _noise(width, height, random.Random(number)).save(path, quality=QUALITY, progressive=progressive)
        files.append(path)
    return files


def links(folder: Path, originals: Sequence[Path], count: int) -> Path:
    """Make a folder of so many links to a few pictures."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        original = originals[number % len(originals)]
        link = folder / f"{number:06d}{original.suffix}"
        if not link.exists():
            link.symlink_to(original)
    return folder


def _noise(width: int, height: int, chance: random.Random) -> Image.Image:
    """Noise whose strength falls with its fineness, about as in photographs."""
    image = Image.new("RGB", (width, height), (128, 128, 128))
    for octave in range(2, 12):
        size = 2**octave
        if size > width:
            break
        layer = Image.frombytes("RGB", (size, size * 3 // 4), chance.randbytes(size * (size * 3 // 4) * 3))
        image = Image.blend(image, layer.resize((width, height), Image.Resampling.BICUBIC), 1 / (octave + 1))
    return image
