"""What only TensorFlow can do: freeze variables, write TensorFlow Lite, run and convert operations not known here.

`freeze` makes constants of variables, `to_tflite` and `to_onnx` write models, `tensorflow_engine` runs a graph as the
reference of a proof; `chatter` keeps what TensorFlow prints meanwhile from the user. Importing this room costs nothing:
TensorFlow takes 3 s and 500 MB to import, and comes with the first call.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from birdlite.convert.with_tensorflow.chatter import quiet
from birdlite.engines.contract import one_line
from birdlite.errors import EngineMissing


def require(package: str = "tensorflow") -> None:
    """Find out, without importing it, whether a package is installed: `tensorflow`, or `tf2onnx`.

    Raises:
        EngineMissing: it is not; the message names what to install.
    """
    if find_spec(package) is None:
        raise EngineMissing(f"for this conversion, {package} is needed: pip install 'birdlite[convert]'")


def imported(package: str = "tensorflow") -> Any:
    """The package, imported without a line on the user's terminal.

    Raises:
        EngineMissing: it is not installed, or does not work here; the message names what to install.
    """
    require(package)
    try:
        with quiet():
            return import_module(package)
    except ImportError as error:
        why = one_line(error)
        raise EngineMissing(f"{package} cannot be imported: pip install 'birdlite[convert]' ({why})") from None
