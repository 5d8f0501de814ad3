"""C code's `stderr` while it is caught: the C library's own printf is the C code here."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading

import pytest

from birdlite import log
from birdlite.native_stderr import Caught

libc = ctypes.CDLL(None)


def say(text: str) -> None:
    stream = ctypes.c_void_p.in_dll(libc, "stderr")  # as C code reads it: at every print
    libc.fprintf(stream, b"%s", text.encode())


def test_c_output_is_caught_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with Caught() as caught:
        say("INFO: hello\n")
    assert caught.text == "INFO: hello\n"
    assert capfd.readouterr().err == ""


def test_afterwards_c_code_prints_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    with Caught():
        say("inside\n")
    say("outside\n")
    assert capfd.readouterr().err == "outside\n"


def test_an_error_in_the_block_ends_the_catching(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), Caught():
        raise ZeroDivisionError
    say("outside\n")
    assert capfd.readouterr().err == "outside\n"


def test_python_and_child_processes_are_not_caught(capfd: pytest.CaptureFixture[str]) -> None:
    with Caught() as caught:
        sys.stderr.write("python\n")
        sys.stderr.flush()
        subprocess.run(["sh", "-c", "echo child >&2"], check=True)
    assert capfd.readouterr().err == "python\nchild\n"
    assert caught.text == ""


def test_a_block_has_only_its_own_output() -> None:
    with Caught() as first:
        say("a long first line\n")
    with Caught() as second:
        say("2\n")
    assert (first.text, second.text) == ("a long first line\n", "2\n")


def test_blocks_overlap(capfd: pytest.CaptureFixture[str]) -> None:
    outer, inner = Caught(), Caught()
    with outer:
        say("1\n")
        with inner:
            say("2\n")
        say("3\n")
    assert (outer.text, inner.text) == ("1\n2\n3\n", "2\n")
    assert capfd.readouterr().err == ""


def test_many_threads_lose_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    missing = []

    def work(number: int) -> None:
        for turn in range(50):
            line = f"{number}.{turn}\n"
            with Caught() as caught:
                say(line)
            if line not in caught.text:
                missing.append(line)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("outside\n")
    assert missing == []
    assert capfd.readouterr().err == "outside\n"


def test_a_flood_is_cut_and_the_next_block_is_whole() -> None:
    with Caught() as flood:
        for _ in range(100):
            say("x" * 1000)
    with Caught() as after:
        say("after\n")
    assert set(flood.text) == {"x"}
    assert 10_000 < len(flood.text) < 20_000
    assert after.text == "after\n"


def test_lines_are_told_at_debug_level() -> None:
    heard: list[tuple[int, dict[str, object]]] = []
    log.to(lambda level, message, fields: heard.append((level, fields)), log.DEBUG)
    with Caught():
        say("one\ntwo\n")
    assert heard == [(log.DEBUG, {"line": "one"}), (log.DEBUG, {"line": "two"})]


def test_bytes_that_are_no_text_do_not_hurt() -> None:
    with Caught() as caught:
        libc.fprintf(ctypes.c_void_p.in_dll(libc, "stderr"), b"%s", b"\xff\n")
    assert caught.text == "\ufffd\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", ""),
        ("INFO: all is well\n", ""),
        ("INFO: well\nERROR: not: well\nSee there\nERROR: second\n", "not: well"),
    ],
)
def test_the_first_error_is_picked_out(text: str, error: str) -> None:
    with Caught() as caught:
        say(text)
    assert caught.error == error
