"""An ONNX model with its graph optimised once, so that loading it is quick. Called for every ONNX result.

ONNX Runtime's level EXTENDED: what every CPU can run. Level ALL would tie the file to the CPU that it was made on; the
engine does that last step when it loads, in about half the time that it takes for a model as converted.
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
    onnxruntime = runtime()
    with tempfile.TemporaryDirectory(prefix="birdlite-convert-") as folder:
        path = os.path.join(folder, "model.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = path
        options.log_severity_level = 4  # only what is fatal
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        with open(path, "rb") as file:
            return file.read()
