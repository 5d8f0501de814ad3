"""Damaged models: one bit turned, for the tests of engines; bytes changed at random, for those of converters."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from birdlite.errors import InvalidModel

_TURN_BITS = """
from birdlite import engines
from birdlite.errors import BirdliteError
from tests import {module}

model, card = {module}.model(), {module}.card()
for place in range(len(model))[:{places}]:
    for bit in {bits}:
        damaged = bytearray(model)
        damaged[place] ^= 1 << bit
        try:
            engines.load(damaged, card, engine={engine!r}).close()
        except BirdliteError:
            print(place)
"""


def with_turned_bits(
    module: str, places: int | None = 64, bits: Sequence[int] = range(8), engine: str = "auto"
) -> subprocess.CompletedProcess[str]:
    """Load the model that a module of the tests makes, with each of these bits turned. Printed is where it is refused.

    That is done in a process of its own, so that a crash would be seen as one.
    """
    code = _TURN_BITS.format(module=module, places=places, bits=bits, engine=engine)
    command, here = [sys.executable, "-c", code], Path(__file__).parents[1]
    return subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=120, check=False)


def refusals(convert: Callable[[bytes], object], whole: bytes) -> list[str]:
    """What a converter says to 1,500 copies of a model with some bytes changed, the same ones each time."""
    dice, refused = random.Random(3), []
    for _ in range(1500):
        model = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            model[dice.randrange(8, len(model))] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
        try:
            convert(bytes(model))
        except InvalidModel as error:
            refused.append(str(error))
    return refused
