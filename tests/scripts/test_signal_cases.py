"""What `try_signals` takes for a fault: the table of a few good and bad ends of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.signal_cases import PACKAGE, Case, Outcome, fault

RECORDS = [json.dumps({"index": index, "status": "ok", "predictions": []}) + "\n" for index in range(3)]
CANCELLED = json.dumps({"index": 2, "status": "error", "error": {"kind": "cancelled"}}) + "\n"
LINES, WHOLE = Case("lines", (), "lines"), Case("whole", (), "whole", "all.jsonl")
SITE = 'Traceback (most recent call last):\n  File "<frozen site>", line 603, in main\nKeyboardInterrupt\n'
SCRIPT = 'Traceback (most recent call last):\n  File "/x/birdlite/bin/birdlite", line 3\nKeyboardInterrupt\n'
OURS = f'Traceback (most recent call last):\n  File "{PACKAGE}/run/runner.py", line 9, in run\nKeyboardInterrupt\n'
TWO_WRITTEN = "birdlite: warning: interrupted; 2 results were written\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run, with a TMPDIR."""
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("status", "out", "err", "wrong"),
    [
        (0, "".join(RECORDS), "", None),
        (-2, "", "", None),
        (-2, "", SITE, None),
        (1, "", SITE, None),
        (-2, "", SCRIPT, None),
        (130, "".join(RECORDS[:2]) + CANCELLED, TWO_WRITTEN, None),
        (130, RECORDS[0] + CANCELLED, TWO_WRITTEN, "1 results, but it says 2"),
        (130, RECORDS[0] + RECORDS[1][:9], "", "a line is cut"),
        (130, RECORDS[0].replace("[]", "[1]"), "", "another record of 0"),
        (0, RECORDS[0], "", "the results are neither empty nor complete"),
        (-2, RECORDS[0], "", "the results are neither empty nor complete"),
        (-2, "", OURS, "a traceback"),
        (3, "", "", "status 3"),
    ],
)
def test_an_end_is_judged(folder: Path, status: int, out: str, err: str, wrong: str | None) -> None:
    reference = Outcome(0, "".join(RECORDS).encode(), "", folder)

    assert fault(LINES, reference, 2, Outcome(status, out.encode(), err, folder)) == wrong


def test_what_is_left_is_a_fault_unless_the_next_run_finds_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "all.jsonl").write_text("{}\n")
    reference = Outcome(0, b"", "", tmp_path / "reference")
    run = tmp_path / "run"
    (run / "tmp").mkdir(parents=True)
    (run / ".all.jsonl.4194305-00000000.partial").touch()  # of a process with a number that none can have

    assert fault(WHOLE, reference, 15, Outcome(-15, b"", "", run)) is None
    assert fault(WHOLE, reference, 15, Outcome(143, b"", "", run)) == "left: ['.all.jsonl.4194305-00000000.partial']"

    (run / "all.jsonl").write_text("{")
    assert fault(WHOLE, reference, 15, Outcome(143, b"", "", run)) == "half a file"
