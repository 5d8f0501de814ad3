"""TensorFlow Lite's schema: its numbers as they stand in a file, and the rules that a file does not state.

The numbers are from tensorflow/lite/schema/schema.fbs, which only ever grows at its ends. `flatbuffer` reads, checks
and writes by them. The rules say where a window lies and what an activation cuts off;
`convert.tflite_to_onnx` calls them for each operator.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from birdlite.errors import InvalidModel

IDENTIFIER = b"TFL3"
VERSION = 3  # of the schema, the only one in use

TENSOR_TYPES = (
    *("float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64"),
    *("complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16"),
)
"""By number, as NumPy calls them."""

_OPERATORS = """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
    FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION
    LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH
    CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
    BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
    BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
    ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE
    TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK
    LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD
    RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N
    GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
    NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
    PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE
    HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE
    BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1
"""
OPERATORS = tuple(_OPERATORS.split())
"""By number. Those that came later are not in image classifiers; messages give their numbers."""

LAST_OLD_OPERATOR = 127  # higher numbers do not fit into the older of the two fields that hold one


class Field(NamedTuple):
    """A field of a table: a number, a vector, or another table."""

    number: int
    of: str  # a code of `struct` for numbers, else the name of a table
    vector: bool  # [B] is bytes, or a string
    default: int  # of a number that is left out


def _fields(text: str) -> dict[str, Field]:
    found = {}
    for number, field in enumerate(text.split()):
        name, _, kind = field.partition(":")
        kind, _, default = kind.partition("=")
        found[name] = Field(number, kind.strip("[]"), kind.startswith("["), int(default or 0))
    return found


OPTIONS = "Options"  # a table whose kind stands in the field before it, see `OPTIONS_KINDS`
OTHER = "Other"  # a table that runtimes do not follow further

_WINDOW = "Padding:b StrideW:i StrideH:i"
_DILATION = "DilationWFactor:i=1 DilationHFactor:i=1"
_ACTIVATION = "FusedActivationFunction:b"

TABLES = {
    name: _fields(text)
    for name, text in {
        "Model": (
            "version:I operator_codes:[OperatorCode] subgraphs:[Subgraph] description:[B] buffers:[Buffer] "
            "metadata_buffers:[i] metadata:[Metadata] signatures:[Signature]"
        ),
        "OperatorCode": "old_code:b custom_code:[B] version:i code:i",
        "Subgraph": "tensors:[Tensor] inputs:[i] outputs:[i] operators:[Operator] name:[B]",
        "Tensor": (
            "shape:[i] type:b buffer:I name:[B] quantization:Quantization variable:? sparsity:Other open_shape:[i]"
        ),
        "Quantization": "minimum:[f] maximum:[f] scale:[f] zero_point:[q] details_type:B details:Other dimension:i",
        "Operator": (
            "code_index:I inputs:[i] outputs:[i] options_type:B options:Options custom_options:[B] custom_format:b "
            "mutated:[?] intermediates:[i]"
        ),
        "Buffer": "data:[B] offset:Q size:Q",
        "Metadata": "name:[B] buffer:I",
        "Signature": "inputs:[End] outputs:[End] key:[B]",
        "End": "name:[B]",
        OTHER: "",
        "Conv2DOptions": f"{_WINDOW} {_ACTIVATION} {_DILATION}",
        "DepthwiseConv2DOptions": f"{_WINDOW} DepthMultiplier:i {_ACTIVATION} {_DILATION}",
        "Pool2DOptions": f"{_WINDOW} FilterWidth:i FilterHeight:i {_ACTIVATION}",
        "FullyConnectedOptions": f"{_ACTIVATION} WeightsFormat:b",
        "SoftmaxOptions": "Beta:f",
        "AddOptions": _ACTIVATION,
        "MulOptions": _ACTIVATION,
        "ReducerOptions": "KeepDims:?",
        **dict.fromkeys(("ReshapeOptions", "PadOptions", "DequantizeOptions", "QuantizeOptions"), ""),
    }.items()
}
"""The fields of each table, by name, in the order of their numbers; of options, those that image classifiers need."""

_OPTIONS = """
    1 Conv2DOptions CONV_2D
    2 DepthwiseConv2DOptions DEPTHWISE_CONV_2D
    5 Pool2DOptions AVERAGE_POOL_2D MAX_POOL_2D
    8 FullyConnectedOptions FULLY_CONNECTED
    9 SoftmaxOptions SOFTMAX
    11 AddOptions ADD
    17 ReshapeOptions RESHAPE
    21 MulOptions MUL
    22 PadOptions PAD
    27 ReducerOptions MEAN
    38 DequantizeOptions DEQUANTIZE
    89 QuantizeOptions QUANTIZE
