"""The engine `litert`: TensorFlow Lite models on LiteRT's C library, without NumPy or the wheel's Python code.

A model takes five handles, released the last first: environment (logger and accelerators), model (a view of the
caller's bytes), compiled model (weights packed for this CPU), input buffer, output buffer. An environment costs 0.1 ms,
so every engine has its own and engines share nothing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref
from typing import Literal

from birdlite.engines import contract
from birdlite.engines import litert_library as c
from birdlite.engines.contract import Pixels
from birdlite.errors import EngineError, InvalidModel
from birdlite.models.card import Card, ModelBytes, Tensor
from birdlite.native_stderr import Caught

End = Literal["Input", "Output"]

# Flatbuffers align what they hold to at most 16 bytes, counted from the start of the file.
_ALIGNMENT = 16

_leave_payload = c.PayloadDestructor(lambda _payload: None)  # Python owns the options' text


class CLibrary:
    """LiteRT's library. Implements `Runtime`."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def describe(self, model: ModelBytes) -> tuple[Tensor, Tensor]:
        """See `Runtime.describe`."""
        handles = _Handles()
        try:
            with Caught():
                loaded = _Loaded(self._library, model, handles)
            return loaded.tensor("Input"), loaded.tensor("Output")
        finally:
            handles.close()

    def identity(self) -> str:
        """See `Runtime.identity`."""
        return f"litert {contract.build_of(c.library_file())}"

    def load(self, model: ModelBytes, card: Card, threads: int) -> LitertEngine:
        """See `Runtime.load`. `threads` are LiteRT's own."""
        handles = _Handles()
        caught = Caught()
        try:
            with caught:
                loaded = _Loaded(self._library, model, handles)
                output = loaded.tensor("Output")
                contract.check_model(loaded.tensor("Input"), output, card)
                loaded.compile(threads)
                loaded.allocate(output)
                return LitertEngine(loaded, card.side, output)
        except BaseException as error:
            handles.close()
            if isinstance(error, EngineError) and caught.error:
                raise EngineError(f"{error} ({caught.error})") from None
            raise


class LitertEngine:
    """A compiled model with its two buffers. Made by `CLibrary.load`."""

    name = "litert"

    def __init__(self, loaded: _Loaded, side: int, output: Tensor) -> None:
        self._loaded = loaded
        self._side = side
        self._classes = output.shape[-1]
        self._scores = None if output.dtype == "float32" else contract.score_table(output)
        self._input = loaded.buffer("Input", side * side * 3)
        self._output = loaded.buffer("Output", self._classes * (4 if self._scores is None else 1))

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """See `Engine.run`."""
        if self._loaded.handles.closed:
            raise EngineError("this engine was closed")
        return [self._run_one(picture) for picture in contract.pictures(pixels, n, self._side)]

    def close(self) -> None:
        """See `Engine.close`."""
        self._loaded.handles.close()

    def _run_one(self, picture: memoryview) -> list[float]:
        self._input.write(picture)
        self._loaded.run(self._input, self._output)
        if self._scores is None:
            return contract.floats(self._output.read(4 * self._classes))
        return [self._scores[byte] for byte in self._output.read(self._classes)]


def _check(status: int, doing: str) -> None:
    if status:
        raise EngineError(f"LiteRT could not {doing}: {c.STATUS_NAMES.get(status, f'status {status}')}")


class _Handles:
    """What must be released, and the bytes that must stay where they are until then."""

    def __init__(self) -> None:
        self._releases: list[tuple[Callable[[ctypes.c_void_p], None], ctypes.c_void_p]] = []
        self._pinned: object = None
        self.closed = False

    def add(self, handle: ctypes.c_void_p, release: Callable[[ctypes.c_void_p], None]) -> ctypes.c_void_p:
        self._releases.append((release, handle))
        return handle

    def pin(self, model: ModelBytes) -> int:
        """Give the address of the first byte, good until `close`. Odd addresses and read-only views are copied."""
        if isinstance(model, bytes):
            address, self._pinned = ctypes.c_void_p.from_buffer(ctypes.c_char_p(model)).value or 0, model
        else:
            address, self._pinned = _pointer(bytearray(model) if memoryview(model).readonly else model)
        if address % _ALIGNMENT:
            address, self._pinned = _pointer(bytearray(model))
        return address

    def close(self) -> None:
        self.closed = True
        while self._releases:
            release, handle = self._releases.pop()
            release(handle)
        self._pinned = None  # a map that the bytes are in can be closed from here on


