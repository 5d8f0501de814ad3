"""ONNX models with their graphs optimised by ONNX Runtime.

`optimised` is called for every ONNX result, so that loading it is quick. It uses the level EXTENDED, which every CPU
can run. The level ALL would tie the file to the CPU that it was made on. So would a session that asks for exact
products (`session.x64quantprecision`): without VNNI it makes the weights uint8, which are slower on other CPUs. The
engine does both when it loads the model, in about half the time that it takes for a model as converted.

`fused` prepares a model of floats for int8: its biases and normalisations become part of its convolutions.
"""

from __future__ import annotations

import os
import tempfile

from birdlite.engines.onnx_engine import runtime


def optimised(model: bytes) -> bytes:
    """The same network with fused operators.

    Raises:
        EngineMissing: ONNX Runtime is not installed.
    """
    return _saved(model, "ORT_ENABLE_EXTENDED", {})


def fused(model: bytes) -> bytes:
    """The same network in standard operators, as few as possible; pairs of Q and DQ stay where they are.

    Raises:
        EngineMissing: ONNX Runtime is not installed.
    """
    return _saved(model, "ORT_ENABLE_BASIC", {"session.disable_quant_qdq": "1"})


def _saved(model: bytes, level: str, settings: dict[str, str]) -> bytes:
    onnxruntime = runtime()
    with tempfile.TemporaryDirectory(prefix="birdlite-convert-") as folder:
        path = os.path.join(folder, "model.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = path
        options.log_severity_level = 4  # only what is fatal
        for key, value in settings.items():
            options.add_session_config_entry(key, value)
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        with open(path, "rb") as file:
            return file.read()
