"""`--model`, whatever it names: a model of the catalogue, a bundle's folder, or a bare model file with its labels."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from birdlite import log
from birdlite.errors import InvalidModel, UnknownModel, UsageError
from birdlite.models import bundle, catalog
from birdlite.models.card import Card, FileFact, ModelBytes, ModelFormat, Tensor
from birdlite.models.labels import LABELS_MAX_BYTES, Labels, read_labels
from birdlite.models.model import Model, model_of
from birdlite.models.store import Store
from birdlite.models.verify import map_file, sha256
from birdlite.timing import Timeline

Describe: TypeAlias = "Callable[[ModelBytes, ModelFormat], tuple[Tensor, Tensor]]"
"""Input and output of a model that comes without a card: `engines.describe`."""


def open_model(name: str, labels: str | None, store: Store, timeline: Timeline, describe: Describe) -> Model:
    """The model that `name` stands for; `describe` is how an engine reads the tensors of a bare file.

    A folder that happens to be called like a catalogue entry is meant only when written as a path, `./birds-v1-lite`:
    what lies about in the current folder must not change what a command does.

    Raises:
        ModelError: there is no such model, it cannot be had, or it is not what it must be.
        UsageError: see `check_labels`.
    """
    check_labels(name, labels)
    if name in catalog.CATALOG:
        return store.open(catalog.CATALOG[name])
    if os.path.isdir(name):
        return _open_bundle(name, timeline)
    if os.path.exists(name) and labels is not None:
        return _open_file(name, labels, timeline, describe)
    if os.sep in name or name.endswith(tuple(bundle.MODEL_FILES)):
        raise UnknownModel(f"{name}: no such model file or folder")
    return store.open(catalog.find(name))


def check_labels(name: str, labels: str | None) -> None:
    """See whether label map and model go together, before anything is opened.

    Raises:
        UsageError: `labels` is missing for a bare file, or given for a model that brings its own.
    """
    if name in catalog.CATALOG:
        brings_its_own = True
    elif os.path.exists(name):
        brings_its_own = os.path.isdir(name)
    else:
        return  # `open_model` says what is wrong with it
    if brings_its_own and labels is not None:
        raise UsageError(f"{name} brings its own labels; --labels is for bare model files")
    if not brings_its_own and labels is None:
        raise UsageError(f"{name} is a bare model file: say with --labels which label map belongs to it")


def _open_bundle(folder: str, timeline: Timeline) -> Model:
    card = bundle.read_card(folder)
    with timeline.span("model load"):
        files, problems = bundle.look_in(folder, card)
    for name in card.files:
        if name not in files:
            raise InvalidModel(f"{os.path.join(folder, name)} {problems.get(name, 'is missing')}")
    with timeline.span("labels"):
        return model_of(card, files, folder)


def _open_file(path: str, labels_path: str, timeline: Timeline, describe: Describe) -> Model:
    """A model that nobody vouches for: its own tensors make its card."""
    format_: ModelFormat = "onnx" if path.endswith(".onnx") else "tflite"
    try:
        with timeline.span("model load"):
            data = map_file(path)
            input_, output = describe(data, format_)
            digest = sha256(data)
    except OSError as error:
        raise InvalidModel(f"{error.filename}: {error.strerror}") from None
    except InvalidModel as error:
        raise InvalidModel(f"{path}: {error}") from None
    card = Card(
        name=os.path.basename(path),
        format=format_,
        input=input_,
        output=output,
        files={bundle.MODEL_FILES[format_]: FileFact(len(data), digest)},
        source=path,
    )
    log.debug("bare model file", path=path, sha256=digest)
    with timeline.span("labels"):
        return Model(card, data, read_label_file(labels_path, card.classes), None)


def read_label_file(path: str, classes: int) -> Labels:
    """The label map in a file of the user's.

    Raises:
        InvalidModel: it cannot be read, or does not fit a model with so many classes.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LABELS_MAX_BYTES + 1)
    except OSError as error:
        raise InvalidModel(f"{path}: {error.strerror}") from None
    if len(data) > LABELS_MAX_BYTES:
        raise InvalidModel(f"{path}: larger than a label map can be")
    try:
        return read_labels(data, None, classes)
    except InvalidModel as error:
        raise InvalidModel(f"{path}: {error}") from None
