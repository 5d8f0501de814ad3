"""Lines go to whoever listens, and nobody pays for lines that nobody can have asked for."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from birdlite import log


def test_a_python_program_gets_the_lines_through_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "birdlite"):
        log.debug("retry", wait_s=0.2)
        log.warning("no cache")

    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("birdlite", "DEBUG", "retry"),
        ("birdlite", "WARNING", "no cache"),
    ]
    assert caplog.records[0].__dict__["fields"] == {"wait_s": 0.2}


def test_a_message_that_goes_through_logging_is_one_harmless_line(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("from \x1b[2J\n100% \u202e")

    assert caplog.messages == ["from \\x1b[2J\\x0a100% \\u202e"]


def test_a_sink_gets_lines_from_its_threshold_on_and_logging_none(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[tuple[int, str, dict[str, object]]] = []
    log.to(lambda *line: lines.append(line), log.INFO)

    log.debug("a")
    log.info("b", n=1)
    log.warning("c")

    assert lines == [(log.INFO, "b", {"n": 1}), (log.WARNING, "c", {})]
    assert caplog.records == []


def test_a_number_agrees_with_its_noun_and_a_large_one_can_be_read() -> None:
    assert [log.counted(n, "part") for n in (0, 1, 2, 12_000)] == ["0 parts", "1 part", "2 parts", "12,000 parts"]
    assert log.counted(3, "target was", "targets were") == "3 targets were"


def test_logging_is_not_imported_for_lines_that_nobody_asked_for() -> None:
    code = "import sys; from birdlite import log; log.debug('a'); log.info('b'); print('logging' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (run.stdout, run.stderr) == ("False\n", "")


def test_a_warning_reaches_a_program_that_configured_nothing() -> None:
    code = "from birdlite import log; log.warning('no cache')"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stderr == "no cache\n"


def test_a_warning_that_many_tries_have_in_common_is_said_once_a_run() -> None:
    lines: list[str] = []
    for _ in range(2):
        log.to(lambda level, message, fields: lines.append(message))
        for place in ("a", "b", "a"):
            log.warning_once(f"no cache in {place}")

    assert lines == ["no cache in a", "no cache in b"] * 2
