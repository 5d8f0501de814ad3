"""TensorFlow Lite models on a Python `Interpreter`: that of LiteRT's wheel or that of tflite-runtime, which are alike.

`litert` comes here where LiteRT's C library cannot be used, and `tflite` always. Loading takes 150 ms more than the C
library does (NumPy); LiteRT's answers are the same either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from birdlite.engines import contract
from birdlite.engines.base import ModelBytes, Pixels
from birdlite.engines.native_stderr import Caught
from birdlite.errors import EngineError, InvalidModel
from birdlite.models.card import Card, Tensor
from birdlite.tflite import check


class Runtime(NamedTuple):
    """A package that has an `Interpreter`."""

    engine: str  # what the engine is called that runs on it
    title: str  # what the package is called in messages
    interpreter: Callable[..., Any]  # the class `Interpreter`


def of_litert(engine: str) -> Runtime:
    """The interpreter of LiteRT's wheel, for the engine of that name.

    Raises:
        ImportError: the wheel, or NumPy, is not installed.
    """
    from ai_edge_litert.interpreter import Interpreter

    return Runtime(engine, "LiteRT", Interpreter)


def describe(runtime: Runtime, model: ModelBytes) -> tuple[Tensor, Tensor]:
    """Read the one input and the one output of a model.

    Raises:
        InvalidModel: it is no model, or not of that kind.
        EngineError: the runtime cannot read it.
    """
    with Caught():
        return _ends(_opened(runtime, model, 1))


def load(runtime: Runtime, model: ModelBytes, card: Card, threads: int) -> InterpreterEngine:
    """Make an engine on a model that is what its card says.

    Raises:
        InvalidModel: it is no model, or not that one.
        EngineError: the runtime cannot run it.
    """
    with Caught():
        interpreter = _opened(runtime, model, threads)
        input_, output = _ends(interpreter)
        contract.check_model(input_, output, card)
        try:
            interpreter.allocate_tensors()
        except RuntimeError as error:
            raise EngineError(f"{runtime.title} could not prepare the model: {contract.one_line(error)}") from None
    return InterpreterEngine(runtime, interpreter, card.side, output)


class InterpreterEngine:
    """An interpreter with its tensors. Made by `load`."""

    def __init__(self, runtime: Runtime, interpreter: Any, side: int, output: Tensor) -> None:
        self.name = runtime.engine
        self._title = runtime.title
        self._interpreter = interpreter
        self._side = side
        self._scores = None if output.dtype == "float32" else contract.score_table(output)

    @property
    def works_in_integers(self) -> bool:
        """Whether the network itself is quantised, and not only its two ends."""
        ends = [*self._interpreter.get_input_details(), *self._interpreter.get_output_details()]
        outer = {end["index"] for end in ends}
        return any(
            tensor["dtype"].__name__ in ("uint8", "int8") and tensor["index"] not in outer
            for tensor in self._interpreter.get_tensor_details()
        )

    def run(self, pixels: Pixels, n: int = 1) -> list[list[float]]:
        """See `Engine.run`."""
        if self._interpreter is None:
            raise EngineError("this engine was closed")
        return [self._run_one(picture) for picture in contract.pictures(pixels, n, self._side)]

    def close(self) -> None:
        """See `Engine.close`."""
        self._interpreter = None

    def _run_one(self, picture: memoryview) -> list[float]:
        import numpy

        interpreter = self._interpreter
        (input_,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
        data = numpy.frombuffer(picture, numpy.uint8).reshape(1, self._side, self._side, 3)
        interpreter.set_tensor(input_["index"], data)
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise EngineError(f"{self._title} could not run the model: {contract.one_line(error)}") from None
        stored: bytes = interpreter.get_tensor(output["index"]).tobytes()
        if self._scores is None:
            return contract.floats(stored)
        return [self._scores[byte] for byte in stored]


def _opened(runtime: Runtime, model: ModelBytes, threads: int) -> Any:
    contract.check_not_empty(model)
    check.check_whole(memoryview(model))
    try:
        return runtime.interpreter(model_content=bytes(model), num_threads=threads)
    except ValueError:
        raise InvalidModel("not a TensorFlow Lite model, or a damaged one") from None
    except RuntimeError as error:  # whole, but with operations that the runtime does not have
        raise EngineError(f"{runtime.title} could not prepare the model: {contract.one_line(error)}") from None


def _ends(interpreter: Any) -> tuple[Tensor, Tensor]:
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
