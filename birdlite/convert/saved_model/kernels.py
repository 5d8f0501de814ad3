"""What the operations of a TensorFlow graph compute, in NumPy: for its constants, and for the reference of a proof.

`fold` takes constants from here, `numpy_engine` runs whole networks. Values are NHWC, as TensorFlow's are by default,
and of the dtype that they have there. Convolutions and pools are in `windows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from birdlite.convert.saved_model import fake_quant
from birdlite.convert.saved_model.graph import DTYPES, Graph, attribute, constant_of, inputs_of
from birdlite.convert.saved_model.windows import (
    average_pool,
    check_layout,
    check_size,
    convolution,
    depthwise,
    max_pool,
)
from birdlite.errors import InvalidModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Kernel: TypeAlias = "Callable[[Any, list[Array]], Array]"

MOST_BYTES = 2 << 30
"""Of all constants of a graph, computed ones included. The message that a graph comes in ends there."""

_EPSILON = 1e-4  # the default of FusedBatchNorm


class UnknownOperation(InvalidModel):
    """An operation is not known here; TensorFlow may know it."""

    def __init__(self, node: Any) -> None:
        self.operation: str = node.op
        super().__init__(
            f"the operation `{node.op}` (node {node.name}) is not known here; for other models: "
            "pip install 'birdlite[convert]'"
        )


def check_known(node: Any) -> None:
    """Make sure that a node can be run.

    Raises:
        UnknownOperation: it cannot.
        InvalidModel: nothing can, for it stands for a second input.
    """
    if node.op == "Placeholder":
        raise InvalidModel(f"the graph has a second input: {node.name}")
    if node.op not in KERNELS:
        raise UnknownOperation(node)


def run(node: Any, inputs: list[Array]) -> Array:
    """Compute the first output of a node.

    Raises:
        UnknownOperation: it is not known here.
        InvalidModel: what it is given does not fit it.
    """
    import numpy as np

    check_known(node)
    try:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
            return np.asarray(KERNELS[node.op](node, inputs))
    except InvalidModel as error:
        raise InvalidModel(f"{node.op} {node.name}: {error}") from None
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise InvalidModel(f"{node.op} {node.name}: what it reads does not fit it: {error}") from None
    except MemoryError:
        raise InvalidModel(f"{node.op} {node.name}: takes more memory than there is") from None


def constants_of(graph: Graph) -> dict[str, Array]:
    """The values, by name, of all nodes that do not depend on the picture.

    Raises:
        UnknownOperation: one of them is not known here.
        InvalidModel: what one is given does not fit it, or together they are too large.
    """
    constants: dict[str, Array] = {}
    room = MOST_BYTES
    for name, node in graph.nodes.items():
        reads = inputs_of(node)
        if name != graph.input and all(read in constants for read in reads):
            constants[name] = run(node, [constants[read] for read in reads])
            room -= constants[name].nbytes
            if room < 0:
                raise InvalidModel(f"its constants take more than {MOST_BYTES >> 20:,} MiB")
    return constants


# Elementwise


def _elementwise(name: str) -> Kernel:
    """A kernel that is one of NumPy's own functions."""

    def kernel(node: Any, inputs: list[Array]) -> Array:
        import numpy as np

        compute = getattr(np, name)
        if len(inputs) != compute.nin:
            raise InvalidModel(f"reads {len(inputs)} values instead of {compute.nin}")
        if len({array.dtype for array in inputs}) > 1:
            raise InvalidModel(f"reads {' and '.join(array.dtype.name for array in inputs)}")
        check_size(np.broadcast_shapes(*(array.shape for array in inputs)), inputs[0].dtype)
        result: Array = compute(*inputs)
        return result

    return kernel


