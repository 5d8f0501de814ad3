"""What TensorFlow prints becomes debug lines, whichever way it prints; TensorFlow itself is not needed for that."""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

from birdlite import log
from birdlite.convert import tensorflow_package
from birdlite.convert.tensorflow_package import quiet

libc = ctypes.CDLL(None)


@pytest.fixture
def told() -> list[str]:
    """The lines that `-v` would show, as they come."""
    lines: list[str] = []
    log.to(lambda level, message, fields: lines.append(f"{level} {message}: {fields.get('line')}"), log.DEBUG)
    return lines


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """TensorFlow's, with a handler of its own that prints, as TensorFlow leaves it."""
    logger = logging.getLogger("tensorflow")
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    logger.propagate = True
    yield logger
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "say",
    [
        lambda: os.write(1, b"hoo\n"),
        lambda: os.write(2, b"hoo\n"),
        lambda: libc.puts(b"hoo"),  # which C holds back where the output is no terminal
        lambda: libc.perror(b"hoo"),
        lambda: sys.__stdout__ and print("hoo", file=sys.__stdout__),
        lambda: logging.getLogger("tensorflow").warning("hoo"),
        lambda: warnings.warn("hoo", DeprecationWarning, stacklevel=1),
    ],
    ids=["descriptor 1", "descriptor 2", "C's stdout", "C's stderr", "print", "log", "warning"],
)
def test_whatever_is_printed_becomes_a_debug_line(
    say: Callable[[], object], told: list[str], logger: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    with quiet():
        say()
        assert told == []
    libc.fflush(None)

    (line,) = told
    assert line.startswith("10 TensorFlow printed a line: ")
    assert "hoo" in line
    assert capfd.readouterr() == ("", "")


def test_before_and_after_the_block_lines_are_printed(told: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    libc.printf(b"before, ")
    with quiet():
        pass
    os.write(1, b"after")

    assert capfd.readouterr().out == "before, after"
    assert told == []


def test_a_block_that_fails_still_tells_its_lines(told: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        os.write(2, b"the reason\n")
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"), quiet():
        fail()
    os.write(2, b"after")

    assert told == ["10 TensorFlow printed a line: the reason"]
    assert capfd.readouterr().err == "after"


def test_a_block_within_a_block_belongs_to_it(told: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        with quiet():
            os.write(2, b"inner\n")
        assert told == []
        os.write(2, b"outer\n")

    assert [line.rpartition(" ")[2] for line in told] == ["inner", "outer"]
    assert capfd.readouterr().err == ""


def test_blocks_of_two_threads_run_one_after_the_other(told: list[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with quiet():
            order.append("second")

    thread = threading.Thread(target=second)
    with quiet():
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_a_flood_is_told_in_part(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_package, "MOST_TOLD", 8)

    with quiet():
        os.write(2, b"one\ntwo\nthree\nfour\n")

    assert [line.rpartition(" ")[2] for line in told] == ["one", "two"]


def test_warnings_that_are_errors_do_not_stop_tensorflow() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet():
            warnings.warn("its own affair", DeprecationWarning, stacklevel=1)
        with pytest.raises(DeprecationWarning):
            warnings.warn("ours", DeprecationWarning, stacklevel=1)


def test_loggers_are_given_back_as_they_were(logger: logging.Logger) -> None:
    before = logger.handlers, [*logger.handlers], logger.propagate, [*logging.root.handlers]

    with quiet():
        assert (logger.handlers, logger.propagate) != before[1:3]

    assert logger.handlers is before[0]
    assert ([*logger.handlers], logger.propagate, [*logging.root.handlers]) == before[1:]


def test_a_program_without_logging_gets_none_from_a_block(
    monkeypatch: pytest.MonkeyPatch, told: list[str], logger: logging.Logger
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])

    with quiet():
        assert logging.root.handlers  # else absl, which TensorFlow logs with, would make some
        logging.getLogger("made by the import").warning("first")
        logger.warning("second")

    assert told == [f"10 TensorFlow printed a line: WARNING: {line}" for line in ("first", "second")]
    assert logging.root.handlers == []


def test_loggers_that_do_not_exist_are_not_made() -> None:
    said = _run("import logging\nwith quiet(): pass\nprint('absl' in logging.root.manager.loggerDict)")

    assert said == b"False\n"


def test_buffers_are_emptied_before_and_after() -> None:
    said = _run(
        "import ctypes\nlibc = ctypes.CDLL(None)\nprint('before')\nlibc.printf(b'C before')\n"
        "with quiet():\n    print('inside')\n    libc.printf(b'C inside')\nprint('after')"
    )

    assert said == b"before\nC beforeafter\n"


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2), (0, 1)])
def test_a_closed_descriptor_stays_closed(closed: tuple[int, ...]) -> None:
    said = _run(
        "import os, sys\nos.dup2(1, 5)\nsys.stdout = sys.stderr = None\n"
        f"for descriptor in {closed}: os.close(descriptor)\n"
        "with quiet():\n    pass\n"
        f"for descriptor in {closed}:\n"
        "    try:\n        os.fstat(descriptor)\n    except OSError:\n        os.write(5, b'closed ')"
    )

    assert said == b"closed " * len(closed)


def _run(lines: str) -> bytes:
    """What a process of its own prints on its standard output, which it buffers."""
    program = f"from birdlite.convert.tensorflow_package import quiet\n{lines}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout
