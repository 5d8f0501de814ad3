"""The command line: starts a command, and turns what it raises into one line and an exit code.

A plain command line of `classify` is read by `plain_line`, every other one by click, in `group`.
"""

from __future__ import annotations

import os
import sys
import time

from birdlite.cli.exit_codes import (
    EXIT_BROKEN_PIPE,
    EXIT_CANNOT_RUN,
    EXIT_FAILURES,
    EXIT_OK,
    EXIT_TRY_AGAIN,
    EXIT_USAGE,
)

TYPE_CHECKING = False  # not from typing, whose import would come before `end_at_signals`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

__all__ = [
    "EXIT_CANNOT_RUN",
    "EXIT_FAILURES",
    "EXIT_OK",
    "EXIT_TRY_AGAIN",
    "EXIT_USAGE",
    "end_at_signals",
    "fill_descriptors",
    "finish",
    "main",
    "program",
]

_OBJECTS_OF_A_START = 50_000  # and three times as many; if all of them were garbage, 5 MB

_SWITCH_S = 0.0005  # Python's own is 5 ms


def program() -> NoReturn:
    """Run the command line of this process and end it: what the installed command `birdlite` is.

    It is `main`, and five things that only the owner of a process may do:

    - A signal ends it at once, see `end_at_signals`.
    - No file gets the number of a standard stream, see `fill_descriptors`.
    - The garbage collector starts later. A start makes 17,000 objects that stay, and the collector would look through
      them several times.
    - Threads take turns ten times as often. A thread that sends a request needs a turn after each system call, and
      would wait for 5 ms each time while another thread imports or decodes labels.
    - The process ends without taking all objects apart. That would take as long as decoding a picture.

    `python -m birdlite` does the first two only, for profilers and debuggers. But it ends at once, too, if a thread is
    left that reads standard input: Python's own end would wait for that, and then abort.
    """
    end_at_signals()
    fill_descriptors()
    import gc

    gc.set_threshold(_OBJECTS_OF_A_START)
    sys.setswitchinterval(_SWITCH_S)
    finish(main())


def finish(code: int) -> NoReturn:
    """End the process at once; commands have closed their files."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # broken, closed or missing: the ordinary exit reports it
        sys.exit(code)
    os._exit(code)


def end_at_signals() -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP end this process at once, without a traceback, until an `Interruption` takes over.

    This is what the system does by default; Python's handler of Ctrl-C would raise KeyboardInterrupt anywhere. But the
    kernel drops signals that the first process of a container (PID 1) has no handler for, so that one gets handlers.
    So does `serve`, which a signal ends with 0. A signal that is ignored stays so: SIGHUP under `nohup`, Ctrl-C in the
    background of a script.
    """
    import signal

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the first is the one that Python handles
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, signal.SIG_DFL)
    serves = sys.argv[1:2] == ["serve"]
    if serves or os.getpid() == 1:
        for number in heeded:
            signal.signal(number, lambda received, _: os._exit(EXIT_OK if serves else 128 + received))


def fill_descriptors() -> None:
    """Open a folder, this one, as each of the descriptors 0, 1 and 2 that is closed.

    Otherwise the next file or connection would get such a number, and whatever reads /dev/stdin or writes to descriptor
    2 would read or write that. In a folder both are errors, as they were with the closed descriptor. The null device
    would take results that go to /dev/stdout, and lose them. This folder holds no pictures that could be classified.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.path.dirname(__file__), os.O_RDONLY)  # it gets the smallest number that is free


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code."""
    started = time.perf_counter()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--version"] and _show_version():
        return EXIT_OK
    return _guarded(arguments, started)


def _show_version() -> bool:
    """Print the version before anything is imported; False if standard output refuses, which click then reports."""
    from birdlite._version import __version__

    try:
        sys.stdout.write(f"birdlite {__version__}\n")
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        return False
    return True


def _guarded(arguments: list[str], started: float) -> int:
    """Run the command. What it raises becomes one line on standard error, without a traceback."""
    from birdlite.errors import BirdliteError, UsageError

    try:
        code = _run(arguments, started)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit must not complain again
        return EXIT_BROKEN_PIPE
    except UsageError as error:
        return _fail(error, EXIT_USAGE)
    except BirdliteError as error:
        return _fail(error, EXIT_TRY_AGAIN if error.temporary else EXIT_CANNOT_RUN)
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "exit_code", 130)  # of `Interrupted`, else of a program that calls `main`
    except Exception as error:  # noqa: BLE001 - too little of something, or an error in birdlite itself
        if os.environ.get("BIRDLITE_TRACEBACK"):
            import traceback

            from birdlite.cli.console import write_stderr
            from birdlite.errors import without_secrets

            write_stderr(without_secrets("".join(traceback.format_exception(error))))
        fault = f"a fault in birdlite, please report it: {type(error).__name__}: {error}"
        return _fail(_shortage(error) or fault, EXIT_CANNOT_RUN)
    else:
        return code


def _run(arguments: list[str], started: float) -> int:
    if arguments[:1] == ["classify"]:
        from birdlite.cli import plain_line

        values = plain_line.read(arguments[1:], os.environ)
        if values is not None:
            from birdlite.cli import classify

            return classify.main(values, started)
    from birdlite.cli import group

    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:2], "--help"]
    return group.run(arguments, started)


def _shortage(error: Exception) -> str | None:
    """What the system has too little of; None if that is not the cause."""
    import errno

    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "the system allows no more threads: too little memory, or a limit on processes"
    short = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC)
    if isinstance(error, OSError) and error.errno in short:
        return f"the system refuses: {str(error).partition('] ')[2]}"
    if isinstance(error, ImportError) and any(
        words in str(error) for words in ("failed to map", "allocate memory", *map(os.strerror, short))
    ):
        return f"a module cannot be loaded: {error}"
    return None


def _fail(error: object, code: int) -> int:
    from birdlite import log

    if not log.has_sink():  # the options for messages have not been read yet
        from birdlite.cli.console import Console, warn_about_unknown_variables

        Console("json" if os.environ.get("BIRDLITE_LOG_FORMAT") == "json" else "text")
        warn_about_unknown_variables()
    log.error(str(error))
    return code
