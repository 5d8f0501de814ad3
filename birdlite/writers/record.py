"""A result as a JSON record, and the writers of `--format jsonl` and `json`, which print records.

The names of a record's fields and their order are a promise to users; record.schema.json describes them.
"""

from __future__ import annotations

import json
import math

from birdlite.printable import encodable
from birdlite.results import Prediction, Result
from birdlite.timing import Breakdown
from birdlite.writers.base import LineWriter, RunFacts, TextSink, WriterOptions

_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}  # those that JSON lets stand in a text


def record(result: Result, *, times: bool) -> dict[str, object]:
    """The record of one result, ready for JSON."""
    failure = result.failure
    status = "ok" if failure is None else "error"
    found: dict[str, object] = {"index": result.index, "target": result.target, "status": status}
    if failure is not None:
        found["error"] = failure._asdict()
    found["predictions"] = [_prediction(prediction) for prediction in result.predictions]
    if result.image is not None:
        found["image"] = result.image._asdict()
    if times and result.times is not None:
        found["timing_ms"] = {step: milliseconds(value) for step, value in result.times._asdict().items()}
    return found


def _prediction(prediction: Prediction) -> dict[str, object]:
    found = prediction._asdict()
    found["score"] = score(found.pop("score"))  # the last field
    return found


def score(value: float) -> float:
    """Round to six digits: the uint8 model's steps are 1/256, and a float32 has seven digits."""
    return round(value, 6)


def milliseconds(value: float | None) -> float | None:
    """Round a time to 0.1 ms."""
    return None if value is None else round(value, 1)


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON for any UTF-8 stream; one line for every reader, unless indented. Letters outside ASCII stay readable.

    NaN and infinity, which JSON does not have, become null.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError:
        text = json.dumps(_with_nulls(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return text if text.isascii() or text.isprintable() else encodable(text.translate(_LINE_ENDS))


def _with_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_nulls(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_nulls(one) for one in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


class JsonLinesWriter(LineWriter):
    """Writes `--format jsonl`: a record a line, and nothing about the run. Each line is flushed at once."""

    def write(self, result: Result) -> None:
        """Write a line, and pass it to the file or the next program."""
        self._stream.write(to_json(record(result, times=self._options.times)) + "\n")
        self._stream.flush()


class JsonWriter:
    """Writes `--format json`: `results`, then `model`, `summary` and, unless times are off, `timing`.

    Records are written as they come, so a million of them are never in memory together.
    """

    def __init__(self, stream: TextSink, options: WriterOptions) -> None:
        self._stream = stream
        self._times = options.times
        self._before = '{"results": [\n'  # the text before the next record

    def write(self, result: Result) -> None:
        """Write a record."""
        self._stream.write(self._before + to_json(record(result, times=self._times)))
        self._before = ",\n"

    def finish(self, run: RunFacts) -> None:
        """Close the list and write the rest of the document."""
        end = '{"results": [],\n' if self._before.startswith("{") else "\n],\n"
        summary = run.summary._asdict()
        if self._times:
            summary["wall_ms"] = milliseconds(run.summary.wall_ms)
            summary["images_per_second"] = round(run.summary.images_per_second, 2)
        else:
            del summary["wall_ms"], summary["images_per_second"]
        end += f'"model": {to_json(run.model and run.model._asdict())},\n"summary": {to_json(summary)}'
        if self._times and run.timing is not None:
            end += f',\n"timing": {to_json(timing(run.timing))}'
        self._stream.write(end + "}\n")
        self._stream.flush()


def timing(breakdown: Breakdown) -> dict[str, object]:
    """The breakdown as JSON, in ms, with enough digits to add up."""
    return rounded(breakdown._asdict() | {"stages": [rounded(one._asdict(), 3) for one in breakdown.stages]}, 3)


def rounded(values: dict[str, object], digits: int) -> dict[str, object]:
    """The values, with so many digits behind the point."""
    return {key: round(value, digits) if isinstance(value, float) else value for key, value in values.items()}
