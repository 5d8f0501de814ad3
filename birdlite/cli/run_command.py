"""What `classify` and `demo` do with a `Runner`: show progress, stop it at a signal, say how it went."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from birdlite import log
from birdlite.cli.console import Console
from birdlite.cli.exit_codes import EXIT_FAILURES, EXIT_OK
from birdlite.cli.interruption import Interruption
from birdlite.results import RunSummary
from birdlite.run.progress import Progress
from birdlite.run.runner import Runner
from birdlite.targets.target import BadTarget, Target
from birdlite.timing import Breakdown, clock


def drive(
    runner: Runner,
    targets: Iterable[Target | BadTarget],
    console: Console,
    *,
    table: bool,
    allow_failures: bool = False,
) -> int:
    """Run it and give the exit code. `table`: print where the time went.

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
        if table:
            _print_timing(report.summary, report.breakdown)
        if interruption.exit_code is not None:
            log.warning(f"interrupted; {report.summary.targets} results were written")
            return interruption.exit_code
    return EXIT_FAILURES if report.failed and not allow_failures else EXIT_OK


def _is_on_screen(runner: Runner) -> bool:
    """Whether results scroll by on a terminal, which is progress enough."""
    return runner.options.output is None and sys.stdout is not None and sys.stdout.isatty()


def _print_timing(summary: RunSummary, breakdown: Breakdown) -> None:
    from birdlite.writers.breakdown import breakdown_text
    from birdlite.writers.terminal import look

    trouble = f", {summary.failed} failed" if summary.failed else ""
    sys.stderr.write(
        f"\n{summary.ok} of {summary.targets} classified{trouble} in {summary.wall_ms:.0f} ms from process start"
        f" ({summary.images_per_second:.1f} a second)\n\n{breakdown_text(breakdown, look(sys.stderr))}"
    )
    sys.stderr.flush()
