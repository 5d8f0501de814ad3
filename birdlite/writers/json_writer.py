"""JSON: one document for the run, written as it goes, so that a million results are never in memory together."""

from __future__ import annotations

from birdlite.results import Result
from birdlite.timing import Breakdown
from birdlite.writers import RunFacts, TextSink, WriterOptions
from birdlite.writers.record import milliseconds, record, to_json


class JsonWriter:
    """Writes `--format json`: `results`, then `model`, `summary` and, unless times are off, `timing`."""

    def __init__(self, stream: TextSink, options: WriterOptions) -> None:
        self._stream = stream
        self._times = options.times
        self._before = '{"results": [\n'  # what stands before the next record

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
    """Put the breakdown into the shape that JSON has, in ms, exact enough to add up."""
    return {
        "wall_ms": round(breakdown.wall_ms, 3),
        "stages": [
            stage._asdict() | {"spent_ms": round(stage.spent_ms, 3), "critical_ms": round(stage.critical_ms, 3)}
            for stage in breakdown.stages
        ],
        "other_ms": round(breakdown.other_ms, 3),
    }
