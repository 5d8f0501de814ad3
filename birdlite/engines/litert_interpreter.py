"""LiteRT through the wheel's Python `Interpreter`: slower to load by 150 ms (NumPy), the same answers.

`litert` falls back to it where the C library or one of its functions is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdlite.engines import contract
from birdlite.engines.base import ModelBytes, Pixels
from birdlite.engines.native_stderr import Caught
from birdlite.errors import EngineError, EngineMissing, InvalidModel
from birdlite.models.card import Card, Tensor

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


def describe(model: ModelBytes) -> tuple[Tensor, Tensor]:
    """Read the one input and the one output of a model.

    Raises:
        InvalidModel: it is no model, or not of that kind.
        EngineMissing: the wheel is not installed.
    """
    with Caught():
        interpreter = _opened(model, 1)
    return _ends(interpreter)


def load(model: ModelBytes, card: Card, threads: int) -> InterpreterEngine:
    """Make an engine on a model that is what its card says.

    Raises:
        InvalidModel: it is no model, or not that one.
        EngineError: LiteRT cannot run it.
        EngineMissing: the wheel is not installed.
    """
    with Caught():
        interpreter = _opened(model, threads)
        input_, output = _ends(interpreter)
        contract.check_model(input_, output, card)
        try:
            interpreter.allocate_tensors()
        except RuntimeError as error:
            raise EngineError(f"LiteRT could not prepare the model: {_one_line(error)}") from None
    return InterpreterEngine(interpreter, card.side, output)


class InterpreterEngine:
    """The wheel's interpreter with its tensors. Made by `load`."""

    name = "litert (interpreter)"

    def __init__(self, interpreter: Interpreter, side: int, output: Tensor) -> None:
        self._interpreter: Interpreter | None = interpreter
        self._side = side
        self._scores = None if output.dtype == "float32" else contract.score_table(output)

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """See `Engine.run`."""
        if self._interpreter is None:
            raise EngineError("this engine was closed")
        interpreter = self._interpreter
        return [self._run_one(interpreter, picture) for picture in contract.pictures(pixels, n, self._side)]

    def close(self) -> None:
        """See `Engine.close`."""
        self._interpreter = None

    def _run_one(self, interpreter: Interpreter, picture: memoryview) -> list[float]:
        import numpy

        (input_,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
        data = numpy.frombuffer(picture, numpy.uint8).reshape(1, self._side, self._side, 3)
        interpreter.set_tensor(input_["index"], data)
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise EngineError(f"LiteRT could not run the model: {_one_line(error)}") from None
        stored: bytes = interpreter.get_tensor(output["index"]).tobytes()
        if self._scores is None:
            return contract.floats(stored)
        return [self._scores[byte] for byte in stored]


def _opened(model: ModelBytes, threads: int) -> Interpreter:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise EngineMissing(f"LiteRT is not installed: pip install ai-edge-litert ({_one_line(error)})") from None
    if memoryview(model).nbytes == 0:
        raise InvalidModel("the model file is empty")
    try:
        return Interpreter(model_content=bytes(model), num_threads=threads)
    except ValueError:
        raise InvalidModel("not a TensorFlow Lite model, or a damaged one") from None
    except RuntimeError as error:  # whole, but with operations that this LiteRT does not have
        raise EngineError(f"LiteRT could not prepare the model: {_one_line(error)}") from None


def _ends(interpreter: Interpreter) -> tuple[Tensor, Tensor]:
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    contract.check_one_of_each(len(inputs), len(outputs), len(interpreter.get_signature_list()))
    return _tensor(inputs[0]), _tensor(outputs[0])


def _tensor(details: dict[str, Any]) -> Tensor:
    scales = details["quantization_parameters"]["scales"]
    zero_points = details["quantization_parameters"]["zero_points"]
    scale, zero_point = (float(scales[0]), int(zero_points[0])) if len(scales) == 1 else (1.0, 0)
    return contract.tensor(
        tuple(map(int, details["shape"])), details["dtype"].__name__, scale, zero_point, per_tensor=len(scales) < 2
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
