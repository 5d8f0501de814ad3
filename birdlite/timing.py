"""Spans on one clock that begins at process start, and the breakdown made of them.

The pipeline and the CLI open spans; the writers print the breakdown; nothing else keeps time.

A breakdown says two things of each stage. `spent`: the sum of its spans, in whatever threads they ran, so overlapping
work counts fully. `critical`: the part that the whole run waited for. That is found by walking back from the end: the
span that ended last was waiting for whichever of its predecessors ended last, and so on to the start. A span's
predecessors are the spans of the same picture, those of the same thread, and those that belong to no picture (imports,
model, labels). The time between a span and its predecessor goes to whatever else was at work then, for with one
interpreter lock that is what the span was waiting for; if nothing was, to `other`. So every instant has one owner, and
the critical column and `other` add up to the wall time exactly.

A run of a million pictures must not keep a million spans: whenever `FOLD_AT` have gathered, the walk is done
over them, its sums are kept, and the spans are dropped. A run that is to be drawn keeps its first ones: `trace`.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Literal, get_args

from birdlite.namedtuple import NamedTuple

if TYPE_CHECKING:
    from birdlite.trace import Trace

Stage = Literal[
    "interpreter start-up",
    "imports",
    "threads",
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
LOOK_BACK = 64  # spans that began last, among which one still at work is looked for: far more than there are threads

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
        self._other = 0.0
        self.traced = False  # set it before the run, and `trace` is there after `breakdown`
        self.trace: Trace | None = None

    def span(self, stage: Stage, picture: int | None = None) -> _OpenSpan:
        """Time the body of a `with` statement; it counts also when the body raises."""
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
        """Where the time went from process start until now. Spans still open are not in it."""
        with self._lock:
            end = clock()
            self._fold(end)
            stages = tuple(
                StageTime(stage, self._spent[stage] * 1e3, self._critical[stage] * 1e3, self._count[stage])
                for stage in STAGES
                if self._count[stage]
            )
            return Breakdown((end - self.origin) * 1e3, stages, self._other * 1e3)

    def _fold(self, end: float) -> None:
        """Walk back from `end` to where the last walk began, keep the sums, drop the spans. The lock is held."""
        path: list[Span] = []
        critical, other = critical_path(self._spans, self._folded_to, end, path)
        if self.traced and self.trace is None:
            from birdlite.trace import beginning

            self.trace = beginning(self.origin, end, self._spans, path)
        for stage, seconds in critical.items():
            self._critical[stage] += seconds
        self._other += other
        self._folded_to = end
        self._spans = []


class _OpenSpan:
    """What `Timeline.span` returns: begins at `with`, ends with its body. `ms` is its length afterwards."""

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


def critical_path(
    spans: list[Span], start: float, end: float, path: list[Span] | None = None
) -> tuple[dict[Stage, float], float]:
    """Divide the time from `start` to `end` among the stages that the end was waiting for.

    `path` is given the pieces of spans that were waited for, the latest first.

    Returns:
        Seconds by stage, and the seconds that no span explains. Together they are `end - start`.
    """
    groups: dict[object, list[Span]] = {}  # by picture, by thread (a tuple, so that the keys differ), and None
    for span in sorted(spans, key=lambda span: span.end):
        groups.setdefault(span.picture, []).append(span)
        groups.setdefault(("thread", span.thread), []).append(span)

    path = [] if path is None else path
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
    sums: dict[Stage, float] = {}
    for piece in path:
        sums[piece.stage] = sums.get(piece.stage, 0.0) + piece.end - piece.start
    return sums, end - start - sum(sums.values())


def _fill(path: list[Span], by_start: list[Span], start: float, end: float) -> float:
    """Give the time from `start` back from `end` to the spans at work then, latest first; the rest stays nobody's.

    Returns:
        Where the walk goes on: `start`, or `end` if that is earlier.
    """
    cursor = end
    while cursor > start:
        while by_start and by_start[-1].start >= cursor:
            by_start.pop()  # begins after this instant, so after everything still to come
        at_work = max(by_start[-LOOK_BACK:], key=lambda span: span.end, default=None)
        if at_work is None or at_work.end <= start:
            break
        begin = max(at_work.start, start)
        path.append(at_work._replace(start=begin, end=min(at_work.end, cursor)))
        cursor = begin
    return min(start, end)


def _predecessor(groups: dict[object, list[Span]], span: Span) -> Span | None:
    """The span that ended last before `span` began, of those that it can have waited for."""
    found: Span | None = None
    for key in (span.picture, ("thread", span.thread), None):
        group = groups.get(key)
        while group and (group[-1].end > span.start or group[-1] is span):
            group.pop()  # ended after this one began, so after everything still to come began too
        if group and (found is None or group[-1].end > found.end):
            found = group[-1]
    return found


def process_start() -> float:
    """When this process began, in s on `clock`.

    The kernel says it in ticks of 10 ms (/proc/self/stat, field 22), which is coarse beside a start of 15 ms. A process
    of one thread cannot have used more processor time than has passed: that bounds the start within its tick.
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
