"""One run from targets to written results: shards, resume, the report and progress.

    runner = Runner(Settings(), RunOptions(output="birds.jsonl", resume=True))
    report = runner.run(expand(["album/"]))
    print(report.summary.ok, report.failures)

The commands `classify` and `demo` call it, and so can any Python program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.errors import TooManyFailures, UsageError
from birdlite.namedtuple import NamedTuple
from birdlite.results import FailureKind, Progress, Result, RunSummary, is_away
from birdlite.run.classifier import Classifier
from birdlite.run.options import RunOptions, settled
from birdlite.settings import Settings
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import Targets
from birdlite.timing import Breakdown, Timeline
from birdlite.writers import open_writer
from birdlite.writers.base import ModelFacts, ReportFacts, RunFacts, Writer, WriterOptions
from birdlite.writers.output import open_output

if TYPE_CHECKING:
    from birdlite.run.report_file import ReportFile
    from birdlite.run.selection import Selection
    from birdlite.storage.store import Storage

COLLECT_AFTER = 1000
"""Pictures after which a run counts as a long one."""


class RunReport(NamedTuple):
    """What became of a run."""

    summary: RunSummary  # of this start
    failures: dict[str, int]  # failed targets of this start, by kind
    breakdown: Breakdown
    failed: int  # failed targets in the output, those of earlier starts included
    already: int  # records of earlier starts in the output
    output: str | None  # where the results are; None: standard output
    page: str | None  # where the page is
    was_complete: bool = False  # the output was there when the run began, with nothing to do


class Runner:
    """One run. Make it, `run` it once; `cancel` may be called from a signal handler meanwhile."""

    def __init__(
        self,
        settings: Settings,
        options: RunOptions | None = None,
        *,
        timeline: Timeline | None = None,
        storage: Storage | None = None,
    ) -> None:
        """`storage` is for pictures and outputs in object storage.

        Raises:
            UsageError: the options make no sense together.
        """
        self.timeline = timeline or Timeline()
        self._storage = storage
        self._on_progress: Callable[[Progress], None] | None = None
        given = options or RunOptions()
        self.options = options = settled(given)
        self._selection = _select(options, given, storage)
        if self._selection is not None and self._selection.part is not None:
            settings = settings._replace(ordered=False)  # a part is put in order at its end
        self._settings = settings
        self._classifier: Classifier | None = None
        self._has_run = False
        self._cancelled = False
        self._ok = 0
        self._skipped: Mapping[str, int] = {}
        self._failures: dict[str, int] = {}
        self._away: dict[int, FailureKind] = {}  # failures of this start because something was away, by index
        self._too_many: str | None = None  # what was away, if it was more than `max_failures`

    def cancel(self) -> None:
        """End the run soon: what is finished is written."""
        self._cancelled = True
        if self._classifier is not None:
            self._classifier.cancel()

    def run(
        self, targets: Iterable[Target | BadTarget], on_progress: Callable[[Progress], None] | None = None
    ) -> RunReport:
        """Classify and write. `on_progress` is called after each result.

        Raises:
            TypeError: `targets` holds something else, such as names, which `expand` takes.
            UsageError: it has run before.
            TooManyFailures: more than `max_failures`; what is finished is written, and a part can be resumed.
            BirdliteError: nothing could run, or the results cannot be written.
            BrokenPipeError: the reader of standard output has gone away.
        """
        if self._has_run:
            raise UsageError("a Runner runs once; make another one")
        if not isinstance(targets, Targets):
            from birdlite.targets.from_python import checked

            targets = checked(targets)
        self._has_run = True
        report = self._run_with_page(targets, on_progress)
        if self._too_many is not None:
            part = None if self._selection is None else self._selection.part
            unfinished = (
                "" if part is None else f"; {part.path} is unfinished, and --resume --retry-failed goes on with it"
            )
            raise TooManyFailures(self._too_many + unfinished, temporary=True)
        return report

    def _run_with_page(
        self, targets: Iterable[Target | BadTarget], on_progress: Callable[[Progress], None] | None
    ) -> RunReport:
        self._on_progress = on_progress
        if isinstance(targets, Targets):
            self._skipped = targets.skipped
        path = self.options.report
        if path is None:
            return self._run(targets, None)
        with self.timeline.span("imports"):
            from birdlite.run.report_file import ReportFile

        with ReportFile(path, self._writer_options(), self._storage) as page:
            self.timeline.traced = self.options.times
            return self._run(targets, page)

    def _run(self, targets: Iterable[Target | BadTarget], page: ReportFile | None) -> RunReport:
        selection, options, format_ = self._selection, self.options, self.options.format or "text"
        part = None if selection is None else selection.part
        if part is not None:  # a long run, which has no need of the milliseconds that this takes
            from birdlite.memory_limit import share_heaps

            share_heaps(self._settings.threads)
        with Classifier(self._settings, timeline=self.timeline, storage=self._storage) as classifier:
            self._classifier = classifier
            if selection is not None:
                targets = selection.of(targets, classifier, self._settings, options)
            if part is not None:
                with part:
                    facts, breakdown = self._write_results(targets, classifier, part, page)
                if selection is not None and not facts.summary.interrupted:
                    selection.keep_index()
                failed, already = part.failed, part.already
            else:
                where, storage = options.output, self._storage
                with open_output(where, format_, storage=storage, cancelled=lambda: self._cancelled) as output:
                    with self.timeline.span("imports"):
                        writer = open_writer(format_, output.stream, self._writer_options())
                    facts, breakdown = self._write_results(targets, classifier, writer, page)
                    output.interrupted = facts.summary.interrupted
                failed, already = facts.summary.failed, 0
            if page is not None:  # the results are written: they stay if the page cannot be written
                page.finish(self._with_page_facts(facts, page))
        was_complete = part is not None and part.complete
        outputs = options.output, options.report
        return RunReport(facts.summary, self._failures, breakdown, failed, already, *outputs, was_complete)

    def _write_results(
        self, targets: Iterable[Target | BadTarget], classifier: Classifier, writer: Writer, page: ReportFile | None
    ) -> tuple[RunFacts, Breakdown]:
        """Write a result for each target, then the facts of the run."""
        part = None if self._selection is None else self._selection.part
        results = classifier.stream(targets, None if part is None else part.guard)
        if self._cancelled:  # `cancel` came before there was a pipeline
            classifier.cancel()
        for result in results:
            self._count(result)
            with self.timeline.span("output", result.index):
                writer.write(result)
                if page is not None:
                    page.write(result)
            if self._ok + sum(self._failures.values()) == COLLECT_AFTER:
                from birdlite.memory_limit import collect_often

                collect_often()
            self._check_failures()
            if self._on_progress is not None:
                failed = sum(self._failures.values())
                self._on_progress(Progress(self._ok + failed, failed, classifier.total))
        self._check_failures(at_the_end=True)
        breakdown = self.timeline.breakdown()
        times = breakdown if self.options.times else None
        facts = RunFacts(self._summary(breakdown), self._model_facts(classifier), times)
        writer.finish(facts)
        return facts, breakdown

    def _count(self, result: Result) -> None:
        before = self._away.pop(result.index, None)
        if before is not None:  # it was tried again
            self._failures[before] -= 1
            self._failures = {kind: count for kind, count in self._failures.items() if count}
        if result.failure is None:
            self._ok += 1
        else:
            if self.options.max_failures is not None and is_away(result.target, result.failure):
                self._away[result.index] = result.failure.kind
            self._failures[result.failure.kind] = self._failures.get(result.failure.kind, 0) + 1

    def _check_failures(self, *, at_the_end: bool = False) -> None:
        """End the run if too much is away.

        A percentage, and what earlier starts left in a part, count at the end only: they are tried again before.
        """
        limit = self.options.max_failures
        if limit is None or self._cancelled:
            return
        part = None if self._selection is None else self._selection.part
        away, done = len(self._away), self._ok + sum(self._failures.values())
        if part is not None and at_the_end:
            away, done = part.away, part.records
        if not limit.allows(away, done if at_the_end else None):
            found = Counter(self._away.values())
            kinds = [f"{kind} {count}" for kind, count in sorted(found.items())]
            earlier = [f"in earlier starts {away - len(self._away)}"] if away > len(self._away) else []
            self._too_many = (
                f"{log.counted(away, 'target')} failed because something was away ({', '.join(kinds + earlier)}),"
                f" more than --max-failures {limit}"
            )
            self.cancel()

    def _summary(self, breakdown: Breakdown) -> RunSummary:
        failed = sum(self._failures.values())
        rate = self._ok / breakdown.wall_ms * 1e3 if breakdown.wall_ms else 0.0
        skipped = dict(sorted(self._skipped.items()))
        return RunSummary(self._ok + failed, self._ok, failed, breakdown.wall_ms, rate, self._cancelled, skipped)

    def _writer_options(self) -> WriterOptions:
        return WriterOptions(self.options.names, self.options.times, self._settings.min_score)

    def _model_facts(self, classifier: Classifier) -> ModelFacts | None:
        """What the run used; None if it was interrupted before there was an engine."""
        if not classifier.engine_name:
            return None
        model = classifier.model
        return ModelFacts(model.card.name, model.sha256, classifier.engine_name, self._settings.threads)

    def _with_page_facts(self, facts: RunFacts, page: ReportFile) -> RunFacts:
        """Add what only the page says."""
        selection = self._selection
        more: list[tuple[str, str]] = [("resize", self._settings.resize)]
        notes: list[str] = []
        if selection is not None and selection.shard.count > 1:
            more.append(("shard", f"{selection.shard.index}/{selection.shard.count}"))
        if self._skipped:
            from birdlite.targets.folders import described

            notes.append(f"Not read, in folders: {described(self._skipped)}.")
        part = None if selection is None else selection.part
        if part is not None and part.already:
            notes.append(
                f"The run was resumed. Records of earlier starts that are not on this page: {part.already:,}. "
                f"birdlite report {part.path} makes one of all."
            )
        trace, names = self.timeline.trace, page.names
        return facts._replace(report=ReportFacts(facts=tuple(more), notes=tuple(notes), trace=trace, names=names))


def _select(options: RunOptions, given: RunOptions, storage: Storage | None) -> Selection | None:
    if options.shard is None and not (options.resume or options.since_output or options.keep_index):
        return None  # a plain run does without these modules
    from birdlite.run.selection import select

    return select(options, given, storage)
