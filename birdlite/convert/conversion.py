"""The result of every conversion: a bundle that is not written yet, and the proof that it answers as its source does.

`from_tflite` and `from_module` make the model file. Here it gets its card, its labels and its two distances: to the
source as published, and to the same network without the source's rounding, which shows more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

from birdlite import engines
from birdlite._version import __version__
from birdlite.convert.compare import Bounds, Distance, beyond
from birdlite.errors import InvalidModel
from birdlite.models.bundle import LABELS_FILE, MODEL_FILES, NAMES_FILE
from birdlite.models.card import Card, FileFact, ModelBytes, ModelFormat
from birdlite.models.labels import Labels

Quantize = Literal["none", "float16", "int8"]


class Subject(NamedTuple):
    """What the bundle tells about the source."""

    name: str  # the beginning of the result's
    labels: Labels
    source: str  # URL or path
    licence: str
    sha256: str  # of the source's model file
    format: ModelFormat | None = None  # of a source that is a model file already


class Conversion(NamedTuple):
    """A converted model that has not been written yet, and how far it is from its source."""

    card: Card
    files: dict[str, ModelBytes]
    distance: Distance  # to the source as published
    float_distance: Distance | None  # to the source's network in floats; of int8, without its rounding
    problem: str | None  # how they exceed the bounds, or None


def bundle(
    subject: Subject, data: bytes, format_: ModelFormat, quantize: Quantize, packages: Sequence[str]
) -> tuple[Card, dict[str, ModelBytes]]:
    """The card, still without distances, and the files. `packages` are those that made the model.

    Raises:
        InvalidModel: the model has not one input and one output, or the labels do not fit it.
        EngineMissing: the runtime of that format is not installed.
    """
    input_, output = engines.describe(data, format_)
    classes = output.shape[-1]
    if classes != len(subject.labels.names):
        raise InvalidModel(f"{len(subject.labels.names)} labels for a model with {classes} outputs")
    files: dict[str, ModelBytes] = {MODEL_FILES[format_]: data, LABELS_FILE: _label_map(subject.labels)}
    if any(subject.labels.common):
        files[NAMES_FILE] = _name_list(subject.labels)
    card = Card(
        name=f"{subject.name}-{format_}" + ("" if quantize == "none" else f"-{quantize}"),
        format=format_,
        input=input_,
        output=output,
        files={name: FileFact(len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()},
        source=subject.source,
        licence=subject.licence,
        quantization=quantize,
        made_with={"birdlite": __version__, **_versions(packages), **_made_of(subject)},
    )
    return card, files


def concluded(
    made: tuple[Card, dict[str, ModelBytes]],
    published: tuple[Distance, Bounds],
    floats: tuple[Distance, Bounds] | None,
) -> Conversion:
    """The conversion with its proof, which is each distance with its bounds."""
    card, files = made
    problem, figures = beyond(*published), _figures(published[0])
    if floats is not None:
        problem = problem or beyond(*floats)
        figures |= {f"float_{key}": value for key, value in _figures(floats[0]).items()}
    return Conversion(card._replace(distance=figures), files, published[0], floats[0] if floats else None, problem)


def spell(quantize: Quantize) -> str:
    """The name of a kind of result in messages."""
    return {"none": "floating point", "float16": "half-precision weights", "int8": "int8"}[quantize]


def _figures(distance: Distance) -> dict[str, float]:
    return {key: round(float(value), 6) for key, value in distance._asdict().items()}


def _label_map(labels: Labels) -> bytes:
    """A label map in the form that `read_labels` reads."""
    import csv
    import io

    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("id", "name"))
    rows.writerows(enumerate(labels.names))
    return text.getvalue().encode()


def _name_list(labels: Labels) -> bytes:
    lines = (f"{name} ({common})" if common else name for name, common in zip(labels.names, labels.common, strict=True))
    return "".join(f"{line}\n" for line in lines).encode()


def _made_of(subject: Subject) -> dict[str, str]:
    made_of = {"source_sha256": subject.sha256}
    return made_of if subject.format is None else {**made_of, "source_format": subject.format}


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of packages by the names of their imports."""
    from importlib.metadata import packages_distributions, version

    distributions = packages_distributions()
    return {package: version(distributions[package][0]) for package in packages}
