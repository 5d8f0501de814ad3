"""`birdlite report`: outputs of earlier runs as a page for people."""

from __future__ import annotations

from collections.abc import Sequence

from birdlite import log
from birdlite.batch.files import read_records, result_of
from birdlite.cli import EXIT_FAILURES, EXIT_OK
from birdlite.cli.batch_options import add_scratch_option
from birdlite.cli.options import add_log_options, add_patience_options, open_console, patience_settings
from birdlite.cli.parser import Parser
from birdlite.cli.part_paths import part_paths
from birdlite.errors import PartsError
from birdlite.results import RunSummary
from birdlite.run.report_file import folder_of
from birdlite.run.run_summary import facts_of_outputs
from birdlite.storage.store import Storage
from birdlite.writers import RunFacts, WriterOptions, open_writer
from birdlite.writers.output import open_output

EPILOG = """\
A PART is JSON lines that `birdlite classify` or `merge` wrote: a file, a folder of them (*.jsonl), a glob, or the same
in object storage. They are taken one after the other, as they are; `birdlite merge` is what checks them. Links to
files lead from the page's folder to paths as seen from the current one.
Exit codes: 0 all targets were classified, 1 some had failed, 2 wrong usage, 3 a PART cannot be read or the page not be
written. The page appears only when it is complete.
"""


def main(argv: Sequence[str], started: float) -> int:  # noqa: ARG001 - every command has this shape
    """Run the command."""
    values = _parser().parse(argv)
    open_console(values)
    storage = Storage(patience_settings(values), scratch=values.scratch)
    paths = list(part_paths(values.parts, values.output, storage))
    if not paths:
        raise PartsError("there is nothing to report")
    model, told = facts_of_outputs([read_records(path, storage)[0] for path in paths])
    ok = failed = 0
    with open_output(values.output, "html", whole=True, storage=storage) as output:
        choices = WriterOptions(folder=folder_of(values.output), by_index=model is not None)  # indexes of one list
        writer = open_writer("html", output.stream, choices)
        for path in paths:
            for record in read_records(path, storage)[1]:
                result = result_of(record)
                ok, failed = ok + result.ok, failed + (not result.ok)
                writer.write(result)
        writer.finish(RunFacts(RunSummary(ok + failed, ok, failed, 0.0, 0.0), model, report=told))
    log.info(f"{len(paths)} outputs: {ok} of {ok + failed} targets classified, {failed} failed")
    return EXIT_FAILURES if failed else EXIT_OK


def _parser() -> Parser:
    parser = Parser("birdlite report", "Make a page for people of the outputs of earlier runs.", EPILOG)
    parser.add_argument("parts", nargs="+", metavar="PART", help="file, object, folder or glob")
    group = parser.add_argument_group("output")
    parser.option("-o", "--output", metavar="FILE", group=group, help="write there instead of standard output")
    add_scratch_option(parser, group)
    add_patience_options(parser, parser.add_argument_group("object storage"))
    add_log_options(parser)
    return parser
