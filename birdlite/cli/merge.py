"""`birdlite merge`: put the parts that `classify --shard` wrote into one file, if all of them are there.

With `--newest` the parts of many runs; with `--index` nothing is merged, and a folder gets its index.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

from birdlite import log
from birdlite.batch.done_index import index_path
from birdlite.batch.earlier import newest_model, update_index
from birdlite.batch.files import Record, is_folder, listed_at, redacted_record, result_of, same
from birdlite.batch.header import Run
from birdlite.batch.merge import Parts, merged, open_parts
from birdlite.batch.newest import Newest, open_runs
from birdlite.cli.console import open_console, written_to
from birdlite.cli.declare import Argument, Command, Option
from birdlite.cli.exit_codes import EXIT_FAILURES, EXIT_OK
from birdlite.cli.interruption import Interruption
from birdlite.cli.options import ALLOW_FAILURES, FILE, MESSAGES, REVEAL_TARGETS, SCRATCH, timeouts
from birdlite.cli.values import fetch_settings, part_paths
from birdlite.errors import OutputError, UsageError
from birdlite.local_file import reason
from birdlite.results import RunSummary
from birdlite.run.options import guess_format
from birdlite.run.report_file import facts_of_run, folder_of
from birdlite.storage import Listed, is_storage
from birdlite.storage.store import Storage
from birdlite.storage.upload import scratch_folder
from birdlite.writers import open_writer
from birdlite.writers.base import Format, RunFacts, TextSink, Writer, WriterOptions
from birdlite.writers.output import open_output, refuse_url
from birdlite.writers.record import to_json

FORMATS: tuple[Format, ...] = ("jsonl", "csv", "html")

EPILOG = """\
Parts and output may be in object storage (extra `cloud`): s3://BUCKET/FOLDER/, 's3://BUCKET/FOLDER/part-*.jsonl',
gs://… or az://…. The output appears only when it is complete.

Exit codes: 0 all targets were classified, or the index was written, 1 some failed, 2 wrong usage, 3 the output cannot
be written, or parts are missing, doubled, unfinished or of another run, 4 object storage is away.
"""


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    refuse_url(values.output)
    format_ = values.format or guess_format(values.output, FORMATS)
    if values.keep_header and format_ != "jsonl":
        raise UsageError("--keep-header needs --format jsonl")
    open_console(values)
    storage = Storage(fetch_settings(values), scratch=values.scratch)
    if values.index:
        return _index(values, storage)
    source, records, what = _source(values, storage)
    if not values.reveal_targets:
        records = map(redacted_record, records)
    with (
        Interruption(storage.cancelled.set) as interruption,
        open_output(values.output, format_, whole=True, storage=storage, cancelled=interruption.came) as output,
    ):
        records = interruption.until(records)
        if format_ in ("csv", "html"):
            _write_results(source, records, open_writer(format_, output.stream, _choices(source.run, values.output)))
        elif values.keep_header and isinstance(source, Newest):
            _write_with_header(source, records, output.stream, values.scratch)
        else:
            if values.keep_header:
                output.stream.write(source.line())
            for record in records:
                output.stream.write(to_json(record) + "\n")
    totals = source.totals
    left_out = f", {totals.left_out:,} left out because earlier runs have them" if totals.left_out else ""
    log.info(
        f"{what}: {totals.ok:,} of {log.counted(totals.targets, 'target')} classified, {totals.failed:,} failed"
        f"{left_out}{written_to(values.output)}"
    )
    return EXIT_FAILURES if totals.failed and not values.allow_failures else EXIT_OK


def _source(values: SimpleNamespace, storage: Storage) -> tuple[Parts | Newest, Iterator[Record], str]:
    """What is merged, its records, and what to call it."""
    if not values.newest:
        parts = open_parts(part_paths(values, storage), storage)
        parts = parts._replace(run=_named(parts.run, values))
        return parts, merged(parts, storage), log.counted(len(parts.files), "part")
    runs = open_runs(_parts_with_times(values, storage), storage)
    newest = Newest(runs, storage)
    newest.run = _named(newest.run, values)
    count = log.counted(sum(len(one.files) for one in runs), "part")
    return newest, newest.records(), f"{count} of {log.counted(len(runs), 'run')}"


def _named(run: Run, values: SimpleNamespace) -> Run:
    """The run as the output's header has it: whether names have secrets may change."""
    return run._replace(reveal_targets=run.reveal_targets and values.reveal_targets)


