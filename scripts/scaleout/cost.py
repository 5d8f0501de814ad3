"""What a batch takes, by a model: the start of each index, the work divided by the machines, the wait for the last.

Fitted to what `bench_scaleout` measures on one machine, it is held against what it measures on more, and carried on to
numbers that no bench here can reach.
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple


class Cost(NamedTuple):
    """The constants, in s on one machine."""

    start: float  # of one index, whatever it holds: a cold start, the model's fetch
    picture: float  # each picture
    merge: float = 0.0  # once, when the last index is done
    line: float = 0.0  # reading and hashing one line of the list, which each index does with all of them
    record: float = 0.0  # merging one record


class Wall(NamedTuple):
    """The time of a batch, in s, and what of it is not the pictures' share."""

    whole: float
    starts: float
    reading: float  # of the list
    waiting: float  # for the last index
    merging: float


def fitted(whole: float, divided: float, indexes: int, pictures: int, merge: float = 0.0) -> Cost:
    """From one machine's time for all the pictures in one index, and for the same in `indexes`, one after the other.

    Each time is that of a batch and so holds one `merge`.
    """
    start = max(0.0, (divided - whole) / (indexes - 1))
    return Cost(start, (whole - merge - start) / pictures, merge)


def wall(cost: Cost, machines: int, indexes: int, pictures: int, slowest: float = 1.0) -> Wall:
    """The time on machines that take the next index as they are free; one of them is slower (1: as fast as the others).

    All indexes are taken as equal to find who does which; then the last one to end is late by what the largest of the
    last indexes has more than its share: shares are binomial, and the largest of m of them is about sqrt(2 ln m)
    standard deviations above the mean.
    """
    at_once = min(machines, indexes)
    share = pictures / indexes
    index = cost.start + cost.line * pictures + share * cost.picture
    done = _done([slowest, *[1.0] * (at_once - 1)], indexes)
    deviation = math.sqrt(share * (1 - 1 / indexes))
    excess = math.sqrt(2 * math.log(at_once)) * deviation * cost.picture / slowest if at_once > 1 else 0.0
    rounds = math.ceil(indexes / at_once)
    merging = cost.merge + cost.record * pictures
    last = done * index + excess
    starts, reading = rounds * cost.start, rounds * cost.line * pictures
    ideal = pictures * cost.picture / at_once
    return Wall(last + merging, starts, reading, last - starts - reading - ideal, merging)


def _done(speeds: list[float], indexes: int) -> float:
    """When the last of some equal indexes is done, in the time that one takes at speed 1."""
    free = [(0.0, -speed) for speed in speeds]  # of machines that are free at once the fastest asks first
    last = 0.0
    for _ in range(indexes):
        at, speed = heapq.heappop(free)
        ends = at - 1 / speed
        last = max(last, ends)
        heapq.heappush(free, (ends, speed))
    return last
