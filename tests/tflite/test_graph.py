"""What is read of a `.tflite` file is what was written, and a damaged file is one clear line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import pytest
from ai_edge_litert import schema_py_generated as tfl

from birdlite.convert.tflite_to_onnx import array_of
from birdlite.errors import InvalidModel
from birdlite.tflite import graph as tflite_graph
from birdlite.tflite.graph import Quantization
from birdlite.tflite.schema import RELU6, Grid, Limits, limits_in_floats, limits_in_integers, window_of
from tests import demo_world, tiny_models
from tests.damaged_models import refusals


def altered(change: Callable[[Any], None], **odd: Any) -> bytes:
    """The tiny model of the tests with one thing about it changed."""
    model = tfl.ModelT.InitFromObj(tfl.Model.GetRootAs(tiny_models.model(**odd), 0))
    change(model)
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_model_is_read_as_it_was_written() -> None:
    graph = tflite_graph.read(tiny_models.model())

    pixels, scores = graph.tensors[graph.input], graph.tensors[graph.output]
    assert (pixels.shape, pixels.dtype, pixels.quantization) == (
        (1, 8, 8, 3),
        "uint8",
        Quantization((1 / 128,), (128,), 0),
    )
    assert (scores.shape, scores.data) == ((1, 5), None)
    convolution, reshape = graph.operators
    assert (convolution.name, reshape.name) == ("CONV_2D", "RESHAPE")
    assert convolution.options == {
        "Padding": tfl.Padding.VALID,
        "StrideH": 1,
        "StrideW": 1,
        "DilationHFactor": 1,
        "DilationWFactor": 1,
        "FusedActivationFunction": 0,
    }
    assert convolution.inputs[0] == graph.input
    assert reshape.outputs == (graph.output,)
    assert graph.tensors[reshape.inputs[1]].whole_numbers() == [-1, 5]
    filters = array_of(graph.tensors[convolution.inputs[1]])
    assert filters.shape == (5, 8, 8, 3)
    assert filters[4, 0, 0].tolist() == [0, 1, 0]


def test_scales_of_channels_are_read_with_their_axis() -> None:
    graph = tflite_graph.read(demo_world.MODEL.read_bytes())

    depthwise = next(operator for operator in graph.operators if operator.name == "DEPTHWISE_CONV_2D")
    weights = graph.tensors[depthwise.inputs[1]]
    assert weights.quantization is not None
    assert weights.quantization.axis == 3
    assert len(weights.quantization.scales) == len(weights.quantization.zero_points) == weights.shape[3] == 16


def test_constants_behind_the_table_are_found_and_must_lie_in_the_file() -> None:
    def move_out(model: Any) -> None:
        shape = next(buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data) == 8)
        shape.data, shape.offset, shape.size = None, 100_000, 8

    model = altered(move_out)
    graph = tflite_graph.read(model.ljust(100_000, b"\0") + bytes([7, 0, 0, 0, 9, 0, 0, 0]))

    assert graph.tensors[graph.operators[1].inputs[1]].whole_numbers() == [7, 9]
    with pytest.raises(InvalidModel, match="lies outside of the file"):
        tflite_graph.read(model)


def test_old_files_have_their_operators_in_another_field() -> None:
    def make_old(model: Any) -> None:
        for code in model.operatorCodes:
            code.builtinCode = 0

    assert tflite_graph.read(altered(make_old)).operators[0].name == "CONV_2D"


def test_operators_of_newer_tools_are_named_or_numbered() -> None:
    def make_new(model: Any) -> None:
        for code, number in zip(model.operatorCodes, (tfl.BuiltinOperator.GELU, 999), strict=True):
            code.builtinCode, code.deprecatedBuiltinCode = number, 127

    operators = tflite_graph.read(altered(make_new)).operators
    assert [operator.name for operator in operators] == ["GELU", "operator code 999"]


def graph_of(model: Any) -> Any:
    return model.subgraphs[0]


def scales_of_weights(model: Any, scales: list[float], zero_points: list[int]) -> None:
    quantization = graph_of(model).tensors[1].quantization
    quantization.scale, quantization.zeroPoint = scales, zero_points


def make_sparse(model: Any) -> None:
    graph_of(model).tensors[1].sparsity = tfl.SparsityParametersT()


def share(model: Any) -> None:
    graph_of(model).operators *= 200


def share_unused(model: Any) -> None:
    graph_of(model).tensors.extend([graph_of(model).tensors[1]] * 30)


DAMAGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "two graphs": (lambda m: m.subgraphs.append(graph_of(m)), "2 graphs instead of one"),
    "a huge shape": (lambda m: setattr(graph_of(m).tensors[0], "shape", [1 << 20, 1 << 20]), "has the shape"),
    "a negative shape": (lambda m: setattr(graph_of(m).tensors[0], "shape", [1, -8, 8, 3]), "has the shape"),
    "many dimensions": (lambda m: setattr(graph_of(m).tensors[0], "shape", [1] * 9), "9 dimensions of tensor 0"),
    "a shape that its bytes do not fill": (
        lambda m: setattr(graph_of(m).tensors[1], "shape", [5, 8, 8, 4]),
        r"tensor 1, uint8 \[5, 8, 8, 4\], has 960 bytes",
    ),
    "a missing buffer": (lambda m: setattr(graph_of(m).tensors[1], "buffer", 99), "buffer 99 of"),
    "a missing tensor": (lambda m: setattr(graph_of(m).operators[0], "inputs", [99]), "tensor 99 of"),
    "an input left out at the end": (lambda m: setattr(graph_of(m), "inputs", [-1]), "tensor -1 of"),
    "a missing code": (lambda m: setattr(graph_of(m).operators[0], "opcodeIndex", 9), "9 code"),
    "many inputs": (lambda m: setattr(graph_of(m).operators[0], "inputs", [0] * 17), "17 inputs"),
    "no options": (lambda m: setattr(graph_of(m).operators[0], "builtinOptionsType", 0), "CONV_2D without Conv2D"),
    "two inputs": (lambda m: setattr(graph_of(m), "inputs", [0, 0]), "2 inputs and 1 output"),
    "a scale of 0": (lambda m: scales_of_weights(m, [0.0], [0]), "scale that is not above 0"),
    "a scale that is no number": (lambda m: scales_of_weights(m, [float("nan")], [0]), "scale that is not above 0"),
    "an endless scale": (lambda m: scales_of_weights(m, [float("inf")], [0]), "scale that is not above 0"),
    "a zero point of another type": (lambda m: scales_of_weights(m, [1.0], [-1]), "zero point that is no uint8"),
    "scales for some channels": (lambda m: scales_of_weights(m, [1.0] * 4, [0] * 4), "has 4 scales"),
    "fewer zero points": (lambda m: scales_of_weights(m, [1.0] * 5, [0]), "has 5 scales, 1 zero points"),
    "sparse weights": (make_sparse, "tensor 1 is sparse"),
    "one constant for every operator": (share, "bytes of constants in a file of"),
    "one buffer for many tensors": (share_unused, "bytes of constants in a file of"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_does_not_hold_together_is_refused(case: str) -> None:
    change, says = DAMAGE[case]

    with pytest.raises(InvalidModel, match=f"^the TFLite model is damaged: .*{says}"):
        tflite_graph.read(altered(change))


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\3\4" + bytes(100), b"\0\0\0\0TFL4"])
def test_another_file_is_no_model(data: bytes) -> None:
    with pytest.raises(InvalidModel, match=r"^not a TFLite model"):
        tflite_graph.read(data)


def test_a_model_cut_off_anywhere_is_one_line() -> None:
    model = tiny_models.model()
    for size in range(8, len(model) - 600, 97):
        with pytest.raises(InvalidModel, match=r"^the TFLite model is damaged: [^\n]+$"):
            tflite_graph.read(model[:size])


def test_bytes_changed_at_random_give_a_model_or_one_line() -> None:
    tflite_to_onnx = pytest.importorskip("birdlite.convert.tflite_to_onnx").tflite_to_onnx
    pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    refused = refusals(lambda model: tflite_to_onnx(model, quantize="int8"), tiny_models.model())
    assert len(refused) > 100
    assert not [message for message in refused if "\n" in message]


# The rules of the format


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "before", "after", "out"),
    [
        (9, 3, 1, 1, 0, 1, 1, 9),
        (8, 3, 2, 1, 0, 0, 1, 4),  # the odd pixel goes behind
        (9, 3, 2, 1, 0, 1, 1, 5),
        (9, 3, 1, 2, 0, 2, 2, 9),
        (5, 1, 2, 1, 0, 0, 0, 3),  # a window smaller than its stride needs no padding
        (9, 3, 2, 1, 1, 0, 0, 4),
        (9, 3, 1, 2, 1, 0, 0, 5),
    ],
)
def test_a_window_lies_where_tensorflow_puts_it(
    size: int, kernel: int, stride: int, dilation: int, padding: int, before: int, after: int, out: int
) -> None:
    options = {"StrideH": stride, "StrideW": 1, "Padding": padding}
    window = window_of(options, (size, 4), (kernel, 1), (dilation, 1))

    assert (window.before[0], window.after[0], window.out[0]) == (before, after, out)
    assert (window.before[1], window.after[1], window.out[1]) == (0, 0, 4)


@pytest.mark.parametrize(
    ("fused", "grid", "floats", "integers"),
    [
        (0, Grid(0.1, 128), (None, None), (None, None)),  # a sum of either sign
        (0, Grid(6 / 255, 0), RELU6, (None, None)),
        (0, Grid(5.9953 / 255, 0), RELU6, (None, None)),  # the official model's first
        (0, Grid(1 / 128, 0), (0, 255 / 128), (None, None)),
        (1, Grid(0.01, 0), (0, None), (None, None)),
        (1, Grid(0.01, 9), (0, None), (0, None)),
        (2, Grid(0.01, 128), (-1, 1), (-1, 1)),
        (2, Grid(1 / 128, 128), (-1, 1), (None, None)),
        (3, Grid(0.1, 128), (0, 6), (0, 6)),
        (3, Grid(0.1, 0), (0, 6), (None, 6)),
        (3, Grid(6 / 255, 0), (0, 6), (None, None)),
        (3, None, (0, 6), (0, 6)),
    ],
)
def test_an_activation_is_cut_off_where_the_grid_does_not(
    fused: int, grid: Grid | None, floats: tuple[float, float], integers: tuple[float, float]
) -> None:
    assert limits_in_floats(fused, grid) == Limits(*floats)
    assert limits_in_integers(fused, grid) == Limits(*integers)