def _parts_with_times(values: SimpleNamespace, storage: Storage) -> Iterator[Listed]:
    """The parts with their times. An output of an earlier merge is one of them, as it may be all that is left.

    Raises:
        UsageError: the output would replace one of them by something that is no part.
    """
    for place in values.parts:
        for part in listed_at(place, storage):
            if values.output is not None and same(part.name, values.output) and not values.keep_header:
                raise UsageError(
                    f"--output {values.output}: is one of the parts: add --keep-header, or write elsewhere"
                )
            yield part


def _index(values: SimpleNamespace, storage: Storage) -> int:
    """Write the index of each folder."""
    if values.output is not None or values.newest or values.keep_header or values.format is not None:
        raise UsageError("--index writes the index of a folder and merges nothing: give it alone")
    for folder in values.parts:
        if not is_folder(folder):
            raise UsageError(f"--index {folder}: not a folder{' (it ends with a slash)' * is_storage(folder)}")
        model_sha256 = newest_model(folder, storage)
        index = update_index(folder, model_sha256, storage)
        said = "is up to date"
        if index is not None:
            said = f"{log.counted(len(index.keys), 'target')} of {log.counted(len(index.covered), 'part')}"
        log.info(f"{index_path(folder, model_sha256)}: {said}")
    return EXIT_OK


def _choices(run: Run, output: str | None) -> WriterOptions:
    return WriterOptions(times=run.timing, min_score=run.min_score, folder=folder_of(output))


def _write_results(source: Parts | Newest, records: Iterable[Record], writer: Writer) -> None:
    for record in records:
        writer.write(result_of(record))
    writer.finish(_facts(source))


def _write_with_header(newest: Newest, records: Iterable[Record], sink: TextSink, scratch: str | None) -> None:
    """Write the records of many runs behind a header, which has their counts: they wait in a temporary file."""
    try:
        with tempfile.TemporaryFile(dir=None if scratch is None else scratch_folder(scratch)) as waiting:
            waiting.writelines(f"{to_json(record)}\n".encode("utf-8", "backslashreplace") for record in records)
            waiting.seek(0)
            sink.write(newest.line())
            for line in waiting:
                sink.write(line.decode())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{scratch or 'TMPDIR'}: {reason(error)}; choose another folder with --scratch") from error


def _facts(source: Parts | Newest) -> RunFacts:
    totals = source.totals
    model, report = facts_of_run(source.run)
    if totals.left_out:
        left_out = f"Pictures left out because earlier runs have them: {totals.left_out:,}."
        report = report._replace(notes=(left_out,))
    return RunFacts(RunSummary(totals.mine, totals.ok, totals.failed, 0.0, 0.0), model, report=report)


COMMAND = Command(
    "merge",
    "Put the parts of one run together, in the order of its list; or those of many runs.",
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
                choices=FORMATS,
                shown="from the suffix of --output, else jsonl",
            ),
            Option(
                "--keep-header",
                "Begin with the run's header, which --since-output of classify and another merge need.",
            ),
            Option(
                "--newest",
                "Take parts of many runs, and of each target the newest answer. A failure replaces no answer.",
            ),
            Option(
                "--index",
                "Merge nothing: write the index of what the parts in the folder PART have answered, which"
                " --since-output of classify reads instead of them.",
            ),
            REVEAL_TARGETS,
            ALLOW_FAILURES,
            SCRATCH,
        ],
        "Object storage": timeouts("object storage", one="a request"),
        **MESSAGES,
    },
)
