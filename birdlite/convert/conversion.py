"""The result of every conversion: a bundle, and the proof that it answers as its source does.

`proven` makes the model file. Here it gets its card, its labels and its two distances: to the source as published, and
to the same network without the source's rounding, which shows more. The bundle is written whole or not at all: into a
folder beside its place, which is renamed when it is complete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from birdlite import atomic_file, engines, log
from birdlite._version import __version__
from birdlite.convert.proof import Bounds, Distance, Quantize, beyond
from birdlite.errors import InvalidModel, OutputError, UsageError
from birdlite.local_file import reason
from birdlite.models.bundle import CARD_FILE, LABELS_FILE, MODEL_FILES, NAMES_FILE, card_to_json
from birdlite.models.card import Card, FileFact, ModelBytes, ModelFormat
from birdlite.models.labels import Labels


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
        raise InvalidModel(f"{log.counted(len(subject.labels.names), 'label')} for a model with {classes} outputs")
    files: dict[str, ModelBytes] = {MODEL_FILES[format_]: data, LABELS_FILE: _label_map(subject.labels)}
    if any(subject.labels.common):
        files[NAMES_FILE] = _name_list(subject.labels)
    made_of = {"source_sha256": subject.sha256} | ({"source_format": subject.format} if subject.format else {})
    card = Card(
        name=f"{subject.name}-{format_}" + ("" if quantize == "none" else f"-{quantize}"),
        format=format_,
        input=input_,
        output=output,
        files={name: FileFact(len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()},
        source=subject.source,
        licence=subject.licence,
        quantization=quantize,
        made_with={"birdlite": __version__, **_versions(packages), **made_of},
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


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of packages by the names of their imports."""
    from importlib.metadata import packages_distributions, version

    distributions = packages_distributions()
    return {package: version(distributions[package][0]) for package in packages}


_BUNDLE_FILES = {CARD_FILE, LABELS_FILE, NAMES_FILE, *MODEL_FILES.values()}


def check_place(folder: str, *, replace: bool) -> None:
    """Check before the work that a bundle can be written there.

    Raises:
        UsageError: something that is no bundle is there, or a bundle that must not be replaced.
    """
    if not folder:
        raise UsageError("--output needs the name of a folder")
    if not os.path.lexists(folder):
        return
    names = set(os.listdir(folder)) if os.path.isdir(folder) else {""}
    if names and CARD_FILE not in names:
        raise UsageError(f"{folder} exists and is not a model bundle; it will not be touched")
    if names and not replace:
        raise UsageError(f"{folder} holds a model bundle already; --force replaces it")
    others = sorted(names - _BUNDLE_FILES)
    if others:
        raise UsageError(
            f"{folder} also holds {others[0]}, which is not part of a model bundle; it will not be touched"
        )


def write_bundle(folder: str, card: Card, files: Mapping[str, ModelBytes], *, replace: bool = False) -> None:
    """Write the card and `files`, which are those that the card lists.

    Raises:
        UsageError: what is there now must not be replaced; see `check_place`.
        OutputError: the system refused. The folder is as it was before.
    """
    check_place(folder, replace=replace)  # the place may have changed during the conversion
    folder = os.path.abspath(folder)
    partial, old = atomic_file.unfinished_name(folder), atomic_file.unfinished_name(folder)
    try:
        for left in atomic_file.leftovers(folder):
            shutil.rmtree(left)
        os.makedirs(partial)
        try:
            for name, data in files.items():
                atomic_file.write(os.path.join(partial, name), data)
            atomic_file.write(os.path.join(partial, CARD_FILE), card_to_json(card).encode())
            if os.path.isdir(folder):
                os.rename(folder, old)  # a folder cannot be renamed over one that is not empty
            os.rename(partial, folder)
        except OSError:
            if os.path.isdir(old):
                os.rename(old, folder)
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder}: the bundle cannot be written: {reason(error)}") from None
