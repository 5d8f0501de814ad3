"""The command line: one file a command, each with `command()` that declares it for click and `main()` that runs it.

This file starts a command, and turns what it raises into one line and an exit code. `--version` answers from here. A
plain command line of `classify` is read by `plain_line`, every other one by click, in `group`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from birdlite.cli.exit_codes import (
    EXIT_BROKEN_PIPE,
    EXIT_CANNOT_RUN,
    EXIT_FAILURES,
    EXIT_OK,
    EXIT_USAGE,
)

__all__ = ["EXIT_CANNOT_RUN", "EXIT_FAILURES", "EXIT_OK", "EXIT_USAGE", "main", "program"]

_OBJECTS_OF_A_START = 50_000  # and three times as many; if all of them were garbage, 5 MB

_SWITCH_S = 0.0005  # Python's own is 5 ms


def program() -> NoReturn:
    """Run the command line of this process and end it: what the installed command `birdlite` is.

    It is `main`, with the three things that only the owner of the process may do:

    - The garbage collector waits until there may be garbage: a start makes 17,000 objects that stay, and it would look
      through them again and again.
    - Threads hand the interpreter on ten times as often. One that sends a request asks for it after each call of the
      system, and waits for that long each time while another imports or decodes labels.
    - The process ends without taking every object apart, which takes the interpreter as long as decoding a picture.

    `python -m birdlite` leaves all that as it is, for profilers and debuggers.
    """
    import gc

    gc.set_threshold(_OBJECTS_OF_A_START)
    sys.setswitchinterval(_SWITCH_S)
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # gone, closed, or never there: the ordinary end knows what to say
        sys.exit(code)
    import os

    os._exit(code)  # whatever had to be written is: commands close what they open, and wait for their threads


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code."""
    started = time.perf_counter()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--version"]:
        from birdlite import __version__

        print(f"birdlite {__version__}")  # noqa: T201 - this is the command line
        return EXIT_OK
    _end_at_sigterm_as_first_process()
    return _guarded(arguments, started)


def _end_at_sigterm_as_first_process() -> None:
    """Make PID 1 of a container die of SIGTERM as any other process does.

    The kernel drops signals that PID 1 has no handler for, and whoever stops the container would have to wait out the
    grace period. Commands that have something to finish put a handler of their own in the place of this one.
    """
    import os

    if os.getpid() == 1:
        import signal

        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def _guarded(arguments: list[str], started: float) -> int:
    """Run the command; whatever it raises becomes one line on standard error, never a traceback."""
    from birdlite.errors import BirdliteError, UsageError

    try:
        code = _run(arguments, started)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        return EXIT_BROKEN_PIPE
    except UsageError as error:
        return _fail(error, EXIT_USAGE)
    except BirdliteError as error:
        return _fail(error, EXIT_CANNOT_RUN)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last stop before the user; a fault of ours, said as one
        _show_traceback_if_asked(error)
        return _fail(f"a fault in birdlite, please report it: {type(error).__name__}: {error}", EXIT_CANNOT_RUN)
    else:
        return code


def _run(arguments: list[str], started: float) -> int:
    if arguments[:1] == ["classify"]:
        import os

        from birdlite.cli import plain_line

        values = plain_line.read(arguments[1:], os.environ)
        if values is not None:
            from birdlite.cli import classify

            return classify.main(values, started)
    from birdlite.cli import group

    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:2], "--help"]
    return group.parse(arguments)(started)


def _fail(error: object, code: int) -> int:
    from birdlite import log

    if not log.has_sink():  # it failed before the command knew how the user wants messages
        from birdlite.cli.console import Console

        Console()
    log.error(str(error))
    return code


def _show_traceback_if_asked(error: BaseException) -> None:
    import os

    if os.environ.get("BIRDLITE_TRACEBACK"):
        import traceback

        traceback.print_exception(error)


def _abandon_stdout() -> None:
    """Give the interpreter's own flush at exit somewhere to go, or it complains about the pipe once more."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