def _pointer(data: bytearray | memoryview) -> tuple[int, ctypes.c_char]:
    first = ctypes.c_char.from_buffer(data)  # holds on to `data`
    return ctypes.addressof(first), first


class _Loaded:
    """An environment with a model in it, later a compiled one. Every handle made goes to `handles`."""

    def __init__(self, library: ctypes.CDLL, model: ModelBytes, handles: _Handles) -> None:
        size = memoryview(model).nbytes
        self.library = library
        self.handles = handles
        options = (c.EnvOption * 2)(
            c.EnvOption(c.TAG_MIN_SEVERITY, c.AnyValue(c.ANY_INT, c.SEVERITY_SILENT)),
            c.EnvOption(c.TAG_ACCELERATORS, c.AnyValue(c.ANY_INT, c.ACCELERATOR_CPU)),
        )
        self._environment = ctypes.c_void_p()
        _check(library.LiteRtCreateEnvironment(len(options), options, byref(self._environment)), "start")
        handles.add(self._environment, library.LiteRtDestroyEnvironment)
        self._model = ctypes.c_void_p()
        # LiteRT verifies every offset in the file before it follows one, so cut or overwritten files end here. What it
        # does not see is a complete file that describes an impossible network: one turned bit in 5,000 of a tiny model
        # makes XNNPACK crash. A checksum helps against that, and `trial` helps files without one.
        if library.LiteRtCreateModelFromBuffer(self._environment, handles.pin(model), size, byref(self._model)):
            raise InvalidModel("not a TensorFlow Lite model, or a damaged one")
        handles.add(self._model, library.LiteRtDestroyModel)
        self._signature = self._only_signature()
        self._compiled = ctypes.c_void_p()

    def _only_signature(self) -> ctypes.c_void_p:
        """Find the signature. A model that has none, such as Google's, is given one by LiteRT."""
        signature = ctypes.c_void_p()
        signatures, inputs, outputs = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_size_t()
        _check(self.library.LiteRtGetNumModelSignatures(self._model, byref(signatures)), "count signatures")
        _check(self.library.LiteRtGetModelSignature(self._model, 0, byref(signature)), "read the signature")
        _check(self.library.LiteRtGetNumSignatureInputs(signature, byref(inputs)), "count inputs")
        _check(self.library.LiteRtGetNumSignatureOutputs(signature, byref(outputs)), "count outputs")
        contract.check_one_of_each(inputs.value, outputs.value, signatures.value)
        return signature

    def tensor(self, end: End) -> Tensor:
        """Read the model's one input or output.

        Raises:
            InvalidModel: it is of a kind that no card can describe.
        """
        kind, tensor = self._type(end), self._tensor(end)
        element = c.ELEMENT_TYPES.get(kind.element_type, f"element type {kind.element_type}")
        shape = tuple(kind.layout.dimensions[: kind.layout.rank])
        scheme = ctypes.c_int()
        _check(self.library.LiteRtGetQuantizationTypeId(tensor, byref(scheme)), "read the quantisation")
        scale, zero_point = 1.0, 0
        if scheme.value == c.QUANTIZATION_PER_TENSOR:
            found = c.PerTensorQuantization()
            _check(self.library.LiteRtGetPerTensorQuantization(tensor, byref(found)), "read the quantisation")
            scale, zero_point = found.scale, found.zero_point
        return contract.tensor(
            shape,
            element,
            scale,
            zero_point,
            per_tensor=scheme.value in (c.QUANTIZATION_NONE, c.QUANTIZATION_PER_TENSOR),
        )

    def _tensor(self, end: End) -> ctypes.c_void_p:
        tensor = ctypes.c_void_p()
        by_index = getattr(self.library, f"LiteRtGetSignature{end}TensorByIndex")
        _check(by_index(self._signature, 0, byref(tensor)), f"find the {end.lower()}")
        return tensor

    def _type(self, end: End) -> c.RankedTensorType:
        kind = c.RankedTensorType()
        if self.library.LiteRtGetRankedTensorType(self._tensor(end), byref(kind)):
            raise InvalidModel(f"the {end.lower()} of the model has no fixed number of dimensions")
        return kind

    def compile(self, threads: int) -> None:
        """Pack the weights for this CPU."""
        settings = ctypes.create_string_buffer(f"num_threads = {threads}\n".encode())
        library, options, cpu_options = self.library, ctypes.c_void_p(), ctypes.c_void_p()
        _check(library.LiteRtCreateOptions(byref(options)), "make options")
        try:
            _check(library.LiteRtSetOptionsHardwareAccelerators(options, c.ACCELERATOR_CPU), "choose the CPU")
            status = library.LiteRtCreateOpaqueOptions(b"xnnpack", settings, _leave_payload, byref(cpu_options))
            _check(status, "make CPU options")
            status = library.LiteRtAddOpaqueOptions(options, cpu_options)
            if status:
                library.LiteRtDestroyOpaqueOptions(cpu_options)
            _check(status, "set CPU options")
            status = library.LiteRtCreateCompiledModel(self._environment, self._model, options, byref(self._compiled))
            _check(status, "compile the model")
            self.handles.add(self._compiled, library.LiteRtDestroyCompiledModel)
        finally:
            library.LiteRtDestroyOptions(options)

    def allocate(self, output: Tensor) -> None:
        """Lay out the memory between input and output: left to the first run, an impossible network would show then."""
        found = c.Layout()
        status = self.library.LiteRtGetCompiledModelOutputTensorLayouts(self._compiled, 0, 1, byref(found), True)
        _check(status, "prepare the model")
        shape = found.dimensions[: found.rank]
        if shape != [1, *output.shape[1:]]:
            raise InvalidModel(f"the model says that it gives {list(output.shape)}, but makes {shape} of its input")

    def buffer(self, end: End, size: int) -> _Buffer:
        """Memory of at least `size` bytes for one picture or its scores."""
        library, requirements, handle = self.library, ctypes.c_void_p(), ctypes.c_void_p()
        requirements_of = getattr(library, f"LiteRtGetCompiledModel{end}BufferRequirements")
        _check(requirements_of(self._compiled, 0, 0, byref(requirements)), f"measure the {end.lower()}")
        kind = self._type(end)
        kind.layout.dimensions[0] = 1  # where the model takes any number of pictures
        status = library.LiteRtCreateManagedTensorBufferFromRequirements(
            self._environment, byref(kind), requirements, byref(handle)
        )
        _check(status, f"allocate the {end.lower()}")
        self.handles.add(handle, library.LiteRtDestroyTensorBuffer)
        found = ctypes.c_size_t()
        _check(library.LiteRtGetTensorBufferSize(handle, byref(found)), f"measure the {end.lower()}")
        if found.value < size:
            raise InvalidModel(f"the {end.lower()} of the model has {found.value} bytes, not the {size} of its shape")
        return _Buffer(library, handle)

    def run(self, input_: _Buffer, output: _Buffer) -> None:
        _check(
            self.library.LiteRtRunCompiledModel(self._compiled, 0, 1, input_.array, 1, output.array), "run the model"
        )


class _Buffer:
    """A tensor's memory. It must be locked while it is touched."""

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self._library = library
        self._handle = handle
        self._address = ctypes.c_void_p()
        self.array = (ctypes.c_void_p * 1)(handle)  # as `run` takes it

    def write(self, data: memoryview) -> None:
        """Put `data` at its start."""
        address = self._lock(c.LOCK_WRITE)
        try:
            memoryview((ctypes.c_ubyte * data.nbytes).from_address(address)).cast("B")[:] = data
        finally:
            self._unlock()

    def read(self, size: int) -> bytes:
        """Its first `size` bytes."""
        address = self._lock(c.LOCK_READ)
        try:
            return ctypes.string_at(address, size)
        finally:
            self._unlock()

    def _lock(self, mode: int) -> int:
        _check(self._library.LiteRtLockTensorBuffer(self._handle, byref(self._address), mode), "lock a buffer")
        return self._address.value or 0

    def _unlock(self) -> None:
        _check(self._library.LiteRtUnlockTensorBuffer(self._handle), "unlock a buffer")
