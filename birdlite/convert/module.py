"""A classifier published as a SavedModel, ready to convert: fetched, read, its labels found, its graph made ours.

`birdlite convert` opens its SOURCE here, and `birdlite model verify --against` the source to compare with. (TensorFlow
Hub calls such a folder a module.)
"""

from __future__ import annotations

import os
import tempfile
from typing import NamedTuple

from birdlite import log
from birdlite.convert import hub
from birdlite.convert.conversion import Subject
from birdlite.convert.graph import Graph, WithoutRounding, published, scores_of, without_rounding
from birdlite.convert.saved_model import check_folder, frozen, read
from birdlite.convert.tensorflow_package import require
from birdlite.errors import UsageError
from birdlite.http.fetcher import Fetcher
from birdlite.models.bundle import CARD_FILE
from birdlite.models.cache import default_cache_dir
from birdlite.models.catalog import BIRDS_PAGE, CATALOG, find
from birdlite.models.labels import Labels, read_label_file
from birdlite.models.store import Store
from birdlite.redaction import redacted
from birdlite.settings import DEFAULT_MODEL, Settings
from birdlite.timing import Timeline

WHOLE_RANGE = (0.0, 1.0)
"""Black and white for the image modules of TensorFlow Hub (its page "Common signatures for images")."""


class Reading(NamedTuple):
    """How to read a SavedModel where it does not say so itself."""

    tags: str | None = None  # of the MetaGraph, with commas; None: the one there is
    signature: str | None = None
    input_range: tuple[float, float] = WHOLE_RANGE  # black and white, where it takes floats
    labels: str | None = None  # a label map's path; None: that of the birds, where it fits


class Module(NamedTuple):
    """A classifier to convert. All its graphs take plain pixels and give probabilities."""

    subject: Subject
    birds: bool  # has the labels of the birds model
    published: Graph  # rounds wherever the source does
    plain: WithoutRounding  # the same network without FakeQuants

    @property
    def side(self) -> int:
        """Height and width of the pictures, px."""
        return self.published.side


def is_module(source: str) -> bool:
    """True if `source` names a SavedModel: a Hub handle or URL, an archive, or a folder without a bundle's card."""
    if os.path.isdir(source):
        return not os.path.exists(os.path.join(source, CARD_FILE))
    if os.path.exists(source):
        return hub.is_archive(source)
    return source not in CATALOG and hub.addresses_of(source) is not None


def check_source(source: str) -> None:
    """See that a folder or an archive on this machine holds a SavedModel. That needs no TensorFlow.

    Raises:
        InvalidModel: it does not.
    """
    if os.path.exists(source):
        with tempfile.TemporaryDirectory(prefix="birdlite-convert-") as temporary:
            check_folder(hub.open_local(source, temporary))


def open_module(source: str, reading: Reading, settings: Settings) -> Module:
    """Read a SavedModel, wherever it is, and make its graph one that can be converted.

    Raises:
        UsageError: its labels have to be named.
        ModelError: it cannot be fetched, is no SavedModel, or no classifier of pictures.
        EngineMissing: TensorFlow is not installed.
    """
    require("tensorflow")
    fetcher = Fetcher(settings.fetch, named=hub.addresses_of(source) or ())
    try:
        with tempfile.TemporaryDirectory(prefix="birdlite-convert-") as temporary:
            folder = hub.open_source(source, fetcher, temporary)
            saved = read(folder, reading.tags, reading.signature)
            graph = frozen(folder, saved)
        log.info(f"read {redacted(source)}: signature {saved.signature}, {len(graph.definition.node):,} nodes")
        whole, added = published(graph.definition, graph.input, graph.output, saved.side, reading.input_range)
        if added:
            log.info("it gives logits; a softmax makes them probabilities")
        classes = saved.classes or len(scores_of(whole, bytes(saved.side**2 * 3)))
        labels, birds = _labels(source, reading.labels, classes, _store(settings, fetcher))
    finally:
        fetcher.close()
    plain = without_rounding(whole)
    if plain.fake_quants:
        log.info(f"took the rounding of training out of it: {plain.fake_quants} FakeQuant nodes")
    if birds and saved.sha256 != hub.KNOWN_SHA256:
        log.warning(f"this saved_model.pb is not the known one of birds_V1/1; its sha256 is {saved.sha256}")
    if birds:
        subject = Subject("birds-v1", labels, BIRDS_PAGE, find(DEFAULT_MODEL).card.licence, saved.sha256)
    else:
        subject = Subject(_name(source), labels, redacted(source), "", saved.sha256)
    return Module(subject, birds, whole, plain)


def _store(settings: Settings, fetcher: Fetcher) -> Store:
    cache = None if settings.no_cache else settings.cache_dir or default_cache_dir()
    return Store(cache, fetcher, offline=settings.fetch.offline, timeline=Timeline())


def _labels(source: str, path: str | None, classes: int, store: Store) -> tuple[Labels, bool]:
    """The labels, and True if they are those of the birds."""
    if path is not None:
        return read_label_file(path, classes), False
    entry = find(DEFAULT_MODEL)
    if classes == entry.card.classes:
        log.info("labels: those of birds V1, which has as many classes")
        return store.labels(entry), True
    raise UsageError(f"{redacted(source)} gives {classes} scores: name the label map that belongs to it with --labels")


def _name(source: str) -> str:
    """A name for what is made of it."""
    parts = [part for part in source.split("?")[0].replace(os.sep, "/").split("/") if part not in ("", ".", "..")]
    name = "-".join(parts[-2:]) if hub.addresses_of(source) else (parts or ["model"])[-1]
    for suffix in (".tar.gz", ".tgz", ".tar"):
        name = name.removesuffix(suffix)
    return name
