"""Spans on one clock that begins at process start, and the breakdown made of them.

A breakdown gives two times for each stage. `spent` is the sum of its spans in all threads, so overlapping work counts
fully. `critical` is the part that the whole run waited for. It is found by walking back from the end: the span that
ended last was waiting for the predecessor that ended last, and so on to the start. The predecessors of a span are the
spans of the same picture, those of the same thread, and those that belong to no picture (imports, model, labels). The
time between a span and its predecessor goes to the span that ran meanwhile: with one interpreter lock, that is what
the later span was waiting for. If no span ran, it goes to `other`. So every instant has one owner, and the critical
column and `other` add up to the wall time exactly.

A run of a million pictures must not keep a million spans. Each time `FOLD_AT` spans have come, the walk is done over
them, its sums are kept, and the spans are dropped. A run that the report draws keeps its first spans in a `Trace`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from birdlite.namedtuple import NamedTuple

Stage = Literal[
    "interpreter start-up",
    "imports",
    "threads",
    "queue",
    "model fetch",
    "model load",
    "labels",
    "image fetch",
    "decode",
    "inference",
    "output",
]
STAGES: tuple[Stage, ...] = get_args(Stage)

FOLD_AT = 4096  # spans: about a thousand pictures, under 1 MB
LOOK_BACK = 64  # latest spans among which one that is still running is searched; far more than there are threads
TRACED = 60  # pictures whose spans a trace keeps: the rows of a readable drawing

clock = time.perf_counter
"""Seconds, monotonic; on Linux the same clock in every thread and process."""


class Span(NamedTuple):
    """One stretch of work. `picture` is the target's index, or None for work that serves the whole run."""

    stage: Stage
    start: float  # s on `clock`
    end: float  # s
    thread: int
    picture: int | None


class StageTime(NamedTuple):
    """One line of the breakdown."""

    stage: Stage
    spent_ms: float
    critical_ms: float
    count: int  # type: ignore[assignment]  # spans; hides tuple.count, as Result.index does


class Breakdown(NamedTuple):
    """Where the time went. `critical_ms` of the stages and `other_ms` add up to `wall_ms`."""

    wall_ms: float
    stages: tuple[StageTime, ...]  # those that occurred, in the order of STAGES
    other_ms: float


class Trace:
    """The beginning of a run, for `writers.waterfall` to draw. Times in s on `clock`."""

    __slots__ = ("end", "path", "spans", "start")

    def __init__(self, start: float, end: float, spans: Sequence[Span], path: Iterable[Span]) -> None:
        """From the process's start to the end of what was traced; `path` is what the run waited for, in order."""
        first = sorted({span.picture for span in spans if span.picture is not None})[:TRACED]
        self.start = start
        self.end = end
        self.spans = tuple(span for span in spans if span.picture is None or span.picture in first)
        self.path = tuple(path)  # pieces of spans, of any picture, one after the other


class Timeline:
    """The spans of one run, from any thread."""

    def __init__(self, origin: float | None = None) -> None:
        self.origin = clock() if origin is None else origin  # s on `clock`
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self._folded_to = self.origin
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._count = dict.fromkeys(STAGES, 0)
        self._critical = dict.fromkeys(STAGES, 0.0)
        self.traced = False  # set before the run: `breakdown` then fills `trace`
        self.trace: Trace | None = None

    def span(self, stage: Stage, picture: int | None = None) -> _OpenSpan:
        """Time the body of a `with` statement, even if the body raises."""
        return _OpenSpan(self, stage, picture)

    def add(self, stage: Stage, start: float, end: float, picture: int | None = None) -> None:
        """Record work that this thread did between two readings of `clock`."""
        span = Span(stage, start, end, threading.get_ident(), picture)
        with self._lock:
            self._spans.append(span)
            self._spent[stage] += end - start
            self._count[stage] += 1
            if len(self._spans) >= FOLD_AT:
                self._fold(max(span.end for span in self._spans))

    def breakdown(self) -> Breakdown:
        """Where the time went from process start until now, without spans that are still open."""
        with self._lock:
            end = clock()
            self._fold(end)
            stages = tuple(
                StageTime(stage, self._spent[stage] * 1e3, self._critical[stage] * 1e3, self._count[stage])
                for stage in STAGES
                if self._count[stage]
            )
            wall = end - self.origin
            other = max(wall - sum(self._critical.values()), 0.0)  # a rounding error can make it negative
            return Breakdown(wall * 1e3, stages, other * 1e3)

    def _fold(self, end: float) -> None:
        """Walk back from `end` to the end of the last walk, keep the sums, drop the spans. The lock is held."""
        path = critical_path(self._spans, self._folded_to, end)
        if self.traced and self.trace is None:
            self.trace = Trace(self.origin, end, self._spans, reversed(path))
        for piece in path:
            self._critical[piece.stage] += piece.end - piece.start
        self._folded_to = end
        self._spans = []


