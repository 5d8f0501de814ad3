"""`birdlite report`: an HTML page from the results of earlier runs."""

from __future__ import annotations

from types import SimpleNamespace

from birdlite import log
from birdlite.batch.files import read_records, redacted_record, result_of
from birdlite.cli.console import open_console, written_to
from birdlite.cli.declare import Argument, Command, Option
from birdlite.cli.exit_codes import EXIT_FAILURES, EXIT_OK
from birdlite.cli.interruption import Interruption
from birdlite.cli.options import FILE, MESSAGES, REVEAL_TARGETS, SCRATCH, timeouts
from birdlite.cli.values import fetch_settings, part_paths
from birdlite.errors import PartsError
from birdlite.results import RunSummary
from birdlite.run.options import guess_format
from birdlite.run.report_file import facts_of_outputs, folder_of
from birdlite.storage.store import Storage
from birdlite.writers import open_writer
from birdlite.writers.base import RunFacts, WriterOptions
from birdlite.writers.output import open_output, refuse_url

EPILOG = """\
Parts are taken one after the other, as they are; `birdlite merge` checks that they belong together. Relative paths of
pictures are relative to the current folder. The page appears only when it is complete.

Exit codes: 0 all targets were classified, 1 some failed, 2 wrong usage, 3 a PART cannot be read or the page cannot be
written, 4 object storage is away.
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    refuse_url(values.output)
    guess_format(values.output, ("html",))
    open_console(values)
    storage = Storage(fetch_settings(values), scratch=values.scratch)
    paths = list(part_paths(values, storage))
    if not paths:
        raise PartsError("there are no results to report on")
    model, facts = facts_of_outputs([read_records(path, storage)[0] for path in paths])
    ok = failed = 0
    with (
        Interruption(storage.cancelled.set) as interruption,
        open_output(values.output, "html", whole=True, storage=storage, cancelled=interruption.came) as output,
    ):
        choices = WriterOptions(folder=folder_of(values.output), by_index=model is not None)  # indexes of one list
        writer = open_writer("html", output.stream, choices)
        for path in paths:
            for record in interruption.until(read_records(path, storage)[1]):
                result = result_of(record if values.reveal_targets else redacted_record(record))
                ok, failed = ok + result.ok, failed + (not result.ok)
                writer.write(result)
        writer.finish(RunFacts(RunSummary(ok + failed, ok, failed, 0.0, 0.0), model, report=facts))
    log.info(
        f"{log.counted(len(paths), 'output')}: {ok:,} of {log.counted(ok + failed, 'target')} classified,"
        f" {failed:,} failed{written_to(values.output)}"
    )
    return EXIT_FAILURES if failed else EXIT_OK


COMMAND = Command(
    "report",
    "Make an HTML page from the results of earlier runs: species, failures and pictures.",
    EPILOG,
    arguments=[
        Argument(
            "parts",
            "PART...",
            "Results (jsonl) that `birdlite classify` or `birdlite merge` wrote: a file, a folder of them, a glob,"
            " or the same in object storage.",
            type=FILE,
        )
    ],
    options={
        "Output": [
            Option("-o, --output FILE", "Write the page to FILE instead of standard output.", type=FILE),
            REVEAL_TARGETS,
            SCRATCH,
        ],
        "Object storage": timeouts("object storage", one="a request"),
        **MESSAGES,
    },
)
