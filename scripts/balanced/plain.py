"""The plain way to serve: NumPy, Pillow, httpx and LiteRT's Interpreter, one picture after the other.

    python -m scripts.balanced.plain MODEL LABELS PORT

It answers what `scripts/balanced/load.py` asks, as published answers to the task do at best: the model is loaded once,
inference runs in a thread, and nothing is bounded. `BIRDLITE_MIRROR` counts as it does for birdlite.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route


class Model:
    """The interpreter and the labels."""

    def __init__(self, model: str, labels: str) -> None:
        self._interpreter = Interpreter(model_path=model, num_threads=1)
        self._interpreter.allocate_tensors()
        (self._put,) = self._interpreter.get_input_details()
        (self._got,) = self._interpreter.get_output_details()
        with Path(labels).open(encoding="utf-8") as file:
            self._names = {int(row["id"]): row["name"] for row in csv.DictReader(file)}

    def classify(self, data: bytes) -> list[dict[str, Any]]:
        """The three best names."""
        side = self._put["shape"][1]
        image = Image.open(io.BytesIO(data)).convert("RGB")
        larger = round(side * 256 / 224) / min(image.size)
        image = image.resize((round(image.width * larger), round(image.height * larger)), Image.Resampling.BILINEAR)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        pixels = np.asarray(image.crop((left, top, left + side, top + side)))
        self._interpreter.set_tensor(self._put["index"], pixels[np.newaxis])
        self._interpreter.invoke()
        scale, zero_point = self._got["quantization"]
        scores = (self._interpreter.get_tensor(self._got["index"])[0].astype(np.float32) - zero_point) * scale
        best = np.argsort(-scores, kind="stable")[:3]
        return [{"name": self._names[int(key)], "score": float(scores[key])} for key in best]


def app(model: Model, mirror: str) -> Starlette:
    """The application."""
    client = httpx.AsyncClient(timeout=30)
    one_at_a_time = asyncio.Lock()

    async def classify(request: Request) -> JSONResponse:
        if request.method == "POST":
            data = await request.body()
        else:
            url = (
                request.query_params["url"].replace("https://", f"{mirror}/") if mirror else request.query_params["url"]
            )
            data = (await client.get(url)).raise_for_status().content
        async with one_at_a_time:
            return JSONResponse({"predictions": await run_in_threadpool(model.classify, data)})

    async def ready(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("ready")

    return Starlette(routes=[Route("/v1/classify", classify, methods=["GET", "POST"]), Route("/readyz", ready)])


def main(model: str, labels: str, port: str) -> None:
    """Serve."""
    mirror = os.environ.get("BIRDLITE_MIRROR", "")
    uvicorn.run(app(Model(model, labels), mirror), host="0.0.0.0", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
