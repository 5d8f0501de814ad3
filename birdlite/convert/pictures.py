"""The pictures of a conversion: the user's photographs, the samples of the birds model, or drawings. For the CLI.

Models are compared on them, and ranges of int8 are calibrated on them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from birdlite import local_file, log
from birdlite.demo import PICTURES_FOLDER
from birdlite.errors import BirdliteError, ModelUnavailable, PictureError, UsageError
from birdlite.http.fetcher import Fetcher
from birdlite.images import picture
from birdlite.results import Failure, is_away
from birdlite.settings import FetchSettings, Resize
from birdlite.storage.store import Storage
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import SAMPLES, expand

COMPARED = 64
"""The most pictures that two models are compared on: enough to show a fault."""

CALIBRATED = 200
"""The most pictures that ranges are calibrated on. TensorFlow's guide to quantisation asks for 100 to 500."""

_LISTS = (".txt", ".csv", ".tsv", ".jsonl")
_VIEWS = 4  # of each picture


class Calibration(NamedTuple):
    """The representative dataset, on which a network's activations are measured."""

    pictures: int
    views: list[bytes]  # four of each picture, uint8 RGB [side, side, 3]: its middle, its whole, and both mirrored

    @property
    def middles(self) -> list[bytes]:
        """The view of each picture that `classify` sees."""
        return self.views[::_VIEWS]


def choose(paths: Sequence[str], side: int, settings: FetchSettings, *, birds: bool) -> list[bytes]:
    """Pixels to compare two models on, [side, side, 3] each: of `paths`, or else of the samples or of drawings.

    Raises:
        UsageError: one of `paths` is no picture.
        PictureError: one of them is away for now.
        ModelUnavailable: the samples could not be downloaded.
    """
    if paths:
        return [_decode(name, data, "crop", side) for name, data in islice(_named(paths, settings), COMPARED)]
    return list(sample_pictures(settings, side) if birds else drawn_pictures(side))


def calibration(paths: Sequence[str], side: int, settings: FetchSettings) -> Calibration:
    """The representative dataset that `paths` name.

    Raises:
        UsageError: one of them is no picture, or there are none.
        PictureError: one of them is away for now.
    """
    views: list[bytes] = []
    for name, data in islice(_named(paths, settings), CALIBRATED + 1):
        if len(views) == CALIBRATED * _VIEWS:
            log.info(f"the first {CALIBRATED} pictures are enough to calibrate on; the others are left out")
            break
        for pixels in (_decode(name, data, "crop", side), _decode(name, data, "squash", side)):
            views += pixels, _mirrored(pixels, side)
    if not views:
        raise UsageError("int8 takes ranges from pictures, and there are no pictures to calibrate on")
    return Calibration(len(views) // _VIEWS, views)


def _named(paths: Sequence[str], settings: FetchSettings) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the user's pictures, in files, folders, URLs, and lists of them."""
    lists = [path for path in paths if path.endswith(_LISTS)]
    fetcher = Fetcher(settings)
    storage = Storage(settings)
    try:
        for target in expand([path for path in paths if path not in lists], lists, storage=storage):
            if isinstance(target, BadTarget):
                raise _refusal(target.name, target.failure)
            yield target.name, _read(target, fetcher, storage, settings.max_bytes)
    finally:
        fetcher.close()


def _refusal(name: str, failure: Failure) -> BirdliteError:
    """The error for a target that is no picture, or away for now, such as a folder in object storage."""
    if is_away(name, failure):
        return PictureError(failure.kind, failure.message, temporary=True)
    return UsageError(failure.message)


def _read(target: Target, fetcher: Fetcher, storage: Storage, max_bytes: int) -> bytes:
    try:
        if target.kind == "url":
            return fetcher.get(target.location)
        return (
            storage.fetch(target.location) if target.kind == "object" else local_file.read(target.location, max_bytes)
        )
    except PictureError as error:
        what = f"{target.name}: {error}"
        raise PictureError(error.kind, what, temporary=True) if error.temporary else UsageError(what) from None


def _decode(name: str, data: bytes, resize: Resize, side: int) -> bytes:
    try:
        return picture.decode(data, resize=resize, side=side).pixels
    except PictureError as error:
        raise UsageError(f"{name}: {error}") from None


def _mirrored(pixels: bytes, side: int) -> bytes:
    from PIL import Image

    image = Image.frombytes("RGB", (side, side), pixels)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()


def sample_pictures(settings: FetchSettings, side: int) -> Iterator[bytes]:
    """The middles of the sample photographs, downloaded all at once.

    Drawings are of no use for the birds: rounding alone moves scores by 0.2 where that model has nothing to recognise.

    Raises:
        ModelUnavailable: while iterating; they could not be downloaded.
    """
    fetcher = Fetcher(settings)
    try:
        with ThreadPoolExecutor(len(SAMPLES)) as pool:
            for data in pool.map(fetcher.get, SAMPLES):
                yield picture.decode(data, side=side).pixels
    except PictureError as error:
        raise ModelUnavailable(
            f"the sample photographs to compare on could not be downloaded ({error}); name your own with --pictures",
            temporary=error.temporary,
        ) from None
    finally:
        fetcher.close()


def drawn_pictures(side: int) -> Iterator[bytes]:
    """The demo's drawings, cropped and squashed."""
    for name in sorted(os.listdir(PICTURES_FOLDER)):
        data = local_file.read(os.path.join(PICTURES_FOLDER, name), 1 << 20)
        for resize in ("crop", "squash"):
            yield picture.decode(data, resize=resize, side=side).pixels
