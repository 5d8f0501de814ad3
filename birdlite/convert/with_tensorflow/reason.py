"""What TensorFlow says went wrong, in one line for a person. The rooms beside it put it in their errors."""

from __future__ import annotations

import re

from birdlite.engines.contract import one_line

# In "Graph execution error:" and several lines on where in Python that was, what happened stands before the node.
_HAPPENED = re.compile(r"^Graph execution error:.*?([^\n]+)\n\s*\[\[", re.DOTALL)

# Places in TensorFlow's own representations of the graph: `{{node x}}`, `[Op:x]`, `<unknown>:0: error: loc("x"): `.
_PLACES = re.compile(
    r"\[\[.*?\]\]|\{\{.*?\}\}|\[Op:[^\]]*\]|<unknown>:\d+: (?:error: )?(?:loc\(.*?\): )?|"
    r"Could not translate MLIR to FlatBuffer\."
)


def reason(error: Exception) -> str:
    """The first line of what it says, without where it happened."""
    text = str(error)
    happened = _HAPPENED.match(text)
    if happened:
        text = happened[1]
    lines = (one_line(_PLACES.sub("", line)) for line in text.splitlines())
    return next(filter(None, lines), type(error).__name__)
