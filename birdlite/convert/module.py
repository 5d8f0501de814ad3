"""A classifier published as a SavedModel, ready to convert: fetched, read, its labels found, its graph made ours.

`birdlite convert` opens its SOURCE here, and `birdlite model verify --against` what it compares with. (A module is what
TensorFlow Hub calls such a folder.)
"""

from __future__ import annotations

import os
import tempfile
from typing import NamedTuple

from birdlite import log
from birdlite.convert.conversion import Subject
from birdlite.convert.saved_model import hub
from birdlite.convert.saved_model.fold import Folded, fold
from birdlite.convert.saved_model.graph import Graph, graph_of
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.numpy_engine import NumpyEngine
from birdlite.convert.saved_model.pixels import give_probabilities, side_of, take_pixels
from birdlite.convert.saved_model.read import SavedModel, read
from birdlite.engines.base import Engine
from birdlite.errors import EngineMissing, UsageError
from birdlite.http.fetcher import Fetcher
from birdlite.models.bundle import CARD_FILE
from birdlite.models.cache_dir import default_cache_dir
from birdlite.models.catalog import BIRDS_PAGE, CATALOG, find
from birdlite.models.labels import Labels, read_label_file
from birdlite.models.store import Store
from birdlite.settings import DEFAULT_MODEL, Settings
from birdlite.timing import Timeline

# Of nodes that only TensorFlow can take the values from, or the graph out of (tensorflow/core/ops).
_UNFROZEN = {
    "Variable",
    "VariableV2",
    "VarHandleOp",
    "ReadVariableOp",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "HashTableV2",
}


WHOLE_RANGE = (0.0, 1.0)
"""What black and white are to the image modules of TensorFlow Hub (its page "Common signatures for images")."""


class Reading(NamedTuple):
    """How a SavedModel is to be understood where it does not say so itself."""

    tags: str | None = None  # of the MetaGraph, with commas; None: the one there is
    signature: str | None = None
    input_range: tuple[float, float] = WHOLE_RANGE  # what black and white are, where it takes floats
    labels: str | None = None  # a label map's path; None: that of the birds, where it fits


class Module(NamedTuple):
    """A classifier to convert. Both graphs take plain pixels, uint8 [n, side, side, 3], and give probabilities."""

    subject: Subject
    side: int  # px
    birds: bool  # has the labels of the birds model
    published: Graph  # rounds wherever the source does
    folded: Folded  # the same network in floats


def is_module(source: str) -> bool:
    """Whether `source` names a SavedModel: a Hub handle or URL, an archive, or a folder without a bundle's card."""
    if os.path.isdir(source):
        return not os.path.exists(os.path.join(source, CARD_FILE))
    if os.path.exists(source):
        return hub.is_archive(source)
    return source not in CATALOG and hub.addresses_of(source) is not None


def open_module(source: str, reading: Reading, settings: Settings) -> Module:
    """Read a SavedModel, wherever it is, and make its graph one that can be converted.

    Raises:
        UsageError: its labels have to be named.
        ModelError: it cannot be had, is no SavedModel, or no classifier of pictures.
        EngineMissing: a package is not installed; the message names what to install.
    """
    fetcher = Fetcher(settings.fetch)
    try:
        with tempfile.TemporaryDirectory(prefix="birdlite-convert-") as temporary:
            folder = hub.open_source(source, fetcher, temporary)
            saved = read(folder, reading.tags, reading.signature)
            graph = _graph(saved, folder)
        log.info(f"read {hub.shown(source)}: signature {saved.signature}, {len(graph.nodes):,} nodes")
        published = _published(graph, saved, reading.input_range)
        classes = saved.classes or _count_classes(published)
        labels, birds = _labels(source, reading.labels, classes, _store(settings, fetcher))
    finally:
        fetcher.close()
    folded = fold(published)
    rounding = len(folded.weights) + len(folded.activations)
    if rounding:
        log.info(f"took the rounding of training out of it: {rounding} FakeQuant nodes")
    if birds and saved.sha256 != hub.KNOWN_SHA256:
        log.warning(f"this saved_model.pb is not the known one of birds_V1/1; its sha256 is {saved.sha256}")
    subject = Subject(_name(source, birds), labels, *_origin(source, birds), saved.sha256)
    return Module(subject, saved.side, birds, published, folded)


def reference(graph: Graph) -> Engine:
    """Something that runs a graph as it is: NumPy, or TensorFlow for operations that are not known here.

    Raises:
        UnknownOperation: and TensorFlow is not installed.
    """
    try:
        return NumpyEngine(graph)
    except UnknownOperation as unknown:
        from birdlite.convert.with_tensorflow.tensorflow_engine import TensorFlowEngine

        try:
            return TensorFlowEngine(graph)
        except EngineMissing:
            raise unknown from None


def _graph(saved: SavedModel, folder: str) -> Graph:
    """The graph between input and output, its variables made constants."""
    if not any(node.op in _UNFROZEN for node in saved.graph_def.node):
        return graph_of(saved.graph_def, saved.input.tensor, saved.output.tensor)
    from birdlite.convert.with_tensorflow.freeze import frozen

    log.info("TensorFlow is reading its variables")
    result = frozen(folder, saved.tags, saved.signature)
    return graph_of(result.graph_def, result.input, result.output)


def _published(graph: Graph, saved: SavedModel, input_range: tuple[float, float]) -> Graph:
    taking, added = give_probabilities(take_pixels(graph, saved.side, *input_range))
    if added:
        log.info("it gives logits; a softmax makes them probabilities")
    return taking


def _count_classes(graph: Graph) -> int:
    """How many scores a black picture gets, for a signature that does not say."""
    engine = reference(graph)
    try:
        (scores,) = engine.run(bytes(side_of(graph) ** 2 * 3))
    finally:
        engine.close()
    return len(scores)


def _store(settings: Settings, fetcher: Fetcher) -> Store:
    cache = None if settings.no_cache else settings.cache_dir or default_cache_dir()
    return Store(cache, fetcher, offline=settings.fetch.offline, timeline=Timeline())


def _labels(source: str, path: str | None, classes: int, store: Store) -> tuple[Labels, bool]:
    """The labels, and whether they are those of the birds."""
    if path is not None:
        return read_label_file(path, classes), False
    entry = find(DEFAULT_MODEL)
    if classes == entry.card.classes:
        log.info("labels: those of birds V1, whose number fits")
        return store.labels(entry), True
    raise UsageError(f"{hub.shown(source)} gives {classes} scores: say with --labels which label map belongs to it")


def _name(source: str, birds: bool) -> str:
    """A name for what is made of it."""
    if birds:
        return "birds-v1"
    parts = [part for part in source.split("?")[0].replace(os.sep, "/").split("/") if part not in ("", ".", "..")]
    name = "-".join(parts[-2:]) if hub.addresses_of(source) else (parts or ["model"])[-1]
    for suffix in (".tar.gz", ".tgz", ".tar"):
        name = name.removesuffix(suffix)
    return name


def _origin(source: str, birds: bool) -> tuple[str, str]:
    """Source and licence for the card."""
    return (BIRDS_PAGE, find(DEFAULT_MODEL).card.licence) if birds else (hub.shown(source), "")
