"""One run from targets to printed results: what `classify` and `demo` have in common."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from birdlite import log
from birdlite.classifier import Classifier
from birdlite.cli import EXIT_FAILURES, EXIT_OK
from birdlite.cli.console import Console
from birdlite.cli.interruption import Interruption
from birdlite.records import NamedTuple
from birdlite.results import RunSummary
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target
from birdlite.timing import Breakdown, Timeline, clock
from birdlite.writers import Format, ModelFacts, Names, RunFacts, WriterOptions, open_writer
from birdlite.writers.output import open_output

SUFFIXES: dict[str, Format] = {"json": "json", "jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "txt": "text"}


class RunOptions(NamedTuple):
    """What becomes of the results."""

    format: Format = "text"
    output: str | None = None  # a file, or None for standard output
    names: Names = "both"
    timing: bool | None = None  # None: the table only with text, times in the records always


def guess_format(output: str | None) -> Format:
    """The format that the suffix of an output file means; text if it means none."""
    return SUFFIXES.get((output or "").rpartition(".")[2].lower(), "text")


def run(
    settings: Settings,
    targets: Iterable[Target | BadTarget],
    options: RunOptions,
    console: Console,
    timeline: Timeline,
) -> int:
    """Classify, print, and give the exit code.

    Raises:
        BirdliteError: nothing could run, or the results cannot be written.
        BrokenPipeError: whoever read standard output went away.
    """
    times = options.timing is not False
    on_screen = options.output is None and sys.stdout is not None and sys.stdout.isatty()
    ok = failed = 0
    with Classifier(settings, timeline=timeline) as classifier, Interruption(classifier.cancel) as interruption:
        with open_output(options.output, options.format) as output:
            writer = open_writer(options.format, output.stream, WriterOptions(options.names, times, settings.min_score))
            for result in classifier.stream(targets):
                ok, failed = ok + result.ok, failed + (not result.ok)
                with timeline.span("output", result.index):
                    writer.write(result)
                if not on_screen:  # results that scroll by are progress enough
                    console.progress(ok + failed, failed, clock() - timeline.origin)
            breakdown = timeline.breakdown()
            interrupted = interruption.exit_code is not None
            summary = _summary(ok, failed, breakdown, interrupted=interrupted)
            writer.finish(RunFacts(summary, _model_facts(classifier, settings), breakdown if times else None))
        console.clear()
        if options.timing or (options.timing is None and options.format == "text" and not console.quiet):
            _print_timing(summary, breakdown)
        if interruption.exit_code is not None:
            log.warning(f"interrupted; {ok + failed} results were written")
            return interruption.exit_code
    return EXIT_FAILURES if failed else EXIT_OK


def _summary(ok: int, failed: int, breakdown: Breakdown, *, interrupted: bool) -> RunSummary:
    rate = ok / breakdown.wall_ms * 1e3 if breakdown.wall_ms else 0.0
    return RunSummary(ok + failed, ok, failed, breakdown.wall_ms, rate, interrupted)


def _model_facts(classifier: Classifier, settings: Settings) -> ModelFacts | None:
    if not classifier.engine_name:
        return None  # interrupted before there was one
    model = classifier.model
    return ModelFacts(model.card.name, model.sha256, classifier.engine_name, settings.threads)


def _print_timing(summary: RunSummary, breakdown: Breakdown) -> None:
    from birdlite.writers.breakdown import breakdown_text
    from birdlite.writers.terminal import look

    trouble = f", {summary.failed} failed" if summary.failed else ""
    sys.stderr.write(
        f"\n{summary.ok} of {summary.targets} classified{trouble} in {summary.wall_ms:.0f} ms from process start"
        f" ({summary.images_per_second:.1f} a second)\n\n{breakdown_text(breakdown, look(sys.stderr))}"
    )
    sys.stderr.flush()
