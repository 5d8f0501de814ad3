"""How evaluations look on different terminals."""

from __future__ import annotations

import json

import pytest

from birdlite.evaluate import Evaluation
from birdlite.evaluate.accuracy import Tally
from birdlite.evaluate.report import as_json, as_text
from birdlite.models.labels import Labels
from birdlite.results import Prediction
from birdlite.settings import Settings
from birdlite.writers.terminal import Terminal

MODEL = "a/very/long/path/" * 10


def evaluation(*, failed: bool = False) -> Evaluation:
    """One picture: failed, or a crow taken for a hybrid with a score of 0.75."""
    tally = Tally()
    if failed:
        tally.add_failed()
    else:
        tally.add(0, (Prediction(1, 1, "Anas × b", 0.75), Prediction(2, 0, "Corvus", 0.25, "Crow")))
    labels = Labels(("Corvus", "Anas × b"), ("Crow", None))
    return Evaluation(Settings(model=MODEL, resize="crop"), "card", "0" * 64, "litert", labels, tally)


def test_a_file_or_pipe_gets_everything_uncut() -> None:
    assert as_text([evaluation()], 10, Terminal()).splitlines()[1:] == [
        f"{MODEL}  crop           1       0      0.0       0.0-79.3    100.0       0.750              0.750",
        "",
        f"{MODEL}, crop",
        "  count  true           predicted",
        "      1  Corvus (Crow)  Anas × b",
        "",
        "  score    pictures  mean score  accuracy %",
        "  0.7-0.8         1       0.750         0.0",
    ]


def test_on_a_narrow_terminal_the_name_of_the_model_is_shortened() -> None:
    header, row = as_text([evaluation()], 10, Terminal(width=110)).splitlines()[:2]

    assert (len(header), len(row)) == (110, 110)
    assert "…" in row


def test_text_keeps_to_what_the_terminal_can_show() -> None:
    text = as_text([evaluation()], 10, Terminal(width=110, encoding="ascii"))

    assert text.isascii()
    assert "Anas x b" in text


def test_only_headings_are_painted() -> None:
    painted = [line for line in as_text([evaluation()], 10, Terminal(colour=True)).splitlines() if "\x1b" in line]

    assert [line.startswith("\x1b[1m") and line.endswith("\x1b[0m") for line in painted] == [True, True]


def test_where_nothing_was_classified_no_figure_is_made_up() -> None:
    assert as_text([evaluation(failed=True)], 10, Terminal()).splitlines()[1].split()[3:] == ["1", *"-----"]
    (record,) = json.loads(as_json("album", [evaluation(failed=True)], 10, interrupted=False))["evaluations"]
    assert (record["top1"], record["calibration_error"]) == (None, None)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_one_document_however_many_there_are(count: int) -> None:
    document = json.loads(as_json("album", [evaluation()] * count, 10, interrupted=count == 0))

    assert (document["source"], document["interrupted"], len(document["evaluations"])) == ("album", count == 0, count)
