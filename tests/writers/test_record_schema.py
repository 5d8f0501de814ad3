"""birdlite/writers/record.schema.json describes every record that birdlite writes, and nothing else."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from birdlite import Classifier, FetchSettings, Settings
from birdlite.images.frame import Format
from birdlite.models.catalog import DEMO_MODEL
from birdlite.results import Failure, FailureKind, ImageInfo, Prediction, Result, RunSummary, Times
from birdlite.writers import open_writer
from birdlite.writers.base import RunFacts, WriterOptions
from tests.demo_world import PICTURES

Record = dict[str, Any]
ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "birdlite" / "writers" / "record.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)

IMAGE = ImageInfo(550, 367, "JPEG", 18250)
TIMES = Times(41.23, 3.06, 6.0, 52.75)
ROBIN = Prediction(1, 556, "Erithacus rubecula", 0.8633, "European Robin")
OK = Result(0, "https://example.org/robin.jpg", (ROBIN, Prediction(2, 964, "background", 0.1)), IMAGE, TIMES)
FAILURES = [
    Result(1, "a.jpg", Failure(kind, "a.jpg: a reason"), times=times)
    for kind in get_args(FailureKind)
    for times in (None, Times(None, None, None, 0.4), Times(12.0, None, None, 12.5))
]


def written(result: Result, *, times: bool = True) -> Record:
    stream = io.StringIO()
    open_writer("jsonl", stream, WriterOptions(times=times)).write(result)
    (line,) = stream.getvalue().splitlines()
    record: Record = json.loads(line)
    return record


def faults_of(document: Record, validator: Draft202012Validator = VALIDATOR) -> list[str]:
    return [error.message for error in validator.iter_errors(document)]


def test_the_schema_is_valid() -> None:
    assert faults_of(SCHEMA, Draft202012Validator(Draft202012Validator.META_SCHEMA)) == []


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize(
    "result",
    [OK, OK._replace(outcome=()), OK._replace(target="caf\udce9.jpg"), OK._replace(times=None), *FAILURES],
)
def test_every_kind_of_record_fits(result: Result, times: bool) -> None:
    assert faults_of(written(result, times=times)) == []


def test_the_results_of_a_json_document_fit() -> None:
    stream = io.StringIO()
    writer = open_writer("json", stream, WriterOptions())
    for result in (OK, *FAILURES):
        writer.write(result)
    writer.finish(RunFacts(RunSummary(31, 1, 30, 100.0, 10.0)))

    for record in json.loads(stream.getvalue())["results"]:
        assert faults_of(record) == []


def test_the_records_of_a_real_run_fit(warm_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(PICTURES[0].read_bytes()[:-100])
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "folder").mkdir()
    names = [PICTURES[0], Path("absent.jpg"), tmp_path / "cut.jpg", tmp_path / "text.jpg", tmp_path / "folder"]
    settings = Settings(model=DEMO_MODEL, cache_dir=str(warm_cache), fetch=FetchSettings(offline=True))

    with Classifier(settings) as birds:
        results = list(birds.classify_many([*map(str, names), "https://example.org/a.jpg", "ftp://example.org/a.jpg"]))

    kinds = [None if result.failure is None else result.failure.kind for result in results]
    assert kinds == [None, "not_found", "decode", "not_an_image", "not_found", "blocked", "unsupported"]
    for result in results:
        assert faults_of(written(result)) == []


def test_the_schema_knows_the_kinds_of_failure_and_the_formats() -> None:
    properties = SCHEMA["properties"]

    assert tuple(properties["error"]["properties"]["kind"]["enum"]) == get_args(FailureKind)
    assert tuple(properties["image"]["properties"]["format"]["enum"]) == get_args(Format)


def test_the_order_of_fields_is_that_of_the_schema() -> None:
    record = written(OK)

    assert list(record) == [name for name in SCHEMA["properties"] if name != "error"]
    assert list(record["predictions"][0]) == list(SCHEMA["$defs"]["prediction"]["properties"])


SPOILERS: dict[str, Callable[[Record], object]] = {
    "a new field": lambda record: record.update(new=1),
    "a field is missing": lambda record: record.pop("target"),
    "an unknown status": lambda record: record.update(status="maybe"),
    "ok and an error": lambda record: record.update(error={"kind": "decode", "message": "x"}),
    "an error without a reason": lambda record: record.update(status="error", predictions=[]),
    "an error with predictions": lambda record: record.update(status="error", error={"kind": "decode", "message": "x"}),
    "an unknown kind of failure": lambda record: record.update(
        status="error", predictions=[], error={"kind": "odd", "message": "x"}
    ),
    "a score above 1": lambda record: record["predictions"][0].update(score=1.1),
    "a rank from 0": lambda record: record["predictions"][0].update(rank=0),
    "a time that is text": lambda record: record["timing_ms"].update(fetch="41 ms"),
    "an unknown format": lambda record: record["image"].update(format="PSD"),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_what_is_not_a_record_does_not_fit(name: str) -> None:
    record = copy.deepcopy(written(OK))
    SPOILERS[name](record)

    assert not VALIDATOR.is_valid(record)
