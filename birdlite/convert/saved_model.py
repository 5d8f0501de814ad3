"""A SavedModel's folder: which graph and which signature is the classifier, its input and output, and the graph itself.

`module` calls it. TensorFlow Hub's old modules have one graph without tags and the signature `default`. TensorFlow 2
writes the tag `serve` and the signature `serving_default`.

`frozen` loads a SavedModel. That runs no Python of its authors, but it runs their graph: it restores variables and
executes initialisers, and graphs have operations that read and write files. So a SavedModel is only as safe as a
program from the same source.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from birdlite import local_file, log
from birdlite.convert.tensorflow_package import imported, quiet, reason
from birdlite.errors import InvalidModel, PictureError

MODEL_FILE = "saved_model.pb"
MAX_BYTES = 1 << 30
"""Size limit of saved_model.pb: half of the limit of a protobuf message, 70 times the birds model."""

MAX_SIDE = 2048
"""Largest side of the pictures, px. The largest published classifiers take 800 px (EfficientNet-L2)."""

_TEXT_FILE = "saved_model.pbtxt"
_SERVING_TAG = "serve"  # tf.saved_model.SERVING
_SIGNATURES = ("default", "serving_default")
_OWN_SIGNATURES = "__"  # the beginning of TensorFlow's own signatures, such as __saved_model_init_op

# What TensorFlow's Python raises for files that are missing, cut off or nonsense. Its C++ code raises OpError.
_DAMAGE = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


class SavedModel(NamedTuple):
    """A classifier as a SavedModel states it."""

    tags: tuple[str, ...]
    signature: str
    side: int  # height and width of the pictures, px
    classes: int | None  # how many scores it gives; None if the signature does not say
    sha256: str  # of saved_model.pb


class Frozen(NamedTuple):
    """A signature as a graph of constants, a function from one tensor to another."""

    definition: Any  # GraphDef, without variables and functions
    input: str  # the name of a tensor, such as `images:0`
    output: str


def read(folder: str, tags: str | None = None, signature: str | None = None) -> SavedModel:
    """Read what the SavedModel in a folder says about itself.

    `tags` choose the graph, with commas between them; '' is the graph without tags. None is the only graph, the one
    without tags, or the one to serve. `signature` None is `default`, `serving_default`, or the only one.

    Raises:
        InvalidModel: it is no SavedModel, lacks what was asked for, or is no classifier of pictures.
        EngineMissing: TensorFlow is not installed.
    """
    data = _read_file(folder)
    imported()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel as Message

    whole = Message()
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
        side=_side(name, chosen.inputs),
        classes=_classes(name, chosen.outputs),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def frozen(folder: str, saved: SavedModel) -> Frozen:
    """Load the SavedModel and make its signature a graph of constants. Open dimensions stay open.

    Raises:
        InvalidModel: TensorFlow cannot read it, or the signature has not one input and one output.
        EngineMissing: TensorFlow is not installed.
    """
    tensorflow = imported()
    # Part of TensorFlow's own converter, without a public name.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        with quiet():
            loaded = tensorflow.saved_model.load(folder, tags=list(saved.tags))
            # With constants instead of variables, and with the functions that it calls written into it.
            function = convert_variables_to_constants_v2(
                loaded.signatures[saved.signature], lower_control_flow=True, aggressive_inlining=True
            )
            definition = function.graph.as_graph_def()
    except (*_DAMAGE, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"TensorFlow cannot read the SavedModel: {reason(error)}") from None
    ends = [tensor.name for tensor in function.inputs], [tensor.name for tensor in function.outputs]
    if tuple(map(len, ends)) != (1, 1):
        inputs, outputs = log.counted(len(ends[0]), "input"), log.counted(len(ends[1]), "output")
        raise InvalidModel(f"the signature {saved.signature} has {inputs} and {outputs}")
    return Frozen(definition, ends[0][0], ends[1][0])


def _read_file(folder: str) -> bytes:
    check_folder(folder)
    try:
        return local_file.read(os.path.join(folder, MODEL_FILE), MAX_BYTES)
    except PictureError as error:
        raise InvalidModel(f"{folder}: {MODEL_FILE}: {error}") from None


def check_folder(folder: str) -> None:
    """See that a folder holds a SavedModel. That needs no TensorFlow.

    Raises:
        InvalidModel: it does not.
    """
    if os.path.lexists(os.path.join(folder, MODEL_FILE)):
        return
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


def _side(signature: str, ends: Mapping[str, Any]) -> int:
    dtype, shape = _only(signature, ends, "takes")
    found = f"the signature {signature} takes {_spell_end(dtype, shape)}"
    if dtype not in ("float32", "uint8") or not shape or len(shape) != 4 or shape[3] != 3:
        raise InvalidModel(f"{found}; a classifier takes [n, side, side, 3]")
    if shape[1] != shape[2] or shape[1] < 1:
        raise InvalidModel(f"{found}; only square pictures of one size can be converted")
    if shape[1] > MAX_SIDE:
        raise InvalidModel(f"{found}; no side may be over {MAX_SIDE} px")
    return shape[1]


def _classes(signature: str, ends: Mapping[str, Any]) -> int | None:
    dtype, shape = _only(signature, ends, "gives")
    if dtype != "float32" or (shape is not None and (len(shape) != 2 or shape[1] == 0)):
        raise InvalidModel(
            f"the signature {signature} gives {_spell_end(dtype, shape)}; a classifier gives float32 [n, classes]"
        )
    return shape[1] if shape and shape[1] > 0 else None


def _only(signature: str, ends: Mapping[str, Any], does: str) -> tuple[str, tuple[int, ...] | None]:
    """Type and shape of the only end; the shape is None if even the rank is open, and -1 is any size."""
    if len(ends) != 1:
        names = ", ".join(sorted(ends)) or "nothing"
        raise InvalidModel(f"the signature {signature} {does} {names}; a classifier takes and gives one tensor")
    (info,) = ends.values()
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)
    try:
        return str(imported().as_dtype(info.dtype).name), sizes
    except TypeError:
        return f"type {info.dtype}", sizes


def _spell_end(dtype: str, shape: tuple[int, ...] | None) -> str:
    return f"{dtype} {'of any shape' if shape is None else list(shape)}"
