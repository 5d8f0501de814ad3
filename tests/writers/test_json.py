"""Records, JSON lines and JSON, byte for byte."""

from __future__ import annotations

import io
import json
import os
import tracemalloc

import pytest

from birdlite.results import Failure, ImageInfo, Prediction, Result, RunSummary, Times
from birdlite.timing import Breakdown, StageTime
from birdlite.writers import open_writer
from birdlite.writers.base import Format, ModelFacts, Names, RunFacts, WriterOptions
from birdlite.writers.record import record

ROBIN = Result(
    0,
    "https://example.org/a.jpg",
    (Prediction(1, 556, "Erithacus rubecula", 221 / 256, "European Robin"), Prediction(2, 964, "background", 1 / 256)),
    ImageInfo(550, 367, "JPEG", 18250),
    Times(41.23, 3.06, 6.0, 52.7499),
)
MISSING = Result(1, "missing.jpg", Failure("not_found", "missing.jpg: no such file"))
HALF_WAY = Result(
    2, "b.jpg", Failure("decode", "b.jpg: cut off"), ImageInfo(8, 8, "PNG", 99), Times(1.0, None, None, 2.0)
)

ROBIN_JSON = (
    '{"index": 0, "target": "https://example.org/a.jpg", "status": "ok", "predictions": ['
    '{"rank": 1, "id": 556, "name": "Erithacus rubecula", "common_name": "European Robin", "score": 0.863281}, '
    '{"rank": 2, "id": 964, "name": "background", "common_name": null, "score": 0.003906}], '
    '"image": {"width": 550, "height": 367, "format": "JPEG", "bytes": 18250}, '
    '"timing_ms": {"fetch": 41.2, "decode": 3.1, "infer": 6.0, "total": 52.7}}'
)
MISSING_JSON = (
    '{"index": 1, "target": "missing.jpg", "status": "error", '
    '"error": {"kind": "not_found", "message": "missing.jpg: no such file"}, "predictions": []}'
)
HALF_WAY_JSON = (
    '{"index": 2, "target": "b.jpg", "status": "error", "error": {"kind": "decode", "message": "b.jpg: cut off"}, '
    '"predictions": [], "image": {"width": 8, "height": 8, "format": "PNG", "bytes": 99}, '
    '"timing_ms": {"fetch": 1.0, "decode": null, "infer": null, "total": 2.0}}'
)

RUN = RunFacts(
    RunSummary(2, 1, 1, 312.44, 3.20061),
    ModelFacts("birds-v1-lite", "95f5", "litert", 1),
    Breakdown(312.44, (StageTime("imports", 21.0, 20.4, 3), StageTime("decode", 300.00049, 288.8, 2)), 3.24),
)


def written(chosen: Format, *results: Result, run: RunFacts = RUN, times: bool = True, names: Names = "both") -> str:
    stream = io.StringIO()
    writer = open_writer(chosen, stream, WriterOptions(times=times, names=names))
    for result in results:
        writer.write(result)
    writer.finish(run)
    return stream.getvalue()


class TestRecord:
    @pytest.mark.parametrize(
        ("result", "text"), [(ROBIN, ROBIN_JSON), (MISSING, MISSING_JSON), (HALF_WAY, HALF_WAY_JSON)]
    )
    def test_a_record_has_exactly_the_documented_form(self, result: Result, text: str) -> None:
        assert json.dumps(record(result, times=True)) == text

    def test_without_times_a_record_has_none(self) -> None:
        assert list(record(ROBIN, times=False)) == ["index", "target", "status", "predictions", "image"]


