"""SavedModels on disk: laid out as TensorFlow Hub's old modules are, and packed as it packs them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

SIDE, CLASSES = 16, 5  # those of `tiny_graphs`
FLOAT = 1  # TensorFlow's DT_FLOAT


class End(NamedTuple):
    """One end of a signature, as TensorFlow writes it down."""

    key: str
    tensor: str
    shape: tuple[int, ...] | None
    dtype: int = FLOAT


Signatures = Mapping[str, tuple[End | tuple[End, ...], End | tuple[End, ...]]]

TAKES = End("images", "images:0", (-1, SIDE, SIDE, 3))
GIVES = End("default", "prediction:0", (-1, CLASSES))
HUB: Signatures = {"default": (TAKES, GIVES), "image_classifier": (TAKES, GIVES._replace(key="logits"))}


def lay_out(folder: Path, saved_model: bytes = b"no real SavedModel") -> Path:
    """The files of a module around its `saved_model.pb`. Gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(saved_model)
    (folder / "variables").mkdir(exist_ok=True)
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return folder


def write(folder: Path, graph_def: Any = None, *, tags: tuple[str, ...] = (), signatures: Signatures = HUB) -> Path:
    """Write a SavedModel of one graph, by default without any node. Needs TensorFlow. Gives the folder."""
    return write_graphs(folder, [tags], graph_def, signatures)


def write_graphs(
    folder: Path, tags: list[tuple[str, ...]], graph_def: Any = None, signatures: Signatures = HUB
) -> Path:
    """The same with a graph for each set of tags."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel(saved_model_schema_version=1)
    for those in tags:
        meta_graph = saved.meta_graphs.add(graph_def=graph_def)
        meta_graph.meta_info_def.tags.extend(those)
        for name, ends in signatures.items():
            _add_signature(meta_graph.signature_def[name], *ends)
    return lay_out(folder, saved.SerializeToString())


def _add_signature(signature: Any, takes: End | tuple[End, ...], gives: End | tuple[End, ...]) -> None:
    signature.method_name = "tensorflow/serving/predict"
    for ends, found in ((signature.inputs, takes), (signature.outputs, gives)):
        for end in (found,) if isinstance(found, End) else found:
            info = ends[end.key]
            info.name, info.dtype = end.tensor, end.dtype
            info.tensor_shape.unknown_rank = end.shape is None
            for size in end.shape or ():
                info.tensor_shape.dim.add(size=size)


def pack(folder: Path) -> bytes:
    """The folder as .tar.gz, its files at the root, as the Hub sends it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, f"./{path.relative_to(folder)}", recursive=False)
    return packed.getvalue()
