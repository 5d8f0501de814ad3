"""A result as the JSON object that `json` and `jsonl` print. Its field names and their order are a promise to users.

`--names` does not change it: records always carry the scientific and the common name. A step that a picture did not
reach has null for its time; without times there is no `timing_ms` at all.
"""

from __future__ import annotations

import json

from birdlite.results import Prediction, Result
from birdlite.writers.escape import encodable


def record(result: Result, *, times: bool) -> dict[str, object]:
    """Make the record of one result, ready for JSON."""
    failure = result.failure
    found: dict[str, object] = {
        "index": result.index,
        "target": result.target,
        "status": "ok" if failure is None else "error",
    }
    if failure is not None:
        found["error"] = {"kind": failure.kind, "message": failure.message}
    found["predictions"] = [_prediction(prediction) for prediction in result.predictions]
    if result.image is not None:
        found["image"] = result.image._asdict()
    if times and result.times is not None:
        found["timing_ms"] = {step: milliseconds(value) for step, value in result.times._asdict().items()}
    return found


def _prediction(prediction: Prediction) -> dict[str, object]:
    return {
        "rank": prediction.rank,
        "id": prediction.id,
        "name": prediction.name,
        "common_name": prediction.common_name,
        "score": score(prediction.score),
    }


def score(value: float) -> float:
    """Keep the digits that mean something: the uint8 model's steps are 1/256, a float32 has seven digits."""
    return round(value, 6)


def milliseconds(value: float | None) -> float | None:
    """Round a time to 0.1 ms."""
    return None if value is None else round(value, 1)


def to_json(value: object) -> str:
    """One line of JSON that any UTF-8 stream can carry. Letters outside ASCII stay readable."""
    return encodable(json.dumps(value, ensure_ascii=False))
