"""Files keep every text: what the standard library reads back is what was written, whoever splits the lines."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path

import pytest

from birdlite.batch.files import read_records, result_of
from birdlite.results import Failure, ImageInfo, Prediction, Result, RunSummary
from birdlite.writers import open_writer
from birdlite.writers.base import Format, ModelFacts, RunFacts, WriterOptions
from birdlite.writers.output import open_output
from birdlite.writers.record import to_json
from tests import hostile
from tests.page import read, rows

ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})")


@pytest.fixture(params=hostile.TEXTS)
def text(request: pytest.FixtureRequest) -> str:
    return hostile.TEXTS[request.param]


@pytest.fixture
def results(text: str) -> tuple[Result, ...]:
    """A picture with two candidates, and a failure, whose every text is hostile."""
    candidates = Prediction(1, 7, text, 0.5, text), Prediction(2, 8, f"a{text}", 0.25)
    return Result(0, f"a{text}", candidates, ImageInfo(1, 1, text, 1)), Result(1, text, Failure("network", text))


def written(path: Path, chosen: Format, *results: Result) -> bytes:
    """What a file holds after these results."""
    model = ModelFacts(results[-1].target, "a" * 64, results[-1].target, 1)
    with open_output(str(path), chosen) as output:
        writer = open_writer(chosen, output.stream, WriterOptions(times=False))
        for result in results:
            writer.write(result)
        writer.finish(RunFacts(RunSummary(2, 1, 1, 0.0, 0.0), model))
    return path.read_bytes()


def strict(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")


def original(cell: str) -> str:
    """What a cell of CSV stood for, as docs/records.md explains it."""
    return ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), cell.removeprefix("'"))


def test_json_lines_are_records_for_whoever_splits_the_lines(
    tmp_path: Path, results: tuple[Result, ...], text: str
) -> None:
    data = written(tmp_path / "a.jsonl", "jsonl", *results)

    for lines in (data.split(b"\n")[:-1], data.splitlines(), data.decode().splitlines()):
        one, other = [json.loads(line, parse_constant=strict) for line in lines]
        assert (one["target"], other["target"], other["error"]["message"]) == (f"a{text}", text, text)
        assert [one["predictions"][0][key] for key in ("name", "common_name")] == [text, text]


def test_json_lines_become_the_same_results_again(tmp_path: Path, results: tuple[Result, ...]) -> None:
    written(tmp_path / "a.jsonl", "jsonl", *results)

    assert tuple(map(result_of, read_records(str(tmp_path / "a.jsonl"))[1])) == results


def test_a_json_document_holds_every_text(tmp_path: Path, results: tuple[Result, ...], text: str) -> None:
    document = json.loads(written(tmp_path / "a.json", "json", *results), parse_constant=strict)

    assert [one["target"] for one in document["results"]] == [f"a{text}", text]
    assert document["model"]["name"] == text


@pytest.mark.parametrize("how", ["csv", "split at LF", "splitlines"])
def test_csv_has_a_line_for_each_row(tmp_path: Path, results: tuple[Result, ...], how: str) -> None:
    data = written(tmp_path / "a.csv", "csv", *results).decode()

    lines = data.split("\r\n")[:-1] if how == "split at LF" else data.splitlines()
    assert len(lines) == 4
    assert hostile.forged(data) == []
    assert [line.partition(",")[0] for line in lines] == ["index", "0", "0", "1"]
    if how == "csv":
        assert list(csv.reader(lines)) == list(csv.reader(io.StringIO(data, newline="")))


def test_every_text_can_be_had_back_from_csv(tmp_path: Path, results: tuple[Result, ...], text: str) -> None:
    data = written(tmp_path / "a.csv", "csv", *results).decode()

    first, second, third = csv.DictReader(io.StringIO(data, newline=""))

    cells = [first["target"], first["name"], first["common_name"], second["name"], third["target"]]
    assert [original(cell) for cell in cells] == [f"a{text}", text, text, f"a{text}", text]
    assert original(third["error_message"]) == text


def test_text_has_no_line_of_a_names_own(tmp_path: Path, results: tuple[Result, ...]) -> None:
    shown = written(tmp_path / "a.txt", "text", *results).decode()

    assert len(shown.splitlines()) == 5
    assert (hostile.forged(shown), hostile.intruders(shown)) == ([], set())


def test_a_page_shows_every_text_and_obeys_none(tmp_path: Path, results: tuple[Result, ...]) -> None:
    document = written(tmp_path / "a.html", "html", *results).decode()

    assert hostile.intruders(document) == set()
    assert [row[0] for row in rows(read(document))] == ["0", "1"]


@pytest.fixture(params=[math.nan, math.inf, -math.inf])
def no_number(request: pytest.FixtureRequest) -> float:
    return float(request.param)


def test_what_is_no_number_is_null_in_json(tmp_path: Path, no_number: float) -> None:
    broken = Result(0, "a.jpg", (Prediction(1, 7, "a", no_number), Prediction(2, 8, "b", 0.5)))

    for chosen in ("json", "jsonl"):
        document = json.loads(written(tmp_path / "a", chosen, broken), parse_constant=strict)
        record = document["results"][0] if chosen == "json" else document
        assert [one["score"] for one in record["predictions"]] == [None, 0.5]
    assert to_json({"a": [(no_number, 1.5)]}, indent=1).split() == [
        "{",
        '"a":',
        "[",
        "[",
        "null,",
        "1.5",
        "]",
        "]",
        "}",
    ]
