"""What `classify` and `demo` do with a `Runner`: show progress, stop it at a signal, say how it went."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from birdlite import log
from birdlite.cli.console import Console
from birdlite.cli.exit_codes import EXIT_FAILURES, EXIT_OK
from birdlite.cli.interruption import Interruption
from birdlite.results import Progress
from birdlite.run.runner import Runner, RunReport
from birdlite.targets import BadTarget, Target
from birdlite.timing import clock


def drive(
    runner: Runner,
    targets: Iterable[Target | BadTarget],
    console: Console,
    *,
    table: bool,
    allow_failures: bool = False,
) -> int:
    """Run it and give the exit code. `table`: print where the time went as a table.

    Raises:
        BirdliteError: nothing could run, or the results cannot be written.
        BrokenPipeError: the reader of standard output has gone away.
    """

    def show(progress: Progress) -> None:
        console.progress(progress, clock() - runner.timeline.origin)

    with Interruption(runner.cancel) as interruption:
        try:
            report = runner.run(targets, None if _is_on_screen(runner) else show)
        finally:
            console.clear()
        if not console.quiet:
            _say_how_it_went(runner, report, table=table)
        if interruption.exit_code is not None:
            log.warning(f"interrupted; {report.summary.targets} results were written")
            return interruption.exit_code
    return EXIT_FAILURES if report.failed and not allow_failures else EXIT_OK


def _is_on_screen(runner: Runner) -> bool:
    """Whether results scroll by on a terminal, which is progress enough."""
    return runner.options.output is None and sys.stdout is not None and sys.stdout.isatty()


def _say_how_it_went(runner: Runner, report: RunReport, *, table: bool) -> None:
    """The end of a run on standard error: what was classified, what failed, where the results are, and the time."""
    from birdlite.writers.breakdown import breakdown_line, breakdown_text, failed_text

    summary, where = report.summary, _where(report)
    if report.already and not summary.targets:
        return  # the output was complete, and the log says so
    if table:
        from birdlite.writers.terminal import look

        sys.stderr.write(
            f"\n{summary.ok} of {summary.targets} classified{failed_text(report.failures)} in {summary.wall_ms:.0f} ms"
            f" from process start ({summary.images_per_second:.1f} a second){where}\n\n"
            f"{breakdown_text(report.breakdown, look(sys.stderr))}"
        )
        sys.stderr.flush()
    elif runner.options.format == "text" and runner.options.times:
        log.info(f"{breakdown_line(summary, report.failures, report.breakdown)}{where}")
    else:
        log.info(f"{summary.ok} of {summary.targets} classified{failed_text(report.failures)}{where}")


def _where(report: RunReport) -> str:
    """Where the results are, unless on standard output or not complete."""
    if report.summary.interrupted:
        return ""
    already = f", {report.already} by earlier starts" if report.already else ""
    output = "" if report.output is None else f"{already}; written to {report.output}"
    return output if report.page is None else f"{output}; page in {report.page}"
