"""TensorFlow and tf2onnx, imported when they are needed, and what they say went wrong in one line.

Every module here that works with TensorFlow gets it from `imported`. TensorFlow takes 3 s and 500 MB to import. It
comes with the extra `convert`.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from birdlite.convert.captured_output import quiet
from birdlite.errors import EngineMissing, one_line

# "Graph execution error:" is followed by several lines of Python. What happened stands just before the node.
_HAPPENED = re.compile(r"^Graph execution error:.*?([^\n]+)\n\s*\[\[", re.DOTALL)

# Places in TensorFlow's own representations of the graph: `{{node x}}`, `[Op:x]`, `<unknown>:0: error: loc("x"): `.
_PLACES = re.compile(
    r"\[\[.*?\]\]|\{\{.*?\}\}|\[Op:[^\]]*\]|<unknown>:\d+: error: (?:loc\(.*?\): )?|"
    r"Could not translate MLIR to FlatBuffer\."
)


def require(*packages: str) -> None:
    """Check that packages (`tensorflow`, `tf2onnx`) are installed, without importing them.

    Raises:
        EngineMissing: one is not; the message names the extra to install.
    """
    for package in packages:
        if find_spec(package) is None:
            raise EngineMissing(f"this conversion needs {package}: pip install 'birdlite[convert]'")


def imported(package: str = "tensorflow") -> Any:
    """Import a package without printing anything on the user's terminal.

    Raises:
        EngineMissing: it is not installed, or does not work here; the message names the extra to install.
    """
    require(package)
    try:
        with quiet():
            return import_module(package)
    except ImportError as error:
        why = one_line(error)
        raise EngineMissing(f"{package} cannot be imported: pip install 'birdlite[convert]' ({why})") from None


def reason(error: Exception) -> str:
    """The first line of TensorFlow's message, without the places in its own graph."""
    text = str(error)
    happened = _HAPPENED.match(text)
    if happened:
        text = happened[1]
    lines = (_PLACES.sub("", line).strip() for line in text.splitlines())
    return one_line(next(filter(None, lines), type(error).__name__))
