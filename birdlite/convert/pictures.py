"""What two models are compared on: the user's photographs, the samples of the birds model, or drawings. For the CLI."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from birdlite import disk, picture
from birdlite.demo import PICTURES_FOLDER
from birdlite.errors import ModelUnavailable, PictureError, UsageError
from birdlite.fetch import Fetcher
from birdlite.models.catalog import DEFAULT_MODEL, find
from birdlite.models.model import Model
from birdlite.network.settings import FetchSettings
from birdlite.targets import SAMPLES, BadTarget, expand


def choose(model: Model, paths: Sequence[str], settings: FetchSettings) -> Iterator[bytes]:
    """Pixels for the model, [side, side, 3] each: of the files and folders `paths`; without any, of what suits it.

    Raises:
        UsageError: while iterating; one of `paths` is no picture.
        ModelUnavailable: while iterating; the samples cannot be fetched.
    """
    side = model.card.side
    if paths:
        return named_pictures(paths, side, settings.max_bytes)
    if model.card.source == find(DEFAULT_MODEL).card.source:  # also what was converted from it
        return sample_pictures(settings, side)
    return drawn_pictures(side)


def named_pictures(paths: Sequence[str], side: int, max_bytes: int) -> Iterator[bytes]:
    """The middles of the user's pictures."""
    for target in expand(paths):
        if isinstance(target, BadTarget):
            raise UsageError(target.failure.message)
        if target.kind == "url":
            raise UsageError(f"{target.name}: pictures to compare on are files")
        try:
            yield picture.decode(disk.read(target.location, max_bytes), side=side).pixels
        except PictureError as error:
            raise UsageError(f"{target.name}: {error}") from None


def sample_pictures(settings: FetchSettings, side: int) -> Iterator[bytes]:
    """The middles of the sample photographs, fetched all at once.

    Drawings will not do for the birds: where that model has nothing to recognise, rounding alone moves scores by 0.2.
    """
    from concurrent.futures import ThreadPoolExecutor

    fetcher = Fetcher(settings)
    try:
        with ThreadPoolExecutor(len(SAMPLES)) as pool:
            for data in pool.map(fetcher.get, SAMPLES):
                yield picture.decode(data, side=side).pixels
    except PictureError as error:
        raise ModelUnavailable(
            f"the sample photographs to compare on cannot be had ({error}); name your own with --pictures"
        ) from None
    finally:
        fetcher.close()


def drawn_pictures(side: int) -> Iterator[bytes]:
    """The demo's drawings, their middles and their wholes."""
    for name in sorted(os.listdir(PICTURES_FOLDER)):
        data = disk.read(os.path.join(PICTURES_FOLDER, name), 1 << 20)
        for resize in ("crop", "squash"):
            yield picture.decode(data, resize=resize, side=side).pixels
