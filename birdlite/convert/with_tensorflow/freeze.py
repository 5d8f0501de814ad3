"""A SavedModel with variables or functions as one graph of plain nodes, by TensorFlow. For `birdlite.convert.module`.

Loading a SavedModel runs no Python of its authors, but it runs their graph: it restores the variables and executes the
initialisers, and a graph has operations that read and write files. So it is as safe as a program from the same source;
`birdlite convert` comes here only for models that it cannot read by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from birdlite.convert.saved_model.schema import message
from birdlite.convert.with_tensorflow import imported
from birdlite.convert.with_tensorflow.chatter import quiet
from birdlite.convert.with_tensorflow.reason import reason
from birdlite.errors import InvalidModel

# What TensorFlow's Python raises for files that are missing, cut off or nonsense; its C++ raises OpError besides.
_DAMAGE = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


class Frozen(NamedTuple):
    """A signature as one function from tensor to tensor."""

    graph_def: Any  # the message GraphDef of `schema`: no variables, no functions
    input: str  # the name of a tensor, such as `images:0`
    output: str


def frozen(folder: str, tags: tuple[str, ...], signature: str) -> Frozen:
    """Load the MetaGraph with exactly these tags and make its signature a graph of constants.

    Open dimensions, such as the number of pictures, stay open.

    Raises:
        InvalidModel: TensorFlow cannot read it, it has no such signature, or not one input and one output.
        EngineMissing: TensorFlow is not installed.
    """
    tensorflow = imported()
    try:
        with quiet():
            loaded = tensorflow.saved_model.load(folder, tags=list(tags))
            function = _without_variables(loaded.signatures[signature])
            data = function.graph.as_graph_def().SerializeToString()
    except (*_DAMAGE, tensorflow.errors.OpError) as error:
        raise InvalidModel(f"TensorFlow cannot read the SavedModel: {reason(error)}") from None
    ends = [tensor.name for tensor in function.inputs], [tensor.name for tensor in function.outputs]
    if tuple(map(len, ends)) != (1, 1):
        raise InvalidModel(f"the signature {signature} has {len(ends[0])} inputs and {len(ends[1])} outputs")
    return Frozen(message("GraphDef").FromString(data), ends[0][0], ends[1][0])


def _without_variables(function: Any) -> Any:
    """The function with constants for variables, and with what it calls written into it."""
    # Part of TensorFlow's own converter, and without a public name.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function, lower_control_flow=True, aggressive_inlining=True)
