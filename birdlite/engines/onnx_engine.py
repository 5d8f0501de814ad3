"""The engine `onnx`: ONNX models on ONNX Runtime's CPU kernels.

The model is always optimised in full for this CPU when it is loaded. On the birds that takes 4 ms, and less for a model
that `birdlite convert` has optimised as far as holds for every CPU; without it each picture takes 5 ms more.
"""

from __future__ import annotations

import re
from typing import Any

from birdlite.engines import contract
from birdlite.engines.contract import Pixels
from birdlite.errors import EngineError, EngineMissing, InvalidModel, installing, one_line
from birdlite.models.card import Card, ModelBytes, Tensor, spell

# Pictures that go through together where the model takes any number. For the birds each takes 11 MB meanwhile; 4 are up
# to a tenth quicker than one by one, and 8 no quicker than 4.
_AT_ONCE = 4

_SEVERITY_FATAL = 4  # all else that ONNX Runtime would print comes as an exception too, or is a matter of taste
_NO_MODEL = ("INVALID_PROTOBUF", "No graph was found in the protobuf", "Missing opset in the model")
_INVALID = ("InvalidGraph", "InvalidArgument", "UnicodeDecodeError")
# ONNX Runtime calls a graph with an operation that it does not have invalid; for us the runtime lacks something.
_UNKNOWN_OPERATION = ("No Op registered for", "No opset import for domain")

# `[ONNXRuntimeError] : 1 : FAIL : /its/sources/model.cc:245 onnxruntime::Model::Model(...) `, before what it has to say
_PREAMBLE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |\S*\.(?:cc|h):\d+ (?:[\w:<>&*, ]*::[\w<>]+\([^()]*\) )?"
)


def runtime() -> Any:
    """The package `onnxruntime`.

    NumPy is imported first: onnxruntime imports an inner module of it. If another thread (decoding for
    `--resize exact`) imports NumPy at that moment, each waits for the other, and one gets an unfinished NumPy.

    Raises:
        EngineMissing: it is not installed.
    """
    try:
        import numpy  # noqa: F401
        import onnxruntime
    except ImportError as error:
        why = one_line(error)
        raise EngineMissing(f"ONNX Runtime is not installed: {installing('onnx')} ({why})") from None
    return onnxruntime


def describe(model: ModelBytes) -> tuple[Tensor, Tensor]:
    """See `Runtime.describe`."""
    return _ends(_session(model, 1))


def identity() -> str:
    """See `Runtime.identity`."""
    onnxruntime = runtime()
    return f"onnx {onnxruntime.__version__} {contract.build_of(onnxruntime.__file__)}"


def load(model: ModelBytes, card: Card, threads: int) -> OnnxEngine:
    """See `Runtime.load`."""
    session = _session(model, threads)
    input_, output = _ends(session)
    contract.check_model(input_, output, card)
    if output.dtype != "float32":
        raise InvalidModel(f"the model gives {spell(output)}; only float32 can be read from an onnx model")
    return OnnxEngine(session, card.side, card.classes, any_batch=input_.shape[0] == output.shape[0] == -1)


class OnnxEngine:
    """A session of ONNX Runtime. Made by `load`."""

    name = "onnx"

    def __init__(self, session: Any, side: int, classes: int, *, any_batch: bool) -> None:
        self._session = session
        self._side = side
        self._classes = classes
        self._at_once = _AT_ONCE if any_batch else 1

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """See `Engine.run`."""
        if self._session is None:
            raise EngineError("this engine was closed")
        view, size = contract.whole(pixels, n, self._side), self._side * self._side * 3
        rows: list[list[float]] = []
        for start in range(0, n, self._at_once):
            count = min(self._at_once, n - start)
            rows += self._run(view[start * size : (start + count) * size], count)
        return rows

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = None

    def _run(self, pixels: memoryview, n: int) -> list[list[float]]:
        import numpy

        session = self._session
        (input_,), (output,) = session.get_inputs(), session.get_outputs()
        batch = numpy.frombuffer(pixels, numpy.uint8).reshape(n, self._side, self._side, 3)
        try:
            found = session.run([output.name], {input_.name: batch})[0]
        except _errors() as error:
            raise EngineError(f"ONNX Runtime could not run the model: {_said(error)}") from None
        if found.shape != (n, self._classes):
            raise EngineError(f"the model gave scores of shape {[*found.shape]}, not {[n, self._classes]}")
        rows: list[list[float]] = found.tolist()
        return rows


