"""A TensorFlow graph that has been folded becomes ONNX, in floats or in whole numbers, without TensorFlow.

`convert` calls it. The graph takes plain pixels and gives probabilities already (`pixels`), for any number of pictures
at once, and so does the result.

Pictures are [n, height, width, channels] in TensorFlow and [n, channels, height, width] in ONNX: they are transposed
once, at the start, and every weight to fit. Shapes follow from the shapes before them.

`none`: everything is 32-bit floats.
`int8`: what the source rounds in training is put on the same grid by a pair of QuantizeLinear and DequantizeLinear, of
which onnxruntime makes integer kernels. Activations are uint8 and weights int8, the pair that has the fastest kernels.
What the source does not round, or not to 8 bits with one scale, stays floats. So does the first convolution, unless a
whole number stands for the zero that it pads with. (Where that is grey, 127.5, it takes more channels to say it in
whole numbers: MobileNetV2 was 7 % slower then, and with 128 instead, which is not the same, no more than 2 % faster.)
"""

from __future__ import annotations

from typing import Any, Literal

from birdlite.convert.onnx_graph import require
from birdlite.convert.saved_model.fold import Folded
from birdlite.convert.saved_model.kernels import UnknownOperation
from birdlite.convert.saved_model.onnx_network import Network, Value, spelt
from birdlite.convert.saved_model.onnx_operations import OPERATIONS
from birdlite.convert.saved_model.onnx_rules import roundings_of
from birdlite.errors import InvalidModel

Quantize = Literal["none", "int8"]

PACKAGES = ("numpy", "onnx")
_READ_BY_OTHERS = ("Const", "Shape")  # what they give is no value of the network, but says how others are computed


def graph_to_onnx(folded: Folded, *, quantize: Quantize) -> bytes:
    """Convert a graph that takes pixels and gives probabilities to an ONNX ModelProto (opset 17).

    It takes `pixels`, uint8 RGB [N, side, side, 3], and gives `probabilities`, float32 [N, classes].

    Raises:
        UnknownOperation: an operation is not known here.
        InvalidModel: the graph contradicts itself, or has no ranges for int8.
        EngineMissing: a package is not installed; the message names what to install.
    """
    from birdlite._version import __version__

    require(*PACKAGES)
    rounded = roundings_of(folded.graph, folded.activations) if quantize == "int8" else {}
    if quantize == "int8" and not rounded:
        raise InvalidModel("the graph has no ranges of its own; int8 needs pictures to calibrate on")
    network = Network(folded, rounded)
    done = network.take_pixels()
    for number, (name, node) in enumerate(folded.graph.nodes.items()):
        if name not in done and node.op not in _READ_BY_OTHERS:
            network.place = f"{number}_{node.op.lower()}"
            network.values[name] = _converted(network, node)
    last = network.values.get(folded.graph.output)
    if last is None or len(last.shape) != 1:
        gives = spelt(last.shape) if last else "no scores"
        raise InvalidModel(f"the graph gives {gives}; only [n, classes] can be converted")
    return network.onnx.finish(last.name, last.shape[0], __version__)


def _converted(network: Network, node: Any) -> Value:
    """What a node gives, added to the network."""
    convert = OPERATIONS.get(node.op)
    if convert is None:
        raise UnknownOperation(node)
    try:
        return convert(network, node)
    except UnknownOperation:
        raise
    except InvalidModel as error:
        raise InvalidModel(f"the node {node.name}, {node.op}: {error}") from None
