"""TensorFlow Lite models on a Python `Interpreter`: that of LiteRT's wheel or that of tflite-runtime, which are alike.

The engine `litert` uses LiteRT's where its C library cannot be used. The engine `tflite` is for platforms without that
library, such as armv7 or an old Python: it uses tflite-runtime, which is small, and LiteRT's interpreter where
tflite-runtime is not installed. Loading takes 150 ms more than with the C library (NumPy); LiteRT's answers are the
same either way.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from birdlite import log
from birdlite.engines import contract
from birdlite.engines.contract import Pixels
from birdlite.errors import EngineError, EngineMissing, InvalidModel, installing, installing_package, one_line
from birdlite.models.card import Card, ModelBytes, Tensor
from birdlite.native_stderr import Caught
from birdlite.settings import EngineChoice
from birdlite.tflite.flatbuffer import check_whole

TFLITE_RUNTIME = "tflite-runtime"

_lock = threading.Lock()
_warned = False  # whether this process has warned of a slow kind of model


class PythonPackage(NamedTuple):
    """A package that has an `Interpreter`. Implements `Runtime`."""

    engine: str  # what the engine is called that runs on it
    title: str  # what the package is called in messages
    interpreter: Callable[..., Any]  # the class `Interpreter`

    def describe(self, model: ModelBytes) -> tuple[Tensor, Tensor]:
        """See `Runtime.describe`."""
        with Caught():
            return _ends(_open(self, model, 1))

    def identity(self) -> str:
        """See `Runtime.identity`."""
        return f"{self.engine} {contract.build_of(sys.modules[self.interpreter.__module__].__file__)}"

    def load(self, model: ModelBytes, card: Card, threads: int) -> InterpreterEngine:
        """See `Runtime.load`."""
        with Caught():
            interpreter = _open(self, model, threads)
            input_, output = _ends(interpreter)
            contract.check_model(input_, output, card)
            try:
                interpreter.allocate_tensors()
            except RuntimeError as error:
                raise EngineError(f"{self.title} could not prepare the model: {one_line(error)}") from None
        engine = InterpreterEngine(self, interpreter, card.side, output)
        # tflite-runtime 2.14, the last release, has fast kernels (XNNPACK) for networks of floats only. The birds
        # with one thread, in ms, beside LiteRT's: float 4.7 (3.3), int8 41 (1.5), uint8 63 (3.6).
        if self.title == TFLITE_RUNTIME and engine.works_in_integers:
            _warn_once(card)
        return engine


def find(engine: EngineChoice) -> PythonPackage:
    """The interpreter for an engine; for `auto`, LiteRT's before that of tflite-runtime.

    Raises:
        EngineMissing: it is not installed; the message names what to install.
    """
    if engine == "tflite":
        try:
            return _tflite_runtime()
        except ImportError as error:
            why = one_line(error)
        try:
            package = _litert("tflite (ai-edge-litert)")
        except ImportError:
            raise EngineMissing(f"tflite-runtime cannot be used: {installing('tflite')} ({why})") from None
        log.debug("tflite-runtime cannot be used; the interpreter of ai-edge-litert takes over", reason=why)
        return package
    try:
        return _litert("litert (interpreter)")
    except ImportError as error:
        how = installing_package("ai-edge-litert")
        missing = EngineMissing(f"LiteRT is not installed: {how} ({one_line(error)})")
    if engine == "litert":
        raise missing
    try:
        return _tflite_runtime()
    except ImportError:
        raise missing from None


def _litert(engine: str) -> PythonPackage:
    from ai_edge_litert.interpreter import Interpreter

    return PythonPackage(engine, "LiteRT", Interpreter)


def _tflite_runtime() -> PythonPackage:
    import numpy
    from tflite_runtime.interpreter import Interpreter

    if not numpy.__version__.startswith("1."):
        # Every tflite-runtime was built for NumPy 1. Under another it can be imported, and then fails at its first use.
        raise ImportError(f"it needs numpy<2, and {numpy.__version__} is installed")
    return PythonPackage("tflite", TFLITE_RUNTIME, Interpreter)


def _warn_once(card: Card) -> None:
    global _warned
    with _lock:
        if _warned:
            return
        _warned = True
    log.warning(
        "tflite-runtime runs quantised models some 20 times slower than LiteRT does; prefer the engine litert, or a "
        "model in floats, such as `birdlite convert --to tflite` makes",
        model=card.name,
    )


class InterpreterEngine:
    """An interpreter with a model. Made by `PythonPackage.load`."""

    def __init__(self, runtime: PythonPackage, interpreter: Any, side: int, output: Tensor) -> None:
        self.name = runtime.engine
        self._title = runtime.title
        self._interpreter = interpreter
        self._side = side
        self._scores = None if output.dtype == "float32" else contract.score_table(output)

    @property
    def works_in_integers(self) -> bool:
        """Whether the network itself is quantised, not only its input and output."""
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
            raise EngineError(f"{self._title} could not run the model: {one_line(error)}") from None
        stored: bytes = interpreter.get_tensor(output["index"]).tobytes()
        if self._scores is None:
            return contract.floats(stored)
        return [self._scores[byte] for byte in stored]


def _open(runtime: PythonPackage, model: ModelBytes, threads: int) -> Any:
    check_whole(memoryview(model))
    try:
        return runtime.interpreter(model_content=bytes(model), num_threads=threads)
    except ValueError:
        raise InvalidModel("not a TensorFlow Lite model, or a damaged one") from None
    except RuntimeError as error:  # whole, but with operations that the runtime does not have
        raise EngineError(f"{runtime.title} could not prepare the model: {one_line(error)}") from None


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
