"""The page that `classify --report` writes beside the results: begun before the run, written after it.

The file is opened first: if its folder is missing, the run ends before any work is done. A cold start must not wait for
the page, so results are only collected, and the module that writes HTML is imported at the end, or when there are many.
"""

from __future__ import annotations

import os

from birdlite.errors import UsageError
from birdlite.results import Result
from birdlite.storage import is_storage
from birdlite.storage.store import Storage
from birdlite.timing import FOLD_AT
from birdlite.writers import RunFacts, Writer, WriterOptions, open_writer
from birdlite.writers.output import open_output

HELD = 256  # results collected before they are written: a few hundred KB
NAMED = FOLD_AT // 2  # names kept for the drawing: more pictures than a trace has spans of


class ReportFile:
    """One page. As a context manager it appears at the end, or not at all if the body raised."""

    def __init__(self, path: str, options: WriterOptions, storage: Storage | None = None) -> None:
        """Open it.

        Raises:
            OutputError: it cannot be written there.
        """
        self._output = open_output(path, "html", whole=True, storage=storage)
        self._options = options._replace(folder=folder_of(path))
        self._held: list[Result] = []
        self._writer: Writer | None = None
        self.names: dict[int, str] = {}  # of the first pictures, by index

    def write(self, result: Result) -> None:
        """Take a result."""
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
    """See that a report can go to `path`, as far as the command line says.

    Raises:
        UsageError: it is no file, or that of the results.
    """
    if path in ("", "-"):
        raise UsageError("--report needs a file; the results go to standard output")
    if output is not None and _place(path) == _place(output):
        raise UsageError(f"--report {path}: is the --output too")


def folder_of(path: str | None) -> str | None:
    """From where a page's links to files lead: its folder; the current one for standard output; None for an object."""
    if path is None or path == "-":
        return os.getcwd()
    return None if is_storage(path) else os.path.dirname(os.path.abspath(path))


def _place(path: str) -> str:
    return path if is_storage(path) else os.path.realpath(path)
