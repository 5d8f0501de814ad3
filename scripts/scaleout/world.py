"""What all runs of `bench_scaleout` and `bench_serve` share: a mirror with model and album, a list, and the command."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from birdlite.batch.shard import key_of, octets_of
from birdlite.demo import FOLDER as DEMO_FOLDER
from birdlite.demo import HOST as DEMO_HOST
from birdlite.models.catalog import DEMO_MODEL
from birdlite.settings import DEFAULT_MODEL
from scripts.podman import SKIPPED
from scripts.scaleout.machines import clear_away, end_tidily, fleet, missing
from scripts.scaleout.network import Line
from scripts.subjects import links, photographs

MEGAPIXELS = 0.3
ALBUM = "album.invalid"
BIRDLITE = os.path.join(os.path.dirname(sys.executable), "birdlite")


class World(NamedTuple):
    """Folders, a list, a model."""

    folder: Path  # scratch
    served: Path  # laid out as a mirror
    log: Path  # of the server
    targets: Path  # the list
    urls: list[str]
    bytes: int  # of all pictures of the list
    model: str
    cache: Path  # has the model
    environment: dict[str, str]

    @property
    def pictures(self) -> int:
        """How many there are in the list."""
        return len(self.urls)

    @property
    def model_in_words(self) -> str:
        """For a benchmark's first line."""
        own = ", the demo's own, whose inference is almost nothing (--birds FOLDER: the real one)"
        return self.model + (own if self.model == DEMO_MODEL else "")


@contextmanager
def new_world(pictures: int, birds: str | None, lacking: str | None = None) -> Iterator[World]:
    """Make it for a while, after clearing away what a killed run has left.

    Raises:
        SystemExit: it cannot be made here, or something else is `lacking`; printed is what.
    """
    if reason := missing() or lacking:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    end_tidily()
    clear_away()
    with tempfile.TemporaryDirectory() as scratch:
        yield make_world(Path(scratch), pictures, birds)


def make_world(scratch: Path, pictures: int, birds: str | None) -> World:
    """Make it, and fill the cache; `birds` is a folder with a mirror that has the real model, else it is the demo's."""
    served = scratch / "served"
    served.mkdir()
    album = links(served / ALBUM, photographs(scratch, MEGAPIXELS), pictures)
    files = sorted(album.iterdir())
    urls = [f"https://{ALBUM}/{file.name}" for file in files]
    if birds:
        for host in Path(birds, "mirror").resolve(strict=True).iterdir():
            (served / host.name).symlink_to(host)
    else:
        (served / DEMO_HOST).symlink_to(DEMO_FOLDER)
    targets = scratch / "list.txt"
    targets.write_text("".join(f"{url}\n" for url in urls))
    model = DEFAULT_MODEL if birds else DEMO_MODEL
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BIRDLITE_", "PYTHON"))}
    environment |= {
        "BIRDLITE_MODEL": model,
        "BIRDLITE_THREADS": "1",  # as the quota gives it in a pod; `ip netns exec` hides the quota's file from birdlite
    }
    log = scratch / "requests"
    log.touch()
    size = sum(file.stat().st_size for file in files)
    world = World(scratch, served, log, targets, urls, size, model, scratch / "cache", environment)
    _fill_cache(world)
    return world


def classify(index: int, indexes: int, out: str | Path) -> tuple[str, ...]:
    """Arguments for one index, without the list."""
    return ("classify", "--shard", f"{index}/{indexes}", "-q", "--no-timing", "-o", f"{out}/part-{{shard}}.jsonl")


def largest_share(urls: list[str], indexes: int) -> float:
    """How much of a list the largest of its indexes holds, in [0, 1]."""
    return max(Counter(key_of(octets_of(url)) % indexes for url in urls).values()) / len(urls)


def _fill_cache(world: World) -> None:
    """By a run on a machine, as all others are made."""
    with ExitStack() as stack:
        (machine,) = stack.enter_context(fleet((1.0,), Line(0, 1000), world.served, world.log)).machines
        command = (BIRDLITE, "classify", world.urls[0], "-q", "-o", os.devnull, "--format", "jsonl")
        environment = {"BIRDLITE_MIRROR": machine.server, "BIRDLITE_CACHE_DIR": str(world.cache)}
        machine.run(command, world.environment | environment, world.folder / "messages")
