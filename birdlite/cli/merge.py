"""`birdlite merge`: put the parts that `classify --shard` wrote into one file, if all of them are there."""

from __future__ import annotations

from types import SimpleNamespace

from birdlite import log
from birdlite.batch.files import result_of
from birdlite.batch.merge import Parts, merged, open_parts
from birdlite.cli.console import open_console, written_to
from birdlite.cli.declare import Argument, Command, Option
from birdlite.cli.exit_codes import EXIT_FAILURES, EXIT_OK
from birdlite.cli.options import FILE, MESSAGES, SCRATCH, TIMEOUTS
from birdlite.cli.values import fetch_settings, part_paths
from birdlite.errors import UsageError
from birdlite.results import RunSummary
from birdlite.run.options import guess_format
from birdlite.run.report_file import facts_of_run, folder_of
from birdlite.storage.store import Storage
from birdlite.writers import open_writer
from birdlite.writers.base import Format, RunFacts, WriterOptions
from birdlite.writers.output import open_output
from birdlite.writers.record import to_json

EPILOG = """\
Parts and output may be in object storage (extra `cloud`): s3://BUCKET/FOLDER/, 's3://BUCKET/FOLDER/part-*.jsonl',
gs://… or az://…. The output appears only when it is complete.

Exit codes: 0 all targets of the run were classified, 1 some failed, 2 wrong usage, 3 the output cannot be written, or
parts are missing, doubled, unfinished or of another run.
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    format_ = values.format or _format_of(values.output)
    if values.keep_header and format_ != "jsonl":
        raise UsageError("--keep-header needs --format jsonl")
    open_console(values)
    storage = Storage(fetch_settings(values), scratch=values.scratch)
    parts = open_parts(part_paths(values, storage), storage)
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
    left_out = f", {parts.totals.left_out} left out because earlier runs have them" if parts.totals.left_out else ""
    log.info(
        f"{len(parts.files)} parts: {parts.totals.ok} of {parts.totals.targets} targets classified,"
        f" {parts.totals.failed} failed{left_out}{written_to(values.output)}"
    )
    return EXIT_FAILURES if parts.totals.failed else EXIT_OK


def _facts(parts: Parts) -> RunFacts:
    totals = parts.totals
    model, report = facts_of_run(parts.run)
    if totals.left_out:
        left_out = f"Pictures left out because earlier runs have them: {totals.left_out:,}."
        report = report._replace(notes=(left_out,))
    return RunFacts(RunSummary(totals.mine, totals.ok, totals.failed, 0.0, 0.0), model, report=report)


def _format_of(output: str | None) -> Format:
    format_ = guess_format(output)
    if format_ == "text":  # no suffix that means anything
        return "jsonl"
    if format_ == "json":
        raise UsageError(f"--output {output}: merge writes jsonl, csv or html")
    return format_


COMMAND = Command(
    "merge",
    "Put the parts of one run together, in the order of its list.",
    EPILOG,
    arguments=[
        Argument(
            "parts",
            "PART...",
            "A file that `birdlite classify` made with --shard or --resume, a folder of them (*.jsonl), or a glob.",
            type=FILE,
        )
    ],
    options={
        "Output": [
            Option("-o, --output FILE", "Write to FILE instead of standard output.", type=FILE),
            Option(
                "--format",
                "Format of the output.",
                choices=("jsonl", "csv", "html"),
                shown="from the suffix of --output, else jsonl",
            ),
            Option(
                "--keep-header",
                "Begin with the run's header, which --since-output of classify and another merge need.",
            ),
            SCRATCH,
        ],
        "Object storage": TIMEOUTS,
        **MESSAGES,
    },
)