def _cast(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    dtype = attribute(node, "DstT")
    if dtype not in DTYPES.values():
        raise InvalidModel(f"to {dtype}")
    check_size(inputs[0].shape, np.dtype(dtype))
    return inputs[0].astype(dtype)


def _bias_add(node: Any, inputs: list[Array]) -> Array:
    values, bias = inputs
    check_layout(node)
    if bias.shape != values.shape[-1:]:
        raise InvalidModel(f"a bias of shape {list(bias.shape)} for {values.shape[-1]} channels")
    total: Array = values + bias
    return total


def _rsqrt(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    result: Array = np.reciprocal(np.sqrt(inputs[0]))
    return result


def _relu(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    result: Array = np.maximum(inputs[0], inputs[0].dtype.type(0))
    return result


def _relu6(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    return np.clip(inputs[0], inputs[0].dtype.type(0), inputs[0].dtype.type(6))


def _sigmoid(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    one = inputs[0].dtype.type(1)
    result: Array = one / (one + np.exp(-inputs[0]))
    return result


def _softmax(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    powers = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _fake_quant(node: Any, inputs: list[Array]) -> Array:
    grid = fake_quant.grid_of(node, inputs[1:])
    if grid.scale.ndim and grid.scale.shape != inputs[0].shape[-1:]:
        raise InvalidModel(f"{grid.scale.size} ranges for {inputs[0].shape[-1]} channels")
    return fake_quant.fake_quantized(inputs[0], grid)


def _batch_norm(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    check_layout(node)
    if attribute(node, "is_training", True):
        raise InvalidModel("it is in training")
    values, gamma, beta, mean, variance = inputs
    if any(array.shape != values.shape[-1:] for array in inputs[1:]):
        raise InvalidModel(f"{[list(array.shape) for array in inputs[1:]]} for {values.shape[-1]} channels")
    scale = gamma / np.sqrt(variance + np.float32(attribute(node, "epsilon", _EPSILON)))
    result: Array = values * scale + (beta - mean * scale)
    return result


# Shapes


def _shape(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    return np.array(inputs[0].shape, attribute(node, "out_type", "int32"))


def _reshape(node: Any, inputs: list[Array]) -> Array:
    return inputs[0].reshape([int(size) for size in inputs[1]])


def _squeeze(node: Any, inputs: list[Array]) -> Array:
    axes = attribute(node, "squeeze_dims", [])
    if axes:
        return inputs[0].squeeze(tuple(axes))
    # The batch is one picture here, and stays.
    return inputs[0].squeeze(tuple(axis for axis in range(1, inputs[0].ndim) if inputs[0].shape[axis] == 1))


def _expand_dims(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    return np.expand_dims(inputs[0], int(inputs[1]))


def _transpose(node: Any, inputs: list[Array]) -> Array:
    return inputs[0].transpose([int(axis) for axis in inputs[1]])


def _pad(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    value = inputs[2] if len(inputs) > 2 else 0
    pads = [(int(before), int(after)) for before, after in inputs[1]]
    check_size([size + sum(pad) for size, pad in zip(inputs[0].shape, pads, strict=True)], inputs[0].dtype)
    return np.pad(inputs[0], pads, constant_values=value)


def _concatenate(node: Any, inputs: list[Array]) -> Array:
    import numpy as np

    check_size([sum(array.size for array in inputs[:-1])], inputs[0].dtype)
    return np.concatenate(inputs[:-1], axis=int(inputs[-1]))


def _mean(node: Any, inputs: list[Array]) -> Array:
    axes = tuple(int(axis) for axis in inputs[1].reshape(-1))
    result: Array = inputs[0].mean(axis=axes, keepdims=bool(attribute(node, "keep_dims", False)))
    return result


def _matmul(node: Any, inputs: list[Array]) -> Array:
    first, second = inputs
    if attribute(node, "transpose_a", False):
        first = first.T
    if attribute(node, "transpose_b", False):
        second = second.T
    if first.ndim != 2 or second.ndim != 2:
        raise InvalidModel(f"a product of {list(first.shape)} and {list(second.shape)}")
    check_size([first.shape[0], second.shape[1]], first.dtype)
    product: Array = first @ second
    return product


def _first(node: Any, inputs: list[Array]) -> Array:
    return inputs[0]


def _constant(node: Any, inputs: list[Array]) -> Array:
    return constant_of(node)


KERNELS: dict[str, Kernel] = {
    "Add": _elementwise("add"),
    "AddV2": _elementwise("add"),
    "AvgPool": average_pool,
    "BiasAdd": _bias_add,
    "Cast": _cast,
    "ConcatV2": _concatenate,
    "Const": _constant,
    "Conv2D": convolution,
    "DepthwiseConv2dNative": depthwise,
    "ExpandDims": _expand_dims,
    "FakeQuantWithMinMaxArgs": _fake_quant,
    "FakeQuantWithMinMaxVars": _fake_quant,
    "FakeQuantWithMinMaxVarsPerChannel": _fake_quant,
    "FusedBatchNorm": _batch_norm,
    "FusedBatchNormV2": _batch_norm,
    "FusedBatchNormV3": _batch_norm,
    "Identity": _first,
    "MatMul": _matmul,
    "MaxPool": max_pool,
    "Maximum": _elementwise("maximum"),
    "Mean": _mean,
    "Minimum": _elementwise("minimum"),
    "Mul": _elementwise("multiply"),
    "Neg": _elementwise("negative"),
    "Pad": _pad,
    "PadV2": _pad,
    "RealDiv": _elementwise("true_divide"),
    "Relu": _relu,
    "Relu6": _relu6,
    "Reshape": _reshape,
    "Rsqrt": _rsqrt,
    "Shape": _shape,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "Sqrt": _elementwise("sqrt"),
    "Square": _elementwise("square"),
    "Squeeze": _squeeze,
    "StopGradient": _first,
    "Sub": _elementwise("subtract"),
    "Transpose": _transpose,
}
