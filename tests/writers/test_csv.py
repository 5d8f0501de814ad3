"""CSV, read back by the standard library, and safe in a spreadsheet."""

from __future__ import annotations

import csv
import io
import os

import pytest

from birdlite.results import Failure, Prediction, Result, RunSummary, Times
from birdlite.writers import open_writer
from birdlite.writers.base import RunFacts, WriterOptions

RUN = RunFacts(RunSummary(0, 0, 0, 1.0, 0.0))
ROBIN = Result(
    0,
    "a.jpg",
    (Prediction(1, 556, "Erithacus rubecula", 0.8633, "European Robin"), Prediction(2, 964, "background", 0.004)),
    times=Times(41.23, None, 6.0, 52.75),
)
MISSING = Result(1, "missing.jpg", Failure("not_found", "missing.jpg: no such file"))


def written(*results: Result, times: bool = False) -> str:
    stream = io.StringIO(newline="")
    writer = open_writer("csv", stream, WriterOptions(times=times))
    for result in results:
        writer.write(result)
    writer.finish(RUN)
    return stream.getvalue()


def read_back(*results: Result, times: bool = False) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(*results, times=times), newline="")))


HEADER = "index,target,status,rank,id,name,common_name,score,error_kind,error_message"


def test_each_prediction_is_a_row_and_each_failure_is_one() -> None:
    assert written(ROBIN, MISSING) == (
        f"{HEADER}\r\n"
        "0,a.jpg,ok,1,556,Erithacus rubecula,European Robin,0.8633,,\r\n"
        "0,a.jpg,ok,2,964,background,,0.004,,\r\n"
        "1,missing.jpg,error,,,,,,not_found,missing.jpg: no such file\r\n"
    )


def test_times_have_columns_of_their_own() -> None:
    assert written(ROBIN, MISSING, times=True) == (
        f"{HEADER},fetch_ms,decode_ms,infer_ms,total_ms\r\n"
        "0,a.jpg,ok,1,556,Erithacus rubecula,European Robin,0.8633,,,41.2,,6.0,52.8\r\n"
        "0,a.jpg,ok,2,964,background,,0.004,,,41.2,,6.0,52.8\r\n"
        "1,missing.jpg,error,,,,,,not_found,missing.jpg: no such file,,,,\r\n"
    )


def test_a_picture_without_predictions_still_has_a_row() -> None:
    assert written(Result(0, "a.jpg", ())) == f"{HEADER}\r\n0,a.jpg,ok,,,,,,,\r\n"


def test_a_run_without_results_has_a_header() -> None:
    assert written() == f"{HEADER}\r\n"


@pytest.mark.parametrize("text", ['a "quoted", name', "Möwe × 写真", " a ", "\x1b[2J"])
def test_every_text_comes_back_as_it_was(text: str) -> None:
    row = read_back(Result(0, text, (Prediction(1, 1, text, 0.5, text),)))[0]
    assert (row["target"], row["name"], row["common_name"]) == (text, text, text)
    assert read_back(Result(0, "a", Failure("network", text)))[0]["error_message"] == text


@pytest.mark.parametrize(
    "formula",
    [
        "=1+1",
        "+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        '=HYPERLINK("http://x","y")',
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
    ],
)
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(formula: str) -> None:
    row = read_back(Result(0, formula, (Prediction(1, 1, formula, 0.5, formula),)))[0]
    assert (row["target"], row["name"], row["common_name"]) == ("'" + formula,) * 3
    assert read_back(Result(0, "a", Failure("network", formula)))[0]["error_message"] == "'" + formula


def test_a_row_is_one_line_whatever_a_name_holds() -> None:
    text = written(Result(0, "a.jpg\r\n1,b.jpg,ok,1,7,Ara macao", (), None))

    assert text == f"{HEADER}\r\n" + '0,"a.jpg\\x0d\\x0a1,b.jpg,ok,1,7,Ara macao",ok,,,,,,,\r\n'


def test_our_own_numbers_get_no_apostrophe() -> None:
    row = read_back(Result(0, "a.jpg", (Prediction(1, 1, "x", -0.5),), times=Times(None, None, None, -1.0)), times=True)
    assert (row[0]["score"], row[0]["total_ms"]) == ("-0.5", "-1.0")


def test_undecodable_bytes_are_escaped() -> None:
    text = written(Result(0, "m\udcf6we.jpg", ()))
    assert "m\\udcf6we.jpg" in text
    text.encode("utf-8")


def test_a_row_reaches_the_reader_at_once() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb", buffering=0) as reader, open(write_end, "w", newline="") as stream:
        open_writer("csv", stream, WriterOptions(times=False)).write(Result(0, "a.jpg", ()))
        assert reader.read(1000).decode() == f"{HEADER}\r\n0,a.jpg,ok,,,,,,,\r\n"
