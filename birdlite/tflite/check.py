"""Checks that a TensorFlow Lite file is whole before a Python `Interpreter` gets it. `engines.interpreter` calls it.

tflite-runtime crashes on a file that is cut off, and LiteRT's interpreter on one that lacks a part. (LiteRT's C library
checks by itself.) This follows every offset that they would follow, and reads no weights: a few milliseconds for the
birds. It finds files that were cut or overwritten. It does not find those that were made on purpose to describe an
impossible network: only a checksum helps against these.
"""

from __future__ import annotations

import struct

from birdlite.errors import InvalidModel
from birdlite.tflite import schema
from birdlite.tflite.flatbuffer import Table, root

_PARTS = (schema.Model.OPERATOR_CODES, schema.Model.SUBGRAPHS, schema.Model.BUFFERS)  # that runtimes take for granted


def check_whole(model: memoryview) -> None:
    """Follow every offset in the file.

    Raises:
        InvalidModel: one leads out of the file, or the file is of another kind.
    """
    try:
        whole = model[4:8] == schema.IDENTIFIER and _is_whole(root(model))
    except (struct.error, ValueError):
        whole = False
    if not whole:
        raise InvalidModel("not a TensorFlow Lite model, or a damaged one")


def _is_whole(model: Table) -> bool:
    """Visit every table once; True if the model has all its parts.

    Raises:
        ValueError, struct.error: an offset leads out of the file.
    """
    seen: set[tuple[str, int]] = set()
    ahead = [("model", model)]
    while ahead:
        kind, table = ahead.pop()
        if (kind, table.place) in seen:
            continue
        seen.add((kind, table.place))
        for field, leads_to in schema.LEADS_TO[kind].items():
            if isinstance(leads_to, int):
                table.vector(field, leads_to)
            elif isinstance(leads_to, list):
                ahead += [(leads_to[0], element) for element in table.elements(field)]
            elif (other := table.table(field)) is not None:
                ahead.append((leads_to, other))
    return all(model.has(part) for part in _PARTS)