class _OpenSpan:
    """What `Timeline.span` returns. It begins at `with` and ends with the body; then `ms` is its length."""

    __slots__ = ("_picture", "_stage", "_start", "_timeline", "ms")

    def __init__(self, timeline: Timeline, stage: Stage, picture: int | None) -> None:
        self._timeline, self._stage, self._picture = timeline, stage, picture
        self._start = self.ms = 0.0

    def __enter__(self) -> _OpenSpan:
        self._start = clock()
        return self

    def __exit__(self, *exception: object) -> None:
        end = clock()
        self.ms = (end - self._start) * 1e3
        self._timeline.add(self._stage, self._start, end, self._picture)


def critical_path(spans: list[Span], start: float, end: float) -> list[Span]:
    """The pieces of spans that the run waited for from `start` to `end`, the latest first; they do not overlap."""
    groups: dict[object, list[Span]] = {}  # by picture, by thread (a tuple, so that the keys differ), and None
    for span in sorted(spans, key=lambda span: span.end):
        groups.setdefault(span.picture, []).append(span)
        groups.setdefault(("thread", span.thread), []).append(span)

    path: list[Span] = []
    by_start = sorted(spans, key=lambda span: span.start)
    cursor = end
    current = max(spans, key=lambda span: span.end, default=None)
    while current is not None and cursor > start:
        cursor = _fill(path, by_start, max(current.end, start), cursor)
        begin = max(current.start, start)
        if cursor > begin:
            path.append(current._replace(start=begin, end=cursor))
            cursor = begin
        current = _predecessor(groups, current)
    _fill(path, by_start, start, cursor)
    return path


def _fill(path: list[Span], by_start: list[Span], start: float, end: float) -> float:
    """Append the spans that ran between `start` and `end` to `path`, latest first. Gaps belong to no span.

    Returns:
        Where the walk continues: `start`, or `end` if that is earlier.
    """
    cursor = end
    while cursor > start:
        while by_start and by_start[-1].start >= cursor:
            by_start.pop()  # begins after this instant, and so after all that the walk will still reach
        running = max(by_start[-LOOK_BACK:], key=lambda span: span.end, default=None)
        if running is None or running.end <= start:
            break
        begin = max(running.start, start)
        path.append(running._replace(start=begin, end=min(running.end, cursor)))
        cursor = begin
    return min(start, end)


def _predecessor(groups: dict[object, list[Span]], span: Span) -> Span | None:
    """Of the spans that `span` can have waited for, the one that ended last before it began."""
    found: Span | None = None
    for key in (span.picture, ("thread", span.thread), None):
        group = groups.get(key)
        while group and (group[-1].end > span.start or group[-1] is span):
            group.pop()  # ended after this one began, and so after all that the walk will still reach
        if group and (found is None or group[-1].end > found.end):
            found = group[-1]
    return found


def process_start() -> float:
    """When this process began, in s on `clock`.

    The kernel gives it in ticks of 10 ms (/proc/self/stat, field 22), which is coarse for a start that takes 15 ms. A
    process of one thread cannot have used more processor time than has passed, which bounds the start within its tick.
    """
    now = clock()
    latest = now - time.process_time()
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read(1024).rpartition(b")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return latest  # not Linux
    tick_begin = now - age
    tick_end = tick_begin + 1 / os.sysconf("SC_CLK_TCK")
    return max(tick_begin, min(tick_end, latest))
