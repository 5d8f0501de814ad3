"""The HTML page of a run: `classify --report` writes it beside the results, `report` and `merge` make it from outputs.

`ReportFile` opens its file before the run, so a missing folder ends the run before any work is done. A cold start must
not wait for the page: results are collected, and the module that writes HTML is imported at the end, or when there are
many.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from birdlite.errors import UsageError
from birdlite.results import Result
from birdlite.storage import is_storage
from birdlite.timing import FOLD_AT
from birdlite.writers import open_writer
from birdlite.writers.base import ModelFacts, ReportFacts, RunFacts, Writer, WriterOptions
from birdlite.writers.output import open_output

if TYPE_CHECKING:
    from birdlite.batch.header import Header, Run
    from birdlite.storage.store import Storage

HELD = 256  # results collected before they are written: a few hundred KB
NAMED = FOLD_AT // 2  # names kept for the drawing: more pictures than a trace has spans of


class ReportFile:
    """One page. As a context manager it appears at the end, or not at all if the body raised."""

    def __init__(self, path: str, options: WriterOptions, storage: Storage | None = None) -> None:
        """Open it.

        Raises:
            OutputError: the file cannot be written.
        """
        self._output = open_output(path, "html", whole=True, storage=storage)
        self._options = options._replace(folder=folder_of(path))
        self._held: list[Result] = []
        self._writer: Writer | None = None
        self.names: dict[int, str] = {}  # of the first pictures, by index

    def write(self, result: Result) -> None:
        """Add a result."""
        if len(self.names) < NAMED:
            self.names[result.index] = result.target
        self._held.append(result)
        if len(self._held) >= HELD:
            self._pass_on()

    def finish(self, run: RunFacts) -> None:
        """Write the page.

        Raises:
            OutputError: the disk refuses.
        """
        self._pass_on().finish(run)

    def _pass_on(self) -> Writer:
        writer = self._writer
        if writer is None:
            writer = self._writer = open_writer("html", self._output.stream, self._options)
        for result in self._held:
            writer.write(result)
        self._held = []
        return writer

    def __enter__(self) -> ReportFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._output.__exit__(kind, *rest)


def check_report(path: str, output: str | None) -> None:
    """Check that `path` can be a report.

    Raises:
        UsageError: it is not a file, or it is that of the results.
    """
    if path in ("", "-"):
        raise UsageError("--report needs a file; the results go to standard output")
    if output is not None and _place(path) == _place(output):
        raise UsageError(f"--report {path}: is the --output too")


def folder_of(path: str | None) -> str | None:
    """The folder that a page's links start from; the current one for standard output; None for an object in storage."""
    if path is None or path == "-":
        return os.getcwd()
    return None if is_storage(path) else os.path.dirname(os.path.abspath(path))


def facts_of_run(run: Run) -> tuple[ModelFacts, ReportFacts]:
    """What a page says of one run. Headers do not have the engine, because the records do not depend on it."""
    facts = [("resize", run.resize)]
    if run.min_score > 0:
        facts.append(("scores from", f"{run.min_score:g}"))
    return ModelFacts(run.model, run.model_sha256, "", 0), ReportFacts(facts=tuple(facts), version=run.version)


def facts_of_outputs(headers: Sequence[Header | None]) -> tuple[ModelFacts | None, ReportFacts]:
    """What a page says of outputs, of one run or of several, complete or not; None stands for one without a header.

    Returns:
        The model if all are of one run, and the facts.
    """
    known = [header for header in headers if header is not None]
    files = ("outputs", f"{len(headers):,}")
    notes: list[str] = []
    if not known or len(known) < len(headers) or not _are_one_run(known):
        models = sorted({header.run.model for header in known})
        if len(models) > 1:
            notes.append(f"Of several runs, with the models {', '.join(models)}.")
        return None, ReportFacts(facts=(files,), notes=tuple(notes))
    run = known[0].run
    model, report = facts_of_run(run)
    missing = run.shards - len({header.run.shard for header in known})
    if missing:
        notes.append(f"The run is not complete. Shards that are not here: {missing:,} of {run.shards:,}.")
    unfinished = sum(header.totals is None for header in known)
    if unfinished:
        notes.append(f"The run is not complete. Unfinished outputs: {unfinished:,}.")
    return model, report._replace(facts=(*report.facts, files), notes=tuple(notes))


def _are_one_run(headers: Sequence[Header]) -> bool:
    from birdlite.batch.header import difference

    return all(difference(headers[0].run, header.run, apart_from=("shard",)) is None for header in headers)


def _place(path: str) -> str:
    return path if is_storage(path) else os.path.realpath(path)
