"""The part `pictures`: damaged files of every format and mode. Each must keep the promise of memory in its header."""

from __future__ import annotations

from pathlib import Path

from birdlite.errors import PictureError
from scripts.fuzz.child import MIB, forget_peak, resident
from scripts.fuzz.damage import damaged
from scripts.fuzz.part import Attempt, Part
from scripts.picture_kinds import KINDS, made

_SPARE = 48 * MIB  # what the interpreter and its libraries take by themselves while they go on


class BrokenPromise(Exception):
    """Decoding took more than `picture.plan` said."""


def _seeds() -> dict[str, bytes]:
    return {kind: made(kind, 96, 64) for kind in KINDS}


def _prepare(_folder: Path) -> Attempt:
    from birdlite.images import picture
    from birdlite.settings import Resize

    ways: tuple[Resize, ...] = ("crop", "squash", "exact")

    def attempt(data: bytes) -> None:
        before, promised = forget_peak(), 0
        try:
            plan = picture.plan(data, resize=ways[len(data) % 3], max_pixels=30_000_000)
            promised = plan.memory
            plan.decode()
        finally:
            took = resident("VmHWM") - before
            if took > promised + _SPARE:
                raise BrokenPromise(f"{took // MIB} MiB, and {promised // MIB} MiB were promised")

    return attempt


PICTURES = Part("pictures", _seeds, _prepare, (damaged,), (PictureError,))