"""
_KINDS = [line.split() for line in _OPTIONS.strip().splitlines()]
OPTIONS_KINDS = {int(number): kind for number, kind, *_ in _KINDS}
"""The kinds of options by their number in the union of all."""

OPTIONS_OF = {operator: int(number) for number, _, *operators in _KINDS for operator in operators}
"""The number of an operator's kind of options."""

# The rules that a file does not state

ELSEWHERE = "; for other models than plain quantised ones, try tf2onnx, which the extra convert brings"

SIGN = 128  # between an int8 and the uint8 that stands for the same value

_LAST = 255  # the highest uint8
_SAME, _VALID = 0, 1  # the schema's Padding


class Grid(NamedTuple):
    """The 256 values that an activation can have: scale * (stored - zero_point), where stored is a uint8."""

    scale: float
    zero_point: int


class Limits(NamedTuple):
    """Where an activation function cuts off, below and above. None is nowhere."""

    lower: float | None
    upper: float | None


class Window(NamedTuple):
    """How a window moves over a picture. All are (height, width), px."""

    strides: tuple[int, int]
    before: tuple[int, int]  # padding above and on the left
    after: tuple[int, int]
    out: tuple[int, int]  # size of the result


NOWHERE, RELU, RELU6 = Limits(None, None), Limits(0, None), Limits(0, 6)
_FUSED = {0: NOWHERE, 1: RELU, 2: Limits(-1, 1), 3: RELU6}  # by the schema's ActivationFunctionType


def limits_in_integers(fused: int, grid: Grid | None) -> Limits:
    """What a node of its own must cut off before a result is put on `grid`: nothing where the grid ends anyway.

    `fused` is the number of the operator's activation function.
    """
    lower, upper = _activation(fused)
    if grid is None:
        return Limits(lower, upper)
    if lower is not None and grid.zero_point + round(lower / grid.scale) <= 0:
        lower = None
    if upper is not None and grid.zero_point + round(upper / grid.scale) >= _LAST:
        upper = None
    return Limits(lower, upper)


def limits_in_floats(fused: int, grid: Grid | None) -> Limits:
    """What a node must cut off where there is no grid any more: what the source's activation function cuts off.

    A source may say none, but its grid begin at 0, as it does behind a Relu: old converters, such as that of the
    official model, left the activation to the grid. Such a source saturates at both ends of the grid, and so must the
    result; but a grid that ends within one step of 6 is that of a Relu6, whose end was rounded. All other grids belong
    to sums of either sign and were chosen wide enough for them; where those saturate, it is by accident.
    """
    said = _activation(fused)
    if said != NOWHERE or grid is None or grid.zero_point != 0:
        return said
    end = _LAST * grid.scale
    return RELU6 if abs(end - 6) <= grid.scale else Limits(0, end)


def _activation(fused: int) -> Limits:
    if fused not in _FUSED:
        raise InvalidModel(f"its activation function, number {fused}, is not known here{ELSEWHERE}")
    return _FUSED[fused]


def window_of(
    options: dict[str, Any], size: tuple[int, int], kernel: tuple[int, int], dilations: tuple[int, int]
) -> Window:
    """Where a window of `kernel` px lies on a picture of `size` px. All are (height, width).

    Raises:
        InvalidModel: it cannot be moved so.
    """
    strides = (options["StrideH"], options["StrideW"])
    padding = options["Padding"]
    if min(*strides, *kernel, *dilations) < 1 or padding not in (_SAME, _VALID):
        raise InvalidModel(f"window {list(kernel)}, stride {list(strides)}, dilation {list(dilations)}")
    rows, columns = (
        _along_one_side(pixels, (extent - 1) * dilation + 1, stride, same=padding == _SAME)
        for pixels, extent, stride, dilation in zip(size, kernel, strides, dilations, strict=True)
    )
    before, after, out = zip(rows, columns, strict=True)
    return Window(strides, before, after, out)


def _along_one_side(pixels: int, reach: int, stride: int, *, same: bool) -> tuple[int, int, int]:
    """Padding before and after, and steps. With SAME every stride has its result; an odd pixel goes behind."""
    if not same:
        return 0, 0, (pixels - reach) // stride + 1
    steps = -(-pixels // stride)
    lacking = max((steps - 1) * stride + reach - pixels, 0)
    return lacking // 2, lacking - lacking // 2, steps
