"""An ONNX model of half the size: its weights are stored in half precision, and it computes in floats as before.

The conversions to `float16` call it, on a model that is optimised already: the optimiser would write the weights as
floats again. ONNX Runtime makes floats of them once, when it loads the model.
"""

from __future__ import annotations

from typing import Any

from birdlite.errors import InvalidModel

FEWEST = 1024
"""The fewest values of a constant that is halved. Biases are smaller: little to gain, so they stay exact."""

_LARGEST = 65504  # the largest number in half precision (IEEE 754)


def halved(model: bytes) -> bytes:
    """Store the float32 constants of at least `FEWEST` values as float16, each with a Cast behind it.

    Raises:
        InvalidModel: a constant has a value that half precision cannot store.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    whole = onnx.load_from_string(model)
    casts: list[Any] = []
    for constant in whole.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < FEWEST:
            continue
        values, name = numpy_helper.to_array(constant), constant.name
        if not np.abs(values).max() <= _LARGEST:
            raise InvalidModel(f"{name} has values beyond {_LARGEST:,}, where half precision ends")
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [constant.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *whole.graph.node]
    del whole.graph.node[:]
    whole.graph.node.extend(nodes)
    return bytes(whole.SerializeToString())
