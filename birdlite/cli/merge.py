"""`birdlite merge`: the parts of a run of `--shard` into one file, once all of them are there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from birdlite import log
from birdlite.batch.merge import merged, open_parts
from birdlite.batch.record_file import outputs_at, result_of
from birdlite.cli import EXIT_FAILURES, EXIT_OK
from birdlite.cli.options import add_log_options, open_console
from birdlite.cli.parser import Parser
from birdlite.cli.run import guess_format
from birdlite.errors import UsageError
from birdlite.results import RunSummary
from birdlite.writers import Format, RunFacts, WriterOptions, open_writer
from birdlite.writers.output import open_output
from birdlite.writers.record import to_json

EPILOG = """\
A PART is a file that `birdlite classify --shard` or `--resume` made, a folder of them (*.jsonl), or a glob.
Exit codes: 0 all targets of the run were classified, 1 some had failed, 2 wrong usage, 3 parts are missing, doubled,
unfinished or of another run, or the output cannot be written. The output appears only when it is complete.
"""


def main(argv: Sequence[str], started: float) -> int:  # noqa: ARG001 - every command has this shape
    """Run the command."""
    values = _parser().parse(argv)
    format_ = values.format or _format_of(values.output)
    if values.keep_header and format_ != "jsonl":
        raise UsageError("--keep-header is for jsonl")
    open_console(values)
    parts = open_parts(_paths(values.parts, values.output))
    with open_output(values.output, format_, whole=True) as output:
        if format_ == "csv":
            writer = open_writer("csv", output.stream, WriterOptions(times=parts.run.timing))
            for record in merged(parts):
                writer.write(result_of(record))
            writer.finish(RunFacts(RunSummary(parts.totals.mine, parts.totals.ok, parts.totals.failed, 0.0, 0.0)))
        else:
            if values.keep_header:
                output.stream.write(parts.line())
            for record in merged(parts):
                output.stream.write(to_json(record) + "\n")
    left_out = f", {parts.totals.left_out} left out that earlier runs have" if parts.totals.left_out else ""
    log.info(
        f"{len(parts.paths)} parts: {parts.totals.ok} of {parts.totals.targets} targets classified,"
        f" {parts.totals.failed} failed{left_out}"
    )
    return EXIT_FAILURES if parts.totals.failed else EXIT_OK


def _parser() -> Parser:
    parser = Parser("birdlite merge", "Put the parts of one run together, by the order of its list.", EPILOG)
    parser.add_argument("parts", nargs="+", metavar="PART", help="file, folder or glob")
    group = parser.add_argument_group("output")
    parser.option("-o", "--output", metavar="FILE", group=group, help="write there instead of standard output")
    parser.option(
        "--format", choices=("jsonl", "csv"), group=group, help="default: by the suffix of --output, else jsonl"
    )
    parser.flag(
        "--keep-header",
        group=group,
        help="begin with the run's header, so that classify --since-output and merge can read the file",
    )
    add_log_options(parser)
    return parser


def _format_of(output: str | None) -> Format:
    format_ = guess_format(output)
    if output is None or format_ == "text":  # no suffix that means anything
        return "jsonl"
    if format_ == "json":
        raise UsageError(f"--output {output}: merge writes jsonl or csv")
    return format_


def _paths(places: Sequence[str], output: str | None) -> Iterator[str]:
    """The files of the parts, without the output of an earlier merge that lies among them."""
    for place in places:
        if _same(place, output):
            raise UsageError(f"{place}: is the output too")
        yield from (path for path in outputs_at(place) if not _same(path, output))


def _same(path: str, output: str | None) -> bool:
    return output is not None and os.path.isfile(path) and os.path.exists(output) and os.path.samefile(path, output)
