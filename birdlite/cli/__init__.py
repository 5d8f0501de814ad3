"""The command line: one file a command, each with a `main(argv, started)` that parses, calls the library and prints.

This file finds the command, and turns what it raises into one line and an exit code. Nothing else is imported before
the command is known; `--version` and `--help` answer from here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import NoReturn

EXIT_OK = 0  # every target was classified
EXIT_FAILURES = 1  # some targets failed
EXIT_USAGE = 2  # the command line makes no sense
EXIT_CANNOT_RUN = 3  # no model, no engine, nowhere to write
EXIT_BROKEN_PIPE = 141  # whoever read our output went away: 128 + SIGPIPE, as for any program

_OBJECTS_OF_A_START = 50_000  # and three times as many; if all of them were garbage, 5 MB

_SWITCH_S = 0.0005  # Python's own is 5 ms

COMMANDS = {
    "classify": "name the birds in pictures: URLs, files, folders, lists",
    "merge": "put the parts of a run of --shard together: jsonl, csv or html",
    "report": "a page for people, of the outputs of earlier runs",
    "model": "fetch, list, show, verify, find or remove models",
    "convert": "a model from TensorFlow Hub, a SavedModel or a .tflite to ONNX or TensorFlow Lite, proven equal",
    "evaluate": "measure models on labelled pictures: accuracy, confusions, calibration",
    "bench": "measure how fast it is here: load, inference, decode, pictures a second",
    "demo": "the whole pipeline on a small world of invented birds, without a network",
}

USAGE = """\
usage: birdlite COMMAND [OPTION]... [ARGUMENT]...

What bird is this? Any number of photographs, from a cold start, in a fraction of a second.

commands:
{commands}

  birdlite COMMAND --help   the options of a command
  birdlite --version        the version

exit codes: 0 all classified, 1 some targets failed, 2 wrong usage, 3 nothing could run, 130/143 interrupted
"""


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
    first = arguments[0] if arguments else ""
    if first == "--version":
        from birdlite import __version__

        print(f"birdlite {__version__}")  # noqa: T201 - this is the command line
        return EXIT_OK
    if first in ("--help", "-h", "help"):
        print(_usage(), end="")  # noqa: T201
        return EXIT_OK
    if first not in COMMANDS:
        return _complain(f"unknown command {first!r}" if first else "no command given", see="birdlite --help")
    _end_at_sigterm_as_first_process()
    return _guarded(first, arguments[1:], started)


def _end_at_sigterm_as_first_process() -> None:
    """Make PID 1 of a container die of SIGTERM as any other process does.

    The kernel drops signals that PID 1 has no handler for, and whoever stops the container would have to wait out the
    grace period. Commands that have something to finish put a handler of their own in the place of this one.
    """
    import os

    if os.getpid() == 1:
        import signal

        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def _usage() -> str:
    return USAGE.format(commands="\n".join(f"  {name:<10} {what}" for name, what in COMMANDS.items()))


def _complain(message: str, *, see: str) -> int:
    print(f"birdlite: error: {message} (see {see})", file=sys.stderr)  # noqa: T201
    return EXIT_USAGE


def _guarded(command: str, argv: list[str], started: float) -> int:
    """Run the command; whatever it raises becomes one line on standard error, never a traceback."""
    from birdlite.errors import BirdliteError, UsageError

    try:
        code = _run(command, argv, started)
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


def _run(command: str, argv: list[str], started: float) -> int:
    if command == "classify":
        from birdlite.cli import classify as chosen
    elif command == "model":
        from birdlite.cli import model as chosen  # type: ignore[no-redef]
    elif command == "merge":
        from birdlite.cli import merge as chosen  # type: ignore[no-redef]
    elif command == "report":
        from birdlite.cli import report as chosen  # type: ignore[no-redef]
    elif command == "convert":
        from birdlite.cli import convert as chosen  # type: ignore[no-redef]
    elif command == "evaluate":
        from birdlite.cli import evaluate as chosen  # type: ignore[no-redef]
    elif command == "bench":
        from birdlite.cli import bench as chosen  # type: ignore[no-redef]
    else:
        from birdlite.cli import demo as chosen  # type: ignore[no-redef]
    return chosen.main(argv, started)


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
