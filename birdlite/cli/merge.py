"""`birdlite merge`: the parts of a run of `--shard` into one file, once all of them are there."""

from __future__ import annotations

from collections.abc import Sequence

from birdlite import log
from birdlite.batch.files import result_of
from birdlite.batch.merge import Parts, merged, open_parts
from birdlite.cli import EXIT_FAILURES, EXIT_OK
from birdlite.cli.batch_options import add_scratch_option
from birdlite.cli.options import add_log_options, add_patience_options, open_console, patience_settings
from birdlite.cli.parser import Parser
from birdlite.cli.part_paths import part_paths
from birdlite.errors import UsageError
from birdlite.results import RunSummary
from birdlite.run.report_file import folder_of
from birdlite.run.run_summary import facts_of_run
from birdlite.run.runner import guess_format
from birdlite.storage.store import Storage
from birdlite.writers import Format, RunFacts, WriterOptions, open_writer
from birdlite.writers.output import open_output
from birdlite.writers.record import to_json

EPILOG = """\
A PART is a file that `birdlite classify --shard` or `--resume` made, a folder of them (*.jsonl), or a glob. Parts and
output may be in object storage (extra `cloud`): s3://BUCKET/FOLDER/, 's3://BUCKET/FOLDER/part-*.jsonl', gs://…, az://….
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
    storage = Storage(patience_settings(values), scratch=values.scratch)
    parts = open_parts(part_paths(values.parts, values.output, storage), storage)
    with open_output(values.output, format_, whole=True, storage=storage) as output:
        if format_ in ("csv", "html"):
            choices = WriterOptions(
                times=parts.run.timing, min_score=parts.run.min_score, folder=folder_of(values.output)
            )
            writer = open_writer(format_, output.stream, choices)
            for record in merged(parts, storage):
                writer.write(result_of(record))
            writer.finish(_facts(parts))
        else:
            if values.keep_header:
                output.stream.write(parts.line())
            for record in merged(parts, storage):
                output.stream.write(to_json(record) + "\n")
    left_out = f", {parts.totals.left_out} left out that earlier runs have" if parts.totals.left_out else ""
    log.info(
        f"{len(parts.paths)} parts: {parts.totals.ok} of {parts.totals.targets} targets classified,"
        f" {parts.totals.failed} failed{left_out}"
    )
    return EXIT_FAILURES if parts.totals.failed else EXIT_OK


def _facts(parts: Parts) -> RunFacts:
    totals = parts.totals
    model, report = facts_of_run(parts.run)
    if totals.left_out:
        left_out = f"Left out are {totals.left_out:,} pictures that earlier runs have."
        report = report._replace(notes=(left_out,))
    return RunFacts(RunSummary(totals.mine, totals.ok, totals.failed, 0.0, 0.0), model, report=report)


def _parser() -> Parser:
    parser = Parser("birdlite merge", "Put the parts of one run together, by the order of its list.", EPILOG)
    parser.add_argument("parts", nargs="+", metavar="PART", help="file, object, folder or glob")
    group = parser.add_argument_group("output")
    parser.option("-o", "--output", metavar="FILE", group=group, help="write there instead of standard output")
    parser.option(
        "--format", choices=("jsonl", "csv", "html"), group=group, help="default: by the suffix of --output, else jsonl"
    )
    parser.flag(
        "--keep-header",
        group=group,
        help="begin with the run's header, so that classify --since-output and merge can read the file",
    )
    add_scratch_option(parser, group)
    add_patience_options(parser, parser.add_argument_group("object storage"))
    add_log_options(parser)
    return parser


def _format_of(output: str | None) -> Format:
    format_ = guess_format(output)
    if output is None or format_ == "text":  # no suffix that means anything
        return "jsonl"
    if format_ == "json":
        raise UsageError(f"--output {output}: merge writes jsonl, csv or html")
    return format_
