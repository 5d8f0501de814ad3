"""What a person sees of a command while it works. Results never go here.

Log lines and the progress line share standard error and must not tear each other. `drive` runs `classify` and `demo`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from birdlite import log
from birdlite.cli.exit_codes import EXIT_FAILURES, EXIT_OK
from birdlite.cli.values import PREFIX, variable
from birdlite.errors import BirdliteError, without_secrets
from birdlite.printable import inert, printable
from birdlite.timing import clock
from birdlite.writers.output import open_output

if TYPE_CHECKING:
    from types import SimpleNamespace

    from birdlite.cli.interruption import Interruption
    from birdlite.results import Progress
    from birdlite.run.runner import Runner, RunReport
    from birdlite.targets import BadTarget, Target

LogFormat = Literal["text", "json"]

PROGRESS_AFTER = 0.5  # s: a shorter run needs no progress line
PROGRESS_EVERY = 0.1  # s
CLEAR_LINE = "\r\x1b[K"

PORT_VARIABLE = "BIRDLITE_LISTEN_PORT"
"""That of `serve --port`. Kubernetes sets BIRDLITE_PORT, and for a Service birdlite-serve also BIRDLITE_SERVE_PORT."""

WITHOUT_OPTION = frozenset({"BIRDLITE_SHARDS", "BIRDLITE_TRACEBACK", PORT_VARIABLE})
"""Variables that birdlite reads although no option is called like them."""

OF_KUBERNETES = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT")
"""Kubernetes sets such variables in every pod: BIRDLITE_SERVICE_HOST, if a Service is called birdlite."""


def open_console(values: SimpleNamespace) -> Console:
    """Standard error as the message options want it. The first messages are about misspelt variables."""
    threshold = log.ERROR if values.quiet else log.DEBUG if values.verbose else log.INFO
    console = Console(values.log_format, threshold=threshold)
    warn_about_unknown_variables()
    for word in getattr(values, "files_as_options", ()):
        from birdlite.cli.declare import file_as_option

        log.warning(f"{word} was taken as an option; {file_as_option(word)}")
    return console


def known_variables() -> set[str]:
    """All variables that birdlite reads, whatever the command."""
    from birdlite.cli.table import OPPOSITES, OPTIONS, OTHERS

    return {variable(option) for option in (*OPTIONS, *OPPOSITES, *OTHERS)} | WITHOUT_OPTION


def warn_about_unknown_variables() -> None:
    """Warn about each `BIRDLITE_…` that no command reads, and name the one that was probably meant."""
    names = [name for name in os.environ if name.startswith(PREFIX)]
    known = known_variables() if names else set()
    for name in names:
        if name not in known and not any(ending in name for ending in OF_KUBERNETES):
            from birdlite.cli.declare import did_you_mean

            hint = did_you_mean(name, sorted(known), prefix=PREFIX)
            log.warning(f"{name} is set, but birdlite does not read it{hint}")


class Console:
    """What a command says to a person while it works."""

    def __init__(self, log_format: LogFormat = "text", *, threshold: int = log.INFO) -> None:
        """Take over the log: lines of at least `threshold` go to standard error in that format."""
        self._format = log_format
        self.quiet = threshold > log.INFO  # the user wants to hear of errors only
        self._lock = threading.Lock()
        self._shown = False
        self._write: Callable[[str], object] = write_stderr
        self._next = clock() + PROGRESS_AFTER
        self._animated = _is_terminal() and log_format == "text" and not self.quiet
        log.to(self._log_line, threshold)

    def progress(self, progress: Progress, seconds: float) -> None:
        """Show how far the run is after `seconds`: only on a terminal, and at most ten times a second."""
        now = clock()
        if not self._animated or now < self._next:
            return
        self._next = now + PROGRESS_EVERY
        with self._lock:
            write_stderr(_progress_text(progress, seconds), control=CLEAR_LINE)
            self._shown = True

    def clear(self) -> None:
        """Take the progress line away."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._shown:
            write_stderr("", control=CLEAR_LINE)
            self._shown = False

    def insist(self, message: str, **fields: object) -> None:
        """Say what was asked for, and is no error, even to a user who wants to hear of errors only."""
        self._log_line(log.INFO, message, fields)

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Within `with`, a thread writes the lines, and no caller waits. Lines that are not read in time are lost."""
        try:
            descriptor = sys.stderr.fileno()
        except (OSError, ValueError, AttributeError):  # closed, or something of a Python program's own
            yield
            return
        from birdlite.cli.log_writer import LogWriter

        writer = LogWriter(descriptor, self._lines_lost)
        self._write = lambda text: writer.put(inert(text))
        try:
            yield
        finally:
            if writer.close():
                self._write = write_stderr

    def _lines_lost(self, number: int) -> str:
        return self._line(log.WARNING, "lines of this log were lost: nobody read them in time", {"lines": number})

    def _log_line(self, level: int, message: str, fields: dict[str, object]) -> None:
        line = self._line(level, message, fields)
        with self._lock:
            self._clear()
            self._write(line)

    def _line(self, level: int, message: str, fields: dict[str, object]) -> str:
        return (_as_json if self._format == "json" else _as_text)(level, message, fields) + "\n"


def _progress_text(progress: Progress, seconds: float) -> str:
    """One line: how many are done, how fast, and how long the rest will take where their number is known."""
    done, failed, total = progress
    rate = done / seconds
    trouble = f", {failed} failed" if failed else ""
    if total is None:
        return f"{done} done{trouble}, {rate:.1f}/s"
    rest = round((total - done) / rate)
    left = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}" if rest >= 3600 else f"{rest // 60}:{rest % 60:02d}"
    return f"{done} of {total}{trouble}, {rate:.1f}/s, {left} left"


def _as_text(level: int, message: str, fields: dict[str, object]) -> str:
    rank = "" if level == log.INFO else f"{log.LEVEL_NAMES[level]}: "
    details = " ".join(f"{key}={value}" for key, value in fields.items())
    return printable(f"birdlite: {rank}{message}{f' ({details})' if details else ''}")


def _as_json(level: int, message: str, fields: dict[str, object]) -> str:
    import json
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    record = {"time": now, "level": log.LEVEL_NAMES[level], "message": message, **fields}
    return json.dumps(record, default=str)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str, *, lines: bool = False) -> None:
    """Write a line, or several `lines`, to standard output, for the commands without a writer.

    Raises:
        OutputError: it is closed, or refuses.
        BrokenPipeError: its reader has gone away.
    """
    with open_output(None, "json") as output:  # UTF-8, as all data is
        one_line = output.stream.isatty() and not lines
        output.stream.write((printable(text) if one_line else text) + "\n")


def write_stderr(text: str, *, control: str = "", styles: bool = False) -> None:
    """Write to standard error, behind a sequence of our own that may control the terminal, and perhaps in `styles`."""
    try:
        sys.stderr.write(control + inert(text, styles=styles))
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # AttributeError: it was closed before the process began
        log.to(None)  # standard error is closed, so messages can go nowhere


def drive(
    runner: Runner,
    targets: Iterable[Target | BadTarget],
    console: Console,
    interruption: Interruption,
    *,
    table: bool,
    allow_failures: bool = False,
) -> int:
    """Run it and give the exit code. `interruption` is entered already. `table`: print where the time went as a table.

    Raises:
        BirdliteError: nothing could run, or the results cannot be written.
        BrokenPipeError: the reader of standard output has gone away.
    """

    def show(progress: Progress) -> None:
        console.progress(progress, clock() - runner.timeline.origin)

    interruption.calls(runner.cancel)
    try:
        report = runner.run(targets, None if _is_on_screen(runner) else show)
    except BirdliteError as error:
        if interruption.exit_code is None:
            raise
        log.error(str(error))
        return interruption.exit_code
    finally:
        console.clear()
    if not console.quiet:
        _say_how_it_went(runner, report, table=table)
        if report.summary.skipped:
            from birdlite.targets.folders import described

            log.info(f"not read, in folders: {described(report.summary.skipped, on_terminal=True)}")
    if interruption.exit_code is not None:
        written = report.summary.targets - report.failures.get("cancelled", 0)
        log.warning(f"interrupted; {log.counted(written, 'result was', 'results were')} written")
        return interruption.exit_code
    return EXIT_FAILURES if report.failed and not allow_failures else EXIT_OK


def _is_on_screen(runner: Runner) -> bool:
    """Whether results scroll by on a terminal, which is progress enough."""
    return runner.options.output is None and sys.stdout is not None and sys.stdout.isatty()


def _say_how_it_went(runner: Runner, report: RunReport, *, table: bool) -> None:
    """The end of a run on standard error: what was classified, what failed, where the results are, and the time."""
    from birdlite.writers.breakdown import breakdown_line, breakdown_text, failed_text

    summary, where = report.summary, _where(report)
    if report.was_complete:
        return  # the log says so
    if table:
        from birdlite.writers.terminal import look

        write_stderr(
            f"\n{summary.ok} of {summary.targets} classified{failed_text(report.failures)} in {summary.wall_ms:.0f} ms"
            f" from process start ({summary.images_per_second:.1f} a second){printable(where)}\n\n"
            f"{breakdown_text(report.breakdown, look(sys.stderr))}",
            styles=True,
        )
    elif runner.options.format == "text" and runner.options.times:
        log.info(f"{breakdown_line(summary, report.failures, report.breakdown)}{where}")
    else:
        log.info(f"{summary.ok} of {summary.targets} classified{failed_text(report.failures)}{where}")


def _where(report: RunReport) -> str:
    """Where the results are, unless on standard output or not complete."""
    if report.summary.interrupted:
        return ""
    already = f", {report.already} by earlier starts" if report.already else ""
    output = f"{already}{written_to(report.output)}"
    return output if report.page is None else f"{output}; page in {without_secrets(report.page)}"


def written_to(output: str | None) -> str:
    """The end of a last line: where the results are, unless on standard output."""
    return "" if output is None or output == "-" else f"; written to {without_secrets(output)}"
