"""The C library of LiteRT: where it is, and the functions that `litert` calls, declared for ctypes.

Facts come from the headers litert/c/*.h of google-ai-edge/LiteRT. Every call but the destroying ones returns a status,
0 for success. Structs and numbers below are part of its stable interface: the headers assert the sizes.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

# Of the wheel `ai-edge-litert`. The folder is looked up, not imported: importing it costs over 100 ms.
_PACKAGE = "ai_edge_litert"
_FILE = {"darwin": "libLiteRt.dylib", "win32": "libLiteRt.dll"}.get(sys.platform, "libLiteRt.so")

# litert_environment_options.h, litert_any.h, internal/litert_logging.h, litert_common.h
TAG_ACCELERATORS = 24  # which to register: any but the CPU's costs 10 to 30 ms of looking for their libraries
TAG_MIN_SEVERITY = 25
ANY_INT = 2
SEVERITY_SILENT = 4
ACCELERATOR_CPU = 1
LOCK_READ, LOCK_WRITE = 0, 1
QUANTIZATION_NONE, QUANTIZATION_PER_TENSOR = 0, 1

# litert_model_types.h; the same numbers as TFLite's own
ELEMENT_TYPES = {
    1: "float32",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float16",
    11: "float64",
}

# litert_common.h: those that loading or running a model can end in
STATUS_NAMES = {
    1: "invalid argument",
    2: "out of memory",
    3: "runtime failure",
    5: "unsupported",
    6: "not found",
    8: "wrong version",
    500: "file error",
    501: "invalid flatbuffer",
    504: "compilation failed",
    1000: "index out of bounds",
    1001: "invalid tensor type",
}


class Layout(ctypes.Structure):
    """LiteRtLayout: up to 8 dimensions, -1 where any size goes."""

    _fields_ = (
        ("rank", ctypes.c_uint32, 7),
        ("has_strides", ctypes.c_uint32, 1),
        ("dimensions", ctypes.c_int32 * 8),
        ("strides", ctypes.c_uint32 * 8),
    )


class RankedTensorType(ctypes.Structure):
    """LiteRtRankedTensorType."""

    _fields_ = (("element_type", ctypes.c_int32), ("layout", Layout))


class AnyValue(ctypes.Structure):
    """LiteRtAny with its union as an integer, the only member that we set."""

    _fields_ = (("type", ctypes.c_int), ("int_value", ctypes.c_int64))


class EnvOption(ctypes.Structure):
    """LiteRtEnvOption."""

    _fields_ = (("tag", ctypes.c_int), ("value", AnyValue))


class PerTensorQuantization(ctypes.Structure):
    """LiteRtQuantizationPerTensor."""

    _fields_ = (("scale", ctypes.c_float), ("zero_point", ctypes.c_int64))


PayloadDestructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_handle, _index, _int = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_out = ctypes.POINTER(_handle)  # where a new handle, or an address, is put
_count = ctypes.POINTER(_index)

_ARGUMENTS: dict[str, tuple[object, ...]] = {
    "LiteRtCreateEnvironment": (_int, ctypes.POINTER(EnvOption), _out),
    "LiteRtCreateModelFromBuffer": (_handle, _handle, _index, _out),
    "LiteRtGetNumModelSignatures": (_handle, _count),
    "LiteRtGetModelSignature": (_handle, _index, _out),
    "LiteRtGetNumSignatureInputs": (_handle, _count),
    "LiteRtGetNumSignatureOutputs": (_handle, _count),
    "LiteRtGetSignatureInputTensorByIndex": (_handle, _index, _out),
    "LiteRtGetSignatureOutputTensorByIndex": (_handle, _index, _out),
    "LiteRtGetRankedTensorType": (_handle, ctypes.POINTER(RankedTensorType)),
    "LiteRtGetQuantizationTypeId": (_handle, ctypes.POINTER(_int)),
    "LiteRtGetPerTensorQuantization": (_handle, ctypes.POINTER(PerTensorQuantization)),
    "LiteRtCreateOptions": (_out,),
    "LiteRtSetOptionsHardwareAccelerators": (_handle, _int),
    "LiteRtCreateOpaqueOptions": (ctypes.c_char_p, _handle, PayloadDestructor, _out),
    "LiteRtAddOpaqueOptions": (_handle, _handle),
    "LiteRtCreateCompiledModel": (_handle, _handle, _handle, _out),
    "LiteRtGetCompiledModelOutputTensorLayouts": (_handle, _index, _index, ctypes.POINTER(Layout), ctypes.c_bool),
    "LiteRtGetCompiledModelInputBufferRequirements": (_handle, _index, _index, _out),
    "LiteRtGetCompiledModelOutputBufferRequirements": (_handle, _index, _index, _out),
    "LiteRtCreateManagedTensorBufferFromRequirements": (_handle, ctypes.POINTER(RankedTensorType), _handle, _out),
    "LiteRtGetTensorBufferSize": (_handle, _count),
    "LiteRtLockTensorBuffer": (_handle, _out, _int),
    "LiteRtUnlockTensorBuffer": (_handle,),
    "LiteRtRunCompiledModel": (_handle, _index, _index, _out, _index, _out),
}
_DESTROYERS = (
    "LiteRtDestroyEnvironment",
    "LiteRtDestroyModel",
    "LiteRtDestroyOptions",
    "LiteRtDestroyOpaqueOptions",
    "LiteRtDestroyCompiledModel",
    "LiteRtDestroyTensorBuffer",
)

_loading = threading.Lock()
_loaded: dict[str, ctypes.CDLL] = {}


class LibraryUnusable(Exception):
    """The library is not there, does not load, or lacks a function. The message says which."""


def library_file() -> str | None:
    """Find the library of the installed wheel: in the first folder of `sys.path` that has it, as an import would."""
    for folder in sys.path:
        path = os.path.join(folder, _PACKAGE, _FILE)
        if os.path.isfile(path):
            return os.path.abspath(path)
    return None


def open_library() -> ctypes.CDLL:
    """Load the library once a process and declare its functions. ctypes releases the GIL during each call.

    Raises:
        LibraryUnusable: LiteRT's Python interpreter must be used.
    """
    path = library_file()
    if path is None:
        raise LibraryUnusable(f"no {_PACKAGE}/{_FILE} on the module search path")
    with _loading:
        if path not in _loaded:
            try:
                _loaded[path] = _declared(ctypes.CDLL(path))
            except (OSError, AttributeError) as error:
                raise LibraryUnusable(str(error)) from None
        return _loaded[path]


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    for name, arguments in _ARGUMENTS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, ctypes.c_int
    for name in _DESTROYERS:
        function = getattr(library, name)
        function.argtypes, function.restype = (_handle,), None
    return library
