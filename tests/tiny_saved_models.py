"""SavedModels on disk and packed as TensorFlow Hub packs them, written without TensorFlow."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from birdlite.convert.saved_model.schema import message
from tests.tiny_graphs import CLASSES, INPUT, OUTPUT, SIDE, network

FLOAT = 1  # TensorFlow's DT_FLOAT


class End(NamedTuple):
    """One end of a signature, as TensorFlow writes it down."""

    key: str
    tensor: str
    shape: tuple[int, ...] | None
    dtype: int = FLOAT


TAKES = End("images", INPUT, (-1, SIDE, SIDE, 3))
GIVES = End("default", OUTPUT, (-1, CLASSES))
HUB = {"default": (TAKES, GIVES), "image_classifier": (TAKES, GIVES._replace(key="logits"))}


def write(
    folder: Path,
    graph_def: Any = None,
    *,
    tags: tuple[str, ...] = (),
    signatures: Mapping[str, tuple[End | tuple[End, ...], End | tuple[End, ...]]] = HUB,
) -> Path:
    """Write a SavedModel as TensorFlow Hub's old modules are; tags and signatures may be others. Gives the folder."""
    saved = message("SavedModel")(saved_model_schema_version=1)
    add_graph(saved, network() if graph_def is None else graph_def, tags, signatures)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    (folder / "variables").mkdir(exist_ok=True)
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return folder


def add_graph(
    saved: Any,
    graph_def: Any,
    tags: tuple[str, ...],
    signatures: Mapping[str, tuple[End | tuple[End, ...], End | tuple[End, ...]]] = HUB,
) -> None:
    """Add a graph with its tags and signatures to a SavedModel message."""
    meta_graph = saved.meta_graphs.add()
    meta_graph.meta_info_def.tags.extend(tags)
    meta_graph.graph_def.CopyFrom(graph_def)
    for name, (takes, gives) in signatures.items():
        signature = meta_graph.signature_def[name]
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
