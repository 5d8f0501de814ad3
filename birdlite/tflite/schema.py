"""The numbers of TensorFlow Lite's schema: tables, fields, types and operators, as they stand in a file.

From tensorflow/lite/schema/schema.fbs, which only ever grows at its ends. `graph` and `check` read by them, `writer`
writes by them.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

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


class Model:
    """The fields of the table that a file begins with."""

    VERSION, OPERATOR_CODES, SUBGRAPHS, DESCRIPTION, BUFFERS, METADATA_BUFFERS, METADATA, SIGNATURES = range(8)


class OperatorCode:
    """Which operator, in which version."""

    OLD_CODE, CUSTOM_CODE, VERSION, CODE = range(4)


class Subgraph:
    """One function."""

    TENSORS, INPUTS, OUTPUTS, OPERATORS, NAME = range(5)


class Tensor:
    """One value or constant."""

    SHAPE, TYPE, BUFFER, NAME, QUANTIZATION, VARIABLE, SPARSITY, OPEN_SHAPE = range(8)


class Quantization:
    """How whole numbers stand for real ones."""

    MINIMUM, MAXIMUM, SCALE, ZERO_POINT, DETAILS_TYPE, DETAILS, DIMENSION = range(7)


class Operator:
    """One step."""

    CODE_INDEX, INPUTS, OUTPUTS, OPTIONS_TYPE, OPTIONS, CUSTOM_OPTIONS, CUSTOM_FORMAT, MUTATED, INTERMEDIATES = range(9)


class Buffer:
    """The bytes of a constant, in the table or behind it."""

    DATA, OFFSET, SIZE = range(3)


class Metadata:
    """A remark about the model."""

    NAME, BUFFER = range(2)


class Signature:
    """A function by its name."""

    INPUTS, OUTPUTS, KEY = range(3)


Kind: TypeAlias = "str | list[str] | int"
"""What a field leads to: a table, a vector of tables, or a vector of elements of so many bytes (1 for a string)."""

OTHER = "other"  # a table that runtimes do not follow further

LEADS_TO: dict[str, dict[int, Kind]] = {
    "model": {
        Model.OPERATOR_CODES: ["operator code"],
        Model.SUBGRAPHS: ["subgraph"],
        Model.DESCRIPTION: 1,
        Model.BUFFERS: ["buffer"],
        Model.METADATA_BUFFERS: 4,
        Model.METADATA: ["metadata"],
        Model.SIGNATURES: ["signature"],
    },
    "operator code": {OperatorCode.CUSTOM_CODE: 1},
    "subgraph": {
        Subgraph.TENSORS: ["tensor"],
        Subgraph.INPUTS: 4,
        Subgraph.OUTPUTS: 4,
        Subgraph.OPERATORS: ["operator"],
        Subgraph.NAME: 1,
    },
    "tensor": {
        Tensor.SHAPE: 4,
        Tensor.NAME: 1,
        Tensor.QUANTIZATION: "quantization",
        Tensor.SPARSITY: OTHER,
        Tensor.OPEN_SHAPE: 4,
    },
    "quantization": {
        Quantization.MINIMUM: 4,
        Quantization.MAXIMUM: 4,
        Quantization.SCALE: 4,
        Quantization.ZERO_POINT: 8,
        Quantization.DETAILS: OTHER,
    },
    "operator": {
        Operator.INPUTS: 4,
        Operator.OUTPUTS: 4,
        Operator.OPTIONS: OTHER,
        Operator.CUSTOM_OPTIONS: 1,
        Operator.MUTATED: 1,
        Operator.INTERMEDIATES: 4,
    },
    "buffer": {Buffer.DATA: 1},
    "metadata": {Metadata.NAME: 1},
    "signature": {Signature.INPUTS: ["end"], Signature.OUTPUTS: ["end"], Signature.KEY: 1},
    "end": {0: 1},
    OTHER: {},
}
"""By table: its fields that are no numbers, and what each of them leads to."""


class Option(NamedTuple):
    """A field of an operator's options."""

    field: int
    code: str  # of `struct`
    default: float = 0


class Options(NamedTuple):
    """The table that holds the options of an operator."""

    name: str
    number: int  # in the union of all
    fields: dict[str, Option]


_SAID = {"Padding": Option(0, "b"), "StrideW": Option(1, "i"), "StrideH": Option(2, "i")}
_POOL = Options(
    "Pool2DOptions",
    5,
    {
        **_SAID,
        "FilterWidth": Option(3, "i"),
        "FilterHeight": Option(4, "i"),
        "FusedActivationFunction": Option(5, "b"),
    },
)

OPTIONS: dict[str, Options] = {
    "CONV_2D": Options(
        "Conv2DOptions",
        1,
        {
            **_SAID,
            "FusedActivationFunction": Option(3, "b"),
            "DilationWFactor": Option(4, "i", 1),
            "DilationHFactor": Option(5, "i", 1),
        },
    ),
    "DEPTHWISE_CONV_2D": Options(
        "DepthwiseConv2DOptions",
        2,
        {
            **_SAID,
            "DepthMultiplier": Option(3, "i"),
            "FusedActivationFunction": Option(4, "b"),
            "DilationWFactor": Option(5, "i", 1),
            "DilationHFactor": Option(6, "i", 1),
        },
    ),
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "FULLY_CONNECTED": Options(
        "FullyConnectedOptions", 8, {"FusedActivationFunction": Option(0, "b"), "WeightsFormat": Option(1, "b")}
    ),
    "SOFTMAX": Options("SoftmaxOptions", 9, {"Beta": Option(0, "f")}),
    "ADD": Options("AddOptions", 11, {"FusedActivationFunction": Option(0, "b")}),
    "MUL": Options("MulOptions", 21, {"FusedActivationFunction": Option(0, "b")}),
    "RESHAPE": Options("ReshapeOptions", 17, {}),
    "PAD": Options("PadOptions", 22, {}),
    "MEAN": Options("ReducerOptions", 27, {"KeepDims": Option(0, "?")}),
    "DEQUANTIZE": Options("DequantizeOptions", 38, {}),
    "QUANTIZE": Options("QuantizeOptions", 89, {}),
}
"""By operator: the fields that matter to image classifiers."""
