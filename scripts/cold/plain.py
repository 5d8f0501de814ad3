"""The plain way to name birds: NumPy, Pillow and a runtime's own Python package. `scripts/bench_cold.py` times it.

    python plain.py litert|onnxruntime MODEL LABELS PICTURE...

MODEL (.tflite, or what `birdlite convert` made of it), LABELS and the PICTUREs are paths or URLs, downloaded all at
once. Prints a line a picture: three times name and score. The picture is resized as by birdlite's `crop`.
"""

import csv
import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Classify = Callable[[Any], Any]  # pixels [1, side, side, 3] uint8 -> scores [classes] float


def read(source: str) -> bytes:
    """The bytes of a file or a URL."""
    if "://" not in source:
        return Path(source).read_bytes()
    from urllib.request import urlopen

    with urlopen(source) as response:
        return bytes(response.read())


def litert(model: bytes) -> tuple[int, Classify]:
    """The side of the model's input, and the model."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    put, got = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = got["quantization"]

    def classify(pixels: Any) -> Any:
        interpreter.set_tensor(put["index"], pixels)
        interpreter.invoke()
        return (interpreter.get_tensor(got["index"])[0].astype(np.float32) - zero_point) * scale

    return put["shape"][1], classify


def onnx(model: bytes) -> tuple[int, Classify]:
    """As `litert`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    put = session.get_inputs()[0]
    return put.shape[1], lambda pixels: session.run(None, {put.name: pixels})[0][0]


runtime, *sources = sys.argv[1:]
with ThreadPoolExecutor(16) as pool:
    model, label_map, *pictures = pool.map(read, sources)

names = {int(row["id"]): row["name"] for row in csv.DictReader(io.StringIO(label_map.decode()))}
side, classify = (onnx if runtime == "onnxruntime" else litert)(model)

for source, picture in zip(sources[2:], pictures, strict=True):
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    larger = round(side * 256 / 224) / min(image.size)
    image = image.resize((round(image.width * larger), round(image.height * larger)), Image.Resampling.BILINEAR)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    pixels = np.asarray(image.crop((left, top, left + side, top + side)))
    scores = classify(pixels[np.newaxis])
    best = np.argsort(-scores, kind="stable")[:3]
    print(source, *(f"{names[key]}\t{scores[key]:.6f}" for key in best), sep="\t")
