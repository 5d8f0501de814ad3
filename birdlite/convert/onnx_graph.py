"""An ONNX graph under construction: its nodes, its constants, its names, and the pairs of Q and DQ that make it int8.

`tflite_to_onnx` and `to_onnx` write through this. Each method gives back the name of the value that it adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdlite._version import __version__
from birdlite.errors import EngineMissing, InvalidModel, installing, one_line

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

OPSET = 17  # the newest that current tools agree on
PIXELS, PROBABILITIES = "pixels", "probabilities"

MOST_BYTES = 1 << 30
"""The limit for all constants together, as floats. A protobuf message ends at 2 GiB, and a source may use one often."""


def require_onnx() -> None:
    """Import the packages that make ONNX, those of the extra `onnx`.

    Raises:
        EngineMissing: one is not installed, or does not work here. The message names what to install.
    """
    from importlib import import_module

    for package in ("numpy", "onnx", "onnxruntime"):
        try:
            import_module(package)
        except ImportError:
            raise EngineMissing(f"to make ONNX, the package {package} is needed: {installing('onnx')}") from None


class OnnxGraph:
    """A model that takes `pixels`, uint8 [N, side, side, 3], and gives `probabilities`, float32 [N, classes]."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}  # TensorProto by name
        self._bytes = 0  # of the constants, as floats

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output, which gets the node's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: ArrayLike, dtype: str) -> str:
        """Add a constant. A number gets no dimensions: a scale of shape [1] keeps onnxruntime's fast kernels away.

        Raises:
            InvalidModel: with it, there are more than `MOST_BYTES`.
        """
        import numpy as np
        from onnx import numpy_helper

        if name not in self.constants:
            # Transposed weights are written out in their new order.
            array = np.array(values, dtype=dtype, order="C")
            self._bytes += 4 * array.size
            if self._bytes > MOST_BYTES:
                raise InvalidModel(f"its constants take more than {MOST_BYTES >> 20:,} MiB as floats")
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def dequantized(self, stored: str, scale: ArrayLike, zero_point: ArrayLike, dtype: str, *, axis: int = 0) -> str:
        """The real values of a stored tensor. Scale and zero point are numbers, or one for each index along `axis`."""
        import numpy as np

        grid = self._grid(stored, scale, zero_point, dtype)
        per_axis = {"axis": axis} if np.ndim(scale) else {}
        return self.node("DequantizeLinear", [stored, *grid], f"{stored}_real", **per_axis)

    def rounded(self, real: str, scale: float, zero_point: int) -> str:
        """Put real values on a grid of 256 and saturate at its ends. onnxruntime makes integer kernels of it.

        The new names begin with that of the values, which therefore can be rounded only once.
        """
        grid = self._grid(real, scale, zero_point, "uint8")
        stored = self.node("QuantizeLinear", [real, *grid], f"{real}_stored")
        return self.node("DequantizeLinear", [stored, *grid], f"{real}_rounded")

    def _grid(self, name: str, scale: ArrayLike, zero_point: ArrayLike, dtype: str) -> tuple[str, str]:
        return (
            self.constant(f"{name}_scale", scale, "float32"),
            self.constant(f"{name}_zero_point", zero_point, dtype),
        )

    def pixels(self, scale: float, zero_point: int) -> str:
        """The pictures as the network needs them: real values, [N, 3, side, side].

        They are transposed as bytes, which are a quarter of the floats.
        """
        planes = self.node("Transpose", [PIXELS], "planes", perm=[0, 3, 1, 2])
        return self.dequantized(planes, scale, zero_point, "uint8")

    def finish(self, result: str, side: int, classes: int) -> bytes:
        """The model, checked as far as ONNX can check it.

        Raises:
            InvalidModel: it contradicts itself; its source did.
        """
        from onnx import TensorProto, helper

        self.node("Identity", [result], PROBABILITIES)
        graph = helper.make_graph(
            self.nodes,
            "classifier",
            [helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["N", side, side, 3])],
            [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", classes])],
            list(self.constants.values()),
        )
        versions = [helper.make_opsetid("", OPSET)]
        model = helper.make_model_gen_version(
            graph, opset_imports=versions, producer_name="birdlite", producer_version=__version__
        )
        return checked(model, "the ONNX model contradicts itself")


def checked(model: Any, problem: str) -> bytes:
    """A ModelProto as bytes, after ONNX has checked it.

    Raises:
        InvalidModel: it is invalid; the message begins with `problem`.
    """
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InvalidModel(f"{problem}: {one_line(error)}") from None
    return bytes(model.SerializeToString())
