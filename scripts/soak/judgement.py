"""What a process may hold more at the end of a soak than when it was warm, and how a soak ends.

For `scripts.soak` and `scripts.soak_service`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.soak.drawing import drawing
from scripts.soak.watch import Growth, Sample, growth

MIB = 1 << 20
SHOWN = 10  # complaints in words; the others are counted
GROWTH_LIMIT = 5 * MIB
SHORT = 50_000  # targets or requests; the memory of a shorter run still settles behind its first tenth
SHORT_GROWTH_LIMIT = 32 * MIB
MORE_LIMIT = 4  # descriptors, threads: connections come and go
SHORT_MORE_LIMIT = 36  # few samples are compared: all 32 connections may be open in one, and none in another


def line_of(sample: Sample, unit: str) -> str:
    """A sample in words; `unit` is what is counted."""
    memory = f"{sample.resident / MIB:.1f} MiB resident, {sample.private / MIB:.1f} MiB private"
    return (
        f"{sample.seconds:6.0f} s {sample.done:9,} {unit}  {memory}, {sample.descriptors} descriptors, "
        f"{sample.threads} threads"
    )


def in_words(grown: Growth) -> str:
    """A growth in words."""
    memory = f"{grown.resident / MIB:+.2f} MiB resident, {grown.private / MIB:+.2f} MiB private"
    return f"growth from 10 to 100 %: {memory}, {grown.descriptors:+.0f} descriptors, {grown.threads:+.0f} threads"


def judged(grown: Growth | None, targets: int) -> Iterator[str]:
    """What is wrong with a growth."""
    if grown is None:
        if targets >= SHORT:
            yield "too few samples to tell whether memory grows"
        return
    if grown.resident > (SHORT_GROWTH_LIMIT if targets < SHORT else GROWTH_LIMIT):
        yield f"resident memory grew by {grown.resident / MIB:.1f} MiB"
    most = SHORT_MORE_LIMIT if targets < SHORT else MORE_LIMIT
    yield from (
        f"{getattr(grown, name):+.0f} {name}" for name in ("descriptors", "threads") if getattr(grown, name) > most
    )


def ended(folder: Path, title: str, targets: int, samples: Sequence[Sample], wrong: list[str]) -> int:
    """Judge the growth too, write soak.json and soak.svg, and print what is wrong; the exit code."""
    grown = growth(samples)
    wrong = [*wrong, *judged(grown, targets)]
    if grown is not None:
        print(in_words(grown))
    facts = {"title": title, "targets": targets, "wrong": wrong, "samples": [one._asdict() for one in samples]}
    (folder / "soak.json").write_text(json.dumps(facts))
    (folder / "soak.svg").write_text(drawing(title, samples))
    for line in wrong[:SHOWN]:
        print(f"WRONG: {line}")
    if len(wrong) > SHOWN:
        print(f"and {len(wrong) - SHOWN} more")
    print(f"{folder}/soak.svg: {'all is well' if not wrong else 'not well'}")
    return 1 if wrong else 0
