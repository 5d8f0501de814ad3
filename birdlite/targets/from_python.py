"""What a Python program gives to a `Classifier` or a `Runner`, checked and made into targets: names, bytes, arrays."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, Union

from birdlite.results import Failure
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Found, Target
from birdlite.targets.expand import single

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

Source: TypeAlias = Union[
    "str", "os.PathLike[str]", "bytes", "bytearray", "memoryview", "BinaryIO", "Image", "np.ndarray"
]
"""A URL or a path; the bytes of a file; a file opened for reading bytes; a PIL image; an RGB array (`uint8`, HWC)."""

_KINDS = "a URL, a path, bytes, a binary file, a PIL image or an RGB array"

MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"})
"""Of PIL images: those whose 8-bit samples Pillow converts to RGB. The others have no range that one could know."""


def one(source: Source, settings: Settings) -> Target | BadTarget:
    """The target of one picture. A file is read here, at most `max_bytes` of the settings.

    Raises:
        TypeError: it is none of `Source`.
        OSError: the file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        return single(_name(source), reveal_targets=settings.reveal_targets)
    return _content(source, settings.fetch.max_bytes)


def many(sources: Iterable[Source], max_bytes: int) -> Iterator[Found | Target | BadTarget]:
    """Names for `Targets` to expand, folders and patterns included; and the targets of everything else.

    Raises:
        TypeError: at once if `sources` is a single picture, or nothing that holds some; while iterating, if one is none
            of `Source`.
    """
    kind = type(sources).__name__
    if _is_single(sources):
        raise TypeError(f"classify_many takes several pictures, such as a list; classify takes a single {kind}")
    try:
        each = iter(sources)
    except TypeError:
        raise TypeError(f"classify_many takes several pictures, such as a list, not {kind}: each is {_KINDS}") from None
    return _each(each, max_bytes)


def checked(targets: Iterable[object]) -> Iterator[Target | BadTarget]:
    """The targets that `Runner.run` got, if not from `expand`.

    Raises:
        TypeError: at once if they cannot be iterated, or a list or tuple holds something else; else while iterating.
    """
    if isinstance(targets, (str, bytes, os.PathLike)):
        raise _no_targets(targets)
    try:
        each = iter(targets)
    except TypeError:
        raise _no_targets(targets) from None
    for target in targets if isinstance(targets, (list, tuple)) else ():
        _check(target)
    return map(_check, each)


def _check(target: object) -> Target | BadTarget:
    if isinstance(target, (Target, BadTarget)):
        return target
    raise _no_targets(target)


def _no_targets(given: object) -> TypeError:
    return TypeError(f"run takes targets, not {type(given).__name__}: run(expand(['robin.jpg']))")


def _is_single(source: object) -> bool:
    """Whether it is a picture itself. An array with four dimensions holds several."""
    if isinstance(source, (str, bytes, bytearray, memoryview, os.PathLike)) or hasattr(source, "read"):
        return True
    return _is_image(source) or (_is_array(source) and source.ndim in (2, 3))  # type: ignore[attr-defined]


def _each(sources: Iterable[Source], max_bytes: int) -> Iterator[Found | Target | BadTarget]:
    for source in sources:
        if not isinstance(source, (str, os.PathLike)):
            yield _content(source, max_bytes)
        elif (name := _name(source)) == "-":
            yield "-", Failure("unsupported", "-: standard input is for the command line; open a file and give that")
        else:
            yield name, None


def _name(source: str | os.PathLike[str]) -> str:
    name = os.fspath(source)
    if not isinstance(name, str):
        raise TypeError(f"a path of {type(name).__name__}: give it as str (os.fsdecode)")
    return name


def _content(source: object, max_bytes: int) -> Target | BadTarget:
    """The target of a picture that is in memory, or in an open file."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _bytes("<bytes>", bytes(source), max_bytes)
    if _is_image(source) or _is_array(source):
        return _decoded(source)
    read = getattr(source, "read", None)
    if callable(read):
        name = getattr(source, "name", None)
        data = read(max_bytes + 1)
        if not isinstance(data, bytes):
            raise TypeError(f"a file that gives {type(data).__name__}: open it for bytes, with mode 'rb'")
        return _bytes(name if isinstance(name, str) else "<file>", data, max_bytes)
    raise TypeError(f"{type(source).__name__} is no picture: give {_KINDS}")


def _bytes(name: str, data: bytes, max_bytes: int) -> Target | BadTarget:
    if len(data) > max_bytes:
        return BadTarget(name, Failure("too_large", f"{name}: more than {max_bytes} bytes"))
    return Target(name, "file", name, data=data)


def _decoded(image: object) -> Target:
    """Raises TypeError: it is an image or an array, but not of a kind that can be a photograph in RGB."""
    if _is_image(image):
        mode = image.mode  # type: ignore[attr-defined]
        if mode not in MODES:
            raise TypeError(f"a PIL image of mode {mode}: convert it to RGB first")
        name = getattr(image, "filename", "")
        return _of_image(name if isinstance(name, str) and name else "<image>", image)
    shape, kind = image.shape, image.dtype.name  # type: ignore[attr-defined]
    if kind != "uint8" or len(shape) != 3 or shape[2] != 3:
        raise TypeError(f"an array of {kind} with shape {shape}: give uint8 in RGB with shape (height, width, 3)")
    return _of_image("<array>", image)


def _of_image(name: str, image: object) -> Target:
    return Target(name, "file", name, image=image)


def _is_image(source: object) -> bool:
    """Whether it is a PIL image. Who has one has imported Pillow."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(source, pillow.Image)


def _is_array(source: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(source, numpy.ndarray)
