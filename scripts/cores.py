"""Which processor cores a benchmark runs on. For bench_service and bench_throughput."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bound_to(cores: set[int]) -> Iterator[None]:
    """Let this thread, and the threads and processes that it starts, run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
