"""The part `models`: damaged ones that a `Classifier` loads. Faults must end in the process that tries them first."""

from __future__ import annotations

import contextlib
import struct
from importlib.util import find_spec
from pathlib import Path
from random import Random

from PIL import Image

from birdlite.errors import InvalidModel
from scripts.fuzz.part import Attempt, Part

_NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 65_535, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 32) - 4)
_ONNX = b"\x08"  # the first byte of a seed
_TRIAL_S = 60.0  # that birdlite itself gives a model


def _seeds() -> dict[str, bytes]:
    from tests import tiny_models

    seeds = {"tflite": tiny_models.model(gives="float32")}
    if find_spec("onnx") and find_spec("onnxruntime"):
        from tests import tiny_onnx

        seeds["onnx"] = tiny_onnx.model()
    return seeds


def _turn_a_bit(data: bytes, _other: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _set_a_byte(data: bytes, _other: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _change_a_number(data: bytes, other: bytes, chance: Random) -> bytes:
    """Set or step one of the numbers of a flatbuffer; those of ONNX may be of any length."""
    if data.startswith(_ONNX) or len(data) < 8:
        return _set_a_byte(data, other, chance)
    place = chance.randrange(0, len(data) - 4, 4)
    (number,) = struct.unpack_from("<I", data, place)
    number = chance.choice((*_NUMBERS, *[number + step for step in (-4, -1, 1, 4)] * 3)) % (1 << 32)
    return data[:place] + struct.pack("<I", number) + data[place + 4 :]


def _copy_a_piece(data: bytes, _other: bytes, chance: Random) -> bytes:
    if len(data) < 4:
        return data
    size = chance.randrange(1, min(64, len(data)))
    here, there = (chance.randrange(len(data) - size) for _ in range(2))
    return data[:here] + data[there : there + size] + data[here + size :]


def _cut(data: bytes, _other: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data) // 2, len(data))]


def _prepare(folder: Path) -> Attempt:
    from birdlite import Classifier, Settings
    from birdlite.tflite import graph

    labels, picture = folder / "labels.csv", folder / "a.png"
    labels.write_text("id,name\n" + "".join(f"{key},bird {key}\n" for key in range(5)))
    Image.new("RGB", (16, 16), (200, 150, 100)).save(picture)

    def attempt(data: bytes) -> None:
        path = folder / f"a.{'onnx' if data.startswith(_ONNX) else 'tflite'}"
        path.write_bytes(data)
        with contextlib.suppress(InvalidModel):
            graph.read(data)
        with Classifier(Settings(model=str(path), labels=str(labels), no_cache=True)) as birds:
            birds.classify(picture)

    return attempt


MODELS = Part(
    "models",
    _seeds,
    _prepare,
    (*[_turn_a_bit, _set_a_byte] * 3, *[_change_a_number] * 8, _copy_a_piece, _cut),
    wall=_TRIAL_S + 30,
    space=None,  # the process that tries a model has a limit of its own
)