def _session(model: ModelBytes, threads: int) -> Any:
    """ONNX Runtime's session on a model."""
    onnxruntime = runtime()
    data = bytes(model)  # ONNX Runtime takes nothing else; no copy where it is that already
    _refuse_external_weights(data)
    options = onnxruntime.SessionOptions()
    # Left to itself, ONNX Runtime counts the cores of the host, whatever the container may use.
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _SEVERITY_FATAL
    # Without VNNI, the fast kernels for uint8 times int8 overflow 16 bits: scores are off by up to 0.08. This takes
    # exact ones there, and changes nothing on a processor with VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never ONNX Runtime's own format
    try:
        return onnxruntime.InferenceSession(
            data,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # which would print on standard output, and try the same again
            read_config_from_model=0,  # a model must not change the options above
        )
    except _errors() as error:
        raise _refusal(error) from None


def _refuse_external_weights(model: bytes) -> None:
    """Refuse a model that keeps weights in other files, before ONNX Runtime reads these from the current folder.

    A model is checked against the sha256 of one file, so its weights must be in that file. A tensor names another file,
    or an address in memory, under the key `location`, and ONNX Runtime refuses a tensor that has only other keys. In a
    protobuf message the key stands behind its length, 8, whose last byte is 8, or 0 in an unusual encoding. So no
    message can hide it from this search. It also refuses a model with a tensor called exactly `location`.

    Raises:
        InvalidModel: it has such a tensor.
    """
    place = model.find(b"location")  # 5 ms for 4 MB
    while place > 0:
        if model[place - 1] in (8, 0):
            raise InvalidModel("the model keeps weights in other files; only one that is a single file can be run")
        place = model.find(b"location", place + 1)


def _ends(session: Any) -> tuple[Tensor, Tensor]:
    """The one input and the one output."""
    try:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        kinds = [(end.shape, end.type) for end in (*inputs, *outputs)]
    except _errors() as error:
        raise _refusal(error) from None
    contract.check_one_of_each(len(inputs), len(outputs), 1)
    return _tensor(*kinds[0]), _tensor(*kinds[1])


def _tensor(shape: list[int | str | None], type_: str) -> Tensor:
    """A tensor as ONNX Runtime describes it: `tensor(uint8)`; also `seq(...)` and `map(...)`, which no card knows."""
    sizes = tuple(size if isinstance(size, int) else -1 for size in shape)
    dtype = type_.removeprefix("tensor(").removesuffix(")")
    return contract.tensor(sizes, "float32" if dtype == "float" else dtype, 1.0, 0, per_tensor=True)


def _errors() -> tuple[type[Exception], ...]:
    """Everything that ONNX Runtime raises. Its exceptions have no ancestor in common but `Exception`.

    RuntimeError is what other C++ exceptions become, and ValueError comes of names that are not UTF-8.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*kinds, RuntimeError, ValueError)


def _refusal(error: Exception) -> InvalidModel | EngineError:
    text = str(error)
    if any(sign in text for sign in _NO_MODEL):
        return InvalidModel("not an ONNX model, or a damaged one")
    invalid = type(error).__name__ in _INVALID or "This is an invalid model" in text
    if invalid and not any(sign in text for sign in _UNKNOWN_OPERATION):
        return InvalidModel(f"a damaged ONNX model, or no valid one: {_said(error)}")
    return EngineError(f"ONNX Runtime could not prepare the model: {_said(error)}")


def _said(error: Exception) -> str:
    """What ONNX Runtime had to say, without the place in its sources where it says it."""
    return one_line(_PREAMBLE.sub("", str(error)))
