"""The report: a run as one page for people, that needs no network, no script and no other file.

`classify --report`, `report` and `merge` make it. At most `ROWS` pictures are shown and the rest is only counted, so a
run of a million pictures makes a page that a browser can open, and memory does not grow.
"""

from __future__ import annotations

from collections.abc import Iterator

from birdlite import log
from birdlite._version import __version__
from birdlite.results import Result, RunSummary
from birdlite.timing import STAGES, Breakdown
from birdlite.writers.base import ReportFacts, RunFacts, TextSink, WriterOptions
from birdlite.writers.html_sections import FailureCount, KeptRows, SpeciesCount, row
from birdlite.writers.page import bar, page, section, table, text
from birdlite.writers.waterfall import waterfall

_ROWS = "\0"  # where the rows are put in

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
        report, summary = run.report or ReportFacts(), run.summary
        timing = run.timing if self._options.times else None
        sections = {
            "species": self._species.section(self._options),
            "failures": self._failures.section(),
            "time": "" if timing is None else _time(timing, summary.targets, report),
            "pictures": section("pictures", "Pictures", self._pictures(summary.targets)),
        }
        notes = list(report.notes)
        if summary.interrupted:
            notes.insert(0, f"The run was interrupted. Results before that: {summary.targets:,}.")
        begin, end = page(
            title=text(report.title),
            links="".join(f'<a href="#{place}">{place.capitalize()}</a>' for place, part in sections.items() if part),
            notes="".join(f'<p class="note">{text(note)}</p>\n' for note in notes),
            numbers="".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in self._numbers(summary)),
            facts="".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>\n" for name, value in _facts(run, report)),
            sections="".join(sections.values()),
            version=__version__,
        ).split(_ROWS)
        self._stream.write(begin)
        for line in self._rows:
            self._stream.write(line)
        self._stream.write(end)
        self._stream.flush()

    def _numbers(self, summary: RunSummary) -> Iterator[tuple[str, str]]:
        yield "pictures", f"{summary.targets:,}"
        yield "classified", f"{summary.ok:,}"
        yield "failed", f'<span class="bad">{summary.failed:,}</span>' if summary.failed else "0"
        yield "species", self._species.number()
        if self._options.times and summary.wall_ms:
            yield "pictures a second", f"{summary.images_per_second:,.1f}"
            yield "from process start", _duration(summary.wall_ms)

    def _pictures(self, targets: int) -> str:
        """The table of pictures, with `_ROWS` where its rows belong."""
        if not self._rows:
            return f'<p class="soft">There are none.</p>\n{_ROWS}'
        rest = f"The first {len(self._rows):,} of {targets:,}; the output has them all."
        cells = '<th class="n">number</th><th>picture</th><th>best candidates</th>'
        before = f'<p class="soft">{rest}</p>\n' if targets > len(self._rows) else ""
        return before + table("pictures", cells, [_ROWS])


def _time(breakdown: Breakdown, pictures: int, report: ReportFacts) -> str:
    wall = breakdown.wall_ms or 1.0
    rows = [
        f'<tr><td><span class="dot s{STAGES.index(one.stage)}"></span>{one.stage}</td><td class="n">{one.count:,}</td>'
        f'<td class="n">{one.spent_ms:,.1f}</td><td class="n">{one.critical_ms:,.1f}</td>'
        f"<td>{bar(one.critical_ms / wall)}</td></tr>\n"
        for one in breakdown.stages
    ]
    rows.append(
        f'<tr><td>other</td><td></td><td></td><td class="n">{breakdown.other_ms:,.1f}</td>'
        f"<td>{bar(breakdown.other_ms / wall)}</td></tr>\n"
        f'<tr class="sum"><td>total</td><td></td><td></td><td class="n">{breakdown.wall_ms:,.1f}</td><td></td></tr>\n'
    )
    cells = '<th>stage</th><th class="n">times</th><th class="n">spent</th><th class="n">critical</th><th></th>'
    drawn = "" if report.trace is None else waterfall(report.trace, report.names, pictures)
    body = (
        '<p class="soft">In ms, from the start of the process to the last result. Spent is the work of all threads;'
        f" critical is what the run waited for, and adds up to the total.</p>\n{table('stages', cells, rows)}"
        f'<div class="wide" tabindex="0" role="group" aria-label="Timeline">\n{drawn}\n</div>\n'
    )
    return section("time", "Where the time went", body)


def _facts(run: RunFacts, report: ReportFacts) -> Iterator[tuple[str, str]]:
    model = run.model
    if model is not None:
        yield "model", model.name
        yield "sha256", model.sha256
        if model.engine:
            yield "engine", f"{model.engine}, {log.counted(model.threads, 'thread')}"
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
