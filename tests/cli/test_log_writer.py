"""Lines for standard error never wait for who reads them. Those that are lost are counted, and it is said."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from birdlite import log
from birdlite.cli import log_writer
from birdlite.cli.console import Console
from birdlite.cli.log_writer import LogWriter
from tests.origin import PATIENCE


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def tell(lost: int) -> str:
    return f"{lost} lost\n"


def read_until(descriptor: int, end: bytes) -> list[str]:
    found = b""
    while not found.endswith(end):
        found += os.read(descriptor, 65536)
    return found.decode().splitlines()


def test_lines_are_written_in_order_and_the_last_ones_at_the_end(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[1], tell)
    for number in range(100):
        writer.put(f"{number}\n")

    assert writer.close()
    assert read_until(pipe[0], b"99\n") == [str(number) for number in range(100)]


def test_lines_that_nobody_reads_do_not_wait_and_are_counted(pipe: tuple[int, int]) -> None:
    before = log.lost()
    writer = LogWriter(pipe[1], tell)
    line = "x" * 99 + "\n"
    lines = 5000  # a pipe holds 64 KiB
    for _ in range(lines):
        writer.put(line)
    lost = log.lost() - before
    assert lost > 0

    read, told = b"", 0
    while read.count(line.encode()) + told < lines:  # the thread may have told of some while others still came
        read += os.read(pipe[0], 65536)
        told = sum(int(number) for number in re.findall(rb"^(\d+) lost\n", read, re.MULTILINE))
    assert writer.close()
    assert told == lost
    assert {line.lstrip(b"0123456789") for line in read.splitlines()} == {line.rstrip().encode(), b" lost"}


def test_an_end_does_not_wait_for_who_does_not_read(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "END_S", 0.01)
    writer = LogWriter(pipe[1], tell)
    for _ in range(1000):
        writer.put("x" * 99 + "\n")

    assert not writer.close()
    read_until(pipe[0], b"x\n")  # so that its thread ends


def test_a_reader_that_has_gone_is_no_error_and_what_it_misses_is_counted() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    writer = LogWriter(descriptor, tell)
    writer.put("to nobody\n")
    assert writer.close()

    before = log.lost()
    writer.put("to nobody\n")
    os.close(descriptor)
    assert log.lost() == before + 1


def test_after_a_disk_that_was_full_it_goes_on_and_says_what_was_lost(pipe: tuple[int, int]) -> None:
    before = log.lost()
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(descriptor, tell)
    for lost in range(1, 4):
        writer.put("lost\n")
        until = time.monotonic() + PATIENCE
        while log.lost() < before + lost:
            assert time.monotonic() < until
    os.dup2(pipe[1], descriptor)
    writer.put("there is room again\n")

    assert read_until(pipe[0], b"lost\n") == ["there is room again", "3 lost"]
    assert writer.close()
    os.close(descriptor)


def test_a_pipe_that_refuses_to_wait_gets_every_line(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    writer = LogWriter(pipe[1], tell)
    for _ in range(1000):
        writer.put("x" * 99 + "\n")
    writer.put("end\n")

    assert len(read_until(pipe[0], b"end\n")) == 1001
    assert writer.close()


def test_the_console_says_in_its_own_format_what_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MOST_LINES", 0)
    with open(tmp_path / "log", "w+") as file:
        monkeypatch.setattr("sys.stderr", file)
        console = Console("json")
        with console.in_background():
            log.info("nobody will know")
        log.info("written by hand again")
        file.seek(0)
        first, second = map(json.loads, file.read().splitlines())

    assert first["message"].startswith("lines of this log were lost")
    assert (first["level"], first["lines"]) == ("warning", 1)
    assert second["message"] == "written by hand again"
