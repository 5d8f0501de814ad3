"""The report: a run as one page for people, that needs no network, no script and no other file.

`classify --report`, `report` and `merge` make it. A page begins with facts that are known only at the end of a run, so
the rows of the pictures have to wait. At most `ROWS` of them are kept, compressed; the rest is only counted, and the
page says so. So a run of a million pictures makes a page that a browser can open, and memory does not grow.
"""

from __future__ import annotations

from collections.abc import Iterator

from birdlite._version import __version__
from birdlite.results import Result
from birdlite.timing import STAGES, Breakdown
from birdlite.writers.base import ReportFacts, RunFacts, TextSink, WriterOptions
from birdlite.writers.html_sections import FailureCount, KeptRows, SpeciesCount, row
from birdlite.writers.page import bar, dot, head, text
from birdlite.writers.waterfall import waterfall

ROWS = 10_000  # pictures in the table; with more, browsers take long to open the page


class HtmlWriter:
    """Writes a report. Nothing reaches the stream before `finish`."""

    def __init__(self, stream: TextSink, options: WriterOptions) -> None:
        self._stream = stream
        self._options = options
        self._rows = KeptRows(ROWS, by_index=options.by_index)
        self._species = SpeciesCount()
        self._failures = FailureCount(by_index=options.by_index)

    def write(self, result: Result) -> None:
        """Count a result, and keep its row if it is one of the first."""
        if self._rows.wants(result.index):
            self._rows.add(result.index, row(result, self._options))
        failure = result.failure
        if failure is None:
            self._species.add(result.predictions)
        else:
            self._failures.add(result, failure)

    def finish(self, run: RunFacts) -> None:
        """Write the page."""
        put = self._stream.write
        report = run.report or ReportFacts()
        timing = run.timing if self._options.times else None
        put(head(report.title))
        put(self._header(run, report, timed=timing is not None))
        put(self._numbers(run, report))
        put(self._species.section(self._options))
        put(self._failures.section())
        if timing is not None:
            put(_time(timing, run.summary.targets, report))
        put(self._pictures_begin(run.summary.targets))
        for line in self._rows:
            put(line)
        put("</tbody>\n</table>\n" if self._rows else "")
        put(f"</section>\n</main>\n<footer><p>Made by birdlite {__version__}.</p></footer>\n</body>\n</html>\n")
        self._stream.flush()

    def _header(self, run: RunFacts, report: ReportFacts, *, timed: bool) -> str:
        sections = (
            ("species", bool(self._species)),
            ("failures", bool(self._failures)),
            ("time", timed),
            ("pictures", True),
        )
        links = "".join(f'<a href="#{place}">{place.capitalize()}</a>' for place, shown in sections if shown)
        notes = list(report.notes)
        if run.summary.interrupted:
            notes.insert(0, f"The run was interrupted. {run.summary.targets:,} results came before that.")
        shown_notes = "".join(f'<p class="note">{text(note)}</p>\n' for note in notes)
        return f"<header>\n<h1>{text(report.title)}</h1>\n<nav>{links}</nav>\n{shown_notes}</header>\n<main>\n"

    def _numbers(self, run: RunFacts, report: ReportFacts) -> str:
        summary = run.summary
        numbers = [("pictures", f"{summary.targets:,}"), ("classified", f"{summary.ok:,}")]
        failed = f'<span class="bad">{summary.failed:,}</span>' if summary.failed else "0"
        numbers += [("failed", failed), ("species", self._species.number())]
        if self._options.times and summary.wall_ms:
            numbers.append(("pictures a second", f"{summary.images_per_second:,.1f}"))
            numbers.append(("from process start", _duration(summary.wall_ms)))
        shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in numbers)
        facts = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>\n" for name, value in _facts(run, report))
        return f'<section id="run">\n<dl class="numbers">{shown}</dl>\n<dl class="facts">\n{facts}</dl>\n</section>\n'

    def _pictures_begin(self, targets: int) -> str:
        begin = '<section id="pictures">\n<h2>Pictures</h2>\n'
        if not self._rows:
            return f'{begin}<p class="soft">There are none.</p>\n'
        if targets > len(self._rows):
            begin += f'<p class="soft">The first {len(self._rows):,} of {targets:,}; the output has them all.</p>\n'
        return (
            f'{begin}<table class="pictures">\n<thead><tr><th class="n">number</th><th>picture</th>'
            "<th>best candidates</th></tr></thead>\n<tbody>\n"
        )


def _time(breakdown: Breakdown, pictures: int, report: ReportFacts) -> str:
    wall = breakdown.wall_ms or 1.0
    rows = [
        f'<tr><td>{dot(STAGES.index(one.stage))}{one.stage}</td><td class="n">{one.count:,}</td>'
        f'<td class="n">{one.spent_ms:,.1f}</td><td class="n">{one.critical_ms:,.1f}</td>'
        f"<td>{bar(one.critical_ms / wall)}</td></tr>\n"
        for one in breakdown.stages
    ]
    rows.append(
        f'<tr><td>other</td><td></td><td></td><td class="n">{breakdown.other_ms:,.1f}</td>'
        f"<td>{bar(breakdown.other_ms / wall)}</td></tr>\n"
        f'<tr class="sum"><td>total</td><td></td><td></td><td class="n">{breakdown.wall_ms:,.1f}</td><td></td></tr>\n'
    )
    drawn = "" if report.trace is None else waterfall(report.trace, report.names, pictures)
    return (
        '<section id="time">\n<h2>Where the time went</h2>\n<p class="soft">In ms, from the start of the process to the'
        " last result. Spent is the work of all threads; critical is what the run waited for, and adds up to the"
        ' total.</p>\n<table class="stages">\n<thead><tr><th>stage</th><th class="n">times</th><th class="n">spent</th>'
        f'<th class="n">critical</th><th></th></tr></thead>\n<tbody>\n{"".join(rows)}</tbody>\n</table>\n'
        f'<div class="wide" tabindex="0" role="group" aria-label="Timeline">\n{drawn}\n</div>\n</section>\n'
    )


def _facts(run: RunFacts, report: ReportFacts) -> Iterator[tuple[str, str]]:
    model = run.model
    if model is not None:
        yield "model", model.name
        yield "sha256", model.sha256
        if model.engine:
            yield "engine", f"{model.engine}, {model.threads} thread{'' if model.threads == 1 else 's'}"
    yield "birdlite", report.version or __version__
    yield from report.facts


def _duration(ms: float) -> str:
    seconds = round(ms / 1e3)
    if seconds < 10:
        return f"{ms:,.0f} ms"
    if seconds < 120:
        return f"{seconds} s"
    return (
        f"{seconds // 3600} h {seconds // 60 % 60} min" if seconds >= 3600 else f"{seconds // 60} min {seconds % 60} s"
    )
