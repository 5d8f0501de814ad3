"""A SavedModel's folder: which of its graphs and signatures is the classifier, and what goes in and out of it.

`module` calls it. TensorFlow Hub's old modules have one graph without tags and the signature `default`; what TensorFlow
2 writes has the tag `serve` and the signature `serving_default`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from birdlite import local_file
from birdlite.convert.saved_model.graph import DTYPES, shape_of
from birdlite.convert.saved_model.schema import message
from birdlite.errors import InvalidModel, PictureError

MODEL_FILE = "saved_model.pb"
MAX_BYTES = 1 << 30
"""Of saved_model.pb: half of what a protobuf message can have, 70 times the birds model."""

MAX_SIDE = 2048
"""Of the pictures, px: the largest published classifiers take 800 (EfficientNet-L2)."""

_TEXT_FILE = "saved_model.pbtxt"
_SERVING_TAG = "serve"  # tf.saved_model.SERVING
_SIGNATURES = ("default", "serving_default")
_OWN_SIGNATURES = "__"  # of TensorFlow's own signatures, such as __saved_model_init_op


class Endpoint(NamedTuple):
    """One end of a signature."""

    key: str  # its name in the signature
    tensor: str  # such as images:0
    dtype: str
    shape: tuple[int, ...] | None  # -1 where any size goes; None if even the rank is open


class SavedModel(NamedTuple):
    """A classifier as a SavedModel states it."""

    tags: tuple[str, ...]
    signature: str
    input: Endpoint  # float32 or uint8, [n, side, side, 3]
    output: Endpoint  # float32, [n, classes]
    graph_def: Any
    sha256: str  # of saved_model.pb

    @property
    def side(self) -> int:
        """Height and width of the pictures, px."""
        shape = self.input.shape
        return shape[1] if shape else 0

    @property
    def classes(self) -> int | None:
        """How many scores it gives; None if the signature does not say."""
        shape = self.output.shape
        return shape[1] if shape and shape[1] > 0 else None


def read(folder: str, tags: str | None = None, signature: str | None = None) -> SavedModel:
    """Read the SavedModel in a folder.

    `tags` are those of the graph wanted, with commas (empty: the one without any); None is the only one, or the one
    without tags, or the one to serve. `signature` None is `default`, `serving_default`, or the only one.

    Raises:
        InvalidModel: it is no SavedModel, has not what is wanted, or is no classifier of pictures.
        EngineMissing: the package protobuf is not installed.
    """
    data = _read_file(folder)
    whole = message("SavedModel")()
    from google.protobuf.message import DecodeError

    try:
        whole.ParseFromString(data)
    except DecodeError:
        raise InvalidModel(f"{folder}: its {MODEL_FILE} is not that of a SavedModel") from None
    if not whole.meta_graphs:
        raise InvalidModel(f"{folder}: its {MODEL_FILE} holds no graph")
    meta_graph = _choose_graph(whole.meta_graphs, tags)
    name = _choose_signature(meta_graph.signature_def, signature)
    chosen = meta_graph.signature_def[name]
    return SavedModel(
        tags=tuple(meta_graph.meta_info_def.tags),
        signature=name,
        input=_input(name, chosen.inputs),
        output=_output(name, chosen.outputs),
        graph_def=meta_graph.graph_def,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _read_file(folder: str) -> bytes:
    try:
        return local_file.read(os.path.join(folder, MODEL_FILE), MAX_BYTES)
    except PictureError as error:
        if error.kind != "not_found":
            raise InvalidModel(f"{folder}: {MODEL_FILE}: {error}") from None
    if os.path.exists(os.path.join(folder, _TEXT_FILE)):
        raise InvalidModel(f"{folder}: {_TEXT_FILE} is not read; only the binary {MODEL_FILE} is")
    raise InvalidModel(f"{folder}: no SavedModel: there is no {MODEL_FILE}")


def _choose_graph(meta_graphs: Iterable[Any], tags: str | None) -> Any:
    found = {tuple(sorted(graph.meta_info_def.tags)): graph for graph in meta_graphs}
    if tags is not None:
        wanted = tuple(sorted(filter(None, tags.split(","))))
        if wanted in found:
            return found[wanted]
        raise InvalidModel(f"no graph with the tags {_spell(wanted)}; there are: {'; '.join(map(_spell, found))}")
    if len(found) == 1:
        return next(iter(found.values()))
    for usual in ((), (_SERVING_TAG,)):
        if usual in found:
            return found[usual]
    raise InvalidModel(f"which graph? there are those with the tags: {'; '.join(map(_spell, found))}")


def _spell(tags: tuple[str, ...]) -> str:
    return ",".join(tags) or "'' (none)"


def _choose_signature(signatures: Mapping[str, Any], wanted: str | None) -> str:
    names = sorted(name for name in signatures if not name.startswith(_OWN_SIGNATURES))
    if wanted is not None:
        if wanted in names:
            return wanted
        raise InvalidModel(f"no signature {wanted!r}; there are: {', '.join(names) or 'none'}")
    for usual in _SIGNATURES:
        if usual in names:
            return usual
    if len(names) == 1:
        return names[0]
    raise InvalidModel(f"which signature? there are: {', '.join(names)}" if names else "the graph has no signature")


def _input(signature: str, ends: Mapping[str, Any]) -> Endpoint:
    end = _only(signature, ends, "takes")
    shape = end.shape
    if end.dtype not in ("float32", "uint8") or not shape or len(shape) != 4 or shape[3] != 3:
        raise InvalidModel(f"the signature {signature} takes {_spell_end(end)}; a classifier takes [n, side, side, 3]")
    if shape[1] != shape[2] or shape[1] < 1:
        raise InvalidModel(
            f"the signature {signature} takes {_spell_end(end)}; pictures of one size, and square, can be"
        )
    if shape[1] > MAX_SIDE:
        raise InvalidModel(f"the signature {signature} takes {_spell_end(end)}; no side may be over {MAX_SIDE} px")
    return end


def _output(signature: str, ends: Mapping[str, Any]) -> Endpoint:
    end = _only(signature, ends, "gives")
    if end.dtype != "float32" or (end.shape is not None and (len(end.shape) != 2 or end.shape[1] == 0)):
        raise InvalidModel(
            f"the signature {signature} gives {_spell_end(end)}; a classifier gives float32 [n, classes]"
        )
    return end


def _only(signature: str, ends: Mapping[str, Any], does: str) -> Endpoint:
    if len(ends) != 1:
        names = ", ".join(sorted(ends)) or "nothing"
        raise InvalidModel(f"the signature {signature} {does} {names}; a classifier takes and gives one tensor")
    ((key, info),) = ends.items()
    return Endpoint(key, info.name, DTYPES.get(info.dtype, f"type {info.dtype}"), shape_of(info.tensor_shape))


def _spell_end(end: Endpoint) -> str:
    return f"{end.dtype} {'of any shape' if end.shape is None else list(end.shape)}"
