"""What a batch takes, by a model: the start of each index, the work divided by the machines, the wait for the last.

Fitted to what `bench_scaleout` measures on one machine, it is held against what it measures on more, and carried on to
numbers that no bench here can reach.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Cost(NamedTuple):
    """The two constants, in s on one machine."""

    start: float  # of one index, whatever it holds: a cold start, and reading the list
    picture: float  # each picture


def fitted(whole: float, divided: float, indexes: int, pictures: int) -> Cost:
    """From one machine's time for all the pictures in one index, and for the same in `indexes`, one after the other."""
    start = max(0.0, (divided - whole) / (indexes - 1))
    return Cost(start, (whole - start) / pictures)


def wall(cost: Cost, machines: int, indexes: int, pictures: int) -> float:
    """The time in s until the last index is done, on machines that take the next index as they are free.

    Each machine has some `indexes / machines` starts and `pictures / machines` pictures. The last one to end is late by
    what the largest of the last indexes has more than its share: shares are binomial, and the largest of m of them is
    about sqrt(2 ln m) standard deviations above the mean.
    """
    at_once = min(machines, indexes)
    rounds = math.ceil(indexes / at_once)
    share = pictures / indexes
    excess = math.sqrt(2 * math.log(at_once) * share * (1 - 1 / indexes)) if at_once > 1 else 0.0
    late = share * (rounds - indexes / at_once)  # the last round is not full: whoever has one more index is waited for
    return rounds * cost.start + (pictures / at_once + late + excess) * cost.picture