class TestJsonLines:
    def test_each_result_is_a_line(self) -> None:
        assert written("jsonl", ROBIN, MISSING) == f"{ROBIN_JSON}\n{MISSING_JSON}\n"

    def test_a_run_without_results_is_an_empty_file(self) -> None:
        assert written("jsonl") == ""

    @pytest.mark.parametrize("names", ["scientific", "common"])
    def test_records_have_both_names_whatever_text_shows(self, names: Names) -> None:
        assert written("jsonl", ROBIN, names=names) == ROBIN_JSON + "\n"

    def test_a_line_reaches_the_reader_at_once(self) -> None:
        read_end, write_end = os.pipe()
        with open(read_end, "rb", buffering=0) as reader, open(write_end, "w", encoding="utf-8") as stream:
            open_writer("jsonl", stream, WriterOptions()).write(MISSING)
            assert reader.read(1000).decode() == MISSING_JSON + "\n"

    @pytest.mark.parametrize(
        ("target", "text"),
        [
            ("Möwe × 写真.jpg", "Möwe × 写真.jpg"),
            ("m\udcf6we×.jpg", "m\\udcf6we×.jpg"),
            ('"\\\n\x1b\u2028', '\\"\\\\\\n\\u001b\\u2028'),
        ],
    )
    def test_names_are_readable_and_come_back_unchanged(self, target: str, text: str) -> None:
        line = written("jsonl", MISSING._replace(target=target))
        assert f'"target": "{text}"' in line
        assert json.loads(line.encode("utf-8"))["target"] == target
        assert line.count("\n") == 1


class TestJson:
    def test_the_document_holds_results_model_summary_and_timing(self) -> None:
        assert written("json", ROBIN, MISSING) == (
            '{"results": [\n'
            f"{ROBIN_JSON},\n"
            f"{MISSING_JSON}\n"
            "],\n"
            '"model": {"name": "birds-v1-lite", "sha256": "95f5", "engine": "litert", "threads": 1},\n'
            '"summary": {"targets": 2, "ok": 1, "failed": 1, "wall_ms": 312.4, "images_per_second": 3.2, '
            '"interrupted": false, "skipped": {}},\n'
            '"timing": {"wall_ms": 312.44, "stages": ['
            '{"stage": "imports", "spent_ms": 21.0, "critical_ms": 20.4, "count": 3}, '
            '{"stage": "decode", "spent_ms": 300.0, "critical_ms": 288.8, "count": 2}], "other_ms": 3.24}}\n'
        )

    def test_without_results_the_document_is_whole(self) -> None:
        assert json.loads(written("json"))["results"] == []

    def test_a_run_that_is_interrupted_before_its_model_is_open_leaves_a_whole_document(self) -> None:
        run = RunFacts(RunSummary(1, 0, 1, 5.0, 0.0, interrupted=True))
        document = json.loads(written("json", MISSING, run=run))
        assert list(document) == ["results", "model", "summary"]
        assert document["model"] is None
        assert document["summary"]["interrupted"] is True

    def test_without_times_two_runs_give_the_same_bytes(self) -> None:
        slow = RUN._replace(summary=RUN.summary._replace(wall_ms=999.0, images_per_second=0.1), timing=None)
        late = ROBIN._replace(times=Times(1.0, 2.0, 3.0, 4.0))
        first = written("json", ROBIN, times=False)
        assert first == written("json", late, run=slow, times=False)
        assert json.loads(first)["summary"] == {
            "targets": 2,
            "ok": 1,
            "failed": 1,
            "interrupted": False,
            "skipped": {},
        }
        assert "timing" not in json.loads(first)

    def test_nothing_is_written_before_the_first_result(self) -> None:
        stream = io.StringIO()
        open_writer("json", stream, WriterOptions())
        assert stream.getvalue() == ""

    def test_results_are_not_kept(self) -> None:
        with open(os.devnull, "w", encoding="utf-8") as stream:
            writer = open_writer("json", stream, WriterOptions())
            writer.write(ROBIN)
            tracemalloc.start()
            try:
                for _ in range(5000):
                    writer.write(ROBIN)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            writer.finish(RUN)
        assert peak < 200_000  # bytes; the records together have 2.3 MB
