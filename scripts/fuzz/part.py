"""What a part of the fuzzer is: whole inputs, ways to damage them, and the function of birdlite that reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from tempfile import gettempdir
from typing import NamedTuple, TypeAlias

from birdlite.errors import BirdliteError

FINDS = Path(gettempdir()) / "birdlite-fuzz-finds"
"""Where inputs go that were found, unless another place is named."""

Change: TypeAlias = Callable[[bytes, bytes, Random], bytes]
"""Damages an input; the second one is another input, for splices."""

Attempt: TypeAlias = Callable[[bytes], object]
"""Gives birdlite an input."""


class Part(NamedTuple):
    """One kind of input from outside."""

    name: str
    seeds: Callable[[], Mapping[str, bytes]]  # whole inputs by name
    prepare: Callable[[Path], Attempt]  # imports what is needed, and may keep files in an empty folder
    changes: Sequence[Change]
    allowed: tuple[type[Exception], ...] = (BirdliteError,)  # what an attempt may raise
    wall: float = 20.0  # s that an attempt may wait
    space: int | None = 3 << 30  # bytes of address space for the process; its libraries have half of it


def case(part: Part, seed: int, number: int, seeds: Mapping[str, bytes]) -> tuple[str, bytes]:
    """A damaged input and the name of the one that it was made of; always the same for the same numbers."""
    chance = Random(f"{seed} {part.name} {number}")
    names = list(seeds)
    name, data = (picked := chance.choice(names)), seeds[picked]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(part.changes)(data, seeds[chance.choice(names)], chance) or b"\0"
    return name, data
