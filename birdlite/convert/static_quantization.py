"""An ONNX model of floats becomes int8 with ranges measured on pictures, for sources that have no ranges themselves.

ONNX Runtime's own quantiser does it. It adds pairs of QuantizeLinear and DequantizeLinear. Activations are uint8, from
the lowest to the highest value seen; weights are int8 with a scale for each channel. Two parts stay floats, because
rounding them costs more than it gains (on 18 pictures of birds a score was off by 0.015 instead of 0.018, and by 0.025
where ranges were cut off at a percentile):
- the beginning, up to the first convolution. Pixels have 256 values already, and other 256 would lie between them.
- the scores, and the values that the softmax makes them of.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from birdlite.convert.captured_output import quiet
from birdlite.errors import UsageError

_CLASSIFIERS = ["Gemm", "MatMul"]


def quantized(model: bytes, pictures: Iterable[bytes]) -> tuple[bytes, int]:
    """Quantise a model that takes uint8 RGB [N, side, side, 3]. Also gives the number of pictures used.

    `pictures`, [side, side, 3] each, are read one at a time.

    Raises:
        UsageError: there are no pictures.
    """
    import onnx

    with quiet(), tempfile.TemporaryDirectory(prefix="birdlite-convert-") as folder:
        from onnxruntime import quantization

        source, plain, result = (os.path.join(folder, name) for name in ("source.onnx", "plain.onnx", "int8.onnx"))
        with open(source, "wb") as file:
            file.write(model)
        # Folds constants and normalisations into convolutions before these are rounded.
        quantization.quant_pre_process(source, plain, skip_symbolic_shape=True)
        whole = onnx.load(plain)
        reader = _Reader(whole.graph.input[0], pictures)
        quantization.quantize_static(
            plain,
            result,
            reader,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=[*_beginning(whole.graph.node), *_softmaxes(whole.graph.node)],
            extra_options={"OpTypesToExcludeOutputQuantization": _CLASSIFIERS},
        )
        with open(result, "rb") as file:
            return file.read(), reader.count


class _Reader:
    """Hands the pictures to the quantiser, which asks for one at a time."""

    def __init__(self, input_: Any, pictures: Iterable[bytes]) -> None:
        self._name = input_.name
        self._side = input_.type.tensor_type.shape.dim[1].dim_value
        self._pictures: Iterator[bytes] = iter(pictures)
        self.count = 0

    def get_next(self) -> dict[str, Any] | None:
        """The next picture by the name of the input; None after the last.

        Raises:
            UsageError: there were no pictures.
        """
        import numpy as np

        pixels = next(self._pictures, None)
        if pixels is None:
            if not self.count:
                raise UsageError("int8 takes ranges from pictures, and there are no pictures to calibrate on")
            return None
        self.count += 1
        return {self._name: np.frombuffer(pixels, np.uint8).reshape(1, self._side, self._side, 3)}


def _beginning(nodes: Iterable[Any]) -> list[str]:
    """The names of the nodes up to the first convolution; none if there is no convolution."""
    names: list[str] = []
    for node in nodes:
        names.append(node.name)
        if node.op_type == "Conv":
            return names
    return []


def _softmaxes(nodes: Iterable[Any]) -> list[str]:
    return [node.name for node in nodes if node.op_type == "Softmax"]
