"""One run from targets to printed results: what `classify` and `demo` have in common."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.cli import EXIT_FAILURES, EXIT_OK
from birdlite.cli.console import Console
from birdlite.cli.interruption import Interruption
from birdlite.namedtuple import NamedTuple
from birdlite.results import RunSummary
from birdlite.run.classifier import Classifier
from birdlite.settings import Settings
from birdlite.targets.expand import BadTarget, Target
from birdlite.timing import Breakdown, Timeline, clock
from birdlite.writers import Format, ModelFacts, Names, RunFacts, Writer, WriterOptions, open_writer
from birdlite.writers.output import open_output

if TYPE_CHECKING:
    from birdlite.run.report_file import ReportFile
    from birdlite.run.selection import Selection
    from birdlite.storage.store import Storage

SUFFIXES: dict[str, Format] = {"json": "json", "jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "txt": "text"}
SUFFIXES |= {"html": "html", "htm": "html"}


class RunOptions(NamedTuple):
    """What becomes of the results."""

    format: Format = "text"
    output: str | None = None  # a file, or None for standard output
    names: Names = "both"
    timing: bool | None = None  # None: the table only with text, times in the records always
    allow_failures: bool = False  # failed targets do not fail the run
    report: str | None = None  # a file for the page, beside the output


def guess_format(output: str | None) -> Format:
    """The format that the suffix of an output file means; text if it means none."""
    return SUFFIXES.get((output or "").rpartition(".")[2].lower(), "text")


def run(
    settings: Settings,
    targets: Iterable[Target | BadTarget],
    options: RunOptions,
    console: Console,
    timeline: Timeline,
    selection: Selection | None = None,
    storage: Storage | None = None,
) -> int:
    """Classify, print, and give the exit code. With a `selection`, only its targets, and into its part if it has one.

    `storage` is for pictures and an output in object storage.

    Raises:
        BirdliteError: nothing could run, or the results cannot be written.
        BrokenPipeError: whoever read standard output went away.
    """
    if options.report is None:
        return _run(settings, targets, options, console, timeline, selection, storage)
    with timeline.span("imports"):
        from birdlite.run.report_file import ReportFile

    choices = WriterOptions(options.names, options.timing is not False, settings.min_score)
    with ReportFile(options.report, choices, storage) as report:
        timeline.traced = choices.times
        return _run(settings, targets, options, console, timeline, selection, storage, report)


def _run(
    settings: Settings,
    targets: Iterable[Target | BadTarget],
    options: RunOptions,
    console: Console,
    timeline: Timeline,
    selection: Selection | None,
    storage: Storage | None,
    report: ReportFile | None = None,
) -> int:
    times = options.timing is not False
    with (
        Classifier(settings, timeline=timeline, storage=storage) as classifier,
        Interruption(classifier.cancel) as interruption,
    ):
        one = _Run(classifier, interruption, options, settings, console, timeline, report)
        if selection is not None:
            targets = _selected(selection, targets, classifier, options, settings)
        if selection is not None and selection.part is not None:
            with selection.part as part:
                facts, breakdown = one.drive(targets, part, selection)
            failed = part.failed
        else:
            with open_output(options.output, options.format, storage=storage) as output:
                choices = WriterOptions(options.names, times, settings.min_score)
                with timeline.span("imports"):
                    writer = open_writer(options.format, output.stream, choices)
                facts, breakdown = one.drive(targets, writer, selection)
                output.interrupted = facts.summary.interrupted
            failed = facts.summary.failed
        console.clear()
        if options.timing or (options.timing is None and options.format == "text" and not console.quiet):
            _print_timing(facts.summary, breakdown)
        if report is not None:  # the results are out: whatever becomes of the page, they stay
            report.finish(_with_report(facts, report, settings, timeline, selection))
        if interruption.exit_code is not None:
            log.warning(f"interrupted; {facts.summary.targets} results were written")
            return interruption.exit_code
    return EXIT_FAILURES if failed and not options.allow_failures else EXIT_OK


class _Run(NamedTuple):
    """What is fixed while results come."""

    classifier: Classifier
    interruption: Interruption
    options: RunOptions
    settings: Settings
    console: Console
    timeline: Timeline
    report: ReportFile | None

    def drive(
        self, targets: Iterable[Target | BadTarget], writer: Writer, selection: Selection | None
    ) -> tuple[RunFacts, Breakdown]:
        """Write a result for each target, and the facts of the run."""
        timeline, options, report = self.timeline, self.options, self.report
        on_screen = options.output is None and sys.stdout is not None and sys.stdout.isatty()
        ok = failed = 0
        for result in self.classifier.stream(targets):
            ok, failed = ok + result.ok, failed + (not result.ok)
            with timeline.span("output", result.index):
                placed = result if selection is None else selection.placed(result)
                writer.write(placed)
                if report is not None:
                    report.write(placed, result.index)
            if not on_screen:  # results that scroll by are progress enough
                self.console.progress(ok + failed, failed, clock() - timeline.origin)
        breakdown = timeline.breakdown()
        summary = _summary(ok, failed, breakdown, interrupted=self.interruption.exit_code is not None)
        timing = None if options.timing is False else breakdown
        facts = RunFacts(summary, _model_facts(self.classifier, self.settings), timing)
        writer.finish(facts)
        return facts, breakdown


def _selected(
    selection: Selection,
    targets: Iterable[Target | BadTarget],
    classifier: Classifier,
    options: RunOptions,
    settings: Settings,
) -> Iterable[Target | BadTarget]:
    from birdlite.run.selection import run_of

    return selection.of(
        targets,
        lambda: classifier.model,
        lambda model: run_of(
            model,
            settings,
            selection.shard,
            names=options.names,
            timing=options.timing is not False,
            since=selection.leaves_out,
        ),
    )


def _summary(ok: int, failed: int, breakdown: Breakdown, *, interrupted: bool) -> RunSummary:
    rate = ok / breakdown.wall_ms * 1e3 if breakdown.wall_ms else 0.0
    return RunSummary(ok + failed, ok, failed, breakdown.wall_ms, rate, interrupted)


def _model_facts(classifier: Classifier, settings: Settings) -> ModelFacts | None:
    if not classifier.engine_name:
        return None  # interrupted before there was one
    model = classifier.model
    return ModelFacts(model.card.name, model.sha256, classifier.engine_name, settings.threads)


def _with_report(
    facts: RunFacts, report: ReportFile, settings: Settings, timeline: Timeline, selection: Selection | None
) -> RunFacts:
    """Add what only the page says."""
    from birdlite.writers import ReportFacts

    more: list[tuple[str, str]] = [("resize", settings.resize)]
    notes: list[str] = []
    if selection is not None and selection.shard.count > 1:
        more.append(("shard", f"{selection.shard.index}/{selection.shard.count}"))
    if selection is not None and selection.part is not None and selection.part.already:
        notes.append(
            f"The run was taken up again, and the {selection.part.already:,} records of earlier starts are not on this"
            f" page. birdlite report {selection.part.path} makes one of all."
        )
    told = ReportFacts(facts=tuple(more), notes=tuple(notes), trace=timeline.trace, names=report.names)
    return facts._replace(report=told)


def _print_timing(summary: RunSummary, breakdown: Breakdown) -> None:
    from birdlite.writers.breakdown import breakdown_text
    from birdlite.writers.terminal import look

    trouble = f", {summary.failed} failed" if summary.failed else ""
    sys.stderr.write(
        f"\n{summary.ok} of {summary.targets} classified{trouble} in {summary.wall_ms:.0f} ms from process start"
        f" ({summary.images_per_second:.1f} a second)\n\n{breakdown_text(breakdown, look(sys.stderr))}"
    )
    sys.stderr.flush()
