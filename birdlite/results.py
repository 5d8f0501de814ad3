"""What classify gives back: plain values, made by the pipeline, printed by the writers, returned to Python users.

These are named tuples, not dataclasses: a cold start would spend more time on importing `dataclasses` and building a
dozen of them than on classifying a picture (docs/decisions/0001).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from birdlite.namedtuple import NamedTuple

FailureKind = Literal[
    "not_found",  # no such file, folder, or host name
    "http_status",  # the server answered, but not with the picture
    "network",  # no connection, or it broke
    "timeout",  # the time for this picture was up
    "too_large",  # more bytes or pixels than allowed
    "not_an_image",  # empty, or of an unknown format
    "decode",  # a picture, but damaged
    "blocked",  # forbidden: by --offline, by the permissions of a file, or for safety
    "unsupported",  # a scheme or a variety of picture that birdlite does not read, or for which the model gives NaN
    "cancelled",  # under way when the run was interrupted
]


class Prediction(NamedTuple):
    """One candidate species of one picture."""

    rank: int  # from 1
    id: int  # position in the model's output, key of the label map
    name: str  # scientific
    score: float  # the model's probability in [0, 1]; the scores of the candidates shown need not sum to 1
    common_name: str | None = None


class Failure(NamedTuple):
    """Why a target has no predictions: a kind out of a closed set, and one line for a person."""

    kind: FailureKind
    message: str


def is_away(target: str, failure: Failure) -> bool:
    """Whether a target failed because something was away: no connection, no answer in time, a server in trouble."""
    message = failure.message.removeprefix(f"{target}: ")
    if message.startswith("decoding"):  # a timeout too, but of this machine
        return False
    status = message[:3]
    in_trouble = status == "429" or (len(status) == 3 and status[0] == "5" and status.isdigit())
    return failure.kind in ("network", "timeout") or (failure.kind == "http_status" and in_trouble)


class ImageInfo(NamedTuple):
    """The picture as it came, before anything was done to it."""

    width: int  # px, as shown: after the EXIF orientation is applied
    height: int  # px
    format: str  # JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC
    bytes: int


class Times(NamedTuple):
    """Where one picture's time went, in ms. A step that was not reached is None."""

    fetch: float | None  # until its bytes were here, from the network or the disk
    decode: float | None
    infer: float | None
    total: float  # from its turn to its predictions, waiting included


class Result(NamedTuple):
    """What became of one target: predictions, best first, or a failure; never both, never neither."""

    index: int  # type: ignore[assignment]  # position among the targets, from 0; hides tuple.index
    target: str
    outcome: tuple[Prediction, ...] | Failure
    image: ImageInfo | None = None
    times: Times | None = None

    @property
    def ok(self) -> bool:
        """Whether the picture was classified."""
        return not isinstance(self.outcome, Failure)

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """The candidates, best first; empty after a failure."""
        return () if isinstance(self.outcome, Failure) else self.outcome

    @property
    def failure(self) -> Failure | None:
        """Why there are no predictions, or None."""
        return self.outcome if isinstance(self.outcome, Failure) else None


class Progress(NamedTuple):
    """How far a run is, in targets."""

    done: int  # those that failed included
    failed: int
    total: int | None  # None while the list is not yet read to its end


class RunSummary(NamedTuple):
    """One run in numbers."""

    targets: int
    ok: int
    failed: int
    wall_ms: float  # from process start
    images_per_second: float  # ok / wall
    interrupted: bool = False
    skipped: Mapping[str, int] = {}  # files and links in folders that are no targets, by kind
