"""One picture on its way through the pipeline, and what it needs of the stream that it belongs to.

`stream` makes a job for each target. The pipeline's threads hand it on, and `decoding` fills in its pixels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from birdlite.results import Failure, ImageInfo, Prediction, Result, Times
from birdlite.run.memory_budget import Held
from birdlite.settings import Settings
from birdlite.targets import Target
from birdlite.timing import Timeline, clock

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Guard: TypeAlias = "Callable[[Target], AbstractContextManager[None]]"
"""Something around the decoding of each picture, in its thread. It may wait."""


class Owner(Protocol):
    """What a job asks of its stream, and tells it. Any thread may."""

    settings: Settings  # how its pictures are classified
    guard: Guard | None
    timeline: Timeline  # where the time of its pictures went
    over: bool  # nothing more is to be done for it
    cancelled: threading.Event  # set: its downloads end
    under_way: dict[int, Job]  # jobs that were begun and whose results have not reached the caller, by turn

    def is_over(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self.over

    def finish(self, job: Job, outcome: tuple[Prediction, ...] | Failure) -> None:
        """Take the result of one of its jobs."""

    def drop(self, job: Job) -> None:
        """Take notice that one of its jobs ends without a result, as nobody waits for it."""

    def fail(self, error: BaseException) -> None:
        """End: nothing can run, or there is a bug."""

    def cancel(self) -> None:
        """Stop soon. A signal handler may ask for it."""

    def close(self) -> None:
        """Stop now."""


class Job:
    """One picture on its way. Only the thread that took it off a queue touches it."""

    __slots__ = (
        "began",
        "data",
        "decode_ms",
        "fetch_ms",
        "has_slot",
        "held",
        "image",
        "infer_ms",
        "owner",
        "pixels",
        "target",
        "turn",
    )

    def __init__(self, turn: int, target: Target, held: Held, owner: Owner) -> None:
        self.turn = turn  # among the targets of its stream, from 0; in a shard, it differs from the list position
        self.target = target
        self.held = held  # memory for the file
        self.has_slot = True  # of the pipeline
        self.owner = owner
        self.began = clock()  # s; when it was sent
        self.data = target.data  # the file, between fetching and decoding
        self.pixels: bytes | None = None  # the model's input, between decoding and inference
        self.image: ImageInfo | None = None
        self.fetch_ms: float | None = None
        self.decode_ms: float | None = None
        self.infer_ms: float | None = None

    def result(self, outcome: tuple[Prediction, ...] | Failure) -> Result:
        """The record of the picture."""
        total_ms = (clock() - self.began) * 1e3
        times = Times(self.fetch_ms, self.decode_ms, self.infer_ms, total_ms)
        return Result(self.target.index, self.target.name, outcome, self.image, times)
